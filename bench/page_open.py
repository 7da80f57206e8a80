"""Page open, server warm: seconds to the first CT picture, the curve, and the saliency of the demo case.

    python -m bench.page_open [--repeats 5]

Prints one JSON line: medians and the slowest of fresh browser sessions after one warm-up.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from browser_support import open_page, running_app, running_browser
from playwright.sync_api import Browser

MARKS = {
    "first_picture_s": ".viewer[data-ready]",
    "curve_s": ".risk-cell.chosen",
    "saliency_s": ".viewer[data-ready][data-overlay]",
}


def open_once(browser: Browser, address: str) -> dict[str, float]:
    """Seconds from navigation to each mark, in a fresh session."""
    started = time.perf_counter()
    page = open_page(browser, address)
    seen = {}
    for name, selector in MARKS.items():
        page.wait_for_selector(selector, timeout=180_000)
        seen[name] = time.perf_counter() - started
    page.context.close()
    return seen


def main() -> None:
    """Warm up, repeat, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with running_app() as address, running_browser() as browser:
        open_once(browser, address)
        runs = [open_once(browser, address) for _ in range(repeats)]
    found = {}
    for name in MARKS:
        found[name] = round(statistics.median(run[name] for run in runs), 2)
        found[name.replace("_s", "_slowest_s")] = round(max(run[name] for run in runs), 2)
    print(json.dumps({"bench": "page_open", "repeats": repeats, **found}))


if __name__ == "__main__":
    main()
