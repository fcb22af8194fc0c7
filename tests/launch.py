"""Run the project's scripts as a user would."""

import logging
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.registry import init_default_scope

from saip_mm.training.saving import STOP_SIGNALS

ROOT = Path(__file__).parents[1]
TINY = ROOT / 'tests/configs/tiny.py'


def environment(**more: str) -> dict[str, str]:
    """Environment in which scripts find the package, the tests and this Python."""
    path = os.pathsep.join([str(ROOT), str(ROOT / 'tests')])
    return os.environ | dict(
        PYTHONPATH=path, PYTHON=sys.executable, OMP_NUM_THREADS='1', **more
    )


def run(
    *command: object, check: bool = True, cwd: Path = ROOT, **env: str
) -> subprocess.CompletedProcess:
    """Run a script of the project, and capture its output.

    Args:
        command: Script, relative to ``cwd``, and its arguments.
        check: Whether the test fails if the script fails.
        cwd: Working directory.
    """
    script, *arguments = map(str, command)
    interpreter = [sys.executable] if script.endswith('.py') else ['bash']
    done = subprocess.run(
        [*interpreter, script, *arguments],
        cwd=cwd,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if check:
        assert done.returncode == 0, done.stdout[-4000:]
    return done


def stop(
    *command: object, number: int, when: Callable[[], bool], seconds: float = 120
) -> tuple[int, str]:
    """Run a Python script of the project, and send it a signal.

    The signal goes to all its processes, as Ctrl-C in a terminal does.

    Args:
        command: Script, relative to the project, and its arguments.
        number: The signal.
        when: Whether to send it now.
        seconds: Time limit.

    Returns:
        Exit status and output.
    """
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + seconds
    while not when() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(process.pid, number)
    text, _ = process.communicate(timeout=seconds)
    return process.returncode, ' '.join(text.split())


def call(script: str, *arguments: object, cwd: Path = ROOT) -> int | str | None:
    """Run a Python script of the project in this process, which is faster.

    Args:
        script: Relative to the project.
        arguments: Its arguments.
        cwd: Working directory.

    Returns:
        Exit status; its errors are raised.
    """
    # MMEngine names loggers by the second and would reuse the last runner's.
    runner = Path(script).name in ('train.py', 'test.py', 'compare.py')
    if runner and int(time.time()) == int(call.ended):
        time.sleep(1 - time.time() % 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [script, *map(str, arguments)])
        patch.chdir(cwd)
        # tools/train.py sets these for its process; restore them for other tests.
        patch.setattr(logging, 'raiseExceptions', True)
        patch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '')
        patch.delenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD')
        handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        try:
            runpy.run_path(str(ROOT / script), run_name='__main__')
        except SystemExit as stop:
            if stop.__cause__ is not None:  # the error that the script prints
                raise stop.__cause__ from None
            return stop.code
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            init_default_scope('mmpretrain')  # else another library's stays
            call.ended = time.time() if runner else call.ended
    return None


call.ended = 0.0
