"""Residual identifiers: what and where, values masked; strip and go on, or stop."""

from __future__ import annotations

import streamlit as st

from core import session
from core.intake import Intake
from core.view.loading import findings_html
from core.view.words import error_html, scroll_html
from core.words import count_of
from pages._parts import arriving

STRIPPED = "What was found has been stripped from your own case; it may be exported now."
STOPPED = "Stopped. Nothing was kept of the files."


def draw(read: Intake) -> None:
    """The panel; until the reader decides, no export of the case is made."""
    st.html('<h2 class="section">Identifiers in the files</h2>')
    if error := read.error("findings"):
        st.html(error_html(error))
        return
    found = read.findings
    if found is None:
        places = (
            "headers, private and nested elements, names of files, codes, texts and dates, and the pictures for text"
        )
        st.caption(f"Being searched: {places}.")
        return
    if not found:
        st.caption("The search found nothing. It is a search, not a proof: look for text in the pictures yourself.")
        return
    words = count_of(len(found), "place")
    if read.decided:
        st.caption(f"{words} found; the case is opened without what was found, and may be exported.")
    st.html(scroll_html(findings_html(found), "Identifiers in the files", 260))
    if not read.decided:
        _decide(words)


def _strip() -> None:
    """Where the case was opened before, nothing is left to be shown here: say what became of it."""
    session.decide_intake()
    if session.intake() is None:
        st.session_state[arriving.SAID] = STRIPPED


def _decide(words: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html(f"<p>{words} may identify a person. Exports are blocked until you decide.</p>", width="content")
        st.button(
            "Strip and go on",
            key="strip",
            type="primary",
            on_click=_strip,
            help="The case keeps voxels, geometry, and every event with its number and its time (as days). Texts, "
            "codes, units and descriptions of the record in which the search found something are removed or replaced, "
            "text in the pictures is blanked, and notes say how many; the files are dropped.",
        )
        words = "Drop the files and everything read from them."
        st.button("Stop", key="stop_load", on_click=arriving.stop, args=(STOPPED,), help=words)
