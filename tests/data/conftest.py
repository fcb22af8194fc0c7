"""Fixtures for tests of the data."""

from packing import folder, shards  # noqa: F401
from spoiled import photographs  # noqa: F401
