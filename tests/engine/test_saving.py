"""Checkpoints that survive: damage, full disks, signals; and exact resumes."""

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from launch import ROOT, TINY, call, environment

from saip_mm.engine.checkpoint import read_checkpoint
from saip_mm.engine.saving import INTERRUPTED, check, newest_valid, saved_checkpoints

KEPT = ['default_hooks.checkpoint.max_keep_ckpts=9']


def train(work_dir: Path, *options: str, resume: bool = False) -> None:
    arguments = ['--resume'] if resume else []
    options = ['--cfg-options', *KEPT, *options]
    call('tools/train.py', TINY, '--work-dir', work_dir, *arguments, *options)


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory) -> Path:
    """Two epochs of three steps, with a checkpoint after every step."""
    work_dir = tmp_path_factory.mktemp('undisturbed')
    train(work_dir, 'default_hooks.checkpoint.minutes=1e-9')
    return work_dir


def same(ours: object, other: object) -> bool:
    """Whether two states agree in every bit."""
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, other)
    if isinstance(ours, dict):
        return ours.keys() == other.keys() and all(
            same(ours[key], other[key]) for key in ours
        )
    if isinstance(ours, list):
        return len(ours) == len(other) and all(map(same, ours, other))
    return ours == other


def assert_same_end(work_dir: Path, reference: Path) -> None:
    ours, expected = (
        read_checkpoint(folder / 'epoch_2.pth') for folder in (work_dir, reference)
    )
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert same(ours[part], expected[part]), part
    for part, state in (('ours', ours), ('expected', expected)):
        assert state['meta']['iter'] == 6, part
    ours, expected = (state['message_hub']['log_scalars'] for state in (ours, expected))
    for name in expected:
        if 'loss' in name or name.endswith(('lr', 'momentum', 'entropy')):
            assert same(ours[name], expected[name]), name


def copy_state(path: Path, work_dir: Path) -> None:
    work_dir.mkdir()
    (work_dir / path.name).write_bytes(path.read_bytes())


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
        check(newest)
    (tmp_path / 'epoch_1.pth').write_bytes(b'')
    with pytest.raises(ValueError, match='all 2 checkpoints are damaged'):
        newest_valid(tmp_path)


def test_weights_alone_are_no_training(tmp_path):
    torch.save(dict(state_dict={}), tmp_path / 'epoch_3.pth')
    with pytest.raises(ValueError, match='epoch_3.pth is not of a training'):
        check(tmp_path / 'epoch_3.pth')


def test_a_full_disk_keeps_what_was_saved(undisturbed, tmp_path):
    """Files may not grow beyond a limit, as if there were no more room."""
    copy_state(undisturbed / 'epoch_1.pth', tmp_path / 'run')
    before = (tmp_path / 'run/epoch_1.pth').read_bytes()
    limit = 100_000
    assert len(before) > limit
    done = subprocess.run(
        [sys.executable, 'tools/train.py', TINY, '--work-dir', tmp_path / 'run']
        + ['--resume', '--cfg-options', *KEPT],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert 'epoch_2.pth was not saved ([Errno 27] File too large)' in done.stdout
    assert [path.name for path in saved_checkpoints(tmp_path / 'run')] == [
        'epoch_1.pth'
    ]
    assert (tmp_path / 'run/epoch_1.pth').read_bytes() == before
    assert not list((tmp_path / 'run').glob('.*partial'))


def started(work_dir: Path, *options: str) -> subprocess.Popen:
    """A training of its own process, which can be read from line by line."""
    return subprocess.Popen(
        [
            sys.executable,
            '-u',
            'tools/train.py',
            TINY,
            '--work-dir',
            work_dir,
            *options,
        ],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1])
def test_told_to_stop_it_saves_and_says_so(number, undisturbed, tmp_path):
    process = started(tmp_path, '--cfg-options', *KEPT)
    for line in process.stdout:
        if 'Epoch(train) [1][1/3]' in line:
            process.send_signal(number)
            break
    rest = process.stdout.read()
    assert process.wait() == INTERRUPTED
    assert f'stopped by {number.name} after step' in rest
    assert saved_checkpoints(tmp_path)[0].name != 'epoch_2.pth'
    train(tmp_path, resume=True)
    assert_same_end(tmp_path, undisturbed)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1])
def test_told_to_stop_before_the_first_step(number, tmp_path):
    process = started(tmp_path)
    for line in process.stdout:
        if 'System environment' in line:
            process.send_signal(number)
            break
    process.communicate()
    assert process.returncode == INTERRUPTED


@pytest.mark.parametrize('persistent', [True, False])
def test_workers_end_with_the_training(persistent, tmp_path):
    options = ['train_dataloader.num_workers=2', 'train_cfg.max_epochs=1']
    options += [f'train_dataloader.persistent_workers={persistent}']
    done = subprocess.run(
        [sys.executable, 'tools/train.py', TINY, '--work-dir', tmp_path]
        + ['--cfg-options', *options],
        cwd=ROOT,
        env=environment(),
        timeout=240,
    )
    assert done.returncode == 0


def test_a_whole_group_of_processes_is_told_to_stop(tmp_path):
    """As schedulers do: workers of the loader and all processes hear it as well."""
    options = [*KEPT, 'train_dataloader.batch_size=4', 'train_dataloader.num_workers=2']
    process = subprocess.Popen(
        ['bash', 'tools/dist_train.sh', TINY, '2', '--work-dir', tmp_path]
        + ['--cfg-options', *options, 'train_cfg.max_epochs=50'],
        cwd=ROOT,
        env=environment(CUDA_VISIBLE_DEVICES=''),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in process.stdout:
        if '[2][1/3]' in line:
            process.send_signal(signal.SIGTERM)  # torchrun tells the groups of both
            break
    rest = process.communicate()[0]
    assert process.returncode != 0
    assert 'stopped by SIGTERM after step' in rest, rest[-3000:]
    newest = newest_valid(tmp_path)
    assert f'Saved {newest}' in rest and read_checkpoint(newest)['meta']['iter'] > 3


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


@pytest.mark.parametrize('by', ['TORCHELASTIC', 'SLURM'])
def test_a_restart_goes_on_from_the_newest(by, undisturbed, tmp_path, monkeypatch):
    """Not from the file that the command line named at the beginning."""
    arguments = ['--resume', undisturbed / 'epoch_0_iter_1.pth']
    copy_state(undisturbed / 'epoch_1_iter_5.pth', tmp_path / 'run')
    monkeypatch.setenv(f'{by}_RESTART_COUNT', '1')
    call('tools/train.py', TINY, '--work-dir', tmp_path / 'run', *arguments)
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert 'resumed epoch: 1, iter: 5' in log


def test_a_dead_process_leads_to_a_restart(undisturbed, tmp_path):
    options = ['--cfg-options', *KEPT, 'train_dataloader.batch_size=4']
    script = ['bash', 'tools/dist_train.sh', TINY, '2', '--work-dir', tmp_path]
    process = subprocess.Popen(
        [*script, *options],
        cwd=ROOT,
        env=environment(MAX_RESTARTS='1', CUDA_VISIBLE_DEVICES=''),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.time() + 300
    while not (tmp_path / 'last_checkpoint').exists() and time.time() < deadline:
        time.sleep(0.05)
    children = subprocess.run(
        ['pgrep', '-f', f'tools/train.py.*{tmp_path}'],
        capture_output=True,
        text=True,
    ).stdout.split()
    subprocess.run(['kill', '-9', children[-1]])
    out = process.communicate()[0]
    assert process.returncode == 0, out[-3000:]
    assert 'resumed epoch: 1' in out
    assert (tmp_path / 'epoch_2.pth').exists()
