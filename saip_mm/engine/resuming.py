"""Which checkpoint a training goes on from."""

import errno
import json
import os
import re
import zipfile
from logging import WARNING
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from .checkpoint_file import read_checkpoint, resolve_checkpoint
from .files import write_text

_NAME = re.compile(r'(?:epoch_(\d+)_?)?(?:iter_(\d+))?\.pth')

# How often a launch was started again, by what tells one launch from another.
_RESTARTS = {
    'TORCHELASTIC_RUN_ID': 'TORCHELASTIC_RESTART_COUNT',
    'SLURM_JOB_ID': 'SLURM_RESTART_COUNT',
}
_LAUNCH = 'launch.json'


def choose_checkpoint(cfg: Config, resume: str | None) -> Path | None:
    """The checkpoint that a training goes on from; None if it starts anew.

    torchrun starts all processes again when one has died, Slurm a job that was queued
    again: such a training goes on from where it was, not from where it had begun.

    Args:
        cfg: Of the training, with its ``work_dir``.
        resume: What the command line says: a checkpoint, a work directory, ``'auto'``
            for the newest of this one, or None for what the config says.

    Raises:
        FileNotFoundError: If there is none where one should be.
        ValueError: If it is damaged, or not the state of a training.
    """
    if resume is None and cfg.get('resume'):
        resume = cfg.get('load_from') or 'auto'
    if resume == 'auto' or _is_restart(cfg.work_dir):
        path = newest_valid(cfg.work_dir)
        if path:
            return path
    if resume in (None, 'auto'):
        return None
    if Path(resume).is_dir() and (path := newest_valid(resume)):
        return path
    path = resolve_checkpoint(resume)
    check(path)
    return path


def note_launch(work_dir: str | os.PathLike) -> None:
    """Write down what launch trains in a work directory, for when it is restarted."""
    names = {name: os.environ[name] for name in _RESTARTS if name in os.environ}
    write_text(Path(work_dir, _LAUNCH), json.dumps(names))


def _is_restart(work_dir: str | os.PathLike) -> bool:
    """Whether a launch that has trained in a work directory was started again."""
    path = Path(work_dir, _LAUNCH)
    noted = json.loads(path.read_text()) if path.exists() else {}
    return any(
        int(os.environ.get(count, 0)) and noted.get(name) == os.environ.get(name)
        for name, count in _RESTARTS.items()
        if name in noted
    )


def saved_checkpoints(folder: str | os.PathLike) -> list[Path]:
    """The checkpoints of a work directory, the newest first."""
    found = [
        path for path in Path(folder).glob('*_*.pth') if _NAME.fullmatch(path.name)
    ]
    return sorted(found, key=place, reverse=True)


def place(path: Path) -> tuple[int, int]:
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
            raise OSError(  # of the file system: the file may be whole
                error.errno,
                f'{error.strerror}; mend the storage, or move this file away to go on '
                'from the checkpoint before it',
                os.fspath(path),
            ) from error
        raise ValueError(f'{path} is damaged or incomplete ({error})') from error
    if damaged:
        raise ValueError(f'{path} is damaged: the checksum of {damaged} is wrong')
    missing = {'meta', 'state_dict', 'optimizer', 'message_hub'} - set(
        read_checkpoint(path)
    )
    if missing:
        raise ValueError(f'{path} is not of a training: it has no {min(missing)}')
