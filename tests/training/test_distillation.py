"""Trainings with a frozen teacher: resuming, export, files that are not there."""

import shutil
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest
import short_runs
import timm
import torch
from launch import ROOT, call
from mmpretrain.registry import MODELS
from random_models import write_teacher
from safetensors import safe_open
from safetensors.torch import load_file
from short_runs import EVERY_STEP, assert_same_end, copy_state

from saip_mm import load_backbone
from saip_mm.checkpoints.files import read_checkpoint, resolve_checkpoint
from saip_mm.checkpoints.teachers import DistillationTeacher
from saip_mm.data.images import normalize
from saip_mm.files import sha256

CONFIGS = dict(star='model.distillation.teacher', dpal='model.teacher')
SMALL = sorted((ROOT / 'configs/pretrain/distillation').glob('*_small*.py'))
SHORT = ['batch_size=2', 'num_workers=0', 'persistent_workers=False']


def train(
    name: str, work_dir: Path, teacher: Path, *options: str, resume: bool = False
) -> None:
    config = ROOT / f'tests/configs/tiny_{name}.py'
    options = EVERY_STEP, f'{CONFIGS[name]}.checkpoint={teacher}', *options
    short_runs.train(work_dir, *options, config=config, resume=resume)


@pytest.fixture(scope='module', params=CONFIGS)
def trained(request, tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp(request.param) / request.param
    work_dir.mkdir()
    write_teacher(work_dir / 'teacher_of_6.safetensors')
    train(request.param, work_dir, work_dir / 'teacher_of_6.safetensors')
    return work_dir


def test_any_step_can_be_resumed_with_the_same_teacher_only(trained, tmp_path):
    copy_state(trained / 'epoch_1_iter_4.pth', tmp_path / 'run')
    other = write_teacher(tmp_path / 'other.pth', seed=1)
    with pytest.raises(ValueError, match='teacher_of_6.*resume with the same teacher'):
        train(trained.name, tmp_path / 'run', other, resume=True)
    renamed = tmp_path / 'renamed.safetensors'
    shutil.copy(trained / 'teacher_of_6.safetensors', renamed)
    train(trained.name, tmp_path / 'run', renamed, resume=True)
    assert_same_end(tmp_path / 'run', trained)


@pytest.mark.parametrize('name', CONFIGS)
def test_a_teacher_sees_repeated_views_once(name, tmp_path, monkeypatch):
    """With the same losses, and any step can be resumed."""
    teacher, passes = write_teacher(tmp_path / 'teacher.pth'), []
    look = DistillationTeacher._look

    def counted(self, images, **options):
        passes.append(len(images))
        return look(self, images, **options)

    monkeypatch.setattr(DistillationTeacher, '_look', counted)
    cache = f'{CONFIGS[name]}.cache={tmp_path / "cache"}'
    with pytest.raises(ValueError, match='cache .* set .*sampler.view_epochs=1'):
        train(name, tmp_path / 'refused', teacher, cache)
    repeated = 'train_dataloader.sampler.view_epochs=1'
    train(name, tmp_path / 'plain', teacher, repeated)
    assert len(passes) % 6 == 0
    once = passes[: len(passes) // 2]
    passes.clear()
    train(name, tmp_path / 'cached', teacher, repeated, cache)
    assert passes == once
    assert_same_end(tmp_path / 'cached', tmp_path / 'plain')
    copy_state(tmp_path / 'cached/epoch_0_iter_2.pth', tmp_path / 'resumed')
    train(name, tmp_path / 'resumed', teacher, repeated, cache, resume=True)
    assert passes == once
    assert_same_end(tmp_path / 'resumed', tmp_path / 'cached')


def test_a_missing_teacher(tmp_path):
    with pytest.raises(FileNotFoundError, match='teacher.checkpoint: .*missing'):
        train('star', tmp_path, tmp_path / 'missing.pth')


@pytest.mark.parametrize('config', SMALL, ids=lambda path: path.stem)
def test_packaged_weights_teach(config, tmp_path):
    """Without a download, in mixed precision."""
    for number in range(2):
        pixels = np.random.default_rng(number).integers(256, size=(128, 64, 3))
        cv2.imwrite(str(tmp_path / f'{number}.png'), pixels)
    options = [f'train_dataloader.{each}' for each in SHORT]
    options += [f'train_dataloader.dataset.data_root={tmp_path}']
    options += ['train_cfg.max_epochs=1']
    if config.stem.endswith('cached'):
        cache = tmp_path / 'cache'
        options[-1:] = ['train_cfg.max_epochs=2']
        options += [f'model.distillation.teacher.cache={cache}']
    run = tmp_path / 'run'
    call('tools/train.py', config, '--work-dir', run, '--cfg-options', *options)
    meta = read_checkpoint(resolve_checkpoint(run))['meta']
    assert meta['distilled_from']['name'] == 'saip-vit-tiny'
    if config.stem.endswith('cached'):  # two views of two images, in all epochs
        (file,) = cache.iterdir()
        (stored,) = sqlite3.connect(file).execute('SELECT count(*) FROM outputs')
        assert stored == (4,)


def test_exports_state_the_teacher_and_the_heads(trained, tmp_path, capsys):
    """Blocks with other heads than the last, in MMPretrain and in timm."""
    out = tmp_path / 'timm.safetensors'
    call('tools/export_backbone.py', trained, '--out', out)
    assert 'another number of heads (3 and 6), which timm' in capsys.readouterr().out
    call('tools/export_backbone.py', trained, '--out', tmp_path / 'mm.pth')
    meta = read_checkpoint(tmp_path / 'mm.pth')['meta']
    teacher = trained / 'teacher_of_6.safetensors'
    assert meta['distilled_from'] == dict(name=teacher.name, sha256=sha256(teacher))
    assert meta['num_heads'] == [3, 6]
    with safe_open(out, 'pt') as file:
        assert teacher.name in file.metadata()['distilled_from']

    images = torch.randint(256, (2, 3, 64, 32))
    depth = meta['num_layers']
    network = load_backbone(tmp_path / 'mm.pth')
    found = load_backbone(out)(images)
    expected = network(images)
    torch.testing.assert_close(found, expected)
    normalized = normalize(images, network.mean, network.std)

    blocks = [dict(num_heads=3)] * (depth - 1) + [dict(num_heads=6)]
    arch = dict(embed_dims=24, num_layers=depth, num_heads=3, feedforward_channels=96)
    stock = dict(type='VisionTransformer', arch=arch, img_size=(64, 32))
    stock = MODELS.build(dict(stock, layer_cfgs=blocks, out_type='cls_token'))
    weights = read_checkpoint(tmp_path / 'mm.pth')['state_dict']
    stock.load_state_dict({k.removeprefix('backbone.'): v for k, v in weights.items()})
    stock.eval()  # which returns None
    torch.testing.assert_close(stock(normalized)[0], expected.image)

    vit = timm.models.VisionTransformer(
        (64, 32), embed_dim=24, depth=depth, num_heads=3, num_classes=0
    ).eval()
    vit.load_state_dict(load_file(out))
    last = vit.blocks[-1].attn  # as docs/distillation.md says
    last.num_heads, last.head_dim, last.scale = 6, 24 // 6, (24 // 6) ** -0.5
    torch.testing.assert_close(vit.forward_features(normalized)[:, 0], expected.image)
