"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def test_data() -> Path:
    """The folder of real images (`real/`) and reference numbers (`reference/`)."""
    folder = os.environ.get('SAIP_TEST_DATA')
    if folder is None:
        pytest.skip('SAIP_TEST_DATA names no folder with real/ and reference/')
    return Path(folder)
