"""What annotations should hold, and reading them as libraries do."""

import codecs
import json
from collections.abc import Callable
from pathlib import Path

MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e15  # not NaN either


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and all(map(_is_number, values))


def is_id(value: object) -> bool:
    return isinstance(value, int | float | str)


def _is_size(value: object) -> bool:
    return _is_number(value) and value > 0


ID = (is_id, 'a number or a text')
NUMBER = (_is_number, 'a finite number')
TEXT = (lambda value: isinstance(value, str), 'a text')
NUMBERS = (_are_numbers, 'a list of finite numbers: x, y, visibility of each keypoint')
BOX = (
    lambda value: _are_numbers(value) and len(value) == 4,
    'four finite numbers: x, y, width, height',
)
SHOULD: dict[str, tuple[Callable[[object], bool], str]] = dict(
    id=ID,
    image_id=ID,
    category_id=ID,
    name=TEXT,
    bbox=BOX,
    area=NUMBER,
    score=NUMBER,
    iscrowd=(lambda value: value in (0, 1, None), '0 or 1, without quotes'),
    num_keypoints=(lambda value: True, 'how many are labeled'),
    segmentation=(lambda value: True, 'a list of polygons, or RLE'),
    keypoints=NUMBERS,
    foot_kpts=NUMBERS,
    face_kpts=NUMBERS,
    lefthand_kpts=NUMBERS,
    righthand_kpts=NUMBERS,
    file_name=TEXT,
    height=(_is_size, 'a number of pixels'),
    width=(_is_size, 'a number of pixels'),
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
    """Raise ValueError unless all that is read of a record is what it should be.

    Args:
        where: What a message calls it.
        record: Of annotations.
        needed: Keys of ``SHOULD`` that are to be there.
        read: Keys that may be there.
        reader: What a message says needs them.
    """
    for key in (*needed.split(), *read.split()):
        holds, should = SHOULD[key]
        if key in record:
            if not holds(record[key]):
                raise ValueError(
                    f'{where}: "{key}" is {str(record[key])[:60]!r}, and should be '
                    f'{should}; correct it, or remove the record'
                )
        elif key in needed.split():
            raise ValueError(
                f'{where} has no "{key}", without which {reader} fails; add it '
                f'({should}), or remove the record'
            )


def read_text_for_library(path: Path) -> str:
    """Read a file that a library is going to read as UTF-8.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no UTF-8, or has a byte-order mark.
    """
    content = path.read_bytes()
    try:
        if not content.startswith(MARKS):
            return content.decode()
    except UnicodeDecodeError:
        pass
    raise ValueError(
        f'{path}: is not UTF-8, or begins with a byte-order mark, with which the '
        "config's library cannot read it; save it as UTF-8 without one"
    )


def parse_json(text: str, where: object) -> object:
    """Raises ValueError, naming the file or line, if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{where}: not JSON ({error}); get the file again') from error
