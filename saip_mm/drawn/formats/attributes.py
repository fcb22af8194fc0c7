"""PA-100K and PETA.

Layouts: https://github.com/xh-liu/HydraPlus-Net and
http://mmlab.ie.cuhk.edu.hk/projects/PETA.html, as read by
https://github.com/dangweili/pedestrian-attribute-recognition-pytorch and
https://github.com/valencebond/Rethinking_of_PAR
"""

import numpy as np

from ...files import whole_file
from ..labels import Person
from ..scene import camera_of, label_person
from .attribute_names import PA100K, PETA, pa100k_names, peta_names
from .folder import FormatWriter, Shot

IMAGES = 4  # of a person


class Attributes(FormatWriter):
    """Four images of each person, whose labels but the view are the same in all."""

    splits = ('train', 'val', 'test')
    pattern: str

    def __init__(self, out, num, seed, size=None):
        super().__init__(out, num, seed, size)
        self.first = dict(train=0, val=num, test=num + self.counts['val'])
        try:
            from scipy.io import savemat
        except ImportError as error:
            raise ValueError(
                f'{self.name}: needs scipy, which cannot be imported ({error}); '
                'install it'
            ) from error
        self.savemat = savemat

    def write(self, shot: Shot) -> tuple[str, Person, int]:
        """Name of the file, person and camera."""
        seed = self.seed_of(shot.split)
        identity, index = shot.number // IMAGES, shot.number % IMAGES
        portrait = label_person(seed, identity, index, self.size)
        name = self.pattern.format(self.first[shot.split] + shot.number + 1)
        self.save_image(name, portrait.image)
        return name.split('/')[1], portrait.people[0], camera_of(identity, index)

    def save_mat(self, path: str, content: dict) -> None:
        """Write a MATLAB file below the folder."""
        with whole_file(self.out / path) as partial:
            self.savemat(partial, content, appendmat=False)
            with open(partial, 'rb+') as file:  # which says when and where, too
                file.write(b'MATLAB 5.0 MAT-file'.ljust(116))


class Pa100k(Attributes):
    """Labels 0 and 1 of 26 attributes."""

    name = 'pa100k'
    usual_size = (256, 128)
    pattern = 'data/{:06}.jpg'

    def finish(self, records) -> None:
        content = dict(attributes=column(PA100K))
        for split, chosen in self.by_split(records).items():
            content[f'{split}_images_name'] = column([name for name, *_ in chosen])
            labels = [as_row(PA100K, pa100k_names(person)) for _, person, _ in chosen]
            content[f'{split}_label'] = np.array(labels)
        self.save_mat('annotation.mat', content)


class Peta(Attributes):
    """Labels 0 and 1 of 105 attributes, and splits between different people.

    PETA.mat has a struct `peta` of four: a matrix of 4 + 105 columns (number of the
    image, of the person, of the camera, of the split; then labels), the names of the
    attributes, those that are evaluated, and five partitions, structs of columns with
    numbers from 1 for training, validation and testing. The five are the same here. The
    split is in zero_shot.txt, too: lines such as "00001.png train".
    """

    name = 'peta'
    usual_size = (160, 80)
    pattern = 'images/{:05}.png'

    def finish(self, records) -> None:
        rows, runs, lines = [], {}, []
        for number, (split, chosen) in enumerate(self.by_split(records).items()):
            first, count = self.first[split], self.counts[split]
            runs[f'{split}_index'] = np.arange(first + 1, first + count + 1)[:, None]
            lines += [f'{name} {split}' for name, *_ in chosen]
            for i, (_, person, camera) in enumerate(chosen):
                who = first + person.identity  # no two splits share numbers
                labels = as_row(PETA, peta_names(person))
                rows.append([first + i + 1, who + 1, camera + 1, number + 1, *labels])
        self.save_lines('zero_shot.txt', lines)
        partition = np.empty((5, 1), object)
        partition[:, 0] = [runs] * 5
        peta = dict(
            data=np.array(rows, np.float64),
            attribute=column(PETA),
            selected=np.arange(1.0, 36)[:, None],
            partition=partition,
        )
        self.save_mat('PETA.mat', dict(peta=peta))


def column(strings: list[str]) -> np.ndarray:
    """A MATLAB column of cells."""
    cells = np.empty((len(strings), 1), object)
    cells[:, 0] = strings
    return cells


def as_row(names: list[str], chosen: set[str]) -> np.ndarray:
    """1 for each name that is chosen, uint8 [len(names)]."""
    unknown = chosen.difference(names)
    assert not unknown, unknown
    return np.array([name in chosen for name in names], np.uint8)
