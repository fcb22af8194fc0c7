"""Checkpoints of a training that survive what may happen while they are written."""

import io
import math
import signal
import time
from logging import ERROR
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

from ..files import whole_file, write_text
from .checkpoint_file import saved_checkpoints
from .processes import Agreement

# Exit status of a training that was asked to stop and can go on: EX_TEMPFAIL.
INTERRUPTED = 75
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Saves the whole state of a training, and never loses what was saved before.

    A checkpoint is written beside and takes its name once it is on the disk. If that
    fails, for want of space perhaps, it is said and the training goes on. Older ones
    are removed after that. ``epoch_3.pth`` is of the end of epoch 3,
    ``epoch_3_iter_700.pth`` of step 700, on the way to the end of epoch 4.

    Told to stop (SIGTERM, SIGUSR1), the training finishes its step, saves, and exits
    with status 75, or 1 if it could not be saved.

    Args:
        interval: Epochs from one checkpoint to the next; the last epoch has one anyway.
        minutes: Time after which another is saved within an epoch.
        max_keep_ckpts: How many are kept, the newest ones.
    """

    priority = 'VERY_LOW'  # after whatever changes the state in a step

    def __init__(
        self,
        interval: int = 1,
        minutes: float = math.inf,
        max_keep_ckpts: int = 3,
    ) -> None:
        if interval < 1 or minutes <= 0 or max_keep_ckpts < 1:
            raise ValueError(
                f'interval={interval} and max_keep_ckpts={max_keep_ckpts} should be at '
                f'least 1, minutes={minutes} more than 0'
            )
        self.interval = interval
        self.seconds = 60 * minutes
        self.max_keep_ckpts = max_keep_ckpts

    def before_train(self, runner: Runner) -> None:
        self.saved_at = time.monotonic()
        self.stop_by = None
        self.saved = True
        self.agreement = Agreement()
        self.handlers = {
            number: signal.signal(number, self._remember) for number in STOP_SIGNALS
        }
        if is_main_process():
            for partial in Path(runner.work_dir).glob('.*.partial'):
                partial.unlink()  # of a training that was killed while it saved
        runner.logger.info(f'Checkpoints will be saved to {runner.work_dir}.')

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        step = runner.iter + 1
        stop = self.agreement.any(self.stop_by is not None)
        # The clock of the main process alone decides: nothing here waits for others.
        if stop or time.monotonic() - self.saved_at > self.seconds:
            self.saved = self.save(runner, runner.epoch, step)
        if stop:
            lost = self.agreement.any(not self.saved)
            name = self.stop_by.name if self.stop_by else 'a signal to another process'
            runner.logger.warning(
                f'stopped by {name} after step {step}; '
                + ('its state could not be saved; make room, and ' if lost else '')
                + 'go on with --resume'
            )
            raise SystemExit(1 if lost else INTERRUPTED)

    def after_train_epoch(self, runner: Runner) -> None:
        epoch = runner.epoch + 1
        if epoch % self.interval == 0 or epoch == runner.max_epochs:
            self.saved = self.save(runner, epoch, runner.iter)

    def after_train(self, runner: Runner) -> None:
        if not self.saved:
            runner.logger.error('the end of this training could not be saved')
            raise SystemExit(1)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: object) -> None:
        self.stop_by = signal.Signals(number)

    def save(self, runner: Runner, epoch: int, step: int) -> bool:
        """Save the state after ``epoch`` whole epochs and ``step`` steps in all.

        Returns:
            Whether there was room for it.
        """
        if not is_main_process():
            return True
        name = f'epoch_{epoch}'
        if step != epoch * len(runner.train_dataloader):
            name += f'_iter_{step}'
        path = Path(runner.work_dir, f'{name}.pth')
        state = training_state(runner, epoch, step)
        runner.call_hook('before_save_checkpoint', checkpoint=state)
        try:
            write_state(path, state)
        except OSError as error:
            print_log(
                f'{path} was not saved ({error}); the checkpoints before it are still '
                'there, and the training goes on. Make room, or choose another '
                'work_dir, before the next one is due',
                'current',
                ERROR,
            )
            return False
        finally:
            self.saved_at = time.monotonic()
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
        return True


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
