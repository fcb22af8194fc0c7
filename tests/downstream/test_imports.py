"""What imports what: nothing of a downstream task unless a config names it."""

import ast
import subprocess
import sys

import pytest
from launch import ROOT, environment

PACKAGE = ROOT / 'saip_mm'


def test_saip_mm_imports_no_downstream_task():
    code = (
        'import sys, saip_mm; '
        'print(*(m for m in sys.modules if m.startswith("saip_mm.downstream.")))'
    )
    command = [sys.executable, '-c', code]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    tasks = {name.split('.')[2] for name in done.stdout.split()}
    assert tasks == {'market1501', 'retrieval'}, done.stderr


@pytest.mark.parametrize('task', ['reid', 'attributes'])
def test_tasks_of_mmpretrain_need_no_other_library(task):
    for path in (PACKAGE / 'downstream' / task).rglob('*.py'):
        tree = ast.walk(ast.parse(path.read_text()))
        modules = {n.module for n in tree if isinstance(n, ast.ImportFrom)}
        libraries = {str(module).split('.')[0] for module in modules}
        assert not libraries & {'mmdet', 'mmseg', 'mmpose'}, path
