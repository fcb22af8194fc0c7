"""Re-identification: find the other images of a person, seen by other cameras."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.nn.functional import normalize

# Identities of Market-1501 that are nobody's.
JUNK, DISTRACTOR = -1, 0


class Sightings(NamedTuple):
    """Images of people, of whom identity and camera are known."""

    features: Tensor
    """[N, D]"""
    identities: Tensor
    """[N] integers; ``JUNK`` is ignored, ``DISTRACTOR`` is never right."""
    cameras: Tensor
    """[N] integers."""


class Retrieval(NamedTuple):
    """How well queries found their person."""

    mean_average_precision: float
    rank1: float
    """Share of the queries whose nearest counting entry is right."""
    rank5: float
    """Share of the queries with a right one among the five nearest."""
    rank10: float
    """Share of the queries with a right one among the ten nearest."""
    num_queries: int
    """Queries that had anything to find."""
    num_left_out: int
    """Queries without a right entry of another camera."""


def evaluate_retrieval(
    query: Sightings,
    gallery: Sightings,
    chunk_size: int = 256,
    distances: Callable[[Tensor], Tensor] | None = None,
) -> Retrieval:
    """Rank the gallery by its distance from every query, as Market-1501 is evaluated.

    An entry is right if it shows the query's identity to another camera. Entries that
    show it to the same camera do not count, nor does junk. Average precision is the
    mean, over the right entries, of the precision up to each.

    Args:
        query: What is searched for. May be the gallery itself: an image never counts
            as its own match, because the camera is the same.
        gallery: Where it is searched.
        chunk_size: Queries at a time.
        distances: Gives the distances [R, G] of R queries, by their numbers [R], from
            the gallery; by default those of :func:`cosine_distances`.

    Raises:
        ValueError: If features are not finite, or no query has a right entry.
    """
    distances = distances or cosine_distances(query.features, gallery.features)
    precisions, ranks = [], []
    everyone = torch.arange(len(query.features), device=query.features.device)
    for rows in everyone.split(chunk_size):
        right, wrong = _relevance(query, gallery, rows)
        findable = right.any(dim=1)
        if not findable.any():
            continue
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
    precisions, ranks = torch.cat(precisions), torch.cat(ranks)
    rank1, rank5, rank10 = (
        (ranks <= depth).double().mean().item() for depth in (1, 5, 10)
    )
    return Retrieval(
        mean_average_precision=precisions.mean().item(),
        rank1=rank1,
        rank5=rank5,
        rank10=rank10,
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
    """Log how many queries had nothing to find, if any."""
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
    """Average precision of every query, and at which rank its first right entry is.

    Of entries at the same distance the wrong ones come first: features that cannot tell
    people apart never profit from the order of the gallery.

    Args:
        distances: [Q, G] finite.
        right: bool [Q, G], at least one per query.
        wrong: bool [Q, G]; entries that are neither do not count.

    Returns:
        [Q] in [0, 1], and [Q] integers from 1.
    """
    infinity = torch.inf
    found = right.sum(dim=1)
    hits = distances.masked_fill(~right, infinity).sort(dim=1).values
    hits = hits[:, : found.max()].contiguous()
    misses = distances.masked_fill(~wrong, infinity).sort(dim=1).values
    before = torch.searchsorted(misses, hits, right=True)  # misses up to every hit
    rank = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    precision = rank / (rank + before).double()
    precision = precision.where(rank <= found[:, None], 0)
    return precision.sum(dim=1) / found, before[:, 0] + 1


def _relevance(
    query: Sightings, gallery: Sightings, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Which entries of the gallery are right and wrong for some queries: bool [Q, G]"""
    identities = query.identities[rows, None]
    same = (identities == gallery.identities) & (identities > DISTRACTOR)
    elsewhere = query.cameras[rows, None] != gallery.cameras
    return same & elsewhere, ~same & (gallery.identities != JUNK)


def unit(features: Tensor) -> Tensor:
    """Features [N, D] scaled to length 1, in double precision."""
    if not features.isfinite().all():
        raise ValueError('features are not finite: the network is of no use')
    return normalize(features.double(), dim=1)
