"""Photograph the app on its demo case: docs/screenshot.png (1366 x 768, light).

python -m scripts.screenshot [--out docs/screenshot.png] [--dark] [--size 1366x768]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from browser_support import SHOWN, open_page, running_app, running_browser

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Open, wait for the saliency, shoot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screenshot.png")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--size", default="1366x768")
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    with running_app() as address, running_browser() as browser:
        page = open_page(browser, address, scheme="dark" if options.dark else "light", size=(width, height))
        page.wait_for_selector(SHOWN, timeout=300_000)
        page.wait_for_timeout(2000)
        page.locator(".viewer .axial").focus()
        page.keyboard.press("g")
        page.evaluate("document.activeElement.blur()")
        page.wait_for_timeout(2000)
        page.screenshot(path=options.out)


if __name__ == "__main__":
    main()
