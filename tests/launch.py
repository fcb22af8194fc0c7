"""Run the project's scripts as a user would."""

import atexit
import gc
import logging
import multiprocessing
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.utils import ManagerMixin
from yapf.yapflib import yapf_api

from saip_mm.training.saving import STOP_SIGNALS

ROOT = Path(__file__).parents[1]
TINY = ROOT / 'tests/configs/tiny.py'
# Imports take several seconds of each script, so that scripts are forked from a process
# that has imported what most of them use and has done nothing else.
FORKS = multiprocessing.get_context('forkserver')
FORKS.set_forkserver_preload(
    ['launch', 'setuptools', 'saip_mm.evaluation', 'mmpretrain.engine']
    + ['torch.utils.tensorboard', 'matplotlib.pyplot']
)


_formatted, _format = {}, yapf_api.FormatCode


def _format_once(text: str, **style: object) -> tuple[str, bool]:
    assignments = re.split(r'^(?=\w+=)', text, flags=re.MULTILINE)
    for each in assignments:
        if each not in _formatted:
            _formatted[each] = _format(each, **style)[0]
    return ''.join(_formatted[each] for each in assignments), True


# MMEngine formats a config five times or more per training, longer than the steps take.
yapf_api.FormatCode = _format_once


def environment(**more: str) -> dict[str, str]:
    """Environment in which scripts find the package, the tests and this Python."""
    path = os.pathsep.join([str(ROOT), str(ROOT / 'tests')])
    usual = dict(PYTHONPATH=path, PYTHON=sys.executable, OMP_NUM_THREADS='1')
    return os.environ | usual | more


def python(
    *arguments: object, cwd: Path = ROOT, **env: str
) -> subprocess.CompletedProcess:
    """Run a new Python process, and capture its output."""
    command = [sys.executable, *map(str, arguments)]
    options = dict(env=environment(**env), capture_output=True, text=True)
    return subprocess.run(command, cwd=cwd, **options)


def _run_script(
    script: str,
    arguments: list[str],
    cwd: Path,
    env: dict,
    ctrl_c: object,
    out: Connection,
) -> None:
    """Become a script in a session of its own, whose output goes to a pipe."""
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    os.dup2(out.fileno(), 1)
    os.dup2(out.fileno(), 2)
    out.close()
    sys.stdout = sys.stderr = os.fdopen(1, 'w', buffering=1)
    signal.signal(signal.SIGINT, ctrl_c)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    multiprocessing.set_start_method('fork', force=True)  # of its own processes
    torch.set_num_threads(1)
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).parent))
    try:
        runpy.run_path(script, run_name='__main__')
    finally:
        atexit._run_exitfuncs()  # otherwise omitted in processes of this kind


class Script:
    """A Python script in a process; its methods are those of ``subprocess.Popen``.

    Args:
        command: Script, relative to ``cwd``, and its arguments.
        cwd: Working directory.
        ctrl_c: Whether Ctrl-C works as in a terminal, or is ignored as in a background
            job.
        out: File for the output; else it is read from ``stdout``.
        env: Additional environment variables.
    """

    def __init__(
        self,
        *command: object,
        cwd: Path = ROOT,
        ctrl_c: bool = True,
        out: BinaryIO | None = None,
        **env: str,
    ) -> None:
        script, *arguments = map(str, command)
        on_ctrl_c = signal.default_int_handler if ctrl_c else signal.SIG_IGN
        if out is None:
            self.pipe, out = FORKS.Pipe(duplex=False)
            self.stdout = os.fdopen(self.pipe.fileno(), closefd=False)
        else:
            out = Connection(os.dup(out.fileno()), readable=False)
        options = cwd, environment(**env), on_ctrl_c, out
        self.process = FORKS.Process(
            target=_run_script, args=(script, arguments, *options)
        )
        self.process.start()
        out.close()
        self.pid = self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self.process.join(timeout)
        return self.process.exitcode

    def communicate(self, timeout: float = 240) -> str:
        """Wait for the end of all its processes; returns the rest of the output."""
        killer = threading.Timer(timeout, os.killpg, (self.pid, signal.SIGKILL))
        killer.start()
        output = self.stdout.read()
        if not killer.is_alive():
            raise TimeoutError(output[-4000:])
        killer.cancel()
        self.wait()
        return output

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def popen(command: list[str], stdout: BinaryIO, stderr: int) -> Script:
    """A Python script as started by ``subprocess.Popen``, except that it is forked."""
    assert command[0] == sys.executable and stderr == subprocess.STDOUT
    return Script(*command[1:], cwd=Path.cwd(), out=stdout)


def run(
    *command: object, check: bool = True, cwd: Path = ROOT, **env: str
) -> subprocess.CompletedProcess:
    """Run a script of the project, and capture its output.

    Args:
        command: Script, relative to ``cwd``, and its arguments.
        check: Whether the test fails if the script fails.
        cwd: Working directory.
        env: Additional environment variables.
    """
    if str(command[0]).endswith('.py'):
        script = Script(*command, cwd=cwd, **env)
        output = script.communicate()
        done = subprocess.CompletedProcess(command, script.wait(), output)
    else:
        done = subprocess.run(
            ['bash', *map(str, command)],
            cwd=cwd,
            env=environment(**env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    if check:
        assert done.returncode == 0, done.stdout[-4000:]
    return done


def free_port() -> str:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


def run_two(
    *command: object, check: bool = True, cwd: Path = ROOT
) -> subprocess.CompletedProcess:
    """Run a Python script in two processes, connected as by torchrun."""
    env = dict(WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=free_port())
    env |= dict(CUDA_VISIBLE_DEVICES='')
    scripts = [
        Script(*command, cwd=cwd, RANK=rank, LOCAL_RANK=rank, **env) for rank in '01'
    ]
    output = ''.join(script.communicate() for script in scripts)
    status = max(abs(script.wait()) for script in scripts)
    assert status == 0 or not check, output[-4000:]
    return subprocess.CompletedProcess(command, status, output)


def stop(*command: object, number: int, when: Callable[[], bool]) -> tuple[int, str]:
    """Run a Python script, and send a signal to all its processes, as a terminal does.

    Args:
        command: Script, relative to the project, and its arguments.
        number: The signal.
        when: Whether to send it now, which it is after two minutes anyway.

    Returns:
        Exit status and output.
    """
    script = Script(*command)
    end = time.monotonic() + 120
    while not when() and script.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(script.pid, number)
    text = script.communicate(120)
    return script.wait(), ' '.join(text.split())


def _forget_runners(manager: type[ManagerMixin] = ManagerMixin) -> None:
    # MMEngine names loggers, visualizers, … by the second, and would reuse the last
    # runner's.
    for name in manager._instance_dict.keys() - {'mmengine'}:
        del manager._instance_dict[name]
    for kind in manager.__subclasses__():
        _forget_runners(kind)


@contextmanager
def same_signal_handlers() -> Iterator[None]:
    """Undo what a tool changes for its process; pools would not end without it."""
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def call(script: str, *arguments: object, cwd: Path = ROOT) -> int | str | None:
    """Run a Python script of the project in this process, which is faster.

    Args:
        script: Relative to the project.
        arguments: Its arguments.
        cwd: Working directory.

    Returns:
        Exit status; its errors are raised.
    """
    _forget_runners()
    with pytest.MonkeyPatch.context() as patch, same_signal_handlers():
        patch.setattr(sys, 'argv', [script, *map(str, arguments)])
        patch.chdir(cwd)
        patch.setattr(gc, 'freeze', lambda: None)  # would keep garbage of other tests
        # tools/train.py sets these for its process; restore them for other tests.
        patch.setattr(logging, 'raiseExceptions', True)
        patch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '')
        patch.delenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD')
        try:
            runpy.run_path(str(ROOT / script), run_name='__main__')
        except SystemExit as stop:
            if stop.__cause__ is not None:  # the error that the script prints
                raise stop.__cause__ from None
            return stop.code
        finally:
            init_default_scope('mmpretrain')  # else another library's stays
    return None
