"""Checkpoint files: reading without executing anything, and atomic writing."""

import argparse
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import safetensors
import safetensors.torch
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

from ..files import sha256, whole_file

# Weights in the package, by name; docs/model_card.md describes them.
PACKAGED = {
    'saip-small': '1f78d958c6c08e432fc089946961dbf34c899843ad4529a7439ee296c639a324',
    'saip-vit-tiny': '23f27e6c8a1676916c87c57ff46fb15f77a8ad04b1089627108a85654edb0b97',
}
_WEIGHTS = Path(__file__).parents[1] / 'weights'

_ADDRESS = re.compile(r'[a-z][\w.+-]+:')  # two letters: `C:` is a drive
# First bytes of files that are given as checkpoints by mistake.
_OTHER_FILES = (
    (b'\xff\xd8\xff', 'a JPEG image'),
    (b'\x89PNG', 'a PNG image'),
    (b'\x89HDF', 'an HDF5 file'),
    (b'\x1f\x8b', 'a gzip archive'),
    (b'%PDF', 'a PDF'),
)
_NAME = re.compile(r'(?:epoch_(\d+)_?)?(?:iter_(\d+))?\.pth')


class _SafeHistory(HistoryBuffer):
    """Unpickles the numbers of a HistoryBuffer, and nothing else from the file.

    MMEngine's own ``__setstate__`` would install the file's functions in all history
    buffers of the process.
    """

    def __setstate__(self, state: dict) -> None:
        self._set_default_statistics()
        for name in ('max_length', '_log_history', '_count_history'):
            setattr(self, name, state[name])
        self.__class__ = HistoryBuffer  # to be saved under that name again


def _name_of_method(owner: type, name: str) -> str:
    """Replaces ``getattr``, with which history buffers pickle their functions.

    The real one would let a file reach anything from the classes allowed here.
    """
    return name


def _safe_globals() -> list:
    """Globals that a file may use besides torch's: plain data of real checkpoints.

    ``argparse.Namespace`` occurs in checkpoints of SAIP, DeiT and MAE, the rest in
    MMEngine's (message hub, schedulers).
    """
    array = np.zeros(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    numbers = np.typecodes['AllInteger'] + np.typecodes['Float'] + '?'
    return [
        argparse.Namespace,
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in numbers},
        # NumPy 1 and 2 have different names for the same functions
        (array, 'numpy.core.multiarray._reconstruct'),
        (array, 'numpy._core.multiarray._reconstruct'),
        (scalar, 'numpy.core.multiarray.scalar'),
        (scalar, 'numpy._core.multiarray.scalar'),
        (_SafeHistory, 'mmengine.logging.history_buffer.HistoryBuffer'),
        _SafeHistory,
        (_name_of_method, 'builtins.getattr'),
    ]


def resolve_checkpoint(path: str | os.PathLike) -> Path:
    """The file that ``path`` names: itself, or the latest one of a work directory.

    Args:
        path: A file, a work directory, the ``last_checkpoint`` file in one, or the name
            of weights in the package (``PACKAGED``). ``~`` is the home directory.

    Raises:
        FileNotFoundError: If the file does not exist, or the work directory's
            ``last_checkpoint`` does not point to one.
        ValueError: If weights in the package are damaged.
    """
    given, path = os.fspath(path), Path(path).expanduser()
    if given in PACKAGED and not path.exists():
        return _packaged(given)
    if _ADDRESS.match(given) and not path.exists():
        raise FileNotFoundError(
            f'{given} is a URL: nothing is downloaded automatically; download the file '
            'and give its path'
        )
    if path.is_dir():
        if not (path / 'last_checkpoint').is_file():
            raise FileNotFoundError(
                f'{path} has no last_checkpoint, so its latest checkpoint is unknown: '
                'give a checkpoint file'
            )
        path = path / 'last_checkpoint'
    if not path.is_file():
        raise FileNotFoundError(
            f'there is no checkpoint {path}; weights in the package: '
            + ', '.join(PACKAGED)
        )
    if path.name != 'last_checkpoint':
        return path
    latest = Path(path.read_text(errors='replace').strip())
    if not latest.name:
        # Killed while writing it, after the checkpoint was complete.
        saved = saved_checkpoints(path.parent)
        if not saved:
            raise FileNotFoundError(f'{path} is empty: give a checkpoint file')
        return saved[0]
    # It contains the path at training time: the folder may have been moved or copied.
    for candidate in (path.parent / latest.name, latest):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f'{path} points to {latest}, which does not exist')


def _packaged(name: str) -> Path:
    path = _WEIGHTS / f'{name}.safetensors'
    if not path.is_file() or sha256(path) != PACKAGED[name]:
        raise ValueError(f'{path} is missing or damaged: install saip_mm again')
    return path


def saved_checkpoints(folder: str | os.PathLike) -> list[Path]:
    """The checkpoints of a work directory, newest first."""
    found = [
        path for path in Path(folder).glob('*_*.pth') if _NAME.fullmatch(path.name)
    ]
    return sorted(found, key=epoch_and_step, reverse=True)


def epoch_and_step(path: Path) -> tuple[int, int]:
    """Epoch and step in a checkpoint's name; step 0 at the end of an epoch."""
    name = _NAME.fullmatch(path.name)
    return int(name[1] or 0), int(name[2] or 0)


def read_checkpoint(path: str | os.PathLike) -> dict:
    """Read a checkpoint onto the CPU, without executing anything in it.

    Args:
        path: ``.safetensors``, or a file by ``torch.save``.

    Returns:
        The saved object; for safetensors ``dict(state_dict=..., meta=...)``, where
        ``meta`` is the file's metadata, decoded if it is JSON.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged, not a checkpoint, or uses a class that is
            not plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no checkpoint {path}')
    if path.suffix == '.safetensors':
        return _read_safetensors(path)
    try:
        with torch.serialization.safe_globals(_safe_globals()):
            checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # damaged files fail in many ways
        refused = re.search(r'GLOBAL (\S+)', str(error))
        if isinstance(error, UnpicklingError) and refused:
            raise ValueError(
                f'{path} was refused for safety: it uses {refused[1]}, and only '
                'tensors and plain data are read, so that no code in a file is run. '
                'If you trust its origin, save its state dict alone'
            ) from error
        raise ValueError(f'{path} {_what_is_wrong(path, error)}') from error
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f'{path} contains a {type(checkpoint).__name__} instead of a state dict'
        )
    return checkpoint


def _read_safetensors(path: Path) -> dict:
    try:
        with safetensors.safe_open(path, 'pt', device='cpu') as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except Exception as error:
        raise ValueError(f'{path} {_what_is_wrong(path, error)}') from error
    return dict(
        state_dict=tensors, meta={key: _decoded(v) for key, v in metadata.items()}
    )


def _what_is_wrong(path: Path, error: Exception) -> str:
    """Why a file cannot be read as a checkpoint."""
    with open(path, 'rb') as file:
        head = file.read(256)
    for magic, kind in _OTHER_FILES:
        if head.startswith(magic):
            return f'is {kind}, not a checkpoint'
    if path.suffix == '.onnx':
        return 'is an ONNX network: give the checkpoint it was exported from'
    if path.suffix == '.safetensors' and head.startswith(b'PK'):
        return 'was written by torch.save: rename it to end in .pth'
    if path.suffix != '.safetensors' and head[8:10] == b'{"':
        return 'is a safetensors file: rename it to end in .safetensors'
    text = head.decode(errors='ignore').strip()
    if text and all(each.isprintable() or each.isspace() for each in text):
        begin = text.splitlines()[0][:60]
        return f'is text, not a checkpoint: it begins with {begin!r}'
    size = path.stat().st_size
    return (
        f'({size} bytes) is damaged, incomplete or not a checkpoint: '
        f'{_first_line(error)}'
    )


def _decoded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _first_line(error: Exception) -> str:
    # torch puts advice on unsafe loading before the reason
    text = str(error).split('WeightsUnpickler error: ')[-1]
    return (text.strip() or type(error).__name__).splitlines()[0][:200]


def write_checkpoint(
    path: str | os.PathLike, state_dict: Mapping[str, Tensor], meta: dict
) -> None:
    """Write weights and plain ``meta`` atomically, as ``.pth`` or ``.safetensors``.

    Creates missing folders.
    """
    with whole_file(path) as partial:
        if Path(path).suffix == '.safetensors':
            tensors = {
                k: v.detach().clone().contiguous() for k, v in state_dict.items()
            }
            metadata = {key: json.dumps(value) for key, value in meta.items()}
            safetensors.torch.save_file(tensors, partial, dict(metadata, format='pt'))
        else:
            torch.save(dict(state_dict=state_dict, meta=meta), partial)
