"""Evaluation of re-identification: how well queries find their person in a gallery."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.nn.functional import normalize

from .market1501 import DISTRACTOR, JUNK


class LabeledFeatures(NamedTuple):
    """Features of images whose person and camera are known."""

    features: Tensor
    """[N, D]"""
    pids: Tensor
    """[N] integers; ``JUNK`` is ignored, ``DISTRACTOR`` is never a match."""
    camids: Tensor
    """[N] integers."""


class Retrieval(NamedTuple):
    """How well queries found their person; rank k is the share with a match in k."""

    mean_average_precision: float
    rank1: float
    rank5: float
    rank10: float
    num_queries: int
    """Queries that had a match."""
    num_left_out: int
    """Queries without a match by another camera."""


def evaluate_retrieval(
    query: LabeledFeatures,
    gallery: LabeledFeatures,
    chunk_size: int = 256,
    distances: Callable[[Tensor], Tensor] | None = None,
) -> Retrieval:
    """Rank the gallery by its distance from every query, as Market-1501 is evaluated.

    A match shows the same person to another camera. Images of the same person by the
    same camera do not count, nor does junk. Average precision is the mean, over the
    matches, of the precision up to each.

    Args:
        query: May be the gallery itself: an image is not its own match, because the
            camera is the same.
        gallery: What is ranked.
        chunk_size: Queries at a time.
        distances: Gives the distances [R, G] of R queries, by their numbers [R], from
            the gallery; by default those of :func:`cosine_distances`.

    Raises:
        ValueError: If features are not finite, or no query has a match.
    """
    distances = distances or cosine_distances(query.features, gallery.features)
    precisions, ranks = [], []
    everyone = torch.arange(len(query.features), device=query.features.device)
    for rows in everyone.split(chunk_size):
        pids = query.pids[rows, None]
        same = (pids == gallery.pids) & (pids > DISTRACTOR)
        right = same & (query.camids[rows, None] != gallery.camids)
        wrong = ~same & (gallery.pids != JUNK)
        findable = right.any(dim=1)
        if findable.any():
            precision, rank = score_ranking(
                distances(rows[findable]), right[findable], wrong[findable]
            )
            precisions.append(precision)
            ranks.append(rank)
    if not precisions:
        raise ValueError(
            f'none of {len(query.features)} queries has an image of the same identity '
            f'by another camera among the {len(gallery.features)} of the gallery'
        )
    ranks = torch.cat(ranks)
    return Retrieval(
        torch.cat(precisions).mean().item(),
        *((ranks <= depth).double().mean().item() for depth in (1, 5, 10)),
        num_queries=len(ranks),
        num_left_out=len(query.features) - len(ranks),
    )


def cosine_distances(query: Tensor, gallery: Tensor) -> Callable[[Tensor], Tensor]:
    """Distances that rank as the cosine does, of queries by their numbers [R].

    Of unit vectors |a - b|² = 2 - 2 a·b. Computed without a matrix product, whose
    rounding would break ties.

    Args:
        query: [Q, D]
        gallery: [G, D]
    """
    query, gallery = unit(query), unit(gallery)
    mode = 'donot_use_mm_for_euclid_dist'
    return lambda rows: torch.cdist(query[rows], gallery, compute_mode=mode)


def report_left_out(result: Retrieval) -> None:
    """Log how many queries had no match, if any."""
    if result.num_left_out:
        total = result.num_queries + result.num_left_out
        print_log(
            f're-ID: {result.num_left_out} of {total} queries are left out: no other '
            'camera has an image of their identity',
            logger='current',
        )


def score_ranking(
    distances: Tensor, right: Tensor, wrong: Tensor
) -> tuple[Tensor, Tensor]:
    """Average precision of every query, and the rank of its first match.

    Of images at the same distance the wrong ones come first: features that cannot tell
    people apart never profit from the order of the gallery.

    Args:
        distances: [Q, G] finite.
        right: bool [Q, G], at least one per query.
        wrong: bool [Q, G]; images that are neither do not count.

    Returns:
        [Q] in [0, 1], and [Q] integers from 1.
    """
    found = right.sum(dim=1)
    hits = distances.masked_fill(~right, torch.inf).sort(dim=1).values
    hits = hits[:, : found.max()].contiguous()
    misses = distances.masked_fill(~wrong, torch.inf).sort(dim=1).values
    before = torch.searchsorted(misses, hits, right=True)  # misses up to every hit
    rank = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    precision = rank / (rank + before).double()
    precision = precision.where(rank <= found[:, None], 0)
    return precision.sum(dim=1) / found, before[:, 0] + 1


def unit(features: Tensor) -> Tensor:
    """Features [N, D] scaled to length 1, in double precision."""
    if not features.isfinite().all():
        raise ValueError('features are not finite: the network is of no use')
    return normalize(features.double(), dim=1)
