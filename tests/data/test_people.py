"""Guarantees of all data sets of people, alone and concatenated."""

from itertools import product

import mmengine.dataset
import numpy as np
import pytest
import torch
from image_files import listed
from launch import call
from mmpretrain.registry import DATASETS
from short_runs import EVERY_STEP, assert_same_end, copy_state, on_data, train

from saip_mm import doctor
from saip_mm.data.images import ImageError
from saip_mm.data.people import PeopleDataset
from saip_mm.data.quarantine import Quarantine


class Shades(PeopleDataset):
    """Image i is all i + first."""

    def __init__(self, length, first=0, broken=None, **options):
        self.length, self.first, self.broken = length, first, broken
        super().__init__(**options)

    def load_data_list(self):
        return [dict(value=i + self.first) for i in range(self.length)]

    def load_image(self, data_info):
        if data_info['value'] == self.broken:
            raise ImageError(f'image {self.broken} is broken')
        return np.full((8, 4, 3), data_info['value'], np.uint8)


class Other(mmengine.dataset.BaseDataset):
    """Not a data set of people."""

    def load_data_list(self):
        return [dict(digit=i) for i in range(3)]


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for name, kind in (('Shades', Shades), ('Other', Other)):
        monkeypatch.setitem(DATASETS.module_dict, name, kind)


def numbers(results):
    """Return image, scene and a random number, as a tensor that can be collated."""
    image, scene = (results[key][0, 0, 0] for key in ('image', 'scene'))
    return torch.tensor([image, scene, results['rng'].random()], dtype=torch.float64)


def shades(length, first=0, **options) -> dict:
    return dict(type='Shades', length=length, first=first, **options)


def test_samples_are_functions_of_their_keys():
    keys = list(product((0, 7), (0, 3), range(5)))
    first = Shades(5, pipeline=[numbers])
    samples = {key: first[key] for key in keys}
    second = Shades(5, pipeline=[numbers])
    for key in reversed(keys):
        torch.testing.assert_close(second[key], samples[key], rtol=0, atol=0)
        assert samples[key][0] == key[-1]
    assert len({sample[2].item() for sample in samples.values()}) == len(keys)
    torch.testing.assert_close(first[4], samples[0, 0, 4], rtol=0, atol=0)


@pytest.mark.parametrize('change', [lambda x: x[..., 0], lambda x: x / 255])
@pytest.mark.parametrize('role', ['image', 'scene'])
def test_images_that_are_not_rgb_bytes_are_named(change, role, monkeypatch):
    dataset = Shades(5, pipeline=[numbers], scenes=shades(1, first=9))
    whole = Shades.load_image

    def load_image(self, info):
        image = whole(self, info)
        return change(image) if (info['value'] == 9) == (role == 'scene') else image

    monkeypatch.setattr(Shades, 'load_image', load_image)
    with pytest.raises(TypeError, match=r'Shades image \d: load_image should .*, not'):
        dataset[2]


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
    assert Shades(1, pipeline=[numbers])[0][1] == 0  # the only image


def test_scenes_of_another_data_set():
    dataset = Shades(5, scenes=shades(3, 100), pipeline=[numbers])
    drawn = {int(dataset[0, epoch, 0][1]) for epoch in range(50)}
    assert drawn == {100, 101, 102}


@pytest.mark.parametrize(
    ('scenes', 'error', 'message'),
    [
        (dict(type='Other'), TypeError, 'Other is not a PeopleDataset'),
        (shades(1, pipeline=[]), ValueError, 'pipeline would have'),
        (dict(type='Shades', length=1, frist=2), TypeError, 'frist'),
    ],
)
def test_invalid_scenes(scenes, error, message):
    with pytest.raises(error, match=message):
        Shades(5, scenes=scenes)


def test_images_that_do_not_exist_or_cannot_be_used():
    for key in (5, -1, (0, 0, 5), (0, 0, -1)):
        with pytest.raises(IndexError, match='of a data set of 5 images'):
            Shades(5)[key]
    with pytest.raises(ImageError, match='image 2 is broken'):  # without quarantine
        Shades(3, broken=2)[2]


def test_sources_are_those_of_the_images(tmp_path):
    dataset = Shades(9, broken=2, pipeline=[lambda results: results])
    dataset.quarantine = Quarantine(tmp_path / 'bad.jsonl', 9, 0.5)
    for epoch, index in product(range(3), range(9)):
        sample = dataset[0, epoch, index]
        assert sample['source'] == f'Shades image {sample["image"][0, 0, 0]}'


def concat(*datasets, **options) -> PeopleDataset:
    return DATASETS.build(dict(type='ConcatDataset', datasets=datasets, **options))


def test_concatenation_and_repetition():
    dataset = concat(shades(3), *[shades(2, 100)] * 3, pipeline=[numbers])
    assert len(dataset.parts()) == 2
    expected = [0, 1, 2] + 3 * [100, 101]
    assert len(dataset) == len(expected)
    samples = torch.stack([dataset[7, 2, index] for index in range(9)])
    assert samples[:, 0].tolist() == expected
    for image, scene, _ in samples:  # another image of the same data set
        assert scene != image and scene // 100 == image // 100
    assert len(samples[:, 2].unique()) == 9  # repetitions have other views
    again = torch.stack([dataset[7, 2, index] for index in range(9)])
    torch.testing.assert_close(again, samples, rtol=0, atol=0)
    infos = [dataset.get_data_info(index) for index in range(9)]
    assert [int(dataset.load_image(info)[0, 0, 0]) for info in infos] == expected
    assert [dataset.source(info)[-1] for info in infos] == list('012010101')
    with pytest.raises(IndexError):
        dataset[9]


def test_concatenated_data_sets_keep_their_pipelines_and_scenes():
    own = shades(2, pipeline=[lambda results: 'own'])
    dataset = concat(shades(3, scenes=shades(2, 100)), own, pipeline=[numbers])
    assert dataset[4] == 'own' and dataset[0][0] == 0
    assert {int(dataset[0, epoch, 0][1]) for epoch in range(20)} == {100, 101}
    assert len(dataset.scenes) == 2  # checked by tools/check_data.py
    drawn = dict(type='SyntheticScenes', num_scenes=3, size=(32, 24))
    scenes = dict(type='ConcatDataset', datasets=[drawn, shades(4)])
    assert len(Shades(2, scenes=scenes).scenes) == 7  # neither has a pipeline


def test_other_data_sets_are_joined_by_mmengine():
    other = dict(type='Other')
    joined = concat(other, other)
    assert type(joined) is mmengine.dataset.ConcatDataset and len(joined) == 6
    with pytest.raises(TypeError, match=r"Other'} cannot be combined"):
        concat(shades(2), other)
    with pytest.raises(TypeError, match='lazy_init cannot be'):
        concat(shades(2), lazy_init=True)


@pytest.fixture
def config(photographs, tmp_path):
    """A folder with two bad images, twice, and drawn people."""
    people = f'dict(type="PersonImages", data_root={str(photographs)!r})'
    drawn = (
        'dict(type="SyntheticPeople", num_identities=2, images_per_identity=5,\n'
        '    size=(64, 32),\n'
        '    scenes=dict(type="SyntheticScenes", num_scenes=8, size=(64, 48)))'
    )
    data = f'type="ConcatDataset", datasets=[{people}, {people}, {drawn}]'
    return on_data(tmp_path / 'config.py', data)


def test_resumed_training_on_a_concatenation_is_exact(config, tmp_path):
    whole, resumed = tmp_path / 'whole', tmp_path / 'resumed'
    train(whole, EVERY_STEP, config=config)
    bad = listed(whole / 'bad_images_0.jsonl')
    assert {entry['index'] for entry in bad} == {3, 5}
    assert not (whole / 'bad_images_1.jsonl').exists()
    copy_state(whole / 'epoch_1_iter_5.pth', resumed)
    options = EVERY_STEP, 'train_dataloader.num_workers=2'
    train(resumed, *options, config=config, resume=True)
    assert_same_end(resumed, whole, step=8)


def test_tools_support_concatenations(config, tmp_path, capsys, monkeypatch):
    out, views = tmp_path / 'bad.jsonl', tmp_path / 'views.png'
    options = ['--out', out, '--processes', 1]
    assert call('tools/check_data.py', config, *options) == 1
    positions = [entry['index'] for entry in listed(out)]
    assert positions == [3, 5, 15, 17]  # in the concatenation
    with pytest.raises(ValueError, match='can only name images that are files'):
        call('tools/check_data.py', config, *options, '--good', tmp_path / 'good.txt')
    call('tools/browse_views.py', config, '--out', views, '--num', 1, '--seed', 1)
    assert views.exists()
    monkeypatch.setattr('sys.argv', ['doctor', str(config)])
    assert doctor.main() == 0
    assert '34 training images' in capsys.readouterr().out
