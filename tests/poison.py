"""Hooks that spoil steps, and a loss scaler for CPUs, for configs of tests."""

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmpretrain.registry import HOOKS, OPTIM_WRAPPERS

from saip_mm.training.processes import unwrap_model


@HOOKS.register_module(force=True)
class Poison(Hook):
    """Makes the batches of some ``steps`` (from 1) of one process infinite."""

    def __init__(self, steps: tuple[int, ...], rank: int = 0) -> None:
        self.steps = steps
        self.rank = rank

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter + 1 in self.steps and get_rank() == self.rank:
            views = data_batch['inputs']
            views['globals'] = views['globals'].float().fill_(float('inf'))


@HOOKS.register_module(force=True)
class PoisonLoss(Poison):
    """Adds a NaN loss without a gradient to those of one process in some steps."""

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        pass

    def before_train(self, runner) -> None:
        def add(model, arguments, losses):
            if runner.iter + 1 in self.steps and get_rank() == self.rank:
                losses['loss_more'] = torch.tensor(float('nan'))
            return losses

        unwrap_model(runner.model).register_forward_hook(add, prepend=True)


@HOOKS.register_module(force=True)
class InfiniteGradient(Poison):
    """Makes a gradient infinite, but no loss, in some steps with clipped values."""

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        pass

    def before_train(self, runner) -> None:
        def spoil(gradient):
            infinite = runner.iter + 1 in self.steps
            return gradient.fill_(float('inf')) if infinite else gradient

        next(runner.model.parameters()).register_hook(spoil)


@HOOKS.register_module(force=True)
class Overflow(Poison):
    """Scales losses so that gradients overflow in some steps."""

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        scaler, step = runner.optim_wrapper.loss_scaler, runner.iter + 1
        if step in self.steps:
            scaler.update(float('inf'))
        elif step - 1 in self.steps:
            scaler.update(1024.0)


@OPTIM_WRAPPERS.register_module(force=True)
class Scaled(OptimWrapper):
    """Scales losses like MMEngine's ``AmpOptimWrapper``, which needs a GPU."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.loss_scaler = torch.amp.GradScaler('cpu', init_scale=1024.0)

    def backward(self, loss, **_) -> None:
        self.loss_scaler.scale(loss).backward()

    def step(self, **_) -> None:
        self.loss_scaler.step(self.optimizer)
        self.loss_scaler.update()

    def state_dict(self) -> dict:
        return super().state_dict() | dict(loss_scaler=self.loss_scaler.state_dict())
