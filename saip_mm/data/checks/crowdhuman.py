"""Checks of CrowdHuman's annotations for what MMDetection cannot handle."""

import json
from collections.abc import Iterator
from contextlib import suppress
from logging import WARNING
from pathlib import Path

import cv2
import numpy as np
from mmengine.logging import print_log

from ...files import write_text
from ..coco import Record, parse_json, read_plain_text


def read_crowdhuman(path: Path) -> list[Record]:
    """Read annotations in CrowdHuman's format, one JSON object per line.

    Raises:
        OSError: The file cannot be read.
        ValueError: MMDetection would fail; names the line.
    """
    found = {}
    lines = read_plain_text(path).strip().split('\n')  # as MMDetection does
    for number, line in enumerate(lines, 1):
        record = _record(parse_json(line, f'{path}:{number}'), f'{path}:{number}')
        record.check('ID gtboxes')
        if record['ID'] in found:
            raise ValueError(f'{record.where}: {record["ID"]!r} appears twice')
        for position, box in enumerate(record['gtboxes']):
            box = _record(box, f'{record.where}: gtboxes[{position}]')
            box.check('tag fbox hbox vbox', 'extra')
            _record(box.get('extra', {}), box.where).check('', 'ignore')
        found[record['ID']] = record
    return list(found.values())


def _record(content: object, where: str) -> Record:
    if not isinstance(content, dict):
        raise ValueError(f'{where}: not a JSON object; get a new copy of the file')
    return Record(content, where, 'MMDetection')


def useless_boxes(path: Path, records: list[Record]) -> Iterator[str]:
    """Yield a line if boxes have no area."""
    boxes = [(each['ID'], box['fbox']) for each in records for box in each['gtboxes']]
    flat = [name for name, box in boxes if min(box[2:]) <= 0]
    if flat:
        yield (
            f'{path}: {len(flat)} of {len(boxes)} boxes have no area, and are not used '
            f'for training, for example one of {flat[0]}'
        )


def update_sizes(config: dict, path: Path, images: dict[str, str]) -> None:
    """Write MMDetection's cache of image sizes, unless it is complete.

    MMDetection trusts a cache that is truncated or of other images; without one, its
    errors do not name unreadable images.

    Args:
        config: Config of the data set.
        path: Its annotations.
        images: Paths of its images by ID.

    Raises:
        OSError: An image cannot be read.
        ValueError: A file is not an image, a wrong cache cannot be replaced, or
            MMDetection does not support the name of the annotations.
    """
    split = next((split for split in ('train', 'val') if split in path.name), None)
    if config.get('extra_ann_file'):
        file = Path(config['extra_ann_file'])
    elif split:
        file = Path(config['data_root'], f'id_hw_{split}.json')
    else:
        raise ValueError(
            f'{path}: MMDetection expects "train" or "val" in the names of CrowdHuman '
            'files; rename it'
        )
    with suppress(OSError, ValueError, TypeError, LookupError):
        known = json.loads(file.read_text())
        if all(len(known[each]) == 2 and min(known[each]) > 0 for each in images):
            return
    print_log(f'{file}: caching the sizes of {len(images)} images', 'current')
    sizes = {each: _size(image) for each, image in images.items()}
    try:
        write_text(file, json.dumps(sizes))
    except OSError as error:
        if file.exists():
            raise ValueError(
                f'{file}: is truncated or of other images, and cannot be replaced '
                f'({error.strerror}); remove it'
            ) from error
        # Without a cache, MMDetection reads the images each time.
        print_log(f'{file}: cannot be written', 'current', WARNING)


def _size(path: str) -> tuple[int, int]:
    """Return the (h, w) of an image as MMDetection reads it."""
    content = np.fromfile(path, np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    if image is None:
        raise ValueError(
            f'{path}: is empty or not an image; get a new copy of the file, or remove '
            'its line from the annotations'
        )
    return image.shape[:2]
