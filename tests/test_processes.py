"""Cores that processes may use."""

import os

import pytest

from saip_mm import processes


@pytest.mark.parametrize(
    'limit, expected',
    [
        ('max 100000\n', 8),
        ('350000 100000\n', 3),
        ('50000 100000\n', 1),
        ('20000 10000\n', 2),
        ('1600000 100000\n', 8),
        ('', 8),
    ],
)
def test_containers_limit_cores(monkeypatch, tmp_path, limit, expected):
    """As Linux documents cpu.max: a quota and a period, in microseconds."""
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(8)))
    monkeypatch.setattr(processes, '_QUOTA', tmp_path / 'cpu.max')
    assert processes.usable_cores() == 8
    (tmp_path / 'cpu.max').write_text(limit)
    assert processes.usable_cores() == expected
