"""CUHK-PEDES and ICFG-PEDES: people with sentences about them.

Layouts: https://github.com/ShuangLI59/Person-Search-with-Natural-Language-Description
and https://github.com/zifyloo/SSAN
"""

import json
from typing import ClassVar

import numpy as np

from ..captions import Describer
from .writer import FormatWriter

IMAGES = 4  # of a person
PLACES = ('cam_a', 'cam_b', 'CUHK01', 'CUHK03', 'Market', 'test_query')  # by camera
CAPTION = 6  # stream of random numbers


class Captioned(FormatWriter):
    """Four images of each person, and a list of images with captions."""

    usual_size = (256, 128)
    file: ClassVar[str]
    first_id: ClassVar[int]
    details: ClassVar[tuple[float, ...]]  # share of them in each caption of an image

    def draw(self, split: str, number: int) -> dict:
        identity, index = divmod(number, IMAGES)
        portrait = self.portrait(split, identity, index)
        seed = self.seed_of(split), identity, index, CAPTION
        describer = Describer(portrait.people[0], np.random.default_rng(seed))
        person = self.first_id + self.before(split, IMAGES) + identity
        path = self.path(split, person, index, portrait.camera)
        self.save_image(f'imgs/{path}', portrait.image)
        captions = [describer.caption(share) for share in self.details]
        return dict(split=split, captions=captions, file_path=path, id=person)

    def path(self, split: str, person: int, index: int, camera: int) -> str:
        """Path of an image below ``imgs``."""
        raise NotImplementedError

    def annotate(self, records: dict[str, list]) -> None:
        entries = [entry for chosen in records.values() for entry in chosen]
        self.save_text(self.file, json.dumps(entries, indent=1) + '\n')


class CuhkPedes(Captioned):
    """Two captions of each image; people are numbered from 1."""

    name = 'cuhk-pedes'
    splits = ('train', 'val', 'test')
    file = 'reid_raw.json'
    first_id = 1
    details = (0.6, 0.6)

    def path(self, split: str, person: int, index: int, camera: int) -> str:
        return f'{PLACES[camera]}/{person:04}_{index}.jpg'


class IcfgPedes(Captioned):
    """One longer caption of each image, no validation; people are numbered from 0."""

    name = 'icfg-pedes'
    splits = ('train', 'test')
    file = 'ICFG-PEDES.json'
    first_id = 0
    details = (0.9,)

    def path(self, split: str, person: int, index: int, camera: int) -> str:
        return f'{split}/{person:04}/{person:04}_{index:03}_{camera + 1:02}.jpg'
