"""Guided column mapping: what each column of an unknown table means, with a guess to confirm."""

from __future__ import annotations

import streamlit as st

from core.intake import Intake
from core.timeline import MappingQuestion
from core.timeline.columns import ROLE_TITLES, ROLES, WAYS
from core.view.loading import columns_html, facts_html, looks_html
from core.view.words import scroll_html

_NEXT = "Say below what the columns mean and how they are written, then read the table."
_NEXT_ENCODING = 'Say below how the text is encoded, then read it; or save it as UTF-8, in Excel as "CSV UTF-8".'
_ASKED = {"dates": "Dates are written", "decimals": "Decimal sign", "encoding": "Text encoding"}


def next_step(question: MappingQuestion) -> str:
    """What to do about the question, in place of the advice for those who read no page."""
    return _NEXT_ENCODING if question.looks else _NEXT


def draw(read: Intake, question: MappingQuestion) -> None:
    """Columns with masked samples, one choice a role, and a button to read the table so; before, its encoding."""
    if question.looks:
        _draw_encoding(read, question)
        return
    which = f" Table {question.place} of {question.tables}." if question.tables > 1 else ""
    st.html(f"<p><b>Say what the columns mean.</b>{which} Samples are masked: digits as 9, letters as a.</p>")
    st.html(scroll_html(columns_html(question.columns), "Columns of the table", 235))
    if question.doubts:
        st.html(facts_html(question.doubts))
    names = [column.name for column in question.columns]
    chosen: dict[str, str] = {}
    places = [place for _ in range(0, len(ROLES), 3) for place in st.columns(3)]  # Tab goes row by row
    for place, (role, meaning) in zip(places, ROLES.items(), strict=False):
        guess = question.guesses.get(role)
        picked = place.selectbox(
            f"{ROLE_TITLES[role]} (needed)" if role in question.required else ROLE_TITLES[role],
            names,
            index=names.index(guess.column) if guess else None,
            placeholder="none",
            help=meaning,
            key=f"column_{role}{_of_table(question)}",
        )
        if picked:
            chosen[role] = picked
    ways = _ways(question)
    twice = len(set(chosen.values())) < len(chosen)
    missing = [role for role in question.required if role not in chosen and not (role == "time" and "date" in chosen)]
    if twice:
        st.caption("A column can have one meaning only.")
    st.button(
        "Read with these columns",
        key="map_columns",
        type="primary",
        disabled=twice or bool(missing),
        on_click=read.answer_on,
        args=(question.layout, chosen | ways),
    )


def _draw_encoding(read: Intake, question: MappingQuestion) -> None:
    """The same lines as each encoding reads them, a choice of one, and a button to read the files so."""
    st.html(
        "<p><b>Say how the text is encoded.</b> Choose the one in which every word reads right. Below the "
        "names of the columns, plain letters and digits are masked: digits as 9, letters as a.</p>"
    )
    st.html(scroll_html(looks_html(question.looks), "The same lines in each encoding", 235))
    titles = {look.encoding: look.title for look in question.looks}
    picked = st.selectbox(
        _ASKED["encoding"],
        list(titles),
        index=None,
        placeholder="choose",
        key="way_encoding",
        format_func=titles.__getitem__,
    )
    st.button(
        "Read in this encoding",
        key="map_columns",
        type="primary",
        disabled=picked is None,
        on_click=read.answer_on,
        args=(question.layout, {"encoding": picked}),
    )


def _of_table(question: MappingQuestion) -> str:
    """What tells the choices of one table from those of another."""
    return f"_{question.place}" if question.place > 1 else ""


def _ways(question: MappingQuestion) -> dict[str, str]:
    """How the reader says that dates and numbers are written, where the table does not tell."""
    answers: dict[str, str] = {}
    for way in question.ways:
        picked = st.selectbox(
            _ASKED[way], WAYS[way], index=None, placeholder="choose", key=f"way_{way}{_of_table(question)}"
        )
        if picked:
            answers[way] = picked
    return answers
