"""Probes during training."""

import json
import re

import pytest
from launch import TINY, call
from people_files import write_pair
from short_runs import assert_same_end

from saip_mm.evaluation import hook as hook_module

NAMES = {'probe/reid/mAP', 'probe/reid/rank1', 'probe/attributes/mA'}
NAMES |= {'probe/parts/mIoU', 'probe/keypoints/PCK'}
NAMES |= {f'probe/search/{name}' for name in ('IoU', 'IoU_stranger', 'gain')}
NAMES |= {f'probe/reconstruction/{name}' for name in ('loss', 'loss_stranger', 'gain')}
PROBED = f"""
_base_ = {str(TINY)!r}
sizes = dict(identities=6, images=8, train_identities=8, train_images=2, views=4)
default_hooks = dict(probe=dict(type='ProbeHook', interval=1, sizes=sizes))
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp('config') / 'probed.py'
    path.write_text(PROBED)
    return path


def test_training_is_the_same_to_the_bit(config, tiny_run, tmp_path):
    call('tools/train.py', config, '--work-dir', tmp_path)
    assert_same_end(tmp_path, tiny_run)
    (file,) = tmp_path.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    probed = [line for line in lines if 'probe/reid/mAP' in line]
    assert [line['step'] for line in probed] == [0, 3, 6]
    for line in probed:
        assert line.keys() == NAMES | {'step'}
    assert probed[0] != probed[1] | dict(step=0)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert re.search(r'probes on drawn people after 6 steps \(\d+ s\): reid/mAP ', log)
    announced = log.index('probing the initial teacher before the first step')
    assert announced < log.index('probes on drawn people after 0 steps')


def test_photographs_instead_of_drawn_people(tiny_run, tmp_path):
    own = write_pair(tmp_path / 'own')
    config, work_dir = tmp_path / 'config.py', tmp_path / 'run'
    real = dict(reid=[str(own)])
    config.write_text(
        f'_base_ = {str(TINY)!r}\n'
        f"default_hooks = dict(probe=dict(type='ProbeHook', interval=2, real={real}))"
    )
    call('tools/train.py', config, '--work-dir', work_dir)
    assert_same_end(work_dir, tiny_run)
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    probed = [line for line in lines if 'probe/own/mAP' in line]
    scores = {'probe/own/mAP': 1.0, 'probe/own/rank1': 1.0}
    assert probed == [scores | dict(step=0), scores | dict(step=6)]
    log = next(work_dir.glob('*/*.log')).read_text()
    assert 'probes on photographs after 6 steps' in log


def test_a_probe_that_fails_is_a_warning(config, tiny_run, tmp_path, monkeypatch):
    saved = []

    def fail(subject, sizes):
        saved.append([path.name for path in tmp_path.glob('*.pth')])
        raise RuntimeError('no such luck')

    monkeypatch.setattr(hook_module, 'run_probes', fail)
    call('tools/train.py', config, '--work-dir', tmp_path)
    assert_same_end(tmp_path, tiny_run)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'the probes failed after 3 steps; training continues' in log
    assert 'RuntimeError: no such luck' in log
    # The last checkpoint is saved before its probes.
    assert saved[0] == [] and 'epoch_2.pth' in saved[-1]
