"""Fixtures for all tests."""

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from image_files import folder, photographs, photos, shards  # noqa: F401
from launch import TINY, call
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.visualization import Visualizer
from random_models import MEAN, write_backbone

# Without a log file, MMEngine would print a line per initialized parameter.
MMLogger.get_current_instance().setLevel('WARNING')
# Background jobs of scripts ignore Ctrl-C, and so would programs started by tests.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# As MMEngine does for training, whatever Python's default.
multiprocessing.set_start_method('fork', force=True)
# pytest-xdist keeps the cores busy.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_start() -> Iterator[None]:
    """Reset the default scope to MMPretrain's, and random numbers."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    yield
    init_default_scope('mmpretrain')  # for fixtures of the next module
    os.environ.pop('TORCH_FORCE_WEIGHTS_ONLY_LOAD', None)  # of one_line_errors
    forget(Visualizer)


def forget(kind: type) -> None:
    """Remove visualizers, which write into the folders of their tests."""
    kind._instance_dict.clear()
    for each in kind.__subclasses__():
        forget(each)


@pytest.fixture(autouse=True, scope='module')
def _fast_collection() -> None:
    """Exclude imported objects from the garbage that MMEngine collects per data set."""
    gc.freeze()


@pytest.fixture
def logged(monkeypatch) -> Callable[[str], list[str]]:
    """Replaces the ``print_log`` of a module of the package; lists its texts."""

    def logged(module: str) -> list[str]:
        texts, place = [], f'saip_mm.{module}.print_log'
        monkeypatch.setattr(place, lambda text, *_, **__: texts.append(text))
        return texts

    return logged


@pytest.fixture(scope='session')
def test_data() -> Path:
    """Folder of real images (`real/`) and reference numbers (`reference/`)."""
    if 'SAIP_TEST_DATA' not in os.environ:
        pytest.skip('SAIP_TEST_DATA names no folder with real/ and reference/')
    return Path(os.environ['SAIP_TEST_DATA'])


@pytest.fixture(scope='session')
def tiny_run(tmp_path_factory) -> Path:
    """Work directory of a training of six steps; do not change it."""
    work_dir = tmp_path_factory.mktemp('tiny') / 'run'
    call('tools/train.py', TINY, '--work-dir', work_dir)
    return work_dir


@pytest.fixture(scope='session')
def backbone(tmp_path_factory) -> Path:
    """A ViT-Tiny as written by tools/export_backbone.py."""
    path = tmp_path_factory.mktemp('backbone') / 'backbone.pth'
    write_backbone(path, mean=[*MEAN])
    return path
