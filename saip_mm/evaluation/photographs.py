"""Keypoints and parts of people in photographs, by linear maps."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from rich.progress import track
from torch import Tensor

from ..data.folders import find_images, require_files
from ..data.images import BACKGROUND
from ..data.person_boxes import (
    PersonBox,
    crop_person,
    large_enough,
    read_person_keypoints,
    read_photograph,
)
from ..data.views import Size
from .features import embed
from .readout import keypoint_pck, part_iou
from .subject import Subject, log

MARGIN = 0.1  # around a person's box, on each side
MIN_SIZE = (64, 32)  # (h, w) of a person in pixels
MIN_PEOPLE, MAX_PEOPLE = 3, 1000  # of each half

Person = tuple[PersonBox, np.ndarray]  # and keypoints [K, 3]


def probe_keypoints(subject: Subject, sets: Sequence[str | Path]) -> dict[str, float]:
    """Keypoints of people in photographs with COCO-style annotations.

    Args:
        subject: Subject of the probe, with features of patches.
        sets: Folder of photographs and annotations with keypoints, any number of them
            per person: every second photograph, by name, is used for fitting, the
            others for testing. Or folder and annotations for fitting, and those for
            testing. At most ``MAX_PEOPLE`` people are used of each.

    Raises:
        OSError: If a photograph is missing or cannot be read.
        ValueError: If annotations are malformed, or of too few people.
    """
    _require_patches(subject, 'keypoints')
    people = [_read_people(*sets[i : i + 2]) for i in range(0, len(sets), 2)]
    if len(people) == 1:
        names = sorted({person.img_path for person, _ in people[0]})
        to_fit = set(names[::2])
        people = [
            [each for each in people[0] if (each[0].img_path in to_fit) == fit]
            for fit in (True, False)
        ]
    if min(map(len, people)) < MIN_PEOPLE:
        raise ValueError(
            f'{sets[1]}: {len(people[0])} people for fitting and {len(people[1])} for '
            f'testing of at least {MIN_SIZE[0]}x{MIN_SIZE[1]} pixels (h x w) with '
            f'keypoints; at least {MIN_PEOPLE} each are needed'
        )
    people = [each[:MAX_PEOPLE] for each in people]
    log(f'coco: {len(people[1])} people for testing, {len(people[0])} for fitting')
    fitted, tested = (len(each[0][1]) for each in people)
    if fitted != tested:
        raise ValueError(
            f'{sets[-1]}: has {tested} keypoints per person, {sets[1]} has {fitted}'
        )
    folders = [str(sets[0]), str(sets[-2])]
    train, test = (
        _crops(subject, folder, each)
        for folder, each in zip(folders, people, strict=True)
    )
    pck = keypoint_pck(*train[:2], *test, subject.features.size)
    return {'coco/PCK': pck}


def probe_parts(subject: Subject, folder: str | Path) -> dict[str, float]:
    """Parts of people in photographs with label maps.

    Args:
        subject: Subject of the probe, with features of patches.
        folder: Folder with ``train`` and ``test``, each with ``images`` and, under the
            same names with the extension .png, ``labels`` of the same sizes.

    Raises:
        OSError: If a file is missing or cannot be read.
        ValueError: If a label map has another size than its image or no labels.
    """
    _require_patches(subject, 'parts')
    folder = Path(folder)
    images = {
        part: find_images(str(folder / part / 'images')) for part in ('train', 'test')
    }
    for part, names in images.items():
        labels = [str(Path(name).with_suffix('.png')) for name in names]
        below = str(folder / part / 'labels')
        require_files(f'{folder / part}/images', below, labels, 'add the label maps')
    name = folder.resolve().name
    log(
        f'{name}: {len(images["test"])} images for testing, {len(images["train"])} '
        'others for fitting'
    )
    # All label maps are checked before the images are embedded, which takes minutes.
    labels = {
        part: [
            _read_labels(folder / part, each, subject.features.size) for each in names
        ]
        for part, names in images.items()
    }
    found = []
    for part, names in images.items():
        paths = [str(folder / part / 'images' / each) for each in names]
        patches = subject.embed(paths, patches=True).patches
        found += [patches, torch.from_numpy(np.stack(labels[part]))]
    return {f'{name}/mIoU': part_iou(*found)}


def _require_patches(subject: Subject, probe: str) -> None:
    if not subject.features.has_patches:
        raise ValueError(f'{probe} need features of patches, which only networks have')


def _read_people(img_dir: str | Path, ann_file: str | Path) -> list[Person]:
    """People that are large enough, with keypoints, in photographs that exist."""
    people = [
        (person, keypoints)
        for person, keypoints in read_person_keypoints(str(ann_file))[1]
        if large_enough(person.box, person.size, MIN_SIZE)
    ]
    names = sorted({person.img_path for person, _ in people})
    remedy = 'give the folder that the file names in the annotations are relative to'
    require_files(ann_file, str(img_dir), names, remedy)
    return people


def _read_labels(folder: Path, name: str, size: Size) -> np.ndarray:
    """Label map of an image, uint8 [*size]; nearest neighbors."""
    path = folder / 'labels' / Path(name).with_suffix('.png')
    try:
        with Image.open(path) as labels, Image.open(folder / 'images' / name) as image:
            if labels.mode not in ('L', 'P'):
                raise ValueError(
                    f'{path}: has mode {labels.mode}; 8 bits per pixel, each a label, '
                    'are needed'
                )
            if labels.size != image.size:
                raise ValueError(
                    f'{path}: has {labels.height}x{labels.width} pixels (h x w), its '
                    f'image {image.height}x{image.width}'
                )
            return np.asarray(labels.resize(size[::-1], Image.Resampling.NEAREST))
    except UnidentifiedImageError as error:
        raise ValueError(f'{path}: is not an image') from error


def _crops(
    subject: Subject, img_dir: str, people: list[Person]
) -> tuple[Tensor, Tensor, Tensor]:
    """Features of patches [N, C, h, w], keypoints [N, K, 3], boxes [N, 4] of crops."""
    size = subject.features.size
    labels = []

    def crops() -> Iterator[np.ndarray]:
        for person, keypoints in track(people, 'Embedding people', transient=True):
            path = os.path.join(img_dir, person.img_path)
            crop, origin, scale = _square_up(
                read_photograph(path, person.size), person, size
            )
            keypoints = keypoints.copy()
            keypoints[:, :2] = (keypoints[:, :2] - origin) * scale
            x, y, w, h = person.box
            box = (np.array([[x, y], [x + w, y + h]]) - origin) * scale
            labels.append((keypoints, box.astype(np.float32).ravel()))
            yield crop

    embedded = embed(subject.features, crops(), patches=True, device=subject.device)
    keypoints, boxes = zip(*labels, strict=True)
    stacked = (torch.from_numpy(np.stack(each)) for each in (keypoints, boxes))
    return embedded.patches, *stacked


def _square_up(
    photograph: np.ndarray, person: PersonBox, size: Size
) -> tuple[np.ndarray, np.ndarray, float]:
    """A person's crop, padded with gray to the aspect of ``size``.

    Returns:
        uint8 [h, w, 3]; (x, y) of its corner in the photograph; and the magnification
        that leads to ``size``.
    """
    x, y, w, h = person.box
    crop = crop_person(photograph, person.box, MARGIN)
    corner = np.floor([x - MARGIN * w, y - MARGIN * h]).clip(0)
    height, width = crop.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    full_height = max(height, round(size[0] / scale))
    full_width = max(width, round(size[1] / scale))
    top, left = (full_height - height) // 2, (full_width - width) // 2
    canvas = np.full((full_height, full_width, 3), BACKGROUND, np.uint8)
    canvas[top : top + height, left : left + width] = crop
    return canvas, corner - (left, top), scale
