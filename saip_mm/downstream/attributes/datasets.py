"""PA-100K, PETA, CSV files, and the base class of attribute data sets."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmpretrain.registry import DATASETS
from scipy.io import loadmat

from ...data.folders import require_files
from ..attributes_csv import AttributeImages, read_attributes
from ..datasets import REMEDY, SplitDataset, numbered_lines, require_file

PETA_COUNT = 35  # evaluated attributes
PETA_FIRST = 4  # column of the first label in PETA.mat


class AttributeDataset(SplitDataset):
    """Base class of data sets with entries of `img_path` and `gt_score` [A], 0 or 1.

    Splits are `'trainval'` (default), `'train'`, `'val'`, and `'test'`. The `classes`
    of `metainfo` are the names of the attributes. Arguments are those of
    :class:`SplitDataset`.
    """

    SPLITS = dict(
        trainval=('train', 'val'), train=('train',), val=('val',), test=('test',)
    )

    def read_annotations(self, parts: Sequence[str]) -> AttributeImages:
        """Images of some of ``'train'``, ``'val'`` and ``'test'``."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict]:
        found = self.read_annotations(self.SPLITS[self.split])
        require_files(self.data_root, '', found.paths, REMEDY)
        self._metainfo['classes'] = tuple(found.attributes)
        labels = found.labels.astype(np.float32)
        return [
            dict(img_path=path, gt_score=label)
            for path, label in zip(found.paths, labels, strict=True)
        ]


@DATASETS.register_module()
class PA100K(AttributeDataset):
    """PA-100K (Liu et al., ICCV 2017): 26 attributes of 100,000 images.

    `annotation.mat`, or `annotation/annotation.mat`, contains image names and labels of
    each split. Images are in `data` or, as unpacked, in `release_data/release_data`.
    """

    ANNOTATIONS = ('annotation.mat', 'annotation/annotation.mat')
    FOLDERS = (
        *('data', 'release_data/release_data', 'release_data'),
        *('data/release_data/release_data', 'data/release_data'),
    )

    def read_annotations(self, parts: Sequence[str]) -> AttributeImages:
        places = [os.path.join(self.data_root, name) for name in self.ANNOTATIONS]
        path = next(filter(os.path.isfile, places), places[0])
        keys = [f'{part}_{what}' for part in parts for what in ('images_name', 'label')]
        content = read_mat(path, ['attributes', *keys])
        attributes = texts(content['attributes'])
        names, labels = [], []
        for part in parts:
            names += texts(content[f'{part}_images_name'])
            labels.append(content[f'{part}_label'])
            check_labels(labels[-1], len(attributes), f'{path}: {part}_label')
        labels = np.concatenate(labels)
        if len(names) != len(labels):
            raise ValueError(
                f'{path}: {self.split} has {len(names)} names, but {len(labels)} rows '
                'of labels; download the file again'
            )
        for folder in self.FOLDERS:
            paths = [os.path.join(self.data_root, folder, name) for name in names]
            if os.path.isfile(paths[0]):
                return AttributeImages(paths, names, labels, attributes)
        raise FileNotFoundError(
            f'{self.data_root}: {names[0]} is in none of the folders '
            f'{", ".join(self.FOLDERS)}; unpack the images into the first'
        )


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

    def read_annotations(self, parts: Sequence[str]) -> AttributeImages:
        mat_file = os.path.join(self.data_root, 'PETA.mat')
        labels, attributes = _read_table(mat_file)
        path = os.path.join(self.data_root, 'zero_shot.txt')
        split = _read_split(path, len(labels))
        names = [name for name, part in split.items() if part in parts]
        labels = labels[[int(os.path.splitext(name)[0]) - 1 for name in names]]
        check_labels(labels, PETA_COUNT, mat_file)
        paths = [os.path.join(self.data_root, 'images', name) for name in names]
        return AttributeImages(paths, names, labels, attributes)


@DATASETS.register_module()
class AttributesCSV(AttributeDataset):
    """Attributes of your own, in ``labels.csv``: see :func:`read_attributes`.

    Splits are `'train'` (default) and `'test'`.
    """

    SPLITS = dict(train=('train',), test=('test',))

    def read_annotations(self, parts: Sequence[str]) -> AttributeImages:
        return read_attributes(Path(self.data_root, 'labels.csv'))[parts[0]]


def read_mat(path: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Read a MATLAB file with the given keys; no code in it is executed."""
    require_file(path, 'set data_root to its folder')
    try:
        content = loadmat(path)
    except Exception as error:  # damaged files raise many kinds of errors
        raise ValueError(
            f'{path} is damaged or not a MATLAB file of version 5 ({error}); download '
            'it again, or save it with -v7 in MATLAB'
        ) from error
    if missing := [key for key in keys if key not in content]:
        found = ', '.join(key for key in content if not key.startswith('__'))
        raise ValueError(
            f'{path} lacks {", ".join(missing)}; it contains {found or "nothing"}. Is '
            'it the original annotation file?'
        )
    return content


def texts(cells: np.ndarray) -> list[str]:
    """Convert a MATLAB array of cells to strings."""
    return [str(np.ravel(cell)[0]) for cell in cells.ravel()]


def check_labels(labels: np.ndarray, count: int, place: str) -> None:
    """Raise ValueError unless labels are [N, count] of 0 and 1."""
    if labels.ndim != 2 or labels.shape[1] != count:
        raise ValueError(
            f'{place}: labels have shape {labels.shape}, not one row per image and one '
            f'column for each of {count} attributes; use the original annotation file'
        )
    if (bad := ~np.isin(labels, (0, 1))).any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f'{place}: {bad.sum()} labels are neither 0 nor 1, such as '
            f'{labels[row, column]} in row {row + 1}, attribute {column + 1}; correct '
            'them or leave these images out'
        )


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
    """Labels [images, PETA_COUNT] and names of the attributes in PETA.mat."""
    content = read_mat(path, ['peta'])
    try:
        fields = content['peta'].ravel()[0]
        table, attributes = fields[0], texts(fields[1])
        fits = table.ndim == 2 and table.shape[1] == PETA_FIRST + len(attributes)
    except (IndexError, TypeError, AttributeError):
        fits = False
    if not fits or len(attributes) < PETA_COUNT:
        raise ValueError(
            f"{path}: 'peta' does not contain a table with {PETA_FIRST} columns and "
            f'one per attribute, and the names of at least {PETA_COUNT} attributes; '
            'use the original file'
        )
    return table[:, PETA_FIRST : PETA_FIRST + PETA_COUNT], attributes[:PETA_COUNT]
