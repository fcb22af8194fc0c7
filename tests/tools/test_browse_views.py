import re

import numpy as np
import pytest
from launch import ROOT, call
from mmpretrain.registry import DATASETS
from PIL import Image

import saip_mm.data  # noqa: F401  (registers the transforms)
from saip_mm.data.people import PeopleDataset
from saip_mm.report.pictures import INST, ROI

TINY_HAP = ROOT / 'tests/configs/tiny_hap.py'
CONFIG = """
default_scope = 'mmpretrain'
train_dataloader = dict(
    dataset=dict(
        type='ColorfulRectangles',
        pipeline=[dict(type='DrawViews', num_locals=5), dict(type={})],
    )
)
"""


@DATASETS.register_module()
class ColorfulRectangles(PeopleDataset):
    def load_data_list(self):
        return [dict(size=size) for size in [(90, 40), (300, 150), (40, 100)]]

    def load_image(self, data_info):
        rng = np.random.default_rng(data_info['sample_idx'])
        return rng.integers(0, 256, (*data_info['size'], 3), np.uint8)


@pytest.mark.parametrize(
    'last', ["'ApplyViews'", "'mmpretrain.PackViews', canvas=(128, 96)"]
)
def test_picture(tmp_path, capsys, last):
    config, out = tmp_path / 'config.py', tmp_path / 'views.png'
    config.write_text(CONFIG.format(last))
    call('tools/browse_views.py', config, '--num', 2, '--out', out)
    assert f'{out}: 2 of 3 samples' in capsys.readouterr().out
    with Image.open(out) as image:
        width, height = image.size
        assert height > 2 * 256 and width > 2 * 128 + 3 * 64 + 64 + 2 * 224
        pixels = np.array(image)
    for color in (INST, ROI):
        assert (pixels == color).all(-1).any()


def test_views_that_are_left_out(tmp_path):
    config, out = tmp_path / 'config.py', tmp_path / 'views.png'
    left_out = 'global_0=None, local=None, scene=None'
    config.write_text(CONFIG.format("'ApplyViews'").replace('num_locals=5', left_out))
    call('tools/browse_views.py', config, '--num', 1, '--out', out)
    with Image.open(out) as image:
        pixels = np.array(image)
    assert (pixels == INST).all(-1).any() and not (pixels == ROI).all(-1).any()
    assert 128 + 50 < image.width < 2 * 128 + 100  # the source and one view


def test_unusable_images_are_skipped(tmp_path, capsys):
    people = tmp_path / 'people'
    people.mkdir()
    for name in 'abcd':
        (people / f'{name}.png').write_bytes(b'')
    options = '--out', tmp_path / 'views.png', '--num', 2, '--cfg-options'
    options = *options, f'train_dataloader.dataset.data_root={people}'
    config = ROOT / 'configs/pretrain/saip_small.py'
    with pytest.raises(ValueError, match='no image can be used'):
        call('tools/browse_views.py', config, *options)
    for name in 'abcefgh':
        Image.new('RGB', (64, 128)).save(people / f'{name}.png')
    call('tools/browse_views.py', config, *options[:2], '--num', 8, *options[4:])
    printed = capsys.readouterr()
    assert 'd.png: not an image' in printed.err and '0 of 8' not in printed.out
    assert 'of 8 samples' in printed.out


def test_masks_of_hap(tmp_path):
    out = tmp_path / 'masks.png'
    call('tools/browse_views.py', TINY_HAP, '--num', 1, '--out', out)
    pixels = np.array(Image.open(out).convert('RGB'))
    gray = (pixels == 128).all(-1).sum()
    assert abs(gray - 2 * 64 * 32 / 2) < 50  # half of two views of 64x32
    assert (pixels == INST).all(-1).any()  # limbs


def test_a_pipeline_without_views(tmp_path):
    config = tmp_path / 'config.py'
    pipeline = "pipeline=[dict(type='LoadPersonImage'), dict(type='PackInputs')]"
    config.write_text(re.sub(r'pipeline=.*(?=,)', pipeline, CONFIG))
    with pytest.raises(ValueError, match='config.py: has no .* of views'):
        call('tools/browse_views.py', config, '--out', tmp_path / 'views.png')
    assert call('tools/browse_views.py', config, '--out', 'views.psd') == 2
    repeated = "train_dataloader['dataset'] = dict(type='RepeatDataset', times=2, "
    repeated += "dataset=train_dataloader['dataset'])"  # cannot be read by keys
    config.write_text(CONFIG.format("'ApplyViews'") + repeated)
    with pytest.raises(ValueError, match='config.py: has no .* of views'):
        call('tools/browse_views.py', config, '--out', tmp_path / 'views.png')


def test_pipelines_of_the_parts_of_a_concatenation(tmp_path, capsys):
    config, out = tmp_path / 'config.py', tmp_path / 'views.png'
    part = "dict(type='ColorfulRectangles', pipeline=[dict(type='DrawViews')"
    config.write_text(
        "default_scope = 'mmpretrain'\n"
        + "train_dataloader = dict(dataset=dict(type='ConcatDataset', datasets=["
        + f"{part}, dict(type='ApplyViews')]), {part}, dict(type='ApplyViews')])]))"
    )
    call('tools/browse_views.py', config, '--num', 9, '--out', out)
    assert f'{out}: 6 of 6 samples' in capsys.readouterr().out
