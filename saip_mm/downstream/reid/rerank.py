"""Re-ranking with k-reciprocal encoding (Zhong et al., CVPR 2017)."""

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from ..retrieval import unit


class KReciprocalDistance:
    """Weighted mean of the distance and the Jaccard distance of neighborhoods.

    Equation numbers are those of the paper. Its distance d is |a - b|² of unit features
    divided by the largest distance of each image, as in the authors' code. Encodings of
    the N = Q + G images are sparse matrices [N, N], so memory is linear in N.

    Args:
        query: Features [Q, D].
        gallery: Features [G, D].
        k1: Neighbors considered for reciprocity.
        k2: Neighbors, including the image itself, whose encodings are averaged.
        weight: λ, weight of the original distance.
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
                f'rerank: k1={k1}, k2={k2}, weight={weight} must satisfy '
                '1 <= k2 <= k1, 2 <= k1 and 0 <= weight <= 1'
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
        """Distances [R, G] in [0, 1] of the queries with indices [R] (eq. 12)."""
        near = self._distances(rows)[:, self.num_queries :] / self.largest[rows, None]
        jaccard = np.stack([self._jaccard(row) for row in rows.tolist()])
        jaccard = torch.from_numpy(jaccard).to(near)
        return (1 - self.weight) * jaccard + self.weight * near

    def _distances(self, rows: Tensor) -> Tensor:
        """Squared Euclidean distances [R, N]."""
        return (2 - 2 * self.features[rows] @ self.features.T).clamp(min=0)

    def _chunks(self) -> tuple[Tensor, ...]:
        everyone = torch.arange(len(self.features), device=self.features.device)
        return everyone.split(256)

    def _neighbors(self, k1: int) -> tuple[np.ndarray, Tensor]:
        """Each image and its k1 nearest [N, k1 + 1]; its largest distance [N]."""
        count = min(k1 + 1, len(self.features))
        neighbors, largest = [], []
        for rows in self._chunks():
            distances = self._distances(rows)
            largest.append(distances.amax(dim=1))
            distances[torch.arange(len(rows)), rows] = -1  # itself before duplicates
            nearest = distances.topk(count, largest=False).indices
            neighbors.append(nearest.cpu().numpy())
        return np.concatenate(neighbors), torch.cat(largest).clamp(min=1e-12)

    def _encode(self, members: csr_array) -> csr_array:
        """exp(-d) of each image and its members (eq. 7)."""
        values = []
        for rows in self._chunks():
            near = (self._distances(rows) / self.largest[rows, None]).cpu().numpy()
            own = members[rows[0].item() : rows[-1].item() + 1].tocoo()
            values.append(np.exp(-near[own.coords]))
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
    """[N, N] with 1 in the given columns [N, k] of each row."""
    count, k = columns.shape
    ones = np.ones(count * k, np.int32)
    starts = np.arange(0, count * k + 1, k)
    return csr_array((ones, columns.ravel(), starts), (count, count))


def _reciprocal(neighbors: np.ndarray, k: int) -> csr_array:
    """Each image itself and its reciprocal k nearest neighbors (eq. 2)."""
    near = _indicator(neighbors[:, : k + 1])
    return near.multiply(near.T).tocsr()


def _expanded(neighbors: np.ndarray, k1: int) -> csr_array:
    """Reciprocal neighbors, and theirs where at least 2/3 are shared (eq. 5)."""
    reciprocal, half = _reciprocal(neighbors, k1), _reciprocal(neighbors, k1 // 2)
    shared = (reciprocal @ half.T).multiply(reciprocal).tocoo()
    enough = 3 * shared.data >= 2 * half.sum(axis=1)[shared.coords[1]]
    shared.data = enough.astype(np.int32)
    shared.eliminate_zeros()
    return reciprocal + shared.tocsr() @ half
