"""What makes MMDetection fail in CrowdHuman's annotations."""

import json
from collections.abc import Iterator
from contextlib import suppress
from logging import WARNING
from pathlib import Path

import cv2
import numpy as np
from mmengine.logging import print_log

from ...files import write_text
from ..coco import check_record, parse_json, read_plain_text


def read_crowdhuman(path: Path) -> list[dict]:
    """Read annotations as CrowdHuman has them, a JSON object per line.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If MMDetection would fail; the line is named.
    """
    records = {}
    lines = read_plain_text(path).strip().split('\n')  # as MMDetection does
    for number, line in enumerate(lines, 1):
        where = f'{path}:{number}'
        record = parse_json(line, where)
        if not isinstance(record, dict):
            raise ValueError(f'{where}: is no object with "ID" and "gtboxes"')
        check_record(where, record, 'ID gtboxes', '', 'MMDetection')
        if record['ID'] in records:
            raise ValueError(f'{where}: {record["ID"]!r} is there twice; keep one')
        for position, box in enumerate(record['gtboxes']):
            of_box = f'{where}: gtboxes[{position}]'
            if not isinstance(box, dict):
                raise ValueError(f'{of_box} is no object; get the file again')
            check_record(of_box, box, 'tag fbox hbox vbox', 'extra', 'MMDetection')
            check_record(of_box, box.get('extra', {}), '', 'ignore', 'MMDetection')
        records[record['ID']] = record
    return list(records.values())


def useless_boxes(path: Path, records: list[dict]) -> Iterator[str]:
    """Yields a line if boxes have no area."""
    boxes = [(each['ID'], box['fbox']) for each in records for box in each['gtboxes']]
    flat = [name for name, box in boxes if min(box[2:]) <= 0]
    if flat:
        yield (
            f'{path}: {len(flat)} of {len(boxes)} boxes have no area, and nothing is '
            f'learned from them; {flat[0]} has one'
        )


def sizes_file(config: dict, path: Path) -> Path:
    """Where MMDetection keeps the sizes of the images.

    Raises:
        ValueError: If the annotations have a name that it does not take.
    """
    if config.get('extra_ann_file'):
        return Path(config['extra_ann_file'])
    for split in ('train', 'val'):
        if split in path.name:
            return Path(config['data_root'], f'id_hw_{split}.json')
    raise ValueError(
        f'{path}: MMDetection takes files of CrowdHuman with "train" or "val" in their '
        'name; rename it'
    )


def renew_sizes(file: Path, images: dict[str, str]) -> None:
    """Write the sizes of images, unless they are there.

    MMDetection trusts a file that was cut or is of other images, and without one names
    no image that it cannot read. ``images`` are paths by ID.

    Raises:
        OSError: If an image cannot be read.
        ValueError: If one is not an image, or the file can neither be used nor written.
    """
    with suppress(OSError, ValueError, TypeError, LookupError):
        known = json.loads(file.read_text())
        if all(len(known[each]) == 2 and min(known[each]) > 0 for each in images):
            return
    print_log(f'{file}: read the sizes of {len(images)} images, once', 'current')
    sizes = {each: _size(image) for each, image in images.items()}
    try:
        write_text(file, json.dumps(sizes))
    except OSError as error:
        if file.exists():
            raise ValueError(
                f'{file}: is cut or of other images, and cannot be replaced '
                f'({error.strerror}); remove it'
            ) from error
        # MMDetection does without, and reads the images again each time.
        print_log(f'{file}: cannot be written', 'current', WARNING)


def _size(path: str) -> tuple[int, int]:
    """(h, w) of an image as MMDetection sees it."""
    content = np.fromfile(path, np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    if image is None:
        raise ValueError(
            f'{path}: is empty or no image; get the file again, or remove its line '
            'from the annotations'
        )
    return image.shape[:2]
