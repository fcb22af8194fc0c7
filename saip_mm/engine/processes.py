"""What several processes tell each other."""

import atexit
import os
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
    try:
        with pool:
            yield pool
    except BrokenProcessPool as error:
        raise ChildProcessError(
            f'one of {processes} processes was killed, for want of memory perhaps: '
            'lower --processes'
        ) from error


def _start(parent: int, start: Callable | None, arguments: tuple) -> None:
    """Let a process of a pool end with the one that it was forked from."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if start is not None:
        start(*arguments)
