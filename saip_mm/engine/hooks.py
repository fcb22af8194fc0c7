"""What happens around an optimizer step."""

import math
from pathlib import Path

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import nn

from ..datasets import DrawViews
from ..datasets.quarantine import Quarantine
from .loops import AccumulatingTrainLoop
from .resuming import put_aside


@HOOKS.register_module()
class SAIPHook(Hook):
    """Draws the scales of each step; moves teacher and centre after a real step.

    A loss scaler may skip a step, and wrappers for distributed training have a
    ``train_step`` of their own, so the optimizer itself tells when it has stepped.

    Args:
        momentum: Momentum of the teacher at the first step; it follows a cosine over
            all optimizer steps.
        end_momentum: Momentum it would reach after the last step.
    """

    def __init__(self, momentum: float = 0.996, end_momentum: float = 1.0) -> None:
        for name, value in dict(momentum=momentum, end_momentum=end_momentum).items():
            if not 0 <= value <= 1:
                raise ValueError(f'{name}={value} is not between 0 and 1')
        self.start, self.end = momentum, end_momentum

    def before_train(self, runner: Runner) -> None:
        if not isinstance(runner.train_loop, AccumulatingTrainLoop):
            raise TypeError(
                f'SAIP counts optimizer steps, {type(runner.train_loop).__name__} does '
                "not: set train_cfg=dict(type='AccumulatingTrainLoop', max_epochs=…)"
            )
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.model = model
        _compare_patch_sizes(runner, model)
        runner.optim_wrapper.optimizer.register_step_post_hook(
            lambda *_: model.after_step(self.momentum_at(runner.iter, runner.max_iters))
        )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None
    ) -> None:
        self.model.data_preprocessor.begin_step(runner.seed, runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        self.model.forget_step()
        momentum = self.momentum_at(runner.iter, runner.max_iters)
        runner.message_hub.update_scalar('train/teacher_momentum', momentum)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        bad = [
            name
            for name, tensor in checkpoint['state_dict'].items()
            if not tensor.isfinite().all()
        ]
        if bad:
            raise FloatingPointError(
                f'{len(bad)} tensors are not finite, {bad[0]} among them: they are not '
                'saved, so that the last checkpoint is a good one. Start anew from its '
                'weights with load_from and a lower learning rate'
            )

    def momentum_at(self, step: int, steps: int) -> float:
        """Momentum at a step (from 0) of so many: a half cosine from start to end."""
        return (
            self.end
            - (self.end - self.start) * (1 + math.cos(math.pi * step / steps)) / 2
        )


@HOOKS.register_module()
class QuarantineHook(Hook):
    """Lets a training do without some images, instead of ending with the first bad one.

    They are listed in ``bad_images.jsonl`` of the work directory, those of a separate
    source of scenes in ``bad_scenes.jsonl``. A training that starts anew moves the list
    of another one to ``superseded_TIME``.

    Args:
        max_share: Share of bad images above which the training is stopped.
    """

    def __init__(self, max_share: float = 0.01) -> None:
        if not 0 <= max_share < 1:
            raise ValueError(f'max_share={max_share} should be at least 0, below 1')
        self.max_share = max_share

    def before_train(self, runner: Runner) -> None:
        people = runner.train_dataloader.dataset
        self.sources = dict(bad_images=people, bad_scenes=people.scenes)
        for name, source in self.sources.items():
            if source is not None:
                path = Path(runner.work_dir, f'{name}.jsonl')
                if runner.iter == 0 and is_main_process() and path.exists():
                    put_aside(runner, [path])
                source.quarantine = Quarantine(path, len(source), self.max_share)
        barrier()  # else another process may list an image before the list is moved

    def after_train_epoch(self, runner: Runner) -> None:
        for source in self.sources.values():
            if source is not None and (count := source.quarantine.count()):
                runner.logger.warning(
                    f'{count} of {len(source)} images could not be used so far, and '
                    f'others stood in: see {source.quarantine.path}'
                )


def _compare_patch_sizes(runner: Runner, model: nn.Module) -> None:
    sizes = {
        'model.backbone': model.backbone.patch_size,
        'model.data_preprocessor': model.data_preprocessor.patch_size,
    }
    if model.reconstruction:
        sizes['model.reconstruction'] = model.reconstruction.patch_size
    for i, step in enumerate(runner.train_dataloader.dataset.pipeline.transforms):
        if isinstance(step, DrawViews):
            sizes[f'train_dataloader.dataset.pipeline.{i}'] = step.patch_size
    if len(set(sizes.values())) > 1:
        found = ', '.join(f'{size} in {key}' for key, size in sizes.items())
        raise ValueError(f'patch_size must be the same everywhere; it is {found}')
