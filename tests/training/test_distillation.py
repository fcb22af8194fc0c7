"""Trainings with a frozen teacher: resuming, export, files that are not there."""

import shutil
from pathlib import Path

import pytest
import timm
import torch
from launch import ROOT, call
from mmpretrain.registry import MODELS
from safetensors import safe_open
from safetensors.torch import load_file
from short_runs import KEPT, assert_same_end, copy_state
from tiny_teacher import write_teacher

from saip_mm import load_backbone
from saip_mm.checkpoints.files import read_checkpoint
from saip_mm.data.pixels import normalize
from saip_mm.files import sha256

TINY_STAR = ROOT / 'tests/configs/tiny_star.py'


def train(work_dir: Path, teacher: Path, *arguments: str) -> None:
    options = [*KEPT, 'default_hooks.checkpoint.minutes=1e-9']
    options += [f'model.distillation.teacher.checkpoint={teacher}']
    call(
        *('tools/train.py', TINY_STAR, '--work-dir', work_dir, *arguments),
        *('--cfg-options', *options),
    )


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp('star')
    write_teacher(work_dir / 'teacher_of_6.safetensors')
    train(work_dir, work_dir / 'teacher_of_6.safetensors')
    return work_dir


def test_any_step_can_be_resumed_with_the_same_teacher_only(trained, tmp_path):
    copy_state(trained / 'epoch_1_iter_4.pth', tmp_path / 'run')
    other = write_teacher(tmp_path / 'other.pth', seed=1)
    with pytest.raises(ValueError, match='teacher_of_6.*resume with the same teacher'):
        train(tmp_path / 'run', other, '--resume')
    renamed = shutil.copy(trained / 'teacher_of_6.safetensors', tmp_path)
    train(tmp_path / 'run', renamed, '--resume')
    assert_same_end(tmp_path / 'run', trained)


def test_a_missing_teacher(tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint .*missing'):
        train(tmp_path, tmp_path / 'missing.pth')


def test_exports_state_the_teacher_and_the_heads(trained, tmp_path):
    """Blocks with other heads than the last, in MMPretrain and in timm."""
    out = tmp_path / 'timm.safetensors'
    call('tools/export_backbone.py', trained, '--out', out)
    call('tools/export_backbone.py', trained, '--out', tmp_path / 'mm.pth')
    meta = read_checkpoint(tmp_path / 'mm.pth')['meta']
    teacher = trained / 'teacher_of_6.safetensors'
    assert meta['distilled_from'] == dict(name='teacher_of_6', sha256=sha256(teacher))
    assert meta['num_heads'] == [3, 6]
    with safe_open(out, 'pt') as file:
        assert '"teacher_of_6"' in file.metadata()['distilled_from']

    images = torch.randint(256, (2, 3, 64, 32))
    network = load_backbone(tmp_path / 'mm.pth')
    found = load_backbone(out)(images)
    expected = network(images)
    torch.testing.assert_close(found, expected)
    normalized = normalize(images, network.mean, network.std)

    blocks = [dict(num_heads=3)] * 3 + [dict(num_heads=6)]
    arch = dict(embed_dims=24, num_layers=4, num_heads=3, feedforward_channels=96)
    stock = dict(type='VisionTransformer', arch=arch, img_size=(64, 32))
    stock = MODELS.build(dict(stock, layer_cfgs=blocks, out_type='cls_token'))
    weights = read_checkpoint(tmp_path / 'mm.pth')['state_dict']
    stock.load_state_dict({k.removeprefix('backbone.'): v for k, v in weights.items()})
    stock.eval()  # which returns None
    torch.testing.assert_close(stock(normalized)[0], expected.image)

    vit = timm.models.VisionTransformer(
        (64, 32), embed_dim=24, depth=4, num_heads=3, num_classes=0
    ).eval()
    vit.load_state_dict(load_file(out))
    last = vit.blocks[-1].attn  # as docs/distillation.md says
    last.num_heads, last.head_dim, last.scale = 6, 24 // 6, (24 // 6) ** -0.5
    torch.testing.assert_close(vit.forward_features(normalized)[:, 0], expected.image)
