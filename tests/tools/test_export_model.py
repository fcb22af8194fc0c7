"""Models as ONNX in onnxruntime, against the libraries' own inference."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from launch import ROOT, call
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from people_files import person
from PIL import Image
from random_models import write_model

from saip_mm.data.images import read_image
from saip_mm.deployment import decode_heatmaps, deploy
from saip_mm.predictions import load_predictor

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
LIBRARY = dict(pose='mmpose', parsing='mmseg')
ANSWER = dict(
    reid=lambda sample: torch.nn.functional.normalize(sample.feature, dim=0),
    attributes=lambda sample: sample.pred_score,
    parsing=lambda sample: sample.pred_sem_seg.data[0],
    # In MMPose's samples, keypoints are in pixels of the photograph, here the input.
    pose=lambda sample: sample.pred_instances.keypoints[0],
)


@pytest.mark.parametrize('task', ANSWER)
def test_onnxruntime_agrees_with_the_library(task, tmp_path):
    if task in LIBRARY:
        pytest.importorskip(LIBRARY[task])
    config = ROOT / f'configs/transfer/{task}_saip-small.py'
    meta = dict(classes=['a', 'b']) if task != 'pose' else dict(
        keypoint_id2name={0: 'a', 1: 'b'}, num_keypoints=17, flip_indices=[*range(17)]
    )  # fmt: skip
    checkpoint = write_model(tmp_path / 'model.pth', config, **meta)
    out = tmp_path / 'model.onnx'
    assert not call('tools/export_model.py', config, checkpoint, '--out', out)

    predictor = load_predictor(config, checkpoint)
    height, width = predictor.cfg.model.backbone.img_size
    files = [tmp_path / f'{number}.png' for number in range(3)]
    for number, file in enumerate(files):
        person(number, 0).resize((width, height)).save(file)
    with DefaultScope.overwrite_default_scope(predictor.scope):
        batch = [predictor.prepare(read_image(file), str(file)) for file in files]
        with torch.no_grad():
            if task == 'pose':
                predictor.model.test_cfg['flip_test'] = False
            samples = predictor.model.test_step(pseudo_collate(batch))
    expected = np.stack([np.asarray(ANSWER[task](sample)) for sample in samples])

    session = onnxruntime.InferenceSession(out, providers=['CPUExecutionProvider'])
    images = np.stack([each['inputs'].numpy() for each in batch])[:, ::-1]  # from BGR
    images = images.astype(np.float32)
    if task == 'reid':
        images = (images - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
        images = images.astype(np.float32)
    found = session.run(None, dict(images=images))[0]
    if task == 'pose':
        # MMPose crops with a margin; take its crop's place out.
        center, scale = (
            np.stack([sample.metainfo[name] for sample in samples])
            for name in ('input_center', 'input_scale')
        )
        found = found / (width, height) * scale[:, None] + center[:, None]
        found -= scale[:, None] / 2
    close = np.isclose(found, expected, rtol=1e-3, atol=1e-4)
    # Untrained models have ties between labels, and flat heatmaps.
    assert close.mean() > (0.95 if task in LIBRARY else 0.999)
    known = {p.key: json.loads(p.value) for p in onnx.load(out).metadata_props}
    assert known['input'].startswith('RGB, ')
    assert ('1.25 times as large' in known['input']) == (task == 'pose')
    assert known['task'] == task and known['names'] == ['a', 'b']
    assert known['img_size'] == [height, width] and known['mean'][0] == MEAN[0]


def test_two_classes_in_one_channel(tmp_path):
    mmseg = pytest.importorskip('mmseg.structures')
    config = tmp_path / 'two.py'
    config.write_text(
        f"_base_ = '{ROOT}/configs/transfer/parsing_saip-small.py'\n"
        'model = dict(decode_head=dict(num_classes=2, out_channels=1))\n'
    )
    predictor = load_predictor(config, write_model(tmp_path / 'model.pth', config))
    model, cfg = predictor.model, predictor.cfg
    images = torch.rand(2, 3, 160, 112, generator=torch.manual_seed(0)) * 255
    size = dict(img_shape=(160, 112), ori_shape=(160, 112), pad_shape=(160, 112))
    samples = [mmseg.SegDataSample(metainfo=size) for _ in images]
    batch = dict(inputs=[*images.flip(1)], data_samples=samples)  # to BGR
    with torch.no_grad():
        logits = model.encode_decode(images, [size])
        model.decode_head.threshold = logits.sigmoid().median().item()
        expected = [each.pred_sem_seg.data[0] for each in model.test_step(batch)]
        found = deploy('parsing', model, cfg)(images)
    assert (found == torch.stack(expected)).float().mean() > 0.999
    assert 0.1 < found.float().mean() < 0.9
    image = tmp_path / 'image.png'
    Image.fromarray(images[0].byte().permute(1, 2, 0).numpy()).save(image)
    (prediction,) = predictor([str(image)])
    assert prediction.answer.keys() == {'0', '1'}
    predictor.draw(prediction, tmp_path / 'map.png')
    assert Image.open(tmp_path / 'map.png').height == 320
    sliding = SimpleNamespace(test_cfg=dict(mode='slide'))
    with pytest.raises(ValueError, match="two.py: .*sliding windows; .*mode='whole'"):
        deploy('parsing', sliding, cfg)


@pytest.mark.parametrize('size', [(16, 12), (64, 48)])
def test_heatmaps_are_decoded_as_in_mmpose(size):
    codecs = pytest.importorskip('mmpose.codecs')
    height, width = size
    codec = codecs.UDPHeatmap((width * 4, height * 4), (width, height), sigma=1.5)
    rng = np.random.default_rng(0)
    for _ in range(5):
        points = rng.uniform(0, (width * 4 - 1, height * 4 - 1), (1, 6, 2))
        maps = codec.encode(points.astype(np.float32))['heatmaps']
        maps = maps + rng.uniform(0, 0.1, maps.shape).astype(np.float32)
        expected, confidence = codec.decode(maps)
        found, scores = decode_heatmaps(
            torch.from_numpy(maps)[None],
            codec.blur_kernel_size,
            (height * 4, width * 4),
        )
        np.testing.assert_allclose(found, expected, atol=0.02)
        np.testing.assert_allclose(scores, confidence, rtol=1e-6)


def test_other_models_are_refused(tmp_path):
    pytest.importorskip('mmdet')
    config = ROOT / 'tests/configs/real_detection.py'
    out, checkpoint = tmp_path / 'a.onnx', write_model(tmp_path / 'model.pth', config)
    with pytest.raises(ValueError, match='models of detection cannot be exported'):
        call('tools/export_model.py', config, checkpoint, '--out', out)
    assert not out.exists()


@pytest.mark.parametrize(
    'resize, message',
    [
        (
            'scale=(96, 192)',
            r'resizes images to \(96, 192\) \(w, h\), not to .*128, 64',
        ),
        ('scale=(64, 128), keep_ratio=True', 'keeps the aspect ratio of images'),
    ],
)
def test_images_of_another_size_than_in_tests_are_refused(resize, message, tmp_path):
    config = tmp_path / 'other.py'
    config.write_text(
        f"_base_ = '{ROOT}/configs/transfer/attributes_saip-small.py'\n"
        f"pipeline = [dict(type='ReadImage'), dict(type='Resize', {resize}),"
        " dict(type='PackInputs')]\n"
        'test_dataloader = dict(dataset=dict(pipeline=pipeline))\n'
    )
    predictor = load_predictor(config, write_model(tmp_path / 'model.pth', config))
    with pytest.raises(ValueError, match=f'other.py: the test pipeline {message}'):
        deploy('attributes', predictor.model, predictor.cfg)


@pytest.mark.parametrize('name', ['onnx', 'onnxruntime', 'onnxscript'])
def test_missing_packages(name, tmp_path, monkeypatch):
    config = ROOT / 'configs/transfer/attributes_saip-small.py'
    checkpoint = write_model(tmp_path / 'model.pth', config)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match='run pip install onnx onnxruntime onnxscript'):
        call('tools/export_model.py', config, checkpoint, '--out', tmp_path / 'a.onnx')
