"""May the browser tests run here? Asked before anything of Playwright is imported."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from scripts.ensure_chromium import find_chromium


def why_skipped() -> str:
    """Why browser tests are left out on this machine; empty where they run. In CI they always run, and fail."""
    if os.environ.get("CI"):
        return ""
    if importlib.util.find_spec("playwright") is None:
        return "BROWSER TESTS LEFT OUT: Playwright is not installed. pip install -r requirements-dev.txt"
    if find_chromium() is None and not _own_chromium():
        return "BROWSER TESTS LEFT OUT: no Chromium on this machine. Install the package 'chromium'."
    return ""


def _own_chromium() -> bool:
    """Has Playwright a Chromium of its own?"""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()
