"""Probes on real photographs: re-identification and keypoints."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log
from rich.progress import track
from torch import Tensor

from ..data.folders import require_files
from ..data.images import BACKGROUND, read_image
from ..data.person_boxes import (
    PersonBox,
    crop_person,
    large_enough,
    read_person_keypoints,
    read_photograph,
)
from ..data.pixels import resize, to_tensor
from ..data.views import Size
from ..downstream.market1501 import DISTRACTOR, ReIDImage, read_folder
from ..downstream.retrieval import (
    LabeledFeatures,
    evaluate_retrieval,
    report_left_out,
)
from .features import Embedded, embed
from .readout import keypoint_pck
from .subject import Subject

MARKET_FOLDERS = ('query', 'bounding_box_test')
MARGIN = 0.1  # around a person's box, on each side
MIN_SIZE = (64, 32)  # (h, w) of a person in pixels
MIN_PEOPLE, MAX_PEOPLE = 3, 1000  # of each half


def probe_market1501(subject: Subject, folder: str | Path) -> dict[str, float]:
    """Re-identification in a folder like Market-1501.

    Args:
        subject: Subject of the probe.
        folder: Folder with ``query`` and ``bounding_box_test``, whose file names
            contain identity and camera: ``0002_c1s1_000451_03.jpg``. Identity -1 is
            ignored, 0000 is a distractor.

    Raises:
        OSError: If a folder has no images, or an image cannot be read.
        ValueError: If a name lacks an identity, or no query has a match.
    """
    # All names are checked first: embedding the images takes minutes.
    listed = [_list_images(folder, name) for name in MARKET_FOLDERS]
    query, gallery = (_embed_all(subject, each) for each in listed)
    try:
        result = evaluate_retrieval(query, gallery)
    except ValueError as error:
        raise ValueError(f'{folder}: {error}') from error
    report_left_out(result)
    people = gallery.pids[gallery.pids > DISTRACTOR].unique()
    print_log(
        f'market1501: {result.num_queries} queries; a gallery of '
        f'{len(gallery.features)} images, of {len(people)} people',
        logger='current',
    )
    return {
        'market1501/mAP': result.mean_average_precision,
        'market1501/rank1': result.rank1,
    }


def probe_coco(
    subject: Subject, img_dir: str | Path, ann_file: str | Path
) -> dict[str, float]:
    """Keypoints of people in photographs with COCO-style annotations.

    Every second photograph, by name, is used for fitting, the others for testing; at
    most ``MAX_PEOPLE`` people of each half are used.

    Args:
        subject: What is probed, with features of patches.
        img_dir: Folder of the photographs.
        ann_file: Annotations with keypoints; any number of them per person.

    Raises:
        OSError: If a photograph is missing or cannot be read.
        ValueError: If annotations are malformed, or of too few people.
    """
    if not subject.features.has_patches:
        raise ValueError('keypoints need features of patches, which only networks have')
    people = [
        (person, keypoints)
        for person, keypoints in read_person_keypoints(str(ann_file))
        if large_enough(person.box, person.size, MIN_SIZE)
    ]
    names = sorted({person.img_path for person, _ in people})
    remedy = 'give the folder that the file names in the annotations are relative to'
    require_files(ann_file, str(img_dir), names, remedy)
    to_fit = set(names[::2])
    halves = [
        [each for each in people if (each[0].img_path in to_fit) == fit]
        for fit in (True, False)
    ]
    if min(map(len, halves)) < MIN_PEOPLE:
        counts = ' and '.join(str(len(half)) for half in halves)
        raise ValueError(
            f'{ann_file}: alternate photographs give {counts} people '
            f'of at least {MIN_SIZE[0]}x{MIN_SIZE[1]} pixels (h x w) with keypoints; '
            f'at least {MIN_PEOPLE} each are needed for fitting and testing'
        )
    print_log(
        f'coco: {min(len(halves[1]), MAX_PEOPLE)} people for testing, '
        f'{min(len(halves[0]), MAX_PEOPLE)} others for fitting',
        logger='current',
    )
    train, test = (_crops(subject, str(img_dir), each[:MAX_PEOPLE]) for each in halves)
    (fitted, keypoints, _), tested = train, (test[0].patches, *test[1:])
    pck = keypoint_pck(fitted.patches, keypoints, *tested, subject.features.size)
    return {'coco/PCK': pck}


def _list_images(folder: str | Path, name: str) -> list[ReIDImage]:
    """The images of one of Market-1501's folders.

    Raises:
        OSError: If the folder does not exist or has no images.
        ValueError: If a file name lacks an identity.
    """
    path = os.path.join(folder, name)
    if not os.path.isdir(path):
        raise NotADirectoryError(
            f'{path}: no such folder; a folder like Market-1501 has '
            f'{" and ".join(MARKET_FOLDERS)}'
        )
    return read_folder(path)


def _embed_all(subject: Subject, listed: list[ReIDImage]) -> LabeledFeatures:
    paths, pids, camids = zip(*listed, strict=True)
    name = os.path.basename(os.path.dirname(paths[0]))
    tracked = track(paths, f'Embedding {name}', transient=True)
    images = (_resized(read_image(path), subject.features.size) for path in tracked)
    embedded = embed(subject.features, images, device=subject.device)
    return LabeledFeatures(embedded.image, torch.tensor(pids), torch.tensor(camids))


def _crops(
    subject: Subject, img_dir: str, people: list[tuple[PersonBox, np.ndarray]]
) -> tuple[Embedded, Tensor, Tensor]:
    """Features of people, their keypoints [N, K, 3] and boxes [N, 4] in the crops."""
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
    return embedded, *stacked


def _square_up(
    photograph: np.ndarray, person: PersonBox, size: Size
) -> tuple[np.ndarray, np.ndarray, float]:
    """A person's crop, padded with gray to the aspect of ``size`` and resized to it.

    Returns:
        uint8 [*size, 3]; (x, y) of its corner in the photograph; and its magnification.
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
    return _resized(canvas, size), corner - (left, top), scale


def _resized(image: np.ndarray, size: Size) -> np.ndarray:
    """uint8 [h, w, 3] → uint8 [*size, 3]"""
    return resize(to_tensor(image), size).permute(1, 2, 0).numpy()
