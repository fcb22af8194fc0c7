"""People in photographs: COCO-style boxes, and what is cut out with them.

Boxes are ``(x, y, w, h)`` in pixels of the photograph as it is seen, that is, after
its EXIF orientation was applied: as annotation tools show it and MMDetection reads it.
"""

import math
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .coco import (
    Box,
    get_box,
    get_file_name,
    get_id,
    get_records,
    get_size,
    is_crowd,
    name_record,
    read_coco,
)
from .images import ImageError, read_image


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
        where = name_record(ann_file, 'annotation', annotation)
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
    content = read_coco(ann_file)
    images = {}
    for image in get_records(content, 'images', ann_file):
        where = name_record(ann_file, 'image', image)
        image_id = get_id(image, 'id', where)
        if image_id in images:
            raise ValueError(f'{where} is there twice; give each its own id')
        file_name = get_file_name(image, where)
        images[image_id] = (file_name, get_size(image, where))
    person_ids = _person_ids(content, ann_file)
    annotations = get_records(content, 'annotations', ann_file)
    found = False
    for annotation in annotations:
        where = name_record(ann_file, 'annotation', annotation)
        if is_crowd(annotation, where) or (
            person_ids and get_id(annotation, 'category_id', where) not in person_ids
        ):
            continue
        image_id = get_id(annotation, 'image_id', where)
        if image_id not in images:
            raise ValueError(
                f'{where} is of image {image_id}, which "images" does not have; add '
                'the image, or remove the annotation'
            )
        file_name, size = images[image_id]
        found = True
        yield PersonBox(file_name, get_box(annotation, where), size), annotation
    if not found:
        raise ValueError(
            f'{ann_file}: nobody in it; its {len(annotations)} annotations are of '
            'other categories, or crowds'
        )


def _person_ids(content: dict, ann_file: str) -> set:
    """Category ids that mean a person; empty where the file has no categories."""
    if not content.get('categories'):
        return set()
    names = {}
    for category in get_records(content, 'categories', ann_file):
        where = f'{ann_file}: category {category.get("name")}'
        names[get_id(category, 'id', where)] = category.get('name')
    ids = {key for key, name in names.items() if str(name).lower() == 'person'}
    if not ids:
        raise ValueError(
            f'{ann_file}: no category is named "person", only '
            f'{", ".join(map(str, names.values()))}; rename the one of people'
        )
    return ids


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


def photograph_path(folder: str, img_path: str) -> str:
    """Where a photograph is, whose path is absolute, below ``~`` or below a folder."""
    return os.path.join(folder, os.path.expanduser(img_path))


def find_missing(folder: str, paths: Iterable[str]) -> list[int]:
    """Positions of the paths, relative to a folder, that do not exist.

    Every folder is listed once, which is much faster than to ask for every file.
    """
    listed = {}
    missing = []
    for position, path in enumerate(paths):
        below, _, name = path.rpartition('/')  # os.path.split is three times slower
        if below not in listed:
            listed[below] = _names(photograph_path(folder, below))
        if name not in listed[below]:
            missing.append(position)
    return missing


def _names(folder: str) -> set[str]:
    try:
        return set(os.listdir(folder))
    except (OSError, ValueError):  # a ValueError for bytes that no name may have
        return set()
