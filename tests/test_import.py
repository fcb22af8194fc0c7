"""Importing the package has no effect except registration."""

from launch import python

PROGRAM = """
import gc, logging, signal, sys, warnings

def state():
    return (
        list(warnings.filters), sys.stdout, sys.stderr, logging.root.manager.disable,
        signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT),
        {'mmdet', 'mmpose', 'mmseg'} & set(sys.modules), gc.isenabled(),
    )

if 'quiet' not in sys.argv:
    import mmpretrain.models  # has effects itself
    gc.disable()
before = state()
import saip_mm
if 'quiet' not in sys.argv:
    assert state() == before
else:
    assert 'mmdet' not in sys.modules and gc.isenabled()
from mmpretrain.registry import DATASETS, HOOKS, MODELS
assert MODELS.get('SAIP') and HOOKS.get('SAIPHook') and DATASETS.get('PersonImages')
tasks = {m.split('.')[2] for m in sys.modules if m.startswith('saip_mm.downstream.')}
assert tasks == {'attributes_csv', 'market1501', 'retrieval'}, tasks
"""


def test_an_import_has_no_side_effects():
    for argument in ('quiet', ''):
        done = python('-c', PROGRAM, argument)
        assert done.returncode == 0, done.stderr
        assert argument == '' or done.stdout + done.stderr == ''


OLD = """
import sys
import torch

torch.__version__ = torch.torch_version.TorchVersion('2.0.1')
import saip_mm
assert not hasattr(saip_mm, 'load_backbone')
assert 'mmpretrain' not in sys.modules
"""


def test_old_pytorch_is_named():
    done = python('-c', OLD)
    assert done.returncode == 0, done.stderr
    assert 'PyTorch 2.0.1 is older than 2.1' in done.stderr
