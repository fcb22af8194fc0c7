"""Several data sets of people as one."""

import json

import mmengine.dataset
import numpy as np
import pytest
from launch import TINY, call
from mmpretrain.registry import DATASETS
from PIL import Image
from short_runs import assert_same_end, copy_state


class Digits(mmengine.dataset.BaseDataset):
    """Not people."""

    def load_data_list(self):
        return [dict(digit=i) for i in range(3)]


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(DATASETS.module_dict, 'Digits', Digits)


@pytest.fixture
def folders(tmp_path):
    """Folders of 3 and 2 images: image i of folder f is all 100 f + i."""
    for folder, count in enumerate((3, 2)):
        (tmp_path / str(folder)).mkdir()
        for i in range(count):
            image = Image.new('RGB', (32, 64), (100 * folder + i,) * 3)
            image.save(tmp_path / str(folder) / f'{i}.png')
    return [
        dict(type='PersonImages', data_root=str(tmp_path / str(folder)))
        for folder in range(2)
    ]


def numbers(results):
    image, scene = (int(results[key][0, 0, 0]) for key in ('image', 'scene'))
    return image, scene, results['rng'].random()


def test_one_after_the_other_and_repeated(folders):
    repeated = dict(type='RepeatDataset', times=3, dataset=folders[1])
    dataset = DATASETS.build(
        dict(type='ConcatDataset', datasets=[folders[0], repeated], pipeline=[numbers])
    )
    expected = [0, 1, 2] + 3 * [100, 101]
    assert len(dataset) == len(expected)
    samples = [dataset[7, 2, index] for index in range(9)]
    assert [image for image, _, _ in samples] == expected
    for image, scene, _ in samples:  # another image of the same folder
        assert scene != image and scene // 100 == image // 100
    assert len({number for _, _, number in samples}) == 9  # always other views
    assert samples == [dataset[7, 2, index] for index in range(9)]
    infos = [dataset.get_data_info(index) for index in range(9)]
    assert [int(dataset.load_image(info)[0, 0, 0]) for info in infos] == expected
    assert [dataset.source(info)[-7:] for info in infos[-2:]] == ['1/0.png', '1/1.png']
    with pytest.raises(IndexError):
        dataset[9]


def test_a_pipeline_of_its_own_comes_first(folders):
    own = dict(folders[1], pipeline=[lambda results: 'own'])
    config = dict(type='ConcatDataset', datasets=[folders[0], own], pipeline=[numbers])
    dataset = DATASETS.build(config)
    assert dataset[4] == 'own' and dataset[0][0] == 0


def test_scenes_stay_those_of_their_data_set(folders):
    config = dict(
        type='ConcatDataset',
        datasets=[dict(folders[0], scenes=folders[1]), folders[1]],
        pipeline=[numbers],
    )
    dataset = DATASETS.build(config)
    assert {dataset[0, epoch, 0][1] for epoch in range(20)} == {100, 101}
    assert len(dataset.scenes) == 2  # those that tools/check_data.py looks at


def test_other_data_sets_are_mmengines(folders):
    digits = dict(type='Digits')
    joined = DATASETS.build(dict(type='ConcatDataset', datasets=[digits, digits]))
    assert type(joined) is mmengine.dataset.ConcatDataset and len(joined) == 6
    repeated = dict(type='RepeatDataset', dataset=digits, times=4, lazy_init=True)
    assert type(DATASETS.build(repeated)) is mmengine.dataset.RepeatDataset
    with pytest.raises(TypeError, match=r"Digits'} cannot be combined"):
        DATASETS.build(dict(type='ConcatDataset', datasets=[folders[0], digits]))
    with pytest.raises(TypeError, match='lazy_init cannot be'):
        DATASETS.build(dict(type='ConcatDataset', datasets=folders, lazy_init=True))
    with pytest.raises(ValueError, match='times=0'):
        DATASETS.build(dict(type='RepeatDataset', dataset=folders[0], times=0))


@pytest.fixture
def config(tmp_path):
    """A folder with an image that is cut off, twice, and drawn people."""
    folder = tmp_path / 'people'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(7):
        pixels = rng.integers(0, 255, (80, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f'{i}.png')
    (folder / '3.png').write_bytes((folder / '3.png').read_bytes()[:2000])
    path = tmp_path / 'config.py'
    path.write_text(
        f'_base_ = {str(TINY)!r}\n'
        f'people = dict(type="PersonImages", data_root={str(folder)!r})\n'
        'drawn = dict(type="SyntheticPeople", num_identities=2,\n'
        '    images_per_identity=5, size=(64, 32),\n'
        '    scenes=dict(type="SyntheticScenes", size=(64, 48)))\n'
        'train_dataloader = dict(dataset=dict(_delete_=True, type="ConcatDataset",\n'
        '    datasets=[dict(type="RepeatDataset", times=2, dataset=people), drawn],\n'
        '    pipeline={{_base_.train_dataloader.dataset.pipeline}}))\n'
        'default_hooks = dict(checkpoint=dict(max_keep_ckpts=9, minutes=1e-9))\n'
    )
    return path


def test_training_goes_on_to_the_same_end(config, tmp_path):
    whole, resumed = tmp_path / 'whole', tmp_path / 'resumed'
    call('tools/train.py', config, '--work-dir', whole)
    bad = (whole / 'bad_images_0.jsonl').read_text().splitlines()
    assert [json.loads(line)['index'] for line in bad] == [3]
    assert not (whole / 'bad_images_1.jsonl').exists()
    copy_state(whole / 'epoch_1_iter_4.pth', resumed)
    options = ['--cfg-options', 'train_dataloader.num_workers=2']
    call('tools/train.py', config, '--work-dir', resumed, '--resume', *options)
    assert_same_end(resumed, whole)


def test_tools_take_such_a_config(config, tmp_path, capsys, monkeypatch):
    out = tmp_path / 'bad.jsonl'
    assert call('tools/check_data.py', config, '--out', out, '--processes', 1) == 1
    indices = [json.loads(line)['index'] for line in out.read_text().splitlines()]
    assert indices == [3, 10]  # as the epoch has it
    good = ['--out', out, '--good', tmp_path / 'good.txt', '--processes', 1]
    with pytest.raises(ValueError, match='can only name images that are files'):
        call('tools/check_data.py', config, *good)
    views = tmp_path / 'views.png'
    call('tools/browse_views.py', config, '--out', views, '--num', 1)
    assert views.exists()
    from saip_mm import doctor

    monkeypatch.setattr('sys.argv', ['doctor', str(config)])
    assert doctor.main() == 0
    assert '24 training images' in capsys.readouterr().out
