"""People in photographs: COCO-style boxes, and what is cut out with them.

Boxes are ``(x, y, w, h)`` in pixels of the photograph as it is seen, that is, after
its EXIF orientation was applied: as annotation tools show it and MMDetection reads it.
"""

import math
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..files import read_text
from .coco import Box, by_id, check_record, id_text, parse_json, records
from .images import ImageError, read_image

OURS = 'saip_mm'  # reads the annotations


class PersonBox(NamedTuple):
    """One person in a photograph."""

    img_path: str  # as in the annotations
    box: Box  # (x, y, w, h)
    size: tuple[int, int] | None  # (h, w) of the photograph, where annotations say it


def read_person_boxes(ann_file: str) -> list[PersonBox]:
    """Read the people of a COCO-style annotation file.

    It is JSON with ``images`` (``id``, ``file_name``, and best also ``height`` and
    ``width``) and ``annotations`` (``image_id``, ``bbox``). If it has categories, only
    the one named "person" counts. Crowds (``iscrowd``) are left out.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is malformed or holds nobody.
    """
    return [person for person, _, _ in _people(ann_file)]


def read_person_keypoints(ann_file: str) -> list[tuple[PersonBox, np.ndarray]]:
    """Read the people of a COCO-style annotation file who have labeled keypoints.

    Like :func:`read_person_boxes`; annotations have ``keypoints``, a flat list of x, y
    in pixels and v > 0 where labeled.

    Returns:
        Boxes, and keypoints float32 [K, 3], as many of each person.
    """
    people, numbers = [], set()
    for person, where, annotation in _people(ann_file):
        check_record(where, annotation, '', 'keypoints', OURS)
        flat = annotation.get('keypoints', [])
        if len(flat) % 3:
            raise ValueError(
                f'{where}: "keypoints" has {len(flat)} numbers, and should have three '
                'of each: x, y, visibility; correct or remove it'
            )
        keypoints = np.array(flat, np.float32).reshape(-1, 3)
        if (keypoints[:, 2] > 0).any():
            people.append((person, keypoints))
            numbers.add(len(keypoints))
    if len(numbers) != 1:
        found = ' and '.join(map(str, sorted(numbers))) or 'no'
        raise ValueError(
            f'{ann_file}: its people have {found} keypoints; give annotations with the '
            'same keypoints of everybody'
        )
    return people


def _people(ann_file: str) -> Iterator[tuple[PersonBox, str, dict]]:
    """People of an annotation file, with name and record of the annotation of each."""
    if not os.path.isfile(ann_file):
        raise FileNotFoundError(f'{ann_file}: no such annotation file')
    content: Any = parse_json(read_text(ann_file), ann_file)
    images = {
        key: (image['file_name'], _size(where, image))
        for key, (where, image) in by_id(
            ann_file, content, 'images', 'id file_name', OURS
        ).items()
    }
    if 'annotations' not in content:
        raise ValueError(
            f'{ann_file}: has no "annotations", as COCO has them; it has the keys '
            f'{", ".join(content) or "none"}'
        )
    person_ids = _person_ids(content, ann_file)
    found = False
    for where, annotation in records(ann_file, content, 'annotations'):
        if _is_crowd(where, annotation):
            continue
        if person_ids:
            check_record(where, annotation, 'category_id', '', OURS)
            if id_text(annotation['category_id']) not in person_ids:
                continue
        check_record(where, annotation, 'image_id bbox', '', OURS)
        box, image_id = tuple(annotation['bbox']), id_text(annotation['image_id'])
        if min(box[2:]) < 0:
            raise ValueError(
                f'{where}: "bbox" is {box}, with a negative side; correct it, or '
                'remove the record'
            )
        if image_id not in images:
            raise ValueError(
                f'{where} is of image {image_id}, which "images" does not have; add '
                'the image, or remove the annotation'
            )
        found = True
        file_name, size = images[image_id]
        yield PersonBox(file_name, box, size), where, annotation
    if not found:
        raise ValueError(
            f'{ann_file}: nobody in it; its {len(content["annotations"])} annotations '
            'are of other categories, or crowds'
        )


def _is_crowd(where: str, annotation: dict) -> bool:
    """Whether an annotation is of a crowd; ``"iscrowd": "0"`` says that it is not."""
    value = annotation.get('iscrowd')
    value = int(value) if value in ('0', '1') else value
    check_record(where, dict(iscrowd=value), 'iscrowd', '', OURS)
    return bool(value)


def _size(where: str, image: dict) -> tuple[int, int] | None:
    """``(h, w)`` of an image; None if its record does not say it."""
    if not (image.get('height') and image.get('width')):
        return None
    check_record(where, image, 'height width', '', OURS)
    return int(image['height']), int(image['width'])


def _person_ids(content: dict, ann_file: str) -> set[str]:
    """Category ids that mean a person; empty where the file has no categories."""
    if not content.get('categories'):
        return set()
    categories = by_id(ann_file, content, 'categories', 'id', OURS)
    names = {key: str(record.get('name')) for key, (_, record) in categories.items()}
    ids = {key for key, name in names.items() if name.lower() == 'person'}
    if not ids:
        raise ValueError(
            f'{ann_file}: no category is named "person", only '
            f'{", ".join(names.values())}; rename the one of people'
        )
    return ids


def large_enough(
    box: Box, size: tuple[int, int] | None, min_size: tuple[int, int]
) -> bool:
    """Whether what is visible of a box is at least of a size ``(h, w)``.

    Without the ``size`` of the photograph, ``(h, w)``, all of the box is visible.
    """
    x, y, w, h = box
    if size is not None:
        h = min(y + h, size[0]) - max(y, 0)
        w = min(x + w, size[1]) - max(x, 0)
    return h >= min_size[0] and w >= min_size[1]


def crop_person(image: np.ndarray, box: Box, margin: float) -> np.ndarray:
    """Cut a person out.

    Args:
        image: Photograph ``[H, W, 3]``.
        box: ``(x, y, w, h)``.
        margin: Added on each side, relative to the width and height of the box.

    Returns:
        The whole pixels that the extended box touches, as far as the photograph goes,
        ``[h, w, 3]``, as an array of its own.
    """
    x, y, w, h = box
    top, bottom = math.floor(y - margin * h), math.ceil(y + h + margin * h)
    left, right = math.floor(x - margin * w), math.ceil(x + w + margin * w)
    # A copy, so that the crop does not keep the whole photograph in memory.
    return image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)].copy()


def read_photograph(path: str, size: tuple[int, int] | None) -> np.ndarray:
    """Read an annotated photograph: RGB, uint8 ``[H, W, 3]``.

    Raises:
        ImageError: If it cannot be read, or is not of the ``(h, w)`` that its
            annotations are for.
    """
    image = read_image(path)
    if size is not None and image.shape[:2] != tuple(size):
        raise ImageError(
            f'{path}: is {image.shape[0]}x{image.shape[1]} pixels (h x w, upright), '
            f'but its annotations are for {size[0]}x{size[1]}; use the photograph '
            'that was annotated. If only the sides are swapped, the boxes ignore its '
            'EXIF orientation: turn the file itself and annotate it again'
        )
    return image
