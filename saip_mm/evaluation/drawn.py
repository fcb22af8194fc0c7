"""Probes on drawn people that no model was trained on."""

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
    """Numbers of people in the probes, and of their images."""

    identities: int = 100  # for testing
    images: int = 8  # of each
    train_identities: int = 200  # others, for fitting linear maps
    train_images: int = 4
    views: int = 128  # for search and reconstruction, with one image each


class LabeledPeople(NamedTuple):
    """N labeled images of one person each; coordinates in pixels."""

    images: np.ndarray  # RGB, uint8 [N, h, w, 3]
    pids: Tensor  # int64 [N], from 1
    camids: Tensor  # int64 [N]
    attributes: Tensor  # bool [N, A]
    parts: Tensor  # uint8 [N, h, w], indices of LIP labels
    keypoints: Tensor  # float32 [N, K, 3]: x, y, and v as in COCO
    boxes: Tensor  # float32 [N, 4]: x1, y1, x2, y2 of the whole person


@lru_cache(maxsize=4)
def draw_people(
    num_identities: int, images_per_identity: int, seed: int, size: Size
) -> LabeledPeople:
    """Draw people, once per process."""
    people = SyntheticPeople(num_identities, images_per_identity, seed, size)
    rows = []
    for index in track(range(len(people)), 'Drawing people', transient=True):
        info = people.get_data_info(index)
        drawn = people.load_labeled(info)
        person, who = drawn.people[0], (info['identity'] + 1, info['camera'])
        labels = person.attributes, drawn.parts, person.keypoints, person.full_box
        rows.append((drawn.image, *who, *labels))
    images, *labels = map(np.stack, zip(*rows, strict=True))
    return LabeledPeople(images, *map(torch.from_numpy, labels))


def run_probes(subject: Subject, sizes: ProbeSizes = ProbeSizes()) -> dict[str, float]:
    """Scores of features and heads by name; probes that do not apply are omitted."""
    tested, fitted = sizes.identities, sizes.train_identities
    log(f'drawn people: {tested} for testing, {fitted} others for fitting')
    features = subject.features
    train = draw_people(fitted, sizes.train_images, TRAIN_SEED, features.size)
    test = draw_people(tested, sizes.images, TEST_SEED, features.size)
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
