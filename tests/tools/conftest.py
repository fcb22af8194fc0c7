"""Fixtures for tests of the tools."""

from cropping import photos, run, tool  # noqa: F401
from packing import folder, shards  # noqa: F401
from spoiled import photographs  # noqa: F401
