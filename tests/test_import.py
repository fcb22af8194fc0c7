"""Importing the package has no effect except registration."""

import subprocess
import sys

from launch import environment

PROGRAM = """
import logging, signal, sys, warnings

def state():
    return (
        list(warnings.filters), sys.stdout, sys.stderr, logging.root.manager.disable,
        signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT),
        {'mmdet', 'mmpose', 'mmseg'} & set(sys.modules),
    )

if 'quiet' not in sys.argv:
    import mmpretrain.models  # has effects itself
before = state()
import saip_mm
if 'quiet' not in sys.argv:
    assert state() == before
from mmpretrain.registry import DATASETS, HOOKS, MODELS
assert MODELS.get('SAIP') and HOOKS.get('SAIPHook') and DATASETS.get('PersonImages')
tasks = {m.split('.')[2] for m in sys.modules if m.startswith('saip_mm.downstream.')}
assert tasks == {'attributes_csv', 'market1501', 'retrieval'}, tasks
"""


def test_an_import_has_no_side_effects():
    for argument in ('quiet', ''):
        done = subprocess.run(
            [sys.executable, '-c', PROGRAM, argument],
            env=environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert argument == '' or done.stdout + done.stderr == ''
