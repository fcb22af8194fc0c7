"""ReIDMetric and re-ranking against plain loops."""

import math

import numpy as np
import pytest
import torch

from saip_mm.downstream.reid import KReciprocalDistance, ReIDMetric


def evaluate(metric: ReIDMetric, features, people, num_queries: int) -> dict:
    """Feed people, a list of (identity, camera), of whom queries come first."""
    samples = [
        dict(feature=feature, pid=i, camid=c, is_query=number < num_queries)
        for number, (feature, (i, c)) in enumerate(zip(features, people, strict=True))
    ]
    metric.process({}, samples[:7])
    metric.process({}, samples[7:])
    return metric.evaluate(len(samples))


def plain_scores(distances, query, gallery) -> dict:
    """Market-1501's evaluation, one query and one entry at a time."""
    precisions, firsts = [], []
    for row, (identity, camera) in zip(distances, query, strict=True):
        ranking = []
        for distance, (other, other_camera) in zip(row, gallery, strict=True):
            if other == -1 or (other, other_camera) == (identity, camera):
                continue
            ranking.append((distance, other == identity and identity != 0))
        ranking.sort()
        ranks = [rank for rank, (_, right) in enumerate(ranking, 1) if right]
        if ranks:
            firsts.append(ranks[0])
            precisions.append(
                sum(n / rank for n, rank in enumerate(ranks, 1)) / len(ranks)
            )
    count = len(firsts)
    scores = {f'rank{k}': sum(r <= k for r in firsts) / count for k in (1, 5, 10)}
    return dict(scores, mAP=sum(precisions) / count)


def draw_people(rng, count: int, lowest: int) -> list[tuple[int, int]]:
    return [
        (int(rng.integers(lowest, 9)), int(rng.integers(1, 4))) for _ in range(count)
    ]


@pytest.mark.parametrize('seed', range(4))
def test_agrees_with_plain_loops(seed):
    """With ties, junk, distractors and entries of the same camera."""
    rng = np.random.default_rng(seed)
    looks = rng.random((6, 6), np.float32)  # far fewer than images: many ties
    features = looks[rng.integers(0, 6, 80)].astype(float)
    people = draw_people(rng, 30, 0) + draw_people(rng, 50, -1)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    distances = np.round(1 - unit[:30] @ unit[30:].T, 9)
    expected = plain_scores(distances.tolist(), people[:30], people[30:])
    found = evaluate(ReIDMetric(), torch.tensor(features), people, 30)
    assert found == pytest.approx(
        {f'reid/{key}': value for key, value in expected.items()}, abs=1e-6
    )


def test_perfect_features_score_one_and_random_ones_chance():
    people = [(i, 1) for i in range(1, 41)] + [(i, 2) for i in range(1, 41)] * 2
    perfect = torch.eye(41)[[i for i, _ in people]]
    found = evaluate(ReIDMetric(rerank={}), perfect, people, 40)
    assert len(found) == 8
    assert all(value == 1 for value in found.values())
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(len(people), 8, generator=rng)
    found = evaluate(ReIDMetric(), noise, people, 40)
    assert found['reid/mAP'] < 0.15
    assert found['reid/rank10'] == pytest.approx(20 / 80, abs=0.2)


def test_what_cannot_be_evaluated_is_said():
    with pytest.raises(KeyError, match='lack camid, is_query: `feature` comes from'):
        ReIDMetric().process({}, [dict(feature=torch.ones(2), pid=1)])
    people = [(1, 1), (2, 2), (3, 1)]
    with pytest.raises(ValueError, match='none of 3 images is a query'):
        evaluate(ReIDMetric(), torch.eye(3), people, 0)
    with pytest.raises(ValueError, match='none of 1 queries has an image of the same'):
        evaluate(ReIDMetric(), torch.eye(3), people, 1)
    with pytest.raises(ValueError, match='k1=1, k2=6, weight=0.3 must fulfil'):
        KReciprocalDistance(torch.eye(3), torch.eye(3), k1=1)


def plain_rerank(features, num_queries, k1, k2, weight):
    """The paper's equations, with sets and dense encodings."""
    count = len(features)
    d = [[math.dist(a, b) ** 2 for b in features] for a in features]
    d = [[value / max(row) for value in row] for row in d]
    order = [sorted(range(count), key=lambda j, i=i: d[i][j]) for i in range(count)]

    def nearest(i, k):  # N(i, k), and i itself
        return set(order[i][: k + 1])

    def reciprocal(i, k):
        return {j for j in nearest(i, k) if i in nearest(j, k)}

    encoding = []
    for i in range(count):
        members = set(reciprocal(i, k1))
        for j in reciprocal(i, k1):
            small = reciprocal(j, k1 // 2)
            if len(reciprocal(i, k1) & small) >= 2 / 3 * len(small) - 1e-9:
                members |= small
        encoding.append(
            [math.exp(-d[i][j]) if j in members else 0 for j in range(count)]
        )
    mean = [
        [sum(encoding[j][c] for j in order[i][:k2]) / k2 for c in range(count)]
        for i in range(count)
    ]
    final = []
    for q in range(num_queries):
        row = []
        for g in range(num_queries, count):
            least = sum(map(min, mean[q], mean[g]))
            most = sum(map(max, mean[q], mean[g]))
            row.append((1 - weight) * (1 - least / most) + weight * d[q][g])
        final.append(row)
    return final


@pytest.mark.parametrize('k1, k2, weight', [(6, 3, 0.3), (4, 1, 0.0), (30, 2, 0.5)])
def test_reranking_agrees_with_the_equations(k1, k2, weight):
    rng = np.random.default_rng(k1)
    centres = rng.normal(size=(6, 5))
    features = centres[rng.integers(0, 6, 40)] + 0.5 * rng.normal(size=(40, 5))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    tensor = torch.tensor(features)
    distances = KReciprocalDistance(tensor[:12], tensor[12:], k1, k2, weight)
    expected = plain_rerank(features.tolist(), 12, k1, k2, weight)
    found = distances(torch.arange(12))
    torch.testing.assert_close(found, found.new_tensor(expected), atol=1e-9, rtol=0)
    torch.testing.assert_close(found[[3, 7]], distances(torch.tensor([3, 7])))
