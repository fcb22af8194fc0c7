"""Fixtures for downstream tasks."""

import pytest

from saip_mm.checkpoints.files import write_checkpoint
from saip_mm.models import SAIPViT


@pytest.fixture(scope='session')
def backbone(tmp_path_factory):
    """A backbone as written by tools/export_backbone.py."""
    state = {f'backbone.{k}': v for k, v in SAIPViT().state_dict().items()}
    path = tmp_path_factory.mktemp('backbone') / 'backbone.pth'
    write_checkpoint(path, state, dict(grid=(16, 8)))
    return path
