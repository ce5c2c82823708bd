"""Workloads in these tests are tiny, and so is the cache that their inputs overflow."""

import pytest

from benchmarks import limits, runner


@pytest.fixture(autouse=True)
def small_cache(monkeypatch):
    for module in (limits, runner):
        monkeypatch.setattr(module, "cache_bytes", lambda device: 2**16)
