"""Keypoints of a data set's images, from a COCO-style file."""

import os
from collections import defaultdict
from collections.abc import Sequence
from math import prod

import numpy as np
from mmengine.logging import print_log

from .masked_view import NUM_KEYPOINTS
from .person_boxes import People, PersonBox, read_person_keypoints

REMEDY = 'write the file for these images with tools/make_keypoints.py'


def add_keypoints(path: str, entries: Sequence[dict]) -> None:
    """Add the keypoints of its person to each entry of a data list.

    ``keypoints`` are the bytes of float32 [17, 3] (x, y, v), or None if the file has no
    person for the entry. An entry with a ``box`` gets the keypoints of the same box;
    others get those of the largest person in the image, and the image's annotated
    ``size``. The log counts the entries without keypoints.

    Args:
        path: COCO-style file; file names as in the data list.
        entries: Dicts with ``img_path``.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is malformed, does not list all images, or its keypoints are not
            COCO's or mostly lie outside the images.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: no such file of keypoints; {REMEDY}')
    photographs, people = read_person_keypoints(path)
    _check(path, people)
    sizes = {os.path.normpath(name): size for name, size in photographs.items()}
    names = [os.path.normpath(entry['img_path']) for entry in entries]
    if missing := [name for name in names if name not in sizes]:
        raise ValueError(
            f'{path}: does not list {len(missing)} of {len(names)} images, such as '
            f'{missing[0]}, but for example {next(iter(sizes))}; {REMEDY}'
        )
    found = defaultdict(list)
    for person, keypoints in sorted(people, key=lambda each: prod(each[0].box[2:])):
        found[os.path.normpath(person.img_path)].append((person.box, keypoints))
    for entry, name in zip(entries, names, strict=True):
        own = [each for box, each in found[name] if box == entry.get('box', box)]
        entry.setdefault('size', sizes[name])
        entry['keypoints'] = own[-1].tobytes() if own else None
    count = sum(entry['keypoints'] is not None for entry in entries)
    print_log(
        f'{path}: keypoints for {count} of {len(names)} images; masks of the others '
        'ignore body parts',
        'current',
    )


def _check(path: str, people: People) -> None:
    if (number := len(people[0][1])) != NUM_KEYPOINTS:
        raise ValueError(
            f"{path}: people have {number} keypoints, but should have COCO's "
            f'{NUM_KEYPOINTS}; {REMEDY} and a model of COCO keypoints'
        )
    outside = [each for each in people if not _has_keypoint_inside(*each)]
    if 2 * len(outside) > len(people):
        person, keypoints = outside[0]
        height, width = person.size
        raise ValueError(
            f'{path}: {len(outside)} of {len(people)} people have no keypoint inside '
            f'their image; {person.img_path} has {height}x{width} pixels (h x w), and '
            f'x, y, v = {keypoints[0].tolist()}. Give x and y in pixels, or {REMEDY}'
        )


def _has_keypoint_inside(person: PersonBox, keypoints: np.ndarray) -> bool:
    if person.size is None:
        return True
    points = keypoints[keypoints[:, 2] > 0, :2]
    # A file with relative coordinates has all of them in the first pixel.
    inside = (points > 1) & (points <= person.size[::-1])
    return bool(inside.all(axis=1).any())
