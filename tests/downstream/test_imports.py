"""Importing the package imports no downstream task."""

import subprocess
import sys

from launch import environment


def test_saip_mm_imports_no_downstream_task():
    code = (
        'import sys, saip_mm; '
        'print(*(m for m in sys.modules if m.startswith("saip_mm.downstream.")))'
    )
    command = [sys.executable, '-c', code]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    tasks = {name.split('.')[2] for name in done.stdout.split()}
    assert tasks == {'market1501', 'retrieval'}, done.stderr
