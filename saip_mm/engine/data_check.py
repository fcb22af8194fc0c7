"""Whether the data of a config are there, and what of them is of no use."""

import json
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from mmengine.dataset import BaseDataset

from ..datasets.person_boxes import find_missing


def check_places(dataset: dict) -> None:
    """Look for the files and folders that the config of a data set names.

    Args:
        dataset: Config of a data set, or of one that wraps others.

    Raises:
        FileNotFoundError: With what is there instead.
    """
    for path in places(dataset):
        if path.exists():
            continue
        above = next(folder for folder in path.absolute().parents if folder.is_dir())
        found = sorted(entry.name for entry in above.iterdir())
        some = ', '.join(found[:8]) + (', …' if len(found) > 8 else '')
        raise FileNotFoundError(
            f'{path}: there is no such file or folder; {above} holds '
            f'{some or "nothing"}. README.md shows the layouts; set data_root of the '
            'data set to the folder that is laid out like this'
        )


def places(config: dict) -> Iterator[Path]:
    """What a data set's config names in its folder, and its boxes."""
    nested = [config.get('dataset'), *(config.get('datasets') or ())]
    for each in nested:
        if isinstance(each, dict):
            yield from places(each)
    root = Path(config.get('data_root') or '')
    below = [config.get('ann_file'), *(config.get('data_prefix') or {}).values()]
    yield from (root / path for path in below if isinstance(path, str | PathLike))
    if config.get('bbox_file'):
        yield Path(config['bbox_file'])


def check_images(dataset: object) -> None:
    """Look for the images and label maps that annotations name.

    Args:
        dataset: A data set; one that is not MMEngine's is passed over.

    Raises:
        FileNotFoundError: If some are missing.
    """
    for each in getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)]):
        if each is not None:
            check_images(each)
    if not isinstance(dataset, BaseDataset):
        return
    entries = [dataset.get_data_info(index) for index in range(len(dataset))]
    for key in ('img_path', 'seg_map_path'):
        paths = list(dict.fromkeys(entry[key] for entry in entries if entry.get(key)))
        missing = find_missing('', paths)
        if missing:
            raise FileNotFoundError(
                f'{dataset.ann_file or dataset.data_root}: {len(missing)} of '
                f'{len(paths)} files of it are not there, such as {paths[missing[0]]}: '
                'unpack all of the data, or leave these out of the annotations'
            )


def useless_annotations(dataset: dict) -> Iterator[str]:
    """What the libraries leave out of a training set without a word.

    Args:
        dataset: Config of a data set whose `ann_file`, if it has one, is there.

    Yields:
        A line per file and reason, for annotations as COCO (.json) or CrowdHuman
        (.odgt) has them.
    """
    path = Path(dataset.get('data_root') or '', dataset.get('ann_file') or '')
    if path.suffix == '.odgt':
        people = _people_of_crowdhuman(path)
    elif path.suffix == '.json':
        people = _people_of_coco(path)
    else:
        return
    no_area = [name for name, (_, _, w, h), _ in people if not (w > 0 and h > 0)]
    unseen = [name for name, _, points in people if points and not any(points[2::3])]
    for names, what in (
        (no_area, 'boxes have no area, and nothing is learnt from them'),
        (unseen, 'people have no visible keypoint, and no pose is learnt from them'),
    ):
        if names:
            yield f'{path}: {len(names)} of {len(people)} {what}; {names[0]} is one'


def _people_of_crowdhuman(path: Path) -> list[tuple]:
    """Name, box (x, y, w, h) and no keypoints of everyone."""
    lines = filter(None, path.read_bytes().splitlines())
    return [
        (record.get('ID'), box['fbox'], ())
        for record in (_parse(line, path) for line in lines)
        for box in _dicts(record, 'gtboxes')
        if _are_numbers(box.get('fbox'), 4)
    ]


def _people_of_coco(path: Path) -> list[tuple]:
    """Name, box (x, y, w, h) and keypoints (x, y, visibility, …) of everyone."""
    return [
        (
            f'annotation {each.get("id")}',
            each['bbox'],
            each['keypoints'] if _are_numbers(each.get('keypoints')) else (),
        )
        for each in _dicts(_parse(path.read_bytes(), path), 'annotations')
        if _are_numbers(each.get('bbox'), 4)
    ]


def _parse(text: bytes, path: Path) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: not JSON ({error}); get the file again') from error


def _dicts(record: object, key: str) -> list[dict]:
    """The dicts of a list in a record; of anything else, none."""
    found = record.get(key) if isinstance(record, dict) else None
    found = found if isinstance(found, list) else []
    return [each for each in found if isinstance(each, dict)]


def _are_numbers(values: object, count: int | None = None) -> bool:
    return (
        isinstance(values, list)
        and count in (None, len(values))
        and all(isinstance(value, int | float) for value in values)
    )
