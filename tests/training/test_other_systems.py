"""What macOS, Windows and containers lack or do differently, simulated."""

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import torch
from launch import ROOT, TINY, python
from mmengine import device
from short_runs import assert_same_end, train

import saip_mm
from saip_mm import processes
from saip_mm.data import SyntheticPeople
from saip_mm.data.packing import pack_shards
from saip_mm.errors import one_line_errors
from saip_mm.training import loaders, resuming, runner


def refuse(*limits: object) -> None:  # as macOS does, if the limit is infinite
    raise ValueError('current limit exceeds maximum limit')


@pytest.fixture
def mac(monkeypatch):
    """A Mac with a GPU."""
    monkeypatch.setattr(device.utils, 'DEVICE', 'mps')
    found = SimpleNamespace(platform='darwin', exc_info=sys.exc_info)
    monkeypatch.setattr(runner, 'sys', found)
    for module in (runner, processes):
        monkeypatch.setattr(module, 'START_METHOD', 'spawn')
    monkeypatch.setattr(loaders, 'get_sharing_strategy', lambda: 'file_system')
    monkeypatch.setattr(runner.Runner, 'setup_env', keep_limits(monkeypatch))
    monkeypatch.delattr(os, 'sched_getaffinity')
    yield
    multiprocessing.set_start_method('fork', force=True)


def keep_limits(monkeypatch) -> object:
    """MMEngine's set-up, after which limits of open files cannot be changed."""
    set_up = runner.Runner.setup_env

    def set_up_and_refuse(self, env_cfg: dict) -> None:
        set_up(self, env_cfg)
        monkeypatch.setattr(resource, 'setrlimit', refuse)

    return set_up_and_refuse


def test_training_on_a_mac(mac, undisturbed, tmp_path):
    train(tmp_path / 'run', 'train_dataloader.num_workers=1')
    assert multiprocessing.get_start_method() == 'spawn'
    assert device.get_device() == 'cpu'
    assert_same_end(tmp_path / 'run', undisturbed)


def test_spawned_processes_pack_the_same_shards(tmp_path, request):
    images = SyntheticPeople(num_identities=3, images_per_identity=1, size=(32, 16))
    pack_shards(images, tmp_path / 'forked', 2, processes=1)
    request.getfixturevalue('mac')
    pack_shards(images, tmp_path / 'spawned', 2, processes=1)
    forked, spawned = (
        {path.name: path.read_bytes() for path in (tmp_path / name).glob('*.bin')}
        for name in ('forked', 'spawned')
    )
    assert len(forked) == 2 and spawned == forked
    assert processes.usable_cores() == os.cpu_count()


def test_start_of_the_parent_without_proc(tmp_path, monkeypatch):
    expected = resuming._parent_began()
    monkeypatch.setattr(resuming, '_PROC', tmp_path / 'none')
    assert abs(resuming._parent_began() - expected) < 2  # ps rounds to seconds


@pytest.fixture
def launched_threads(tmp_path):
    """Threads of processes of launch.sh, where only these commands exist."""

    def threads(count: int, **commands: str) -> str:
        commands['python'] = 'echo $OMP_NUM_THREADS $MKL_NUM_THREADS'
        for name, script in commands.items():
            (tmp_path / name).write_text(f'#!{shutil.which("sh")}\n{script}\n')
            (tmp_path / name).chmod(0o755)
        return subprocess.check_output(
            [tmp_path / 'bash', ROOT / 'tools/launch.sh', str(count), 'train.py'],
            env=dict(PATH=str(tmp_path)),
            text=True,
        ).strip()

    for command in ('bash', 'dirname', 'getconf'):
        (tmp_path / command).symlink_to(shutil.which(command))
    return threads


def test_processes_share_the_cores_without_nproc(launched_threads):
    assert launched_threads(1) == f'{os.cpu_count()} {os.cpu_count()}'


@pytest.mark.parametrize(
    'limit, count, expected',
    [
        ('max 100000', 2, 8),
        ('600000 100000', 2, 3),
        ('600000 100000', 1, 6),
        ('3200000 100000', 1, 16),
        ('50000 100000', 1, 1),
    ],
)
def test_processes_share_the_limit_of_a_container(
    launched_threads, limit, count, expected
):
    threads = launched_threads(count, nproc='echo 16', cat=f'echo {limit}')
    assert threads == f'{expected} {expected}'


def test_threads_within_the_limit_of_a_container(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, '_QUOTA', tmp_path / 'cpu.max')
    (tmp_path / 'cpu.max').write_text('100000 100000\n')
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        monkeypatch.setenv('OMP_NUM_THREADS', '2')
        train(tmp_path / 'as asked', 'train_cfg.max_epochs=1')
        with one_line_errors():
            assert torch.get_num_threads() == 2
        monkeypatch.delenv('OMP_NUM_THREADS')
        train(tmp_path / 'limited', 'train_cfg.max_epochs=1')
        assert torch.get_num_threads() == 1
        torch.set_num_threads(2)
        with one_line_errors():
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_only_the_small_environment_is_installed_elsewhere(tmp_path):
    (tmp_path / 'uname').write_text('#!/bin/sh\necho Darwin\n')
    (tmp_path / 'uname').chmod(0o755)
    (tmp_path / 'tools').mkdir()
    shutil.copy(ROOT / 'tools/install.sh', tmp_path / 'tools')
    done = subprocess.run(
        ['bash', tmp_path / 'tools/install.sh', 'complete'],
        env=os.environ | dict(PATH=f'{tmp_path}:{os.environ["PATH"]}'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert 'The complete environment is for Linux.' in done.stderr
    assert not (tmp_path / '.venv').exists()


# Modules and names that Windows lacks are hidden once other libraries are imported,
# which have versions for Windows.
WINDOWS = """
import mmpretrain.datasets, mmpretrain.models, os, runpy, signal, sys, torch, yapf

sys.modules |= dict.fromkeys(['fcntl', 'resource', 'pwd', 'grp', 'termios'])
for module, names in (
    (os, ['fork', 'sched_getaffinity', 'EX_TEMPFAIL']),
    (signal, ['SIGUSR1', 'SIGHUP', 'SIGQUIT', 'SIGKILL']),
):
    for name in names:
        delattr(module, name)
sys.platform = 'win32'
import saip_mm

backbone = saip_mm.load_backbone('saip-small')
torch.save(saip_mm.embed(backbone, ['person.png']), 'features.pth')
_, tools, config = sys.argv
for name, *sys.argv[1:] in (
    ('export_backbone.py', 'saip-small', '--out', 'backbone.pth'),
    ('train.py', config),
):
    runpy.run_path(f'{tools}/{name}', run_name='__main__')
"""


def test_windows_embeds_and_exports_but_does_not_train(tmp_path):
    person = np.random.default_rng(0).integers(0, 256, (64, 32, 3), np.uint8)
    PIL.Image.fromarray(person).save(tmp_path / 'person.png')
    done = python('-c', WINDOWS, ROOT / 'tools', TINY, cwd=tmp_path)
    message = 'error: training and testing do not run on Windows: use WSL\n'
    assert done.stderr.endswith(message), done.stderr
    assert done.returncode == 1
    expected = saip_mm.embed(saip_mm.load_backbone('saip-small'), [person])
    assert torch.equal(torch.load(tmp_path / 'features.pth'), expected)
    assert (tmp_path / 'backbone.pth').exists()
