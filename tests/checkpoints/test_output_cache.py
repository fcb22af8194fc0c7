"""The cache of a teacher's outputs: damage, kills, several processes, a full disk."""

import multiprocessing
import os
import signal
import sqlite3
from contextlib import closing
from functools import partial

import pytest
import torch
from mmengine.logging import MessageHub

from saip_mm.checkpoints.output_cache import OutputCache

SEEDED = torch.Generator().manual_seed(1)
IMAGES = torch.randint(256, (6, 3, 8, 4), generator=SEEDED).float()
forked = multiprocessing.get_context('fork').Process
connect = sqlite3.connect


def compute(images):
    images = images.round()
    return dict(mean=images.mean((2, 3)).bfloat16(), squares=images[:, 0] ** 2)


class Lookups:
    """Asks a cache; checks what it returns, and counts what it computes."""

    def __init__(self, folder):
        self.cache = OutputCache(folder, 'model')

    def __call__(self, images=IMAGES, kind='all') -> int:
        computed = []

        def count(images):
            computed.extend(images)
            return compute(images)

        found = self.cache(images, count, kind)
        torch.testing.assert_close(found, compute(images), rtol=0, atol=0)
        return len(computed)


@pytest.fixture
def texts(logged) -> list[str]:
    return logged('checkpoints.output_cache')


@pytest.fixture
def filled(tmp_path, texts) -> Lookups:
    MessageHub.get_current_instance().update_info('epoch', 0)  # trainings set others
    assert Lookups(tmp_path)() == 6
    return Lookups(tmp_path)


def damage(lookups: Lookups) -> None:
    with connect(lookups.cache.path) as file:
        (value,) = file.execute('SELECT value FROM outputs WHERE rowid = 2').fetchone()
        value = value[:-1] + bytes([value[-1] ^ 1])
        file.execute('UPDATE outputs SET value = ? WHERE rowid = 2', [value])


def test_what_is_found(filled, texts):
    assert filled() == 0
    assert 'found 6 of the first 6 views of epoch 1' in texts[-1]
    assert filled(IMAGES.flip(0) + 1e-3) == 0  # up to rounding, and in any order
    assert filled(torch.cat([IMAGES, 255 - IMAGES[:2], 255 - IMAGES[:1]])) == 2
    assert filled(kind='other') == 6
    assert filled(IMAGES.transpose(2, 3)) == 6
    assert filled() == 0


def test_what_is_returned_is_what_is_stored(tmp_path):
    """Also if another process, whose rounding differs, stores it in the meantime."""
    caches = [OutputCache(tmp_path, 'model') for _ in range(2)]

    def later(images):
        caches[1](images[:4], lambda images: dict(value=images - 1), '')
        return dict(value=images)

    (found,) = caches[0](IMAGES, later, '').values()
    torch.testing.assert_close(found, torch.cat([IMAGES[:4] - 1, IMAGES[4:]]))


def test_a_damaged_entry_is_computed_again(filled, texts):
    damage(filled)
    assert [filled(), filled()] == [1, 0]
    assert sum('an entry is damaged' in text for text in texts) == 1


def test_a_damaged_file(filled, texts):
    filled.cache.path.write_bytes(b'?' * 5000)
    assert [filled(), filled()] == [6, 6]
    assert sum('not used any more; delete it' in text for text in texts) == 1
    with pytest.raises(OSError, match='sqlite cannot be used as a cache .*delete it'):
        Lookups(filled.cache.path.parent)
    with pytest.raises(OSError, match='cannot be used as a cache .*another folder'):
        Lookups(filled.cache.path)


def test_a_busy_file_is_used_again(filled, texts, monkeypatch):
    path = filled.cache.path
    monkeypatch.setattr(
        sqlite3, 'connect', lambda path, timeout: connect(path, timeout=0.01)
    )
    with closing(connect(path)) as other:
        other.execute('BEGIN EXCLUSIVE')
        assert [filled(), Lookups(path.parent)()] == [6, 6]
    assert filled() == 0 and not any('delete it' in text for text in texts)


def test_a_full_disk_does_not_stop_a_training(filled, texts, monkeypatch):
    def limited(*arguments, **options):
        file = connect(*arguments, **options)
        file.execute('PRAGMA max_page_count = 1')
        return file

    monkeypatch.setattr(sqlite3, 'connect', limited)
    many = torch.randint(256, (40, 3, 8, 4)).float()
    assert [filled(many), filled(many), filled()] == [40, 40, 0]
    assert sum('is full: nothing more is stored' in text for text in texts) == 1


class Killed(sqlite3.Connection):
    """Ends the process instead of a transaction."""

    def __exit__(self, *error):
        if self.in_transaction:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_stores_all_or_nothing(filled, monkeypatch):
    others = torch.randint(256, (4000, 3, 8, 4)).float()  # more than SQLite's memory
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, 'connect', partial(connect, factory=Killed))
        process = forked(target=filled, args=[others])
        process.start()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [filled(), filled(others), filled(others)] == [0, 4000, 0]


def test_several_processes(tmp_path):
    def run():
        lookups = Lookups(tmp_path)
        for images in IMAGES[torch.randint(6, (50, 4))]:
            lookups(images)

    processes = [forked(target=run) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert Lookups(tmp_path)() == 0
