"""All probes, one after the other."""

from collections.abc import Iterable

import numpy as np
from mmengine.logging import print_log
from rich.progress import track

from .data import TEST_SEED, TRAIN_SEED, LabelledPeople, ProbeSizes, draw_people
from .features import Embedded, embed
from .objectives import probe_objectives
from .readout import attribute_accuracy, keypoint_pck, part_iou
from .retrieval import Sightings, evaluate_retrieval, report_left_out
from .subject import Subject

DEFAULT_SIZES = ProbeSizes()


def run_probes(subject: Subject, sizes: ProbeSizes = DEFAULT_SIZES) -> dict[str, float]:
    """Probe features and heads on drawn people that nothing was trained on.

    Args:
        subject: What is probed; nothing of it is changed.
        sizes: How many people.

    Returns:
        Scores by name. Probes that cannot be run are left out, and the log says why.
    """
    print_log(
        f'drawn people: {sizes.identities} are tested, on {sizes.train_identities} '
        'others features are fitted',
        logger='current',
    )
    features = subject.features
    size, dense = features.size, features.has_patches
    train = draw_people(sizes.train_identities, sizes.train_images, TRAIN_SEED, size)
    test = draw_people(sizes.identities, sizes.images, TEST_SEED, size)
    train_embedded, embedded = (
        embed(features, _watched(people.images), dense, subject.device)
        for people in (train, test)
    )
    sightings = Sightings(embedded.image, test.identities, test.cameras)
    found = evaluate_retrieval(sightings, sightings)
    report_left_out(found)
    scores = {
        'reid/mAP': found.mean_average_precision,
        'reid/rank1': found.rank1,
        'attributes/mA': attribute_accuracy(
            train_embedded.image, train.attributes, embedded.image, test.attributes
        ),
    }
    if dense:
        scores |= _probe_patches(train_embedded, train, embedded, test, size)
    else:
        _leave_out('parts and keypoints', 'there are no features of patches')
    if subject.model is None:
        _leave_out('search and reconstruction', subject.no_heads)
    else:
        heads = dict(
            search=subject.model.search, reconstruction=subject.model.reconstruction
        )
        for name in (name for name, head in heads.items() if not head):
            _leave_out(name, 'the model has no such head')
        if any(heads.values()):
            scores |= probe_objectives(subject.model, subject.views(sizes.views))
    return scores


def _probe_patches(
    train: Embedded,
    train_people: LabelledPeople,
    test: Embedded,
    people: LabelledPeople,
    size: tuple[int, int],
) -> dict[str, float]:
    maps, test_maps = train.patches, test.patches
    return {
        'parts/mIoU': part_iou(maps, train_people.parts, test_maps, people.parts),
        'keypoints/PCK': keypoint_pck(
            maps,
            train_people.keypoints,
            test_maps,
            people.keypoints,
            people.boxes,
            size,
        ),
    }


def _watched(images: np.ndarray) -> Iterable[np.ndarray]:
    return track(images, 'Embedding people', transient=True)


def _leave_out(probes: str, reason: str) -> None:
    print_log(f'{probes} left out: {reason}', logger='current')
