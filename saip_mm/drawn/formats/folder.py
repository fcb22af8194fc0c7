"""A data set on the disk that grows picture by picture, annotations last."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from PIL import Image

from ...files import whole_file, write_text
from ..scene import SMALLEST

SETTINGS = 'synthetic.json'
SPLITS = ('train', 'val', 'test')


class Shot(NamedTuple):
    """A picture to draw."""

    split: str
    number: int  # in its split, from 0


class FormatWriter(ABC):
    """Draws people and writes them as the owner of a data set lays them out.

    First ``begin``; then ``write`` for every one of ``shots``; then ``finish`` with all
    that ``write`` returned, which writes the annotations. Done again after an
    interruption, what is on the disk is kept.

    Args:
        out: Folder that the data set goes to.
        num: Number of training images. A quarter as many, at least one, are for
            validation and for testing each.
        seed: Of all pictures, not negative.
        size: (h, w) of the images in pixels; None is the format's usual size.

    Raises:
        ValueError: If a number is out of its range or the size too small.
    """

    name: ClassVar[str]
    usual_size: ClassVar[tuple[int, int]]
    splits: ClassVar[Sequence[str]] = ('train', 'val')

    def __init__(
        self, out: str | os.PathLike, num: int, seed: int, size: Sequence | None = None
    ):
        self.out, self.num, self.seed = Path(out), num, seed
        self.size = tuple(size or self.usual_size)
        if num < 1:
            raise ValueError(f'num is {num}; give 1 or more')
        if seed < 0:
            raise ValueError(f'seed is {seed}; give 0 or more')
        if min(self.size) < SMALLEST:
            raise ValueError(
                f'size is {self.size}; give (h, w) in pixels, at least {SMALLEST} each'
            )
        quarter = max(num // 4, 1)
        self.counts = dict(train=num, val=quarter, test=quarter)

    def shots(self) -> list[Shot]:
        """All pictures, in the order in which they are written."""
        return [Shot(s, i) for s in self.splits for i in range(self.counts[s])]

    @abstractmethod
    def write(self, shot: Shot) -> Any:
        """Draw a picture, write it, and return what ``finish`` needs of it."""

    @abstractmethod
    def finish(self, records: Sequence) -> None:
        """Write the annotations; records[i] is of shots()[i]."""

    def begin(self) -> None:
        """Make the folder, or find it as an interrupted run has left it.

        Raises:
            ValueError: If the folder holds anything else.
        """
        settings = dict(format=self.name, num=self.num, seed=self.seed)
        text = json.dumps(settings | dict(size=self.size)) + '\n'
        path = self.out / SETTINGS
        if path.is_file():
            if path.read_text() != text:
                raise ValueError(
                    f'{self.out}: holds a data set of other settings (see {path}); '
                    'give another folder'
                )
        elif self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise ValueError(
                f'{self.out}: is not an empty folder; give another one, or empty it'
            )
        else:
            write_text(path, text)
        for partial in self.out.rglob('.*.partial'):  # of a run that was killed
            partial.unlink()

    def by_split(self, records: Sequence) -> dict[str, list]:
        """The records of each split; records[i] is of shots()[i]."""
        chosen = {split: [] for split in self.splits}
        for shot, record in zip(self.shots(), records, strict=True):
            chosen[shot.split].append(record)
        return chosen

    def seed_of(self, split: str) -> int:
        """Seed of a split's pictures: every split has people and places of its own."""
        return len(SPLITS) * self.seed + SPLITS.index(split)

    def save_image(self, path: str, image: np.ndarray) -> None:
        """Write an image (uint8, [h, w, 3] or [h, w]) below the folder once."""
        path = self.out / path
        if path.exists():
            return
        options = dict(format='PNG')
        if path.suffix == '.jpg':
            options = dict(format='JPEG', quality=95, subsampling=0)
        with whole_file(path) as partial:
            Image.fromarray(image).save(partial, **options)

    def save_json(self, path: str, content: dict | list) -> None:
        """Write a JSON file below the folder."""
        write_text(self.out / path, json.dumps(content))

    def save_lines(self, path: str, lines: Iterable[str]) -> None:
        """Write a text file below the folder."""
        write_text(self.out / path, ''.join(f'{line}\n' for line in lines))


def as_xywh(box: np.ndarray) -> list[float]:
    """A box x1, y1, x2, y2 as x, y, width and height."""
    x1, y1, x2, y2 = box.tolist()
    return [x1, y1, x2 - x1, y2 - y1]
