"""Worker processes, and the cores that processes and threads may use."""

import argparse
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path

# Libraries of macOS may crash in a forked process, and Windows cannot fork.
START_METHOD = 'spawn' if sys.platform in ('darwin', 'win32') else 'fork'
# Limit of a container's processor time: microseconds per period, or ``max``.
_QUOTA = Path('/sys/fs/cgroup/cpu.max')


def usable_cores() -> int:
    """Number of cores that this process may use.

    Those of a Slurm job, for example, or the limit of a container (version 2 of Linux's
    control groups), rounded down.
    """
    cores = os.cpu_count() or 1
    if hasattr(os, 'sched_getaffinity'):  # not on macOS and Windows
        cores = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text().split()
        cores = max(1, min(cores, int(quota) // int(period)))
    return cores


def limit_threads() -> None:
    """Let PyTorch use no more threads than :func:`usable_cores`, which it exceeds in
    containers, unless ``OMP_NUM_THREADS`` is set."""
    import torch  # the doctor runs without it

    if 'OMP_NUM_THREADS' not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))


def add_processes_option(
    parser: argparse.ArgumentParser, about: str = 'default: one per core'
) -> None:
    """Add ``--processes`` to a command line."""
    parser.add_argument('--processes', type=count, default=usable_cores(), help=about)


def count(text: str) -> int:  # argparse prints the name
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f'{text} should be at least 1')
    return number


@contextmanager
def worker_pool(
    processes: int, share: Callable | None = None, *shared: object
) -> Iterator[ProcessPoolExecutor]:
    """Start processes, which exit on errors, on Ctrl-C and with this process.

    ``share`` is called first in each process, with ``shared``. Forked processes, unlike
    spawned ones, get these objects without a copy.

    Raises:
        ChildProcessError: A process was killed, or could not be started.
    """
    arguments = os.getpid(), share, *shared
    pool = ProcessPoolExecutor(processes, get_context(START_METHOD), _start, arguments)
    others = multiprocessing.active_children()
    excepthook = threading.excepthook
    try:
        with pool:
            try:
                yield pool
            except BaseException:  # the pool would wait for all pending work
                # A thread of the pool may fail on canceled futures.
                threading.excepthook = lambda failure: None
                for process in multiprocessing.active_children():
                    if process not in others:
                        process.kill()
                raise
    except (BlockingIOError, BrokenProcessPool) as error:
        what = 'was killed, perhaps for lack of memory'
        if isinstance(error, BlockingIOError):
            what = 'could not be started, which a limit of processes may forbid'
        raise ChildProcessError(
            f'one of {processes} processes {what}: lower --processes'
        ) from error
    except (OSError, ValueError) as error:
        # Without this, the error would seem to come from the pool.
        raise error.with_traceback(None) from error.__cause__
    finally:
        threading.excepthook = excepthook


def _start(parent: int, share: Callable | None, *shared: object) -> None:
    def exit_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    # Terminals and schedulers signal whole process groups; the parent kills this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=exit_with_parent, daemon=True).start()
    if share:
        share(*shared)
