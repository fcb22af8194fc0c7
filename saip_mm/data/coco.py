"""Records of annotation files: what they should hold, and what messages call them."""

import json
import os
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..files import read_text

Box = tuple[float, float, float, float]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e15  # not NaN either


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and all(map(_is_number, values))


def _is_id(value: object) -> bool:
    return isinstance(value, int | float | str)


def _is_side(value: object) -> bool:
    return _is_number(value) and value > 0 and float(value).is_integer()


def _is_file_name(value: object) -> bool:
    try:
        return (
            isinstance(value, str) and bool(value) and b'\0' not in os.fsencode(value)
        )
    except UnicodeEncodeError:
        return False


ID = (_is_id, 'a number or a text')
SIDE = (_is_side, 'a whole number of pixels')
NUMBER = (_is_number, 'a finite number')
TEXT = (lambda value: isinstance(value, str), 'a text')
ANYTHING = (lambda value: True, 'as in COCO')
KEYPOINTS = (
    _are_numbers,
    'a list of finite numbers: x, y, visibility of each keypoint',
)
BOX = (
    lambda value: _are_numbers(value) and len(value) == 4,
    'four finite numbers: x, y, width, height',
)
FIELDS: dict[str, tuple[Callable[[object], bool], str]] = dict(
    id=ID,
    image_id=ID,
    category_id=ID,
    name=TEXT,
    bbox=BOX,
    area=NUMBER,
    score=NUMBER,
    iscrowd=(lambda value: value in (0, 1, None), '0 or 1, without quotes'),
    num_keypoints=ANYTHING,
    segmentation=ANYTHING,
    keypoints=KEYPOINTS,
    foot_kpts=KEYPOINTS,
    face_kpts=KEYPOINTS,
    lefthand_kpts=KEYPOINTS,
    righthand_kpts=KEYPOINTS,
    file_name=(_is_file_name, 'the name of a file'),
    height=SIDE,
    width=SIDE,
    # CrowdHuman's.
    ID=TEXT,
    gtboxes=(lambda value: isinstance(value, list), 'a list of boxes'),
    tag=TEXT,
    fbox=BOX,
    hbox=BOX,
    vbox=BOX,
    extra=(lambda value: isinstance(value, dict), 'an object'),
    ignore=(lambda value: value in (0, 1), '0 or 1, without quotes'),
)


def check_record(where: str, record: dict, needed: str, read: str, reader: str) -> None:
    """Raise ValueError unless the fields of a record hold what they should.

    Args:
        where: What messages call the record.
        record: Of annotations.
        needed: Keys of ``FIELDS`` that have to be there.
        read: Keys of ``FIELDS`` that may be there.
        reader: What needs them, for messages.
    """
    for key in (*needed.split(), *read.split()):
        holds, should = FIELDS[key]
        if key not in record:
            if key in needed.split():
                raise ValueError(
                    f'{where} has no "{key}", which {reader} needs; add it ({should}), '
                    'or remove the record'
                )
        elif not holds(record[key]):
            raise ValueError(
                f'{where}: "{key}" is {_show(record[key])}, and should be {should}; '
                'correct it, or remove the record'
            )


def read_plain_text(path: Path) -> str:
    """Read a file that a library is going to read as UTF-8.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no UTF-8, or has a byte-order mark.
    """
    with open(path, 'rb') as file:
        if file.read(3).startswith((BOM_UTF8, BOM_UTF16_LE, BOM_UTF16_BE)):
            raise ValueError(
                f'{path}: begins with a byte-order mark, with which the library that '
                'reads it fails; save it as UTF-8 without one'
            )
    return read_text(path)


def parse_json(text: str, where: object) -> object:
    """Raises ValueError, naming the file or line, if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{where}: not JSON ({error}); get the file again') from error


def records(path: object, content: Any, key: str) -> Iterator[tuple[str, dict]]:
    """Records of the list ``key`` in a file's content, each with a name for messages.

    Raises:
        ValueError: If the content is not like COCO's.
    """
    if not isinstance(content, dict):
        raise ValueError(
            f'{path}: holds a {type(content).__name__}, not COCO-style annotations '
            'with "images" and "annotations"; a list may be detections only'
        )
    found = content.get(key, [])
    if not isinstance(found, list):
        raise ValueError(f'{path}: "{key}" should be a list; it is {_show(found)}')
    for position, record in enumerate(found):
        name = f'{key}[{position}]'
        if not isinstance(record, dict):
            raise ValueError(
                f'{path}: {name} should be an object; it is {_show(record)}'
            )
        if _is_id(record.get('id')):
            name = f'{key.removesuffix("s")} {record["id"]!r}'
        yield f'{path}: {name}', record


def by_id(
    path: object, content: Any, key: str, needed: str, reader: str
) -> dict[str, tuple[str, dict]]:
    """As :func:`records`, checked by :func:`check_record`, by the texts of their ids.

    Raises:
        ValueError: If a record is not as it should be, or an id is there twice.
    """
    found = {}
    for where, record in records(path, content, key):
        check_record(where, record, needed, '', reader)
        if (text := id_text(record['id'])) in found:
            raise ValueError(f'{where} is there twice; give each an id of its own')
        found[text] = (where, record)
    return found


def id_text(value: int | float | str) -> str:
    """The text of an id, the same for ``1``, ``1.0`` and ``"1"``."""
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if is_whole else value)


def _show(value: object) -> str:
    """A value, with quotes around text, so that 1 and '1' look different."""
    text = 'null' if value is None else repr(value)
    return text if len(text) <= 100 else f'{text[:100]} …'
