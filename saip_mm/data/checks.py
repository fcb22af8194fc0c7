"""Checks that the data of a config exist, and errors that name their files."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import filterfalse
from os import PathLike
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset, Compose

from ..files import read_json
from .folders import path_of, require_files, some
from .images import raise_if_outage
from .person_boxes import OtherAnnotations, check_ends, read_person_boxes

REMEDY = 'unpack all of the data, or remove these from the annotations'


def check_paths(dataset: dict) -> None:
    """Check that the files and folders named by the config of a data set exist.

    Raises:
        FileNotFoundError: One does not; lists what is there instead.
    """
    for path in filterfalse(Path.exists, paths_in(dataset)):
        above = next(folder for folder in path.absolute().parents if folder.is_dir())
        found = some(sorted(entry.name for entry in above.iterdir()))
        raise FileNotFoundError(
            f'{path}: no such file or folder; {above} holds {found or "nothing"}. '
            'docs/downstream.md shows the layouts; set data_root of the data set to a '
            'folder with this layout'
        )


def paths_in(config: dict) -> Iterator[Path]:
    """Yield the files and folders named by the config of a data set."""
    root, prefix = config.get('data_root') or '', config.get('data_prefix') or {}
    # MMPretrain's data sets take one prefix, and paths below ~.
    prefixes = prefix.values() if isinstance(prefix, dict) else [prefix]
    for path in (config.get('ann_file'), *prefixes):
        if isinstance(path, str | PathLike):
            yield Path(path_of(root, path))
    if config.get('bbox_file'):
        yield Path(config['bbox_file'])
    for each in [config.get('dataset'), *(config.get('datasets') or ())]:
        if isinstance(each, dict):
            yield from paths_in(each)


def check_records(dataset: dict) -> None:
    """Raise a ValueError that names a malformed record, if files are like COCO's."""
    for path in paths_in(dataset):
        if path.suffix == '.json' and path.is_file():
            with suppress(OSError, OtherAnnotations):
                read_person_boxes(str(path))


def check_keypoints(dataset: dict) -> None:
    """Raise a ValueError if the keypoints that a config describes are inconsistent."""
    info = dataset.get('metainfo') or {}
    if 'keypoint_info' in info and (wrong := _wrong_keypoints(info)):
        raise ValueError(
            f'{next(paths_in(dataset), "data set")}: its metainfo {wrong}; see '
            "MMPose's configs/_base_/datasets/coco.py"
        )
    for each in [dataset.get('dataset'), *(dataset.get('datasets') or ())]:
        if isinstance(each, dict):
            check_keypoints(each)


def _wrong_keypoints(info: dict) -> str | None:
    needed = ('dataset_name', 'skeleton_info', 'joint_weights', 'sigmas')
    if missing := [key for key in needed if key not in info]:
        return f'has no {", ".join(missing)}'
    if not isinstance(info['skeleton_info'], dict):
        return 'should have a dict as skeleton_info, which may be empty'
    points, total = info['keypoint_info'], len(info['keypoint_info'])
    if list(points) != list(range(total)):
        return f'should number its {total} keypoints from 0, in order'
    names = [point.get('name') for point in points.values()]
    if len({*names} - {None}) < total:
        return f'should have a different name for each keypoint, not {some(names)}'
    used = [('swap', each.get('swap') or names[0]) for each in points.values()]
    for link in info['skeleton_info'].values():
        used += [('link', name) for name in link['link']]
    if unknown := [each for each in used if each[1] not in names]:
        return 'has no keypoint {1!r}, which a "{0}" names'.format(*unknown[0])
    # Without sigmas, as in many files of MMPose, metrics other than AP still work.
    if len(info['sigmas']) not in (0, total):
        return f'has {len(info["sigmas"])} sigmas for {total} keypoints'
    return None


def check_images(dataset: object) -> None:
    """Check annotated images, label maps, and numbers of keypoints.

    Data sets that are not MMEngine's are ignored.

    Raises:
        FileNotFoundError: Images or label maps are missing.
        ValueError: People have other numbers of keypoints than the data set names,
            classes or flips are inconsistent, or boxes are unusable.
    """
    for each in _built(dataset):
        paths, source = {}, each.ann_file or each.data_root
        _check_classes(source, each)
        _check_flips(source, each.metainfo)
        _check_order(source, each.metainfo)
        named = each.metainfo.get('num_keypoints')  # by MMPose
        sides, ends = [], []
        for index in range(len(each)):
            info = each.get_data_info(index)
            boxes = _boxes(info)
            sides += [max(box[2] - box[0], box[3] - box[1]) for box in boxes]
            if 'height' in info:  # MMPose clips boxes, and does not state sizes
                size = info['height'], info['width']
                ends += [(box[2], box[3], size) for box in boxes]
            found = map(info.get, ('img_path', 'seg_map_path'))
            paths |= dict.fromkeys(filter(None, found))
            number = np.shape(info.get('keypoints'))[-2:-1]
            if named and number and number != (named,):
                raise ValueError(
                    f'{source}: annotation {info.get("id")} has {number[0]} keypoints, '
                    f'but metainfo of the data set names {named}; use annotations with '
                    'these, or set metainfo and model.head.out_channels'
                )
        require_files(source, '', list(paths), REMEDY)
        # MMDetection leaves out boxes of less than a pixel, and of other classes.
        if (sides and max(sides) <= 1) or (not sides and _needs_boxes(each)):
            raise ValueError(
                f'{source}: no box is larger than a pixel'
                f'{" and of a class of the config" * (not sides)}: "bbox" is x, y, '
                'width, height in pixels, not in shares of the image'
            )
        check_ends(source, ends)


def _check_classes(source: str, dataset: BaseDataset) -> None:
    """Raise a ValueError if MMDetection would number categories unlike ``classes``.

    It numbers those that are among the classes, in the order of the file.
    """
    ids, classes = getattr(dataset, 'cat_ids', None), dataset.metainfo.get('classes')
    own = classes != type(dataset).METAINFO.get('classes')
    if ids is None or (len(ids) == len(classes) and not (own and len(ids) > 1)):
        return
    categories = read_json(source)['categories']
    names = {each['id']: each['name'] for each in categories}
    found = [names[i] for i in ids]
    if not found or found != list(classes)[: len(found)]:
        raise ValueError(
            f'{source}: of metainfo.classes, {some(classes)}, its "categories" have '
            f'{some(found) or "none"}, and labels are counted in this order: spell and '
            'order metainfo.classes as in the file, which has '
            f'{some([*names.values()])}, and put missing ones last'
        )


def _check_flips(source: str, metainfo: dict) -> None:
    """Raise a ValueError if flipping keypoints twice would exchange them."""
    flipped, names = metainfo.get('flip_indices', ()), metainfo.get('keypoint_id2name')
    for index, other in enumerate(flipped):
        if flipped[other] != index:
            raise ValueError(
                f'{source}: by metainfo, "swap" of the keypoint {names[index]!r} is '
                f'{names[other]!r}, but not the other way round: set "swap" of both'
            )


def _check_order(source: str, metainfo: dict) -> None:
    """Raise a ValueError if a file has the keypoints of metainfo in another order."""
    names = [*metainfo.get('keypoint_id2name', {}).values()]
    # MMPose keeps the categories of a file.
    for category in metainfo.get('CLASSES', ()) if names else ():
        found = category.get('keypoints') or []
        if found != names and sorted(found) == sorted(names):
            raise ValueError(
                f'{source}: has the keypoints {some(found)}, but metainfo of the data '
                f'set names {some(names)}: order keypoint_info as in the file'
            )


def _boxes(info: dict) -> list[Sequence[float]]:
    """Boxes, two corners each, in an entry of MMPose or MMDetection."""
    boxes = [x['bbox'] for x in info.get('instances') or () if 'bbox' in x]
    boxes += [np.ravel(info['bbox'])] if 'bbox' in info else []
    return [box for box in boxes if len(box) == 4]


def _needs_boxes(dataset: BaseDataset) -> bool:
    """Whether a data set is one of MMDetection's for training."""
    first = dataset.get_data_info(0) if len(dataset) else {}
    return not dataset.test_mode and 'instances' in first


def name_files_in_errors(dataset: object) -> None:
    """Make errors in the pipelines of a data set name the files of the sample."""
    for each in _built(dataset):
        if type(each.pipeline) is Compose:
            each.pipeline = _NamingPipeline(each.pipeline)


def _built(dataset: object) -> Iterator[BaseDataset]:
    """Yield MMEngine's data sets among a data set and those that it wraps."""
    if isinstance(dataset, BaseDataset):
        yield dataset
    for each in getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)]):
        if each is not None:
            yield from _built(each)


class _NamingPipeline(Compose):
    def __init__(self, pipeline: Compose) -> None:
        self.transforms = pipeline.transforms

    def __call__(self, data: dict) -> dict | None:
        files = [data[k] for k in ('img_path', 'seg_map_path') if data.get(k)]
        try:
            return super().__call__(data)
        except Exception as error:
            if not files or any(str(file) in str(error) for file in files):
                raise
            raise_if_outage(error, files[0])
            raise ValueError(
                f'{" with ".join(files)}: {type(error).__name__}: {error}. Get a new '
                'copy of the file, or remove it from the data, unless the pipeline of '
                'the config is wrong'
            ) from error
