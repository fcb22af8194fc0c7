"""Replacement of unusable images, which are listed in a file."""

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from logging import ERROR
from pathlib import Path
from typing import TypeVar

import numpy as np
from mmengine.logging import print_log

from ..files import wait_for_lock
from .images import ImageError

T = TypeVar('T')
MAX_IN_ROW = 30  # failures in a row that cast suspicion on the storage


class TooManyBadImages(RuntimeError):
    """Raised when more images are unusable than the configuration tolerates."""


class Quarantine:
    """Replaces unusable images and lists each of them once in a file.

    The file has one JSON object per line, with ``index`` and ``reason``. All workers
    and processes share it.

    Args:
        path: The file. Images that it already lists count.
        total: Number of images in the data set.
        max_share: Tolerated share of bad images.
        max_few: Number of bad images that is always tolerated, up to half of all.
    """

    def __init__(
        self, path: str | os.PathLike, total: int, max_share: float, max_few: int = 0
    ) -> None:
        self.path = Path(path)
        self.total = total
        self.max_bad = max(int(max_share * total), min(max_few, total // 2))
        self.known: set[int] = set()
        self._read = 0  # bytes of the file

    def load(self, index: int, load: Callable[[int], T], key: tuple[int, ...]) -> T:
        """Return what ``load`` returns for an image, or for its replacement.

        ``load`` raises ImageError for bad images; key and index determine what replaces
        them. Bad images are listed once a replacement has been read: an outage of the
        storage, during which nothing can be read, lists none. Raises TooManyBadImages
        if more images are bad than tolerated, or ``MAX_IN_ROW`` in a row.
        """
        bad, rng = [], None
        while True:
            try:
                loaded = load(index)
                break
            except ImageError as error:
                bad.append((index, str(error)))
            if len(bad) == MAX_IN_ROW:
                raise TooManyBadImages(
                    f'{len(bad)} images in a row cannot be used, the last one: '
                    f'{bad[-1][1]}. If the storage fails, rerun with --resume once it '
                    'works again: none of them was listed as bad. Otherwise, '
                    'tools/check_data.py lists the bad images'
                )
            rng = rng or np.random.default_rng((*key, index))
            index = int(rng.integers(self.total))
        for each in bad:
            self.add(*each)
        return loaded

    def add(self, index: int, reason: str) -> None:
        """List an image; raises TooManyBadImages if the list becomes too long."""
        if index in self.known:
            return
        try:
            self._list(index, reason)
        except OSError as error:  # such as a full disk
            print_log(f'{self.path}: {error}; not listed: {reason}', 'current', ERROR)
            self.known.add(index)
        if len(self.known) > self.max_bad:
            raise TooManyBadImages(
                f'{len(self.known)} of {self.total} images cannot be used, and at most '
                f'{self.max_bad} may be bad. {self.path} lists them with the reasons; '
                f'the last one: {reason}. Repair them, delete that file and continue '
                'with --resume, or raise default_hooks.quarantine.max_share'
            )

    def _list(self, index: int, reason: str) -> None:
        """Read what other processes have listed, and append an image."""
        with open(self.path, 'ab+') as file:
            wait_for_lock(file)  # without locks, an image may be listed twice
            file.seek(self._read)
            lines = file.readlines()
            self.known |= _indices(lines)
            if index not in self.known:
                truncated = bool(lines) and not lines[-1].endswith(b'\n')
                line = json.dumps(dict(index=index, reason=reason)).encode()
                file.write((b'\n' if truncated else b'') + line + b'\n')
                self.known.add(index)
            self._read += sum(len(line) for line in lines if line.endswith(b'\n'))

    def count(self) -> int:
        """Return the number of listed images."""
        if not self.path.exists():
            return 0
        with open(self.path, 'rb') as file:
            return len(_indices(file))


def _indices(lines: Iterable[bytes]) -> set[int]:
    """Return the listed images; lines truncated by a crash do not count."""
    indices = set()
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            indices.add(json.loads(line)['index'])
    return indices
