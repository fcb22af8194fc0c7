"""Choosing the checkpoint to resume."""

import errno
import json
import os
import subprocess
import time
import zipfile
from logging import WARNING
from pathlib import Path
from typing import IO

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from ..checkpoints.files import (
    epoch_and_step,
    read_checkpoint,
    resolve_checkpoint,
    saved_checkpoints,
)
from ..files import lock, write_text
from .batches import done_in_epoch
from .processes import on_main_process
from .schedules import compare_lengths, name_idle_hooks

_PROC = Path('/proc')  # macOS has none
_LAUNCH = 'launch.json'  # in a work directory: time and job of its launch


def choose_checkpoint(work_dir: str | os.PathLike, resume: str | None) -> Path | None:
    """The checkpoint to resume from; None to start from scratch.

    Runs restarted by torchrun (after a process died) or by Slurm (requeued jobs) resume
    from their own newest checkpoint, regardless of ``resume``.

    Args:
        work_dir: Work directory of the run.
        resume: A checkpoint, a work directory, ``'auto'`` for the newest checkpoint of
            this one, or None to start from scratch.

    Raises:
        OSError: If a requested checkpoint does not exist, or cannot be read at the
            moment.
        ValueError: If it is damaged, or not the state of a run.
    """
    folders = [work_dir] if resume == 'auto' or _is_restart(work_dir) else []
    if resume not in (None, 'auto') and Path(resume).expanduser().is_dir():
        folders.append(Path(resume).expanduser())
    for folder in folders:
        if path := newest_valid(folder):
            return path
    if resume in (None, 'auto'):
        return None
    path = resolve_checkpoint(resume)
    try:
        check_checkpoint(path)
    except ValueError as error:
        raise ValueError(f'{error}; resume from another checkpoint') from error
    return path


class LaunchHook(Hook):
    """Locks and prepares a work directory.

    Checkpoints of another run, or of later steps, are moved to another folder: the next
    resume would mistake them for the newest of this run. The config is saved here, so
    that a run that is refused does not replace it.
    """

    priority = 'VERY_HIGH'
    lock: IO | None = None

    def before_train(self, runner: Runner) -> None:
        compare_lengths(runner)
        name_idle_hooks(runner)
        on_main_process(self._prepare, runner)

    def unlock(self) -> None:
        """Unlock the work directory at the end of training, also after an error.

        A notebook may keep the runner. If its file were closed later, a lock that the
        same process took in the meantime would be lost.
        """
        if self.lock:
            self.lock.close()

    def _prepare(self, runner: Runner) -> None:
        folder = Path(runner.work_dir)
        self.lock = lock(
            folder / '.lock',
            f'{folder}: another run is using this work directory; choose another '
            '--work-dir, or wait until it ends',
        )
        Runner.dump_config(runner)
        others = saved_checkpoints(folder)
        if not _is_elsewhere(runner):
            others = [path for path in others if _is_later(path, runner)]
        if runner.iter == 0:
            others += folder.glob('refused_step_*.pth')
        move_aside(runner, others)
        launch = dict(time=time.time(), slurm_job=os.environ.get('SLURM_JOB_ID'))
        write_text(folder / _LAUNCH, json.dumps(launch))


class DueValidationHook(Hook):
    """Validates before a resumed run continues, if that is due.

    Checkpoints are saved before validation, which may have been interrupted.
    """

    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        if not (runner._resume and runner.val_loop):
            return
        if isinstance(loop, IterBasedTrainLoop):
            done, last = runner.iter, loop.max_iters
        elif isinstance(loop, EpochBasedTrainLoop):
            if done_in_epoch(runner, runner.iter):
                return
            done, last = runner.epoch, loop.max_epochs
        else:
            return
        loop._decide_current_val_interval()
        due = done == last or done % loop.val_interval == 0
        if due and done >= loop.val_begin:
            runner.val_loop.run()
            runner.model.train()


def _is_elsewhere(runner: Runner) -> bool:
    """Whether a run resumed from another folder than its work directory."""
    folder = Path(runner.work_dir).resolve()
    return runner._resume and Path(runner._load_from).resolve().parent != folder


def _is_later(path: Path, runner: Runner) -> bool:
    """Whether a checkpoint is from a later step than the first of a run."""
    epoch, step = epoch_and_step(path)
    if path.name.startswith('iter'):
        return step > runner.iter
    return (epoch, step) > (runner.epoch, runner.iter)


def move_aside(runner: Runner, files: list[Path]) -> None:
    """Move files of another run to ``superseded_TIME/`` in the work directory."""
    if not files:
        return
    aside = Path(runner.work_dir, f'superseded_{runner.timestamp}')
    aside.mkdir(exist_ok=True)
    for path in files:
        path.rename(aside / path.name)
    names = ', '.join(path.name for path in files)
    runner.logger.warning(f'from an earlier run, or damaged: moved {names} to {aside}')


def _is_restart(work_dir: str | os.PathLike) -> bool:
    """Whether this is a restart by the same torchrun or Slurm job."""
    path = Path(work_dir, _LAUNCH)
    if not path.exists():
        return False
    launch = json.loads(path.read_text())
    if int(os.environ.get('SLURM_RESTART_COUNT', 0)) and (
        launch['slurm_job'] == os.environ.get('SLURM_JOB_ID')
    ):
        return True
    # torchrun's own restart count differs between machines.
    return 'TORCHELASTIC_RUN_ID' in os.environ and launch['time'] > _parent_began()


def _parent_began() -> float:
    """Start time of the parent process, as Unix time."""
    parent = str(os.getppid())
    if not _PROC.exists():
        command = ['ps', '-o', 'lstart=', '-p', parent]
        english = os.environ | dict(LC_ALL='C')
        began = subprocess.check_output(command, env=english, text=True)
        return time.mktime(time.strptime(began.strip()))
    status = (_PROC / parent / 'stat').read_text()
    # Field 22; the second one, a name in parentheses, may contain spaces.
    ticks = int(status.rpartition(')')[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf('SC_CLK_TCK')
    return time.time() - age


def newest_valid(folder: str | os.PathLike) -> Path | None:
    """The newest valid checkpoint of a work directory; None if it has no checkpoint.

    Invalid ones are logged; if there is no other, a ValueError is raised.
    """
    errors = []
    for path in saved_checkpoints(folder):
        try:
            check_checkpoint(path)
        except ValueError as error:
            print_log(f'{error}; trying an older one', 'current', WARNING)
            errors.append(error)
        else:
            return path
    if errors:
        raise ValueError(
            f'{folder}: none of {len(errors)} checkpoints can be used. Restore one, or '
            f'choose another work_dir to start from scratch. The newest: {errors[0]}'
        )
    return None


def check_checkpoint(path: str | os.PathLike) -> None:
    """Verify a checkpoint's checksums (CRC-32 of every part of the file).

    Raises:
        OSError: If it cannot be read at the moment.
        ValueError: If it is damaged, or not the state of a run.
    """
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except Exception as error:  # zipfile raises any type on damaged files
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise OSError(  # of the file system: the file may be intact
                error.errno,
                f'{error.strerror or error}; repair that, or move this file away to '
                'resume from the checkpoint before it',
                os.fspath(path),
            ) from error
        raise ValueError(f'{path} is damaged or incomplete ({error})') from error
    if damaged:
        raise ValueError(f'{path} is damaged: the checksum of {damaged} is wrong')
    parts = {'meta', 'state_dict', 'optimizer', 'message_hub'}
    if missing := parts - read_checkpoint(path).keys():
        raise ValueError(f'{path} is not a training checkpoint: no {min(missing)}')
