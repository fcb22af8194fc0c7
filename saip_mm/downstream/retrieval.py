"""Evaluation of re-identification by Market-1501's protocol."""

from typing import NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.nn.functional import normalize

from .market1501 import DISTRACTOR, JUNK

EXACT = 'donot_use_mm_for_euclid_dist'  # of torch.cdist


class LabeledFeatures(NamedTuple):
    """Features [N, D], identities [N], and cameras [N] of images.

    Identity ``JUNK`` is ignored; ``DISTRACTOR`` never matches.
    """

    features: Tensor
    pids: Tensor
    camids: Tensor


class Retrieval(NamedTuple):
    """Results of a retrieval; rank k is the share of queries with a match in the top k.

    ``num_queries`` counts queries with a match, ``num_left_out`` those without. The
    inverse negative penalty (Ye et al., arXiv 2001.04193) is the number of matches over
    the rank of the last one.
    """

    mean_average_precision: float
    mean_inverse_negative_penalty: float
    rank1: float
    rank5: float
    rank10: float
    num_queries: int
    num_left_out: int


def evaluate_retrieval(
    query: LabeledFeatures,
    gallery: LabeledFeatures,
    chunk_size: int = 256,
) -> Retrieval:
    """Rank the gallery by its distance from each query.

    Matches show the same person in another camera. Images of the same person from the
    same camera are ignored, as is junk. Average precision is the mean precision at the
    ranks of the matches.

    Args:
        query: May be the gallery itself: an image does not match itself, as its camera
            is the same.
        gallery: Ranked images.
        chunk_size: Queries per chunk.

    Raises:
        ValueError: If features are not finite or no query has a match.
    """
    queries, others = _unit(query.features), _unit(gallery.features)
    scores, ranks = [], []
    indices = torch.arange(len(query.features), device=query.features.device)
    for rows in indices.split(chunk_size):
        pids = query.pids[rows, None]
        same = (pids == gallery.pids) & (pids > DISTRACTOR)
        right = same & (query.camids[rows, None] != gallery.camids)
        wrong = ~same & (gallery.pids != JUNK)
        findable = right.any(dim=1)
        if findable.any():
            *score, rank = score_ranking(
                # Without a matrix product, whose rounding would break ties.
                torch.cdist(queries[rows[findable]], others, compute_mode=EXACT),
                right[findable],
                wrong[findable],
            )
            scores.append(torch.stack(score))
            ranks.append(rank)
    if not scores:
        raise ValueError(
            f'none of {len(query.features)} queries has an image of the same identity '
            f'from another camera among the {len(gallery.features)} of the gallery'
        )
    ranks = torch.cat(ranks)
    return Retrieval(
        *torch.cat(scores, dim=1).mean(dim=1).tolist(),
        *((ranks <= depth).double().mean().item() for depth in (1, 5, 10)),
        num_queries=len(ranks),
        num_left_out=len(query.features) - len(ranks),
    )


def report_left_out(result: Retrieval) -> None:
    """Log the number of queries without a match, if any."""
    if result.num_left_out:
        total = result.num_queries + result.num_left_out
        print_log(
            f're-ID: {result.num_left_out} of {total} queries are left out: no other '
            'camera has an image of their identity',
            logger='current',
        )


def score_ranking(
    distances: Tensor, right: Tensor, wrong: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Average precision, inverse negative penalty, and rank of the first match, from 1,
    of each query, [Q] each.

    At equal distances, wrong images precede right ones, so that features that cannot
    tell people apart do not profit from the order of the gallery.

    Args:
        distances: [Q, G] finite.
        right: bool [Q, G], at least one per query.
        wrong: bool [Q, G]; images that are neither are ignored.
    """
    found = right.sum(dim=1)
    hits = distances.masked_fill(~right, torch.inf).sort(dim=1).values
    hits = hits[:, : found.max()].contiguous()
    misses = distances.masked_fill(~wrong, torch.inf).sort(dim=1).values
    before = torch.searchsorted(misses, hits, right=True)  # misses up to each hit
    rank = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    precision = rank / (rank + before).double()
    precision = precision.where(rank <= found[:, None], 0)
    last = precision.gather(1, found[:, None] - 1)[:, 0]
    return precision.sum(dim=1) / found, last, before[:, 0] + 1


def _unit(features: Tensor) -> Tensor:
    """Features [N, D] scaled to length 1, in double precision."""
    if not features.isfinite().all():
        raise ValueError('features are not finite')
    return normalize(features.double(), dim=1)
