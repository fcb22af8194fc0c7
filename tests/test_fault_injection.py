"""The short version of tests/fault_injection.py."""

import re

from launch import run


def test_kills_leave_no_difference():
    done = run('tests/fault_injection.py', '--kills', 8, '--seed', 1, '--epochs', 4)
    assert '0 differences from the undisturbed training' in done.stdout
    moments = re.findall(r'(\d+) kills ([a-z_ ]+) \(', done.stdout)
    assert sum(int(count) for count, _ in moments) == 8
    assert any('writing' in moment for _, moment in moments)
