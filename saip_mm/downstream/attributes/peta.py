"""PETA with a zero-shot split."""

import os
from collections.abc import Sequence

import numpy as np
from mmpretrain.registry import DATASETS

from ..datasets import numbered_lines, require_file
from .datasets import Annotations, AttributeDataset, check_labels, read_mat, texts

COUNT = 35  # evaluated attributes
FIRST = 4  # column of the first label in PETA.mat


@DATASETS.register_module()
class PETA(AttributeDataset):
    """PETA (Deng et al., ACM MM 2014) with disjoint identities in training and test.

    The first 35 of 105 attributes are evaluated, as introduced by "Rethinking of
    Pedestrian Attribute Recognition" (Jia et al., arXiv 2107.03576). Images are
    `images/00001.png` to `images/19000.png` with labels in `PETA.mat`, from
    github.com/dangweili/pedestrian-attribute-recognition-pytorch.

    Lines of `zero_shot.txt` contain an image and its part, such as `00001.png train`.
    Published results use the split of Jia et al., `data/PETA/dataset_zs_run0.pkl` of
    github.com/valencebond/Rethinking_of_PAR. Pickles can execute code, so this class
    does not read them. If you trust the file, convert it in that repository, with
    easydict installed::

        import pickle
        data = pickle.load(open('data/PETA/dataset_zs_run0.pkl', 'rb'))
        with open('zero_shot.txt', 'w') as file:
            for part in ('train', 'val', 'test'):
                for index in data.partition[part]:
                    print(data.image_name[index], part, file=file)
    """

    def read_annotations(self, parts: Sequence[str]) -> Annotations:
        mat_file = os.path.join(self.data_root, 'PETA.mat')
        labels, attributes = _read_table(mat_file)
        path = os.path.join(self.data_root, 'zero_shot.txt')
        split = _read_split(path, len(labels))
        names = [name for name, part in split.items() if part in parts]
        labels = labels[[int(os.path.splitext(name)[0]) - 1 for name in names]]
        check_labels(labels, COUNT, mat_file)
        folder = os.path.join(self.data_root, 'images')
        return Annotations(folder, names, labels, attributes)


def _read_split(path: str, count: int) -> dict[str, str]:
    """The part of each of ``count`` images, by its name."""
    require_file(
        path,
        "create it with lines such as '00001.png train' (see the docstring of "
        'saip_mm.downstream.attributes.PETA)',
    )
    split = {}
    for place, line in numbered_lines(path):
        name, _, part = line.rpartition(' ')
        number = os.path.splitext(name)[0]
        if part not in ('train', 'val', 'test') or name in split:
            raise ValueError(
                f'{place}: {line!r} is not a new image followed by train, val or test'
            )
        if not number.isdecimal() or not 1 <= int(number) <= count:
            raise ValueError(
                f'{place}: {name!r} is not one of 00001.png to {count:05}.png; correct '
                'the list'
            )
        split[name] = part
    return split


def _read_table(path: str) -> tuple[np.ndarray, list[str]]:
    """Labels [images, COUNT] and names of the attributes in PETA.mat."""
    content = read_mat(path, ['peta'])
    try:
        fields = content['peta'].ravel()[0]
        table, attributes = fields[0], texts(fields[1])
        fits = table.ndim == 2 and table.shape[1] == FIRST + len(attributes)
    except (IndexError, TypeError, AttributeError):
        fits = False
    if not fits or len(attributes) < COUNT:
        raise ValueError(
            f"{path}: 'peta' does not contain a table with {FIRST} columns and one per "
            f'attribute, and the names of at least {COUNT} attributes; use the '
            'original file'
        )
    return table[:, FIRST : FIRST + COUNT], attributes[:COUNT]
