"""Replacing images that cannot be used, and listing them."""

import fcntl
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from logging import ERROR
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from .images import ImageError


class TooManyBadImages(RuntimeError):
    """More images cannot be used than a training may skip."""


class Quarantine:
    """Replaces images that cannot be used, and lists them in a file.

    The file has a line of JSON per image, ``index`` and ``reason``, and can be read at
    any time. Workers and processes share it: each image is in it once.

    Args:
        path: The file; what is in it already counts.
        total: Images of the data set.
        max_share: Share of them that may be bad.
        max_few: Number of them that may be bad in any case, up to half of them.
    """

    def __init__(
        self, path: str | os.PathLike, total: int, max_share: float, max_few: int = 0
    ) -> None:
        self.path = Path(path)
        self.total = total
        self.most = max(int(max_share * total), min(max_few, total // 2))
        self.known: set[int] = set()
        self._read = 0  # bytes of the file

    def load(
        self, index: int, load: Callable[[int], np.ndarray], key: tuple[int, ...]
    ) -> np.ndarray:
        """An image, uint8 ``[H, W, 3]``, or the one that replaces it.

        Args:
            index: Which image.
            load: Reads an image by index, or raises ImageError.
            key: Numbers that determine the replacement, which is therefore the same in
                any worker, on any process and after a resume.

        Raises:
            TooManyBadImages: If more images are bad than may be.
        """
        rng = None
        while True:
            try:
                return load(index)
            except ImageError as error:
                self.add(index, str(error))
            rng = rng or np.random.default_rng((*key, index))
            index = int(rng.integers(self.total))

    def add(self, index: int, reason: str) -> None:
        """List an image, unless it is listed; raise TooManyBadImages if these are."""
        if index in self.known:
            return
        try:
            self._list(index, reason)
        except OSError as error:  # on a full disk, say
            print_log(f'{self.path}: {error}; not listed: {reason}', 'current', ERROR)
            self.known.add(index)
        if len(self.known) > self.most:
            raise TooManyBadImages(
                f'{len(self.known)} of {self.total} images cannot be used, and at most '
                f'{self.most} may be bad. {self.path} lists them with the reasons; the '
                f'last one: {reason}. Repair them, delete that file and continue with '
                '--resume, or raise default_hooks.quarantine.max_share'
            )

    def _list(self, index: int, reason: str) -> None:
        """Read what others have listed, and add an image to it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, 'ab+') as file:
            # Without locks, as some file systems are, an image may be listed twice.
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(self._read)
            lines = file.readlines()
            self.known |= _indices(lines)
            if index not in self.known:
                cut_off = bool(lines) and not lines[-1].endswith(b'\n')
                line = json.dumps(dict(index=index, reason=reason)).encode()
                file.write((b'\n' if cut_off else b'') + line + b'\n')
                file.flush()
                self.known.add(index)
            self._read += sum(len(line) for line in lines if line.endswith(b'\n'))

    def count(self) -> int:
        """How many images are listed."""
        if not self.path.exists():
            return 0
        with open(self.path, 'rb') as file:
            return len(_indices(file))


def _indices(lines: Iterable[bytes]) -> set[int]:
    """The images listed; incomplete lines, after a crash, do not count."""
    indices = set()
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            indices.add(json.loads(line)['index'])
    return indices
