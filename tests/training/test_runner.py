"""Loading of checkpoints, and data loaders, by the runners."""

import logging

import pytest
import torch
from launch import TINY
from mmengine.config import Config
from mmpretrain.registry import MODELS

from saip_mm.training import SafeRunner


@pytest.fixture
def runner() -> SafeRunner:
    """A runner with only the parts that loading needs."""
    runner = SafeRunner.__new__(SafeRunner)
    runner.model = MODELS.build(Config.fromfile(TINY).model)
    runner.logger = logging.getLogger(__name__)
    runner._hooks = []
    return runner


def save_without(prefix: str, runner, path) -> None:
    state = runner.model.state_dict()
    for name in [name for name in state if name.startswith(prefix)]:
        del state[name]
    torch.save(dict(state_dict=state, meta=dict(config='raise SystemExit')), path)


def test_a_converted_checkpoint_needs_no_mean_and_std(runner, tmp_path):
    path = tmp_path / 'converted.pth'
    save_without('data_preprocessor.', runner, path)
    loaded = runner.load_checkpoint(path)
    assert 'config' not in loaded['meta']  # which MMEngine would run


@pytest.mark.parametrize('part', ['teacher.', 'search.kernel.'])
def test_a_part_of_a_model_is_rejected(part, runner, tmp_path):
    path = tmp_path / 'part.pth'
    save_without(part, runner, path)
    with pytest.raises(ValueError, match='does not fit this SAIP: .* missing: '):
        runner.load_checkpoint(path)


def test_a_loader_without_workers():
    """Shipped configs with `train_dataloader.num_workers=0`."""
    config = Config.fromfile(TINY).train_dataloader
    config.update(num_workers=0, persistent_workers=True, prefetch_factor=4)
    loader = SafeRunner.build_dataloader(config, seed=0)
    assert (loader.num_workers, loader.persistent_workers) == (0, False)
    config.update(num_workers=2)
    loader = SafeRunner.build_dataloader(config, seed=0)
    assert loader.persistent_workers and loader.prefetch_factor == 4
