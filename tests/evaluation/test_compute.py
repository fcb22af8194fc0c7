"""Costs of trainings, and trainings of other lengths."""

import pytest
from launch import ROOT, TINY
from mmengine.config import Config
from PIL import Image
from random_models import write_teacher

from saip_mm.evaluation.compute import cost_of, with_epochs
from saip_mm.training.config import load_config


def block(tokens: int, channels: int) -> int:
    """FLOPs of a transformer block with an MLP of four times its channels."""
    linear = 2 * tokens * 12 * channels**2
    return linear + 2 * 2 * tokens**2 * channels


def test_flops_of_mae_by_hand():
    cfg = Config.fromfile(TINY)
    cfg.model.update(matching=None, search=None)
    cfg.model.data_preprocessor.csr_scale = 1.0
    cfg.model.reconstruction.anchor = False
    cfg.model.backbone.middle_block = 3
    # 8 patches of 16x16 pixels, of which 2 are visible, and a class token.
    encoder = 4 * block(3, 24)
    decoder = 2 * 9 * 24 * 32 + 2 * block(9, 32) + 2 * 8 * 32 * 768
    patches = 2 * 8 * 768 * 24
    # The backward pass costs twice the forward pass; images need no gradient.
    expected = 3 * (encoder + decoder) + 2 * patches, 24
    assert cost_of(cfg) == expected
    cfg.train_dataloader.dataset.pipeline[-1] = dict(type='PackViews', canvas=(64, 48))
    assert cost_of(cfg) == expected


def test_flops_of_an_algorithm_of_mmpretrain_by_hand():
    cfg = load_config(str(ROOT / 'configs/pretrain/baselines/mocov3_small.py'))
    cfg.train_dataloader.batch_size = 8
    cfg.train_dataloader.dataset = dict(
        type='SyntheticPeople',
        num_identities=3,
        images_per_identity=7,
        pipeline=cfg.train_dataloader.dataset.pipeline,
    )
    found = cost_of(cfg)
    # A view: 32 patches of 16x16 pixels; MLPs of 96-512-512-64 and 64-512-64.
    patches = 2 * 32 * 768 * 96
    encoder = 6 * block(33, 96)
    projector = 2 * (96 * 512 + 512 * 512 + 512 * 64)
    predictor = 2 * (64 * 512 + 512 * 64)
    student = 3 * (encoder + projector + predictor) + 2 * patches
    target = patches + encoder + projector
    # The contrastive product of features is what else is counted.
    assert found.flops == pytest.approx(2 * (student + target), rel=1e-3)
    assert found.images == 16


def test_unusable_images_are_replaced_as_in_training(tmp_path):
    cfg = Config.fromfile(TINY)
    expected = cost_of(cfg)
    for number in range(expected.images):
        Image.new('RGB', (40, 80)).save(tmp_path / f'{number}.png')
    (tmp_path / '0.png').write_bytes(b'')
    (tmp_path / '1.png').write_bytes(b'GIF89a')
    cfg.train_dataloader.dataset = dict(
        type='PersonImages',
        data_root=str(tmp_path),
        scenes=dict(type='PersonImages', data_root=str(tmp_path)),
        pipeline=cfg.train_dataloader.dataset.pipeline,
    )
    assert cost_of(cfg) == expected


def test_flops_do_not_depend_on_a_cache(tmp_path):
    cfg = Config.fromfile(ROOT / 'tests/configs/tiny_star.py')
    teacher = cfg.model.distillation.teacher
    teacher.checkpoint = write_teacher(tmp_path / 'teacher.pth')
    expected = cost_of(cfg)
    teacher.cache = str(tmp_path / 'cache')
    assert cost_of(cfg) == expected
    assert not (tmp_path / 'cache').exists()


@pytest.mark.parametrize('epochs', [2, 12])
@pytest.mark.parametrize('ends', [{}, dict(end=5), dict(end=5, T_max=4.5)])
@pytest.mark.parametrize('name', ['saip_small', 'baselines/mocov3_small'])
def test_schedules_keep_their_shape(name, ends, epochs):
    cfg = load_config(str(ROOT / f'configs/pretrain/{name}.py'))
    cfg.param_scheduler[1].update(ends)
    longer = with_epochs(cfg, epochs)
    assert longer.train_cfg.max_epochs == epochs and cfg.train_cfg.max_epochs == 5
    warmup, cosine = longer.param_scheduler
    assert warmup.end == cosine.begin == pytest.approx(0.1 * epochs)
    end = cosine.get('end', epochs)
    assert end == epochs and isinstance(end, int)
    assert cosine.get('T_max', 0.9 * epochs) == pytest.approx(0.9 * epochs)
    cfg.param_scheduler = [dict(type='MultiStepLR', milestones=[2, 4])]
    (steps,) = with_epochs(cfg, epochs).param_scheduler
    assert steps['milestones'] == [round(0.4 * epochs), round(0.8 * epochs)]
