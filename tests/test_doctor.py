"""python -m saip_mm.doctor"""

import io
import os
import re
import sys

import pytest
from launch import ROOT, TINY, python
from PIL import Image

from saip_mm import doctor


def levels(findings) -> list[str]:
    return [finding.level for finding in findings]


@pytest.mark.parametrize(
    'free, level', [(100, doctor.OK), (10, doctor.WARN), (1, doctor.FAIL)]
)
def test_room_on_the_disk(free, level, monkeypatch, tmp_path):
    usage = doctor.shutil._ntuple_diskusage(0, 0, free * doctor.GIB)
    monkeypatch.setattr(doctor.shutil, 'disk_usage', lambda path: usage)
    assert levels(doctor.storage(tmp_path / 'not' / 'yet'))[0] == level


def test_a_work_dir_that_is_not_writable(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.os, 'access', lambda path, mode: False)  # root may all
    first = next(doctor.storage(tmp_path / 'not' / 'yet'))
    assert first.level == doctor.FAIL
    assert first.text == f'{tmp_path} is not writable'


@pytest.fixture
def report(monkeypatch, capsys):
    """Run the doctor; returns its exit status and output."""

    def report(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr('sys.argv', ['doctor', *map(str, arguments)])
        return doctor.main(), capsys.readouterr().out

    return report


def test_configs(report):
    status, out = report(TINY)
    assert status == 0
    assert 'ok    24 training images' in out and 'tiny.py: SAIP of' in out
    status, out = report(ROOT / 'configs/pretrain/saip_vit-tiny.py')
    assert status == 1
    assert re.search(r'fail  config: .*(no such|not exist)', out)
    status, out = report(TINY, '--cfg-options', 'foo')
    assert status == 1 and 'foo: should be NAME=VALUE' in out


@pytest.mark.parametrize(
    'names, checks',
    [
        (('mmpretrain', 'torch'), ('packages', 'devices', 'config')),
        (('safetensors',), ('packages',)),
    ],
)
def test_a_broken_environment(names, checks, tmp_path):
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text('raise ImportError("broken")\n')
    path = f'{tmp_path}{os.pathsep}{ROOT}'
    done = python('-m', 'saip_mm.doctor', 'config.py', PYTHONPATH=path)
    assert done.returncode == 1
    assert 'has registered nothing (ImportError: broken)' in done.stderr
    assert 'Traceback' not in done.stderr
    lines = done.stdout.splitlines()
    for failing in checks:
        assert f'fail  {failing}: broken' in lines
    assert any(line.startswith('ok    ') for line in lines)


@pytest.mark.parametrize(
    'release, level, remedy',
    [
        ('3.10.13', doctor.WARN, 'use 3.10.15 or later'),
        ('3.10.15', doctor.OK, ''),
        ('3.11.9', doctor.WARN, 'use 3.11.10 or later'),
        ('3.11.10', doctor.OK, ''),
        ('3.12.0', doctor.OK, ''),
    ],
)
def test_releases_of_python_whose_forks_hang(release, level, remedy, monkeypatch):
    numbers = (*map(int, release.split('.')), 'final', 0)
    monkeypatch.setattr(doctor.sys, 'version_info', numbers)
    monkeypatch.setattr(doctor.platform, 'python_version', lambda: release)
    [finding] = doctor.python()
    assert (finding.level, finding.remedy) == (level, remedy)
    assert f'Python {release}' in finding.text


def test_an_older_pytorch(report, monkeypatch):
    monkeypatch.setattr(doctor, 'TESTED', (99, 0))
    status, out = report()
    assert status == 0
    assert re.search(r'warn  PyTorch \S+ is older than 99.0, the oldest tested', out)


def test_terminals_without_arrows(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['doctor'])
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(io.BytesIO(), 'ascii'))
    monkeypatch.setattr(doctor, 'TESTED', (99, 0))  # a finding with a remedy
    assert doctor.main() == 0


def test_images_alone(report, tmp_path):
    status, out = report(tmp_path)
    assert status == 1 and f'fail  images: {tmp_path}: no images in this folder' in out
    for number in range(8):
        Image.new('RGB', (64, 128)).save(tmp_path / f'{number}.png')
    (tmp_path / '8.png').write_bytes(b'no image')
    status, out = report(tmp_path)
    assert status == 0
    assert 'ok    image 4 is usable' in out
    assert f'warn  {tmp_path}/8.png: not an image' in out


def test_fewer_images_than_a_batch(report, folder):
    config = ROOT / 'configs/pretrain/saip_small.py'
    option = f'train_dataloader.dataset.data_root={folder}'
    status, text = report(config, '--cfg-options', option)
    assert status == 1 and 'do not fill a batch of 32' in text
    smaller = 'train_dataloader.drop_last=False'
    assert report(config, '--cfg-options', option, smaller)[0] == 0
