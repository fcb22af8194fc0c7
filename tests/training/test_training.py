"""Whole training runs with the project's scripts."""

from pathlib import Path

import pytest
import torch
from launch import TINY, call, run, run_two
from mmengine.config import Config
from random_models import write_teacher
from short_runs import log_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from saip_mm.checkpoints.files import read_checkpoint

EVERY_STEP = ('minutes=1e-9', 'max_keep_ckpts=9')
TEACHERS = dict(star='model.distillation.teacher', dpal='model.teacher')
FLOAT64 = TINY.with_name('tiny_float64.py')


def state_after(work_dir: Path, epoch: int = 1) -> dict[str, torch.Tensor]:
    return read_checkpoint(work_dir / f'epoch_{epoch}.pth')['state_dict']


@pytest.fixture(scope='module')
def one_process(tmp_path_factory) -> Path:
    """Two epochs of three steps of one process with a global batch of 8."""
    work_dir = tmp_path_factory.mktemp('one_process')
    options = [f'default_hooks.checkpoint.{each}' for each in EVERY_STEP]
    run('tools/train.py', FLOAT64, '--work-dir', work_dir, '--cfg-options', *options)
    return work_dir


def train_two(work_dir: Path, *arguments: object) -> None:
    options = ['--cfg-options', 'train_dataloader.batch_size=4']
    arguments = ['--work-dir', work_dir, *arguments, *options]
    run_two('tools/train.py', FLOAT64, *arguments)


def assert_same(ours: dict, reference: dict) -> None:
    assert ours.keys() == reference.keys()
    for name in reference:
        torch.testing.assert_close(
            ours[name], reference[name], rtol=1e-7, atol=1e-9, msg=name
        )


def logged_losses(work_dir: Path) -> dict[str, torch.Tensor]:
    """Of every step."""
    state = read_checkpoint(work_dir / 'epoch_2.pth')
    logs = state['message_hub']['log_scalars']
    return {name: values[0] for name, values in logs.items() if 'loss' in name}


def test_two_processes_of_half_the_batch_train_the_same(one_process, tmp_path):
    train_two(tmp_path)
    assert_same(state_after(tmp_path), state_after(one_process))


@pytest.mark.parametrize('name', ['hap', 'star', 'dpal', 'tinyvit', 'cspnext'])
def test_two_processes_train_the_same_in_other_configs(name, tmp_path):
    if name == 'cspnext':
        pytest.importorskip('mmdet')
    base = TINY.with_name(f'tiny_{name}.py')
    config, options = tmp_path / 'float64.py', ['train_cfg.max_epochs=1']
    modules = Config.fromfile(base).custom_imports['imports']
    modules += ['float64', 'synced_norms']
    config.write_text(
        f'_base_ = {str(base)!r}\ncustom_imports = dict(imports={modules})\n'
    )
    if name in TEACHERS:
        teacher = write_teacher(tmp_path / 'teacher.pth')
        options.append(f'{TEACHERS[name]}.checkpoint={teacher}')
    for folder, start, batch_size in (('one', run, 8), ('two', run_two, 4)):
        options.append(f'train_dataloader.batch_size={batch_size}')
        work_dir = tmp_path / folder
        arguments = [config, '--work-dir', work_dir, '--cfg-options', *options]
        start('tools/train.py', *arguments)
    assert_same(state_after(tmp_path / 'two'), state_after(tmp_path / 'one'))


def test_two_processes_resume_a_run_of_one(one_process, tmp_path):
    train_two(tmp_path, '--resume', one_process / 'epoch_0_iter_2.pth')
    assert_same(state_after(tmp_path, 2), state_after(one_process, 2))


def test_two_micro_batches_of_half_the_batch_train_the_same(one_process, tmp_path):
    options = ['--cfg-options', 'optim_wrapper.accumulative_counts=2']
    run('tools/train.py', FLOAT64, '--work-dir', tmp_path, *options)
    assert_same(state_after(tmp_path), state_after(one_process))
    assert_same(*map(logged_losses, (tmp_path, one_process)))


def test_training_changes_all_parameters(one_process):
    first, last = state_after(one_process), state_after(one_process, 2)
    still = [name for name in first if torch.equal(first[name], last[name])]
    assert set(still) == {'data_preprocessor.mean', 'data_preprocessor.std'}


def test_logs_show_progress_losses_entropy_rate_and_momentum(one_process):
    lines = log_of(one_process).splitlines()
    line = next(line for line in lines if 'Epoch(train) [2][3/3]' in line)
    quantities = ['eta', 'lr', 'teacher_entropy', 'matching_kl', 'teacher_momentum']
    quantities += ['loss', 'loss_csm', 'loss_attn', 'loss_csr']
    quantities += ['loss_css_inst', 'loss_css_roi']
    for quantity in quantities:
        assert f' {quantity}: ' in line
    events = EventAccumulator(str(next(one_process.glob('*/vis_data'))))
    events.Reload()
    tags = set(events.Tags()['scalars'])
    assert set(quantities) - {'eta'} <= tags
    assert len(events.Scalars('loss_csm')) == 6


def test_checkpoints_hold_the_latest_logs(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr('saip_mm.training.loops.KEPT_LOGS', 2)
    call('tools/train.py', TINY, '--work-dir', tmp_path)
    latest, whole = (
        read_checkpoint(folder / 'epoch_2.pth')['message_hub']['log_scalars']
        for folder in (tmp_path, tiny_run)
    )
    assert latest.keys() == whole.keys() and len(whole['train/loss'][0]) == 6
    assert torch.equal(latest['train/loss'][0], whole['train/loss'][0][-3:])


@pytest.mark.parametrize('backbone', ['tinyvit', 'cspnext'])
def test_backbones_with_batch_norm_train_in_two_processes(backbone, tmp_path):
    """Without unused parameters, which would be an error; norms are not synced."""
    if backbone == 'cspnext':
        pytest.importorskip('mmdet')
    config = TINY.with_name(f'tiny_{backbone}.py')
    options = ['train_dataloader.batch_size=4', 'train_cfg.max_epochs=1']
    options += ['sync_bn=torch']  # as in the recipes, has no effect on a CPU
    options += [f'default_hooks.checkpoint.{each}' for each in EVERY_STEP]
    arguments = [config, '--work-dir', tmp_path, '--cfg-options', *options]
    done = run_two('tools/train.py', *arguments)
    for warning in ('Grad strides', 'is deprecated'):
        assert warning not in done.stdout
    first, last = (
        read_checkpoint(tmp_path / f'epoch_{name}.pth')['state_dict']
        for name in ('0_iter_1', 1)
    )
    still = {name for name in first if torch.equal(first[name], last[name])}
    assert still <= {'data_preprocessor.mean', 'data_preprocessor.std'}
