import pytest
from mmengine.runner import Runner

from saip_mm.data import sampler as sampler_module
from saip_mm.data.sampler import StatelessSampler


@pytest.fixture
def as_rank(monkeypatch):
    """Samplers built after ``as_rank(rank, world_size)`` belong to that process."""

    def pretend(rank: int, world_size: int) -> None:
        monkeypatch.setattr(sampler_module, 'get_dist_info', lambda: (rank, world_size))

    return pretend


def global_batches(as_rank, num_images, world_size, batch_size):
    """Return the keys that all processes together see at each step of an epoch."""
    loaders = []
    for rank in range(world_size):
        as_rank(rank, world_size)
        config = dict(
            dataset=Keys(num_images),
            sampler=dict(type='StatelessSampler'),
            batch_size=batch_size,
            num_workers=0,
            drop_last=True,
            collate_fn=list,
        )
        loader = Runner.build_dataloader(config, seed=7)
        loader.sampler.set_epoch(3)
        loaders.append(list(loader))
    return [sorted(sum(step, [])) for step in zip(*loaders, strict=True)]


class Keys:
    """Data set whose samples are their keys."""

    def __init__(self, num_images: int) -> None:
        self.num_images = num_images

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, key):
        return key


@pytest.mark.parametrize('num_images', [8, 32, 37, 39])
def test_number_of_processes_does_not_change_global_batches(as_rank, num_images):
    expected = global_batches(as_rank, num_images, 1, 8)
    assert len(expected) == num_images // 8
    for size in (2, 4, 8):
        assert expected == global_batches(as_rank, num_images, size, 8 // size)


def order(num_images, seed, epoch=0):
    sampler = StatelessSampler(range(num_images), seed=seed)
    sampler.set_epoch(epoch)
    keys = list(sampler)
    assert len(keys) == len(sampler) == num_images
    assert all(type(part) is int for key in keys for part in key)
    assert {key[:2] for key in keys} == {(seed, epoch)}
    assert keys == list(sampler)
    return tuple(index for *_, index in keys)


def test_order_depends_on_seed_and_epoch():
    orders = {order(50, seed, epoch) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
    assert all(sorted(each) == list(range(50)) for each in orders)


def test_samples_repeat_in_another_order():
    sampler = StatelessSampler(range(9), seed=5, view_epochs=2)
    epochs = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
    assert [{key[1] for key in keys} for keys in epochs] == [{0}, {1}, {0}, {1}]
    assert sorted(epochs[0]) == sorted(epochs[2]) and epochs[0] != epochs[2]
    assert [key[2] for key in epochs[2]] == list(order(9, 5, 2))
    with pytest.raises(ValueError, match='view_epochs=0'):
        StatelessSampler(range(9), seed=5, view_epochs=0)


def test_first_positions_are_uniform():
    first = [order(4, seed)[0] for seed in range(2000)]
    assert all(abs(first.count(i) - 500) < 100 for i in range(4))  # 5 sigma


def test_fewer_images_than_processes(as_rank):
    as_rank(0, 4)
    with pytest.raises(ValueError, match='3 images cannot be shared by 4 processes'):
        StatelessSampler(range(3), seed=0)
