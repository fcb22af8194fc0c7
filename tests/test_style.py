"""Lint and formatting, as `make lint` checks them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize('arguments', [['check'], ['format', '--check']])
def test_ruff_has_nothing_to_say(arguments: list[str]) -> None:
    command = [sys.executable, '-m', 'ruff', *arguments, '.']
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
