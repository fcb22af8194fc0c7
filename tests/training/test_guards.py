"""Non-finite steps leave no trace in the weights; collapse is reported."""

import math
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from launch import TINY, run_two
from short_runs import EVERY_STEP, KEPT, log_of, train

from saip_mm.checkpoints.files import read_checkpoint
from saip_mm.training.guards import CollapseWatch, FiniteGuard, StepRefused
from saip_mm.training.processes import Agreement

CLIPPING = ", clip_grad=dict(type='value', clip_value=0.01)"


def config(path, hook, wrapper='OptimWrapper', base=TINY, **arguments):
    """A config with one of the hooks and wrappers of poison.py."""
    clipping = CLIPPING if hook == 'InfiniteGradient' else ''
    hook = dict(type=hook, **arguments)
    path.write_text(
        f'_base_ = {str(base)!r}\n'
        "custom_imports = dict(imports=['saip_mm', 'poison'])\n"
        f'custom_hooks = [{hook}]\n'
        f'optim_wrapper = dict(type={wrapper!r}{clipping})\n'
    )
    return path


def state(folder, name) -> dict:
    return read_checkpoint(folder / f'{name}.pth')


def assert_untouched(folder, *names: str) -> None:
    """Weights, teacher, center and optimizer are equal before and after a step."""
    before, after = (state(folder, name) for name in names)
    for name, tensor in before['state_dict'].items():
        assert torch.equal(tensor, after['state_dict'][name]), name
    for key, moments in before['optimizer']['state'].items():
        for name, value in moments.items():
            assert torch.equal(value, after['optimizer']['state'][key][name])


@pytest.mark.parametrize(
    'hook, wrapper',
    [
        *(('Poison', 'OptimWrapper'), ('Poison', 'Scaled'), ('PoisonLoss', 'Scaled')),
        ('InfiniteGradient', 'OptimWrapper'),
    ],
)
def test_a_non_finite_step_leaves_no_trace(hook, wrapper, tmp_path, monkeypatch):
    monkeypatch.setattr('saip_mm.training.guards.MAX_SAVED', 1)
    cfg = config(tmp_path / 'config.py', hook, wrapper, steps=(2, 5))
    train(tmp_path, EVERY_STEP, 'default_hooks.finite.max_in_row=2', config=cfg)
    assert_untouched(tmp_path, 'epoch_0_iter_1', 'epoch_0_iter_2')
    assert_untouched(tmp_path, 'epoch_1_iter_4', 'epoch_1_iter_5')
    after = state(tmp_path, 'epoch_0_iter_3')['state_dict']
    before = state(tmp_path, 'epoch_0_iter_2')['state_dict']
    assert any(not torch.equal(after[name], before[name]) for name in after)
    last = state(tmp_path, 'epoch_2')['state_dict']
    assert all(tensor.isfinite().all() for tensor in last.values())
    # State and batch are saved to reproduce it.
    assert_untouched(tmp_path, 'refused_step_2', 'epoch_0_iter_2')
    assert state(tmp_path, 'refused_step_2')['meta']['iter'] == 1
    batch = state(tmp_path, 'refused_step_2_rank_0')
    assert not [*tmp_path.glob('refused_step_5*')]
    assert (batch['step'], batch['epoch']) == (2, 0)
    infinite = batch['batch']['inputs']['globals'].isinf().any()
    assert infinite == (hook == 'Poison')
    # Gradients of the next step are not scaled.
    moments = [
        max(float(each['exp_avg'].abs().max()) for each in optimizer['state'].values())
        for name in ('epoch_0_iter_1', 'epoch_0_iter_3')
        for optimizer in [state(tmp_path, name)['optimizer']]
    ]
    assert 0 < moments[1] < 20 * moments[0]


def test_a_non_finite_step_leaves_batch_norms_alone(tmp_path):
    base = TINY.with_name('tiny_tinyvit.py')
    cfg = config(tmp_path / 'config.py', 'Poison', base=base, steps=(2,))
    train(tmp_path, EVERY_STEP, 'train_cfg.max_epochs=1', config=cfg)
    assert_untouched(tmp_path, 'epoch_0_iter_1', 'epoch_0_iter_2')


def test_another_loop_is_named_by_the_refused_step():
    weight = torch.zeros(1, requires_grad=True)
    weight.grad = torch.full((1,), float('nan'))
    guard = FiniteGuard()
    guard.agreement = Agreement()
    with pytest.raises(StepRefused, match='gradients.*only AccumulatingTrainLoop'):
        guard._check_gradients(torch.optim.SGD([weight, torch.zeros(1)], lr=1.0))


@pytest.mark.parametrize('wrapper', ['OptimWrapper', 'Scaled'])
def test_too_many_in_a_row_stop_the_training(wrapper, tmp_path):
    cfg = config(tmp_path / 'config.py', 'Poison', wrapper, steps=(2, 3, 4, 5))
    with pytest.raises(FloatingPointError, match='3 steps in a row .* the last one 4'):
        train(tmp_path, 'default_hooks.finite.max_in_row=3', config=cfg)
    assert len([*tmp_path.glob('refused_step_*_rank_0.pth')]) == 1


@pytest.mark.parametrize('fused', [False, True])
def test_a_step_skipped_by_a_loss_scaler_leaves_teacher_and_center_alone(
    fused, tmp_path
):
    """Gradients overflow while losses are finite, which is not an error."""
    cfg = config(tmp_path / 'config.py', 'Overflow', 'Scaled', steps=(2,))
    options = EVERY_STEP, f'optim_wrapper.optimizer.fused={fused}'
    train(tmp_path, 'default_hooks.finite.max_in_row=1', *options, config=cfg)
    assert_untouched(tmp_path, 'epoch_0_iter_1', 'epoch_0_iter_2')
    steps = [state(tmp_path, f'epoch_0_iter_{step}') for step in (1, 2)]
    steps.append(state(tmp_path, 'epoch_1'))
    momentum = 1 - (1 - 0.996) * (1 + math.cos(math.pi * 2 / 6)) / 2  # of step 3 of 6
    before, after = (each['state_dict'] for each in steps[1:])
    assert not torch.equal(before['matching.center'], after['matching.center'])
    teacher, student = 'teacher.projector.prototypes', 'matching.projector.prototypes'
    averaged = momentum * before[teacher] + (1 - momentum) * after[student]
    torch.testing.assert_close(after[teacher], averaged)
    wanted = (1 - momentum) * (after[student] - before[teacher])
    moved = after[teacher] - before[teacher]
    torch.testing.assert_close(moved, wanted, rtol=0.02, atol=1e-8)
    assert not list(tmp_path.glob('refused_step_*'))


@pytest.mark.parametrize('fused', [False, True])
def test_gradients_that_overflow_at_any_scale_stop_the_training(
    fused, tmp_path, monkeypatch
):
    monkeypatch.setattr('saip_mm.training.guards.MAX_OVERFLOWS', 3)
    steps = (2, 4, 5, 6)
    cfg = config(tmp_path / 'config.py', 'Overflow', 'Scaled', steps=steps)
    options = [EVERY_STEP, f'optim_wrapper.optimizer.fused={fused}']
    with pytest.raises(FloatingPointError, match='gradients .* in 3 steps in a row'):
        train(tmp_path, *options, config=cfg)
    assert (tmp_path / 'epoch_1_iter_5.pth').exists()


def test_scaled_gradients_of_infinite_norm_are_no_overflow():
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([weight], fused=True)
    scaler = torch.amp.GradScaler('cpu', init_scale=2.0**70)
    guard = FiniteGuard()
    guard.agreement = Agreement()
    optimizer.register_step_pre_hook(guard._check_gradients)
    scaler.scale(weight.sum()).backward()
    scaler.step(optimizer)
    assert (weight < 0).all()


@pytest.mark.parametrize('hook', ['Poison', 'PoisonLoss'])
def test_one_process_of_two_makes_both_skip(hook, tmp_path):
    cfg = config(tmp_path / 'config.py', hook, steps=(2,), rank=1)
    options = ['--cfg-options', *KEPT, EVERY_STEP, 'train_dataloader.batch_size=4']
    run_two('tools/train.py', cfg, '--work-dir', tmp_path, *options)
    assert_untouched(tmp_path, 'epoch_0_iter_1', 'epoch_0_iter_2')
    assert_untouched(tmp_path, 'refused_step_2', 'epoch_0_iter_2')
    assert (tmp_path / 'refused_step_2_rank_1.pth').exists()
    assert (tmp_path / 'epoch_2.pth').exists()


def test_non_finite_weights_are_not_saved():
    weights = dict(good=torch.ones(2))
    FiniteGuard().before_save_checkpoint(None, dict(state_dict=weights))
    weights['bad'] = torch.tensor([1.0, float('inf')])
    with pytest.raises(FloatingPointError, match='1 tensors are not finite, .* bad'):
        FiniteGuard().before_save_checkpoint(None, dict(state_dict=weights))


def test_a_full_disk_does_not_stop_the_training(tmp_path, monkeypatch):
    full = Mock(side_effect=OSError(28, 'No space left on device'))
    monkeypatch.setattr('saip_mm.training.guards.save_checkpoint', full)
    runner = SimpleNamespace(work_dir=tmp_path, seed=0, epoch=0)
    FiniteGuard()._save(runner, 2, {})
    assert full.called


def test_losses_may_be_lists():
    guard, nan = FiniteGuard(), torch.full((1,), float('nan'))
    losses = dict(loss_a=[torch.ones(1), nan], loss_b=(torch.ones(1),), loss_c=[])
    losses['accuracy'] = nan
    guard._check_losses(None, None, losses)
    guard._check_losses(None, None, nan)  # not in training
    guard._read_losses()
    assert guard.reasons == ['loss_a']


@pytest.mark.parametrize(
    'spread, entropy, sign',
    [
        (0.5, 3.0, None),
        (0.001, 3.0, 'feature_std is 0.0010'),
        (0.001, None, 'feature_std is 0.0010'),
        (0.5, 1e-4, 'teacher_entropy is 0.00% of'),
        (0.5, 4.1588, 'teacher_entropy is 100.00% of'),
        (None, None, None),
    ],
)
def test_collapse_is_reported_after_a_while(spread, entropy, sign, logged):
    texts = logged('training.guards')
    matching = SimpleNamespace(center=torch.zeros(64))
    runner = SimpleNamespace(model=SimpleNamespace(matching=matching))
    watch = CollapseWatch(patience=3)
    outputs = dict(feature_std=spread, teacher_entropy=entropy)
    fine = dict(feature_std=0.5, teacher_entropy=3.0)
    for each in [outputs] * 2 + [fine] + [outputs] * 7:
        watch.after_train_iter(runner, 0, None, each)
    assert len(texts) == 2 * (sign is not None)
    if sign:
        assert '3 steps in a row' in texts[0] and sign in texts[0]
        assert ('momentum' in texts[0]) == (entropy is not None)


@pytest.mark.parametrize('center_momentum', [1.0, 0.9])
def test_a_training_without_centering_collapses(tmp_path, center_momentum):
    """Without a moving center, one prototype wins all (DINO, section 5.3)."""
    options = [f'model.matching.center_momentum={center_momentum}']
    options += ['model.reconstruction=None', 'model.search=None']
    options += ['default_hooks.saip.momentum=0.5', 'default_hooks.collapse.patience=5']
    options += ['param_scheduler.1.end=1000', 'train_cfg.max_epochs=15']
    train(tmp_path, *options)
    warned = '5 steps in a row: teacher_entropy is 0.' in log_of(tmp_path)
    assert warned == (center_momentum == 1.0)
