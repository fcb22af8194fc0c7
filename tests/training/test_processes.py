"""How processes of a group end."""

import subprocess
import sys

import pytest
from launch import environment

PROGRAM = """
import atexit, os, sys
import torch.distributed
from saip_mm.training import ending_together

class Last:
    def __del__(self):  # a thread that wants the interpreter from now on is aborted
        os.write(1, b'finalized')

last = Last()
atexit.register(print, 'exit handler')
torch.distributed.init_process_group(
    'gloo', init_method=f'file://{sys.argv[1]}', rank=0, world_size=1
)
with ending_together():
    print('work')
    if sys.argv[2] != '0':
        raise SystemExit(int(sys.argv[2]))
"""


@pytest.mark.parametrize('status', [0, 75])
def test_a_process_of_a_group_ends_without_finalization(status, tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM, tmp_path / 'store', str(status)],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ['work', 'exit handler'], done.stderr
    assert done.returncode == status
