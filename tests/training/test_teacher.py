"""The teacher's momentum, and the share of initial weights that is left in it."""

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from launch import ROOT, TINY, call
from mmengine import optim
from mmengine.config import Config
from mmengine.optim import CosineAnnealingLR, LinearLR, PolyLR
from mmpretrain.registry import HOOKS, MODELS
from short_runs import log_of, scalars_of, train

from saip_mm.training import SAIPHook
from saip_mm.training.config import load_config
from saip_mm.training.hooks import TeacherMomentum
from saip_mm.training.schedules import compare_lengths, startable


def plain_share(start: float, end: float, steps: int) -> float:
    """A teacher of ones after following a student of zeros."""
    teacher = 1.0
    for step in range(steps):
        progress = step / steps
        momentum = end - (end - start) * (1 + math.cos(math.pi * progress)) / 2
        teacher = momentum * teacher + (1 - momentum) * 0.0
    return teacher


@pytest.mark.parametrize(
    'start, end, steps', [(0.996, 1, 1), (0.9995, 1, 300), (0.5, 0.9, 7), (1, 1, 9)]
)
def test_initial_share(start, end, steps):
    momentum = TeacherMomentum(start, end, steps)
    left = plain_share(start, end, steps)
    assert momentum.initial_share() == pytest.approx(left)


@pytest.mark.parametrize('option', ['momentum', 'end_momentum', 'max_initial_share'])
def test_a_momentum_outside_zero_to_one_is_rejected(option):
    with pytest.raises(ValueError, match=f'^{option}='):
        SAIPHook(**{option: 1.1})


@pytest.mark.parametrize('steps', [1, 20, 300, 8000])
def test_a_limited_share(steps):
    momentum = SAIPHook(0.9995, max_initial_share=0.001).momentum(256, steps)
    assert plain_share(momentum.start, 1, steps) == pytest.approx(0.001, rel=1e-3)
    higher = momentum.start + 0.01 * (1 - momentum.start)
    assert plain_share(higher, 1, steps) > 0.001
    unlimited = SAIPHook(0.9, max_initial_share=0.001).momentum(256, 8000)
    assert unlimited.start == 0.9


@pytest.mark.parametrize(
    'config, expected',
    [
        ('saip_vit-tiny', (0.996, 1.0, 2048)),
        ('saip_vit-tiny_1gpu', (0.99, 0.998, 256)),
        ('saip_demo', (0.97, 0.99, 32)),
    ],
)
def test_momenta_follow_the_batch_size(config, expected, tmp_path):
    """Also in a config that inherits them."""
    inherited = ROOT / f'configs/pretrain/{config}.py'
    path = tmp_path / 'mine.py'
    path.write_text(f'_base_ = {str(inherited)!r}')
    cfg = load_config(str(path), {'train_dataloader.batch_size': 8})
    hook = HOOKS.build(cfg.default_hooks.saip)
    momentum, end, base = expected
    many = 10_000_000  # steps, after which no initial weights are left
    scaled = momentum ** (8 / base), end ** (8 / base)
    assert hook.momentum(8, many)[:2] == pytest.approx(scaled)
    assert hook.momentum(base, many) == (momentum, end, many)


def test_the_center_averages_over_the_same_number_of_images():
    """Two steps of half the batch move it as far as one step."""
    head = MODELS.build(Config.fromfile(TINY).model.matching)
    logits, hook = torch.randn(64), SAIPHook(base_batch_size=8)
    hook.model = SimpleNamespace(matching=head, update_teacher=lambda momentum: None)
    hook.schedule = hook.momentum(4, 2)
    for step in range(2):
        hook.means = [logits]
        hook._update(SimpleNamespace(iter=step), hook.batch_ratio(4))
    torch.testing.assert_close(head.center[0], 0.1 * logits)


def warnings_about(schedule: object) -> list[str]:
    """Of a training of five epochs of four steps."""
    warnings = []
    runner = SimpleNamespace(
        iter=0,
        train_dataloader=range(4),
        param_schedulers=[schedule],
        max_iters=20,
        logger=SimpleNamespace(warning=warnings.append),
    )
    compare_lengths(runner)
    return warnings


@pytest.mark.parametrize(
    'options', [dict(T_max=12), dict(begin=4, T_max=8), dict(begin=4), dict(T_max=20)]
)
def test_a_schedule_of_another_length_is_reported(options):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = CosineAnnealingLR(optimizer, by_epoch=False, **dict(end=20) | options)
    warnings, rates = warnings_about(schedule), []
    for _ in range(20):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]['lr'])
    lowest = 1 + rates.index(min(rates))
    assert len(warnings) == (lowest < 19)  # `end` itself is not a step
    assert all(f'after {lowest} steps' in text for text in warnings)


@pytest.mark.parametrize('kind', [CosineAnnealingLR, PolyLR])
@pytest.mark.parametrize('by_epoch, length', [(True, 5), (False, 20)])
def test_a_schedule_that_ends_with_the_training_is_not_reported(kind, by_epoch, length):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    for end in (length - 1, length, length + 1):
        options = dict(T_max=end) if kind is CosineAnnealingLR else dict(end=end)
        schedule = kind(optimizer, by_epoch=by_epoch, **options)
        assert bool(warnings_about(schedule)) == (end != length)


def test_views_of_another_size_than_exports_state_are_reported(tmp_path):
    train(tmp_path, 'model.backbone.img_size=64,64', 'train_cfg.max_epochs=1')
    log = log_of(tmp_path)
    assert 'model.backbone.img_size=(64, 64), the size (h, w)' in log
    assert 'global_size=(64, 32)' in log


def test_a_training_logs_the_share_and_scaled_learning_rates(tmp_path):
    """With half of the batch size."""
    options = ['train_dataloader.batch_size=4', 'default_hooks.saip.base_batch_size=8']
    options += ['default_hooks.saip.momentum=0.81', 'train_cfg.max_epochs=3']
    train(tmp_path, *options)
    out = log_of(tmp_path)
    lines = [line for line in scalars_of(tmp_path) if 'teacher_momentum' in line]
    momenta = [line['teacher_momentum'] for line in lines]
    assert len(momenta) == 18
    for line in lines:  # no lr_mult
        assert line['base_lr'] == pytest.approx(line['lr'])
    assert momenta[0] == pytest.approx(0.9)
    left = math.prod(momenta)
    assert f'{left:.1%} of its initial weights are left at the end' in out
    assert f"at the end of training, {left:.0%} of the teacher's" in out
    assert 'max_initial_share=0.001 (the momentum then starts at 0.4' in out
    assert 'model.backbone.img_size=' not in out
    assert 'minimum after 6 steps, but the training has 18:' in out


@pytest.mark.parametrize('end', [0.5, 0.2, 1])
def test_warm_ups_of_less_than_two_steps_do_not_stay_at_their_start(end, tmp_path):
    """With three steps per epoch, as of a small folder."""
    warmup = dict(
        type='LinearLR', start_factor=0.1, end=end, convert_to_iter_based=True
    )
    config = tmp_path / 'own.py'
    config.write_text(f"_base_ = '{TINY}'\nparam_scheduler = [{warmup}]\n")
    run = tmp_path / 'run'
    arguments = '--work-dir', run, '--cfg-options', 'train_cfg.max_epochs=1'
    call('tools/train.py', config, *arguments)
    rates = [line['base_lr'] for line in scalars_of(run)]
    short, text = end < 1, log_of(run)
    assert rates[0] / rates[-1] == pytest.approx(1 if short else 0.1)
    assert ('is not warmed up' in text) == short
    assert ('is warmed up for 2 steps, and the training has 3' in text) != short


@pytest.mark.parametrize(
    'config',
    [
        dict(type='LinearLR', by_epoch=True, end=1),
        dict(type='mmengine.LinearLR', by_epoch=False, begin=2, end=3),
        dict(type=LinearLR, end=0.1, convert_to_iter_based=True),
        dict(type='ConstantLR', end=0.3, convert_to_iter_based=True),
        dict(type='CosineAnnealingLR', begin=0.1, end=0.2, convert_to_iter_based=True),
        dict(type='CosineAnnealingLR', begin=2, convert_to_iter_based=True),
        dict(type='CosineAnnealingLR', begin=8, by_epoch=False),
        dict(type='LinearLR', start_factor=1.0, end_factor=0.1),
    ],
)
def test_short_schedules_start(config):
    """Four steps per epoch; what is asked for on purpose stays."""
    runner = SimpleNamespace(
        train_dataloader=range(4),
        max_epochs=2,
        max_iters=8,
        logger=logging.getLogger(__name__),
    )
    ((found,),) = startable(dict(optimizer=[config]), runner).values()
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    options = dict(found)
    kind, converted = options.pop('type'), options.pop('convert_to_iter_based', False)
    build = getattr(optim, str(getattr(kind, '__name__', kind)).split('.')[-1])
    if converted:
        schedule = build.build_iter_from_epoch(optimizer, epoch_length=4, **options)
    else:
        schedule = build(optimizer, **options)
    for _ in range(5):
        optimizer.step()
        schedule.step()
    if found is not config:
        assert optimizer.param_groups[0]['lr'] in (0.0, 1.0)
    else:
        assert 'end' not in config
