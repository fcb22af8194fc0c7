"""Lint, formatting and layers, as `make lint` checks them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize('arguments', [['check'], ['format', '--check']])
def test_ruff(arguments: list[str]) -> None:
    command = [sys.executable, '-m', 'ruff', *arguments, '.']
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_layer_imports_only_layers_below():
    command = [Path(sys.executable).with_name('lint-imports')]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Contracts: 1 kept, 0 broken.' in done.stdout


def test_functions_and_files_are_short():
    """At most 50 lines in a function, 300 in a file of the package and its tools."""
    long = []
    for path in [*ROOT.glob('saip_mm/**/*.py'), *ROOT.glob('tools/*.py')]:
        text = path.read_text()
        if text.count('\n') > 300:
            long.append(f'{path}: {text.count(chr(10))} lines')
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                lines = node.end_lineno - node.body[0].lineno + 1
                if lines > 50:
                    long.append(f'{path}: {node.name} has {lines} lines')
    assert not long


def test_commands_in_configs_can_be_pasted():
    """Docstrings of configs are read in the file: a line ends with one backslash."""
    for path in ROOT.glob('configs/**/*.py'):
        assert '\\\\\n' not in path.read_text(), path
