"""Every model of the task on this case, one below the other; a click opens one."""

from __future__ import annotations

from html import escape

import streamlit as st

from core import session
from core.case import Case
from core.records import CaseReview
from core.view.choices import of_task
from core.view.comparison import HEADS, cells_html
from core.wording import duration
from pages._parts.header import Asked

SHOWN, OPENED = "all_models", "model_opened"
WIDTHS = (1.7, 0.9, 1.0, 0.9, 1.1, 1.1, 1.1)


def pick() -> bool:
    """Whether the reader asks for the table."""
    return bool(st.toggle("All models", key=SHOWN, persist_state="session"))


@st.fragment
def draw(case: Case, asked: Asked, review: CaseReview) -> None:
    """The table at the horizon of the review."""
    if st.session_state.pop(OPENED, None):
        st.rerun()
    days = review.horizon_days
    rows = session.answers().all_models(case, of_task(session.model_choices(), asked.model.task), days)
    with st.container(key="models", gap="xxsmall"):
        st.html(f'<h2 class="section">All models, risk within {escape(duration(days))}</h2>')
        heads = st.columns(WIDTHS, gap="small")
        for place, head in zip(heads, HEADS, strict=True):
            place.html(f'<span class="dim">{head}</span>')
        for row in rows:
            cells = st.columns(WIDTHS, gap="small", vertical_alignment="center")
            chosen = row.key == asked.model.key
            cells[0].button(
                f"{row.title}, shown" if chosen else row.title,
                key=f"open_model_{row.key}",
                disabled=chosen,
                help=None if chosen else "Show this model's answer",
                on_click=_open,
                args=(row.key,),
                width="stretch",
            )
            for place, cell in zip(cells[1:], cells_html(row, days), strict=True):
                place.html(f'<div class="model-cell">{cell or "&nbsp;"}</div>')


def _open(key: str) -> None:
    choice = next((choice for choice in session.model_choices() if choice.key == key), None)
    if choice is not None:
        st.session_state["fusion"] = choice.name
        st.session_state[OPENED] = True
