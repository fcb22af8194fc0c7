"""Batches of P people with K images each."""

from collections.abc import Iterator

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Dataset, Sampler


@DATA_SAMPLERS.register_module()
class PKSampler(Sampler):
    """P different people with K images each, one batch after the other.

    An epoch shows about every image once, and is a function of (seed, epoch) alone. The
    images of a person are dealt into groups of K. What is left over sits out this
    epoch; a person with fewer than K images has one group, in which they repeat. Groups
    are dealt to batches at random, those of a person to different ones. Every epoch has
    the same number of batches.

    Of W processes each takes P of P·W people, so that together they train with the
    batches that one process would have with P·W.

    Args:
        dataset: Entries have `gt_label`.
        num_identities: P. With K it makes the `batch_size` of the loader.
        num_images: K, at least 2: a triplet needs another image of the same person.
        seed: The same on all processes; None draws one and shares it. MMEngine's runner
            passes its own.

    Raises:
        ValueError: If a person has only one image, or there are too few people.
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
                f'{num_images} must both be at least 2, for triplets to exist'
            )
        rank, self.world_size = get_dist_info()
        self.mine = slice(rank * num_identities, (rank + 1) * num_identities)
        self.num_identities, self.num_images = num_identities, num_images
        self.per_batch = num_identities * self.world_size  # people, of all processes
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        entries = [dataset.get_data_info(i) for i in range(len(dataset))]
        labels = np.array([entry['gt_label'] for entry in entries])
        _, first, counts = np.unique(labels, return_index=True, return_counts=True)
        if (alone := np.flatnonzero(counts == 1)).size:
            raise ValueError(
                f'{len(alone)} of {len(counts)} identities have one image only, such '
                f'as {entries[first[alone[0]]]["img_path"]}: a triplet needs two. '
                'Remove these images, or add more of the same people'
            )
        order = np.argsort(labels, kind='stable')
        self.images = np.split(order, np.cumsum(counts)[:-1])  # of every person
        self.groups = np.maximum(counts // num_images, 1)
        self.batches = self._count_batches()

    def _count_batches(self) -> int:
        """The most batches in which no person comes twice."""
        if len(self.groups) < self.per_batch:
            raise ValueError(
                f'{len(self.groups)} identities do not fill a batch of '
                f'{self.num_identities} on each of {self.world_size} processes: lower '
                'num_identities of the sampler, and batch_size with it'
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
        """People of every batch of this epoch, all processes' together."""
        batches = [[] for _ in range(self.batches)]
        fill = np.zeros(self.batches, int)
        for person in rng.permutation(len(self.groups)):
            # The emptiest first keeps all within one of each other, so that every
            # batch is full in the end.
            order = np.lexsort((rng.random(self.batches), fill))
            chosen = order[: self.groups[person]]
            chosen = chosen[fill[chosen] < self.per_batch]
            fill[chosen] += 1
            for batch in chosen:
                batches[batch].append(person)
        return [rng.permutation(batch) for batch in batches]

    def __len__(self) -> int:
        """Number of images of this process per epoch."""
        return self.batches * self.num_identities * self.num_images

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
