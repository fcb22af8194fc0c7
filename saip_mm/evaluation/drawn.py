"""Probes on drawn people that no model was trained on."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from ..data import SyntheticPeople
from ..data.views import Size
from ..downstream.retrieval import LabeledFeatures, evaluate_retrieval, report_left_out
from .objectives import probe_objectives
from .readout import attribute_accuracy, keypoint_pck, part_iou
from .subject import Subject, log

TEST_SEED, TRAIN_SEED = 900_001, 900_002  # not used by any config


@dataclass(frozen=True)
class ProbeSizes:
    """Number of people in the probes.

    Attributes:
        identities: People for testing.
        images: Images per person.
        train_identities: Other people, for fitting linear maps.
        train_images: Images per person.
        views: People for search and reconstruction, with one image each.
    """

    identities: int = 100
    images: int = 8
    train_identities: int = 200
    train_images: int = 4
    views: int = 128


class LabeledPeople(NamedTuple):
    """N labeled images of one person each; coordinates in pixels."""

    images: np.ndarray
    """RGB, uint8 [N, h, w, 3]."""
    pids: Tensor
    """int64 [N], from 1."""
    camids: Tensor
    """int64 [N]."""
    attributes: Tensor
    """bool [N, A]."""
    parts: Tensor
    """uint8 [N, h, w], indices of LIP labels."""
    keypoints: Tensor
    """float32 [N, K, 3]: x, y, and v as in COCO."""
    boxes: Tensor
    """float32 [N, 4]: x1, y1, x2, y2 of the whole person."""


@lru_cache(maxsize=4)
def draw_people(
    num_identities: int, images_per_identity: int, seed: int, size: Size
) -> LabeledPeople:
    """Draw people, once per process."""
    people = SyntheticPeople(num_identities, images_per_identity, seed, size)
    infos = [people.get_data_info(i) for i in range(len(people))]
    bar = track(infos, 'Drawing people', transient=True)
    drawn = [people.load_labeled(info) for info in bar]
    persons = [image.people[0] for image in drawn]
    return LabeledPeople(
        images=np.stack([image.image for image in drawn]),
        pids=torch.tensor([info['identity'] for info in infos]) + 1,
        camids=torch.tensor([info['camera'] for info in infos]),
        attributes=_stack(person.attributes for person in persons),
        parts=_stack(image.parts for image in drawn),
        keypoints=_stack(person.keypoints for person in persons),
        boxes=_stack(person.full_box for person in persons),
    )


def _stack(arrays: Iterable[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(list(arrays)))


def run_probes(subject: Subject, sizes: ProbeSizes = ProbeSizes()) -> dict[str, float]:
    """Scores of features and heads by name; probes that do not apply are omitted."""
    log(
        f'drawn people: {sizes.identities} for testing, {sizes.train_identities} '
        'others for fitting'
    )
    features = subject.features
    train = draw_people(
        sizes.train_identities, sizes.train_images, TRAIN_SEED, features.size
    )
    test = draw_people(sizes.identities, sizes.images, TEST_SEED, features.size)
    fitted, tested = (
        subject.embed(each.images, features.has_patches) for each in (train, test)
    )
    gallery = LabeledFeatures(tested.image, test.pids, test.camids)
    found = evaluate_retrieval(gallery, gallery)
    report_left_out(found)
    scores = {
        'reid/mAP': found.mean_average_precision,
        'reid/rank1': found.rank1,
        'attributes/mA': attribute_accuracy(
            fitted.image, train.attributes, tested.image, test.attributes
        ),
    }
    if features.has_patches:
        maps, test_maps = fitted.patches, tested.patches
        scores['parts/mIoU'] = part_iou(maps, train.parts, test_maps, test.parts)
        scores['keypoints/PCK'] = keypoint_pck(
            maps, train.keypoints, test_maps, test.keypoints, test.boxes, features.size
        )
    else:
        log('parts and keypoints omitted: no features of patches')
    if subject.model is None:
        log(f'search and reconstruction omitted: {subject.no_heads}')
    elif subject.model.search or subject.model.reconstruction:
        scores |= probe_objectives(subject.model, subject.views(sizes.views))
    return scores
