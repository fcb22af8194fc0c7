"""Exported backbones, against the teacher that they are from."""

import hashlib

import pytest
import timm
import torch
from launch import ROOT, call
from mmpretrain.models.backbones import VisionTransformer
from random_models import MEAN, STD, write_saip

import saip_mm
from saip_mm.checkpoints.files import read_checkpoint
from saip_mm.evaluation.subject import build_model
from saip_mm.training.config import load_config


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    return tmp_path_factory.mktemp('work_dir')


@pytest.fixture(scope='module', autouse=True)
def model(work_dir):
    return write_saip(work_dir, 0.1, img_size=(256, 128))


def export(source, out, *options):
    assert not call('tools/export_backbone.py', source, '--out', out, *options)


def same_features(backbone, other, size):
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = backbone(images)[0]
        torch.testing.assert_close(other(images), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.1


@pytest.mark.parametrize(
    'size, role', [((224, 224), 'teacher'), ((96, 256), 'student')]
)
def test_stock_vit_gives_the_same_features(model, work_dir, tmp_path, size, role):
    out = tmp_path / 'a.pth'
    export(work_dir, out, '--img-size', *size, '--role', role)
    vit = VisionTransformer('deit-tiny', img_size=size, out_type='featmap')
    state_dict = torch.load(out, weights_only=True)['state_dict']
    assert all(name.startswith('backbone.') for name in state_dict)
    vit.load_state_dict({name[9:]: state_dict[name] for name in state_dict})
    source = model.backbone if role == 'student' else model.teacher['encoder'].backbone
    same_features(source, lambda images: vit(images)[0], size)


@pytest.mark.parametrize('size', [(256, 128), (96, 256)])
def test_timm_gives_the_teachers_features(model, work_dir, tmp_path, size):
    out = tmp_path / 'a.safetensors'
    export(work_dir, out, '--img-size', *size)
    vit = timm.create_model(
        'vit_tiny_patch16_224',
        img_size=size,
        num_classes=0,
        dynamic_img_pad=False,
        checkpoint_path=str(out),
    ).eval()
    grid = [side // 16 for side in size]

    def features(images):
        return vit.forward_features(images)[:, 1:].mT.unflatten(2, grid)

    same_features(model.teacher['encoder'].backbone, features, size)


def test_timm_sees_resized_patches(model, work_dir, tmp_path):
    out = tmp_path / 'a.safetensors'
    export(work_dir, out, '--img-size', 512, 256, '--patch-size', 32)
    vit = timm.create_model(
        'vit_tiny_patch16_224',
        img_size=(512, 256),
        patch_size=32,
        num_classes=0,
        checkpoint_path=str(out),
    ).eval()

    colors = torch.randn(2, 3, 16, 8)  # of patches

    def patches(side):
        return colors.repeat_interleave(side, 2).repeat_interleave(side, 3)

    with torch.no_grad():
        expected = model.teacher['encoder'].backbone(patches(16))[0]
        features = vit.forward_features(patches(32))[:, 1:].mT.unflatten(2, (16, 8))
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_metadata_of_exports(work_dir, tmp_path, name):
    export(work_dir, tmp_path / name, '--img-size', 256, 192)
    meta = read_checkpoint(tmp_path / name)['meta']
    checkpoint = (work_dir / 'iter_1.pth').read_bytes()
    expected = dict(
        embed_dims=192,
        num_layers=12,
        num_heads=3,
        feedforward_channels=768,
        patch_size=16,
        grid=[16, 12],
        img_size=[256, 192],
        mean=list(MEAN),
        std=list(STD),
        role='teacher',
        source='iter_1.pth',
        source_sha256=hashlib.sha256(checkpoint).hexdigest(),
        saip_mm=saip_mm.__version__,
    )
    assert {key: meta[key] for key in expected} == expected


def test_an_export_can_be_exported_again(work_dir, tmp_path, capsys):
    first, second = tmp_path / 'a.safetensors', tmp_path / 'b.pth'
    export(work_dir, first, '--role', 'student')
    export(first, second, '--img-size', 128, 256)
    assert '1 resized: pos_embed from 16×8 to 8×16' in capsys.readouterr().out
    assert read_checkpoint(second)['meta']['role'] == 'student'
    assert read_checkpoint(second)['meta']['mean'] == list(MEAN)
    with pytest.raises(ValueError, match='has no teacher, .*role: student'):
        export(first, second, '--role', 'teacher')


def test_bad_input(model, work_dir, tmp_path):
    def error(source, *options):
        with pytest.raises((OSError, ValueError)) as caught:
            export(source, tmp_path / 'a.pth', *options)
        assert not (tmp_path / 'a.pth').exists()
        return str(caught.value)

    assert '250×128 is not a multiple of 16' in error(work_dir, '--img-size', 250, 128)
    assert 'has no checkpoint' in error(tmp_path)
    assert 'there is no checkpoint' in error(tmp_path / 'none.pth')
    torch.save(dict(model.state_dict()), tmp_path / 'bare.pth')
    message = 'bare.pth: does not state the patch grid'
    assert message in error(tmp_path / 'bare.pth')


@pytest.mark.parametrize('tool', ['export_backbone', 'convert_checkpoint'])
def test_normalization_is_that_of_the_config_in_the_checkpoint(tmp_path, tool):
    source, out = tmp_path / 'epoch_1.pth', tmp_path / 'out.pth'
    cfg = load_config(str(ROOT / 'configs/pretrain/baselines/mocov3_small.py'))
    own = dict(mean=[100.0, 110.0, 120.0], std=[50.0, 60.0, 70.0])
    cfg.data_preprocessor.update(own)
    state_dict = build_model(cfg).state_dict()
    torch.save(dict(state_dict=state_dict, meta=dict(cfg=cfg.pretty_text)), source)
    assert not call(f'tools/{tool}.py', source, '--out', out)
    assert read_checkpoint(out)['meta'].items() >= own.items()
