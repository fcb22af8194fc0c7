"""python -m saip_mm.doctor"""

import math
import os
import re
import subprocess
import sys

import pytest
from launch import ROOT, TINY
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


@pytest.fixture
def report(monkeypatch, capsys):
    """Run the doctor; returns its exit status and output."""

    def report(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr('sys.argv', ['doctor', *map(str, arguments)])
        return doctor.main(), capsys.readouterr().out

    return report


def test_a_config_with_a_high_initial_share(report):
    saip = 'default_hooks.saip'
    options = [f'{saip}.base_batch_size=2048', f'{saip}.momentum=0.996']
    status, out = report(TINY, '--cfg-options', *options)
    assert status == 0
    assert 'ok    24 training images' in out
    left = math.prod(  # 6 steps of 8 images
        1 - (1 - 0.996 ** (8 / 2048)) * (1 + math.cos(math.pi * step / 6)) / 2
        for step in range(6)
    )
    assert (
        'warn  teacher momentum 0.999984 → 1 over 6 steps; '
        f'{left:.1%} of its initial weights are left at the end'
    ) in out
    assert '→ set default_hooks.saip.max_initial_share=0.001 (the momentum' in out
    options.append(f'{saip}.max_initial_share=0.001')
    _, out = report(TINY, '--cfg-options', *options)
    assert 'ok    teacher momentum' in out and '; 0.1% of its' in out


def test_failures_of_a_config(report, tmp_path):
    status, out = report(ROOT / 'configs/pretrain/saip_vit-tiny.py')
    assert status == 1
    assert re.search(r'fail  config: .*(no such|not exist)', out)
    (tmp_path / 'a').touch()
    status, out = report(TINY, '--work-dir', tmp_path / 'a', '--cfg-options', 'foo')
    assert status == 1 and 'foo: should be NAME=VALUE' in out
    assert f'fail  {tmp_path}/a is a file' in out


def test_a_broken_environment(tmp_path):
    for name in ('mmpretrain', 'torch'):
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text('raise ImportError("broken")\n')
    done = subprocess.run(
        [sys.executable, '-m', 'saip_mm.doctor', 'config.py'],
        env=os.environ | dict(PYTHONPATH=f'{tmp_path}{os.pathsep}{ROOT}'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert 'has registered nothing (ImportError: broken)' in done.stderr
    assert 'Traceback' not in done.stderr
    lines = done.stdout.splitlines()
    for failing in ('packages', 'devices', 'config'):
        assert f'fail  {failing}: broken' in lines
    assert any(line.startswith('ok    ') for line in lines)


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
