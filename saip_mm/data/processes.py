"""Processes that share what one of them has read."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context


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
    except (OSError, ValueError) as error:
        # Else it looks like an error of the pool.
        raise error.with_traceback(None) from error.__cause__
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
