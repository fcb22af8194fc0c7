"""Images of people with attributes; PA-100K."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS
from scipy.io import loadmat

from ...data.person_boxes import find_missing

SPLITS = dict(train=('train',), val=('val',), trainval=('train', 'val'), test=('test',))


class Annotations(NamedTuple):
    """What a split says."""

    folder: str
    """Where the images are."""
    names: list[str]
    """[N] file names."""
    labels: np.ndarray
    """[N, A], each 0 or 1."""
    attributes: tuple[str, ...]
    """[A] names."""


class AttributeDataset(BaseDataset):
    """Entries of `img_path` and `gt_score` [A], 1 where the person has an attribute.

    Subclasses say what a split holds. The names of the attributes are the `classes` of
    `metainfo`.

    Args:
        data_root: Folder of the data set.
        split: `'train'`, `'val'`, `'trainval'` (both) or `'test'`.
        pipeline: MMPretrain's transforms, from LoadImageFromFile to PackInputs.
        test_mode: As in MMPretrain's BaseDataset.
        lazy_init: As in MMPretrain's BaseDataset.
        indices: As in MMPretrain's BaseDataset.

    Raises:
        OSError: If files are missing.
        ValueError: If annotations are not as expected.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'trainval',
        pipeline: Sequence = (),
        test_mode: bool = False,
        lazy_init: bool = False,
        indices: int | Sequence[int] | None = None,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(
                f'{type(self).__name__}: split={split!r} is none of {", ".join(SPLITS)}'
            )
        self.split = split
        super().__init__(
            ann_file='',
            data_root=data_root,
            pipeline=pipeline,
            test_mode=test_mode,
            lazy_init=lazy_init,
            indices=indices,
        )

    def load_data_list(self) -> list[dict]:
        found = self.read_annotations()
        missing = find_missing(found.folder, found.names)
        if missing:
            raise FileNotFoundError(
                f'{found.folder}: {len(missing)} of {len(found.names)} images of the '
                f'annotations are not there, such as {found.names[missing[0]]}: unpack '
                'all images into this folder'
            )
        self._metainfo['classes'] = found.attributes
        return [
            dict(img_path=os.path.join(found.folder, name), gt_score=label)
            for name, label in zip(
                found.names, found.labels.astype(np.float32), strict=True
            )
        ]

    def read_annotations(self) -> Annotations:
        """What is known of the images of `self.split`."""
        raise NotImplementedError


@DATASETS.register_module()
class PA100K(AttributeDataset):
    """PA-100K (Liu et al., ICCV 2017): 26 attributes of 100,000 images.

    `annotation.mat` names the images and labels of each split. The images are in
    `data`, or where the archive puts them, in `release_data/release_data`. For the
    arguments see :class:`AttributeDataset`.
    """

    FOLDERS = ('data', 'release_data/release_data', 'release_data')

    def read_annotations(self) -> Annotations:
        path = os.path.join(self.data_root, 'annotation.mat')
        parts = SPLITS[self.split]
        keys = [f'{part}_{what}' for part in parts for what in ('images_name', 'label')]
        content = read_mat(path, ['attributes', *keys])
        attributes = texts(content['attributes'])
        names, labels = [], []
        for part in parts:
            names += texts(content[f'{part}_images_name'])
            label = content[f'{part}_label']
            check_labels(label, len(attributes), f'{path}: {part}_label')
            labels.append(label)
        labels = np.concatenate(labels)
        if len(names) != len(labels):
            raise ValueError(
                f'{path}: {self.split} has {len(names)} names, but {len(labels)} rows '
                'of labels: download the file again'
            )
        return Annotations(self._folder(), names, labels, tuple(attributes))

    def _folder(self) -> str:
        for name in self.FOLDERS:
            folder = os.path.join(self.data_root, name)
            if os.path.isdir(folder):
                return folder
        raise FileNotFoundError(
            f'{self.data_root} has none of the folders {", ".join(self.FOLDERS)}: '
            'unpack the images into the first'
        )


def read_mat(path: str, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """A MATLAB file that has these keys; nothing in it is run."""
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'there is no {path}: set data_root to the folder that holds it'
        )
    try:
        content = loadmat(path)
    except Exception as error:  # damaged files fail in many ways
        raise ValueError(
            f'{path} is damaged or not a MATLAB file of version 5 ({error}): download '
            'it again'
        ) from error
    if missing := [key for key in keys if key not in content]:
        found = ', '.join(key for key in content if not key.startswith('__'))
        raise ValueError(
            f'{path} lacks {", ".join(missing)}; it has {found or "nothing"}: is it '
            "the data set's own annotation file?"
        )
    return content


def texts(cells: np.ndarray) -> list[str]:
    """The texts of a MATLAB array of cells."""
    return [str(np.ravel(cell)[0]) for cell in cells.ravel()]


def check_labels(labels: np.ndarray, count: int, place: str) -> None:
    if labels.ndim != 2 or labels.shape[1] != count:
        raise ValueError(
            f'{place}: labels of shape {labels.shape} are not one per image and '
            f'each of {count} attributes: take the annotation file as it was given out'
        )
    if (bad := ~np.isin(labels, (0, 1))).any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f'{place}: {bad.sum()} labels are neither 0 nor 1, such as '
            f'{labels[row, column]} in row {row + 1}, attribute {column + 1}: correct '
            'them, or leave these images out'
        )
