"""An uninterrupted training, to compare others with."""

from pathlib import Path

import pytest
from short_runs import EVERY_STEP, train


@pytest.fixture(scope='session')
def undisturbed(tmp_path_factory) -> Path:
    """Two epochs of three steps, with a checkpoint after every step."""
    work_dir = tmp_path_factory.mktemp('undisturbed')
    train(work_dir, EVERY_STEP)
    return work_dir
