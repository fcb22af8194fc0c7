"""Errors that tools print as one line."""

import io
import json
import os
import signal
import socket
import sys
from multiprocessing import reduction
from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import Registry
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset

from saip_mm.data.images import ImageError, _naming
from saip_mm.errors import one_line_errors, script_parser
from saip_mm.files import read_text
from saip_mm.training.config import parse_option

THINGS = Registry('thing')
MISSING = Path(__file__).with_name('none.txt')
IMAGE = Path(__file__).parents[1] / 'docs/images/overview.png'


@THINGS.register_module()
class Thing:
    def __init__(self, size: int) -> None:
        self.size = size + 1


def raise_key_error() -> None:
    raise KeyError('quoted')


def accumulate_nothing() -> None:
    OptimWrapper(SGD([torch.zeros(1)]), accumulative_counts=0)


@pytest.mark.parametrize(
    'fails, line',
    [
        (lambda: MISSING.read_text(), 'none.txt'),
        (lambda: read_text(MISSING), 'none.txt'),
        (lambda: read_text(IMAGE), f'error: {IMAGE}: not UTF-8 text'),
        (lambda: THINGS.build(dict(type='Think')), 'Think is not in'),
        (lambda: THINGS.build(dict(type='Thing', sise=1)), "argument 'sise'"),
        (accumulate_nothing, 'accumulative_counts'),
        (lambda: DataLoader([0], num_workers=-1), 'num_workers'),
        (lambda: SGD([torch.zeros(1)], lr=-1), 'learning rate'),
    ],
)
def test_errors_that_users_can_correct_are_one_line(fails, line, capsys):
    with pytest.raises(SystemExit) as stop, one_line_errors(status=2):
        fails()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and line in error
    assert error.count('\n') == 1 and not error.startswith(('error: "', "error: '"))


class Unusable(Dataset):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getitem__(self, index: int) -> None:
        with _naming('a.jpg'):
            raise self.error

    def __len__(self) -> int:
        return 1


def test_errors_in_workers_are_one_line(capsys):
    loader = DataLoader(Unusable(ImageError('no pixels')), num_workers=1)
    with pytest.raises(SystemExit), one_line_errors():
        next(iter(loader))
    assert capsys.readouterr().err == 'error: a.jpg: no pixels\n'
    loader.dataset.error = ValueError('sizes differ')
    with pytest.raises(SystemExit), one_line_errors():
        next(iter(loader))
    error = capsys.readouterr().err
    assert error.startswith('error: a.jpg: cannot be read (ValueError: sizes differ); ')
    loader.dataset.error = MemoryError('none left')
    with pytest.raises(MemoryError), one_line_errors():
        next(iter(loader))


class Killed(Dataset):
    """Its worker process is killed while it loads, as by a lack of memory."""

    def __getitem__(self, index: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def __len__(self) -> int:
        return 1


def receive_from_a_dead_process() -> None:
    """Receive a tensor from a worker that dies while it sends it."""
    ours, theirs = socket.socketpair()
    ours.send(b'unread')
    theirs.close()
    reduction.recvfds(ours, 1)


def load_in_a_killed_worker() -> None:
    next(iter(DataLoader(Killed(), num_workers=1)))


@pytest.mark.parametrize(
    'fails', [load_in_a_killed_worker, receive_from_a_dead_process]
)
def test_a_killed_worker_is_explained(fails, capsys):
    with pytest.raises(SystemExit), one_line_errors():
        fails()
    error = capsys.readouterr().err
    assert 'ran out of memory' in error and error.count('\n') == 1


def test_full_shared_memory_is_explained(capsys):
    text = 'unable to allocate shared memory(shm) for file </torch_1>: No space left'

    def collate(samples: list) -> None:
        raise RuntimeError(text)  # as PyTorch does there

    loader = DataLoader([0], num_workers=1, collate_fn=collate)
    with pytest.raises(SystemExit), one_line_errors():
        next(iter(loader))
    error = capsys.readouterr().err
    assert error.startswith(f'error: {text}; data-loader workers')
    assert '--shm-size' in error and error.count('\n') == 1
    with pytest.raises(SystemExit), one_line_errors():
        raise OSError(28, 'No space left on device')  # of a semaphore, for example
    assert '/dev/shm' in capsys.readouterr().err


@pytest.mark.parametrize('encoding', ['ascii', 'utf-8'])
def test_names_that_a_terminal_cannot_show(encoding, monkeypatch):
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(io.BytesIO(), encoding))
    script_parser('')
    print('caf\udce9.png', flush=True)
    assert sys.stdout.buffer.getvalue() == b'caf\\udce9.png\n'
    monkeypatch.setattr(sys, 'stdout', None)  # closed
    script_parser('')


@pytest.mark.parametrize(
    'fails, kind',
    [
        (lambda: json.loads('{'), ValueError),  # of a library
        (lambda: THINGS.build(dict(type='Thing', size='')), TypeError),
        (lambda: parse_option(None), AttributeError),  # a bug of the project
        (lambda: {}['key'], KeyError),
        (raise_key_error, KeyError),
    ],
)
def test_unexpected_errors_keep_their_traceback(fails, kind):
    with pytest.raises(kind), one_line_errors():
        fails()


def test_ctrl_c(capsys):
    with pytest.raises(SystemExit) as stop, one_line_errors():
        raise KeyboardInterrupt
    assert stop.value.code == 130 and capsys.readouterr().err == 'interrupted\n'
