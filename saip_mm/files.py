"""Reading users' text files; atomic writing; locks; digests."""

import codecs
import errno
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # on Windows, files are not locked
    fcntl = None


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file atomically: yields a temporary path, which is synced and renamed.

    Creates missing folders. After an error or a crash, the previous file remains.
    """
    path = Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        yield partial
        _sync(partial)
        os.replace(partial, path)
        _sync(path.parent)  # otherwise a power failure may lose the new name
    finally:
        partial.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike) -> None:
    """Check, before hours of work, that :func:`atomic_write` can write a file.

    Creates no file and no folder.

    Raises:
        OSError: If it cannot; names the file.
    """
    path = Path(path).expanduser().absolute()
    if path.is_dir():
        raise IsADirectoryError(f'{path}: is a folder; give a file to write')
    folder = next(each for each in path.parents if each.exists())
    try:
        partial = _partial(folder / path.name)
        partial.touch(exist_ok=False)
        partial.unlink()
    except OSError as error:
        raise OSError(
            f'{path}: cannot be written ({error.strerror}); choose another file'
        ) from error


def _partial(path: Path) -> Path:
    return path.with_name(f'.{path.name}.{secrets.token_hex(4)}.partial')


def _sync(path: Path) -> None:
    if sys.platform == 'win32':  # syncs neither folders nor files opened for reading
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot sync folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file atomically."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding='utf-8')


def lock(path: Path, busy: str) -> IO:
    """Lock a file against other processes while it is open.

    Raises:
        BlockingIOError: If another process has locked it, with the message ``busy``.
    """
    file = open(path, 'w')  # noqa: SIM115
    if fcntl is None:
        return file
    try:
        # Held by this process only: its data-loader workers may briefly outlive it.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise BlockingIOError(busy) from error
        # Otherwise the file system has no locks.
    return file


def wait_for_lock(file: IO) -> None:
    """Lock an open file against other processes, where the file system has locks."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)


def read_text(path: str | os.PathLike, errors: str = 'strict') -> str:
    """Read a user's text file, UTF-8 or UTF-16 with a byte-order mark.

    Invalid bytes raise a ValueError that names the file, unless ``errors`` says
    otherwise (see :func:`open`).
    """
    content = Path(path).read_bytes()
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = 'utf-16' if marked else 'utf-8-sig'
    try:
        return content.decode(encoding, errors)
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path}: not {encoding.removesuffix("-sig").upper()} text ({error.reason} '
            f'at byte {error.start}); save it as UTF-8'
        ) from error


def read_json(path: str | os.PathLike) -> Any:
    """Content of a user's JSON file, as :func:`read_text` reads it.

    Raises:
        ValueError: If it is not JSON; names the file.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        remedy = 'get a new copy of the file'
        if str(error).startswith('Extra data'):  # such as CrowdHuman's .odgt
            remedy = 'if it has one JSON object per line, convert it to a single one'
        raise ValueError(f'{path}: not JSON ({error}); {remedy}') from error


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file of any size, in hexadecimal digits."""
    with open(path, 'rb') as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
