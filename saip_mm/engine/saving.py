"""Checkpoints of a training that survive what may happen while they are written."""

import errno
import io
import math
import os
import re
import signal
import time
import zipfile
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

from .checkpoint_file import read_checkpoint
from .files import whole_file, write_text
from .processes import Agreement

_NAME = re.compile(r'(?:epoch_(\d+)_?)?(?:iter_(\d+))?\.pth')

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
    with status 75.

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
        self.agreement = Agreement()
        self.handlers = {
            number: signal.signal(number, self._remember) for number in STOP_SIGNALS
        }
        if is_main_process():
            for partial in Path(runner.work_dir).glob('.*.partial'):
                partial.unlink()  # of a training that was killed while it saved
            _put_aside(runner)
        runner.logger.info(f'Checkpoints will be saved to {runner.work_dir}.')

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        stop = self.agreement.any(self.stop_by is not None)
        # The clock of the main process alone decides: nothing here waits for others.
        if stop or time.monotonic() - self.saved_at > self.seconds:
            self.save(runner, runner.epoch, runner.iter + 1)
        if stop:
            name = self.stop_by.name if self.stop_by else 'a signal to another process'
            runner.logger.warning(
                f'stopped by {name} after step {runner.iter + 1}; go on with --resume'
            )
            raise SystemExit(INTERRUPTED)

    def after_train_epoch(self, runner: Runner) -> None:
        epoch = runner.epoch + 1
        if epoch % self.interval == 0 or epoch == runner.max_epochs:
            self.save(runner, epoch, runner.iter)

    def after_train(self, runner: Runner) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: object) -> None:
        self.stop_by = signal.Signals(number)

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
            write_text(path.with_name('last_checkpoint'), str(path))
            others = [each for each in saved_checkpoints(path.parent) if each != path]
            for old in others[self.max_keep_ckpts - 1 :]:
                old.unlink()
        except OSError as error:
            print_log(
                f'{path} was not saved ({error}); the checkpoints before it are still '
                'there, and the training goes on. Make room, or choose another '
                'work_dir, before the next one is due',
                'current',
                ERROR,
            )
        else:
            runner.logger.info(f'Saved {path}')
        self.saved_at = time.monotonic()


def _put_aside(runner: Runner) -> None:
    """Move checkpoints of later steps, of another run or damaged, out of the way.

    The next resume would take one of them for this training's newest.
    """
    folder = Path(runner.work_dir)
    later = [
        path
        for path in saved_checkpoints(folder)
        if _place(path) > (runner.epoch, runner.iter)
    ]
    if later:
        aside = folder / f'superseded_{runner.timestamp}'
        aside.mkdir()
        for path in later:
            path.rename(aside / path.name)
        runner.logger.warning(
            f'{len(later)} checkpoints of later steps than this training begins with '
            f'were moved to {aside}'
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


def saved_checkpoints(folder: str | os.PathLike) -> list[Path]:
    """The checkpoints of a work directory, the newest first."""
    found = [
        path for path in Path(folder).glob('*_*.pth') if _NAME.fullmatch(path.name)
    ]
    return sorted(found, key=_place, reverse=True)


def _place(path: Path) -> tuple[int, int]:
    """Epoch and step of a checkpoint by its name; step 0 at the end of an epoch."""
    name = _NAME.fullmatch(path.name)
    return int(name[1] or 0), int(name[2] or 0)


def newest_valid(folder: str | os.PathLike) -> Path | None:
    """The newest checkpoint of a work directory that is whole; None if it has none.

    Those that are not are named in the log.

    Raises:
        ValueError: If there are checkpoints, but all are damaged.
    """
    saved = saved_checkpoints(folder)
    for path in saved:
        try:
            check(path)
        except ValueError as error:
            print_log(f'{error}; an older one is tried', 'current', WARNING)
        else:
            return path
    if saved:
        raise ValueError(
            f'{folder}: all {len(saved)} checkpoints are damaged. Restore one, or '
            'choose another work_dir to start anew'
        )
    return None


def check(path: str | os.PathLike) -> None:
    """Compare a checkpoint with its checksums (CRC-32 of every part of the file).

    Raises:
        OSError: If it cannot be read just now.
        ValueError: If it is damaged, or not the state of a training.
    """
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except Exception as error:  # zipfile raises any type on damaged files
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise  # of the file system: the file may be whole
        raise ValueError(f'{path} is damaged or incomplete ({error})') from error
    if damaged:
        raise ValueError(f'{path} is damaged: the checksum of {damaged} is wrong')
    missing = {'meta', 'state_dict', 'optimizer', 'message_hub'} - set(
        read_checkpoint(path)
    )
    if missing:
        raise ValueError(f'{path} is not of a training: it has no {min(missing)}')
