"""Exported backbones without a class token, in the libraries that have their class."""

import json

import numpy as np
import pytest
import torch
from launch import ROOT, call
from mmengine.config import Config
from mmengine.runner import load_checkpoint, save_checkpoint
from mmpretrain.models.backbones import TinyViT
from mmpretrain.registry import MODELS

import saip_mm
from saip_mm.checkpoints.files import read_checkpoint
from saip_mm.evaluation.subject import load_subject


def train(name: str, work_dir):
    """An untrained model with random statistics, and its checkpoint with its config."""
    if name == 'cspnext':
        pytest.importorskip('mmdet')
    cfg = Config.fromfile(ROOT / f'tests/configs/tiny_{name}.py')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    for tensor in model.teacher['encoder'].backbone.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim:
            tensor += 0.2 * torch.rand_like(tensor)
    meta = dict(cfg=cfg.pretty_text)
    content = dict(state_dict=model.state_dict(), meta=meta)
    save_checkpoint(content, str(work_dir / 'iter_1.pth'))
    return model.eval(), cfg


def export(source, out):
    assert not call('tools/export_backbone.py', source, '--out', out)
    return out


def stock_map(name: str, cfg: Config, path, size, neck) -> callable:
    """The last map by the library's own class, with the exported weights."""
    if name == 'cspnext':
        options = {k: v for k, v in cfg.model.backbone.items() if k != 'img_size'}
        model = MODELS.build(options | dict(type='mmdet.CSPNeXt'))
    else:
        options = {k: cfg.model.backbone[k] for k in ('arch', 'window_size')}
        options |= dict(img_size=size, gap_before_final_norm=False)
        model = TinyViT(**options)
        # One merging less, whose resolution the last stage keeps.
        model.stages[2].downsample.conv2.conv2d.stride = (1, 1)
        for block in model.stages[3].blocks:
            block.img_size = model.stages[2].downsample.img_size
        model.stages[3].resolution = model.stages[2].downsample.img_size
        model.norm3 = torch.nn.Identity()
    found = load_checkpoint(model, str(path), revise_keys=[(r'^backbone\.', '')])
    assert found
    model.eval()
    return lambda images: neck(model(images)[-1])


@pytest.mark.parametrize('name', ['tinyvit', 'cspnext'])
def test_an_exported_backbone_everywhere(name, tmp_path):
    size = (96, 64)
    model, cfg = train(name, tmp_path)
    teacher = model.teacher['encoder'].backbone
    pth = export(tmp_path / 'iter_1.pth', tmp_path / 'a.pth')
    safe = export(pth, tmp_path / 'a.safetensors')
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    views = model.data_preprocessor.mean, model.data_preprocessor.std
    pixels = (torch.from_numpy(images).permute(0, 3, 1, 2) - views[0]) / views[1]
    neck = getattr(teacher, 'neck', torch.nn.Identity())
    with torch.no_grad():
        last = stock_map(name, cfg, pth, size, neck)(pixels)
        encoded = teacher.encode(pixels, until='maps')
    assert last.std() > 0.01
    torch.testing.assert_close(encoded.last_map, last, rtol=1e-4, atol=1e-5)
    for source in (tmp_path / 'iter_1.pth', pth, safe):
        backbone = saip_mm.load_backbone(source)
        assert type(backbone.backbone) is type(teacher)
        assert backbone.img_size == (64, 32)
        found = saip_mm.embed(backbone, images, img_size=size)
        torch.testing.assert_close(found, last.mean((2, 3)), rtol=1e-4, atol=1e-5)
        found = saip_mm.embed(backbone, images, patches=True, img_size=size)
        torch.testing.assert_close(found, last, rtol=1e-4, atol=1e-5)
        probed = load_subject(str(source))
        assert (probed.model is None) == (source != tmp_path / 'iter_1.pth')
        images_ = torch.from_numpy(images).permute(0, 3, 1, 2)
        tokens, patches = probed.features(images_, patches=True)
        torch.testing.assert_close(tokens['image'], encoded.image_token)
        channels = encoded.middle_map.shape[1] + last.shape[1]
        assert patches.shape == (2, channels, 6, 4)
    fresh = MODELS.build(
        dict(cfg.model.backbone, init_cfg=dict(type='Pretrained', checkpoint=str(safe)))
    )
    fresh.init_weights()
    torch.testing.assert_close(
        dict(fresh.state_dict()), dict(teacher.state_dict()), rtol=0, atol=0
    )
    meta = read_checkpoint(safe)['meta']
    assert meta['type'] == type(teacher).__name__ and meta['grid'] == [4, 2]
    json.dumps(meta)


def test_bad_files(tmp_path):
    train('tinyvit', tmp_path)
    pth = export(tmp_path / 'iter_1.pth', tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='timm has no SAIPTinyViT'):
        call(
            *('tools/export_backbone.py', pth, '--format', 'timm'),
            *('--out', tmp_path / 'b.pth'),
        )
    content = torch.load(pth, weights_only=True)
    for gone, message in (
        ('stages.1.blocks.0.attn.norm.weight', 'not a complete SAIPTinyViT'),
        ('stages.3.blocks.0.mlp.fc1.bias', '1 missing: stages.3.blocks.0.mlp.fc1.bias'),
    ):
        weights = content['state_dict'].copy()
        del weights[f'backbone.{gone}']
        torch.save(dict(content, state_dict=weights), tmp_path / 'c.pth')
        with pytest.raises(ValueError, match=f'c.pth: .*{message}'):
            saip_mm.load_backbone(tmp_path / 'c.pth')
    for kind, arch in (('SAIPTinyViT', dict(arch='5m')), ('SAIPViT', {})):
        other = MODELS.build(
            dict(
                type=kind, init_cfg=dict(type='Pretrained', checkpoint=str(pth)), **arch
            )
        )
        with pytest.raises(ValueError, match=f'a.pth: .*{kind}'):
            other.init_weights()
