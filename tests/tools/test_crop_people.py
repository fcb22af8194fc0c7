"""tools/crop_people.py on photographs with known pixels, real ones, and a detector."""

import json
import sys

import cv2
import numpy as np
import pytest
import torch
from cropping import BOXES, annotate
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from saip_mm.data import PersonImages

TOOL = 'tools/crop_people.py'


def test_crops_are_named_after_their_photographs(run, photos, tmp_path):
    ann, out = annotate(photos, ['a.png', 'sub/a.jpg'], BOXES), tmp_path / 'out'
    status, text = run(photos, out, '--ann', ann, '--margin', 0.5)
    assert status == 0
    assert f'4 crops written to {out}; skipped 2 boxes smaller than 64x32' in text
    names = ['a.png.0.jpg', 'a.png.1.jpg', 'sub/a.jpg.0.jpg', 'sub/a.jpg.1.jpg']
    assert sorted(p for p in out.rglob('*') if p.is_file()) == [out / n for n in names]
    images = [sample['image'] for sample in PersonImages(str(out))]
    assert [image.shape for image in images] == [(200, 150, 3), (200, 100, 3)] * 2
    means = [image.mean() for image in images]
    np.testing.assert_allclose(means, [200, 60] * 2, atol=1)


def test_goes_on_where_it_was_interrupted(run, photos, tmp_path, tool, monkeypatch):
    ann, out = annotate(photos, ['a.png', 'sub/a.jpg'], BOXES), tmp_path / 'out'
    replace = tool.os.replace

    def interrupted(source, target):
        if 'sub' in target and target.endswith('.0.jpg'):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(tool.os, 'replace', interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(photos, out, '--ann', ann)
    # What is unfinished is not taken for an image.
    assert (out / 'sub' / 'a.jpg.0.tmp').exists()
    assert len(PersonImages(str(out))) == 3
    monkeypatch.setattr(tool.os, 'replace', replace)
    first = (out / 'a.png.0.jpg').stat().st_mtime_ns
    status, text = run(photos, out, '--ann', ann)
    assert status == 0
    assert '2 crops written' in text
    assert '1 that were finished before' in text
    assert (out / 'a.png.0.jpg').stat().st_mtime_ns == first
    assert sum(path.is_file() for path in out.rglob('*')) == 4
    assert run(photos, out, '--ann', ann)[0] == 0


def test_a_bad_photograph_is_reported_and_skipped(run, photos, tmp_path):
    (photos / 'a.png').write_bytes((photos / 'a.png').read_bytes()[:100])
    ann = annotate(photos, ['a.png', 'sub/a.jpg', 'absent.png'], BOXES)
    status, text = run(photos, tmp_path / 'out', '--ann', ann)
    assert status == 0
    assert 'Skipped: ' in text
    assert 'a.png: cannot be read' in text
    assert 'absent.png: no such file' in text
    assert '2 crops written' in text
    assert '2 photographs that cannot be used' in text


def test_no_crop_at_all_is_a_failure(run, photos, tmp_path):
    ann = annotate(photos, ['a.png'], BOXES)
    status, _ = run(photos, tmp_path / 'out', '--ann', ann, '--min-size', 500, 500)
    assert 'no crops; lower --min-size' in status
    ann = annotate(photos, ['x.png', 'y.png'], BOXES)
    status, _ = run(photos, tmp_path / 'out', '--ann', ann)
    assert 'none of the photographs' in status


def test_nothing_is_written_outside(run, photos, tmp_path):
    Image.new('RGB', (200, 200)).save(tmp_path / 'x.png')
    ann = annotate(photos, ['../x.png'], BOXES)
    status, _ = run(photos, tmp_path / 'out', '--ann', ann)
    assert 'boxes.json: ../x.png is not below' in status


def test_bad_annotations_end_in_one_line(run, photos, tmp_path):
    ann = photos / 'boxes.json'
    status, _ = run(photos, tmp_path / 'out', '--ann', ann)
    assert f'error: {ann}: no such annotation file' in status
    ann.write_text('[]')
    status, _ = run(photos, tmp_path / 'out', '--ann', ann)
    assert f'error: {ann}: holds a list' in status


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'one of the arguments --ann --det-config is required'),
        (['--det-config', 'a.py'], '--det-config and --det-checkpoint go together'),
        (['--ann', 'a.json', '--margin', '-1'], '--margin should be at least 0'),
    ],
)
def test_wrong_arguments(run, arguments, message):
    status, text = run('photos', 'out', *arguments)
    assert status == 2
    assert message in text


@pytest.mark.parametrize(
    ('name', 'crops'),
    [('coco/test_coco', 14), ('crowdpose/test_crowdpose', 5), ('aic/test_aic', 9)],
)
def test_real_photographs(run, test_data, tmp_path, name, crops):
    path = test_data / 'real' / f'{name}.json'
    options = ['--margin', 0, '--min-size', 1, 1]
    status, text = run(path.parent, tmp_path, '--ann', path, *options)
    assert status == 0
    content = json.loads(path.read_text())
    files = {image['id']: image['file_name'] for image in content['images']}
    numbers = dict.fromkeys(files, 0)
    for annotation in content['annotations']:
        image = annotation['image_id']
        crop = cv2.imread(f'{tmp_path}/{files[image]}.{numbers[image]}.jpg')
        numbers[image] += 1
        photograph = cv2.imread(str(path.parent / files[image]))
        x, y, w, h = annotation['bbox']
        bottom, right = int(np.ceil(y + h)), int(np.ceil(x + w))
        expected = photograph[int(y) : bottom, int(x) : right]
        assert np.abs(crop - expected.astype(int)).mean() < 4  # JPEG once more
    assert sum(numbers.values()) == crops == len(list(tmp_path.iterdir()))


def test_without_mmdet_the_remedy_is_named(run, photos, tmp_path, monkeypatch):
    for name in ('mmdet', 'mmdet.apis'):  # which another test may have imported
        monkeypatch.setitem(sys.modules, name, None)
    options = ['--det-config', 'a.py', '--det-checkpoint', 'a.pth']
    status, _ = run(photos, tmp_path / 'out', *options)
    assert 'needs MMDetection' in status
    assert '--ann' in status
    status, text = run(photos, photos / 'out', *options)
    assert status == 2
    assert 'OUT_DIR is in IMG_DIR' in text


@pytest.fixture
def detector(tmp_path):
    """Config and random weights of a small detector that knows some classes."""
    pytest.importorskip('mmdet', reason='MMDetection is not installed')
    pytest.importorskip('mmcv._ext', reason='mmcv has no compiled ops')
    from mmdet.registry import MODELS

    def make(classes):
        config = tmp_path / 'detector.py'
        config.write_text(DETECTOR.format(len(classes)))
        torch.manual_seed(0)
        model = MODELS.build(Config.fromfile(config).model)
        torch.nn.init.zeros_(model.bbox_head.conv_cls.bias)  # scores about 0.5
        checkpoint = dict(
            state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=classes))
        )
        torch.save(checkpoint, tmp_path / 'detector.pth')
        weights = str(tmp_path / 'detector.pth')
        return ['--det-config', config, '--det-checkpoint', weights]

    with DefaultScope.overwrite_default_scope('mmdet'):  # ends what MMDet sets, too
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
    expected = []
    for (left, top, right, bottom), label, score in zip(
        found.bboxes.tolist(), found.labels, found.scores, strict=True
    ):
        x, y = max(left, 0), max(top, 0)
        h, w = min(bottom, 200) - y, min(right, 300) - x
        if label == 1 and score >= 0.3 and h >= 8 and w >= 8:
            shape = (
                np.ceil(min(bottom, 200)) - int(y),
                np.ceil(min(right, 300)) - int(x),
            )
            expected.append(shape)
    assert expected
    crops = sorted(out.glob('a.png.*.jpg'), key=lambda path: int(path.suffixes[-2][1:]))
    assert [cv2.imread(str(path)).shape[:2] for path in crops] == expected
    status, text = run(photos, out, *options)
    assert '2 that were finished before' in text


def test_a_detector_without_people(run, photos, tmp_path, detector):
    status, _ = run(photos, tmp_path / 'out', *detector(['car', 'dog']))
    assert 'no class "person" among car, dog' in status
