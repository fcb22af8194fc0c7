"""An uninterrupted training, to compare others with."""

from pathlib import Path

import pytest
from short_runs import train


@pytest.fixture(scope='session')
def undisturbed(tmp_path_factory) -> Path:
    """Two epochs of three steps, with a checkpoint after every step."""
    work_dir = tmp_path_factory.mktemp('undisturbed')
    train(work_dir, 'default_hooks.checkpoint.minutes=1e-9')
    return work_dir
