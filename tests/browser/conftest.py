"""One browser and one app for all browser tests of a worker; a session of the app for each file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # without Playwright the files here say that they are left out, and nothing of it is imported
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium."""
    from browser_support import running_browser

    with running_browser() as found:
        yield found


@pytest.fixture(scope="session")
def shared_app() -> Iterator[str]:
    """Address of the app as it is by default."""
    from browser_support import running_app

    with running_app() as found:
        yield found


@pytest.fixture(scope="module")
def address(shared_app: str) -> str:
    """Address of the app that a file's tests visit; a file may have its own."""
    return shared_app


@pytest.fixture(scope="module")
def session_page(browser: Browser, address: str) -> Iterator[Page]:
    """One session for all tests of a file, as a reader would use it: their order is the order of use."""
    from browser_support import SHOWN, SLOW_MS, open_page

    opened = open_page(browser, address)
    opened.wait_for_selector(SHOWN, timeout=SLOW_MS)
    yield opened
    opened.context.close()
