"""The CT that is being read: its series to choose from, why it was refused, what was read."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core import session
from core.case import Intake
from core.load import REPAIRS, SeriesSummary
from core.records import CtStudy
from core.view.loading import by_study, facts_html, series_html, series_name
from core.view.words import doubts_html, error_html


def draw(read: Intake) -> None:
    """The column of the CT."""
    st.html(f'<h2 class="section">CT</h2><span class="dim">{read.scan_words}</span>')
    if read.scan is None:
        st.caption("No CT was provided.")
        return
    if read.scan_doubts:
        st.html(doubts_html(read.scan_doubts))
    if error := read.error("series"):
        st.html(error_html(error))
        leave_out(read, "scan")
        return
    _series(read)
    if error := read.error("study"):
        st.html(error_html(error, "Choose a repair below" if read.offered_repairs else ""))
        _repairs(read)
        _undo(read)
        leave_out(read, "scan")
    elif read.study is not None:
        st.html(facts_html(session.described(read.study, None)))
        _undo(read)


def _series(read: Intake) -> None:
    """Every series with its picture; where there are several, a button to choose each."""
    found = by_study(read.found_series)
    if len(found) > 1 and read.series is None:
        st.html(f"<p>{len(found)} CT series found. Choose one; series are never mixed.</p>")
    studies = len({item.study for item in found})
    for number, item in enumerate(found, 1):
        with st.container(horizontal=True, vertical_alignment="center", key=f"series_{number}"):
            made = read.study if item.key == read.series else None
            st.html(series_html(_with_picture(item, made), number if len(found) > 1 else 0, studies, made))
            if len(found) > 1:
                _choice(read, item, number)


def _with_picture(item: SeriesSummary, made: CtStudy | None) -> SeriesSummary:
    """A series that had no picture as it was, with one of what was read of it."""
    if item.thumbnail is not None or made is None:
        return item
    return replace(item, thumbnail=session.picture(made))


def _choice(read: Intake, item: SeriesSummary, number: int) -> None:
    chosen = item.key == read.series
    st.button(
        "Chosen" if chosen else "Choose",
        key=f"choose_{number}",
        disabled=chosen,
        help=f"Read {series_name(item, number)}",
        on_click=read.choose_series,
        args=(item.key,),
    )


def _repairs(read: Intake) -> None:
    """Repairs that would lift the refusal, each with what it does; none is made unless it is chosen."""
    if not read.offered_repairs:
        return
    st.html(
        "<p><b>It can be repaired.</b> What a repair changed is told then, stays as a note on the study, and can be "
        "undone here.</p>"
    )
    for name in read.offered_repairs:
        st.button(REPAIRS[name], key=f"repair_{name}", icon=":material/build:", on_click=read.repair, args=(name,))


def _undo(read: Intake) -> None:
    """The way back from a repair, without the files being handed over again."""
    if read.repairs:
        words = "Undo the repair" if len(read.repairs) == 1 else "Undo the repairs"
        st.button(words, key="undo_repairs", icon=":material/undo:", on_click=read.undo_repairs)


def leave_out(read: Intake, part: str) -> None:
    """Go on without the refused part, where there is another one."""
    if not read.can_go_without(part):
        return
    words = {"scan": "Go on without the CT", "record": "Go on without the record"}[part]
    st.button(words, key=f"leave_{part}", on_click=read.leave_out, args=(part,))
