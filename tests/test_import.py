"""Importing the package registers, and does nothing else."""

import subprocess
import sys

from launch import environment

PROGRAM = """
import logging, signal, sys, warnings

state = lambda: (
    list(warnings.filters), sys.stdout, sys.stderr, logging.root.manager.disable,
    signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT),
)
import mmpretrain.models  # has effects of its own
before = state()
import saip_mm
assert state() == before
from mmpretrain.registry import DATASETS, HOOKS, LOOPS, MODELS, TRANSFORMS
assert MODELS.get('SAIP') and HOOKS.get('SAIPHook') and LOOPS.get('AccumulatingTrainLoop')
assert not {'mmdet', 'mmpose', 'mmseg'} & set(sys.modules)
"""


def test_an_import_has_no_side_effects():
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_an_import_prints_nothing():
    done = subprocess.run(
        [sys.executable, '-c', 'import saip_mm'],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.stdout + done.stderr == ''
