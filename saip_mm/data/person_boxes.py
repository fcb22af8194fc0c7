"""People in photographs: COCO-style annotations and crops.

Boxes are ``(x, y, w, h)`` in pixels of the upright photograph, that is, with its EXIF
orientation applied, as in annotation tools and MMDetection.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from ..files import read_json
from .images import ImageError, read_image
from .views import Size

Box = tuple[float, float, float, float]
T = TypeVar('T')
MIN_OUTSIDE = 5  # boxes: fewer may be people whose hidden parts were guessed


class OtherAnnotations(ValueError):
    """Annotations of another format, or of things other than people."""


class PersonBox(NamedTuple):
    """One person in a photograph."""

    img_path: str  # as in the annotations
    box: Box  # (x, y, w, h)
    size: Size | None  # (h, w) of the photograph, if annotated


Photographs = dict[str, Size | None]  # (h, w), if annotated, by file name
People = list[tuple[PersonBox, np.ndarray]]  # with keypoints, float32 [K, 3]: x, y, v


def read_person_boxes(ann_file: str) -> list[PersonBox]:
    """Read the people in a COCO-style annotation file, see :func:`read_people`."""
    return [person for person, _ in read_people(ann_file)[1]]


def read_person_keypoints(ann_file: str) -> tuple[Photographs, People]:
    """Like :func:`read_people`, without the people who have no labeled keypoint.

    Raises:
        ValueError: There are none, or their numbers of keypoints differ.
    """
    photographs, people = read_people(ann_file)
    people = [each for each in people if (each[1][:, 2] > 0).any()]
    numbers = sorted({len(keypoints) for _, keypoints in people})
    if len(numbers) != 1:
        raise ValueError(
            f'{ann_file}: its people have {" and ".join(map(str, numbers)) or "no"} '
            'keypoints; use annotations with the same keypoints for all people'
        )
    return photographs, people


def read_people(ann_file: str) -> tuple[Photographs, People]:
    """Read a COCO-style annotation file.

    This is JSON with ``images`` (``id``, ``file_name``, and preferably ``height`` and
    ``width``) and ``annotations`` (``image_id``, ``bbox``, perhaps ``keypoints``: x,
    y in pixels and v > 0 where labeled). If there are categories, only those named
    "person" count. Crowds (``iscrowd``) are ignored.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is malformed or contains no people, or most boxes end
            outside of their photographs.
    """
    content = _read_coco(ann_file)
    images = dict(_parse(ann_file, content, 'images', _parse_image))
    if len(images) < len(content['images']):
        raise ValueError(f'{ann_file}: several images have the same id')
    person_ids = _person_ids(ann_file, content)

    def parse(record: dict) -> tuple[PersonBox, np.ndarray] | None:
        if int(record.get('iscrowd') or 0):
            return None
        if person_ids and _id(record['category_id']) not in person_ids:
            return None
        box = tuple(map(float, record['bbox']))
        finite = all(abs(value) < 1e9 for value in box)
        if len(box) != 4 or min(box[2:]) < 0 or not finite:
            raise ValueError(f'"bbox" is {record["bbox"]}, not x, y, width, height')
        if (image := _id(record['image_id'])) not in images:
            raise ValueError(f'"images" has no image {image}')
        keypoints = np.array(record.get('keypoints') or (), np.float32).reshape(-1, 3)
        if not np.isfinite(keypoints).all():
            raise ValueError('"keypoints" are not finite')
        name, size = images[image]
        return PersonBox(name, box, size), keypoints

    people = list(filter(None, _parse(ann_file, content, 'annotations', parse)))
    if not people:
        raise ValueError(
            f'{ann_file}: contains no people; its {len(content["annotations"])} '
            'annotations are of other categories, or crowds'
        )
    boxes = [(each.box, each.size) for each, _ in people]
    check_ends(ann_file, [(x + w, y + h, size) for (x, y, w, h), size in boxes])
    return dict(images.values()), people


def check_ends(source: str, ends: Sequence[tuple[float, float, Size | None]]) -> None:
    """Raise a ValueError if most boxes end outside of their photographs.

    Args:
        source: Name of the annotations.
        ends: x and y of each box's lower right corner, and its photograph's (h, w).
    """
    outside = [x > 1.05 * size[1] or y > 1.05 * size[0] for x, y, size in ends if size]
    if sum(outside) > max(len(outside) / 2, MIN_OUTSIDE):
        raise ValueError(
            f'{source}: {sum(outside)} of {len(outside)} boxes end outside of their '
            'photographs: "bbox" is x, y, width, height, not two corners'
        )


def _read_coco(ann_file: str) -> dict:
    if not os.path.isfile(ann_file):
        raise FileNotFoundError(f'{ann_file}: no such annotation file')
    content, keys = read_json(ann_file), ('images', 'annotations')
    if not isinstance(content, dict) or content.keys().isdisjoint(keys):
        raise OtherAnnotations(f'{ann_file}: has no list of "images", as in COCO')
    for key in keys:
        if not isinstance(content.get(key), list):
            raise ValueError(f'{ann_file}: has no list of "{key}", as in COCO')
    return content


def _parse(
    ann_file: str, content: dict, key: str, parse: Callable[[dict], T]
) -> Iterator[T]:
    """Yield what ``parse`` makes of each record; its errors name the record."""
    for position, record in enumerate(content.get(key) or ()):
        try:
            yield parse(record)
        except Exception as error:  # a record may contain anything
            reason = f'has no {error}' if isinstance(error, KeyError) else str(error)
            has_id = isinstance(record, dict) and 'id' in record
            known = f' (id {record["id"]!r})' if has_id else ''
            raise ValueError(
                f'{ann_file}: {key}[{position}]{known}: {reason[:200]}; correct or '
                'remove it'
            ) from error


def _parse_image(record: dict) -> tuple[str, tuple[str, Size | None]]:
    name, size = record['file_name'], None
    if not isinstance(name, str):
        raise ValueError(f'"file_name" is {name!r}')
    if record.get('height') and record.get('width'):
        size = int(record['height']), int(record['width'])
    return _id(record['id']), (name, size)


def _person_ids(ann_file: str, content: dict) -> set[str]:
    """The ids of categories of people; empty if there are no categories."""

    def parse(record: dict) -> tuple[str, str]:
        return _id(record['id']), str(record.get('name'))

    names = dict(_parse(ann_file, content, 'categories', parse))
    ids = {key for key, name in names.items() if name.lower() == 'person'}
    if names and not ids:
        raise OtherAnnotations(
            f'{ann_file}: no category is named "person", only '
            f'{", ".join(names.values())}; rename the category of people'
        )
    return ids


def _id(value: float | str) -> str:
    """The text of an id, which is the same for ``1``, ``1.0`` and ``"1"``."""
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if is_whole else value)


def large_enough(box: Box, size: Size | None, min_size: Size) -> bool:
    """Return whether the visible part of a box has at least the size ``(h, w)``.

    Without the ``size`` ``(h, w)`` of the photograph, the box counts as fully visible.
    """
    x, y, w, h = box
    if size is not None:
        h = min(y + h, size[0]) - max(y, 0)
        w = min(x + w, size[1]) - max(x, 0)
    return h >= min_size[0] and w >= min_size[1]


def crop_person(image: np.ndarray, box: Box, margin: float) -> np.ndarray:
    """Copy all pixels that an extended box touches.

    Args:
        image: Photograph ``[H, W, 3]``.
        box: ``(x, y, w, h)``.
        margin: Added on each side, relative to the width and height of the box.
    """
    left, top = crop_corner(box, margin)
    x, y, w, h = box
    bottom, right = math.ceil(y + h + margin * h), math.ceil(x + w + margin * w)
    # A copy, so that the crop does not keep the whole photograph in memory.
    return image[top : max(bottom, 0), left : max(right, 0)].copy()


def crop_corner(box: Box, margin: float) -> tuple[int, int]:
    """Return the ``(x, y)`` of the first pixel of :func:`crop_person`'s crop."""
    x, y, w, h = box
    return max(math.floor(x - margin * w), 0), max(math.floor(y - margin * h), 0)


def read_photograph(path: str, size: Size | None) -> np.ndarray:
    """Read an annotated photograph: RGB, uint8 ``[H, W, 3]``.

    Raises:
        ImageError: It cannot be read, or does not have the annotated ``(h, w)``.
    """
    image = read_image(path)
    if size is not None and image.shape[:2] != tuple(size):
        raise ImageError(
            f'{path}: has {image.shape[0]}x{image.shape[1]} pixels (h x w, upright), '
            f'but its annotations are for {size[0]}x{size[1]}; use the photograph '
            'that was annotated. If only the sides are swapped, the boxes ignore its '
            'EXIF orientation: rotate the file itself and annotate it again'
        )
    return image
