"""Configs for small data sets train and test on drawn people, from packaged weights."""

import json

import pytest
from launch import ROOT, call
from written_formats import write

from saip_mm.training import SafeRunner
from saip_mm.training.config import load_config

BOXES = (
    'test_dataloader.dataset.ann_file=annotations/instances_val2017.json',
    'train_dataloader.dataset.ann_file=annotations/instances_train2017.json',
    'test_evaluator.ann_file=data/annotations/instances_val2017.json',
    'test_dataloader.dataset.data_prefix.img=val2017',
    'train_dataloader.dataset.data_prefix.img=train2017',
)
PARTS = (
    'test_evaluator.ann_file=data/instances_attributes_val2020.json',
    'model.roi_head.attribute_head.knowledge=data/instances_attributes_train2020.json',
)
ALL, ALL_OF_STAGE_2 = (f'model.test_cfg.{at}score_thr=0.0' for at in ('', 'rcnn.'))
SLOW_PATCHES = 'optim_wrapper.paramwise_cfg.custom_keys.patch_embed.lr_mult=0.25'
CASES = {
    'detection_saip-small': ('coco', 'coco/bbox_mAP', (*BOXES, ALL, SLOW_PATCHES)),
    'heads/faster-rcnn_saip-small': (
        'coco',
        'coco/bbox_mAP',
        (*BOXES, ALL_OF_STAGE_2),
    ),
    'part_attributes_saip-small': (
        'fashionpedia',
        'fashionpedia/segm_AP_IoU_F1',
        (*PARTS, ALL_OF_STAGE_2),
    ),
    'text_retrieval_saip-small': (
        'cuhk-pedes',
        'text_retrieval/rank1',
        ('model.num_classes=2',),
    ),
}


@pytest.mark.parametrize('name', CASES)
def test_train_and_test(name, tmp_path, capfd):
    pytest.importorskip('open_clip' if 'text' in name else 'mmdet')
    layout, metric, options = CASES[name]
    write(layout, tmp_path / 'data', 4)
    config = ROOT / f'configs/transfer/{name}.py'
    options = ['train_cfg.max_iters=2', 'param_scheduler=None', *options]
    for split in ('train', 'test'):
        options += [
            f'{split}_dataloader.dataset.data_root=data',
            f'{split}_dataloader.batch_size=2',
            f'{split}_dataloader.num_workers=0',
            f'{split}_dataloader.persistent_workers=False',
        ]
    arguments = ['--cfg-options', *options]
    call('tools/train.py', config, '--work-dir', 'run', *arguments, cwd=tmp_path)
    out = capfd.readouterr()
    assert '78 of 78 tensors matched' in out.out + out.err
    arguments = ['--work-dir', 'test', *arguments]
    call('tools/test.py', config, 'run', *arguments, cwd=tmp_path)
    (path,) = tmp_path.glob('test/*/*.json')
    assert -1 <= json.loads(path.read_text())[metric] <= 1


@pytest.mark.parametrize(
    'name', ['detection_saip-small', 'heads/faster-rcnn_saip-small']
)
def test_heads_for_other_classes_than_the_data(name, tmp_path, capfd):
    pytest.importorskip('mmdet')
    write('coco', tmp_path, 4)
    head = 'roi_head.bbox_head' if 'heads' in name else 'bbox_head'
    options = [*BOXES, f'model.{head}.num_classes=3', 'model.backbone.init_cfg=None']
    options += [f'train_dataloader.dataset.data_root={tmp_path}']
    config = ROOT / f'configs/transfer/{name}.py'
    arguments = '--work-dir', tmp_path / 'run', '--cfg-options', *options
    with pytest.raises(AssertionError, match='3.*the length of `classes` 1'):
        call('tools/train.py', config, *arguments)
    assert 'error: The `num_classes` (3) in' in capfd.readouterr().err


def test_patches_of_another_size_than_the_necks(tmp_path):
    """The config's neck is for patches of 8."""
    pytest.importorskip('mmdet')
    config = ROOT / 'configs/transfer/detection_saip-small.py'
    options = {'model.backbone.patch_size': 16, 'model.backbone.init_cfg': None}
    cfg = load_config(str(config), options | dict(work_dir=str(tmp_path)))
    with pytest.raises(ValueError, match=r'neck\.0\.in_stride=8, .* patch_size=16'):
        SafeRunner.from_cfg(cfg)


@pytest.mark.parametrize('name', ['parsing', 'detection'])
def test_no_augmentation_of_other_data_sets(name, tmp_path):
    config = ROOT / f'configs/transfer/{name}_saip-small.py'
    (tmp_path / 'model.pth').touch()
    with pytest.raises(ValueError, match='has no tta_model, which --tta needs'):
        call('tools/test.py', config, tmp_path / 'model.pth', '--tta', cwd=tmp_path)
