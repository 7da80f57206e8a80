"""Load: one patient's CT, record or both, from the files to an open case."""

from __future__ import annotations

from html import escape
from pathlib import Path

import streamlit as st

from core import session
from core.case import Intake
from core.quality import other_person
from core.view.quality import quality_html
from core.view.words import doubts_html, empty_html
from pages._parts import arriving, findings, record, router, scan, sources

NEXT = (
    "A CT, a record, or both, of one patient.",
    "Here you will then see what was read, the quality checks, and every place that may identify a person.",
)
READY, CHOOSE = "Everything was read. Look at it, then open it.", "Waiting for your choice below."
DECIDE = "Everything was read. Look at it, decide about the identifiers, and open it."
REFUSED = "This cannot be read; the reason stands below."
PAIR = "The CT and the record may be of two people"
LOOK = "You may look at the case now; its exports stay blocked"


def main() -> None:
    """Pick, then watch, look at what was found, open."""
    st.html(
        '<div class="case-line"><h1>Load your own case</h1><span class="dim">Files are read in memory, stay in '
        "this session and are dropped when another case is opened or the session ends.</span></div>"
    )
    session.settle_intake()
    if session.intake() is not None:
        _desk()
        return
    _say()
    if new := sources.pick():
        session.begin_intake(new)
        st.rerun()
    if not session.has_own_case():
        st.html(empty_html("quiet", "Nothing is read yet", NEXT))


def _say() -> None:
    """What became of the last files, and which own case is open."""
    if words := st.session_state.pop(arriving.SAID, ""):
        st.html(f'<p role="status">{escape(words)}</p>')
    if session.has_own_case():
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.html("Your own case is open.", width="content")
            st.page_link("pages/case_review.py", label="Go to Case review", icon=":material/arrow_forward:")
            st.button("Close it", on_click=session.close_case, key="close_case")


@st.fragment(run_every=0.5)
def _desk() -> None:
    """Everything about the files being read, drawn from its state twice a second as long as they are there.

    Nothing is announced when a step ends: what Streamlit loses of one drawing (it drops what an ended run still had to
    send when a timer's question starts the next) stands in the next one.
    """
    session.settle_intake()
    read = session.intake()
    if read is None:
        st.rerun()
    with st.container(key="watch"):
        _progress(read)
    left, right = st.columns(2, gap="large")
    with left, st.container(key="desk_ct"):
        scan.draw(read)
    with right, st.container(key="desk_record"):
        record.draw(read)
    if read.study is not None and read.timeline is not None and (differs := other_person(read.study, read.timeline)):
        st.html(doubts_html([f"{PAIR}: {differs}."]))
    if read.complete:
        if read.quality is not None:
            with st.container(key="desk_quality"):
                st.html(quality_html(read.quality, more_to_come=True))
        findings.draw(read)
    _actions(read)


def _progress(read: Intake) -> None:
    """How far whatever runs is, with a way to stop it; or what the reader can do now."""
    if not read.advance():
        st.html(f'<p class="dim" role="status">{_settled(read)}</p>')
        return
    line, button = st.columns([6, 1], vertical_alignment="center", gap="small")
    arriving.bars(read, line)
    button.button(
        "Cancel",
        key="cancel_load",
        on_click=arriving.stop,
        args=(arriving.CANCELLED,),
        help="Drop the files, everything read from them, and the case if it was opened from them.",
    )


def _settled(read: Intake) -> str:
    """What the reader can do now that nothing runs."""
    if read.state == "read":
        return READY if read.released else DECIDE
    return CHOOSE if read.state == "asks" else REFUSED


def _actions(read: Intake) -> None:
    """Open, as soon as everything is read, or start over."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="load_actions"):
        undecided = read.complete and not read.released
        if st.button(
            "Open in case review",
            type="secondary" if undecided else "primary",
            disabled=not read.complete,
            key="open_case",
        ):
            session.open_intake()
            router.forget_fragments()
            st.switch_page("pages/case_review.py")
        st.button("Start over", key="start_over", on_click=_start_over, args=(read,))
        if undecided:
            st.caption(f"{LOOK}{_until(read)}")


def _start_over(read: Intake) -> None:
    """Drop everything; where something was refused, paths stay in their fields, to be corrected there."""
    given = {"ct_path": read.scan, "record_path": read.record}
    refused = read.error("series", "study", "subjects", "timeline")
    paths = {key: str(source) for key, source in given.items() if refused and isinstance(source, Path)}
    arriving.stop("Nothing was kept of the files before.")
    st.session_state.update(paths)


def _until(read: Intake) -> str:
    """How long exports stay blocked."""
    if read.error("findings"):
        return ", because the files could not be searched for identifiers."
    ended = "the search for identifiers has ended and " if read.searching else ""
    return f" until {ended}you decide about the identifiers."


router.ensure_router()
main()
