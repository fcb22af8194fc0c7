"""Sampler of batches of P identities with K images each."""

from collections.abc import Iterator

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Dataset, Sampler


@DATA_SAMPLERS.register_module()
class PKSampler(Sampler):
    """Sample P different identities with K images each per batch.

    The images of an identity are split into groups of K; remaining images are left out
    of this epoch, and fewer than K images are repeated. Groups are assigned to batches
    at random, groups of the same identity to different batches. Epochs have the same
    number of batches and depend on (seed, epoch) only.

    Each of W processes takes P of P·W identities, so that their joint batches are those
    of one process with P·W.

    Args:
        dataset: Entries have `gt_label`.
        num_identities: P; the loader's `batch_size` is P·K.
        num_images: K, at least 2.
        seed: Equal on all processes, as MMEngine's runner passes it; None draws one.

    Raises:
        ValueError: If an identity has only one image, or there are too few identities.
    """

    def __init__(
        self,
        dataset: Dataset,
        num_identities: int = 16,
        num_images: int = 4,
        seed: int | None = None,
    ) -> None:
        if num_identities < 2 or num_images < 2:
            raise ValueError(
                f'PKSampler: num_identities={num_identities} and num_images='
                f'{num_images} must both be at least 2, as triplets require'
            )
        rank, self.world_size = get_dist_info()
        self.mine = slice(rank * num_identities, (rank + 1) * num_identities)
        self.num_identities, self.num_images = num_identities, num_images
        self.per_batch = num_identities * self.world_size  # identities, all processes
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        entries = [dataset.get_data_info(i) for i in range(len(dataset))]
        labels = np.array([entry['gt_label'] for entry in entries])
        _, first, counts = np.unique(labels, return_index=True, return_counts=True)
        if (alone := np.flatnonzero(counts == 1)).size:
            raise ValueError(
                f'{len(alone)} of {len(counts)} identities have one image only, such '
                f'as {entries[first[alone[0]]]["img_path"]}, but triplets need two: '
                'remove these images, or add more of the same people'
            )
        order = np.argsort(labels, kind='stable')
        self.images = np.split(order, np.cumsum(counts)[:-1])  # per identity
        self.groups = np.maximum(counts // num_images, 1)
        self.batches = self._count_batches()

    def _count_batches(self) -> int:
        """Largest number of full batches without repeated identities."""
        if len(self.groups) < self.per_batch:
            raise ValueError(
                f'{len(self.groups)} identities do not fill a batch of '
                f'{self.num_identities} on each of {self.world_size} processes: reduce '
                'num_identities of the sampler and batch_size accordingly'
            )
        batches = self.groups.sum() // self.per_batch
        while np.minimum(self.groups, batches).sum() < self.per_batch * batches:
            batches -= 1
        return int(batches)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        left = [rng.permutation(images) for images in self.images]
        for people in self._deal(rng):
            for person in people[self.mine]:
                group = left[person][: self.num_images]
                yield from np.resize(group, self.num_images).tolist()
            for person in people:
                left[person] = left[person][self.num_images :]

    def _deal(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Identities of each batch of this epoch, for all processes."""
        batches = [[] for _ in range(self.batches)]
        fill = np.zeros(self.batches, int)
        for person in rng.permutation(len(self.groups)):
            # Filling the emptiest batches first makes all batches full in the end.
            order = np.lexsort((rng.random(self.batches), fill))
            chosen = order[: self.groups[person]]
            chosen = chosen[fill[chosen] < self.per_batch]
            fill[chosen] += 1
            for batch in chosen:
                batches[batch].append(person)
        return [rng.permutation(batch) for batch in batches]

    def __len__(self) -> int:
        """Images of this process per epoch."""
        return self.batches * self.num_identities * self.num_images

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
