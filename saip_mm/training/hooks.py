"""Hooks of pretraining: scales, teacher, center, and bad images."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import nn

from ..data import DrawViews
from ..data.concat import holds_people
from ..data.quarantine import Quarantine
from ..models import SAIP
from .loops import AccumulatingTrainLoop
from .processes import unwrap_model
from .resuming import move_aside

HIGH_SHARE = 0.1  # of initial weights in the final teacher: worth a warning
GOOD_SHARE = 0.001  # what the warning recommends


class TeacherMomentum(NamedTuple):
    """Momentum of the teacher during training: half a cosine."""

    start: float  # at the first step
    end: float  # would follow the last step
    steps: int  # of the optimizer

    def at(self, step: int) -> float:
        """Momentum at a step, counted from 0."""
        falling = (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.end - (self.end - self.start) * falling

    def initial_share(self) -> float:
        """Share of initial weights that is left at the end: the product of momenta."""
        falling = (1 + np.cos(np.pi * np.arange(self.steps) / self.steps)) / 2
        return float(np.prod(self.end - (self.end - self.start) * falling))

    def limited(self, share: float) -> 'TeacherMomentum':
        """Lower ``start`` until at most ``share`` of the initial weights is left."""
        if self.initial_share() <= share:
            return self
        low, high = 0.0, self.start  # a first step without momentum leaves nothing
        for _ in range(40):
            middle = (low + high) / 2
            if self._replace(start=middle).initial_share() <= share:
                low = middle
            else:
                high = middle
        return self._replace(start=low)


@HOOKS.register_module()
class SAIPHook(Hook):
    """Draws the scales of each step; updates teacher and center after it.

    Both are updated only after actual optimizer steps, since a loss scaler may skip
    some: hence a hook of the optimizer, which also works if a wrapper for distributed
    training replaces the model's ``train_step``.

    A warning is logged at the start if more than a tenth of the teacher's initial
    weights will be left in it at the end.

    Args:
        momentum: Momentum of the teacher at the first step; a cosine over all steps
            leads to ``end_momentum``.
        end_momentum: Momentum that would follow the last step.
        base_batch_size: Global batch (batch size × processes) that these momenta and
            the model's ``center_momentum`` are for. With a global batch of B they
            become m^(B / base_batch_size), and so average over the same number of
            images (the scaling rule of arXiv 2307.13813). None leaves them unchanged.
        max_initial_share: Share of the teacher's initial weights that may be left at
            the end. If more would be, as with few images, ``momentum`` is lowered.
            None never lowers it.
    """

    def __init__(
        self,
        momentum: float = 0.996,
        end_momentum: float = 1.0,
        base_batch_size: int | None = None,
        max_initial_share: float | None = None,
    ) -> None:
        shares = dict(momentum=momentum, end_momentum=end_momentum)
        for name, value in (shares | dict(max_initial_share=max_initial_share)).items():
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f'{name}={value} is not between 0 and 1')
        if base_batch_size is not None and base_batch_size < 1:
            raise ValueError(f'base_batch_size={base_batch_size} should be at least 1')
        self.start, self.end = momentum, end_momentum
        self.base_batch_size = base_batch_size
        self.max_initial_share = max_initial_share

    def batch_ratio(self, global_batch: int) -> float:
        """Global batch relative to ``base_batch_size``."""
        return global_batch / (self.base_batch_size or global_batch)

    def momentum(self, global_batch: int, steps: int) -> TeacherMomentum:
        """Momentum of the teacher in a run of ``steps`` optimizer steps."""
        ratio = self.batch_ratio(global_batch)
        momentum = TeacherMomentum(self.start**ratio, self.end**ratio, steps)
        if self.max_initial_share is None:
            return momentum
        return momentum.limited(self.max_initial_share)

    def before_train(self, runner: Runner) -> None:
        if not isinstance(runner.train_loop, AccumulatingTrainLoop):
            raise TypeError(
                f'SAIP: {type(runner.train_loop).__name__} does not count optimizer '
                "steps: set train_cfg=dict(type='AccumulatingTrainLoop', max_epochs=…)"
            )
        model = unwrap_model(runner.model)
        if not isinstance(model, SAIP):
            raise TypeError(
                f'SAIPHook cannot update a {type(model).__name__}: remove '
                'default_hooks.saip from the config'
            )
        self.model = model
        _compare_patch_sizes(runner, model)
        _compare_image_sizes(runner, model)
        _require_views(runner, model)
        global_batch = runner.train_dataloader.batch_size * get_world_size()
        self.schedule = self.momentum(global_batch, runner.max_iters)
        self._report_share(runner)
        ratio = self.batch_ratio(global_batch)
        model.register_forward_hook(self._take_mean)
        runner.optim_wrapper.optimizer.register_step_post_hook(
            lambda *_: self._update(runner, ratio)
        )

    def _report_share(self, runner: Runner) -> None:
        """Log the share of initial weights that will be left at the end."""
        (start, end, steps), share = self.schedule, self.schedule.initial_share()
        runner.logger.info(
            f'teacher momentum {start:.6g} → {end:.6g} over {steps:,} steps; '
            f'{share:.1%} of its initial weights are left at the end'
        )
        if share > HIGH_SHARE:
            lower = self.schedule.limited(GOOD_SHARE).start
            runner.logger.warning(
                f"at the end of training, {share:.0%} of the teacher's initial "
                'weights will be left in it, and the teacher is the exported model: '
                f'set default_hooks.saip.max_initial_share={GOOD_SHARE} (the momentum '
                f'then starts at {lower:.4g}), or train for longer'
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None
    ) -> None:
        self.means = []  # of the micro-batches of this step
        data_batch['scales'] = self.model.data_preprocessor.draw_scales(
            runner.seed, runner.iter
        )

    def _take_mean(self, model: nn.Module, arguments: tuple, losses: object) -> None:
        """Move a micro-batch's mean teacher logits out of the losses."""
        if isinstance(losses, dict) and 'teacher_mean' in losses:
            self.means.append(losses.pop('teacher_mean'))

    def _update(self, runner: Runner, batch_ratio: float) -> None:
        """Update teacher and center after an optimizer step."""
        self.model.update_teacher(self.schedule.at(runner.iter))
        if self.model.matching:
            mean = torch.stack(self.means).mean(dim=0)
            self.model.matching.update_center(mean, batch_ratio)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        momentum = self.schedule.at(runner.iter)
        runner.message_hub.update_scalar('train/teacher_momentum', momentum)


@HOOKS.register_module()
class QuarantineHook(Hook):
    """Replaces unusable images during training, and lists them.

    The list is ``bad_images.jsonl`` in the work directory, ``bad_scenes.jsonl`` for a
    separate source of scenes, and ``bad_images_0.jsonl`` and so on for several data
    sets. A new run moves existing lists to ``superseded_TIME``.

    Args:
        max_share: Share of bad images above which training stops.
        max_few: Number of bad images that is always tolerated, unless they are more
            than half of all images.
    """

    def __init__(self, max_share: float = 0.01, max_few: int = 10) -> None:
        if not 0 <= max_share < 1:
            raise ValueError(f'max_share={max_share} should be at least 0 and below 1')
        if max_few < 0:
            raise ValueError(f'max_few={max_few} should be at least 0')
        self.max_share, self.max_few = max_share, max_few

    def before_train(self, runner: Runner) -> None:
        people = runner.train_dataloader.dataset
        if not holds_people(people):
            raise TypeError(
                f'QuarantineHook cannot replace images of {type(people).__name__}: '
                'use a data set of people, such as PersonImages, or remove '
                'default_hooks.quarantine from the config'
            )
        scenes = [] if people.scenes is None else people.scenes.parts()
        self.sources = []
        for name, parts in dict(bad_images=people.parts(), bad_scenes=scenes).items():
            for number, source in enumerate(parts):
                suffix = f'_{number}' if len(parts) > 1 else ''
                path = Path(runner.work_dir, f'{name}{suffix}.jsonl')
                if runner.iter == 0 and is_main_process() and path.exists():
                    move_aside(runner, [path])
                source.quarantine = Quarantine(
                    path, len(source), self.max_share, self.max_few
                )
                self.sources.append(source)
        barrier()  # no process may list an image before the list is moved

    def after_train_epoch(self, runner: Runner) -> None:
        for source in self.sources:
            if count := source.quarantine.count():
                runner.logger.warning(
                    f'{count} of {len(source)} images are unusable so far and were '
                    f'replaced by others: see {source.quarantine.path}'
                )


def _compare_patch_sizes(runner: Runner, model: nn.Module) -> None:
    found = [
        ('model.backbone', model.backbone.patch_size),
        ('model.data_preprocessor', model.data_preprocessor.patch_size),
    ]
    if model.reconstruction:
        found.append(('model.reconstruction', model.reconstruction.patch_size))
    for step in _drawing_steps(runner):
        found.append(('train_dataloader.dataset.pipeline', step.patch_size))
    if len({size for _, size in found}) > 1:
        sizes = ', '.join(f'{size} in {where}' for where, size in found)
        raise ValueError(f'patch_size must be the same everywhere; it is {sizes}')


def _compare_image_sizes(runner: Runner, model: nn.Module) -> None:
    """Warn if the size of views is not the one that exports will state."""
    stated = tuple(model.backbone.img_size)
    for size in {tuple(step.global_size) for step in _drawing_steps(runner)} - {stated}:
        runner.logger.warning(
            f'model.backbone.img_size={stated}, the size (h, w) that exports state and '
            f'features are computed at, differs from global_size={size} of the views: '
            'set it, and model.reconstruction.img_size, to that size'
        )


def _require_views(runner: Runner, model: SAIP) -> None:
    """Raise ValueError if a view that a head of the model needs is left out."""
    masked = model.reconstruction
    crops = model.matching or model.distillation or model.search
    anchor = crops or (masked and masked.anchor)
    drawn = dict(global_0=anchor, local=crops, scene=model.search)
    where = 'DrawViews in train_dataloader.dataset.pipeline'
    found = [(where, step, drawn) for step in _drawing_steps(runner)]
    preprocessor = model.data_preprocessor
    found.append(('model.data_preprocessor', preprocessor, dict(csr_scale=masked)))
    for where, options, heads in found:
        for name, head in heads.items():
            if head and getattr(options, name) is None:
                raise ValueError(
                    f'{where}: {name}=None leaves out a view that the model needs: '
                    'remove it, or set the heads that use the view to None'
                )


def _drawing_steps(runner: Runner) -> Iterator[DrawViews]:
    """DrawViews of each training data set; QuarantineHook refuses other data sets."""
    people = runner.train_dataloader.dataset
    for part in people.parts() if holds_people(people) else ():
        yield from (x for x in part.pipeline.transforms if isinstance(x, DrawViews))
