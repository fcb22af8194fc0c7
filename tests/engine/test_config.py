"""Configs that inherit those of the libraries."""

from argparse import ArgumentParser

import pytest

from saip_mm.engine.config import add_options, load_config

STOCK = {
    'mmdet': ('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', 'FasterRCNN'),
    'mmpose': (
        'body_2d_keypoint/topdown_heatmap/coco/'
        'td-hm_ViTPose-small_8xb64-210e_coco-256x192.py',
        'TopdownPoseEstimator',
    ),
    'mmseg': ('fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py', 'EncoderDecoder'),
    'mmpretrain': ('resnet/resnet18_8xb32_in1k.py', 'ImageClassifier'),
}


@pytest.mark.parametrize('library', STOCK)
def test_stock_configs_can_be_inherited(tmp_path, library):
    pytest.importorskip(library)
    name, model = STOCK[library]
    config = tmp_path / 'mine.py'
    config.write_text(f"_base_ = '{library}::{name}'\nmodel = dict(backbone=dict(a=1))")
    cfg = load_config(str(config), {})
    assert cfg.model.type == model
    assert cfg.model.backbone.a == 1


def test_a_library_that_is_not_installed(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = __import__('mmnone').__path__[0]")
    with pytest.raises(ModuleNotFoundError, match=r"mine.py: .*'mmnone'.*install.sh"):
        load_config(str(config), {})


def test_options_that_cannot_be_read(capsys):
    parser = ArgumentParser()
    add_options(parser)
    options = parser.parse_args(['--cfg-options', 'a.b=[1,2]', 'c=x']).cfg_options
    assert options == {'a.b': [1, 2], 'c': 'x'}
    for bad in ('a', 'a=dict(b=1,c=2)', 'a=[1,2'):
        with pytest.raises(SystemExit):
            parser.parse_args(['--cfg-options', bad])
        assert f'{bad}: should be NAME=VALUE' in capsys.readouterr().err
