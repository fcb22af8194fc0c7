"""Re-ranking with k-reciprocal encoding (Zhong et al., CVPR 2017)."""

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from ..retrieval import unit


class KReciprocalDistance:
    """Distances that also ask whether two images have the same neighbors.

    Equations are those of the paper. Its distance d is |a - b|² of unit features here,
    divided by the largest from each image as in its authors' program, which brings it
    into [0, 1] as the Jaccard distance is. Encodings are sparse matrices [N, N] of the
    N = Q + G images: memory grows with the images, not with their square.

    Args:
        query: Features [Q, D].
        gallery: Features [G, D].
        k1: Neighbors that can be reciprocal.
        k2: Neighbors, oneself among them, over which encodings are averaged.
        weight: λ, the weight of the original distance.
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
        neighbors, self.largest = self._neighbors(k1)
        encoding = self._encode(_expanded(neighbors, k1))
        nearest = neighbors[:, :k2]
        self.encoding = _indicator(nearest) @ encoding / nearest.shape[1]  # eq. 11
        self.sums = self.encoding.sum(axis=1)
        self.gallery = self.encoding[self.num_queries :].tocsc()

    def __call__(self, rows: Tensor) -> Tensor:
        """Distances [R, G] in [0, 1] of queries, by their numbers [R] (eq. 12)."""
        near = self._distances(rows)[:, self.num_queries :] / self.largest[rows, None]
        jaccard = np.stack([self._jaccard(row) for row in rows.tolist()])
        jaccard = torch.from_numpy(jaccard).to(near)
        return (1 - self.weight) * jaccard + self.weight * near

    def _distances(self, rows: Tensor) -> Tensor:
        """Squared Euclidean distances [R, N]."""
        return (2 - 2 * self.features[rows] @ self.features.T).clamp(min=0)

    def _neighbors(self, k1: int) -> tuple[np.ndarray, Tensor]:
        """Every image and its k1 nearest [N, k1 + 1]; its largest distance [N]."""
        everyone = torch.arange(len(self.features), device=self.features.device)
        count = min(k1 + 1, len(everyone))
        neighbors, largest = [], []
        for rows in everyone.split(256):
            distances = self._distances(rows)
            largest.append(distances.amax(dim=1))
            distances[torch.arange(len(rows)), rows] = -1  # before any double of it
            nearest = distances.topk(count, largest=False).indices
            neighbors.append(nearest.cpu().numpy())
        return np.concatenate(neighbors), torch.cat(largest).clamp(min=1e-12)

    def _encode(self, members: csr_array) -> csr_array:
        """exp(-d) from every image to its members (eq. 7)."""
        values = []
        everyone = torch.arange(len(self.features), device=self.features.device)
        for rows in everyone.split(256):
            near = self._distances(rows) / self.largest[rows, None]
            own = members[rows[0].item() : rows[-1].item() + 1].tocoo()
            row, column = (
                torch.from_numpy(each).to(near.device) for each in own.coords
            )
            values.append(torch.exp(-near[row.long(), column.long()]).cpu().numpy())
        encoded = np.concatenate(values), members.indices, members.indptr
        return csr_array(encoded, members.shape)

    def _jaccard(self, query: int) -> np.ndarray:
        """Jaccard distances [G] of a query from the gallery (eq. 10)."""
        own = self.encoding[[query]]
        shared = self.gallery[:, own.indices]
        own_values = own.data.repeat(np.diff(shared.indptr))
        shared.data = np.minimum(shared.data, own_values)
        intersection = shared.sum(axis=1)
        total = self.sums[query] + self.sums[self.num_queries :]
        return 1 - intersection / (total - intersection)


def _indicator(columns: np.ndarray) -> csr_array:
    """[N, N] with 1 in the given columns [N, k] of every row."""
    count, k = columns.shape
    starts = np.arange(0, count * k + 1, k)
    ones = np.ones(count * k, np.int32)
    return csr_array((ones, columns.ravel(), starts), (count, count))


def _reciprocal(neighbors: np.ndarray, k: int) -> csr_array:
    """Of every image itself and those of its k nearest that also have it (eq. 2)."""
    near = _indicator(neighbors[:, : k + 1])
    return near.multiply(near.T).tocsr()


def _expanded(neighbors: np.ndarray, k1: int) -> csr_array:
    """Reciprocal neighbors, and those of each that it mostly shares (eq. 5)."""
    reciprocal, half = _reciprocal(neighbors, k1), _reciprocal(neighbors, k1 // 2)
    shared = (reciprocal @ half.T).multiply(reciprocal).tocoo()
    row, column = shared.coords
    enough = 3 * shared.data >= 2 * half.sum(axis=1)[column]
    friends = csr_array(
        (np.ones(enough.sum(), np.int32), (row[enough], column[enough])), shared.shape
    )
    return reciprocal + friends @ half
