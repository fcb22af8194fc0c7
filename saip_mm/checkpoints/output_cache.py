"""A disk cache of a frozen model's outputs, by the content of the images."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from logging import WARNING
from pathlib import Path
from zlib import crc32

import torch
from mmengine.logging import MessageHub, print_log
from safetensors.torch import load, save
from torch import Tensor
from torch.utils.data import default_collate

Outputs = dict[str, Tensor]


class OutputCache:
    """Remembers tensors by the pixels that they were computed from, without a limit.

    They are kept in an SQLite database. The outputs that a batch lacks are stored in
    one transaction, completely or, after a kill, not at all (they are then computed
    again from the same images), and stored values are returned: so resumed runs are
    exact, although rounding depends on the batch size. Damaged entries are computed
    again, with a warning. If the file fails later (on a full disk), a warning says so,
    and whatever is not found is computed. The first batch of each epoch logs the file's
    size, and how many images were found.

    Args:
        folder: Folder of the file; several processes need a file system with locks.
        model: What the outputs depend on besides the images; each has its own file.

    Raises:
        OSError: If the file cannot be opened; names it.
    """

    def __init__(self, folder: str | os.PathLike, model: str) -> None:
        name = blake2b(model.encode(), digest_size=8).hexdigest()
        self.path = Path(folder, f'{name}.sqlite').expanduser()
        self.readable = self.writable = True
        self.epoch: int | None = None
        columns = 'key BLOB PRIMARY KEY, crc INTEGER, value BLOB'
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as file:
                file.execute(f'CREATE TABLE IF NOT EXISTS outputs ({columns})')
        except (OSError, sqlite3.Error) as error:
            if not _is_busy(error):
                raise OSError(
                    f'{self.path} cannot be used as a cache ({error}): delete it, or '
                    'choose another folder'
                ) from error

    def __call__(
        self, images: Tensor, compute: Callable[[Tensor], Outputs], kind: str
    ) -> Outputs:
        """Return the outputs for images; what is missing is computed in one pass.

        Args:
            images: [B, 3, H, W], 0–255, whole numbers up to rounding.
            compute: Maps images [N, 3, H, W] to tensors [N, …].
            kind: What to compute, if there is a choice.

        Returns:
            Tensors [B, …] as computed, also in their dtype.
        """
        levels = images.round().clamp(0, 255).to('cpu', torch.uint8).contiguous()
        salt = f'{kind} {tuple(images.shape[1:])}'.encode()
        keys = [
            blake2b(salt + image.numpy().tobytes(), digest_size=16).digest()
            for image in levels
        ]
        known = self._read(keys) if self.readable else {}
        self._log(sum(key in known for key in keys), len(keys))
        numbers = {key: i for i, key in enumerate(keys) if key not in known}
        if numbers:
            computed = compute(images[list(numbers.values())])
            rows = zip(*(x.cpu().contiguous() for x in computed.values()), strict=True)
            rows = [dict(zip(computed, row, strict=True)) for row in rows]
            new = dict(zip(numbers, rows, strict=True))
            if self.writable:
                self._write(new)
                new |= self._read(list(numbers))  # another process may have been first
            known |= new
        outputs = default_collate([known[key] for key in keys])
        return {name: each.to(images.device) for name, each in outputs.items()}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # Not kept open: connections survive neither forks nor copies.
        with closing(sqlite3.connect(self.path, timeout=60)) as file, file:
            yield file

    def _read(self, keys: list[bytes]) -> dict[bytes, Outputs]:
        found, sql = {}, 'SELECT crc, value FROM outputs WHERE key = ?'
        try:
            with self._open() as file:
                for key in keys:
                    crc, value = file.execute(sql, [key]).fetchone() or (None, b'')
                    if crc == crc32(value):
                        found[key] = load(value)
                    elif crc is not None:
                        self._warn('an entry is damaged, and is computed again')
                        file.execute('DELETE FROM outputs WHERE key = ?', [key])
        except sqlite3.Error as error:
            if not _is_busy(error):
                self.readable = self.writable = False
                self._warn(f'{error}: not used any more; delete it')
        return found

    def _write(self, new: dict[bytes, Outputs]) -> None:
        values = {key: save(outputs) for key, outputs in new.items()}
        rows = [(key, crc32(value), value) for key, value in values.items()]
        try:
            with self._open() as file:
                file.executemany('INSERT OR IGNORE INTO outputs VALUES (?, ?, ?)', rows)
        except sqlite3.Error as error:
            if not _is_busy(error):
                self.writable = False
                self._warn(f'{error}: nothing more is stored')

    def _log(self, found: int, images: int) -> None:
        epoch = MessageHub.get_current_instance().get_info('epoch', 0)
        if epoch != self.epoch and self.readable:
            self.epoch = epoch
            size = self.path.stat().st_size / 2**30
            print_log(
                f'{self.path} ({size:.2f} GiB): found {found} of the first {images} '
                f'views of epoch {epoch + 1}',
                'current',
            )

    def _warn(self, text: str) -> None:
        print_log(f'{self.path}: {text}', 'current', WARNING)


def _is_busy(error: Exception) -> bool:
    """Whether others write for longer than the timeout; the next batch may succeed."""
    return isinstance(error, sqlite3.OperationalError) and 'locked' in str(error)
