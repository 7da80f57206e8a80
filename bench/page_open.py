"""Page open and switches, server warm: seconds to picture, curve and saliency of the demo case, and to another answer.

    python -m bench.page_open [--repeats 5]

Prints one JSON line: medians and the slowest of fresh browser sessions after one warm-up, and the ratio of each to its
limit on two quiet cores. In each session, once the map is there: another horizon, the model that reads the CT only, a
fusion again (encodings cached), each until its curve stands; and from there until the events' contributions do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from browser_support import open_page, running_app, running_browser
from playwright.sync_api import Browser, Page

MARKS = {
    "first_picture_s": ".viewer[data-ready]",
    "curve_s": ".risk-cell.chosen",
    "saliency_s": ".viewer[data-ready][data-overlay]",
}


LIMITS_S = {"saliency_s": 3.2, "horizon_s": 0.5, "model_s": 1.0, "contributions_s": 3.0}
CT_ONLY, FUSED = ".risks[style*='E69F00']", ".risks[style*='0072B2']"
STRONG = "[class*='st-key-strong_attribution'] button"


def switch(page: Page, model: str, done: str) -> float:
    """Seconds from the choice of a model to its curve."""
    page.get_by_role("combobox", name="Model").click()
    option = page.get_by_role("option", name=model, exact=True)
    option.wait_for()
    started = time.perf_counter()
    option.click()
    page.wait_for_selector(done, timeout=180_000)
    return time.perf_counter() - started


def switches(page: Page) -> dict[str, float]:
    """Seconds of the switches, with the map of the page there."""
    started = time.perf_counter()
    page.get_by_text("1 year", exact=True).first.click()
    page.wait_for_selector(".risk-cell.chosen:has-text('1 year')", timeout=180_000)
    seen = {"horizon_s": time.perf_counter() - started}
    page.wait_for_timeout(4000)  # the map and the contributions of that answer
    first = switch(page, "CT only", CT_ONLY)
    page.wait_for_timeout(4000)
    seen["model_s"] = max(first, switch(page, "Concatenation", FUSED))
    started = time.perf_counter()
    page.wait_for_selector(STRONG, timeout=180_000)
    return {**seen, "contributions_s": time.perf_counter() - started}


def open_once(browser: Browser, address: str) -> dict[str, float]:
    """Seconds from navigation to each mark, in a fresh session."""
    started = time.perf_counter()
    page = open_page(browser, address)
    seen = {}
    for name, selector in MARKS.items():
        page.wait_for_selector(selector, timeout=180_000)
        seen[name] = time.perf_counter() - started
    seen |= switches(page)
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
    for name in runs[0]:
        found[name] = round(statistics.median(run[name] for run in runs), 2)
        found[name.replace("_s", "_slowest_s")] = round(max(run[name] for run in runs), 2)
    ratios = {name.replace("_s", "_ratio"): round(found[name] / limit, 2) for name, limit in LIMITS_S.items()}
    found |= ratios
    print(json.dumps({"bench": "page_open", "repeats": repeats, **found}))


if __name__ == "__main__":
    main()
