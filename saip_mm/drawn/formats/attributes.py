"""PA-100K and PETA.

Layouts: https://github.com/xh-liu/HydraPlus-Net and
http://mmlab.ie.cuhk.edu.hk/projects/PETA.html, as read by
https://github.com/dangweili/pedestrian-attribute-recognition-pytorch and
https://github.com/valencebond/Rethinking_of_PAR
"""

from typing import ClassVar

import numpy as np

from ...files import atomic_write
from ..attributes import PA100K_ATTRIBUTES, PETA_ATTRIBUTES, Rule
from .writer import FormatWriter

IMAGES = 4  # of a person


class Attributes(FormatWriter):
    """Four images of each person, whose labels differ in the viewpoint only."""

    splits = ('train', 'val', 'test')
    pattern: ClassVar[str]
    rules: ClassVar[dict[str, Rule]]

    def __init__(self, out, num, seed, size=None):
        super().__init__(out, num, seed, size)
        try:
            from scipy.io import savemat
        except ImportError as error:
            raise ValueError(f'{self.name} needs scipy: pip install scipy') from error
        self.savemat = savemat

    def draw(self, split: str, number: int) -> tuple[str, int, int, list[bool]]:
        """Return name of the file, identity, camera and labels."""
        identity, index = divmod(number, IMAGES)
        portrait = self.portrait(split, identity, index)
        name = self.pattern.format(self.before(split) + number + 1)
        self.save_image(name, portrait.image)
        labels = [has(portrait.people[0]) for has in self.rules.values()]
        return name.split('/')[1], identity, portrait.camera, labels

    def save_mat(self, path: str, content: dict) -> None:
        """Save a MATLAB file below the folder."""
        with atomic_write(self.out / path) as partial:
            self.savemat(partial, content, appendmat=False)
            with open(partial, 'rb+') as file:  # without date and platform
                file.write(b'MATLAB 5.0 MAT-file'.ljust(116))


class Pa100k(Attributes):
    """Labels 0 and 1 of 26 attributes."""

    name = 'pa100k'
    usual_size = (256, 128)
    pattern = 'data/{:06}.jpg'
    rules = PA100K_ATTRIBUTES

    def annotate(self, records: dict[str, list]) -> None:
        content = dict(attributes=_column(self.rules))
        for split, chosen in records.items():
            names, *_, labels = zip(*chosen, strict=True)
            content[f'{split}_images_name'] = _column(names)
            content[f'{split}_label'] = np.array(labels, np.uint8)
        self.save_mat('annotation.mat', content)


class Peta(Attributes):
    """Labels 0 and 1 of 105 attributes, and splits between different people.

    The struct ``peta`` of PETA.mat has four fields: a matrix of 4 + 105 columns (number
    of the image, person, camera and split, then labels), the names of the attributes,
    the numbers of those that are evaluated, and five partitions, which are the same
    here: structs of columns with numbers from 1 for training, validation and test.
    zero_shot.txt contains the split, too: lines such as "00001.png train".
    """

    name = 'peta'
    usual_size = (160, 80)
    pattern = 'images/{:05}.png'
    rules = PETA_ATTRIBUTES

    def annotate(self, records: dict[str, list]) -> None:
        rows, runs, lines = [], {}, ''
        for number, (split, chosen) in enumerate(records.items(), start=1):
            first = self.before(split) + 1  # splits share no numbers
            runs[f'{split}_index'] = np.arange(first, first + len(chosen))[:, None]
            for i, (name, identity, camera, labels) in enumerate(chosen, start=first):
                lines += f'{name} {split}\n'
                rows.append([i, first + identity, camera + 1, number, *labels])
        partition = np.empty((5, 1), object)
        partition[:, 0] = [runs] * 5
        peta = dict(
            data=np.array(rows, np.float64),
            attribute=_column(self.rules),
            selected=np.arange(1.0, 36)[:, None],
            partition=partition,
        )
        self.save_text('zero_shot.txt', lines)
        self.save_mat('PETA.mat', dict(peta=peta))


def _column(strings):
    """Return a MATLAB column of cells."""
    return np.array(list(strings), object)[:, None]
