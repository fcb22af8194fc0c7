"""Data sets of re-identification: images whose person and camera are known."""

import os

from mmpretrain.registry import DATASETS

from ..datasets import SplitDataset, check_images, check_layout, numbered_lines
from ..market1501 import DISTRACTOR, JUNK, ReIDImage, read_folder


class ReIDDataset(SplitDataset):
    """Re-identification: ``'train'``, or queries and gallery to ``'test'``.

    Every entry has `img_path`, `pid` and `camid`; of the training set also `gt_label`,
    which counts the people from 0 without gaps, of the test set also `is_query`. The
    pipeline ends with `PackInputs(algorithm_keys=('pid', 'camid', 'is_query'))`. For
    the arguments see :class:`SplitDataset`.
    """

    SPLITS = ('train', 'test')

    @property
    def layout(self) -> tuple[str, ...]:
        """Files and folders in ``data_root``."""
        raise NotImplementedError

    def read(self, part: str) -> list[ReIDImage]:
        """Images of ``'train'``, ``'query'`` or ``'gallery'``."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict]:
        check_layout(self.data_root, self.layout, type(self).__name__)
        if self.split == 'train':
            images = self.read('train')
            labels = {pid: i for i, pid in enumerate(sorted({x.pid for x in images}))}
            return [x._asdict() | dict(gt_label=labels[x.pid]) for x in images]
        query, gallery = self.read('query'), self.read('gallery')
        _check_matches(self.data_root, query, gallery)
        return [
            *(each._asdict() | dict(is_query=True) for each in query),
            *(each._asdict() | dict(is_query=False) for each in gallery),
        ]


@DATASETS.register_module()
class Market1501(ReIDDataset):
    """Market-1501 (Zheng et al., ICCV 2015), or a folder like it.

    Names of images say person and camera: `0002_c1s1_000451_03.jpg`. Person -1 is junk,
    which is left out; 0000 in the gallery is nobody. For the arguments see
    :class:`SplitDataset`.
    """

    FOLDERS = dict(
        train='bounding_box_train', query='query', gallery='bounding_box_test'
    )

    @property
    def layout(self) -> tuple[str, ...]:
        return tuple(self.FOLDERS.values())

    def read(self, part: str) -> list[ReIDImage]:
        folder = os.path.join(self.data_root, self.FOLDERS[part])
        return [each for each in read_folder(folder) if each.pid != JUNK]


@DATASETS.register_module()
class MSMT17(ReIDDataset):
    """MSMT17 (Wei et al., CVPR 2018), trained with `list_train` and `list_val`.

    Lines of `list_*.txt` are `0000/0000_000_01_0303morning_0015_0.jpg 0`: an image
    below `train` or `test`, and its person. The third number of the name is the camera.
    In the second release, whose faces are blurred, the folders are `mask_train_v2` and
    `mask_test_v2`. For the arguments see :class:`SplitDataset`.
    """

    LISTS = dict(
        train=('list_train.txt', 'list_val.txt'),
        query=('list_query.txt',),
        gallery=('list_gallery.txt',),
    )

    @property
    def layout(self) -> tuple[str, ...]:
        return (
            *self._folders(),
            *(name for names in self.LISTS.values() for name in names),
        )

    def _folders(self) -> tuple[str, str]:
        """Of the training images, and of the others."""
        second = os.path.isdir(os.path.join(self.data_root, 'mask_train_v2'))
        return ('mask_train_v2', 'mask_test_v2') if second else ('train', 'test')

    def read(self, part: str) -> list[ReIDImage]:
        folder = os.path.join(self.data_root, self._folders()[part != 'train'])
        images = []
        for name in self.LISTS[part]:
            list_file = os.path.join(self.data_root, name)
            found = [_read_line(*each) for each in numbered_lines(list_file)]
            check_images(folder, [each.img_path for each in found], list_file)
            images += found
        # People count from 0 here, which elsewhere is nobody.
        return [
            ReIDImage(os.path.join(folder, name), pid + 1, camid)
            for name, pid, camid in images
        ]


def _check_matches(
    folder: str, query: list[ReIDImage], gallery: list[ReIDImage]
) -> None:
    """Raise ValueError if no query shows somebody whom another camera has seen."""
    camids = {}
    for each in gallery:
        camids.setdefault(each.pid, set()).add(each.camid)
    if not any(
        each.pid > DISTRACTOR and camids.get(each.pid, set()) - {each.camid}
        for each in query
    ):
        raise ValueError(
            f'{folder}: none of {len(query)} queries has an image of the same identity '
            f'by another camera among the {len(gallery)} of the gallery, so there is '
            'nothing to find: are query and gallery of the same data set?'
        )


def _read_line(place: str, line: str) -> ReIDImage:
    """A line of MSMT17's lists."""
    try:
        name, pid = line.split()
        camid = name.rpartition('/')[2].split('_')[2]
        return ReIDImage(name, int(pid), int(camid))
    except (ValueError, IndexError):
        raise ValueError(
            f'{place}: {line!r} does not say image, camera and identity, as '
            "'0000/0000_000_01_0303morning_0015_0.jpg 0' does; correct the line, or "
            'take it away'
        ) from None
