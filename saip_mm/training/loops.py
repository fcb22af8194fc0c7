"""The training loop."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.model import BaseAveragedModel
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from mmpretrain.registry import LOOPS
from torch import Tensor, nn

from ..checkpoints.teachers import DISTILLED_FROM, find_teacher
from ..data import PeopleDataset
from ..data.sampler import StatelessSampler
from .batches import SAME_DATA, continue_epoch, done_in_epoch
from .guards import StepRefused
from .processes import on_main_process, unwrap_model

KEPT_LOGS = 10_000  # latest values of each quantity, or those of an epoch if more


@LOOPS.register_module()
class AccumulatingTrainLoop(EpochBasedTrainLoop):
    """Epoch-based training in which one iteration is one optimizer step.

    ``optim_wrapper.accumulative_counts = k`` splits each batch of the loader into k
    micro-batches: less memory, same result. (Algorithms of MMPretrain that compare the
    images of a batch, or have batch norm, see micro-batches.) Learning rate, teacher
    momentum, logs and checkpoints all count optimizer steps.

    Resumes at any step of an epoch, and skips a step that
    :class:`~saip_mm.training.guards.FiniteGuard` refuses. torch's generator (dropout,
    stochastic depth) is seeded with seed, step and process.
    """

    def __init__(self, runner, dataloader, max_epochs: int) -> None:
        super().__init__(runner, dataloader, max_epochs)
        sampler = self.dataloader.sampler
        if not isinstance(sampler, StatelessSampler):
            raise TypeError(
                f'{type(sampler).__name__} cannot resume within an epoch: set '
                "train_dataloader.sampler=dict(type='StatelessSampler')"
            )
        if len(self.dataloader) == 0:
            size = self.dataloader.batch_size
            raise ValueError(
                f'{len(self.dataloader.dataset)} images do not fill a batch of {size} '
                f'on each of {get_world_size()} processes: lower '
                'train_dataloader.batch_size'
            )

    def run(self) -> nn.Module:
        self._check_micro_batches()
        self._compare_processes()
        self._compare_with_checkpoint()
        self._compare_teachers()
        continue_epoch(self.runner)
        if self.iter >= self.max_iters:
            self.runner.logger.info(
                f'nothing is left to train: the checkpoint is of step {self.iter}, and '
                f'train_cfg.max_epochs={self.max_epochs} are {self.max_iters} steps'
            )
        # OptimWrapper counts micro-batches, to know when to step.
        count, wrapper = self._micro_batches, self.runner.optim_wrapper
        type(wrapper).initialize_count_status(
            wrapper, self.runner.model, self.iter * count, self.max_iters * count
        )
        # MMPretrain's target networks count micro-batches: average once per step.
        for part in self.runner.model.modules():
            if isinstance(part, BaseAveragedModel):
                part.interval *= count
        return super().run()

    def run_epoch(self) -> None:
        # Read by their momentum's schedule only.
        micro_batches = self.max_iters * self._micro_batches
        self.runner.message_hub.update_info('max_iters', micro_batches)
        super().run_epoch()
        # MMEngine copies a quantity's whole history whenever it appends a value, and
        # keeps it in checkpoints.
        for history in self.runner.message_hub.log_scalars.values():
            history.max_length = max(KEPT_LOGS, len(self.dataloader))

    def _check_micro_batches(self) -> None:
        loader, count = self.dataloader, self._micro_batches
        size = loader.batch_size
        last = 0 if loader.drop_last else len(loader.sampler) % size
        if size % count or last % count:
            raise ValueError(
                f'train_dataloader.batch_size={size} cannot be split into '
                f'optim_wrapper.accumulative_counts={count} equal micro-batches'
                f'{f"; the last batch of {last}: set drop_last=True" if last else ""}'
            )

    @cached_property
    def _digest(self) -> str:
        """Digest of the list of images; empty for data sets of other libraries."""
        dataset = self.dataloader.dataset
        return dataset.digest() if isinstance(dataset, PeopleDataset) else ''

    def _compare_processes(self) -> None:
        values = {
            'step: is work_dir the same folder for all of them?': self.iter,
            'list of images: is the data the same for all of them?': (
                len(self.dataloader.dataset),
                self._digest,
            ),
            'batch size: set train_dataloader.batch_size': self.dataloader.batch_size,
            'seed: set randomness.diff_rank_seed=False (images and scales are drawn '
            'from the seed, and views differ anyway)': self.runner.seed,
        }
        found = all_gather_object(list(values.values()))
        for what, each in zip(values, zip(*found, strict=True), strict=True):
            if len(set(each)) > 1:
                raise ValueError(
                    f'processes differ ({", ".join(map(str, each))}) in their {what}'
                )

    def _compare_with_checkpoint(self) -> None:
        for name, now in dict(
            images=len(self.dataloader.dataset),
            global_batch=self.dataloader.batch_size * get_world_size(),
            steps_per_epoch=len(self.dataloader),
        ).items():
            before = self._record(name, now)
            if before != now:
                raise ValueError(
                    f'the checkpoint was trained with {name}={before}, now it is '
                    f'{now}: {SAME_DATA}'
                )
        if self._record('data', self._digest) != self._digest:
            self.runner.logger.warning(
                "the list of images is not the checkpoint's: images of this epoch "
                'may be repeated or omitted. Shards of the same images, and changed '
                'boxes or keypoints, count as another list'
            )

    def _compare_teachers(self) -> None:
        teacher = find_teacher(unwrap_model(self.runner.model))
        if teacher is None:
            return
        repeats = self.dataloader.sampler.view_epochs is not None
        if teacher.cache is not None and not repeats:
            raise ValueError(
                f'the cache {teacher.cache} of the teacher would grow and never be '
                'used, since every epoch draws new views: set '
                'train_dataloader.sampler.view_epochs=1 to repeat them, or cache=None'
            )
        now = on_main_process(lambda: teacher.source)
        before = self._record(DISTILLED_FROM, now)
        if before['sha256'] != now['sha256']:
            raise ValueError(
                f'the checkpoint learned from the teacher {before}, now it is {now}: '
                'resume with the same teacher, or start a new run from its '
                'weights with load_from'
            )

    def _record(self, name: str, now: Any) -> Any:
        """Put a value into checkpoints; return the resumed checkpoint's, or ``now``."""
        hub = self.runner.message_hub
        before = hub.runtime_info.get(name, now) if self.iter else now
        hub.update_info(name, now)
        return before

    def run_iter(self, idx: int, data_batch: dict) -> None:
        """Make one optimizer step.

        ``data_batch`` has ``inputs`` (a tensor [B, …], or a dict or list of them) and
        possibly a list of ``data_samples``; everything else, added by hooks, is passed
        to all micro-batches.
        """
        runner = self.runner
        idx = done_in_epoch(runner, self.iter)  # also if the epoch was resumed
        sequence = np.random.SeedSequence((runner.seed, self.iter, get_rank()))
        torch.manual_seed(int(sequence.generate_state(1)[0]))
        runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch)
        try:
            logs = [
                runner.model.train_step(micro_batch, optim_wrapper=runner.optim_wrapper)
                for micro_batch in self.split(data_batch)
            ]
        except StepRefused:
            _end_scaler_step(runner.optim_wrapper)
            runner.optim_wrapper.zero_grad()
            outputs = None
        else:
            outputs = {
                name: sum(log[name] for log in logs) / len(logs) for name in logs[0]
            }
        runner.call_hook(
            'after_train_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs
        )
        self._iter += 1

    @property
    def _micro_batches(self) -> int:
        return self.runner.optim_wrapper._accumulative_counts

    def split(self, data_batch: dict) -> list[dict]:
        """The micro-batches of a batch."""
        count = self._micro_batches
        if count == 1:
            return [data_batch]
        names = [n for n in ('inputs', 'data_samples') if data_batch.get(n) is not None]
        return [
            data_batch | {name: _chunk(data_batch[name], i, count) for name in names}
            for i in range(count)
        ]


def _chunk(values: dict | list | Tensor, number: int, count: int) -> Any:
    """Part of tensors [B, …], possibly nested, or of a list of B data samples."""
    if isinstance(values, dict):
        return {name: _chunk(each, number, count) for name, each in values.items()}
    if isinstance(values, list | tuple) and isinstance(values[0], Tensor):
        return [_chunk(each, number, count) for each in values]
    size = len(values) // count
    return values[number * size : (number + 1) * size]


def _end_scaler_step(optim_wrapper: OptimWrapper) -> None:
    """End a step of the loss scaler that ``StepRefused`` interrupted."""
    if not hasattr(optim_wrapper, 'loss_scaler'):
        return
    for name in ('grad_scale', 'found_inf'):  # set for fused optimizers
        if hasattr(optim_wrapper.optimizer, name):
            delattr(optim_wrapper.optimizer, name)
    optim_wrapper.loss_scaler.update()
