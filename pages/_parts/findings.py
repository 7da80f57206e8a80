"""Residual identifiers: what and where, values masked; strip and go on, or stop."""

from __future__ import annotations

import streamlit as st

from core import session
from core.case import Intake
from core.intake.identifiers.where.events import UNKNOWN_WORDS
from core.privacy import Finding
from core.view.loading import findings_html
from core.view.words import error_html, scroll_html
from core.wording import count_of
from pages._parts import arriving

STRIPPED = "What was found has been stripped from your own case; it may be exported now."
KEPT = "Your own case is open, its texts kept as you decided; it may be exported now."
IN_FILES_ALONE = "What was found stands in the files alone, and they are not kept with the case."
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
    unknown = [item for item in found if _is_unknown(item)]
    keeps_all = read.keeps_unknown and len(unknown) == len(found)
    if read.decided:
        _say_what_was_done(read, f"{words} found; {'kept' if keeps_all else 'stripped'} as you decided.")
    if others := [item for item in found if not _is_unknown(item)]:
        st.html(scroll_html(findings_html(others), "Identifiers in the files", 260))
    if unknown:
        st.html(scroll_html(findings_html(unknown), "Texts with words that no vocabulary knows", 180))
    if not read.decided:
        _ask_about_unknown_words(read)
        _decide(words, nothing_to_strip=keeps_all)


def _say_what_was_done(read: Intake, decided: str) -> None:
    """What was decided, what comes next, and how much of the CT and the record it changed."""
    st.caption(f"{decided} Open the case to look at it; it may be exported then.")
    if read.changes is not None:
        st.caption(" ".join(read.changes) or IN_FILES_ALONE)


def _strip() -> None:
    """Where the case was opened before, nothing is left to be shown here: say what became of it."""
    read = session.intake()
    said = KEPT if read is not None and read.keeps_unknown else STRIPPED
    session.decide_intake()
    if session.intake() is None:
        st.session_state[arriving.SAID] = said


def _is_unknown(found: Finding) -> bool:
    return found.category == UNKNOWN_WORDS


def _ask_about_unknown_words(read: Intake) -> None:
    """Whether texts stay in which nothing speaks for a name but that no vocabulary knows all their words."""
    if any(_is_unknown(item) for item in read.findings or ()):
        read.keeps_unknown = st.toggle(
            "Keep texts with words that no vocabulary knows",
            value=read.keeps_unknown,
            key="keep_unknown",
            help="Nothing speaks for an identifier in them but words that neither ICD-10-CM, SNOMED CT, LOINC, RadLex "
            "nor an English dictionary has: a brand, a word of another language, a typing error, or somebody's name. "
            "No model reads them. Keep them only if you know who wrote what.",
        )


def _decide(words: str, *, nothing_to_strip: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html(f"<p>{words} may identify a person. Exports are blocked until you decide.</p>", width="content")
        st.button(
            "Keep and go on" if nothing_to_strip else "Strip and go on",
            key="strip",
            type="primary",
            on_click=_strip,
            help="The case keeps voxels, geometry, and every event with its number and its time (as days). Texts, "
            "codes, units and descriptions of the record in which the search found something are removed or replaced, "
            "text in the pictures is blanked, and notes say how many; the files are dropped.",
        )
        words = "Drop the files and everything read from them."
        st.button("Stop, drop the files", key="stop_load", on_click=arriving.stop, args=(STOPPED,), help=words)
