"""People in photographs: COCO-style boxes, and what is cut out with them.

Boxes are ``(x, y, w, h)`` in pixels of the photograph as it is seen, that is, after
its EXIF orientation was applied: as annotation tools show it and MMDetection reads it.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .images import ImageError, read_image

Box = tuple[float, float, float, float]


class PersonBox(NamedTuple):
    """One person in a photograph."""

    img_path: str  # as in the annotations
    box: Box  # (x, y, w, h)
    size: tuple[int, int] | None  # (h, w) of the photograph, where annotations say it


def read_person_boxes(ann_file: str) -> list[PersonBox]:
    """Read the people of a COCO-style annotation file.

    If the file has categories, only annotations of the one named "person" count.
    Crowds (``iscrowd``) are left out.

    Args:
        ann_file: JSON with ``images`` (``id``, ``file_name``, and best also ``height``
            and ``width``) and ``annotations`` (``image_id``, ``bbox``).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is malformed or holds nobody.
    """
    return [person for person, _ in _people(ann_file)]


def read_person_keypoints(ann_file: str) -> list[tuple[PersonBox, np.ndarray]]:
    """Read the people of a COCO-style annotation file who have labelled keypoints.

    Args:
        ann_file: As for :func:`read_person_boxes`, with ``keypoints`` (a flat list of
            x, y in pixels and v > 0 where labelled) in its annotations.

    Returns:
        Boxes, and keypoints float32 [K, 3], as many of each person.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is malformed or has no keypoints.
    """
    people, numbers = [], set()
    for person, annotation in _people(ann_file):
        where = f'{ann_file}: annotation {annotation.get("id", annotation)}'
        flat = annotation.get('keypoints', [])
        try:
            keypoints = np.array(flat, np.float32).reshape(-1, 3)
        except (TypeError, ValueError):
            keypoints = np.full((1, 3), np.nan)
        if not np.isfinite(keypoints).all():
            raise ValueError(
                f'{where}: "keypoints" should be a flat list of x, y, v for each, all '
                'finite numbers; correct or remove it'
            )
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


def _people(ann_file: str) -> Iterator[tuple[PersonBox, dict]]:
    """People of an annotation file, with the annotation of each."""
    content = _load_json(ann_file)
    images = {}
    for image in _records(content, 'images', ann_file):
        where = f'{ann_file}: image {image.get("id", image)}'
        image_id = _get(image, 'id', (int, str), where)
        if image_id in images:
            raise ValueError(f'{where} is there twice; give each its own id')
        file_name = _get(image, 'file_name', str, where)
        images[image_id] = (file_name, _size(image, where))
    person_ids = _person_ids(content, ann_file)
    annotations = _records(content, 'annotations', ann_file)
    found = False
    for annotation in annotations:
        where = f'{ann_file}: annotation {annotation.get("id", annotation)}'
        if annotation.get('iscrowd') or (
            person_ids and _get(annotation, 'category_id', int, where) not in person_ids
        ):
            continue
        image_id = _get(annotation, 'image_id', (int, str), where)
        if image_id not in images:
            raise ValueError(
                f'{where} is of image {image_id}, which "images" does not have; add '
                'the image, or remove the annotation'
            )
        file_name, size = images[image_id]
        found = True
        yield PersonBox(file_name, _box(annotation, where), size), annotation
    if not found:
        raise ValueError(
            f'{ann_file}: nobody in it; its {len(annotations)} annotations are of '
            'other categories, or crowds'
        )


def _load_json(path: str) -> dict:
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: there is no such annotation file')
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
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


def _records(content: dict, key: str, ann_file: str) -> list[dict]:
    records = content.get(key)
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise ValueError(
            f'{ann_file}: should have a list of objects "{key}", as COCO annotations; '
            f'it has the keys {", ".join(content) or "none"}'
        )
    return records


def _get(record: dict, key: str, kind: type | tuple, where: str) -> Any:
    if not isinstance(record.get(key), kind):
        raise ValueError(
            f'{where}: "{key}" is {repr(record[key]) if key in record else "missing"}; '
            'correct or remove the record'
        )
    return record[key]


def _size(image: dict, where: str) -> tuple[int, int] | None:
    if not (image.get('height') and image.get('width')):
        return None
    return _get(image, 'height', int, where), _get(image, 'width', int, where)


def _person_ids(content: dict, ann_file: str) -> set:
    """Category ids that mean a person; empty where the file has no categories."""
    if not content.get('categories'):
        return set()
    categories = _records(content, 'categories', ann_file)
    names = {}
    for category in categories:
        where = f'{ann_file}: category {category.get("name")}'
        names[_get(category, 'id', (int, str), where)] = category.get('name')
    ids = {key for key, name in names.items() if str(name).lower() == 'person'}
    if not ids:
        raise ValueError(
            f'{ann_file}: no category is named "person", only '
            f'{", ".join(map(str, names.values()))}; rename the one of people'
        )
    return ids


def _box(annotation: dict, where: str) -> Box:
    box = _get(annotation, 'bbox', list, where)
    if (
        len(box) != 4
        or not all(isinstance(v, (int, float)) and math.isfinite(v) for v in box)
        or min(box[2:]) < 0
    ):
        raise ValueError(
            f'{where}: "bbox" should be [x, y, width, height], four finite numbers of '
            f'which the last two are not negative; it is {box}; correct or remove it'
        )
    return tuple(box)


def large_enough(
    box: Box, size: tuple[int, int] | None, min_size: tuple[int, int]
) -> bool:
    """Whether what is visible of a box is at least of a size.

    Args:
        box: ``(x, y, w, h)``.
        size: ``(h, w)`` of the photograph; without it all of the box is visible.
        min_size: ``(h, w)``.
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
    """Read an annotated photograph.

    Args:
        path: Image file.
        size: ``(h, w)`` that its boxes refer to, if known.

    Returns:
        RGB image, uint8 ``[H, W, 3]``.

    Raises:
        ImageError: If it cannot be read, or is of another size.
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


def find_missing(folder: str, paths: Iterable[str]) -> list[int]:
    """Positions of the paths, relative to a folder, that do not exist.

    Every folder is listed once, which is much faster than to ask for every file.
    """
    listed = {}
    missing = []
    for position, path in enumerate(paths):
        below, _, name = path.rpartition('/')  # os.path.split is three times slower
        if below not in listed:
            listed[below] = _names(os.path.join(folder, below))
        if name not in listed[below]:
            missing.append(position)
    return missing


def _names(folder: str) -> set[str]:
    try:
        return set(os.listdir(folder))
    except (OSError, ValueError):  # a ValueError for bytes that no name may have
        return set()
