"""HAP through the same harness as SAIP."""

from pathlib import Path

import pytest
import torch
from launch import ROOT, call
from mmengine.config import Config
from mmpretrain.registry import MODELS
from short_runs import EVERY_STEP, assert_same_end, copy_state, train

from saip_mm import load_backbone
from saip_mm.checkpoints.files import read_checkpoint

TINY_HAP = ROOT / 'tests/configs/tiny_hap.py'


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp('hap')
    train(work_dir, EVERY_STEP, config=TINY_HAP)
    return work_dir


def test_any_step_can_be_resumed(trained, tmp_path):
    copy_state(trained / 'epoch_1_iter_4.pth', tmp_path / 'run')
    train(tmp_path / 'run', EVERY_STEP, config=TINY_HAP, resume=True)
    assert_same_end(tmp_path / 'run', trained)


def test_an_exported_backbone_gives_the_same_tokens(trained, tmp_path):
    call('tools/export_backbone.py', trained, '--out', tmp_path / 'backbone.pth')
    model = MODELS.build(Config.fromfile(TINY_HAP).model).eval()
    model.load_state_dict(read_checkpoint(trained / 'epoch_2.pth')['state_dict'])
    images = torch.randint(256, (2, 3, 64, 32), dtype=torch.uint8)
    normalized = model.data_preprocessor(dict(inputs=dict(image=images)))['inputs']
    everything = torch.arange(32).expand(2, -1)
    encoded = model.encoder(normalized['image'], everything, 'middle')
    for path in (tmp_path / 'backbone.pth', trained):
        features = load_backbone(path)(images)
        torch.testing.assert_close(features.image, encoded.middle_token)
        torch.testing.assert_close(features.patches, encoded.middle_map)
