"""Data sets for re-identification."""

import os
from collections import Counter
from pathlib import Path

from mmpretrain.registry import DATASETS

from ...data.folders import require_files
from ..attributes_csv import read_rows
from ..datasets import REMEDY, SplitDataset, check_layout, numbered_lines
from ..market1501 import DISTRACTOR, JUNK, ReIDImage, read_folder


class ReIDDataset(SplitDataset):
    """Base class of data sets with splits ``'train'`` and ``'test'``.

    Entries have `img_path`, `pid`, and `camid`; for training also `gt_label`, which
    numbers the identities from 0, for testing `is_query`. The pipeline ends with
    `PackInputs(algorithm_keys=('pid', 'camid', 'is_query'))`. Arguments are those of
    :class:`SplitDataset`.
    """

    SPLITS = ('train', 'test')

    def read(self, part: str) -> list[ReIDImage]:
        """Images of ``'train'``, ``'query'`` or ``'gallery'``."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict]:
        if self.split == 'train':
            images = self.read('train')
            labels = {pid: i for i, pid in enumerate(sorted({x.pid for x in images}))}
            return [x._asdict() | dict(gt_label=labels[x.pid]) for x in images]
        query, gallery = self.read('query'), self.read('gallery')
        _check_matches(self.data_root, query, gallery)
        parts = ((query, True), (gallery, False))
        return [x._asdict() | dict(is_query=flag) for part, flag in parts for x in part]


@DATASETS.register_module()
class Market1501(ReIDDataset):
    """Market-1501 (Zheng et al., ICCV 2015), or a folder with its layout.

    Names of images start with identity and camera: `0002_c1s1_000451_03.jpg`. Identity
    -1 is junk, which is left out; 0 is a distractor.
    """

    FOLDERS = dict(
        train='bounding_box_train', query='query', gallery='bounding_box_test'
    )

    def read(self, part: str) -> list[ReIDImage]:
        check_layout(self.data_root, list(self.FOLDERS.values()), 'Market-1501')
        folder = os.path.join(self.data_root, self.FOLDERS[part])
        return [each for each in read_folder(folder) if each.pid != JUNK]


@DATASETS.register_module()
class ReIDCSV(ReIDDataset):
    """Images listed in `labels.csv`.

    It has the columns path (below its folder), split (train, query or gallery), and as
    any text identity and optionally camera. A query is compared with the images of
    other cameras; without that column, with the whole gallery.
    """

    PARTS = ('train', 'query', 'gallery')

    def read(self, part: str) -> list[ReIDImage]:
        file = Path(self.data_root, 'labels.csv')
        rows = read_rows(file, {'path', 'split', 'identity'})
        if 'camera' not in next(iter(rows.values())):
            _check_apart(file, rows)
        for line, row in rows.items():
            if row['split'] not in self.PARTS:
                raise ValueError(
                    f'{file}, line {line}: split is {row["split"]!r}: write '
                    f'{", ".join(self.PARTS)}'
                )
            # Without cameras, a query has one that no image of the gallery has.
            for name in ('identity', 'camera'):
                row[name] = row.get(name, row['split']).strip()
                # Empty ones would be one person or camera; training ignores cameras.
                if not row[name] and (name, row['split']) != ('camera', 'train'):
                    raise ValueError(f'{file}, line {line}: {name} is empty: name one')
        identities = sorted({row['identity'] for row in rows.values()})
        pids = {name: pid for pid, name in enumerate(identities, DISTRACTOR + 1)}
        cameras = sorted({row['camera'] for row in rows.values()})
        images = [
            ReIDImage(
                str(file.parent / row['path']),
                pids[row['identity']],
                cameras.index(row['camera']),
            )
            for row in rows.values()
            if row['split'] == part
        ]
        if not images:
            raise ValueError(f'{file}: no row has the split {part}')
        return images


def _check_apart(file: Path, rows: dict[int, dict[str, str]]) -> None:
    """Raise ValueError if queries are in the gallery, and would find themselves."""
    query, gallery = (
        {row['path'] for row in rows.values() if row['split'] == split}
        for split in ('query', 'gallery')
    )
    if both := sorted(query & gallery):
        raise ValueError(
            f'{file}: {len(both)} queries, such as {both[0]}, are in the gallery as '
            'well, where they would find themselves: remove them there, or add a '
            'column camera'
        )


@DATASETS.register_module()
class MSMT17(ReIDDataset):
    """MSMT17 (Wei et al., CVPR 2018); `list_val` is part of the training set.

    Lines of `list_*.txt` such as `0000/0000_000_01_0303morning_0015_0.jpg 0` contain an
    image below `train` or `test` and its identity. The third number of the name is the
    camera. In the second release, with blurred faces, the folders are `mask_train_v2`
    and `mask_test_v2`.
    """

    LISTS = dict(
        train=('list_train.txt', 'list_val.txt'),
        query=('list_query.txt',),
        gallery=('list_gallery.txt',),
    )

    def read(self, part: str) -> list[ReIDImage]:
        second = os.path.isdir(os.path.join(self.data_root, 'mask_train_v2'))
        folders = ['mask_train_v2', 'mask_test_v2'] if second else ['train', 'test']
        lists = [name for names in self.LISTS.values() for name in names]
        check_layout(self.data_root, [*folders, *lists], 'MSMT17')
        folder = os.path.join(self.data_root, folders[part != 'train'])
        images = []
        for name in self.LISTS[part]:
            list_file = os.path.join(self.data_root, name)
            found = [_read_line(*each) for each in numbered_lines(list_file)]
            require_files(list_file, folder, [each.img_path for each in found], REMEDY)
            images += found
        # Identities start from 0, which is a distractor elsewhere.
        return [
            ReIDImage(os.path.join(folder, name), pid + 1, camid)
            for name, pid, camid in images
        ]


def _check_matches(
    folder: str, query: list[ReIDImage], gallery: list[ReIDImage]
) -> None:
    """Raise ValueError if no query has an image from another camera in the gallery."""
    pairs = {(each.pid, each.camid) for each in gallery}
    counts = Counter(pid for pid, _ in pairs)  # cameras of each identity
    if not any(
        each.pid > DISTRACTOR and counts[each.pid] > ((each.pid, each.camid) in pairs)
        for each in query
    ):
        raise ValueError(
            f'{folder}: none of {len(query)} queries has an image of the same identity '
            f'from another camera among the {len(gallery)} of the gallery: images of '
            "the query's own camera do not count, and query and gallery should be of "
            'one data set. List images without cameras in labels.csv (type=ReIDCSV)'
        )


def _read_line(place: str, line: str) -> ReIDImage:
    """Parse a line of MSMT17's lists."""
    try:
        name, pid = line.split()
        camid = name.rpartition('/')[2].split('_')[2]
        return ReIDImage(name, int(pid), int(camid))
    except (ValueError, IndexError):
        raise ValueError(
            f'{place}: {line!r} does not contain image, camera and identity, as in '
            "'0000/0000_000_01_0303morning_0015_0.jpg 0'; correct or remove the line"
        ) from None
