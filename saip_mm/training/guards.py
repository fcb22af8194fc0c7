"""What keeps bad numbers out of the weights, and says when nothing is learnt."""

import math
from logging import ERROR, WARNING
from pathlib import Path

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, save_checkpoint
from mmpretrain.registry import HOOKS

from .processes import Agreement

MOST_SAVED = 3  # refused steps of a work directory: each is as large as a checkpoint


class StepRefused(ArithmeticError):
    """A step whose numbers are not finite: the optimizer must not make it."""


@HOOKS.register_module()
class FiniteGuard(Hook):
    """Refuses optimizer steps with a loss or a gradient that is not finite.

    All processes refuse together. Neither optimizer nor teacher nor centre sees such a
    step, and the training goes on with the next one. What reproduces the first of some
    in a row is saved, three times at most: ``refused_step_700.pth`` holds the state
    before it, ``refused_step_700_rank_0.pth`` the batch of process 0.

    Args:
        max_in_row: After so many refused steps in a row the training is stopped.
    """

    priority = 'VERY_HIGH'

    def __init__(self, max_in_row: int = 10) -> None:
        if max_in_row < 1:
            raise ValueError(f'max_in_row={max_in_row} should be at least 1')
        self.max_in_row = max_in_row
        self.in_row = 0

    def before_train(self, runner: Runner) -> None:
        self.agreement = Agreement()
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.register_forward_hook(self._see_losses)
        optimizer = runner.optim_wrapper.optimizer
        optimizer.register_step_pre_hook(self._decide)
        optimizer.register_step_post_hook(self._see_step)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None
    ) -> None:
        self.reasons = []
        self.stepped = False

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        # A loss scaler leaves out steps by itself, which is as it should be while all
        # losses are finite.
        if self.stepped or (outputs and not self.agreement.any(bool(self.reasons))):
            self.in_row = 0
            return
        self.in_row += 1
        step = runner.iter + 1
        why = '; '.join(self.reasons) or 'on another process'
        print_log(f'step {step} is left out, not finite: {why}', 'current', ERROR)
        if self.in_row == 1:
            self._save(runner, step, data_batch)
        if self.in_row == self.max_in_row:
            raise FloatingPointError(
                f'{self.in_row} steps in a row were not finite, the last one {step} '
                f'({why}). The weights are those before them. Lower the learning rate, '
                'or look at what was saved as refused_step_….pth'
            )

    def _see_step(self, *_) -> None:
        self.stepped = True

    def _see_losses(self, model, arguments, losses) -> None:
        if isinstance(losses, dict):
            self.reasons += [
                name
                for name, loss in losses.items()
                if 'loss' in name and not torch.isfinite(loss.detach()).all()
            ]

    def _decide(self, optimizer: torch.optim.Optimizer, *_) -> None:
        gradients = [
            parameter.grad
            for group in optimizer.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]
        # One number for all, as every look at one waits for the GPU.
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if not torch.isfinite(norm):
            self.reasons.append('gradients')
        if self.agreement.any(bool(self.reasons)):
            raise StepRefused

    def _save(self, runner: Runner, step: int, data_batch: dict) -> None:
        folder = Path(runner.work_dir)
        name, rank = f'refused_step_{step}', get_rank()
        if len(list(folder.glob(f'refused_step_*_rank_{rank}.pth'))) == MOST_SAVED:
            return
        batch = dict(seed=runner.seed, epoch=runner.epoch, step=step, batch=data_batch)
        try:
            save_checkpoint(batch, str(folder / f'{name}_rank_{rank}.pth'))
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            runner.save_checkpoint(str(folder), f'{name}.pth', meta=meta)
        except OSError as error:
            print_log(f'{name}: could not be saved ({error})', 'current', ERROR)


@HOOKS.register_module()
class CollapseWatch(Hook):
    """Warns when the teacher tells images apart no longer.

    Two quantities show it before losses do, both logged in every step:
    ``teacher_entropy``, of the teacher's sharpened distribution over K prototypes
    (near 0: all images one prototype; near log K: no image any), and ``feature_std``,
    the spread of unit image tokens over a batch (0: all images the same).

    Args:
        min_feature_std: Least spread, of 1 for tokens in all directions.
        entropy_margin: Least distance of the entropy from 0 and log K, relative to
            log K.
        patience: Steps in a row after which it warns.
    """

    def __init__(
        self,
        min_feature_std: float = 0.02,
        entropy_margin: float = 0.001,
        patience: int = 200,
    ) -> None:
        self.min_feature_std = min_feature_std
        self.entropy_margin = entropy_margin
        self.patience = patience
        self.in_row = 0

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.prototypes = model.matching.center.numel() if model.matching else None

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        signs = self._signs(outputs or {})
        self.in_row = self.in_row + 1 if signs else 0
        if self.in_row and self.in_row % self.patience == 0:
            print_log(
                f'{self.in_row} steps in a row: {"; ".join(signs)}. The teacher seems '
                'to collapse. A lower learning rate, a higher teacher momentum or '
                'another teacher temperature may help',
                'current',
                WARNING,
            )

    def _signs(self, outputs: dict) -> list[str]:
        signs = []
        spread, entropy = outputs.get('feature_std'), outputs.get('teacher_entropy')
        if spread is not None and float(spread) < self.min_feature_std:
            signs.append(f'feature_std is {float(spread):.4f}')
        if entropy is not None:
            share = float(entropy) / math.log(self.prototypes)
            if not self.entropy_margin <= share <= 1 - self.entropy_margin:
                signs.append(f'teacher_entropy is {share:.2%} of its maximum')
        return signs
