"""Records of annotation files: required types of their fields, names in messages."""

import json
import os
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..files import read_text

Box = tuple[float, float, float, float]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e15  # excludes NaN


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and all(map(_is_number, values))


def _is_side(value: object) -> bool:
    return _is_number(value) and value > 0 and float(value).is_integer()


def _is_file_name(value: object) -> bool:
    try:
        return isinstance(value, str) and value and b'\0' not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


ID = (lambda value: isinstance(value, int | float | str), 'a number or a string')
TEXT = (lambda value: isinstance(value, str), 'a string')
NUMBER = (_is_number, 'a finite number')
SIDE = (_is_side, 'a whole number of pixels')
ANYTHING = (lambda value: True, 'as in COCO')
KEYPOINTS = (_are_numbers, 'a list of finite numbers: x, y, visibility per keypoint')
BOX = (
    lambda value: _are_numbers(value) and len(value) == 4,
    'four finite numbers: x, y, width, height',
)
FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = dict(
    **dict.fromkeys(('id', 'image_id', 'category_id'), ID),
    **dict.fromkeys(('name', 'ID', 'tag'), TEXT),
    **dict.fromkeys(('area', 'score'), NUMBER),
    **dict.fromkeys(('height', 'width'), SIDE),
    **dict.fromkeys(('num_keypoints', 'segmentation'), ANYTHING),
    **dict.fromkeys(('bbox', 'fbox', 'hbox', 'vbox'), BOX),
    **dict.fromkeys(
        ('keypoints', 'foot_kpts', 'face_kpts', 'lefthand_kpts', 'righthand_kpts'),
        KEYPOINTS,
    ),
    file_name=(_is_file_name, 'the name of a file'),
    iscrowd=(lambda value: value in (0, 1, None), '0 or 1, without quotes'),
    ignore=(lambda value: value in (0, 1), '0 or 1, without quotes'),
    gtboxes=(lambda value: isinstance(value, list), 'a list of boxes'),
    extra=(lambda value: isinstance(value, dict), 'an object'),
)


class Record(dict):
    """JSON object of an annotation file.

    Args:
        fields: Content of the object.
        where: Name of file and record, for messages.
        reader: Library that reads the record, for messages.
    """

    def __init__(self, fields: dict, where: str, reader: str) -> None:
        super().__init__(fields)
        self.where, self.reader = where, reader

    def check(self, required: str, optional: str = '') -> None:
        """Check the types of fields, given as space-separated keys of ``FIELDS``.

        Raises:
            ValueError: A required field is missing, or any of them has a wrong value.
        """
        for key in f'{required} {optional}'.split():
            is_valid, expected = FIELDS[key]
            if key in self and not is_valid(self[key]):
                raise ValueError(
                    f'{self.where}: "{key}" is {_show(self[key])}, and should be '
                    f'{expected}; correct it or remove the record'
                )
            if key not in self and key in required.split():
                raise ValueError(
                    f'{self.where} has no "{key}", which {self.reader} needs; add it '
                    f'({expected}) or remove the record'
                )


def records(path: object, content: Any, key: str, reader: str) -> Iterator[Record]:
    """Yield the records in the list ``key`` of a file's content.

    Raises:
        ValueError: The content is not in COCO's format.
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
        if ID[0](record.get('id')):
            name = f'{key.removesuffix("s")} {record["id"]!r}'
        yield Record(record, f'{path}: {name}', reader)


def records_by_id(
    path: object, content: Any, key: str, required: str, reader: str
) -> dict[str, Record]:
    """Return the :func:`records` with required fields by their :func:`id_text`.

    Raises:
        ValueError: A record is not valid, or two have the same id.
    """
    found = {}
    for record in records(path, content, key, reader):
        record.check(required)
        if (text := id_text(record['id'])) in found:
            raise ValueError(f'{record.where} appears twice; make the ids unique')
        found[text] = record
    return found


def id_text(value: int | float | str) -> str:
    """Return the text of an id, which is the same for ``1``, ``1.0`` and ``"1"``."""
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if is_whole else value)


def _show(value: object) -> str:
    text = 'null' if value is None else repr(value)  # quotes tell 1 from '1'
    return text if len(text) <= 100 else f'{text[:100]} …'


def read_json(path: Path) -> object:
    """Read a JSON file that a library is going to read as well."""
    return parse_json(read_plain_text(path), path)


def read_plain_text(path: Path) -> str:
    """Read a file that a library is going to read as UTF-8.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not UTF-8, or has a byte-order mark.
    """
    with open(path, 'rb') as file:
        if file.read(3).startswith((BOM_UTF8, BOM_UTF16_LE, BOM_UTF16_BE)):
            raise ValueError(
                f'{path}: begins with a byte-order mark, which makes the library that '
                'reads it fail; save it as UTF-8 without one'
            )
    return read_text(path)


def parse_json(text: str, where: object) -> object:
    """Parse JSON; raises ValueError, which names the file or line, on failure."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f'{where}: not JSON ({error}); get a new copy of the file'
        ) from error
