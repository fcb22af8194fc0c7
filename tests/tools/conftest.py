"""Fixtures for tests of the tools."""

import importlib.util
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest
from launch import ROOT, popen, same_signal_handlers

from saip_mm.evaluation import runs


@pytest.fixture(scope='module')
def tool(request) -> ModuleType:
    """The script named by the test module's `TOOL`, as a module to patch."""
    path = ROOT / request.module.TOOL
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where processes look for its functions
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tool, monkeypatch, capsys):
    """Run the tool; returns its exit status (or message) and what it printed."""

    def run(*arguments: object) -> tuple[int | str, str]:
        monkeypatch.setattr(sys, 'argv', [tool.__name__, *map(str, arguments)])
        try:
            with same_signal_handlers():
                tool.main()
            status = 0
        except SystemExit as error:
            status = error.code
        except (ImportError, OSError, ValueError) as error:
            status = f'error: {error}'
        printed = capsys.readouterr()
        return status, ' '.join((printed.out + printed.err).split())

    return run


@pytest.fixture
def forked(monkeypatch) -> None:
    """Comparisons fork the tools that they start, which saves imports."""
    forking = SimpleNamespace(**vars(subprocess) | dict(Popen=popen))
    monkeypatch.setattr(runs, 'subprocess', forking)
