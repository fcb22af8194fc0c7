"""Bad numbers stay out of the weights; a collapse is reported."""

import math

import pytest
import torch
from launch import TINY, call, run

from saip_mm.checkpoints.files import read_checkpoint
from saip_mm.training.guards import CollapseWatch

KEPT = [
    'default_hooks.checkpoint.max_keep_ckpts=9',
    'default_hooks.checkpoint.minutes=1e-9',
]


def poisoned(path, steps, rank=0):
    """A config whose batches of some steps hold what is not finite."""
    path.write_text(
        f'_base_ = {str(TINY)!r}\n'
        "custom_imports = dict(imports=['saip_mm', 'poison'])\n"
        f"custom_hooks = [dict(type='Poison', steps={steps}, rank={rank})]\n"
    )
    return path


def state(folder, name) -> dict:
    return read_checkpoint(folder / f'{name}.pth')


def assert_untouched(folder, *names: str) -> None:
    """Weights, teacher, center and optimizer are those before the step."""
    before, after = (state(folder, name) for name in names)
    for name, tensor in before['state_dict'].items():
        assert torch.equal(tensor, after['state_dict'][name]), name
    for key, moments in before['optimizer']['state'].items():
        for name, value in moments.items():
            assert torch.equal(value, after['optimizer']['state'][key][name])


def test_a_step_that_is_not_finite_leaves_no_trace(tmp_path):
    config = poisoned(tmp_path / 'config.py', (2, 5))
    call('tools/train.py', config, '--work-dir', tmp_path, '--cfg-options', *KEPT)
    assert_untouched(tmp_path, 'epoch_0_iter_1', 'epoch_0_iter_2')
    assert_untouched(tmp_path, 'epoch_1_iter_4', 'epoch_1_iter_5')
    after = state(tmp_path, 'epoch_0_iter_3')['state_dict']
    before = state(tmp_path, 'epoch_0_iter_2')['state_dict']
    assert any(not torch.equal(after[name], before[name]) for name in after)
    assert all(
        tensor.isfinite().all()
        for tensor in state(tmp_path, 'epoch_2')['state_dict'].values()
    )
    # What reproduces it is kept.
    assert_untouched(tmp_path, 'refused_step_2', 'epoch_0_iter_2')
    batch = state(tmp_path, 'refused_step_2_rank_0')
    assert (batch['step'], batch['epoch']) == (2, 0)
    assert batch['batch']['inputs']['globals'].isinf().any()


@pytest.mark.parametrize('wrapper', ['OptimWrapper', 'Scaled'])
def test_too_many_in_a_row_stop_the_training(wrapper, tmp_path):
    config = poisoned(tmp_path / 'config.py', (2, 3, 4, 5))
    with open(config, 'a') as file:
        file.write(f"optim_wrapper = dict(type='{wrapper}')\n")
    arguments = [config, '--work-dir', tmp_path, '--cfg-options']
    with pytest.raises(FloatingPointError, match='3 steps in a row .* the last one 4'):
        call('tools/train.py', *arguments, 'default_hooks.finite.max_in_row=3')


def test_a_step_that_a_loss_scaler_skips_leaves_teacher_and_center_alone(tmp_path):
    """Gradients overflow, losses are finite: the scaler's business, not a bad step."""
    config = poisoned(tmp_path / 'config.py', (2,))
    text = config.read_text().replace("'Poison'", "'Overflow'").replace(', rank=0', '')
    config.write_text(f"{text}optim_wrapper = dict(type='Scaled')\n")
    options = [*KEPT, 'default_hooks.finite.max_in_row=1']
    call('tools/train.py', config, '--work-dir', tmp_path, '--cfg-options', *options)
    steps = [state(tmp_path, f'epoch_0_iter_{step}') for step in (1, 2)]
    steps.append(state(tmp_path, 'epoch_1'))
    assert_untouched(tmp_path, 'epoch_0_iter_1', 'epoch_0_iter_2')
    shares = [
        each['message_hub']['runtime_info']['teacher_start_share'] for each in steps
    ]
    momentum = 1 - (1 - 0.996) * (1 + math.cos(math.pi * 2 / 6)) / 2  # of step 3 of 6
    assert shares == pytest.approx([0.996, 0.996, 0.996 * momentum], rel=1e-12)
    before, after = (each['state_dict'] for each in steps[1:])
    for name in ('matching.center', 'teacher.projector.prototypes'):
        assert not torch.equal(before[name], after[name])
    assert not list(tmp_path.glob('refused_step_*'))


@pytest.mark.parametrize('kind', ['Poison', 'PoisonLoss'])
def test_with_a_loss_scaler_as_well(kind, tmp_path):
    config = poisoned(tmp_path / 'config.py', (2,))
    text = config.read_text().replace("'Poison'", repr(kind)).replace(', rank=0', '')
    config.write_text(f"{text}optim_wrapper = dict(type='Scaled')\n")
    call('tools/train.py', config, '--work-dir', tmp_path, '--cfg-options', *KEPT)
    assert_untouched(tmp_path, 'epoch_0_iter_1', 'epoch_0_iter_2')
    assert (tmp_path / 'refused_step_2.pth').exists()
    # The next step is of gradients that are not scaled.
    moments = [
        max(float(each['exp_avg'].abs().max()) for each in optimizer['state'].values())
        for name in ('epoch_0_iter_1', 'epoch_0_iter_3')
        for optimizer in [state(tmp_path, name)['optimizer']]
    ]
    assert 0 < moments[1] < 20 * moments[0]


def test_one_process_of_two_makes_both_refuse(tmp_path):
    config = poisoned(tmp_path / 'config.py', (2,), rank=1)
    options = [*KEPT, 'train_dataloader.batch_size=4']
    run(
        *('tools/dist_train.sh', config, 2, '--work-dir', tmp_path, '--cfg-options'),
        *options,
        CUDA_VISIBLE_DEVICES='',
    )
    assert_untouched(tmp_path, 'epoch_0_iter_1', 'epoch_0_iter_2')
    assert (tmp_path / 'refused_step_2_rank_1.pth').exists()
    assert (tmp_path / 'epoch_2.pth').exists()


@pytest.mark.parametrize(
    'outputs, sign',
    [
        (dict(feature_std=0.5, teacher_entropy=3.0), None),
        (dict(feature_std=0.001, teacher_entropy=3.0), 'feature_std is 0.0010'),
        (dict(feature_std=0.5, teacher_entropy=1e-4), 'teacher_entropy is 0.00% of'),
        (
            dict(feature_std=0.5, teacher_entropy=4.1588),
            'teacher_entropy is 100.00% of',
        ),
        (dict(loss_csr=1.0), None),
    ],
)
def test_collapse_is_reported_after_a_while(outputs, sign, monkeypatch):
    texts = []
    monkeypatch.setattr(
        'saip_mm.training.guards.print_log', lambda text, *_: texts.append(text)
    )
    watch = CollapseWatch(patience=3)
    watch.prototypes = 64
    for _ in range(4):
        watch.after_train_iter(None, 0, None, outputs)
    assert len(texts) == (sign is not None)
    if sign:
        assert '3 steps in a row' in texts[0] and sign in texts[0]


@pytest.mark.parametrize('center_momentum', [1.0, 0.9])
def test_a_training_without_centering_collapses(tmp_path, center_momentum):
    """Without a center that moves, one prototype wins all (DINO, section 5.3)."""
    call(
        'tools/train.py',
        TINY,
        '--work-dir',
        tmp_path,
        '--cfg-options',
        f'model.matching.center_momentum={center_momentum}',
        'model.reconstruction=None',
        'model.search=None',
        'default_hooks.saip.momentum=0.5',
        'default_hooks.collapse.patience=5',
        'param_scheduler.1.end=1000',
        'train_cfg.max_epochs=15',
    )
    (log,) = tmp_path.glob('*/*.log')
    warned = '5 steps in a row: teacher_entropy is 0.' in log.read_text()
    assert warned == (center_momentum == 1.0)
