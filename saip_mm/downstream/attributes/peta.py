"""PETA in a zero-shot split, from its authors' archive or renumbered with PETA.mat."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmpretrain.registry import DATASETS

from ...drawn import PETA_ATTRIBUTES
from ..datasets import numbered_lines
from .datasets import Annotations, AttributeDataset, check_labels, read_mat, texts

IMAGE = re.compile(r'([^/]+)/archive/([^/_.]+)[^/]*')  # subset, identity
WORD = re.compile(
    '(accessory|carrying|footwear|hair|lowerBody|personal|upperBody)[A-Z][A-Za-z0-9]*'
)
OTHER_NAMES = dict(footwearSneakers='footwearSneaker')  # Label.txt's: PETA.mat's
COUNT = 35  # attributes that are evaluated
FIRST = 4  # column of the first label in PETA.mat, after numbers of image and person


@DATASETS.register_module()
class PETA(AttributeDataset):
    """PETA (Deng et al., ACM MM 2014) in a split in which nobody is in two sets.

    Of its 105 attributes the first 35 count, as in all work since "Rethinking of
    Pedestrian Attribute Recognition" (Jia et al., arXiv 2107.03576). Either layout is
    read:

    - The authors' archive, mmlab.ie.cuhk.edu.hk/projects/PETA.html: a folder for each
      of ten subsets, such as `VIPeR/archive/`, with images whose names begin with
      an identity (`0001_a.bmp`) and `Label.txt`, which has a line per identity with the
      attributes it has (`0001 personalLess30 personalMale …`).
    - The images renumbered as `images/00001.png` to `images/19000.png` with `PETA.mat`,
      as linked by github.com/dangweili/pedestrian-attribute-recognition-pytorch. This
      one is read if `PETA.mat` is there.

    `zero_shot.txt` has a line per image that is used, with the set that it is in:
    `00001.png train`, or in the archive `VIPeR/archive/0001_a.bmp train`. For the
    arguments see :class:`SplitDataset`.

    The split of Jia et al., which published figures are of, numbers the images as
    `PETA.mat` does; for the archive, write a list of your own. It comes as a pickle,
    `data/PETA/dataset_zs_run0.pkl` of github.com/valencebond/Rethinking_of_PAR. A
    pickle can run anything, so nothing here reads one. If you trust it, write the list
    yourself, once, in that repository's environment (it needs the package easydict)::

        import pickle
        data = pickle.load(open('data/PETA/dataset_zs_run0.pkl', 'rb'))
        with open('zero_shot.txt', 'w') as file:
            for part in ('train', 'val', 'test'):
                for index in data.partition[part]:
                    print(data.image_name[index], part, file=file)
    """

    def read_annotations(self, parts: Sequence[str]) -> Annotations:
        root = self.data_root
        numbered = os.path.isfile(os.path.join(root, 'PETA.mat'))
        if not numbered and not any(Path(root).glob('*/archive/Label.txt')):
            raise FileNotFoundError(
                f'{root} holds neither PETA.mat, which belongs to renumbered images, '
                'nor SUBSET/archive/Label.txt as the archive of PETA does; set '
                'data_root to the folder that holds either'
            )
        path = os.path.join(root, 'zero_shot.txt')
        split = _read_split(path)
        if numbered:
            names = [name for name, part in split.items() if part in parts]
            mat_file, folder = (os.path.join(root, n) for n in ('PETA.mat', 'images'))
            labels, attributes = _read_table(mat_file)
            labels = labels[[_row(name, len(labels), path) for name in names]]
            check_labels(labels, COUNT, mat_file)
            return Annotations(folder, names, labels, attributes)
        has = _read_archive(root, split, path)
        names = [name for name, part in split.items() if part in parts]
        attributes = list(PETA_ATTRIBUTES)[:COUNT]
        labels = [[each in has[name] for each in attributes] for name in names]
        labels = np.array(labels, int).reshape(-1, COUNT)
        return Annotations(root, names, labels, attributes)


def _read_split(path: str) -> dict[str, str]:
    """The set that every image is in, by its name."""
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"there is no {path}, of lines like '00001.png train': the docstring of "
            'saip_mm.downstream.attributes.PETA says how to make it'
        )
    split = {}
    for place, line in numbered_lines(path):
        name, _, part = line.rpartition(' ')
        if part not in ('train', 'val', 'test') or not name or name in split:
            raise ValueError(
                f'{place}: {line!r} is not an image, once, and train, val or test'
            )
        split[name] = part
    return split


def _read_table(path: str) -> tuple[np.ndarray, list[str]]:
    """Labels [images, COUNT] of PETA.mat, and their attributes' names."""
    content = read_mat(path, ['peta'])
    try:
        fields = content['peta'].ravel()[0]
        table, attributes = fields[0], texts(fields[1])
        fits = table.ndim == 2 and table.shape[1] == FIRST + len(attributes)
    except (IndexError, TypeError, AttributeError):
        fits = False
    if not fits or len(attributes) < COUNT:
        raise ValueError(
            f"{path}: 'peta' is not a structure of a table with {FIRST} columns and "
            f'one per attribute, and the names of at least {COUNT} attributes: take '
            'the file as it was given out'
        )
    return table[:, FIRST : FIRST + COUNT], attributes[:COUNT]


def _row(name: str, count: int, path: str) -> int:
    """The row of an image of PETA.mat's ``count``; ``path`` lists it."""
    number = os.path.splitext(name)[0]
    if not number.isdecimal() or not 1 <= int(number) <= count:
        raise ValueError(
            f'{path}: {name!r} is not one of 00001.png to {count:05}.png; correct the '
            'list'
        )
    return int(number) - 1


def _read_archive(root: str, split: dict[str, str], path: str) -> dict[str, set[str]]:
    """Attributes that the person in each image of a split has; ``path`` holds it."""
    people, parts, found = {}, {}, {}
    for name, part in split.items():
        match = IMAGE.fullmatch(name)
        if match is None:
            raise ValueError(
                f'{path}: {name!r} is not the path of an image in the archive of '
                'PETA, as VIPeR/archive/0001_a.bmp is; numbers such as 00001.png '
                'are of the renumbered images that come with PETA.mat'
            )
        subset, pid = match.groups()
        label_file = os.path.join(root, subset, 'archive', 'Label.txt')
        if subset not in people:
            people[subset] = _read_labels(label_file)
        if pid not in people[subset]:
            raise ValueError(
                f'{label_file}: has no line for {pid!r}, to whom {name} of {path} '
                'belongs; correct either'
            )
        if parts.setdefault((subset, pid), part) != part:
            raise ValueError(
                f'{path}: {name} is in {part}, another image of the same person in '
                f'{parts[subset, pid]}; put all images of a person into one set'
            )
        found[name] = people[subset][pid]
    return found


def _read_labels(path: str) -> dict[str, set[str]]:
    """The attributes of every person of a subset."""
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'{path}: no such file, and zero_shot.txt lists images of this '
            'subset; unpack it from the archive of PETA, or leave its images out'
        )
    people = {}
    for place, line in numbered_lines(path):
        name, *words = line.split()
        pid = os.path.splitext(name)[0]  # CUHK has names of images
        if not words or not all(map(WORD.fullmatch, words)):
            raise ValueError(
                f'{place}: {line[:80]!r} is not an identity and its attributes, as '
                "'0001 personalLess30 personalMale' is; take the file as it was given "
                'out'
            )
        has = {OTHER_NAMES.get(word, word) for word in words}
        if people.setdefault(pid, has) != has:
            raise ValueError(
                f'{place}: {pid!r} has other attributes than before; keep one of the '
                'lines'
            )
    return people
