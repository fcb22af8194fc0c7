"""Base class and checks of labeled data sets."""

import os
from collections.abc import Iterator, Sequence

from mmpretrain.datasets import BaseDataset

from ..data.folders import some
from ..files import read_text

REMEDY = 'unpack the data set again, or remove their entries'  # of missing images


class SplitDataset(BaseDataset):
    """One split of a data set in the layout of its authors.

    Args:
        data_root: Folder of the data set.
        split: One of ``SPLITS``; the first by default.
        **kwargs: Arguments of MMPretrain's ``BaseDataset``, such as ``pipeline``.

    Raises:
        OSError: If files or folders are missing.
        ValueError: If the split, a file name, or a line is invalid.
    """

    SPLITS: Sequence[str]

    def __init__(self, data_root: str, split: str | None = None, **kwargs) -> None:
        self.split = split or next(iter(self.SPLITS))
        if self.split not in self.SPLITS:
            raise ValueError(
                f'{type(self).__name__}: split={split!r} is not one of '
                f'{", ".join(self.SPLITS)}'
            )
        super().__init__(ann_file='', data_root=data_root, **kwargs)


def require_file(path: str, remedy: str) -> str:
    """Return the path; raise FileNotFoundError with a remedy if no file is there."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: no such file; {remedy}')
    return path


def numbered_lines(path: str) -> Iterator[tuple[str, str]]:
    """Yield 'path:number' and the stripped text of each non-empty line of a file."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            yield f'{path}:{number}', line.strip()


def check_layout(folder: str, needed: Sequence[str], name: str) -> None:
    """Raise FileNotFoundError unless ``folder`` contains all that is ``needed``."""
    found = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    if missing := [entry for entry in needed if entry not in found]:
        raise FileNotFoundError(
            f'{folder}: does not have the layout of {name}: {", ".join(missing)} not '
            f'found; it contains {some(found) or "nothing"}. Set data_root to the '
            f'folder with {", ".join(needed)}'
        )
