"""Re-identification, against an evaluation that sorts one query at a time."""

import pytest
import torch

from saip_mm.downstream.retrieval import (
    LabeledFeatures,
    evaluate_retrieval,
    score_ranking,
)


def plain_evaluation(distances, query, gallery):
    """What Retrieval has, with lists of (identity, camera)."""
    precisions, firsts, left_out = [], [], 0
    for row, (identity, camera) in zip(distances, query, strict=True):
        entries = []
        for distance, (other, other_camera) in zip(row, gallery, strict=True):
            if other == -1 or (other == identity and other_camera == camera):
                continue
            right = other == identity and identity > 0
            entries.append((distance, right))
        entries.sort()  # False before True at the same distance
        found, total, first = 0, 0.0, None
        for position, (_, right) in enumerate(entries, 1):
            if right:
                found += 1
                first = first or position
                total += found / position
        if found == 0:
            left_out += 1
            continue
        precisions.append(total / found)
        firsts.append(first)
    count = len(precisions)
    ranks = [sum(first <= k for first in firsts) / count for k in (1, 5, 10)]
    return sum(precisions) / count, *ranks, count, left_out


@pytest.mark.parametrize('seed', range(5))
def test_agrees_with_plain_loops(seed):
    """Ties, junk, distractors, same cameras and people who are nowhere else."""
    rng = torch.Generator().manual_seed(seed)
    looks = torch.rand(25, 6, generator=rng)  # far fewer than images: many ties

    def draw(count, lowest):
        features = looks[torch.randint(25, (count,), generator=rng)]
        identities = torch.randint(lowest, 30, (count,), generator=rng)
        cameras = torch.randint(1, 4, (count,), generator=rng)
        return LabeledFeatures(features, identities, cameras)

    query, gallery = draw(70, 1), draw(90, -1)
    a, b = query.features.double(), gallery.features.double()
    cosine = (a[:, None] * b).sum(dim=2) / a.norm(dim=1)[:, None] / b.norm(dim=1)
    expected = plain_evaluation(
        cosine.mul(-1e9).round().tolist(),
        list(zip(query.pids.tolist(), query.camids.tolist(), strict=True)),
        list(zip(gallery.pids.tolist(), gallery.camids.tolist(), strict=True)),
    )
    result = evaluate_retrieval(query, gallery, chunk_size=16)
    assert tuple(result) == pytest.approx(expected, abs=1e-6)
    assert result.num_left_out > 0


@pytest.mark.parametrize('seed', range(5))
def test_random_distances_with_ties(seed):
    rng = torch.Generator().manual_seed(seed)
    distances = torch.randint(20, (40, 60), generator=rng) / 20
    kind = torch.randint(4, (40, 60), generator=rng)  # 0 right, 1 and 2 wrong, 3 junk
    kind[:, 0] = 0
    precisions, ranks = score_ranking(distances, kind == 0, (kind == 1) | (kind == 2))
    for i in range(40):
        gallery = [({0: 1, 3: -1}.get(k, 2), 1) for k in kind[i].tolist()]
        mean, *hits, _, _ = plain_evaluation([distances[i].tolist()], [(1, 2)], gallery)
        assert precisions[i].item() == pytest.approx(mean, abs=1e-6)
        assert [float(ranks[i] <= k) for k in (1, 5, 10)] == hits


def test_features_that_are_all_alike_earn_the_least():
    identities = torch.arange(1, 11).repeat_interleave(2)
    cameras = torch.tensor([1, 2] * 10)
    people = LabeledFeatures(torch.ones(20, 4), identities, cameras)
    result = evaluate_retrieval(people, people)
    assert result.rank1 == 0
    assert result.mean_average_precision == pytest.approx(1 / 19)


def test_what_cannot_be_evaluated():
    alone = LabeledFeatures(
        torch.rand(3, 2), torch.tensor([1, 2, 3]), torch.tensor([1, 2, 3])
    )
    with pytest.raises(ValueError, match='none of 3 queries has an image of the same'):
        evaluate_retrieval(alone, alone)
    broken = alone._replace(features=torch.full((3, 2), torch.nan))
    with pytest.raises(ValueError, match='not finite'):
        evaluate_retrieval(broken, alone)
