"""Backbones as ONNX in onnxruntime, against the same backbone in PyTorch."""

import json
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from launch import call
from random_models import ARCH, MEAN, STD

import saip_mm
from saip_mm.checkpoints.backbone import Backbone
from saip_mm.models import SAIPViT

TOOL = 'tools/export_backbone.py'


@pytest.fixture(scope='module')
def backbone(tmp_path_factory):
    """An exported backbone with random weights."""
    torch.manual_seed(0)
    vit = SAIPViT(ARCH, img_size=(64, 32))
    for parameter in vit.parameters():
        torch.nn.init.normal_(parameter.data, std=0.3)
    state_dict = Backbone(vit.state_dict(), (4, 2), 3).state_dict()
    meta = dict(mean=[*MEAN], std=[*STD], role='teacher')
    path = tmp_path_factory.mktemp('backbone') / 'backbone.pth'
    torch.save(dict(state_dict=state_dict, meta=meta), path)
    return path


@pytest.mark.parametrize('size', [(64, 32), (96, 80)])
def test_onnxruntime_agrees_with_pytorch(backbone, tmp_path, size, capfd):
    out = tmp_path / 'folder/backbone.onnx'
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert not call(TOOL, backbone, '--out', out, '--img-size', *size)
    printed = capfd.readouterr()
    assert printed.out.splitlines()[1:] == [
        f"wrote {out}: the teacher's backbone for {size[0]}×{size[1]} (h×w) images"
    ]
    assert printed.err == ''
    assert [path.name for path in out.parent.iterdir()] == ['backbone.onnx']
    session = onnxruntime.InferenceSession(out, providers=['CPUExecutionProvider'])
    network = saip_mm.load_backbone(backbone)
    rng = np.random.default_rng(0)
    for batch in (1, 3):
        images = rng.integers(0, 256, (batch, 3, *size)).astype(np.float32)
        image, patches = session.run(['image', 'patches'], dict(images=images))
        with torch.no_grad():
            expected = network(torch.from_numpy(images))
        assert expected.image.std() > 0.1 and len(expected.image) == batch
        np.testing.assert_allclose(image, expected.image, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(patches, expected.patches, rtol=1e-5, atol=1e-5)


def test_metadata(backbone, tmp_path):
    out = tmp_path / 'a.onnx'
    assert not call(TOOL, backbone, '--out', out)
    found = {p.key: json.loads(p.value) for p in onnx.load(out).metadata_props}
    assert found['mean'] == [*MEAN] and found['std'] == [*STD]
    assert found['img_size'] == [64, 32] and found['patch_size'] == 16
    assert found['input'] == 'RGB, 0-255' and found['role'] == 'teacher'
    assert found['source'] == 'backbone.pth'


def test_missing_packages(backbone, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'onnxscript', None)
    with pytest.raises(ValueError, match='onnxscript is not installed; run pip'):
        call(TOOL, backbone, '--out', tmp_path / 'a.onnx')
    assert not (tmp_path / 'a.onnx').exists()


def test_tensor_names_are_not_for_onnx(backbone, tmp_path):
    options = ['--out', tmp_path / 'a.onnx', '--format', 'timm']
    assert call(TOOL, backbone, *options) == 2
