"""Tensors of TorchScript archives, without running what is in them."""

import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, as OpenAI's CLIP models are."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith('/constants.pkl') for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Parameters and buffers of the module in an archive, by name.

    ``torch.jit.load`` would run code in the file. This only unpickles attributes, and
    replaces every class and function except tensors by an empty object.

    Raises:
        ValueError: If the archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return dict(_tensors(_Unpickler(archive).load()))
    except Exception as error:  # damaged files raise many kinds of errors
        raise ValueError(f'{path} is damaged or incomplete: {error}') from error


class _Object:
    """Stands for a module, or for anything else that is of no use here."""

    def __new__(cls, *_: Any) -> '_Object':
        return super().__new__(cls)


class _Unpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile) -> None:
        (name,) = (n for n in archive.namelist() if n.endswith('/data.pkl'))
        super().__init__(archive.open(name))
        self.archive, self.folder = archive, name.removesuffix('.pkl')

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return lambda flat, start, size, step, *_: flat.as_strided(
                size, step, start
            )
        kind = getattr(getattr(torch, name, None), 'dtype', None)
        return kind if isinstance(kind, torch.dtype) else _Object

    def persistent_load(self, identifier: tuple) -> Tensor:
        _, dtype, key, *_ = identifier
        content = bytearray(self.archive.read(f'{self.folder}/{key}'))
        return torch.frombuffer(content, dtype=dtype) if content else torch.empty(0)


def _tensors(module: _Object, prefix: str = '') -> Iterator[tuple[str, Tensor]]:
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _Object):
            yield from _tensors(value, f'{prefix}{name}.')
