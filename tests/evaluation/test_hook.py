"""Probes during training."""

import re

from people_files import write_pair
from short_runs import assert_same_end, log_of, scalars_of, train

from saip_mm.evaluation import hook as hook_module

NAMES = {'probe/reid/mAP', 'probe/reid/rank1', 'probe/attributes/mA'}
NAMES |= {'probe/parts/mIoU', 'probe/keypoints/PCK'}
NAMES |= {f'probe/search/{name}' for name in ('IoU', 'IoU_stranger', 'gain')}
NAMES |= {f'probe/reconstruction/{name}' for name in ('loss', 'loss_stranger', 'gain')}
SIZES = dict(identities=6, images=8, train_identities=8, train_images=2, views=4)
PROBES = f'default_hooks.probe={dict(type="ProbeHook", interval=1, sizes=SIZES)}'


def test_training_is_the_same_to_the_bit(tiny_run, tmp_path):
    train(tmp_path, PROBES)
    assert_same_end(tmp_path, tiny_run)
    probed = [line for line in scalars_of(tmp_path) if 'probe/reid/mAP' in line]
    assert [line['step'] for line in probed] == [0, 3, 6]
    for line in probed:
        assert line.keys() == NAMES | {'step'}
    assert probed[0] != probed[1] | dict(step=0)
    log = log_of(tmp_path)
    assert re.search(r'probes on drawn people after 6 steps \(\d+ s\): reid/mAP ', log)
    announced = log.index('probing the initial model before the first step')
    assert announced < log.index('probes on drawn people after 0 steps')


def test_photographs_instead_of_drawn_people(tiny_run, tmp_path):
    own = write_pair(tmp_path / 'own')
    work_dir = tmp_path / 'run'
    probe = dict(type='ProbeHook', interval=2, real=dict(reid=[str(own)]))
    train(work_dir, f'default_hooks.probe={probe}')
    assert_same_end(work_dir, tiny_run)
    probed = [line for line in scalars_of(work_dir) if 'probe/own/mAP' in line]
    scores = {'probe/own/mAP': 1.0, 'probe/own/rank1': 1.0}
    assert probed == [scores | dict(step=0), scores | dict(step=6)]
    assert 'probes on photographs after 6 steps' in log_of(work_dir)


def test_a_probe_that_fails_is_a_warning(tiny_run, tmp_path, monkeypatch):
    saved = []

    def fail(subject, sizes):
        saved.append([path.name for path in tmp_path.glob('*.pth')])
        raise RuntimeError('no such luck')

    monkeypatch.setattr(hook_module, 'run_probes', fail)
    train(tmp_path, PROBES)
    assert_same_end(tmp_path, tiny_run)
    log = log_of(tmp_path)
    assert 'the probes failed after 3 steps; training continues' in log
    assert 'RuntimeError: no such luck' in log
    # The last checkpoint is saved before its probes.
    assert saved[0] == [] and 'epoch_2.pth' in saved[-1]
