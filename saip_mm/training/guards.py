"""Guards against non-finite steps and representation collapse."""

import math
from collections.abc import Iterable
from logging import ERROR, WARNING
from pathlib import Path

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner, save_checkpoint
from mmpretrain.registry import HOOKS
from torch import Tensor, nn
from torch.nn.utils import clip_grad_value_

from .processes import Agreement, unwrap_model

# Limits of a collapse: of the spread of unit image tokens over a batch (0: all images
# alike, 1: in all directions), and of the distance of the teacher's entropy from 0 (one
# prototype for all images) and log K (no preference), relative to log K.
MIN_FEATURE_STD, ENTROPY_MARGIN = 0.02, 0.001
MAX_SAVED = 3  # skipped steps per work directory: each is as large as a checkpoint
MAX_OVERFLOWS = 50  # in a row: halving brings any sensible loss scale below 1


class StepRefused(ArithmeticError):
    """Raised instead of an optimizer step with a non-finite loss or gradient."""


@HOOKS.register_module()
class FiniteGuard(Hook):
    """Skips steps with a non-finite loss or gradient, in all processes together.

    Weights, optimizer, teacher, center and running statistics of batch norms stay as
    they were, and training continues with the next step. (Algorithms of MMPretrain
    average their target network before the step; it is then one average ahead.) For
    debugging, ``refused_step_700.pth`` keeps the state before a skipped step, and
    ``refused_step_700_rank_0.pth`` the batch of process 0 (other processes with
    non-finite losses save theirs): only for the first of consecutive skipped steps, and
    at most three times.

    Steps that a loss scaler skips while losses are finite do not count, but 50 in a row
    end the run as well.

    Args:
        max_in_row: Number of consecutive skipped steps that ends the run.
    """

    priority = 'VERY_HIGH'

    def __init__(self, max_in_row: int = 10) -> None:
        if max_in_row < 1:
            raise ValueError(f'max_in_row={max_in_row} should be at least 1')
        self.max_in_row = max_in_row
        self.in_row = self.overflows = 0
        self.losses: list[tuple[str, Tensor]] = []  # and whether each is finite
        self.reasons: list[str] = []

    def before_train(self, runner: Runner) -> None:
        self.agreement = Agreement()
        unwrap_model(runner.model).register_forward_hook(self._check_losses)
        wrapper = runner.optim_wrapper
        by_value = getattr(wrapper, 'clip_func', None) is clip_grad_value_
        if by_value and not hasattr(wrapper, 'loss_scaler'):  # it checks itself
            wrapper.clip_func = self._clip_values
        wrapper.optimizer.register_step_pre_hook(self._check_gradients)
        wrapper.optimizer.register_step_post_hook(self._note_step)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None
    ) -> None:
        self.losses.clear()
        self.reasons.clear()
        self.stepped = False
        # A forward pass changes running statistics before its loss is known.
        self.buffers = [each.clone() for each in runner.model.buffers()]

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        if self.stepped:
            self.in_row = self.overflows = 0
            return
        self._read_losses()
        if not self.agreement.any(bool(self.reasons)):
            self._count_overflow()
            return
        for buffer, before in zip(runner.model.buffers(), self.buffers, strict=True):
            buffer.copy_(before)
        self.in_row += 1
        step = runner.iter + 1
        why = '; '.join(self.reasons) or 'in another process'
        print_log(f'step {step} is skipped, not finite: {why}', 'current', ERROR)
        if self.in_row == 1:
            self._save(runner, step, data_batch)
        if self.in_row == self.max_in_row:
            raise FloatingPointError(
                f'{self.in_row} steps in a row were not finite, the last one {step} '
                f'({why}). The weights are those before them. Lower the learning rate, '
                'or inspect the saved refused_step_….pth'
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        state = checkpoint['state_dict']
        bad = [name for name, tensor in state.items() if not tensor.isfinite().all()]
        if bad:
            raise FloatingPointError(
                f'{len(bad)} tensors are not finite, such as {bad[0]}: nothing is '
                'saved, and the last checkpoint remains valid. Start again from its '
                'weights with load_from and a lower learning rate'
            )

    def _count_overflow(self) -> None:
        """A loss scaler skipped a step; it lowers its scale until gradients fit."""
        self.in_row = 0
        self.overflows += 1
        if self.overflows == MAX_OVERFLOWS:
            raise FloatingPointError(
                f'gradients were not finite in {MAX_OVERFLOWS} steps in a row, in '
                'spite of finite losses and the loss scaler. Lower the learning rate '
                'or a fixed loss_scale, or train in bfloat16 '
                "(optim_wrapper.type='BFloat16OptimWrapper')"
            )

    def _note_step(self, *_) -> None:
        self.stepped = True

    def _check_losses(self, model, arguments, losses) -> None:
        for name, loss in losses.items() if isinstance(losses, dict) else ():
            parts = loss if isinstance(loss, list | tuple) else [loss]
            if 'loss' in name:
                # Read later: here it would wait for the GPU before the backward pass.
                self.losses += [(name, x.detach().isfinite().all()) for x in parts]

    def _read_losses(self) -> None:
        bad = (name for name, finite in self.losses if not finite)
        self.reasons += dict.fromkeys(bad)
        self.losses.clear()

    def _clip_values(self, parameters: list[nn.Parameter], *args, **kwargs) -> None:
        """Check gradients, then clip them, which makes infinite ones finite."""
        if not _are_finite(parameters):
            self.reasons.append('gradients')
        clip_grad_value_(parameters, *args, **kwargs)

    def _check_gradients(self, optimizer: torch.optim.Optimizer, *_) -> None:
        # Set by a loss scaler that leaves overflows to a fused optimizer, which calls
        # hooks regardless. Gradients are still scaled: their norm may be infinite.
        overflow = getattr(optimizer, 'found_inf', None)
        self._read_losses()
        parameters = (p for group in optimizer.param_groups for p in group['params'])
        unknown = overflow is None and 'gradients' not in self.reasons
        if unknown and not _are_finite(parameters):
            self.reasons.append('gradients')
        if self.agreement.any(bool(self.reasons) or bool(overflow)):
            raise StepRefused(
                f'a step is not finite ({"; ".join(self.reasons) or "gradients"}), and '
                'only AccumulatingTrainLoop skips such steps: set it in train_cfg'
            )

    def _save(self, runner: Runner, step: int, data_batch: dict) -> None:
        folder = Path(runner.work_dir)
        name, rank = f'refused_step_{step}', get_rank()
        if rank and not {*self.reasons} - {'gradients'}:  # which all share
            return
        if len(list(folder.glob(f'refused_step_*_rank_{rank}.pth'))) == MAX_SAVED:
            return
        batch = dict(seed=runner.seed, epoch=runner.epoch, step=step, batch=data_batch)
        try:
            save_checkpoint(batch, str(folder / f'{name}_rank_{rank}.pth'))
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            runner.save_checkpoint(str(folder), f'{name}.pth', meta=meta)
        except OSError as error:
            print_log(f'{name} was not saved: {error}', 'current', ERROR)


def _are_finite(parameters: Iterable[nn.Parameter]) -> bool:
    """Whether all gradients are finite."""
    gradients = [each.grad for each in parameters if each.grad is not None]
    # A single number, because reading each one waits for the GPU.
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return bool(torch.isfinite(norm))


@HOOKS.register_module()
class CollapseWatch(Hook):
    """Warns of collapsing representations (the teacher's, if any) before losses do.

    Watches ``feature_std`` and ``teacher_entropy`` of ``SAIP``, and the former of
    ``DPAL`` and ``HAP``; MMPretrain's algorithms log neither.

    Args:
        patience: Number of consecutive steps before each warning.
    """

    def __init__(self, patience: int = 200) -> None:
        self.patience = patience
        self.in_row = 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        outputs, signs = outputs or {}, []
        spread, entropy = outputs.get('feature_std'), outputs.get('teacher_entropy')
        if spread is not None and float(spread) < MIN_FEATURE_STD:
            signs.append(f'feature_std is {float(spread):.4f}')
        if entropy is not None:
            prototypes = unwrap_model(runner.model).matching.center.numel()
            share = float(entropy) / math.log(prototypes)
            if not ENTROPY_MARGIN <= share <= 1 - ENTROPY_MARGIN:
                signs.append(f'teacher_entropy is {share:.2%} of its maximum')
        self.in_row = self.in_row + 1 if signs else 0
        if self.in_row and self.in_row % self.patience == 0:
            others = ', a higher teacher momentum or another teacher temperature'
            others = '' if entropy is None else others  # without matching
            print_log(
                f'{self.in_row} steps in a row: {"; ".join(signs)}. The representation '
                f'seems to collapse. A lower learning rate{others} may help',
                'current',
                WARNING,
            )
