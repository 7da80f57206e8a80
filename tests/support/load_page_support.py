"""The Load page run by AppTest: pointed at files, waited for, answered."""

from __future__ import annotations

import time
from pathlib import Path

from pages_support import ROOT, fine
from streamlit.testing.v1 import AppTest

SECONDS = 120


def load_page() -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    return fine(app.switch_page("pages/load.py").run())


def read(app: AppTest, ct: Path | None = None, record: Path | None = None) -> AppTest:
    """Point at paths on the server, press Read, wait for the end."""
    for name, path in (("ct", ct), ("record", record)):
        if path is not None:
            app.segmented_control(key=f"{name}_how").set_value("Path on the server").run()
            app.text_input(key=f"{name}_path").set_value(str(path)).run()
    app.button(key="read").click()
    return settled(app)


def settled(app: AppTest, seconds: float = SECONDS) -> AppTest:
    """Runs the page until no job is left; ever more seldom, as each run takes the job's processor."""
    end, pause = time.monotonic() + seconds, 0.05
    fine(app.run())
    while any(button.key == "cancel_load" for button in app.button):
        assert time.monotonic() < end, "a job does not end"
        time.sleep(pause)
        pause = min(1.5 * pause, 0.5)
        fine(app.run())
    return app


def keys(app: AppTest) -> set[str]:
    return {str(button.key) for button in app.button if button.key and not button.disabled}


def answer(app: AppTest, **columns: str | None) -> None:
    """Says which column is what, and waits for what follows."""
    for role, column in columns.items():
        app.selectbox(key=f"column_{role}").set_value(column).run()
    app.button(key="map_columns").click()
    settled(app)
