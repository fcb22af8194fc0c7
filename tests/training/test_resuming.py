"""Exact resumes, from the right checkpoint."""

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import torch
from launch import ROOT, TINY, call, environment
from short_runs import KEPT, assert_same_end, copy_state, train

from saip_mm.checkpoints.files import saved_checkpoints
from saip_mm.training.resuming import (
    check_checkpoint,
    choose_checkpoint,
    newest_valid,
)


@pytest.mark.parametrize('name', ['epoch_0_iter_1', 'epoch_1', 'epoch_1_iter_5'])
@pytest.mark.parametrize('workers', [0, 2])
def test_goes_on_to_the_same_end_from_any_step(name, workers, undisturbed, tmp_path):
    copy_state(undisturbed / f'{name}.pth', tmp_path / 'run')
    train(tmp_path / 'run', f'train_dataloader.num_workers={workers}', resume=True)
    assert_same_end(tmp_path / 'run', undisturbed)


def test_every_step_has_its_checkpoint(undisturbed):
    names = [path.stem for path in saved_checkpoints(undisturbed)]
    assert names == [
        *('epoch_2', 'epoch_1_iter_6', 'epoch_1_iter_5', 'epoch_1_iter_4', 'epoch_1'),
        *('epoch_0_iter_3', 'epoch_0_iter_2', 'epoch_0_iter_1'),
    ]


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize('damage', [truncate, flip, lambda content: b''])
def test_a_damaged_checkpoint_is_passed_over(damage, undisturbed, tmp_path):
    for name in ('epoch_1', 'epoch_1_iter_5'):
        (tmp_path / f'{name}.pth').write_bytes(
            (undisturbed / f'{name}.pth').read_bytes()
        )
    newest = tmp_path / 'epoch_1_iter_5.pth'
    assert newest_valid(tmp_path) == newest
    newest.write_bytes(damage(newest.read_bytes()))
    assert newest_valid(tmp_path) == tmp_path / 'epoch_1.pth'
    with pytest.raises(ValueError, match=f'{newest} is damaged'):
        check_checkpoint(newest)
    (tmp_path / 'epoch_1.pth').write_bytes(b'')
    with pytest.raises(
        ValueError, match='of 2 checkpoints none can .*iter_5.pth is damaged'
    ):
        newest_valid(tmp_path)


def test_weights_alone_are_no_training(tmp_path):
    torch.save(dict(state_dict={}), tmp_path / 'epoch_3.pth')
    with pytest.raises(ValueError, match='epoch_3.pth is not of a training'):
        check_checkpoint(tmp_path / 'epoch_3.pth')


def test_another_training_in_the_same_folder_loses_nothing(undisturbed, tmp_path):
    for name in ('epoch_2', 'epoch_1_iter_5', 'epoch_1'):
        (tmp_path / f'{name}.pth').write_bytes(
            (undisturbed / f'{name}.pth').read_bytes()
        )
    call(
        *('tools/train.py', TINY, '--work-dir', tmp_path),
        *('--resume', undisturbed / 'epoch_0_iter_2.pth', '--cfg-options'),
        *('train_cfg.max_epochs=1', 'default_hooks.checkpoint.max_keep_ckpts=1'),
    )
    assert [path.name for path in saved_checkpoints(tmp_path)] == ['epoch_1.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_1.pth')
    (aside,) = tmp_path.glob('superseded_*')
    names = [path.stem for path in saved_checkpoints(aside)]
    assert names == ['epoch_2', 'epoch_1_iter_5', 'epoch_1']


@pytest.mark.parametrize(
    'option, message',
    [
        ('train_dataloader.batch_size=4', 'trained with global_batch=8, now it is 4'),
        ('train_dataloader.dataset.images_per_identity=9', 'images=24, now it is 27'),
    ],
)
def test_other_data_are_refused(option, message, undisturbed, tmp_path):
    with pytest.raises(ValueError, match=message):
        call(
            *('tools/train.py', TINY, '--work-dir', tmp_path, '--resume'),
            *(undisturbed / 'epoch_0_iter_2.pth', '--cfg-options', option),
        )


@pytest.mark.parametrize('by', ['torchrun', 'slurm'])
@pytest.mark.parametrize('begun', [True, False])
def test_a_restart_goes_on_from_the_newest(
    by, begun, undisturbed, tmp_path, monkeypatch
):
    """Not from what the command line named; unless it had not begun to train yet, and
    what lies there is of another launch.
    """
    arguments = ['--resume', undisturbed / 'epoch_0_iter_1.pth']
    copy_state(undisturbed / 'epoch_1_iter_5.pth', tmp_path / 'run')
    launch = dict(time=time.time() if begun else 1e9, slurm_job=None)
    if by == 'torchrun':
        monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    else:
        monkeypatch.setenv('SLURM_JOB_ID', '4711')
        monkeypatch.setenv('SLURM_RESTART_COUNT', '1')
        launch['slurm_job'] = '4711' if begun else '4710'
    (tmp_path / 'run/launch.json').write_text(json.dumps(launch))
    call('tools/train.py', TINY, '--work-dir', tmp_path / 'run', *arguments)
    names = [path.stem for path in saved_checkpoints(tmp_path / 'run')]
    begin = 'epoch_1_iter_5' if begun else 'epoch_1'  # what is there before the end
    assert names == ['epoch_2', begin]
    launch = json.loads((tmp_path / 'run/launch.json').read_text())
    assert launch['slurm_job'] == ('4711' if by == 'slurm' else None)
    assert time.time() - launch['time'] < 60


def test_what_is_named_is_compared_with_its_checksums(undisturbed, tmp_path):
    for name in ('epoch_1', 'epoch_1_iter_5'):
        shutil.copy(undisturbed / f'{name}.pth', tmp_path)
    newest = tmp_path / 'epoch_1_iter_5.pth'
    newest.write_bytes(flip(newest.read_bytes()))
    with pytest.raises(ValueError, match=f'{newest} is damaged'):
        choose_checkpoint(tmp_path / 'new', str(newest))
    with pytest.raises(FileNotFoundError, match='no checkpoint .*none.pth'):
        choose_checkpoint(tmp_path / 'new', str(tmp_path / 'none.pth'))
    whole = tmp_path / 'epoch_1.pth'
    assert choose_checkpoint(tmp_path / 'new', str(tmp_path)) == whole
    assert choose_checkpoint(tmp_path / 'new', 'auto') is None
    # As users of MMEngine say it.
    train(tmp_path, 'resume=True')
    (aside,) = tmp_path.glob('superseded_*')
    assert saved_checkpoints(aside) == [aside / newest.name]


def test_random_numbers_of_a_model_are_those_of_the_step(tmp_path):
    """With stochastic depth, which draws from torch's own generator."""
    options = ['model.backbone.drop_path_rate=0.3']
    train(tmp_path / 'a', *options, 'default_hooks.checkpoint.minutes=1e-9')
    copy_state(tmp_path / 'a/epoch_0_iter_2.pth', tmp_path / 'b')
    train(tmp_path / 'b', *options, resume=True)
    assert_same_end(tmp_path / 'b', tmp_path / 'a')


def test_another_order_of_the_images_is_refused(tmp_path):
    with pytest.raises(TypeError, match='DefaultSampler cannot resume within an epoch'):
        train(tmp_path, 'train_dataloader.sampler.type=DefaultSampler')


def kill_one(work_dir: Path) -> None:
    """Kill a process of a training, once there is something to go on from."""
    deadline = time.time() + 300
    while not (work_dir / 'last_checkpoint').exists() and time.time() < deadline:
        time.sleep(0.05)
    processes = subprocess.run(
        ['pgrep', '-f', f'tools/train.py.*{work_dir}'], capture_output=True, text=True
    ).stdout.split()
    subprocess.run(['kill', '-9', processes[-1]])  # the first ones are torchrun's


def launched(work_dir: Path, processes: int, **env: str) -> subprocess.Popen:
    """A training under torchrun that saves after every step."""
    options = [*KEPT, 'train_dataloader.batch_size=4', 'train_cfg.max_epochs=8']
    return subprocess.Popen(
        ['bash', 'tools/dist_train.sh', TINY, str(processes), '--work-dir', work_dir]
        + ['--cfg-options', *options, 'default_hooks.checkpoint.minutes=1e-9'],
        cwd=ROOT,
        env=environment(MAX_RESTARTS='1', CUDA_VISIBLE_DEVICES='', **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def assert_went_on(work_dir: Path, process: subprocess.Popen) -> None:
    out = process.communicate()[0]
    assert process.returncode == 0, out[-3000:]
    logs = ''.join(path.read_text() for path in work_dir.glob('*/*.log'))
    assert 'resumed epoch: ' in logs
    assert (work_dir / 'epoch_8.pth').exists()


def test_a_dead_process_leads_to_a_restart(tmp_path):
    process = launched(tmp_path, 2)
    kill_one(tmp_path)
    assert_went_on(tmp_path, process)


def test_a_dead_process_of_another_machine(tmp_path):
    """Two launchers that talk as two machines do."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    both = [
        launched(tmp_path, 1, NNODES='2', MASTER_ADDR='127.0.0.1', PORT=port)
        for _ in range(2)
    ]
    kill_one(tmp_path)
    for process in both:
        assert_went_on(tmp_path, process)


def test_trainings_of_other_tasks_restart_as_well(tmp_path, monkeypatch):
    """With MMEngine's own checkpoints."""
    config = tmp_path / 'config.py'
    config.write_text(
        f'_base_ = {str(TINY)!r}\n'
        "default_hooks = dict(checkpoint=dict(_delete_=True, type='CheckpointHook'))\n"
    )
    arguments = ['tools/train.py', config, '--work-dir', tmp_path / 'run']
    call(*arguments, '--cfg-options', 'train_cfg.max_epochs=1')
    call(*arguments, '--cfg-options', 'train_cfg.max_epochs=1')  # anew
    aside = list((tmp_path / 'run').glob('superseded_*/epoch_1.pth'))
    assert len(aside) == 1
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    call(*arguments)
    assert list((tmp_path / 'run').glob('superseded_*/epoch_*.pth')) == aside
    assert (tmp_path / 'run/epoch_2.pth').exists()
