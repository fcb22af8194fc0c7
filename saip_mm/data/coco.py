"""Records of COCO-style annotation files; what is wrong with one is said of it.

``where`` names file and record in messages: see :func:`name_record`.
"""

import json
import math
import os
from typing import Any

from ..files import read_text

Box = tuple[float, float, float, float]


def read_coco(path: str) -> dict:
    """Read a COCO-style annotation file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON object.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: there is no such annotation file')
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f'{path}: not a JSON file ({error}); export the annotations again'
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f'{path}: holds a {type(content).__name__}, not COCO-style annotations '
            'with "images" and "annotations" (a list may be detections only)'
        )
    return content


def get_records(content: dict, key: str, ann_file: str) -> list[dict]:
    """The list of records that a file has under a key."""
    records = content.get(key)
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise ValueError(
            f'{ann_file}: should have a list of objects "{key}", as COCO annotations; '
            f'it has the keys {", ".join(content) or "none"}'
        )
    return records


def name_record(ann_file: str, kind: str, record: dict) -> str:
    """What messages call a record: by its id, or else by its beginning."""
    return f'{ann_file}: {kind} {_show(record.get("id", record))}'


def get_field(record: dict, key: str, kind: type | tuple, where: str) -> Any:
    """A value of a record.

    Raises:
        ValueError: If it is missing or of another type.
    """
    if not isinstance(record.get(key), kind):
        found = _show(record[key]) if key in record else 'missing'
        raise ValueError(f'{where}: "{key}" is {found}; correct or remove the record')
    return record[key]


def get_file_name(image: dict, where: str) -> str:
    """The path of an image, as it is in its record."""
    name = get_field(image, 'file_name', str, where)
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        encoded = b''
    if not encoded or b'\0' in encoded:
        raise ValueError(
            f'{where}: "file_name" is {_show(name)}, which no file can be called; '
            'correct or remove the record'
        )
    return name


def get_id(record: dict, key: str, where: str) -> str:
    """An id as text: ``1``, ``1.0`` and ``"1"`` are the same one."""
    return id_text(get_field(record, key, (int, float, str), where))


def id_text(value: int | float | str) -> str:
    """The text of an id, the same for ``1``, ``1.0`` and ``"1"``."""
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if is_whole else value)


def is_crowd(annotation: dict, where: str) -> bool:
    """Whether an annotation is of a crowd; ``"iscrowd": "0"`` says that it is not."""
    value = annotation.get('iscrowd') or 0
    if value in ('0', '1'):
        value = int(value)
    if not isinstance(value, int | float):
        raise ValueError(
            f'{where}: "iscrowd" is {_show(value)}, and should be 0 or 1; correct it'
        )
    return bool(value)


def get_size(image: dict, where: str) -> tuple[int, int] | None:
    """``(h, w)`` of an image; None if its record does not say it."""
    if not (image.get('height') and image.get('width')):
        return None
    size = [get_field(image, key, (int, float), where) for key in ('height', 'width')]
    if not all(value > 0 and float(value).is_integer() for value in size):
        raise ValueError(
            f'{where}: is {size[0]}x{size[1]} (height x width), which should be whole '
            'numbers of pixels; correct them'
        )
    return int(size[0]), int(size[1])


def get_box(annotation: dict, where: str) -> Box:
    """The box of an annotation, ``(x, y, w, h)`` in pixels."""
    box = get_field(annotation, 'bbox', list, where)
    if (
        len(box) != 4
        or not all(isinstance(v, int | float) and math.isfinite(v) for v in box)
        or min(box[2:]) < 0
    ):
        raise ValueError(
            f'{where}: "bbox" should be [x, y, width, height], four finite numbers of '
            f'which the last two are not negative; it is {_show(box)}; correct or '
            'remove it'
        )
    return tuple(box)


def _show(value: Any) -> str:
    """A value, with quotes around text, so that 1 and '1' look different."""
    text = 'null' if value is None else repr(value)
    return text if len(text) <= 100 else f'{text[:100]} …'
