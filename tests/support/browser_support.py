"""A running app and a real Chromium for the browser tests and the benches."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, WebSocketRoute, expect, sync_playwright

from scripts.ensure_chromium import find_chromium

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SHOWN = ".viewer[data-ready][data-overlay]"
SLOW_MS = 90_000
FIND = """
  const roots = [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')].map((e) => e.shadowRoot);
  const v = roots.map((r) => r && r.querySelector('.viewer')).find(Boolean);
"""


@contextmanager
def running_app(**settings: str) -> Iterator[str]:
    """The app on a free port; yields its address. APP_URL names one that is already up; settings: its environment."""
    if (address := os.environ.get("APP_URL")) and not settings:
        yield address
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CT_SURVIVAL_ROOTS": "/", **settings}
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_healthy(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_until_healthy(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2).read()
            return
        except OSError:
            assert server.poll() is None, "the app stopped at once"
            time.sleep(0.5)
    raise TimeoutError("the app did not become healthy in two minutes")


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Headless Chromium: the system's, or Playwright's own where there is none."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def open_page(
    browser: Browser,
    address: str,
    *,
    scheme: str = "light",
    size: tuple[int, int] = (1366, 768),
    touch: bool = False,
    before: Callable[[Page], None] | None = None,
) -> Page:
    """A fresh session on the app; `page.complaints` collects console errors and uncaught exceptions.

    before: called with the page before it goes anywhere, so that all its traffic can be listened to.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        accept_downloads=True,  # type: ignore[arg-type]
        has_touch=touch,
    )
    page = context.new_page()
    if before:
        before(page)
    complaints: list[str] = []
    page.complaints = complaints  # type: ignore[attr-defined]

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address, timeout=120_000)
    page.set_default_timeout(60_000)
    expect.set_options(timeout=30_000)
    return page


class Held:
    """Stands between page and server; while `holding`, what the server draws waits, and the page shows what was."""

    def __init__(self) -> None:
        self.holding = False
        self._waiting: list[str | bytes] = []

    def listen(self, page: Page) -> None:
        """To be called before the page goes anywhere."""
        page.route_web_socket(re.compile("_stcore/stream"), self._join)

    def let_go(self) -> None:
        """The page gets all that was held, and what comes from now on."""
        self.holding = False
        for message in self._waiting:
            self._page_side.send(message)
        self._waiting.clear()

    def _join(self, route: WebSocketRoute) -> None:
        server, self._page_side = route.connect_to_server(), route
        route.on_message(server.send)
        server.on_message(lambda message: self._waiting.append(message) if self.holding else route.send(message))


def viewer(page: Page, field: str) -> str:
    return str(page.evaluate(f"(() => {{ {FIND} return v.dataset.{field}; }})()"))


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_timeout(120)
