"""What `make test` leaves out of the tests that cost most."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from long_tests import LONG_TESTS
from sampling import WHOLE, left_out

ROOT = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is left out: the same cases each time, as they are counted in the order of collection."""
    names = [(os.path.relpath(item.path, ROOT), getattr(item, "originalname", item.name)) for item in items]
    for item, leave in zip(items, left_out(names, LONG_TESTS), strict=True):
        if leave:
            item.add_marker(WHOLE)
