"""Images of people of whom identity and camera are known."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from ...data.images import find_images
from ...data.market1501 import read_name
from ...data.person_boxes import find_missing
from ...files import read_text
from ..retrieval import JUNK


class Sighting(NamedTuple):
    """One image of a person."""

    img_path: str
    identity: int
    """0 is nobody's: such an image is never the right answer to a query."""
    camera: int


class ReIDDataset(BaseDataset):
    """Re-identification: one set to train, one of queries and gallery to test.

    Every entry has `img_path`, `identity` and `camera`; of the training set also
    `gt_label`, which counts the identities from 0 without gaps, of the test set also
    `is_query`. Subclasses say what a split holds.

    Args:
        data_root: Folder of the data set.
        split: `'train'` or `'test'`.
        pipeline: MMPretrain's transforms, from LoadImageFromFile to PackInputs with
            `algorithm_keys=('identity', 'camera', 'is_query')`.
        test_mode: As in MMPretrain's BaseDataset.
        lazy_init: As in MMPretrain's BaseDataset.
        indices: As in MMPretrain's BaseDataset.

    Raises:
        OSError: If files or folders are missing.
        ValueError: If a name or a line cannot be read, or no query has a right entry in
            the gallery.
    """

    layout: tuple[str, ...]
    """What is to be in the folder, files and folders."""

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        pipeline: Sequence = (),
        test_mode: bool = False,
        lazy_init: bool = False,
        indices: int | Sequence[int] | None = None,
    ) -> None:
        if split not in ('train', 'test'):
            raise ValueError(
                f"{type(self).__name__}: split={split!r} is neither 'train' nor 'test'"
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
        check_layout(self.data_root, self.layout, type(self).__name__)
        if self.split == 'train':
            return _number(self.read_train())
        query, gallery = self.read_test()
        _check_test(self.data_root, query, gallery)
        return [
            each._asdict() | dict(is_query=each_is_query)
            for split, each_is_query in ((query, True), (gallery, False))
            for each in split
        ]

    def read_train(self) -> list[Sighting]:
        """The images to train with."""
        raise NotImplementedError

    def read_test(self) -> tuple[list[Sighting], list[Sighting]]:
        """Queries and gallery."""
        raise NotImplementedError


@DATASETS.register_module()
class Market1501(ReIDDataset):
    """Market-1501 (Zheng et al., ICCV 2015), or a folder like it.

    `bounding_box_train`, `bounding_box_test` (the gallery) and `query` hold images
    whose names say identity and camera: `0002_c1s1_000451_03.jpg`. Identity -1 is junk,
    which counts for nothing and is left out; 0000 in the gallery is nobody's. For the
    arguments see :class:`ReIDDataset`.
    """

    layout = ('bounding_box_train', 'bounding_box_test', 'query')

    def read_train(self) -> list[Sighting]:
        return self._read('bounding_box_train')

    def read_test(self) -> tuple[list[Sighting], list[Sighting]]:
        return self._read('query'), self._read('bounding_box_test')

    def _read(self, name: str) -> list[Sighting]:
        folder = os.path.join(self.data_root, name)
        paths = [os.path.join(folder, image) for image in find_images(folder)]
        found = [Sighting(path, *read_name(path)) for path in paths]
        return [each for each in found if each.identity != JUNK]


@DATASETS.register_module()
class MSMT17(ReIDDataset):
    """MSMT17 (Wei et al., CVPR 2018).

    Lines of `list_train.txt` and `list_val.txt`, which both are trained with, and of
    `list_query.txt` and `list_gallery.txt` are `0000/0000_000_01_0303morning_0015_0.jpg
    0`: an image below `train` or `test`, and its identity. The third number of the name
    is the camera. In the second release, whose faces are blurred, the folders are
    `mask_train_v2` and `mask_test_v2`. For the arguments see :class:`ReIDDataset`.
    """

    FOLDERS = ('train', 'test')
    FOLDERS_V2 = ('mask_train_v2', 'mask_test_v2')
    LISTS = ('list_train.txt', 'list_val.txt', 'list_query.txt', 'list_gallery.txt')

    @property
    def layout(self) -> tuple[str, ...]:
        return self._folders + self.LISTS

    @property
    def _folders(self) -> tuple[str, str]:
        second = os.path.isdir(os.path.join(self.data_root, self.FOLDERS_V2[0]))
        return self.FOLDERS_V2 if second else self.FOLDERS

    def read_train(self) -> list[Sighting]:
        folder = self._folders[0]
        return [
            *self._read('list_train.txt', folder),
            *self._read('list_val.txt', folder),
        ]

    def read_test(self) -> tuple[list[Sighting], list[Sighting]]:
        folder = self._folders[1]
        return (
            self._read('list_query.txt', folder),
            self._read('list_gallery.txt', folder),
        )

    def _read(self, list_name: str, folder_name: str) -> list[Sighting]:
        list_file = os.path.join(self.data_root, list_name)
        folder = os.path.join(self.data_root, folder_name)
        entries = [
            _read_line(line, f'{list_file}:{number}')
            for number, line in enumerate(read_text(list_file).splitlines(), 1)
            if line.strip()
        ]
        missing = find_missing(folder, [name for name, _, _ in entries])
        if missing:
            raise FileNotFoundError(
                f'{list_file}: {len(missing)} of {len(entries)} images are not in '
                f'{folder}, such as {entries[missing[0]][0]}: unpack the data set '
                'again, or take their lines away'
            )
        # Identities count from 0 here, which elsewhere is nobody's.
        return [
            Sighting(os.path.join(folder, name), identity + 1, camera)
            for name, identity, camera in entries
        ]


def check_layout(folder: str, needed: Sequence[str], name: str) -> None:
    """Raise FileNotFoundError, with what is there, unless all that is needed is."""
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f'{folder}: there is no such folder; set data_root to that of {name}, '
            f'which holds {", ".join(needed)}'
        )
    found = sorted(os.listdir(folder))
    missing = [entry for entry in needed if entry not in found]
    if missing:
        some = ', '.join(found[:8]) + (', …' if len(found) > 8 else '')
        raise FileNotFoundError(
            f'{folder} is not laid out as {name}: {", ".join(missing)} not found; it '
            f'holds {some or "nothing"}. Set data_root to the folder that holds '
            f'{", ".join(needed)}'
        )


def _number(sightings: list[Sighting]) -> list[dict]:
    """Entries of a training set, whose labels count its identities without gaps."""
    labels = {
        identity: label
        for label, identity in enumerate(sorted({each.identity for each in sightings}))
    }
    return [each._asdict() | dict(gt_label=labels[each.identity]) for each in sightings]


def _check_test(
    folder: str, query: Sequence[Sighting], gallery: Sequence[Sighting]
) -> None:
    """Raise ValueError unless another camera has seen someone who is looked for."""
    cameras = {}
    for each in gallery:
        cameras.setdefault(each.identity, set()).add(each.camera)
    if any(
        each.identity > 0 and cameras.get(each.identity, set()) - {each.camera}
        for each in query
    ):
        return
    raise ValueError(
        f'{folder}: none of {len(query)} queries has an image of the same identity by '
        f'another camera among the {len(gallery)} of the gallery, so there is nothing '
        'to find: are query and gallery of the same data set?'
    )


def _read_line(line: str, place: str) -> tuple[str, int, int]:
    """Image, identity and camera from a line of MSMT17's lists."""
    try:
        name, identity = line.split()
        camera = name.rpartition('/')[2].split('_')[2]
        return name, int(identity), int(camera)
    except (ValueError, IndexError):
        raise ValueError(
            f'{place}: {line!r} does not say image, camera and identity, as '
            "'0000/0000_000_01_0303morning_0015_0.jpg 0' does; correct the line, or "
            'take it away'
        ) from None
