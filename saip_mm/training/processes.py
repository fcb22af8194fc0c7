"""What several processes tell each other, and how programs end when told to."""

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context

import torch
import torch.distributed
from mmengine.dist import barrier, is_distributed


class Agreement:
    """Lets processes ask whether something is so on any of them.

    They talk through their CPUs, so that none waits for its GPU.
    """

    def __init__(self) -> None:
        self.group = (
            torch.distributed.new_group(backend='gloo') if is_distributed() else None
        )

    def any(self, value: bool) -> bool:
        """Whether ``value`` is true on any process; all of them have to ask."""
        if self.group is None:
            return value
        flag = torch.tensor(int(value))
        torch.distributed.all_reduce(
            flag, torch.distributed.ReduceOp.MAX, group=self.group
        )
        return bool(flag)


@contextmanager
def ending_together() -> Iterator[None]:
    """Lets processes that have done their work wait for each other, and ends them.

    One that leaves while others still talk, or save, would make them fail. An error
    ends a process at once. A single process simply goes on.
    """
    try:
        yield
    except SystemExit as stop:  # told to stop, as all of them are
        _end(stop.code)
        raise
    _end(0)


def _end(status: int) -> None:
    if not is_distributed():
        return
    barrier()
    torch.distributed.destroy_process_group()
    # Python's own end comes next, without its finalization: that stops any thread which
    # then wants the interpreter, and one of gloo that has yet to free a tensor aborts
    # the process ("terminate called without an active exception").
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@contextmanager
def forked_pool(
    processes: int, start: Callable | None = None, *arguments: object
) -> Iterator[ProcessPoolExecutor]:
    """Processes that hold what this one holds, and end when it does.

    Args:
        processes: How many.
        start: What each calls first.
        arguments: Of ``start``.

    Raises:
        ChildProcessError: If one was killed.
    """
    pool = ProcessPoolExecutor(
        processes, get_context('fork'), _start, (os.getpid(), start, arguments)
    )
    others = multiprocessing.active_children()
    excepthook = threading.excepthook
    try:
        with pool:
            try:
                yield pool
            except KeyboardInterrupt:  # else it would wait for all that was begun
                # A thread of the pool may fail over futures that were cancelled.
                threading.excepthook = lambda failure: None
                for process in multiprocessing.active_children():
                    if process not in others:
                        process.kill()
                raise
    except BrokenProcessPool as error:
        raise ChildProcessError(
            f'one of {processes} processes was killed, for want of memory perhaps: '
            'lower --processes'
        ) from error
    finally:
        threading.excepthook = excepthook


def _start(parent: int, start: Callable | None, arguments: tuple) -> None:
    """Let a process of a pool end with the one that it was forked from."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    # These reach all processes of a group; the one that forked this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()
    if start is not None:
        start(*arguments)


@contextmanager
def stoppable(remark: str) -> Iterator[None]:
    """Lets a program end with a sentence on Ctrl-C or SIGTERM, not with a traceback.

    The exit status is 128 and the number of the signal, as that of a shell: 130, 143.
    Within, either raises KeyboardInterrupt.

    Args:
        remark: What was kept, and how to continue.
    """

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt as error:
        number = signal.SIGTERM if error.args else signal.SIGINT
        print(f'stopped by {number.name}: {remark}', file=sys.stderr)
        sys.exit(128 + number)
    finally:
        signal.signal(signal.SIGTERM, before)
