"""CUHK-PEDES and ICFG-PEDES: people with sentences about them.

Layouts: https://github.com/ShuangLI59/Person-Search-with-Natural-Language-Description
and https://github.com/zifyloo/SSAN
"""

import json
from typing import ClassVar

import numpy as np

from ..captions import describe
from .writer import FormatWriter

IMAGES = 4  # of a person
PLACES = ('cam_a', 'cam_b', 'CUHK01', 'CUHK03', 'Market', 'test_query')  # by camera
CAPTION = 6  # stream of random numbers


class Captioned(FormatWriter):
    """Four images of each person, and a list of images with captions."""

    usual_size = (256, 128)
    file: ClassVar[str]
    pattern: ClassVar[str]  # of paths below `imgs`
    first_id: ClassVar[int]
    details: ClassVar[tuple[float, ...]]  # share of them in each caption of an image

    def draw(self, split: str, number: int) -> dict:
        identity, index = divmod(number, IMAGES)
        portrait = self.portrait(split, identity, index)
        (person, *_), place = portrait.people, PLACES[portrait.camera]
        rng = np.random.default_rng((self.seed_of(split), identity, index, CAPTION))
        captions = [describe(person, share, rng) for share in self.details]
        identity += self.first_id + self.before(split, IMAGES)
        path = self.pattern.format(split=split, id=identity, n=index, place=place)
        self.save_image(f'imgs/{path}', portrait.image)
        return dict(split=split, captions=captions, file_path=path, id=identity)

    def annotate(self, records: dict[str, list]) -> None:
        self.save_text(self.file, json.dumps(sum(records.values(), []), indent=1))


class CuhkPedes(Captioned):
    """Two captions of each image; people are numbered from 1."""

    name = 'cuhk-pedes'
    splits = ('train', 'val', 'test')
    file = 'reid_raw.json'
    pattern = '{place}/{id:04}_{n}.jpg'
    first_id = 1
    details = (0.6, 0.6)


class IcfgPedes(Captioned):
    """One longer caption of each image, no validation; people are numbered from 0."""

    name = 'icfg-pedes'
    splits = ('train', 'test')
    file = 'ICFG-PEDES.json'
    pattern = '{split}/{id:04}/{id:04}_{n:03}.jpg'
    first_id = 0
    details = (0.9,)
