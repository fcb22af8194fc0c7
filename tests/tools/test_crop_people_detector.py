"""tools/crop_people.py with a detector of MMDetection."""

import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

TOOL = 'tools/crop_people.py'


def test_without_mmdetection(run, photos, tmp_path, monkeypatch):
    for name in ('mmdet', 'mmdet.apis'):  # another test may have imported them
        monkeypatch.setitem(sys.modules, name, None)
    options = ['--det-config', 'a.py', '--det-checkpoint', 'a.pth']
    status, _ = run(photos, tmp_path / 'out', *options)
    assert 'needs MMDetection' in status
    assert '--ann' in status


@pytest.fixture
def detector(tmp_path):
    """Config and random weights of a small detector with given classes."""
    pytest.importorskip('mmdet', reason='MMDetection is not installed')
    pytest.importorskip('mmcv._ext', reason='mmcv has no compiled ops')
    from mmdet.registry import MODELS

    def make(classes):
        config = tmp_path / 'detector.py'
        config.write_text(DETECTOR.format(len(classes)))
        torch.manual_seed(0)
        model = MODELS.build(Config.fromfile(config).model)
        torch.nn.init.zeros_(model.bbox_head.conv_cls.bias)  # scores of about 0.5
        checkpoint = dict(
            state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=classes))
        )
        torch.save(checkpoint, tmp_path / 'detector.pth')
        weights = str(tmp_path / 'detector.pth')
        return ['--det-config', config, '--det-checkpoint', weights]

    with DefaultScope.overwrite_default_scope('mmdet'):  # also restores the scope
        yield make


DETECTOR = """
default_scope = 'mmdet'
model = dict(
    type='FCOS',
    data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, num_stages=4, out_indices=(1, 2, 3)),
    neck=dict(type='FPN', in_channels=[128, 256, 512], out_channels=16, num_outs=5),
    bbox_head=dict(
        type='FCOSHead', num_classes={}, in_channels=16, feat_channels=16,
        stacked_convs=1, norm_cfg=None),
    test_cfg=dict(nms_pre=100, score_thr=0.0, max_per_img=10,
                  nms=dict(type='nms', iou_threshold=0.5)))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 64), keep_ratio=True),
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
test_dataloader = dict(dataset=dict(
    type='CocoDataset', metainfo=None, pipeline=test_pipeline))
"""


def test_detector(run, photos, tmp_path, detector):
    from mmdet.apis import inference_detector, init_detector

    options = detector(['car', 'person'])
    out = tmp_path / 'out'
    sizes = ['--min-size', 8, 8, '--score-thr', 0.3]
    status, text = run(photos, out, *options, '--margin', 0, *sizes)
    assert status == 0, text
    model = init_detector(str(options[1]), options[3], device='cpu')
    found = inference_detector(model, str(photos / 'a.png')).pred_instances
    found = found[(found.labels == 1) & (found.scores >= 0.3)]
    expected = []
    for box in found.bboxes.numpy().clip(0, [300, 200, 300, 200]).tolist():
        x, y, right, bottom = box
        if bottom - y >= 8 and right - x >= 8:
            expected.append((np.ceil(bottom) - int(y), np.ceil(right) - int(x)))
    assert expected
    crops = sorted(out.glob('a.png.*.jpg'), key=lambda path: int(path.suffixes[-2][1:]))
    assert [cv2.imread(str(path)).shape[:2] for path in crops] == expected
    status, text = run(photos, out, *options)
    assert '2 that were finished before' in text
    status, _ = run(photos, tmp_path / 'other', *detector(['car', 'dog']))
    assert 'no class "person" among car, dog' in status
    weights = torch.load(options[3])
    del weights['state_dict']['neck.lateral_convs.0.conv.bias']
    torch.save(weights, options[3])
    status, _ = run(photos, tmp_path / 'other', *options)
    assert 'detector.pth: does not fit this FCOS: ' in status
    assert '1 missing: neck.lateral_convs.0.conv.bias; give weights of' in status
    assert not (tmp_path / 'other').exists()
