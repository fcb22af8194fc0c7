"""Resuming, signals and atomic checkpoints with MMEngine's own loops and hooks."""

import json
import os
import signal
from pathlib import Path
from shutil import copytree

import pytest
import torch
from launch import ROOT, call, run
from mmengine.fileio import get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import save_checkpoint
from short_runs import assert_same_end, copy_state, started
from written_formats import write

from saip_mm.checkpoints.files import read_checkpoint, saved_checkpoints
from saip_mm.training import SafeCheckpointHook, SafeRunner
from saip_mm.training.saving import INTERRUPTED

SEED = 'randomness.seed=5'  # resumed runs have that of the checkpoint
REID = ROOT / 'tests/configs/tiny_reid.py'


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> list[str]:
    """Options of a training on a few drawn people."""
    folder = write('market1501', tmp_path_factory.mktemp('market'), num=24)
    splits = ('train', 'val', 'test')
    places = [f'{split}_dataloader.dataset.data_root={folder}' for split in splits]
    return ['--cfg-options', *places]


@pytest.fixture(scope='module')
def reference(data, tmp_path_factory) -> Path:
    """Three epochs of six steps, with a checkpoint after every step."""
    work_dir = tmp_path_factory.mktemp('reference')
    options = ['default_hooks.checkpoint.type=SafeCheckpointHook']
    options += ['default_hooks.checkpoint.minutes=1e-9']
    options += ['default_hooks.checkpoint.max_keep_ckpts=99']
    options += ['default_hooks.checkpoint.save_best=reid/mAP']
    call('tools/train.py', REID, '--work-dir', work_dir, *data, SEED, *options)
    assert len(saved_checkpoints(work_dir)) == 21
    assert len(list(work_dir.glob('best_*.pth'))) == 1
    return work_dir


def resume(work_dir: Path, data: list[str], *options: str) -> None:
    call('tools/train.py', REID, '--work-dir', work_dir, '--resume', *data, *options)


@pytest.mark.parametrize(
    'name, workers', [('epoch_0_iter_2', 0), ('epoch_1_iter_12', 2), ('epoch_2', 0)]
)
def test_any_step_is_resumed(name, workers, data, reference, tmp_path):
    """Bit for bit: only the order of images is random."""
    copy_state(reference / f'{name}.pth', tmp_path / 'run')
    if workers:  # in a process that ends with them
        options = [f'train_dataloader.num_workers={workers}']
        options += ['train_dataloader.persistent_workers=True']
        command = ['tools/train.py', REID, '--work-dir', tmp_path / 'run', '--resume']
        run(*command, *data, *options)
    else:
        resume(tmp_path / 'run', data)
    assert_same_end(tmp_path / 'run', reference, 'epoch_3.pth', 18)


def test_a_test_needs_no_training_data(data, reference, tmp_path):
    options = *data, 'train_dataloader.dataset.data_root=absent'
    command = 'tools/test.py', REID, reference / 'epoch_3.pth', '--work-dir', tmp_path
    assert not call(*command, *options)


@pytest.mark.parametrize('size', [3, 8])
def test_another_batch_size_is_rejected(size, data, reference, tmp_path):
    copy_state(reference / 'epoch_1.pth', tmp_path / 'run')
    with pytest.raises(ValueError, match='has 6 steps and 1 full epochs, but an epo'):
        resume(tmp_path / 'run', data, f'train_dataloader.batch_size={size}')


def scores_of(work_dir: Path) -> dict[int, float]:
    """Results of all completed validations, by epoch or step."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for file in files for line in file.open()]
    lines = [line for line in lines if 'reid/mAP' in line]
    assert len(lines) == len({line['step'] for line in lines})
    return {line['step']: line['reid/mAP'] for line in lines}


def disturbed(work_dir: Path, options: list[str], **hook: object) -> tuple[int, str]:
    """Exit status and output of a training with one of ``disturbances``."""
    options = [*options, SEED, f'custom_hooks=[{hook}]']
    process = started(work_dir, *options, config=REID)
    out = process.communicate()
    return process.wait(), out


def test_a_signal_saves(data, reference, tmp_path):
    options = [*data, 'train_dataloader.num_workers=2']
    hook = dict(type='SignalGroup', number=int(signal.SIGUSR1), step=8)
    status, out = disturbed(tmp_path, options, **hook)
    assert status == INTERRUPTED, out[-2000:]
    assert 'stopped by SIGUSR1 after step 8; rerun' in out
    assert 'Traceback' not in out
    assert [path.stem for path in saved_checkpoints(tmp_path)] == [
        'epoch_1_iter_8',
        'epoch_1',
    ]
    resume(tmp_path, data)
    assert_same_end(tmp_path, reference, 'epoch_3.pth', 18)


def test_a_signal_during_validation(data, tmp_path):
    options = [*data, 'val_dataloader.batch_size=4']
    options += ['default_hooks.checkpoint.interval=9']
    hook = dict(type='SignalGroup', number=int(signal.SIGTERM), batch=1)
    status, out = disturbed(tmp_path, options, **hook)
    assert status == INTERRUPTED, out[-2000:]
    assert 'reid/mAP' not in out.split('Checkpoints will be saved')[1]
    assert [path.name for path in saved_checkpoints(tmp_path)] == ['epoch_1.pth']
    resume(tmp_path, data, 'default_hooks.checkpoint.save_best=reid/mAP')
    assert [*scores_of(tmp_path)] == [1, 2, 3]
    assert len(list(tmp_path.glob('best_*.pth'))) == 1


def test_a_signal_during_the_validation_of_averages(data, tmp_path):
    options = [*data, 'default_hooks.ema.type=EMAHook', 'default_hooks.ema.momentum=.5']
    options += ['val_dataloader.batch_size=4']
    hook = dict(type='SignalGroup', number=int(signal.SIGTERM), batch=1)
    states = []
    for interval in (1, 9):  # saved before the validation, or in it
        setting = f'default_hooks.checkpoint.interval={interval}'
        folder = tmp_path / f'{interval}'
        status, out = disturbed(folder, [*options, setting], **hook)
        assert status == INTERRUPTED, out[-2000:]
        assert out.count('Saved ') == 1
        states.append(read_checkpoint(folder / 'epoch_1.pth'))
    for key in ('state_dict', 'ema_state_dict'):
        for name, tensor in states[0][key].items():
            assert torch.equal(tensor, states[1][key][name]), name


def test_a_loop_over_iterations(data, tmp_path):
    train_cfg = dict(type='IterBasedTrainLoop', max_iters=10, val_interval=5)
    options = [*data, f'train_cfg={train_cfg}', 'log_processor.by_epoch=False']
    options += ['default_hooks.checkpoint.by_epoch=False']
    options += ['default_hooks.checkpoint.interval=99', 'val_dataloader.batch_size=4']
    options += ['default_hooks.logger.log_metric_by_epoch=False']
    # Within the validation after step 5, then in a step.
    saved = []
    for moment, step in (dict(batch=1), 5), (dict(step=8), 8):
        hook = dict(type='SignalGroup', number=int(signal.SIGTERM), **moment)
        status, out = disturbed(tmp_path / 'a', ['--resume', *options], **hook)
        assert status == INTERRUPTED, out[-2000:]
        saved.insert(0, f'iter_{step}.pth')
        assert [path.name for path in saved_checkpoints(tmp_path / 'a')] == saved
    resume(tmp_path / 'a', options)
    assert [*scores_of(tmp_path / 'a')] == [5, 10]
    assert not list(tmp_path.glob('a/superseded_*'))
    call('tools/train.py', REID, '--work-dir', tmp_path / 'b', *options, SEED)
    assert_same_end(tmp_path / 'a', tmp_path / 'b', 'iter_10.pth', 10)


def test_what_could_not_be_saved_is_not_the_best(data, tmp_path, monkeypatch):
    save = SafeRunner.save_checkpoint

    def fail_at_first(runner, out_dir, filename, **options) -> None:
        if filename.startswith('best_') and runner.epoch == 1:
            raise OSError(28, 'No space left on device')
        save(runner, out_dir, filename, **options)

    monkeypatch.setattr(SafeRunner, 'save_checkpoint', fail_at_first)
    settings = dict(type='SafeCheckpointHook', save_best='reid/mAP', rule='less')
    options = [f'default_hooks.checkpoint.{k}={v}' for k, v in settings.items()]
    call('tools/train.py', REID, '--work-dir', tmp_path, *data, SEED, *options)
    scores = scores_of(tmp_path)
    assert min(scores, key=scores.get) == 1
    (best,) = tmp_path.glob('best_*.pth')
    assert best.stem.endswith(f'epoch_{min((2, 3), key=scores.get)}')


@pytest.mark.parametrize('copied', [True, False])
def test_another_folder_keeps_its_best_checkpoint(copied, data, tmp_path, monkeypatch):
    first, second = tmp_path / 'first', tmp_path / 'second'
    best = [*data, 'default_hooks.checkpoint.save_best=reid/mAP']
    call('tools/train.py', REID, '--work-dir', first, *best, 'train_cfg.max_epochs=1')
    before = {path: path.read_bytes() for path in first.glob('*.pth')}
    assert len(before) == 2
    if copied:
        copytree(first, second)
    monkeypatch.setitem(CheckpointHook.rule_map, 'greater', lambda *_: True)
    source = second if copied else first
    call('tools/train.py', REID, '--work-dir', second, '--resume', source, *best)
    assert {path: path.read_bytes() for path in first.glob('*.pth')} == before
    assert [path.name for path in second.glob('best_*')] == [
        'best_reid_mAP_epoch_3.pth'
    ]


def test_a_kill_while_saving_keeps_the_last_checkpoint(data, reference, tmp_path):
    """MMEngine would remove the only checkpoint first."""
    options = [*data, 'default_hooks.checkpoint.max_keep_ckpts=1']
    status, out = disturbed(tmp_path, options, type='KillInSave', epoch=2)
    assert status == -signal.SIGKILL, out[-2000:]
    assert [path.name for path in saved_checkpoints(tmp_path)] == ['epoch_1.pth']
    assert list(tmp_path.glob('.epoch_2.pth.*.partial'))
    resume(tmp_path, data)
    assert_same_end(tmp_path, reference, 'epoch_3.pth', 18)
    assert not list(tmp_path.glob('.*.partial'))


def test_stock_checkpoints_are_written_atomically(tmp_path, monkeypatch):
    path = tmp_path / 'a' / 'weights.pth'
    save_checkpoint(dict(weight=torch.ones(2)), str(path))
    before = path.read_bytes()

    def full_disk(file):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full_disk)
    with pytest.raises(OSError, match='No space left'):
        save_checkpoint(dict(weight=torch.zeros(2)), str(path))
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]
    backend = get_file_backend(str(tmp_path / 'a.txt'))
    backend.put(b'other files', tmp_path / 'a.txt')
    assert (tmp_path / 'a.txt').read_bytes() == b'other files'


def test_unknown_settings_are_rejected():
    for name in ('intervall', 'out_dir', 'filename_tmpl'):
        with pytest.raises(TypeError, match=f'no argument {name!r}'):
            SafeCheckpointHook(**{name: 2})
    with pytest.raises(ValueError, match='max_failures=0 should be at least 1'):
        SafeCheckpointHook(max_failures=0)


def test_a_test_keeps_the_config_of_the_training(reference, data):
    """With other options, which would replace it."""
    trained = (reference / REID.name).read_text()
    call('tools/test.py', REID, reference, '--work-dir', reference, *data)
    assert (reference / REID.name).read_text() == trained
    assert 'seed=5' in trained
    tested = max(reference.glob('*/vis_data/config.py'))
    assert 'seed=5' not in tested.read_text()
