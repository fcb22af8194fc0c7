"""Exported backbones, against the teacher that they are from."""

import hashlib

import pytest
import timm
import torch
from launch import call
from mmengine.runner import save_checkpoint
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.registry import MODELS

import saip_mm
from saip_mm.checkpoints.files import read_checkpoint
from saip_mm.checkpoints.loading import load_pretrained
from saip_mm.models import SAIPViT


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    saip = MODELS.build(
        dict(
            type='SAIP',
            backbone=dict(type='SAIPViT', img_size=(256, 128)),
            search=dict(type='CrossScaleSearchHead', embed_dims=32, num_heads=4),
            data_preprocessor=dict(type='SAIPDataPreprocessor', mean=(120, 110, 100)),
        )
    )
    for parameter in saip.parameters():
        torch.nn.init.normal_(parameter.data, std=0.1)
    return saip


@pytest.fixture(scope='module')
def work_dir(model, tmp_path_factory):
    """A work directory with a checkpoint whose config would create a file if run."""
    work_dir = tmp_path_factory.mktemp('work_dir')
    trap = f'open({str(work_dir / "marker")!r}, "w").close()'
    content = dict(state_dict=model.state_dict(), meta=dict(cfg=trap, config=trap))
    save_checkpoint(content, str(work_dir / 'iter_1.pth'))
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'iter_1.pth'))
    yield work_dir
    assert not (work_dir / 'marker').exists()


def export(source, out, *options):
    assert not call('tools/export_backbone.py', source, '--out', out, *options)


def same_features(backbone, other, size):
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = backbone(images)[0]
        torch.testing.assert_close(other(images), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.1


@pytest.mark.parametrize('size', [(224, 224), (96, 256)])
def test_stock_vit_gives_the_teachers_features(model, work_dir, tmp_path, size):
    out = tmp_path / 'a.pth'
    export(work_dir, out, '--img-size', *size)
    vit = VisionTransformer('deit-tiny', img_size=size, out_type='featmap')
    state_dict = torch.load(out, weights_only=True)['state_dict']
    assert all(name.startswith('backbone.') for name in state_dict)
    vit.load_state_dict({name[9:]: state_dict[name] for name in state_dict})
    same_features(
        model.teacher['encoder'].backbone, lambda images: vit(images)[0], size
    )


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


@pytest.mark.parametrize(
    'name, names, role',
    [
        ('a.pth', 'mm', 'teacher'),
        ('a.pth', 'timm', 'student'),
        ('a.safetensors', 'mm', 'student'),
        ('a.safetensors', 'timm', 'teacher'),
    ],
)
def test_every_export_loads_into_saipvit(model, work_dir, tmp_path, name, names, role):
    out = tmp_path / name
    export(work_dir, out, '--role', role, '--format', names)
    vit = SAIPViT(img_size=(192, 192))
    report = load_pretrained(vit, out, prefix='backbone.')
    assert len(report.matched) == 150 and not report.missing + report.unexpected
    source = model.backbone if role == 'student' else model.teacher['encoder'].backbone
    same_features(source, lambda images: vit(images)[0], (192, 192))


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
        mean=[120, 110, 100],
        std=[58.395, 57.12, 57.375],
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
    assert read_checkpoint(second)['meta']['mean'] == [120, 110, 100]
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
