"""Search for image files in folders."""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence

from mmengine.logging import print_log
from PIL import Image

# Formats that Pillow registers but that do not hold photographs: documents, icons,
# textures, and formats that it cannot decode.
NO_PHOTOGRAPHS = {
    *('EPS', 'PDF', 'WMF', 'BUFR', 'FITS', 'GRIB', 'HDF5', 'IPTC', 'MPEG', 'PALM'),
    *('BLP', 'CUR', 'DDS', 'FLI', 'FTEX', 'GBR', 'ICNS', 'ICO', 'MSP', 'XBM', 'XPM'),
}
HEIF = {'.heic', '.heif', '.hif'}


def find_images(folder: str) -> list[str]:
    """List the images in a folder and its subfolders, except hidden ones.

    Images are files with the extension of a photograph that Pillow and its plugins can
    read: HEIC after ``pillow_heif.register_heif_opener()``, for example. The log counts
    other files. Links are followed; a folder that is reached twice is listed once.
    Subfolders without permission, such as ``lost+found``, are left out with a warning.

    Returns:
        Paths relative to the folder, in a fixed order.

    Raises:
        OSError: The folder does not exist, has no images, or cannot be listed.
    """
    if not os.path.isdir(folder):
        raise NotADirectoryError(f'{folder}: no such folder of images')
    registered = Image.registered_extensions().items()  # loads Pillow's plugins first
    readable = {*Image.OPEN, 'MPO'} - NO_PHOTOGRAPHS  # what opens JPEG opens MPO
    extensions = {name for name, kind in registered if kind in readable}
    os.scandir(folder).close()  # the folder itself has to be readable
    images, others, seen = [], Counter(), set()
    for path, folders, files in os.walk(folder, onerror=_left_out, followlinks=True):
        if (real := os.path.realpath(path)) in seen:
            folders.clear()  # a link to a parent folder would never end
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name[0] != '.')
        below = os.path.relpath(path, folder) + os.sep if path != folder else ''
        if below[:1] == '~':  # not the home folder
            below = os.path.join(os.curdir, below)
        for name in sorted(name for name in files if name[0] != '.'):
            extension = os.path.splitext(name)[1].lower()
            if extension in extensions:
                images.append(below + name)
            else:
                others[extension] += 1
    if not images:
        raise FileNotFoundError(
            f'{folder}: no images in this folder or its subfolders; looked for '
            f'{" ".join(sorted(extensions))}, and found {_count(others)}'
        )
    if others:
        level = logging.WARNING if HEIF & others.keys() else logging.INFO
        _log(f'{folder}: {len(images)} images; ignored {_count(others)}', level)
    return images


def _count(others: Counter) -> str:
    kinds = [f'{n} {kind or "without extension"}' for kind, n in others.most_common()]
    hint = '; to read HEIC, Pillow needs pillow-heif' if HEIF & others.keys() else ''
    hint += "; shards need type='ShardedImages'" if '.bin' in others else ''
    listed = f' ({some(kinds)}{hint})' if others else ''
    return f'{others.total()} other files{listed}'


def _left_out(error: OSError) -> None:
    if not isinstance(error, PermissionError):  # a failure of the storage, for example
        raise error
    _log(
        f'{error.filename}: left out, because it cannot be listed ({error.strerror}); '
        'make the folder readable if it has images',
        logging.WARNING,
    )


def _log(line: str, level: int) -> None:
    # Names need not be UTF-8, but a log must be.
    line = line.encode(errors='backslashreplace').decode()
    print_log(line, logger='current', level=level)


def require_files(
    source: object,
    folder: str,
    names: Sequence[str],
    remedy: str,
    lines: Sequence[int] = (),
) -> None:
    """Raise FileNotFoundError unless all files in a folder (or ``''``) exist.

    The message states the ``source`` of the names, their line numbers there, if given,
    and the ``remedy``.
    """
    if missing := find_missing(folder, names):
        named = [names[i] + (f' (line {lines[i]})' if lines else '') for i in missing]
        where = f'in {folder}' if folder else 'there'
        raise FileNotFoundError(
            f'{source}: {len(missing)} of {len(names)} files are not {where}: '
            f'{some(named, 5)}; {remedy}'
        )


def some(names: Sequence[str], most: int = 8) -> str:
    """The first names, separated by commas, and '…' for the others."""
    return ', '.join(names[:most]) + (', …' if len(names) > most else '')


def find_missing(folder: str, names: Iterable[str]) -> list[int]:
    """Return the positions of files that do not exist.

    Each folder is listed once, which is much faster than checking each file.
    """
    listed, missing = {}, []
    for position, path in enumerate(names):
        end = path.rfind('/') + 1  # os.path.split is three times slower
        below, name = path[:end], path[end:]
        if below not in listed:
            try:
                listed[below] = set(os.listdir(path_of(folder, below) or '.'))
            except (OSError, ValueError):  # ValueError: bytes that no name has
                listed[below] = set()
        if name not in listed[below]:
            missing.append(position)
    return missing


def path_of(folder: str, name: str) -> str:
    """Return the path of a file that is absolute, below ``~``, or in a folder."""
    return os.path.join(folder, os.path.expanduser(name))
