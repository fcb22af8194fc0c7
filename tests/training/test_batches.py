"""Endless passes over a data loader against one pass after another."""

import os
from itertools import chain, islice

import numpy as np
import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import DataLoader, Dataset

from saip_mm.training.batches import EndlessLoader


class Numbers(Dataset):
    """Numbers below ten, each with the process that returned it."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[int, int]:
        return index, os.getpid()


def loader(sampler: type, workers: int) -> DataLoader:
    chosen = sampler(Numbers(), shuffle=True, seed=3)
    return DataLoader(
        Numbers(), 4, sampler=chosen, num_workers=workers, collate_fn=np.array
    )


@pytest.mark.parametrize('start', (0, 2, 7))
@pytest.mark.parametrize('workers', (0, 2))
def test_passes_follow_each_other(workers, start):
    plain = loader(DefaultSampler, 0)
    passes = []
    for number in range(4):
        plain.sampler.set_epoch(number)
        passes.append([batch[:, 0].tolist() for batch in plain])
    assert [len(each) for each in passes] == [3] * 4 and passes[0] != passes[1]

    endless = EndlessLoader(loader(DefaultSampler, workers))
    endless.skip_iter(start)
    batches = [next(endless) for _ in range(12 - start)]
    wanted = list(islice(chain(*passes), start, None))
    assert [batch[:, 0].tolist() for batch in batches] == wanted
    assert len(endless.loader) == 3
    assert endless.loader.batch_sampler.sampler is endless.loader.sampler
    processes = {process for batch in batches for process in batch[:, 1]}
    assert len(processes) == max(workers, 1)  # none was restarted


def test_samplers_without_end():
    wanted = list(islice(loader(InfiniteSampler, 0), 8))
    endless = EndlessLoader(loader(InfiniteSampler, 0))
    endless.skip_iter(3)
    for batch in wanted[3:]:
        assert next(endless)[:, 0].tolist() == batch[:, 0].tolist()


def test_a_data_set_smaller_than_a_batch():
    endless = EndlessLoader(DataLoader(Numbers(), 11, drop_last=True))
    with pytest.raises(ValueError, match='fill a batch .* lower train_dataloader.batc'):
        next(endless)
