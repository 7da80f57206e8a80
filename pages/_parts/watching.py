"""Work in the background on screen: how far it is, for how long, and a way to stop it."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Any

import streamlit as st

from core.intake import Job

WATCHES = count()


def draw(
    job: Job[Any], wanted: Callable[[], bool], stop: Callable[[], None], *, key: str, label: str, told: str = "{words}"
) -> None:
    """The progress of a job; the page is drawn anew when it is over, or no longer wanted.

    key, label: of the button that stops it. told: a template of what is said, of the job's own words and its share.

    Every run of the page has a watch of its own name: what a timer of the run before still asks is then no question to
    Streamlit, which would start a run for it and drop what this one has not sent yet.
    """

    def watched() -> None:
        if not job.running or not wanted():
            st.rerun()
        share, words = job.progress
        line, button = st.columns([4, 1], vertical_alignment="center", gap="small")
        line.progress(share, f"{told.format(words=words, share=share)}, {time.monotonic() - job.started:.0f} s")
        button.button(label, key=key, on_click=stop)

    watched.__qualname__ = f"watched_{next(WATCHES)}"
    st.fragment(watched, run_every=0.5)()
