"""Fixtures for tests of the tools."""

from cropping import photos, run, tool  # noqa: F401
