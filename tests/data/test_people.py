"""What every data set of people promises about its samples."""

from itertools import product

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from saip_mm.data.images import ImageError
from saip_mm.data.people import PeopleDataset


class Shades(PeopleDataset):
    """Image i is all i + first."""

    def __init__(self, length, first=0, **options):
        self.length, self.first = length, first
        super().__init__(**options)

    def load_data_list(self):
        return [dict(value=i + self.first) for i in range(self.length)]

    def load_image(self, data_info):
        return np.full((8, 4, 3), data_info['value'], np.uint8)


class Other(Dataset):
    """Not a data set of people."""


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for name, kind in (('Shades', Shades), ('Other', Other)):
        monkeypatch.setitem(DATASETS.module_dict, name, kind)


def numbers(results):
    """Image, scene and a random number, as a tensor that can be collated."""
    image, scene = (results[key][0, 0, 0] for key in ('image', 'scene'))
    return torch.tensor([image, scene, results['rng'].random()], dtype=torch.float64)


def test_a_sample_is_a_function_of_its_key():
    keys = list(product((0, 7), (0, 3), range(5)))
    first = Shades(5, pipeline=[numbers])
    samples = {key: first[key] for key in keys}
    second = Shades(5, pipeline=[numbers])
    for key in reversed(keys):
        torch.testing.assert_close(second[key], samples[key], rtol=0, atol=0)
        assert samples[key][0] == key[-1]
    assert len({sample[2].item() for sample in samples.values()}) == len(keys)
    torch.testing.assert_close(first[4], samples[0, 0, 4], rtol=0, atol=0)


def test_global_generators_are_neither_used_nor_changed():
    dataset = Shades(5, pipeline=[numbers])
    state = np.random.get_state()[1].copy(), torch.get_rng_state()
    sample = dataset[1, 2, 3]
    np.testing.assert_array_equal(np.random.get_state()[1], state[0])
    torch.testing.assert_close(torch.get_rng_state(), state[1])
    np.random.seed(1)
    torch.testing.assert_close(dataset[1, 2, 3], sample, rtol=0, atol=0)


def test_scenes_are_the_other_images_equally_often():
    dataset = Shades(4, pipeline=[numbers])
    for index in range(4):
        scenes = [int(dataset[0, epoch, index][1]) for epoch in range(600)]
        counts = np.bincount(scenes, minlength=4)
        assert counts[index] == 0
        others = np.delete(counts, index)
        assert (np.abs(others - 200) < 4 * np.sqrt(600 * 1 / 3 * 2 / 3)).all()


def test_the_only_image_is_its_own_scene():
    assert Shades(1, pipeline=[numbers])[0][1] == 0


def test_scenes_of_another_data_set():
    scenes = dict(type='Shades', length=3, first=100)
    dataset = Shades(5, scenes=scenes, pipeline=[numbers])
    drawn = {int(dataset[0, epoch, 0][1]) for epoch in range(50)}
    assert drawn == {100, 101, 102}


@pytest.mark.parametrize(
    ('scenes', 'error', 'message'),
    [
        (dict(type='Other'), TypeError, 'Other is not a PeopleDataset'),
        (dict(type='Shades', length=1, pipeline=[]), ValueError, 'pipeline would have'),
        (dict(type='Shades', length=1, frist=2), TypeError, 'frist'),
    ],
)
def test_wrong_scenes_are_refused(scenes, error, message):
    with pytest.raises(error, match=message):
        Shades(5, scenes=scenes)


@pytest.mark.parametrize('key', [5, -1, (0, 0, 5), (0, 0, -1)])
def test_an_index_outside_is_an_error(key):
    with pytest.raises(IndexError, match='of a data set of 5 images'):
        Shades(5)[key]


def test_a_failing_image_is_an_error_and_not_replaced():
    class Broken(Shades):
        def load_image(self, data_info):
            if data_info['value'] == 2:
                raise ImageError('image 2 is broken')
            return super().load_image(data_info)

    dataset = Broken(3)
    with pytest.raises(ImageError, match='image 2 is broken'):
        dataset[2]


def test_mmengine_builds_a_loader_of_keys():
    config = dict(
        batch_size=2,
        num_workers=0,
        dataset=dict(type='mmpretrain.Shades', length=6, pipeline=[numbers]),
        sampler=dict(type='StatelessSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )
    loader = Runner.build_dataloader(config, seed=5)
    expected = torch.stack([loader.dataset[5, 0, index] for index in range(6)])
    torch.testing.assert_close(torch.cat(list(loader)), expected, rtol=0, atol=0)
