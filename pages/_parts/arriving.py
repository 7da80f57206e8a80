"""Files that are being read, shown where another case is on screen: what, how far, whose case this still is."""

from __future__ import annotations

import time
from html import escape
from itertools import count

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import session
from core.case import Case, Intake, State

RUNS = count()
SAID = "load_said"
"""Where it is kept what Load is to say, once, of files that were dropped."""
MOST_BARS = 2
"""The CT and the record are read side by side."""
CANCELLED = "Cancelled. Nothing was kept."
WORDS: dict[State, str] = {
    "reading": "Your files are being read.",
    "read": "Your files are read and wait to be opened.",
    "asks": "Your files wait for a choice of yours.",
    "refused": "Your files cannot be read; Load says why.",
}


def draw(case: Case | None) -> None:
    """A line above the case for as long as files wait that no case was opened from; nothing where there are none.

    While they are read its words are drawn twice a second, and the whole page once they are. They have a name of their
    own in every run of the page, and the button stands beside them, as `watching.draw` says.
    """
    read = session.arriving()
    if read is None:
        return
    shown, reading = case.name if case else "", _is_reading(read)

    def watched() -> None:
        if session.arriving() is not read or _is_reading(read) != reading:
            st.rerun()
        _say(read, shown)

    watched.__qualname__ = f"arriving_{next(RUNS)}"
    with st.container(key="arriving", horizontal=True, vertical_alignment="center", gap="small"):
        st.fragment(watched, run_every=0.5 if reading else None)()
        st.page_link("pages/load.py", label="Go to Load", icon=":material/arrow_forward:")
        st.button(
            "Cancel",
            key="cancel_arriving",
            on_click=stop,
            args=(CANCELLED,),
            help="Drop these files; the case below stays.",
        )


def _is_reading(read: Intake) -> bool:
    """Is there something to wait for before it can be opened? The search for identifiers is not."""
    return read.advance() and not read.complete


def _say(read: Intake, shown: str) -> None:
    words = st.container(gap="xxsmall")
    still = f" What is shown below is the case opened before: <b>{escape(shown)}</b>." if shown else ""
    words.html(f'<p role="status"><b>{WORDS[read.state]}</b>{still}</p>')
    if read.state == "reading":
        bars(read, words)
    else:
        for _ in range(MOST_BARS):  # at once: bars of the run before would stay until this one ends
            words.empty()


def stop(words: str) -> None:
    """Drop the files that are being read; Load says so in these words."""
    session.stop_intake()
    st.session_state[SAID] = words


def bars(read: Intake, place: DeltaGenerator) -> None:
    """A bar for each job under way: what it does, how far it is, for how long."""
    for job in read.running:
        share, words = job.progress
        place.progress(share, f"{words}, {time.monotonic() - job.started:.0f} s")
