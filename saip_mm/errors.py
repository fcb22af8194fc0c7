"""What scripts have in common: help, and exit codes and messages on errors."""

import dis
import errno
import gc
import os
import re
import signal
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from .processes import limit_threads

# Modules of PyTorch whose errors concern arguments that a config sets.
_OF_TORCH = ('torch.optim.', 'torch.utils.data.dataloader', 'torch.utils.data.sampler')
_NO_SHARED_MEMORY = 'unable to allocate shared memory'  # PyTorch's message


def script_parser(doc: str) -> ArgumentParser:
    """A parser whose help is the docstring of a script, as written.

    Also lets the script print what its terminal cannot show, such as file names that
    are not UTF-8.
    """
    with suppress(AttributeError):  # stdout is closed, or a notebook's
        sys.stdout.reconfigure(errors='backslashreplace')
    return ArgumentParser(description=doc, formatter_class=RawDescriptionHelpFormatter)


@contextmanager
def one_line_errors(status: int = 1) -> Iterator[None]:
    """Run a tool: print ``error: …`` and exit, for errors that users can correct.

    These are errors raised explicitly by this project, MMEngine, hooks of MMDetection,
    or PyTorch's loaders and optimizers, configs that do not match a class, files that
    cannot be opened, and a full disk. All others keep their traceback. Ctrl-C exits
    with status 130. Nothing in a file of weights is executed. What has been imported is
    exempt from garbage collection, also in forked processes. PyTorch's threads are
    limited.
    """
    gc.freeze()
    limit_threads()
    os.environ.pop('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', None)
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    try:
        yield
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if not _is_for_the_user(error):
            raise
        # str() of a KeyError adds quotes.
        is_key = isinstance(error, KeyError) and error.args
        message = str(error.args[0] if is_key else error)
        if traceback := _of_worker(error):
            name = rf'^(?:[\w.]+\.)?{type(error).__name__}: '
            message = re.split(name, traceback, maxsplit=1, flags=re.MULTILINE)[-1]
            message = message.rstrip()
        print(f'error: {message}{_how_to_make_room(error)}', file=sys.stderr)
        raise SystemExit(status) from error


@contextmanager
def exit_on_signals(remark: str) -> Iterator[None]:
    """Exit with a message instead of a traceback on Ctrl-C or SIGTERM.

    The exit status is 128 plus the signal number, as in a shell: 130 or 143. Inside,
    both signals raise KeyboardInterrupt. ``remark`` says how to continue.
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
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _of_worker(error: Exception) -> str:
    """The last traceback in an error of a data loader's worker process, which PyTorch
    raises again with all of them as its message."""
    if 'DataLoader worker process' not in str(error):
        return ''
    return str(error).rpartition('Traceback (most recent call last)')[2]


def _how_to_make_room(error: Exception) -> str:
    """A remedy if something is full that the error does not name."""
    if _NO_SHARED_MEMORY in str(error):
        return (
            '; data-loader workers pass batches through /dev/shm: remove old files '
            'there, use docker run --shm-size=32g, or set num_workers=0'
        )
    if _lost_worker(error):
        return (
            '; a worker of a data loader has died, usually because the system ran out '
            'of memory (dmesg tells): lower num_workers, and rerun with --resume'
        )
    full = (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, OSError) and error.errno in full and not error.filename:
        return '; df -h shows what is full: a disk, or /dev/shm (shared memory)'
    return ''


def _lost_worker(error: Exception) -> bool:
    """Whether a data loader's worker process was killed, perhaps while sending."""
    if isinstance(error, ConnectionResetError):
        return _module_of(error) == 'multiprocessing.reduction'
    return isinstance(error, RuntimeError) and 'DataLoader worker (pid' in str(error)


def _innermost(error: Exception) -> TracebackType:
    """The traceback of the call that raised an error."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    return trace


def _module_of(error: Exception) -> str:
    """The module that raised an error."""
    return _innermost(error).tb_frame.f_globals.get('__name__', '')


def _is_for_the_user(error: Exception) -> bool:
    if _NO_SHARED_MEMORY in str(error) or _lost_worker(error):
        return True
    if isinstance(error, OSError) and (
        error.filename is not None or error.errno in (errno.ENOSPC, errno.EDQUOT)
    ):
        return True
    if traceback := _of_worker(error):
        file, code = re.findall(r'File "(.+)", line .+\n +(.+)', traceback)[-1]
        return Path(file).is_relative_to(Path(__file__).parent) and code[:5] == 'raise'
    trace, module = _innermost(error), _module_of(error)
    # Registries call what configs name: wrong arguments fail there.
    if module.startswith('mmengine.registry'):
        return True
    if trace.tb_frame.f_code.co_code[trace.tb_lasti] != dis.opmap['RAISE_VARARGS']:
        return False
    checks_arguments = module.startswith(('mmengine.', 'mmdet.engine.', *_OF_TORCH))
    if isinstance(error, AssertionError):
        return checks_arguments and bool(error.args)
    return checks_arguments or module.partition('.')[0] in ('__main__', 'saip_mm')
