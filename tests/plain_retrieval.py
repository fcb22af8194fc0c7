"""Scores of a retrieval, one query at a time."""

import numpy as np


def plain_scores(rankings):
    """mAP, mINP, rank-1, -5 and -10 of queries that have a match, and their number.

    A query is a list of (distance, whether the image is a match).
    """
    precisions, penalties, firsts = [], [], []
    for ranking in rankings:
        ordered = sorted(ranking)  # False precedes True at equal distances
        ranks = [rank for rank, (_, right) in enumerate(ordered, 1) if right]
        if ranks:
            firsts.append(ranks[0])
            precisions.append(np.mean([n / rank for n, rank in enumerate(ranks, 1)]))
            penalties.append(len(ranks) / ranks[-1])
    hits = [np.mean([first <= k for first in firsts]) for k in (1, 5, 10)]
    return [np.mean(precisions), np.mean(penalties), *hits, len(firsts)]
