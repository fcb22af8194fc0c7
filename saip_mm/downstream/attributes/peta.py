"""PETA in a zero-shot split, from its authors' archive or renumbered with PETA.mat."""

import glob
import os
import re

import numpy as np
from mmpretrain.registry import DATASETS

from ...drawn.formats.attribute_names import PETA as ATTRIBUTES
from ...files import read_text
from .datasets import (
    SPLITS,
    Annotations,
    AttributeDataset,
    check_labels,
    read_mat,
    texts,
)

IMAGE = re.compile(r'([^/]+)/archive/([^/_.]+)[^/]*')  # subset, identity
WORD = re.compile(
    '(accessory|carrying|footwear|hair|lowerBody|personal|upperBody)[A-Z][A-Za-z0-9]*'
)
OTHER_NAMES = dict(footwearSneakers='footwearSneaker')  # Label.txt's: PETA.mat's


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
    arguments see :class:`AttributeDataset`.

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

    NUM_ATTRIBUTES = 35
    FIRST_LABEL = 4  # columns before are numbers of image, person and the like

    def read_annotations(self) -> Annotations:
        root = self.data_root
        numbered = os.path.isfile(os.path.join(root, 'PETA.mat'))
        if not numbered and not glob.glob(
            os.path.join(glob.escape(root), '*', 'archive', 'Label.txt')
        ):
            raise FileNotFoundError(
                f'{root} holds neither PETA.mat, which belongs to renumbered images, '
                'nor SUBSET/archive/Label.txt as the archive of PETA does; set '
                'data_root to the folder that holds either'
            )
        split = _read_split(os.path.join(root, 'zero_shot.txt'))
        return self._read_numbered(split) if numbered else self._read_archive(split)

    def _read_archive(self, split: dict[str, str]) -> Annotations:
        attributes = ATTRIBUTES[: self.NUM_ATTRIBUTES]
        path = os.path.join(self.data_root, 'zero_shot.txt')
        people, parts, rows = {}, {}, {}
        for name, part in split.items():
            match = IMAGE.fullmatch(name)
            if match is None:
                raise ValueError(
                    f'{path}: {name!r} is not the path of an image in the archive of '
                    'PETA, as VIPeR/archive/0001_a.bmp is; numbers such as 00001.png '
                    'are of the renumbered images that come with PETA.mat'
                )
            subset, identity = match.groups()
            label_file = os.path.join(self.data_root, subset, 'archive', 'Label.txt')
            if subset not in people:
                people[subset] = _read_label_file(label_file)
            if identity not in people[subset]:
                raise ValueError(
                    f'{label_file}: has no line for {identity!r}, to whom {name} of '
                    f'{path} belongs; correct either'
                )
            if parts.setdefault((subset, identity), part) != part:
                raise ValueError(
                    f'{path}: {name} is in {part}, another image of the same person in '
                    f'{parts[subset, identity]}; put all images of a person into one '
                    'set'
                )
            if part in SPLITS[self.split]:
                has = people[subset][identity]
                rows[name] = [attribute in has for attribute in attributes]
        labels = np.array(list(rows.values()), int).reshape(-1, len(attributes))
        return Annotations(self.data_root, list(rows), labels, tuple(attributes))

    def _read_numbered(self, split: dict[str, str]) -> Annotations:
        path = os.path.join(self.data_root, 'PETA.mat')
        table, attributes = self._read_table(path)
        names = [name for name, part in split.items() if part in SPLITS[self.split]]
        rows = []
        for name in names:
            number = os.path.splitext(name)[0]
            if not number.isdecimal() or not 1 <= int(number) <= len(table):
                raise ValueError(
                    f'{self.data_root}/zero_shot.txt: {name!r} is not one of 00001.png '
                    f'to {len(table):05}.png; correct the list'
                )
            rows.append(int(number) - 1)
        labels = table[rows, self.FIRST_LABEL : self.FIRST_LABEL + self.NUM_ATTRIBUTES]
        check_labels(labels, self.NUM_ATTRIBUTES, path)
        folder = os.path.join(self.data_root, 'images')
        return Annotations(
            folder, names, labels, tuple(attributes[: self.NUM_ATTRIBUTES])
        )

    def _read_table(self, path: str) -> tuple[np.ndarray, list[str]]:
        """Numbers [images, 4 + attributes], and the names of all attributes."""
        content = read_mat(path, ['peta'])
        try:
            fields = content['peta'].ravel()[0]
            table, attributes = fields[0], texts(fields[1])
            fits = table.ndim == 2 and table.shape[1] == self.FIRST_LABEL + len(
                attributes
            )
        except (IndexError, TypeError, AttributeError):
            fits = False
        if not fits or len(attributes) < self.NUM_ATTRIBUTES:
            raise ValueError(
                f"{path}: 'peta' is not a structure of a table with "
                f'{self.FIRST_LABEL} columns and one per attribute, and the names of '
                f'at least {self.NUM_ATTRIBUTES} attributes: take the file as it was '
                'given out'
            )
        return table, attributes


def _read_label_file(path: str) -> dict[str, set[str]]:
    """The attributes of every identity of a subset."""
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'{path}: there is no such file, and zero_shot.txt lists images of this '
            'subset; unpack it from the archive of PETA, or leave its images out'
        )
    people = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not (words := line.split()):
            continue
        identity = os.path.splitext(words[0])[0]  # CUHK has names of images
        if len(words) < 2 or not all(map(WORD.fullmatch, words[1:])):
            raise ValueError(
                f'{path}:{number}: {line.strip()[:80]!r} is not an identity and its '
                "attributes, as '0001 personalLess30 personalMale' is; take the file "
                'as it was given out'
            )
        has = {OTHER_NAMES.get(word, word) for word in words[1:]}
        if people.setdefault(identity, has) != has:
            raise ValueError(
                f'{path}:{number}: {identity!r} has other attributes than before; keep '
                'one of the lines'
            )
    return people


def _read_split(path: str) -> dict[str, str]:
    """Which set every image is in, by its name."""
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"there is no {path}, of lines like '00001.png train': the docstring of "
            'saip_mm.downstream.attributes.PETA says how to make it'
        )
    split = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        name, _, part = line.strip().rpartition(' ')
        if part not in ('train', 'val', 'test') or not name or name in split:
            raise ValueError(
                f'{path}:{number}: {line.strip()!r} is not an image, once, and '
                'train, val or test'
            )
        split[name] = part
    return split
