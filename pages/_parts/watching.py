"""Work in the background on screen: how far it is, for how long, and a way to stop it."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Any

import streamlit as st

from core.case import Job
from core.wording import left_words

WATCHES = count()


def draw(
    job: Job[Any],
    wanted: Callable[[], bool],
    stop: Callable[[Job[Any]], None],
    *,
    key: str,
    label: str,
    told: str = "{words}",
    even: bool = False,
) -> None:
    """The progress of a job and a button that stops it; the page is drawn anew when it is over, or no longer wanted.

    key, label: of the button; stop: is given the job whose button was pressed. told: a template of what is said, of the
    job's own words and its share. even: the share grows evenly, so it tells how long the rest will take; before it can,
    and for every other job, it is said for how long the job runs.

    Every run of the page has a watch of its own name: what a timer of the run before still asks is then no question to
    Streamlit, which would start a run for it and drop what this one has not sent yet. Streamlit leaves a click from a
    watch of the run before unanswered in the same way, so the button stands beside the watch and not in it; and its key
    is the job's, so that a click on the button of one job is never taken for a click on another's.
    """

    def watched() -> None:
        if not job.running or not wanted():
            st.rerun()
        share, words = job.progress
        left = job.seconds_left if even else None
        how_long = f"{time.monotonic() - job.started:.0f} s" if left is None else left_words(left)
        st.progress(share, f"{told.format(words=words, share=share)}, {how_long}")

    watched.__qualname__ = f"watched_{next(WATCHES)}"
    line, button = st.columns([4, 1], vertical_alignment="center", gap="small")
    button.button(label, key=f"{key}_{job.number}", on_click=stop, args=(job,))
    with line:
        st.fragment(watched, run_every=0.5)()
