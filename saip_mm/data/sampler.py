"""Order of the images as a function of (seed, epoch)."""

from collections.abc import Iterator, Sized

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler


@DATA_SAMPLERS.register_module()
class StatelessSampler(Sampler):
    """Sampler of keys ``(seed, epoch, index)``, which determine a sample completely.

    Each epoch has one global order. Process r of W takes positions r, r + W, r + 2W, …,
    so that global batches do not depend on the number of processes. For the same
    reason, the last ``len(dataset) % W`` images of the order are dropped instead of
    repeating others: with ``drop_last=True`` in the loader, the number of batches
    depends on the global batch size only.

    Args:
        dataset: Its length is the number of images.
        seed: Non-negative, the same on all processes; None draws one and shares it.
            MMEngine's runner passes its own.
        shuffle: Draw a new order for each epoch instead of 0, 1, 2, …
        view_epochs: Number of epochs after which samples, such as views of an image,
            repeat; orders do not. By default, they never do.

    Raises:
        ValueError: There are fewer images than processes, or ``view_epochs`` < 1.
    """

    def __init__(
        self,
        dataset: Sized,
        seed: int | None = None,
        shuffle: bool = True,
        view_epochs: int | None = None,
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        if len(dataset) < self.world_size:
            raise ValueError(
                f'{len(dataset)} images cannot be shared by {self.world_size} '
                'processes: give the training dataset more images or start fewer '
                'processes'
            )
        if view_epochs is not None and view_epochs < 1:
            raise ValueError(f'view_epochs={view_epochs} should be at least 1, or None')
        self.num_images = len(dataset)
        self.seed = sync_random_seed() if seed is None else seed
        self.shuffle = shuffle
        self.view_epochs = view_epochs
        self.epoch = 0

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        order = np.arange(self.num_images)
        if self.shuffle:
            # Samples draw from (seed, epoch, index), and no index equals num_images.
            rng = np.random.default_rng((self.seed, self.epoch, self.num_images))
            rng.shuffle(order)
        end = len(self) * self.world_size
        epoch = self.epoch % self.view_epochs if self.view_epochs else self.epoch
        for index in order[self.rank : end : self.world_size]:
            yield self.seed, epoch, int(index)

    def __len__(self) -> int:
        """Return the number of samples of this process in a full epoch."""
        return self.num_images // self.world_size

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
