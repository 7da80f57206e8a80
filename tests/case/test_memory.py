"""Twenty patients loaded and cleared one after the other: the server's memory comes back."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from ct_factory import Grid, put_pixels, slice_dataset, to_bytes
from load_page_support import load_page, settled
from streamlit.testing.v1 import AppTest

from core import session
from core.case import Intake
from core.case import search as search_module

pytestmark = pytest.mark.slow
CYCLES, SLICES, EDGE = 20, 300, 512
MIB = 1 << 20


def resident_mib() -> float:
    """Resident memory of this process, which is the server's: AppTest runs the page's own code and jobs in it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def write_series(folder: Path) -> Path:
    """A chest-like cylinder with noise, one file a slice, named and numbered like a patient's."""
    grid, random = Grid((EDGE, EDGE, SLICES), (0.7, 0.7, 1.0)), np.random.default_rng(0)
    x = np.linspace(-1, 1, EDGE)
    body = np.where(x[:, None] ** 2 + x[None] ** 2 < 0.8, 40.0, -1000.0)
    folder.mkdir()
    for index in range(SLICES):
        dataset = slice_dataset(grid, index)
        put_pixels(dataset, body + random.integers(-20, 21, body.shape))
        (folder / f"{index:03d}.dcm").write_bytes(to_bytes(dataset))
    return folder


def load_and_clear(app: AppTest, folder: Path) -> float:
    """One patient: files in memory as after an upload, read, searched, judged, stopped. Returns the fullest MiB."""
    files = [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]
    app.session_state[session.INTAKE] = Intake(files, None, "uploaded")
    del files
    settled(app, seconds=3600)
    read = app.session_state[session.INTAKE]
    assert read.study.shape == (EDGE, EDGE, SLICES)
    assert read.findings, "the planted name must be found"
    fullest = resident_mib()
    del read
    app.button(key="stop_load").click().run()
    assert session.INTAKE not in app.session_state
    return fullest


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's own count of resident pages")
def test_memory_returns_after_twenty_patients(tmp_path, monkeypatch):
    """The first patient warms up everything, the reader of text in pictures included, which is left out afterwards:
    it keeps its working memory once, and reading 300 pictures twenty times takes an hour."""
    folder, app, cleared, started = write_series(tmp_path / "ct"), load_page(), [], time.monotonic()
    for cycle in range(CYCLES + 1):
        fullest = load_and_clear(app, folder)
        cleared.append(resident_mib())
        seconds = time.monotonic() - started
        print(f"cycle {cycle}: full {fullest:.0f} MiB, cleared {cleared[-1]:.0f} MiB, {seconds:.0f} s", flush=True)
        monkeypatch.setattr(search_module, "find_burned_in_text", lambda study, step: ())
    growth = float(np.median(cleared[-3:]) / cleared[0] - 1)
    print(f"growth over {CYCLES} cycles: {100 * growth:+.1f}%", flush=True)
    assert fullest > cleared[0] + 100, "the study must have been in memory at all"
    assert growth < 0.1
