"""tools/test.py, and loading of checkpoints."""

import logging
import os
import pickle
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from launch import ROOT, TINY, call

from saip_mm.training import SafeRunner
from saip_mm.training.config import load_config

PA100K = ROOT / 'configs/downstream/attributes/pa100k_saip-vit-tiny_256x128.py'


@pytest.mark.skipif(find_spec('mmseg') is None, reason='MMSegmentation is missing')
def test_a_config_can_inherit_one_of_mmsegmentation(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("_base_ = 'mmseg::_base_/models/upernet_vit-b16_ln_mln.py'\n")
    assert load_config(str(path), {}).model.type == 'EncoderDecoder'


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_refusals(tmp_path):
    work_dir = ['--work-dir', tmp_path / 'test']
    with pytest.raises(ValueError, match='has no test_dataloader'):
        call('tools/test.py', TINY, tmp_path / 'none.pth', *work_dir)
    with pytest.raises(FileNotFoundError, match='there is no checkpoint .*none.pth'):
        call('tools/test.py', PA100K, tmp_path / 'none.pth', *work_dir)


def loader_of(state: dict, path: Path) -> SafeRunner:
    torch.save(state, path)
    runner = SafeRunner.__new__(SafeRunner)
    runner.model = torch.nn.Linear(3, 2)
    runner._hooks = []
    runner.logger = logging.getLogger(__name__)
    return runner


def test_a_part_loads_and_nothing_is_run(tmp_path):
    path = tmp_path / 'part.pth'
    weight = torch.randn(2, 3)
    state = {'module.weight': weight, 'module.bias': torch.ones(5)}
    meta = dict(config='raise SystemExit')
    runner = loader_of(dict(state_dict=state, meta=meta), path)
    assert 'config' not in runner.load_checkpoint(path)['meta']
    torch.testing.assert_close(runner.model.weight.data, weight)

    with pytest.raises(ValueError, match='none of 1 tensors fits this Linear'):
        loader_of({'other': weight}, path).load_checkpoint(path)

    evil = dict(state_dict=dict(weight=weight), meta=Malicious(tmp_path / 'ran'))
    runner = loader_of({}, path)
    path.write_bytes(pickle.dumps(evil))
    with pytest.raises(ValueError):
        runner.load_checkpoint(path)
    torch.save(evil, path)
    with pytest.raises(ValueError, match='refused for safety'):
        runner.load_checkpoint(path)
    assert not (tmp_path / 'ran').exists()
