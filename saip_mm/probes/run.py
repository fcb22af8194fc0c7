"""All probes, one after the other."""

import torch
from mmengine.logging import print_log

from .data import TEST_SEED, LabelledPeople, ProbeSizes, draw_people
from .features import Embedded, embed
from .retrieval import Sightings, evaluate_retrieval
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
    features = subject.features
    size = features.size
    test = draw_people(sizes.identities, sizes.images, TEST_SEED, size)
    tested = embed(features, test.images, features.has_patches, subject.device)
    return reid(test, tested, features.distance)


def reid(people: LabelledPeople, embedded: Embedded, distance: str) -> dict[str, float]:
    """Every image is searched for among all others."""
    identities = torch.from_numpy(people.identities)
    cameras = torch.from_numpy(people.cameras)
    sightings = Sightings(embedded.image, identities, cameras)
    return reid_scores(sightings, sightings, distance)


def reid_scores(
    query: Sightings, gallery: Sightings, distance: str
) -> dict[str, float]:
    result = evaluate_retrieval(query, gallery, distance)
    if result.num_left_out:
        total = result.num_queries + result.num_left_out
        print_log(
            f're-ID: {result.num_left_out} of {total} queries are left out: nobody '
            'else has an image of their identity',
            logger='current',
        )
    return {'reid/mAP': result.mean_average_precision, 'reid/rank1': result.rank1}
