"""Resuming within an epoch, and endless passes over the data."""

from collections.abc import Iterator
from functools import cached_property
from itertools import count, islice

from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Sampler

STEPS_PER_EPOCH = 'steps_per_epoch'  # in checkpoints
SAME_DATA = (
    'resume with the same images and the same global batch '
    '(train_dataloader.batch_size × processes), or start a new run from its '
    'weights with load_from'
)


def done_in_epoch(runner: Runner, step: int) -> int:
    """Batches of the current epoch that are done after ``step`` steps in total."""
    return step - runner.epoch * len(runner.train_dataloader)


def continue_epoch(runner: Runner) -> None:
    """Restore the order of images, and skip batches that were done in this epoch."""
    loader = runner.train_dataloader
    sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
    # The sampler was built before the seed was read from the checkpoint.
    stated = (runner.cfg.get('train_dataloader') or {}).get('sampler') or {}
    differs = runner._randomness_cfg.get('diff_rank_seed')
    if hasattr(sampler, 'seed') and stated.get('seed') is None and not differs:
        sampler.seed = runner.seed
    # Loops over iterations skip batches themselves.
    if isinstance(runner.train_loop, EpochBasedTrainLoop) and loader.batch_sampler:
        done = done_in_epoch(runner, runner.iter)
        info = runner.message_hub.runtime_info  # of the checkpoint
        before = info.get(STEPS_PER_EPOCH, len(loader))
        if before != len(loader) or not 0 <= done <= len(loader):
            raise ValueError(
                f'the checkpoint has {runner.iter} steps and {runner.epoch} full '
                f'epochs, but an epoch now has {len(loader)} steps: {SAME_DATA}'
            )
        _set_batches(loader, _RestOfEpoch(loader.batch_sampler, done))


def _set_batches(loader: DataLoader, batches: '_RestOfEpoch') -> None:
    # DataLoader does not allow setting the batch sampler.
    object.__setattr__(loader, 'batch_sampler', batches)


class EndlessLoader:
    """An iterator over the batches of a data loader, pass after pass.

    Replaces the one in MMEngine's loops over iterations, which restarts the workers and
    waits for two seconds after each pass, and may load the batches that it skips.
    """

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        self.start = 0

    @cached_property
    def _batches(self) -> Iterator:
        _set_batches(self.loader, Passes(self.loader.batch_sampler, self.start))
        return iter(self.loader)

    def skip_iter(self, num_iters: int) -> None:
        """Skip batches that were done before a resumed run."""
        self.start = num_iters

    def __next__(self) -> object:
        return next(self._batches)


class _RestOfEpoch:
    """A batch sampler that skips its first batches, once."""

    def __init__(self, batches: Sampler, start: int) -> None:
        self.batches = batches
        self.start = start

    def __iter__(self) -> Iterator[list[int]]:
        start, self.start = self.start, 0
        yield from islice(self._all(), start, None)

    def _all(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)

    def __getattr__(self, name: str) -> object:
        return getattr(self.batches, name)


class Passes(_RestOfEpoch):
    """Batches of endless passes over the data, without the first ones."""

    def _all(self) -> Iterator[list[int]]:
        sampler = getattr(self.batches, 'sampler', None)
        for number in count():
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(number)
            batch = None
            for batch in self.batches:
                yield batch
            if batch is None:
                raise ValueError(
                    'the data set does not fill a batch on each process: lower '
                    'train_dataloader.batch_size'
                )
