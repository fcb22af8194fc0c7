"""Keypoints and parts of people in photographs, by linear maps."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data.folders import find_images, path_of, require_files
from ..data.images import BACKGROUND, image_shape
from ..data.person_boxes import (
    People,
    PersonBox,
    crop_corner,
    crop_person,
    large_enough,
    read_person_keypoints,
    read_photograph,
)
from ..data.views import Size
from .readout import UNLABELED, keypoint_pck, part_iou
from .subject import Subject, log, score_name, thinned

MARGIN = 0.1  # around a person's box, on each side
MIN_SIZE = (64, 32)  # (h, w) of a person in pixels
MIN_PEOPLE, MAX_PEOPLE = 3, 1000  # of each half, or images with parts


def probe_keypoints(subject: Subject, sets: Sequence[str | Path]) -> dict[str, float]:
    """Keypoints of people in photographs with COCO-style annotations.

    ``sets`` are folder and annotations, with any number of keypoints per person: every
    second photograph, by name, is used for fitting, the others for testing. Or they are
    folder and annotations for fitting, then folder and annotations for testing. At most
    ``MAX_PEOPLE`` people are used of each. The subject has features of patches.
    """
    train = test = _read_people(*sets[:2])
    if len(sets) == 2:
        names = sorted({person.img_path for person, _ in train})
        to_fit = set(names[::2])
        train = [each for each in test if each[0].img_path in to_fit]
        test = [each for each in test if each[0].img_path not in to_fit]
    else:
        test = _read_people(*sets[2:])
    if min(len(train), len(test)) < MIN_PEOPLE:
        raise ValueError(
            f'{" and ".join(map(str, sets[1::2]))}: {len(train)} people for fitting '
            f'and {len(test)} for testing of at least {MIN_SIZE[0]}x{MIN_SIZE[1]} '
            f'pixels (h x w) with keypoints; at least {MIN_PEOPLE} each are needed'
        )
    train, test = train[:MAX_PEOPLE], test[:MAX_PEOPLE]
    log(f'coco: {len(test)} people for testing, {len(train)} for fitting')
    fitted, tested = len(train[0][1]), len(test[0][1])
    if fitted != tested:
        raise ValueError(
            f'{sets[-1]}: has {tested} keypoints per person, {sets[1]} has {fitted}'
        )
    patches, keypoints, _ = _embed_people(subject, sets[0], train)
    tested = _embed_people(subject, sets[-2], test)
    return {
        'coco/PCK': keypoint_pck(patches, keypoints, *tested, subject.features.size)
    }


def _read_people(img_dir: str | Path, ann_file: str | Path) -> People:
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


def _embed_people(
    subject: Subject, img_dir: str | Path, people: People
) -> tuple[Tensor, Tensor, Tensor]:
    """Features of patches [N, C, h, w], keypoints [N, K, 3], boxes [N, 4] of crops."""
    labels = []

    def crops() -> Iterator[np.ndarray]:
        for person, keypoints in people:
            path = path_of(str(img_dir), person.img_path)
            photograph = read_photograph(path, person.size)
            if not large_enough(person.box, photograph.shape[:2], MIN_SIZE):
                continue  # The annotations did not give the size of the photograph.
            crop, corner, scale = _square_up(photograph, person, subject.features.size)
            x, y, w, h = person.box
            box = (np.array([[x, y], [x + w, y + h]]) - corner) * scale
            keypoints = keypoints.copy()
            keypoints[:, :2] = (keypoints[:, :2] - corner) * scale
            labels.append((keypoints, box.astype(np.float32).ravel()))
            yield crop

    patches = subject.embed(crops(), patches=True).patches
    if not labels:
        raise ValueError(
            f'{img_dir}: no person has {MIN_SIZE[0]}x{MIN_SIZE[1]} pixels (h x w)'
        )
    keypoints, boxes = (
        torch.from_numpy(np.stack(x)) for x in zip(*labels, strict=True)
    )
    return patches, keypoints, boxes


def _square_up(
    photograph: np.ndarray, person: PersonBox, size: Size
) -> tuple[np.ndarray, np.ndarray, float]:
    """A person's crop, padded with gray to the aspect of ``size``.

    Returns:
        uint8 [h, w, 3]; (x, y) of its corner in the photograph; and the magnification
        that leads to ``size``.
    """
    crop = crop_person(photograph, person.box, MARGIN)
    height, width = crop.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    full_height = max(height, round(size[0] / scale))
    full_width = max(width, round(size[1] / scale))
    top, left = (full_height - height) // 2, (full_width - width) // 2
    canvas = np.full((full_height, full_width, 3), BACKGROUND, np.uint8)
    canvas[top : top + height, left : left + width] = crop
    return canvas, np.subtract(crop_corner(person.box, MARGIN), (left, top)), scale


def probe_parts(subject: Subject, folder: str | Path) -> dict[str, float]:
    """Parts of people in photographs with label maps.

    The folder has ``train`` and ``test``, each with ``images`` and ``labels``, which
    have the same names and sizes, with the extension .png; 255 means unlabeled, as in
    MMSegmentation. At most ``MAX_PEOPLE`` images are used of each. The subject has
    features of patches.
    """
    folder = Path(folder)
    # All label maps are checked before the images are embedded, which takes minutes.
    train, labels = _read_parts(folder / 'train', subject.features.size)
    test, test_labels = _read_parts(folder / 'test', subject.features.size)
    name = score_name(folder, 'parts')
    log(f'{name}: {len(test)} images for testing, {len(train)} others for fitting')
    maps, test_maps = (subject.embed(x, patches=True).patches for x in (train, test))
    return {f'{name}/mIoU': part_iou(maps, labels, test_maps, test_labels)}


def _read_parts(folder: Path, size: Size) -> tuple[list[Path], Tensor]:
    """Images of a folder, and their label maps, uint8 [N, *size]."""
    names = thinned(find_images(str(folder / 'images')), MAX_PEOPLE)
    files = [str(Path(name).with_suffix('.png')) for name in names]
    require_files(
        folder / 'images', str(folder / 'labels'), files, 'add the label maps'
    )
    images = [folder / 'images' / name for name in names]
    labels = [
        _read_labels(folder / 'labels' / file, image, size)
        for file, image in zip(files, images, strict=True)
    ]
    labels = torch.from_numpy(np.stack(labels))
    if len(labels[labels != UNLABELED].unique()) < 2:
        raise ValueError(
            f'{folder / "labels"}: has fewer than two labels besides {UNLABELED} '
            '(unlabeled); number the labels from 0'
        )
    return images, labels


def _read_labels(path: Path, image: Path, size: Size) -> np.ndarray:
    """Label map of an image, uint8 [*size]; nearest neighbors."""
    height, width = image_shape(image)
    try:
        with Image.open(path) as labels:
            if labels.mode not in ('L', 'P'):
                raise ValueError(
                    f'{path}: has mode {labels.mode}; 8 bits per pixel, each a label, '
                    'are needed'
                )
            if labels.size != (width, height):
                raise ValueError(
                    f'{path}: has {labels.height}x{labels.width} pixels (h x w), its '
                    f'image, upright, {height}x{width}'
                )
            return np.asarray(labels.resize(size[::-1], Image.Resampling.NEAREST))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f'{path}: is not an image, or damaged ({error})') from error
