"""Checkpoints of a training that survive what may happen while they are written."""

import io
import math
import os
import signal
import time
from logging import ERROR, WARNING
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.checkpoint import weights_to_cpu
from mmpretrain.registry import HOOKS

from ..checkpoints.checkpoint_file import saved_checkpoints
from ..files import whole_file, write_text
from .processes import Agreement

# Exit status of a training that was asked to stop and can go on.
INTERRUPTED = os.EX_TEMPFAIL
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Saves the whole state of a training, and never loses what was saved before.

    A checkpoint is written beside and takes its name once it is on the disk. Older ones
    are removed after that. If it cannot be written, because the disk is full perhaps,
    an error is logged and the training continues, until ``max_failures`` checkpoints
    in a row were not saved: then it exits with status 1. ``epoch_3.pth`` is of the end
    of epoch 3, ``epoch_3_iter_700.pth`` of step 700, on the way to the end of epoch 4.

    At SIGTERM, SIGUSR1 or Ctrl-C (SIGINT), the training finishes its step, saves, and
    exits with status 75, or 1 if it could not be saved. A second Ctrl-C ends it at
    once.

    Args:
        interval: Epochs from one checkpoint to the next; the last epoch has one anyway.
        minutes: Time after which another is saved within an epoch.
        max_keep_ckpts: How many are kept, the newest ones.
        max_failures: Checkpoints in a row that may fail to be saved.
    """

    priority = 'VERY_LOW'  # after whatever changes the state in a step

    def __init__(
        self,
        interval: int = 1,
        minutes: float = math.inf,
        max_keep_ckpts: int = 3,
        max_failures: int = 3,
    ) -> None:
        if min(interval, max_keep_ckpts, max_failures) < 1 or minutes <= 0:
            raise ValueError(
                f'interval={interval}, max_keep_ckpts={max_keep_ckpts} and '
                f'max_failures={max_failures} should be at least 1, minutes={minutes} '
                'more than 0'
            )
        self.interval = interval
        self.seconds = 60 * minutes
        self.max_keep_ckpts = max_keep_ckpts
        self.max_failures = max_failures

    def before_train(self, runner: Runner) -> None:
        self.saved_at = time.monotonic()
        self.stop_by = None
        self.failures = 0  # of saving, in a row
        self.agreement = Agreement()
        for number in STOP_SIGNALS:
            # A shell lets background jobs ignore Ctrl-C.
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._remember)
        if is_main_process():
            for partial in Path(runner.work_dir).glob('.*.partial'):
                partial.unlink()  # of a training that was killed while it saved
        runner.logger.info(f'Checkpoints will be saved to {runner.work_dir}.')

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        step = runner.iter + 1
        hopeless = self.failures >= self.max_failures
        stop = self.agreement.any(hopeless or self.stop_by is not None)
        # The clock of the main process alone decides: nothing here waits for others.
        due = stop or time.monotonic() - self.saved_at > self.seconds
        if due and not hopeless:
            self.save(runner, runner.epoch, step)
        if stop:
            lost = self.agreement.any(self.failures > 0)
            cause = 'a signal to another process'
            if hopeless:
                cause = f'{self.failures} failures in a row to save a checkpoint'
            elif self.stop_by:
                cause = self.stop_by.name
            runner.logger.log(
                ERROR if lost else WARNING,
                f'stopped by {cause} after step {step}; '
                + (f'its state could not be saved. {self._remedy(runner)}' * lost)
                + ('rerun with --resume to continue' * (not lost)),
            )
            raise SystemExit(1 if lost else INTERRUPTED)

    def after_train_epoch(self, runner: Runner) -> None:
        epoch = runner.epoch + 1
        if epoch % self.interval == 0 or epoch == runner.max_epochs:
            self.save(runner, epoch, runner.iter)

    def after_train(self, runner: Runner) -> None:
        if self.failures:
            runner.logger.error(
                f'the end of this training could not be saved. {self._remedy(runner)}'
            )
            raise SystemExit(1)

    def _remember(self, number: int, frame: object) -> None:
        self.stop_by = signal.Signals(number)
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)  # the second one ends it at once
            if is_main_process():
                os.write(2, b'Saving after this step; Ctrl-C again ends at once\n')

    def _remedy(self, runner: Runner) -> str:
        """Where a training continues that could not be saved."""
        if saved := saved_checkpoints(runner.work_dir):
            return f'Make room, and rerun with --resume to continue from {saved[0]}'
        return 'Make room, and start again: there is no earlier checkpoint'

    def save(self, runner: Runner, epoch: int, step: int) -> None:
        """Save the state after ``epoch`` whole epochs and ``step`` steps in all."""
        if not is_main_process():
            return
        name = f'epoch_{epoch}'
        if step != epoch * len(runner.train_dataloader):
            name += f'_iter_{step}'
        path = Path(runner.work_dir, f'{name}.pth')
        state = training_state(runner, epoch, step)
        runner.call_hook('before_save_checkpoint', checkpoint=state)
        try:
            write_state(path, state)
        except OSError as error:
            self.failures += 1
            print_log(
                f'{path} was not saved ({error}), failure {self.failures} of '
                f'{self.max_failures} in a row that the training survives; earlier '
                'checkpoints are still there. Make room before the next one is due',
                'current',
                ERROR,
            )
            return
        finally:
            self.saved_at = time.monotonic()
        self.failures = 0
        runner.logger.info(f'Saved {path}')
        others = [each for each in saved_checkpoints(path.parent) if each != path]
        try:
            write_text(path.with_name('last_checkpoint'), str(path))
            for old in others[self.max_keep_ckpts - 1 :]:
                old.unlink()
        except OSError as error:
            print_log(
                f'{path.parent}: last_checkpoint could not be written, or an old '
                f'checkpoint not be removed ({error})',
                'current',
                ERROR,
            )


def training_state(runner: Runner, epoch: int, step: int) -> dict:
    """All that a training needs to go on: tensors and plain data, on the CPU.

    Args:
        runner: The training.
        epoch: Whole epochs that it has done.
        step: Optimizer steps that it has done.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    schedulers = runner.param_schedulers or []
    hub = runner.message_hub.state_dict()
    return dict(
        meta=dict(
            epoch=epoch,
            iter=step,
            seed=runner.seed,
            cfg=runner.cfg.pretty_text,
            experiment_name=runner.experiment_name,
            time=time.strftime('%Y%m%d_%H%M%S'),
            dataset_meta=getattr(runner.train_dataloader.dataset, 'metainfo', None),
        ),
        state_dict=weights_to_cpu(model.state_dict()),
        optimizer=_plain(runner.optim_wrapper.state_dict()),
        param_schedulers=[_plain(each.state_dict()) for each in schedulers],
        message_hub=dict(
            log_scalars={
                name: [torch.from_numpy(np.array(each)) for each in buffer.data]
                for name, buffer in hub['log_scalars'].items()
            },
            runtime_info={
                key: value
                for key, value in hub['runtime_info'].items()
                if type(value) in (bool, int, float, str)
            },
            resumed_keys=_plain(hub['resumed_keys']),
        ),
    )


def restore_logs(state: dict) -> dict:
    """A message hub's state, as MMEngine wants it, of that of a training's state."""
    scalars = {
        name: HistoryBuffer(*(each.numpy() for each in buffer))
        if isinstance(buffer, list)
        else buffer
        for name, buffer in state['log_scalars'].items()
    }
    return dict(state, log_scalars=scalars)


def _plain(value: object) -> object:
    """The same with tensors on the CPU and without NumPy's numbers.

    Raises:
        TypeError: If there is anything else than tensors and what JSON knows.
    """
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(f'a checkpoint holds tensors and plain data, no {type(value)}')


def write_state(path: Path, state: dict) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OSError: If it cannot be written; what was there before still is.
    """
    # torch's own writer does not say why a file cannot be written.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with whole_file(path) as partial:
        partial.write_bytes(buffer.getbuffer())
