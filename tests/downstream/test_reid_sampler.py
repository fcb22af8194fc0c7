"""PKSampler against plain counts."""

from collections import Counter

import numpy as np
import pytest

from saip_mm.downstream.reid import PKSampler, sampler


class Labels:
    """Data set that consists of labels only."""

    def __init__(self, labels) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def get_data_info(self, index: int) -> dict:
        return dict(gt_label=self.labels[index], img_path=f'{index}.jpg')


def sample_epoch(
    monkeypatch, labels, world_size=1, epoch=0, seed=0, identities=4
) -> list:
    """Indices [process][batch][position] of one epoch with groups of 3."""
    processes = []
    for rank in range(world_size):
        info = (rank, world_size)
        monkeypatch.setattr(sampler, 'get_dist_info', lambda info=info: info)
        pk = PKSampler(Labels(labels), identities, num_images=3, seed=seed)
        pk.set_epoch(epoch)
        indices = list(pk)
        assert len(indices) == len(pk)
        processes.append(np.array(indices).reshape(-1, identities * 3))
    return processes


@pytest.mark.parametrize('world_size', [1, 3])
def test_batches_against_a_plain_count(world_size, monkeypatch):
    rng = np.random.default_rng(0)
    counts = rng.integers(2, 20, 40)
    labels = rng.permutation(np.repeat(np.arange(40), counts))
    processes = sample_epoch(monkeypatch, labels, world_size)
    seen = Counter()
    for batches in zip(*processes, strict=True):
        everyone = np.concatenate([np.unique(labels[batch]) for batch in batches])
        assert len(everyone) == len(set(everyone)) == 4 * world_size
        for batch in batches:
            seen.update(batch.tolist())
            assert set(Counter(labels[batch].tolist()).values()) == {3}
            for group in batch.reshape(4, 3):
                enough = counts[labels[group[0]]] >= 3
                assert len(set(group.tolist())) == (3 if enough else 2)
    # Only images of identities with too few images are repeated.
    assert all(n == 1 or counts[labels[i]] < 3 for i, n in seen.items())
    possible = np.maximum(counts // 3, 1).sum() // (4 * world_size)
    assert len(processes[0]) == possible


def test_an_epoch_depends_on_seed_and_epoch_only(monkeypatch):
    labels = np.repeat(np.arange(20), 7)
    first, again, next_epoch, other_seed = (
        sample_epoch(monkeypatch, labels, epoch=epoch, seed=seed)[0]
        for epoch, seed in [(0, 5), (0, 5), (1, 5), (0, 6)]
    )
    np.testing.assert_array_equal(first, again)
    assert (first != next_epoch).any() and (first != other_seed).any()


def test_three_processes_of_two_identities_equal_one_of_six(monkeypatch):
    labels = np.repeat(np.arange(20), 7)
    together = sample_epoch(monkeypatch, labels, world_size=3, identities=2)
    (alone,) = sample_epoch(monkeypatch, labels, identities=6)
    np.testing.assert_array_equal(np.concatenate(together, axis=1), alone)


def test_an_identity_with_most_images_is_not_repeated_in_a_batch(monkeypatch):
    labels = np.array([0] * 300 + [i for i in range(1, 9) for _ in range(3)])
    (batches,) = sample_epoch(monkeypatch, labels)
    assert len(batches) == 2  # the other eight suffice for two batches
    assert all(len(set(labels[batch])) == 4 for batch in batches)


@pytest.mark.parametrize(
    'labels, identities, images, message',
    [
        ([0, 0, 1, 1, 2], 2, 2, '1 of 3 identities have one image only.* 4.j'),
        ([0, 0, 1, 1], 4, 2, '2 identities do not fill a batch of 4'),
        ([0, 0, 1, 1], 2, 1, 'must both be at least 2'),
    ],
)
def test_invalid_arguments(labels, identities, images, message):
    with pytest.raises(ValueError, match=message):
        PKSampler(Labels(labels), identities, images, seed=0)
