"""Scrolling: milliseconds to draw all three planes a slice step, and messages to the server meanwhile.

    python -m bench.scroll [--steps 200]

Prints one JSON line. The limit is one display frame, 16.7 ms, with no message until the scrolling ends.
"""

from __future__ import annotations

import argparse
import json
import statistics

from browser_support import SHOWN, open_page, running_app, running_browser

COUNT_MESSAGES = """() => { window.sent = 0; const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) { window.sent += 1; return send.call(this, data); }; }"""
SCROLL = """async (steps) => {
  const roots = [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')].map((e) => e.shadowRoot);
  const viewer = roots.map((r) => r && r.querySelector('.viewer')).find(Boolean);
  viewer.focus();
  const draws = [], started = performance.now();
  for (let n = 0; n < steps; n += 1) {
    const key = Math.floor(n / 50) % 2 ? "ArrowUp" : "ArrowDown";
    viewer.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true }));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    draws.push(Number(viewer.dataset.drawMs));
  }
  return { draws, frames_ms: (performance.now() - started) / steps, sent: window.sent };
}"""


def main() -> None:
    """Open the demo case, scroll, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    with running_app() as address, running_browser() as browser:
        page = open_page(browser, address)
        page.wait_for_selector(SHOWN, timeout=180_000)
        page.wait_for_timeout(2000)
        page.evaluate(COUNT_MESSAGES)
        seen = page.evaluate(SCROLL, steps)
    draws = sorted(seen["draws"])
    result = {
        "bench": "scroll",
        "steps": steps,
        "draw_ms_median": round(statistics.median(draws), 2),
        "draw_ms_p95": round(draws[int(0.95 * (len(draws) - 1))], 2),
        "frame_ms_mean": round(seen["frames_ms"], 2),
        "messages_to_server": seen["sent"],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
