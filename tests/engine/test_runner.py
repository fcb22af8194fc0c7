"""What PretrainingRunner makes of checkpoints."""

import logging
from types import SimpleNamespace

import pytest
import torch
from launch import TINY
from mmengine.config import Config
from mmpretrain.registry import MODELS

from saip_mm.engine import PretrainingRunner


@pytest.fixture
def runner():
    """As much of a runner as loading needs."""
    return SimpleNamespace(
        model=MODELS.build(Config.fromfile(TINY).model),
        call_hook=lambda *_, **__: None,
        logger=logging.getLogger(__name__),
    )


def save_without(prefix: str, runner, path) -> None:
    state = runner.model.state_dict()
    for name in [name for name in state if name.startswith(prefix)]:
        del state[name]
    torch.save(dict(state_dict=state, meta=dict(config='raise SystemExit')), path)


def test_a_converted_checkpoint_needs_no_mean_and_std(runner, tmp_path):
    path = tmp_path / 'converted.pth'
    save_without('data_preprocessor.', runner, path)
    loaded = PretrainingRunner.load_checkpoint(runner, path)
    assert 'config' not in loaded['meta']  # which MMEngine would run


@pytest.mark.parametrize('part', ['teacher.', 'search.kernel.'])
def test_a_part_of_a_model_is_refused(part, runner, tmp_path):
    path = tmp_path / 'part.pth'
    save_without(part, runner, path)
    with pytest.raises(ValueError, match='does not fit this SAIP: .* missing: '):
        PretrainingRunner.load_checkpoint(runner, path)
