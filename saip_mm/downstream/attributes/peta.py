"""PETA with a zero-shot split."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmpretrain.registry import DATASETS

from ...drawn import PETA_ATTRIBUTES
from ..datasets import numbered_lines, require_file
from .datasets import Annotations, AttributeDataset, check_labels, read_mat, texts

IMAGE = re.compile(r'([^/]+)/archive/([^/_.]+)[^/]*')  # subset, identity
WORD = re.compile(
    '(accessory|carrying|footwear|hair|lowerBody|personal|upperBody)[A-Z][A-Za-z0-9]*'
)
OTHER_NAMES = dict(footwearSneakers='footwearSneaker')  # Label.txt's: PETA.mat's
COUNT = 35  # evaluated attributes
FIRST = 4  # column of the first label in PETA.mat


@DATASETS.register_module()
class PETA(AttributeDataset):
    """PETA (Deng et al., ACM MM 2014) with disjoint identities in training and test.

    The first 35 of 105 attributes are evaluated, as introduced by "Rethinking of
    Pedestrian Attribute Recognition" (Jia et al., arXiv 2107.03576). Arguments are
    those of :class:`SplitDataset`. Layouts:

    - Images `images/00001.png` to `images/19000.png` and labels `PETA.mat`, from
      github.com/dangweili/pedestrian-attribute-recognition-pytorch.
    - Without `PETA.mat`, the authors' archive, mmlab.ie.cuhk.edu.hk/projects/PETA.html:
      ten folders such as `VIPeR/archive/` with images named after identities
      (`0001_a.bmp`) and `Label.txt`, which lists the attributes of each identity
      (`0001 personalLess30 personalMale …`).

    Lines of `zero_shot.txt` contain an image and its part, such as `00001.png train` or
    `VIPeR/archive/0001_a.bmp train`. Published results use the split of Jia et al. for
    numbered images, `data/PETA/dataset_zs_run0.pkl` of
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
        root = self.data_root
        mat_file = os.path.join(root, 'PETA.mat')
        numbered = os.path.isfile(mat_file)
        if not numbered and not any(Path(root).glob('*/archive/Label.txt')):
            raise FileNotFoundError(
                f'{root} contains neither PETA.mat, for numbered images, nor '
                'SUBSET/archive/Label.txt, as in the archive of PETA; set data_root to '
                'the folder with either'
            )
        path = os.path.join(root, 'zero_shot.txt')
        split = _read_split(path)
        names = [name for name, part in split.items() if part in parts]
        if numbered:
            labels, attributes = _read_table(mat_file)
            labels = labels[[_row(name, len(labels), path) for name in names]]
            check_labels(labels, COUNT, mat_file)
            return Annotations(os.path.join(root, 'images'), names, labels, attributes)
        has = _read_archive(root, split, path)
        attributes = list(PETA_ATTRIBUTES)[:COUNT]
        labels = [[each in has[name] for each in attributes] for name in names]
        labels = np.array(labels, int).reshape(-1, COUNT)
        return Annotations(root, names, labels, attributes)


def _read_split(path: str) -> dict[str, str]:
    """The part of each image, by its name."""
    require_file(
        path,
        "create it with lines such as '00001.png train' (see the docstring of "
        'saip_mm.downstream.attributes.PETA)',
    )
    split = {}
    for place, line in numbered_lines(path):
        name, _, part = line.rpartition(' ')
        if part not in ('train', 'val', 'test') or not name or name in split:
            raise ValueError(
                f'{place}: {line!r} is not a new image followed by train, val or test'
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


def _row(name: str, count: int, path: str) -> int:
    """Row of an image in PETA.mat, which has ``count``; ``path`` lists the image."""
    number = os.path.splitext(name)[0]
    if not number.isdecimal() or not 1 <= int(number) <= count:
        raise ValueError(
            f'{path}: {name!r} is not one of 00001.png to {count:05}.png; correct the '
            'list'
        )
    return int(number) - 1


def _read_archive(root: str, split: dict[str, str], path: str) -> dict[str, set[str]]:
    """Attributes by image of a split, which ``path`` contains."""
    people, parts, found = {}, {}, {}
    for name, part in split.items():
        match = IMAGE.fullmatch(name)
        if match is None:
            raise ValueError(
                f'{path}: {name!r} is not the path of an image in the archive of PETA '
                'such as VIPeR/archive/0001_a.bmp; numbers such as 00001.png require '
                'PETA.mat'
            )
        subset, pid = match.groups()
        label_file = os.path.join(root, subset, 'archive', 'Label.txt')
        if subset not in people:
            people[subset] = _read_labels(label_file)
        if pid not in people[subset]:
            raise ValueError(
                f'{label_file}: has no line for {pid!r}, the identity in {name} of '
                f'{path}; correct either'
            )
        if parts.setdefault((subset, pid), part) != part:
            raise ValueError(
                f'{path}: {name} is in {part}, but another image of the same person is '
                f'in {parts[subset, pid]}; put all images of a person into one part'
            )
        found[name] = people[subset][pid]
    return found


def _read_labels(path: str) -> dict[str, set[str]]:
    """The attributes of each identity of a subset."""
    require_file(
        path,
        'zero_shot.txt lists images of this subset: unpack it from the archive of PETA '
        'or leave its images out',
    )
    people = {}
    for place, line in numbered_lines(path):
        name, *words = line.split()
        pid = os.path.splitext(name)[0]  # CUHK lists file names
        if not words or not all(map(WORD.fullmatch, words)):
            raise ValueError(
                f'{place}: {line[:80]!r} is not an identity with its attributes, such '
                "as '0001 personalLess30 personalMale'; use the original file"
            )
        has = {OTHER_NAMES.get(word, word) for word in words}
        if people.setdefault(pid, has) != has:
            raise ValueError(
                f'{place}: {pid!r} has other attributes than before; keep one of the '
                'lines'
            )
    return people
