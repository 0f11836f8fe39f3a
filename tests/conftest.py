"""Fixtures shared by all tests."""

import pytest


@pytest.fixture
def bench(tmp_path):
    """An engine on a real database and a real folder, with a clock that stands still."""
    from helpers import Bench

    bench = Bench(tmp_path)
    yield bench
    bench.store.close()
