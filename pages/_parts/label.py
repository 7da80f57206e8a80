"""What the reader calls the case on screen."""

from __future__ import annotations

import streamlit as st

from core import session
from core.case import Case
from core.export.label import LONGEST, clean_label, label_refusal
from pages._parts import bound

DRAWN = "label_drawn"


def of(case: Case) -> str:
    """The reader's label; else the demonstration's name, or the number of the case in this session."""
    given = _given()
    if given and not label_refusal(given) and (cleaned := clean_label(given)):
        return cleaned
    return case.name.partition(" \u00b7 ")[0] if session.current_demo() else f"Own case {session.cases_shown()}"


def in_title(case: Case) -> str:
    """The label, and what the case is called where that says more; remembered as drawn."""
    label = st.session_state[DRAWN] = of(case)
    return case.name if case.name.startswith(label) else f"{label} \u00b7 {case.name}"


def ask(case: Case) -> None:
    """The field for it; the page is drawn anew where its title says another one."""
    st.text_input(
        "Label",
        key=bound.of_case("label"),
        placeholder="Label of this case",
        label_visibility="collapsed",
        max_chars=LONGEST,
        width=170,
        persist_state="session",
        help="Stands in title, figures and file names. Never a patient's name or number.",
    )
    if refusal := label_refusal(_given()):
        st.html(f'<p role="alert">{refusal}</p>', width="content")
    elif st.session_state.get(DRAWN) != of(case):
        st.rerun()


def _given() -> str:
    return str(st.session_state.get(bound.of_case("label")) or "")
