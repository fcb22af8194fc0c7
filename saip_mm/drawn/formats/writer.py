"""Base of the writers: files are written image by image, annotations last."""

import json
import os
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from rich.progress import track

from ...files import atomic_write, write_text
from ...processes import worker_pool
from ..scene import Drawing, check, check_numbers, draw_person, draw_scene

SETTINGS = 'synthetic.json'
SPLITS = ('train', 'val', 'test')


class FormatWriter(ABC):
    """Writer of drawn people in the layout of a data set.

    Args:
        out: Folder of the data set.
        num: Number of training images. Validation and test have a quarter as many each,
            at least one.
        seed: Seed of all images, not negative.
        size: (h, w) of the images in pixels; None for the usual size of the format.

    Raises:
        ValueError: If a number is out of range or the size too small.
    """

    name: ClassVar[str]
    usual_size: ClassVar[tuple[int, int]]
    splits: ClassVar[Sequence[str]] = ('train', 'val')
    crowd: ClassVar[tuple[int, int]]  # most and fewest people of a scene

    def __init__(
        self, out: str | os.PathLike, num: int, seed: int, size: Sequence | None = None
    ):
        self.out, self.num, self.seed = Path(out), num, seed
        self.size = tuple(size or self.usual_size)
        check_numbers(1, num=num)
        check(self.size, seed=seed)
        self.counts = dict.fromkeys(self.splits, max(num // 4, 1)) | dict(train=num)

    def write(self, processes: int = 1) -> int:
        """Write the data set and return its number of images.

        Images of an interrupted run are kept. The processes draw different images.

        Raises:
            ValueError: If the folder contains anything else.
        """
        self._begin()
        images = [(split, i) for split, n in self.counts.items() for i in range(n)]
        records = {split: [] for split in self.counts}
        with worker_pool(processes) as pool:
            drawn = pool.map(self.draw, *zip(*images, strict=True), chunksize=8)
            drawn = track(drawn, 'Images', len(images))
            for (split, _), record in zip(images, drawn, strict=True):
                records[split].append(record)
        self.annotate(records)
        return len(images)

    @abstractmethod
    def draw(self, split: str, number: int) -> Any:
        """Draw and save an image; return what ``annotate`` needs of it.

        By default, these are lines of text files: a dict of path: line.
        """

    def annotate(self, records: dict[str, list]) -> None:
        """Write the annotations; records: results of ``draw`` by split."""
        files = defaultdict(list)
        for lines in chain(*records.values()):
            for path, line in lines.items():
                files[path].append(line)
        for path, lines in files.items():
            self.save_text(path, ''.join(f'{line}\n' for line in lines))

    def _begin(self) -> None:
        settings = dict(format=self.name, num=self.num, seed=self.seed, size=self.size)
        text = json.dumps(settings) + '\n'
        path = self.out / SETTINGS
        if path.is_file():
            if path.read_text() != text:
                raise ValueError(
                    f'{self.out}: holds a data set of other settings (see {path}); '
                    'give another folder'
                )
        elif self.out.exists() and (
            not self.out.is_dir()
            or any(not each.match('.*.partial') for each in self.out.iterdir())
        ):
            raise ValueError(
                f'{self.out}: is not an empty folder; give another one, or empty it'
            )
        else:
            write_text(path, text)
        for partial in self.out.rglob('.*.partial'):  # of a run that was killed
            partial.unlink()

    def seed_of(self, split: str) -> int:
        """Return the seed of a split: splits share no people and no places."""
        return len(SPLITS) * self.seed + SPLITS.index(split)

    def before(self, split: str, images: int = 1) -> int:
        """Return how many people, of so many images each, earlier splits have."""
        earlier = self.splits[: self.splits.index(split)]
        return sum(-(-self.counts[each] // images) for each in earlier)

    def portrait(self, split: str, identity: int, index: int = 0) -> Drawing:
        """Draw and label a person."""
        seed = self.seed_of(split)
        return draw_person(seed, identity, index, self.size, labeled=True)

    def scene(self, split: str, number: int) -> Drawing:
        """Draw and label a crowd."""
        seed = self.seed_of(split)
        return draw_scene(seed, number, self.size, *self.crowd, labeled=True)

    def save_image(self, path: str, image: np.ndarray) -> None:
        """Save an image, uint8 [h, w, 3] or [h, w], unless it exists."""
        path = self.out / path
        if path.exists():
            return
        options = dict(format='PNG')
        if path.suffix == '.jpg':
            options = dict(format='JPEG', quality=95, subsampling=0)
        with atomic_write(path) as partial:
            Image.fromarray(image).save(partial, **options)

    def save_text(self, path: str, text: str) -> None:
        """Save a text file below the folder."""
        write_text(self.out / path, text)


def as_xywh(box: np.ndarray) -> list[float]:
    """Return a box x1, y1, x2, y2 as x, y, width and height."""
    x1, y1, x2, y2 = box.tolist()
    return [x1, y1, x2 - x1, y2 - y1]
