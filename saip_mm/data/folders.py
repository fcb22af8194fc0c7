"""Search for image files in folders."""

import os
from collections.abc import Iterable, Sequence

from mmengine.logging import print_log

EXTENSIONS = (
    *('.avif', '.bmp', '.gif', '.heic', '.heif', '.jfif', '.jp2', '.jpe', '.jpeg'),
    *('.jpg', '.pgm', '.png', '.pnm', '.ppm', '.qoi', '.tif', '.tiff', '.webp'),
)


def find_images(folder: str) -> list[str]:
    """List the images in a folder and its subfolders, except hidden ones.

    Images are files with one of ``EXTENSIONS``. Reading HEIC takes the plugin
    pillow-heif. Links are followed; a folder that is reached twice is listed once.

    Returns:
        Paths relative to the folder, in a fixed order.

    Raises:
        OSError: The folder does not exist, has no images, or cannot be listed.
    """
    if not os.path.isdir(folder):
        raise NotADirectoryError(f'{folder}: no such folder of images')
    images, others, seen = [], 0, set()
    for path, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        if (real := os.path.realpath(path)) in seen:
            folders.clear()  # a link to a parent folder would never end
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name[0] != '.')
        below = os.path.relpath(path, folder) + os.sep if path != folder else ''
        for name in sorted(name for name in files if name[0] != '.'):
            if os.path.splitext(name)[1].lower() in EXTENSIONS:
                images.append(below + name)
            else:
                others += 1
    if not images:
        raise FileNotFoundError(
            f'{folder}: no images in this folder or its subfolders, only {others} '
            f'other files; looked for {" ".join(EXTENSIONS)}'
        )
    if others:
        # Names need not be UTF-8, but a log must be.
        line = f'{folder}: {len(images)} images; ignored {others} other files'
        print_log(line.encode(errors='backslashreplace').decode(), logger='current')
    return images


def _refuse(error: OSError) -> None:
    raise PermissionError(
        f'{error.filename}: cannot be listed ({error.strerror}); make the folder '
        'readable or remove it'
    ) from error


def require_files(
    source: object,
    folder: str,
    names: Sequence[str],
    remedy: str,
    lines: Sequence[int] = (),
) -> None:
    """Raise FileNotFoundError unless all listed files exist.

    Args:
        source: The list, for the message.
        folder: Folder of the files; ``''`` if names are complete paths.
        names: Paths below the folder.
        remedy: What to do, for the message.
        lines: Line numbers of the names in the list, if any.
    """
    if missing := find_missing(folder, names):
        first = [names[i] + (f' (line {lines[i]})' if lines else '') for i in missing]
        raise FileNotFoundError(
            f'{source}: {len(missing)} of {len(names)} files are not '
            f'{f"in {folder}" if folder else "there"}: {", ".join(first[:5])}'
            f'{", …" if len(first) > 5 else ""}; {remedy}'
        )


def find_missing(folder: str, names: Iterable[str]) -> list[int]:
    """Return the positions of files that do not exist.

    Each folder is listed once, which is much faster than checking each file.
    """
    listed = {}
    missing = []
    for position, path in enumerate(names):
        below, _, name = path.rpartition('/')  # os.path.split is three times slower
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
