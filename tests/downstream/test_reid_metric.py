"""Retrieval and ReIDMetric against plain loops."""

import numpy as np
import pytest
import torch
from plain_retrieval import plain_scores

from saip_mm.downstream.reid import ReIDMetric
from saip_mm.downstream.retrieval import LabeledFeatures, evaluate_retrieval


def plain_rankings(distances, query, gallery):
    """Market-1501's rules for lists of (pid, camid): what a query is compared with."""
    return [
        [
            (distance, other == pid and pid != 0)
            for distance, (other, other_camid) in zip(row, gallery, strict=True)
            if other != -1 and (other, other_camid) != (pid, camid)
        ]
        for row, (pid, camid) in zip(distances, query, strict=True)
    ]


def evaluate(metric: ReIDMetric, features, people, num_queries: int) -> list[float]:
    """mAP, rank-1, -5 and -10 of (pid, camid), the first of which are queries."""
    samples = [
        dict(feature=feature, pid=pid, camid=camid, is_query=i < num_queries)
        for i, (feature, (pid, camid)) in enumerate(zip(features, people, strict=True))
    ]
    metric.process({}, samples[:7])
    metric.process({}, samples[7:])
    found = metric.evaluate(len(samples))
    return [found[f'reid/{name}'] for name in ('mAP', 'rank1', 'rank5', 'rank10')]


@pytest.mark.parametrize('seed', range(4))
def test_agrees_with_plain_loops(seed):
    """With ties, junk, distractors, same cameras, and queries without a match."""
    rng = np.random.default_rng(seed)
    looks = rng.random((25, 6), np.float32)  # far fewer than images: many ties
    features = torch.tensor(looks[rng.integers(25, size=160)])
    pids = np.concatenate([rng.integers(0, 30, 70), rng.integers(-1, 30, 90)])
    camids = rng.integers(1, 4, 160)
    unit = (features / features.norm(dim=1, keepdim=True)).double()
    distances = (1 - unit[:70] @ unit[70:].T).mul(1e6).round().tolist()
    people = list(zip(pids.tolist(), camids.tolist(), strict=True))
    expected = plain_scores(plain_rankings(distances, people[:70], people[70:]))
    expected.append(70 - expected[-1])
    scores = evaluate(ReIDMetric(), features, people, 70)
    assert scores == pytest.approx([expected[0], *expected[2:5]], abs=1e-6)
    everyone = LabeledFeatures(features, torch.tensor(pids), torch.tensor(camids))
    query, gallery = (
        LabeledFeatures(*(each[part] for each in everyone))
        for part in (slice(70), slice(70, None))
    )
    found = evaluate_retrieval(query, gallery, chunk_size=16)
    assert found == pytest.approx(expected, abs=1e-6)
    assert found.num_left_out > 0


def test_perfect_features_score_one():
    people = [(i, camid) for camid in (1, 2, 2) for i in range(1, 41)]
    perfect = torch.eye(41)[[i for i, _ in people]]
    assert evaluate(ReIDMetric(), perfect, people, 40) == [1, 1, 1, 1]


def test_invalid_inputs():
    with pytest.raises(KeyError, match='lack camid, is_query: `feature` comes from'):
        ReIDMetric().process({}, [dict(feature=torch.ones(2), pid=1)])
    people, eye = [(1, 1), (2, 2), (3, 1)], torch.eye(3)
    for features, queries, message in (
        (eye, 0, 'none of 3 images is a query'),
        (eye, 1, 'none of 1 queries has an image of the same'),
        (eye * torch.nan, 1, 'not finite'),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(ReIDMetric(), features, people, queries)
