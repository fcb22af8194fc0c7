"""Checkpoint files: reading without executing anything, and atomic writing."""

import argparse
import json
import os
import re
import tarfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from logging import WARNING
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import safetensors
import safetensors.torch
import torch
from mmengine.logging import HistoryBuffer, print_log
from torch import Tensor

from ..files import atomic_write, sha256

# Weights in the package, by name; docs/model_card.md describes them.
PACKAGED = {
    'saip-small': '08887e71a3ce1c5b22269c34596f9e3a4f5c8bc733e949fa72483c0e95a99326',
    'saip-vit-tiny': '63e62c6e865cf020a0bef4ba17437fb4355afafebe638dd8c0629488265503f3',
}
_WEIGHTS = Path(__file__).parents[1] / 'weights'

# Keys of weights in a file. Averages (EMA) come first, as in timm: they are the
# evaluated weights. MMEngine saves its average as `state_dict`.
_PLACES = ('state_dict_ema', 'model_ema', 'state_dict', 'model', 'ema_state_dict')

_ADDRESS = re.compile(r'[a-z][\w.+-]+:')  # two letters: `C:` is a drive
_WRAPPERS = re.compile(r'^(?:(?:module|_orig_mod)(?:\.|$))+')
_NAME = re.compile(r'(?:epoch_(\d+)_?)?(?:iter_(\d+))?\.pth')
# In errors of torch's restricted unpickler; the second form is older than 2.4.
_REFUSED = re.compile(r'(?:GLOBAL|Unsupported class) (\S+)')
# Since 2.6, PyTorch can be told what else is harmless, and under which names.
_TAKES_GLOBALS = torch.__version__ >= (2, 6)
_NEEDS_NEWER = (
    '. PyTorch 2.6 and newer also read options of argparse, numbers of NumPy and '
    f'logs of MMEngine; this is PyTorch {torch.__version__}'
)


class _SafeHistory(HistoryBuffer):
    """Unpickles the numbers of a HistoryBuffer, but none of the file's functions."""

    def __setstate__(self, state: dict) -> None:
        self._set_default_statistics()
        for name in ('max_length', '_log_history', '_count_history'):
            setattr(self, name, state[name])
        self.__class__ = HistoryBuffer  # to be saved under that name again


def _name_of_method(owner: type, name: str) -> str:
    """Replaces ``getattr``, through which history buffers refer to their methods."""
    return name


def _safe_globals() -> list:
    """Globals that a file may use besides torch's: plain data of real checkpoints.

    ``argparse.Namespace`` occurs in checkpoints of SAIP, DeiT and MAE, the rest in
    MMEngine's (message hub, schedulers).
    """
    numbers = np.typecodes['AllInteger'] + np.typecodes['Float'] + '?'
    functions = {
        '_reconstruct': np.zeros(0).__reduce__()[0],
        'scalar': np.float64(0).__reduce__()[0],
    }
    return [
        argparse.Namespace,
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in numbers},
        *[
            (function, f'numpy.{module}.multiarray.{name}')
            for name, function in functions.items()
            for module in ('core', '_core')  # of NumPy 1 and 2
        ],
        (_SafeHistory, 'mmengine.logging.history_buffer.HistoryBuffer'),
        _SafeHistory,
        (_name_of_method, 'builtins.getattr'),
        (''.encode, 'builtins.bytes'),  # bytes() of empty arrays, but not of a size
    ]


def resolve_checkpoint(path: str | os.PathLike) -> Path:
    """The checkpoint file that ``path`` names.

    Args:
        path: A file, a work directory or the ``last_checkpoint`` file in one, for its
            latest checkpoint, or the name of weights in the package (``PACKAGED``).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If weights in the package are damaged.
    """
    given, path = os.fspath(path), Path(path).expanduser()
    if given in PACKAGED and not path.exists():
        path = _WEIGHTS / f'{given}.safetensors'
        if not path.is_file() or sha256(path) != PACKAGED[given]:
            raise ValueError(f'{path} is missing or damaged: install saip_mm again')
        return path
    if _ADDRESS.match(given) and not path.exists():
        raise FileNotFoundError(
            f'{given} is a URL: nothing is downloaded automatically; download the file '
            'and give its path'
        )
    if path.is_dir() or path.name == 'last_checkpoint':
        return _latest_checkpoint(path if path.is_dir() else path.parent)
    if not path.is_file():
        packaged = ', '.join(PACKAGED)
        raise FileNotFoundError(
            f'there is no checkpoint {path}; weights in the package: {packaged}'
        )
    return path


def _latest_checkpoint(folder: Path) -> Path:
    """The checkpoint named in ``last_checkpoint``, or else the newest one."""
    file = folder / 'last_checkpoint'
    # Empty if the run was killed while writing it. Otherwise the path at training time:
    # the folder may have been moved or copied.
    text = file.read_text(errors='replace').strip() if file.is_file() else ''
    named = [folder / Path(text).name, Path(text)] if text else []
    for path in (*named, *saved_checkpoints(folder)):
        if path.is_file():
            return path
    moved = sorted(path.parent for path in folder.glob('superseded_*/*_*.pth'))
    old = f', but an earlier run has some in {moved[-1]}' if moved else ''
    raise FileNotFoundError(f'{folder} has no checkpoint{old}: give a checkpoint file')


def saved_checkpoints(folder: str | os.PathLike) -> list[Path]:
    """The checkpoints of a work directory, newest first."""
    found = Path(folder).glob('*_*.pth')
    found = [path for path in found if _NAME.fullmatch(path.name)]
    return sorted(found, key=epoch_and_step, reverse=True)


def epoch_and_step(path: Path) -> tuple[int, int]:
    """Epoch and step in a checkpoint's name; step 0 at the end of an epoch."""
    name = _NAME.fullmatch(path.name)
    return int(name[1] or 0), int(name[2] or 0)


def read_checkpoint(path: str | os.PathLike) -> dict:
    """Read a checkpoint onto the CPU, without executing anything in it.

    Args:
        path: A file by ``torch.save``, or a ``.safetensors`` file, which becomes
            ``dict(state_dict=..., meta=...)``; JSON in its metadata is decoded.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is damaged, not a checkpoint, or contains more than tensors
            and plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no checkpoint {path}')
    try:
        if path.suffix == '.safetensors':
            with safetensors.safe_open(path, 'pt', device='cpu') as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                meta = file.metadata() or {}
            for key, text in meta.items():
                with suppress(ValueError, RecursionError):
                    meta[key] = json.loads(text)
            return dict(state_dict=tensors, meta=meta)
        checkpoint = _unpickle(path)
    except Exception as error:  # damaged files fail in many ways
        refused = _REFUSED.search(str(error))
        if isinstance(error, UnpicklingError) and refused:
            hint = '' if _TAKES_GLOBALS else _NEEDS_NEWER
            raise ValueError(
                f'{path} was refused for safety: it uses {refused[1]}, and only '
                'tensors and plain data are read, so that no code in a file is run. '
                f'If you trust its origin, save its state dict alone{hint}'
            ) from error
        raise ValueError(f'{path} {_what_is_wrong(path, error)}') from error
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f'{path} contains a {type(checkpoint).__name__} instead of a state dict'
        )
    return checkpoint


def _unpickle(path: Path) -> object:
    """The content of a file by ``torch.save``.

    Before PyTorch 2.6, it may contain only tensors, and Python's numbers, strings and
    collections.
    """
    if _TAKES_GLOBALS:
        known = torch.serialization.safe_globals(_safe_globals())
    elif tarfile.is_tarfile(path):  # could run code (CVE-2025-32434)
        raise UnpicklingError('it is a tar archive, the first format of PyTorch')
    else:
        known = nullcontext()
    with known:
        return torch.load(path, map_location='cpu', weights_only=True)


def _what_is_wrong(path: Path, error: Exception) -> str:
    """Why a file cannot be read as a checkpoint."""
    with open(path, 'rb') as file:
        head = file.read(10)
    if path.suffix == '.safetensors' and head.startswith(b'PK'):
        return 'was written by torch.save: rename it to end in .pth'
    if path.suffix != '.safetensors' and head[8:] == b'{"':
        return 'is a safetensors file: rename it to end in .safetensors'
    # torch puts advice on unsafe loading before the reason
    text = str(error).split('WeightsUnpickler error: ')[-1].strip()
    reason = (text or type(error).__name__).splitlines()[0][:200]
    size = path.stat().st_size
    return f'({size} bytes) is damaged, incomplete or not a checkpoint: {reason}'


def state_dict_of(checkpoint: Mapping) -> OrderedDict[str, Tensor]:
    """The tensors of a checkpoint: under ``state_dict``, under ``model``, or bare.

    If there is an exponential moving average as well (``state_dict_ema``,
    ``model_ema``), it is used, and the choice is logged. The prefixes ``module.`` of
    data-parallel wrappers and ``_orig_mod.`` of compiled modules are removed.

    Raises:
        ValueError: If there are no tensors, or a tensor is not dense.
    """
    places = [place for place in _PLACES if holds_tensors(checkpoint.get(place))]
    if len(places) > 1:
        others = ', '.join(map(repr, places[1:]))
        text = f'using the weights in {places[0]!r}, not in {others}'
        if places == ['state_dict', 'ema_state_dict']:
            text += " (EMAHook saves the average as 'state_dict', and swaps them when "
            text += 'it resumes)'
        print_log(text, 'current', WARNING)
    if places:
        checkpoint = checkpoint[places[0]]
    state_dict = OrderedDict(
        (_WRAPPERS.sub('', name), tensor)
        for name, tensor in checkpoint.items()
        if isinstance(name, str) and isinstance(tensor, Tensor)
    )
    if not state_dict:
        found = ', '.join(repr(key) for key in list(checkpoint)[:8]) or 'nothing'
        raise ValueError(
            f'contains {found} instead of a state dict (a dict of tensors); convert '
            'weights of other projects with tools/convert_checkpoint.py first'
        )
    for name, tensor in state_dict.items():
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
            raise ValueError(f'has {name}, which is not a dense tensor')
    metadata = getattr(checkpoint, '_metadata', None)
    state_dict._metadata = OrderedDict(
        (_WRAPPERS.sub('', name), known)
        for name, known in (metadata.items() if isinstance(metadata, Mapping) else ())
        if isinstance(name, str) and isinstance(known, Mapping)
    )
    return state_dict


def holds_tensors(part: object) -> bool:
    return isinstance(part, Mapping) and any(
        isinstance(each, Tensor) for each in part.values()
    )


@contextmanager
def open_checkpoint(path: str | os.PathLike) -> Iterator[tuple[Path, dict]]:
    """Yield the file that ``path`` names, and its content; see the functions above.

    Messages of ValueErrors raised inside begin with the file.
    """
    file = resolve_checkpoint(path)
    checkpoint = read_checkpoint(file)
    try:
        yield file, checkpoint
    except ValueError as error:
        raise ValueError(f'{file}: {error}') from error


def write_checkpoint(
    path: str | os.PathLike, state_dict: Mapping[str, Tensor], meta: dict
) -> None:
    """Write weights and plain ``meta`` atomically, as ``.pth`` or ``.safetensors``."""
    with atomic_write(path) as partial:
        if Path(path).suffix == '.safetensors':
            tensors = {
                k: v.detach().clone().contiguous() for k, v in state_dict.items()
            }
            metadata = {key: json.dumps(value) for key, value in meta.items()}
            content = safetensors.torch.save(tensors, dict(metadata, format='pt'))
            partial.write_bytes(content)  # save_file limits access
        else:
            torch.save(dict(state_dict=state_dict, meta=meta), partial)
