"""Data sets of drawn people, written to disk once."""

import pytest
from mmengine.registry import DefaultScope
from written_formats import write


@pytest.fixture(scope='session')
def root(tmp_path_factory):
    """Folder of a format, written once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = write(name, tmp_path_factory.mktemp(name) / 'data')
        return made[name]

    return get


@pytest.fixture
def scope():
    """The default scope while a library's own classes work."""
    return DefaultScope.overwrite_default_scope
