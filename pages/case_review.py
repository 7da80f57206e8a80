"""Case review: the scan and the curve, then the record, then the figure to take away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import session
from core.errors import UserFacingError
from core.intake import Case
from core.view.words import empty_html
from pages._parts import events, export, header, result, survival
from pages._parts.header import Asked

Place = Callable[[], DeltaGenerator]


def main() -> None:
    """Draw the page; another patient's picture is taken away first, the volume goes out before anything is computed."""
    session.settle_intake()
    case = _case()
    if case is None:
        return
    top = st.container()
    scan, curve = _places(session.is_new_on_screen(case))
    with top:
        asked = header.draw(case)
        verdicts = st.container(key="quality").empty()
        busy = st.container(key="busy")
    with scan():
        _scan(case, asked)
    with curve():
        review, question = result.draw(case, asked, busy, verdicts)
    result.overlay(case, asked, review, question)
    events.draw(case, review)
    if asked and review:
        export.draw(case, asked, review)


def _places(new: bool) -> tuple[Place, Place]:
    """Left and right panel; for a newly opened case both say that they load, before anything of it is named."""
    columns = st.columns([1.42, 1], gap="small")
    if not new:
        return columns[0].container, partial(columns[1].container, height="stretch")
    left, right = (column.empty() for column in columns)
    left.html(empty_html("scan", "Loading the CT", ()))
    right.html(empty_html("panel", "Asking the model", ()))
    return left.container, partial(right.container, height="stretch")


def _case() -> Case | None:
    try:
        case = session.current_case()
    except UserFacingError as error:
        survival.draw_refused(error)
        case = None
    else:
        if case is None:
            lines = ("No demo case is installed under assets/demo/cases.", "Load your own CT or record.")
            st.html(empty_html("panel", "No case is open", lines))
    if case is None:
        st.page_link("pages/load.py", label="Load yours", icon=":material/folder_open:")
    return case


@st.fragment
def _scan(case: Case, asked: Asked | None) -> None:
    """The viewer; what it reports reruns only this fragment."""
    if case.study is None:
        lines = ("Models that read a CT use a learned stand-in and say so.", "Add one with \u201cLoad yours\u201d.")
        st.html(empty_html("scan", "This case has no CT", lines))
        return
    with st.container(key="scan"):
        session.show_volume(case.study, session.window_of(asked.task.name if asked else case.task))


session.ensure_router()
main()
