"""Re-ranking with k-reciprocal encoding (Zhong et al., CVPR 2017)."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..retrieval import unit


class _Sparse(NamedTuple):
    """Rows of numbers that mostly are 0."""

    starts: np.ndarray
    """[rows + 1] where every row begins."""
    columns: np.ndarray
    values: np.ndarray


class KReciprocalDistance:
    """Distances that also ask whether two images have the same neighbours.

    Equations are those of the paper. Its distance d is |a - b|² of unit features here,
    divided by the largest from each image as in its authors' program, which brings it
    into [0, 1] as the Jaccard distance is. Memory grows with the images, not with their
    square.

    Args:
        query: Features [Q, D].
        gallery: Features [G, D].
        k1: Neighbours that can be reciprocal.
        k2: Neighbours, oneself among them, over which encodings are averaged.
        weight: λ, what the original distance counts.
    """

    def __init__(
        self,
        query: Tensor,
        gallery: Tensor,
        k1: int = 20,
        k2: int = 6,
        weight: float = 0.3,
    ) -> None:
        if not (k1 >= 2 and 1 <= k2 <= k1 and 0 <= weight <= 1):
            raise ValueError(
                f'rerank: k1={k1}, k2={k2}, weight={weight} must fulfil 1 <= k2 <= k1, '
                '2 <= k1 and 0 <= weight <= 1'
            )
        self.features = unit(torch.cat([query, gallery]))
        self.num_queries = len(query)
        self.weight = weight
        neighbours, self.largest = self._neighbours(k1)
        encoding = self._encode(neighbours, k1)
        self.encoding = _average(encoding, neighbours[:, :k2])
        self.sums = np.add.reduceat(self.encoding.values, self.encoding.starts[:-1])
        self.inverted = _invert(self.encoding, self.num_queries)

    def __call__(self, rows: Tensor) -> Tensor:
        """Distances [R, G] from the gallery, of queries by their numbers [R] (eq. 12).

        Values are in [0, 1].
        """
        distances = self._distances(rows)[:, self.num_queries :]
        jaccard = np.stack([self._jaccard(row) for row in rows.tolist()])
        jaccard = torch.from_numpy(jaccard).to(distances)
        near = distances / self.largest[rows, None]
        return (1 - self.weight) * jaccard + self.weight * near

    def _distances(self, rows: Tensor) -> Tensor:
        """Squared Euclidean distances [R, Q + G]."""
        return (2 - 2 * self.features[rows] @ self.features.T).clamp(min=0)

    def _neighbours(self, k1: int) -> tuple[np.ndarray, Tensor]:
        """Every image and its k1 nearest [N, k1 + 1]; its largest distance [N]."""
        everyone = torch.arange(len(self.features), device=self.features.device)
        count = min(k1 + 1, len(everyone))
        neighbours, largest = [], []
        for rows in everyone.split(256):
            distances = self._distances(rows)
            largest.append(distances.amax(dim=1))
            distances[torch.arange(len(rows)), rows] = -1  # before any double of it
            nearest = distances.topk(count, largest=False).indices
            neighbours.append(nearest.cpu().numpy())
        return np.concatenate(neighbours), torch.cat(largest).clamp(min=1e-12)

    def _encode(self, neighbours: np.ndarray, k1: int) -> _Sparse:
        """exp(-d) from every image to its expanded reciprocal neighbours (eq. 5, 7)."""
        reciprocal = _reciprocal(neighbours, k1)
        half = _reciprocal(neighbours, k1 // 2)
        columns, values = [], []
        is_near = np.zeros(len(reciprocal), bool)
        for i, near in enumerate(reciprocal):
            members = [near]
            is_near[near] = True
            for j in near:
                if 3 * np.count_nonzero(is_near[half[j]]) >= 2 * len(half[j]):
                    members.append(half[j])
            is_near[near] = False
            columns.append(np.unique(np.concatenate(members)))
            index = torch.from_numpy(columns[-1]).to(self.features.device)
            distances = (2 - 2 * self.features[index] @ self.features[i]).clamp(min=0)
            values.append(torch.exp(-distances / self.largest[i]).cpu().numpy())
        return _join(columns, values)

    def _jaccard(self, query: int) -> np.ndarray:
        """Jaccard distances [G] of a query from the gallery (eq. 10)."""
        shared = np.zeros(len(self.features) - self.num_queries)
        own = slice(*self.encoding.starts[query : query + 2])
        starts, images, values = self.inverted
        for column, value in zip(
            self.encoding.columns[own], self.encoding.values[own], strict=True
        ):
            there = slice(starts[column], starts[column + 1])
            shared[images[there]] += np.minimum(value, values[there])
        total = self.sums[query] + self.sums[self.num_queries :]
        return 1 - shared / (total - shared)


def _reciprocal(neighbours: np.ndarray, k: int) -> list[np.ndarray]:
    """Of every image itself and those of its k nearest that also have it (eq. 2)."""
    near = neighbours[:, : k + 1]
    images = np.arange(len(near))
    mutual = (near[near] == images[:, None, None]).any(axis=2)
    return [row[keep] for row, keep in zip(near, mutual, strict=True)]


def _average(encoding: _Sparse, neighbours: np.ndarray) -> _Sparse:
    """The mean encoding of every image's neighbours [N, k2] (eq. 11)."""
    columns, values = [], []
    for near in neighbours:
        parts = [slice(*encoding.starts[j : j + 2]) for j in near]
        found, inverse = np.unique(
            np.concatenate([encoding.columns[part] for part in parts]),
            return_inverse=True,
        )
        weights = np.concatenate([encoding.values[part] for part in parts])
        columns.append(found)
        values.append(np.bincount(inverse, weights) / len(near))
    return _join(columns, values)


def _invert(encoding: _Sparse, num_queries: int) -> _Sparse:
    """For every column the entries of the gallery that have it, counted from 0."""
    first = encoding.starts[num_queries]
    columns, values = encoding.columns[first:], encoding.values[first:]
    sizes = [end - start for start, end in pairwise(encoding.starts[num_queries:])]
    images = np.repeat(np.arange(len(sizes)), sizes)
    order = np.argsort(columns, kind='stable')
    starts = np.searchsorted(columns[order], np.arange(len(encoding.starts)))
    return _Sparse(starts, images[order], values[order])


def _join(columns: list[np.ndarray], values: list[np.ndarray]) -> _Sparse:
    starts = np.cumsum([0, *map(len, columns)])
    return _Sparse(starts, np.concatenate(columns), np.concatenate(values))
