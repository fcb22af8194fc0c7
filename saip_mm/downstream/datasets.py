"""What data sets of photographs with labels have in common."""

import os
from collections.abc import Iterator, Sequence

from mmpretrain.datasets import BaseDataset

from ..data.folders import require_files
from ..files import read_text


class SplitDataset(BaseDataset):
    """A folder in the layout of a data set's owners, and one of its splits.

    Args:
        data_root: Folder of the data set.
        split: One of ``SPLITS``; by default the first.
        **kwargs: Arguments of MMPretrain's ``BaseDataset``, such as ``pipeline``.

    Raises:
        OSError: If files or folders are missing.
        ValueError: If a split, a name or a line is not as expected.
    """

    SPLITS: Sequence[str]

    def __init__(self, data_root: str, split: str | None = None, **kwargs) -> None:
        self.split = split or next(iter(self.SPLITS))
        if self.split not in self.SPLITS:
            raise ValueError(
                f'{type(self).__name__}: split={split!r} is none of '
                f'{", ".join(self.SPLITS)}'
            )
        super().__init__(ann_file='', data_root=data_root, **kwargs)


def numbered_lines(path: str) -> Iterator[tuple[str, str]]:
    """Stripped lines of a text file that are not empty, each after 'path:number'."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            yield f'{path}:{number}', line.strip()


def check_images(folder: str, names: Sequence[str], source: str) -> None:
    """Raise FileNotFoundError unless all images of ``source`` are in ``folder``."""
    remedy = 'unpack the data set again, or remove their entries'
    require_files(source, folder, names, remedy)


def check_layout(folder: str, needed: Sequence[str], name: str) -> None:
    """Raise FileNotFoundError, with what is there, unless all that is needed is."""
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f'{folder}: no such folder; set data_root to that of {name}, '
            f'which holds {", ".join(needed)}'
        )
    found = sorted(os.listdir(folder))
    if missing := [entry for entry in needed if entry not in found]:
        some = ', '.join(found[:8]) + (', …' if len(found) > 8 else '')
        raise FileNotFoundError(
            f'{folder} is not laid out as {name}: {", ".join(missing)} not found; it '
            f'holds {some or "nothing"}. Set data_root to the folder that holds '
            f'{", ".join(needed)}'
        )
