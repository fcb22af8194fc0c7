"""Fixtures for downstream tasks."""

import pytest
from random_models import write_backbone


@pytest.fixture(scope='session')
def backbone(tmp_path_factory):
    """A backbone as written by tools/export_backbone.py."""
    path = tmp_path_factory.mktemp('backbone') / 'backbone.pth'
    write_backbone(path)
    return path
