"""Checkpoints that survive full disks and signals."""

import os
import re
import resource
import signal
from threading import Thread
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from launch import TINY, Script
from mmengine.fileio import dump, load, put_text
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer
from short_runs import (
    EVERY_STEP,
    KEPT,
    assert_same_end,
    copy_state,
    launched,
    log_of,
    started,
    train,
    wait_for,
)

from saip_mm.checkpoints.files import read_checkpoint, saved_checkpoints
from saip_mm.report.work_dir import WorkDir
from saip_mm.training import SafeCheckpointHook, SafeRunner
from saip_mm.training.config import load_config
from saip_mm.training.loops import AccumulatingTrainLoop
from saip_mm.training.resuming import newest_valid
from saip_mm.training.saving import INTERRUPTED

LONG = 'train_cfg.max_epochs=500'


def fill_disk(process: Script, size: int) -> None:
    """Let no file of a process grow beyond a size, as if the disk were full."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_keeps_what_was_saved(undisturbed, tmp_path):
    """There is no room for checkpoints, curves or logs."""
    copy_state(undisturbed / 'epoch_0_iter_2.pth', tmp_path / 'run')
    before = (tmp_path / 'run/epoch_0_iter_2.pth').read_bytes()
    options = ['--resume', '--cfg-options', *KEPT, 'train_cfg.max_epochs=5']
    options += ['default_hooks.checkpoint.interval=4']
    process = started(tmp_path / 'run', *options)
    wait_for(process, 'Checkpoints will be saved')
    fill_disk(process, 1_000)
    out = process.communicate()
    assert process.wait() == 1  # the final state is missing
    assert 'epoch_4.pth was not saved ([Errno 27] File too large)' in out
    assert 'Epoch(train) [5][3/3]' in out
    assert 'the final state could not be saved' in out
    assert 'Logging error' not in out
    assert 'curves could not be written' in out
    names = [path.name for path in saved_checkpoints(tmp_path / 'run')]
    assert names == ['epoch_0_iter_2.pth']
    assert (tmp_path / 'run/epoch_0_iter_2.pth').read_bytes() == before
    assert not list((tmp_path / 'run').glob('.*partial'))


def test_a_disk_that_stays_full_ends_the_training(undisturbed, tmp_path):
    copy_state(undisturbed / 'epoch_0_iter_2.pth', tmp_path / 'run')
    options = ['--resume', '--cfg-options', *KEPT, 'train_cfg.max_epochs=30']
    options += ['default_hooks.checkpoint.max_failures=2']
    process = started(tmp_path / 'run', *options)
    wait_for(process, 'Checkpoints will be saved')
    fill_disk(process, 100_000)
    out = process.communicate()
    assert process.wait() == 1
    assert out.count('was not saved') == 2
    assert 'epoch_2.pth was not saved' in out
    assert 'stopped by 2 consecutive failures to save a checkpoint' in out
    assert f'rerun with --resume, from {tmp_path}/run/epoch_0_iter_2.pth' in out
    assert 'Epoch(train) [4]' not in out and 'Traceback' not in out


def no_space(*arguments: object) -> None:
    raise OSError(28, 'No space left on device')


def test_failures_that_are_not_in_a_row_do_not_end_the_training(tmp_path, monkeypatch):
    """Nor does a disk with room for a state but not for another file."""
    save = SafeRunner.save_checkpoint

    def save_every_third(runner, *arguments, meta: dict, **options) -> None:
        if meta['iter'] % 3:
            no_space()
        save(runner, *arguments, meta=meta, **options)

    monkeypatch.setattr(SafeRunner, 'save_checkpoint', save_every_third)
    monkeypatch.setattr('saip_mm.training.saving.write_text', no_space)
    train(tmp_path, EVERY_STEP)
    names = [path.stem for path in saved_checkpoints(tmp_path)]
    assert names == ['epoch_2', 'epoch_1_iter_6', 'epoch_1', 'epoch_0_iter_3']
    log = log_of(tmp_path)
    assert log.count('consecutive failure 2 of 3') == 2
    assert log.count('could not write last_checkpoint') == 4


def test_a_best_checkpoint_on_a_full_disk_keeps_the_one_before(tmp_path, monkeypatch):
    before = tmp_path / 'best_epoch_1.pth'
    before.touch()
    monkeypatch.setattr(CheckpointHook, '_save_best_checkpoint', no_space)
    hook, errors = SafeCheckpointHook(), []
    hook.outdated = [str(before)]
    hub = SimpleNamespace(runtime_info={})
    runner = SimpleNamespace(logger=Mock(error=errors.append), message_hub=hub)
    hook._save_best_checkpoint(runner, {})
    assert len(errors) == 1 and before.exists()


def test_minutes_pass_between_checkpoints(tmp_path, monkeypatch):
    now, run_iter = [0], AccumulatingTrainLoop.run_iter

    def take_35_seconds(*arguments: object) -> None:
        now[0] += 35
        run_iter(*arguments)

    monkeypatch.setattr(AccumulatingTrainLoop, 'run_iter', take_35_seconds)
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr('saip_mm.training.saving.time', clock)
    options = ['minutes=1', 'interval=9', 'max_keep_ckpts=2']
    train(tmp_path, *[f'default_hooks.checkpoint.{each}' for each in options])
    log = log_of(tmp_path)
    saved = re.findall(r'Saved .*/(\w+)\.pth', log)
    assert saved == ['epoch_0_iter_2', 'epoch_1_iter_4', 'epoch_1_iter_6', 'epoch_2']
    assert [path.stem for path in saved_checkpoints(tmp_path)] == saved[:-3:-1]


def test_a_signal_on_a_full_disk_does_not_requeue(tmp_path):
    process = started(tmp_path)
    wait_for(process, 'Epoch(train) [1][1/3]')
    fill_disk(process, 100_000)
    process.send_signal(signal.SIGTERM)
    rest = process.communicate()
    assert process.wait() == 1
    assert 'its state could not be saved. Free disk space' in rest


@pytest.mark.parametrize('number', [signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_saves_and_the_resumed_run_has_the_same_end(
    number, undisturbed, tmp_path
):
    process = started(tmp_path, '--cfg-options', *KEPT)
    wait_for(process, 'Epoch(train) [1][1/3]')
    process.send_signal(number)
    rest = process.communicate()
    assert process.wait() == INTERRUPTED
    assert f'stopped by {number.name} after step' in rest
    assert 'Traceback' not in rest
    assert saved_checkpoints(tmp_path)[0].name != 'epoch_2.pth'
    train(tmp_path, resume=True)
    assert_same_end(tmp_path, undisturbed)


def test_a_signal_before_the_first_step(tmp_path):
    process = started(tmp_path)
    wait_for(process, 'System environment')
    process.send_signal(signal.SIGTERM)
    rest = process.communicate()
    assert process.wait() == INTERRUPTED
    assert 'stopped by SIGTERM; rerun' in rest and 'Traceback' not in rest


def test_a_second_run_is_rejected_and_ctrl_c_saves_the_first(tmp_path):
    """A terminal sends Ctrl-C to all processes, including data-loader workers."""
    options = ['train_dataloader.num_workers=2', LONG]
    process = started(tmp_path, '--cfg-options', *options)
    wait_for(process, '[2][1/3]')
    with pytest.raises(BlockingIOError, match='another run is using this work di'):
        train(tmp_path, 'train_dataloader.batch_size=4')
    assert 'batch_size=8' in (tmp_path / 'tiny.py').read_text()  # not replaced
    os.killpg(process.pid, signal.SIGINT)
    rest = process.communicate()
    assert process.wait() == INTERRUPTED
    assert 'stopped by SIGINT after step' in rest and 'Traceback' not in rest
    assert f'Saved {newest_valid(tmp_path)}' in rest
    assert WorkDir(tmp_path).progress(max_epochs=500).state == 'interrupted'


def test_an_interrupted_run_that_a_notebook_keeps_is_not_locked(tmp_path, monkeypatch):
    cfg = load_config(str(TINY), {'work_dir': str(tmp_path)})
    kept = SafeRunner.from_cfg(cfg)
    step = Mock(side_effect=KeyboardInterrupt)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(AccumulatingTrainLoop, 'run_iter', step)
        kept.train()
    process = started(tmp_path, '--cfg-options', 'train_cfg.max_epochs=1')
    assert 'Epoch(train) [1][3/3]' in process.communicate()
    assert process.wait() == 0 and kept


def test_a_training_in_a_thread(undisturbed, tmp_path):
    cfg = load_config(str(TINY), {'work_dir': str(tmp_path)})
    runner = SafeRunner.from_cfg(cfg)
    thread = Thread(target=runner.train)
    thread.start()
    thread.join()
    assert_same_end(tmp_path, undisturbed)


def test_a_second_ctrl_c_exits_at_once(tmp_path):
    process = started(tmp_path, '--cfg-options', LONG)
    wait_for(process, 'Checkpoints will be saved')
    process.send_signal(signal.SIGINT)
    wait_for(process, 'Ctrl-C again')
    process.send_signal(signal.SIGINT)
    assert 'Traceback' not in process.communicate()
    assert process.wait() == -signal.SIGINT
    assert not saved_checkpoints(tmp_path)


@pytest.mark.parametrize('persistent', [True, False])
def test_a_background_job_ignores_ctrl_c_and_workers_end(persistent, tmp_path):
    options = ['train_dataloader.num_workers=2', 'train_cfg.max_epochs=1']
    options += [f'train_dataloader.persistent_workers={persistent}']
    process = started(tmp_path, '--cfg-options', *options, ctrl_c=False)
    for text in ('System environment', 'Epoch(train) [1][1/3]'):
        wait_for(process, text)
        process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.wait() == 0


def test_a_signal_to_a_group_of_processes(tmp_path):
    """Schedulers signal all processes, including data-loader workers."""
    process = launched(tmp_path, 2, 'train_dataloader.num_workers=2', LONG)
    wait_for(process, '[2][1/3]')
    process.send_signal(signal.SIGTERM)  # torchrun forwards it to both groups
    rest = process.communicate()[0]
    assert process.wait() != 0
    assert 'stopped by SIGTERM after step' in rest, rest[-3000:]
    newest = newest_valid(tmp_path)
    assert f'Saved {newest}' in rest and read_checkpoint(newest)['meta']['iter'] > 3


def test_processes_agree_to_stop_before_a_validation_not_within():
    """They may validate on different numbers of batches."""
    hook, runner = SafeCheckpointHook(), Mock()
    hook.failures, hook.stop_by = 0, signal.SIGTERM
    hook.agreement = Mock(group='of several processes', any=Mock(side_effect=bool))
    hook._stop_validating = Mock()
    hook.after_val_iter(runner, 0)
    assert not hook.agreement.any.called
    hook.before_val_epoch(runner)
    hook._stop_validating.assert_called_once_with(runner)


def test_logs_are_saved_as_plain_data(tmp_path):
    """Those of the stock hook are loaded as they are."""
    buffer, hook = HistoryBuffer([1.0, 2.5], [1, 3], max_length=9), SafeCheckpointHook()
    info = dict(epoch=3, best_score=np.float64(0.5))
    hub = dict(log_scalars=dict(loss=buffer), runtime_info=info)
    checkpoint = dict(meta={}, message_hub=hub)
    hook.before_save_checkpoint(None, checkpoint)
    torch.save(checkpoint, tmp_path / 'a.pth')
    loaded = torch.load(tmp_path / 'a.pth', weights_only=True)
    assert loaded['message_hub']['runtime_info'] == info
    logs = loaded['message_hub']['log_scalars']
    logs['stock'] = buffer
    hook.after_load_checkpoint(None, loaded)
    for name in ('loss', 'stock'):
        np.testing.assert_array_equal(logs[name].data, buffer.data)


def test_texts_are_written_as_a_whole(tmp_path):
    dump(dict(mAP=0.5), tmp_path / 'metrics.json')
    with pytest.raises(UnicodeEncodeError):
        put_text('a lone surrogate: \ud800', tmp_path / 'metrics.json')
    assert load(tmp_path / 'metrics.json') == dict(mAP=0.5)
