"""What imports what: nothing of a downstream task unless a config names it."""

import ast
from pathlib import Path

import pytest
from launch import ROOT

PACKAGE = ROOT / 'saip_mm'
HERE = ('reid', 'attributes')  # which need MMPretrain only


def imported(path: Path) -> set[str]:
    """Names of the modules that a file imports, as it spells them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f'{node.module or ""}.{alias.name}' for alias in node.names}
    return names


def test_saip_mm_imports_nothing_downstream():
    files = [p for p in PACKAGE.rglob('*.py') if 'downstream' not in p.parts]
    assert len(files) > 30
    for path in files:
        assert not any('downstream' in name for name in imported(path)), path


@pytest.mark.parametrize('task', HERE)
def test_tasks_of_mmpretrain_need_no_other_library(task):
    for path in (PACKAGE / 'downstream' / task).rglob('*.py'):
        libraries = {name.split('.')[0] for name in imported(path)}
        assert not libraries & {'mmdet', 'mmseg', 'mmpose'}, path
