"""People in photographs: COCO-style boxes and crops.

Boxes are ``(x, y, w, h)`` in pixels of the upright photograph, that is, with its EXIF
orientation applied, as in annotation tools and MMDetection.
"""

import math
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..files import read_text
from .coco import Box, Record, id_text, parse_json, records, records_by_id
from .images import ImageError, read_image
from .views import Size

READER = 'saip_mm'


class PersonBox(NamedTuple):
    """One person in a photograph."""

    img_path: str  # as in the annotations
    box: Box  # (x, y, w, h)
    size: Size | None  # (h, w) of the photograph, if annotated


def read_person_boxes(ann_file: str) -> list[PersonBox]:
    """Read the people in a COCO-style annotation file.

    This is JSON with ``images`` (``id``, ``file_name``, and preferably ``height`` and
    ``width``) and ``annotations`` (``image_id``, ``bbox``). If there are categories,
    only those named "person" count. Crowds (``iscrowd``) are ignored.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is malformed or contains no people.
    """
    return [person for person, _ in _people(ann_file, *_read(ann_file))]


def read_person_keypoints(ann_file: str) -> list[tuple[PersonBox, np.ndarray]]:
    """Read the people with labeled keypoints in a COCO-style annotation file.

    Like :func:`read_person_boxes`; annotations have ``keypoints``, a flat list of x, y
    in pixels and v > 0 where labeled.

    Returns:
        Boxes, and keypoints float32 [K, 3] with the same K for all people.
    """
    return _with_keypoints(ann_file, _people(ann_file, *_read(ann_file)))


def read_image_keypoints(
    ann_file: str,
) -> tuple[dict[str, Size | None], list[tuple[PersonBox, np.ndarray]]]:
    """Like :func:`read_person_keypoints`, with the images without people.

    Returns:
        ``(h, w)`` of all images by file name, None if not annotated; and the people.
    """
    content, images = _read(ann_file)
    sizes = {image['file_name']: _size(image) for image in images.values()}
    return sizes, _with_keypoints(ann_file, _people(ann_file, content, images))


def _with_keypoints(
    ann_file: str, annotated: Iterable[tuple[PersonBox, Record]]
) -> list[tuple[PersonBox, np.ndarray]]:
    people, numbers = [], set()
    for person, record in annotated:
        record.check('', 'keypoints')
        flat = record.get('keypoints', [])
        if len(flat) % 3:
            raise ValueError(
                f'{record.where}: "keypoints" has {len(flat)} numbers, and should have '
                'three per keypoint: x, y, visibility; correct or remove it'
            )
        keypoints = np.array(flat, np.float32).reshape(-1, 3)
        if (keypoints[:, 2] > 0).any():
            people.append((person, keypoints))
            numbers.add(len(keypoints))
    if len(numbers) != 1:
        found = ' and '.join(map(str, sorted(numbers))) or 'no'
        raise ValueError(
            f'{ann_file}: its people have {found} keypoints; use annotations with the '
            'same keypoints for all people'
        )
    return people


def _read(ann_file: str) -> tuple[dict, dict[str, Record]]:
    """Return the content of an annotation file, and its images by id."""
    if not os.path.isfile(ann_file):
        raise FileNotFoundError(f'{ann_file}: no such annotation file')
    content: Any = parse_json(read_text(ann_file), ann_file)
    images = records_by_id(ann_file, content, 'images', 'id file_name', READER)
    if 'annotations' not in content:
        raise ValueError(
            f'{ann_file}: has no "annotations", as in COCO; its keys are '
            f'{", ".join(content) or "none"}'
        )
    return content, images


def _people(
    ann_file: str, content: dict, images: dict[str, Record]
) -> Iterator[tuple[PersonBox, Record]]:
    """Yield the people in an annotation file, each with its annotation."""
    sizes = {key: _size(image) for key, image in images.items()}
    person_ids = _person_ids(content, ann_file)
    found = False
    for record in records(ann_file, content, 'annotations', READER):
        if record.get('iscrowd') in ('0', '1'):
            record['iscrowd'] = int(record['iscrowd'])
        record.check('category_id' if person_ids else '', 'iscrowd')
        if record.get('iscrowd'):
            continue
        if person_ids and id_text(record['category_id']) not in person_ids:
            continue
        record.check('image_id bbox')
        box, image_id = tuple(record['bbox']), id_text(record['image_id'])
        if min(box[2:]) < 0:
            raise ValueError(
                f'{record.where}: "bbox" is {box}, with a negative side; correct it or '
                'remove the record'
            )
        if image_id not in images:
            raise ValueError(
                f'{record.where} belongs to image {image_id}, which "images" does not '
                'have; add the image or remove the annotation'
            )
        found = True
        yield PersonBox(images[image_id]['file_name'], box, sizes[image_id]), record
    if not found:
        raise ValueError(
            f'{ann_file}: contains no people; its {len(content["annotations"])} '
            'annotations are of other categories, or crowds'
        )


def _size(image: Record) -> Size | None:
    """Return the ``(h, w)`` of an image, or None if it is not annotated."""
    if not (image.get('height') and image.get('width')):
        return None
    image.check('height width')
    return int(image['height']), int(image['width'])


def _person_ids(content: dict, ann_file: str) -> set[str]:
    """Return the ids of categories of people; empty if there are no categories."""
    if not content.get('categories'):
        return set()
    categories = records_by_id(ann_file, content, 'categories', 'id', READER)
    names = {key: str(record.get('name')) for key, record in categories.items()}
    ids = {key for key, name in names.items() if name.lower() == 'person'}
    if not ids:
        raise ValueError(
            f'{ann_file}: no category is named "person", only '
            f'{", ".join(names.values())}; rename the category of people'
        )
    return ids


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
    """Crop a person.

    Args:
        image: Photograph ``[H, W, 3]``.
        box: ``(x, y, w, h)``.
        margin: Added on each side, relative to the width and height of the box.

    Returns:
        Copy of all pixels that the extended box touches, ``[h, w, 3]``.
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
