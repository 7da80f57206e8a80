"""Guided column mapping: what each column of an unknown table means, with a guess to confirm."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import streamlit as st

from core.case import Intake
from core.intake.record.columns.roles import NO_COLUMN, ROLE_TITLES, ROLES, WAYS, Role
from core.timeline import MappingQuestion
from core.view.loading import columns_html, facts_html, looks_html
from core.view.words import scroll_html

_NEXT = "Say below what the columns mean and how they are written, then read the table."
_NEXT_ENCODING = 'Say below how the text is encoded, then read it; or save it as UTF-8, in Excel as "CSV UTF-8".'
_ASKED = {"dates": "Dates are written", "decimals": "Decimal sign", "encoding": "Text encoding"}
_UNSAID = {"dates": "how dates are written", "decimals": "the decimal sign"}


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
    error = read.error("subjects")
    if doubts := [doubt for doubt in question.doubts if error is None or doubt != error.found]:
        st.html(facts_html(doubts))
    names = [column.name for column in question.columns]
    chosen: dict[Role, str] = {}
    places = [place for _ in range(0, len(ROLES), 3) for place in st.columns(3)]  # Tab goes row by row
    for place, (role, meaning) in zip(places, ROLES.items(), strict=False):
        key = f"column_{role}{_of_table(question)}"
        if st.session_state.get(key, "") not in (None, *names):
            guess = question.guesses.get(role)
            st.session_state[key] = guess.column if guess else None
        picked = place.selectbox(
            f"{ROLE_TITLES[role]} (needed)" if role in question.required else ROLE_TITLES[role],
            names,
            index=None,  # a default of its own could not be taken back to none
            placeholder="none",
            help=meaning,
            key=key,
        )
        if picked:
            chosen[role] = picked
    ways = _ways(question)
    twice, missing = _twice(chosen), _missing(question, chosen)
    unsaid = [_UNSAID[way] for way in question.ways if way not in ways]
    words = (*twice, *missing, *([f"Not said yet: {', '.join(unsaid)}."] if unsaid else ()))
    st.html(f'<p class="dim" role="status">{escape(" ".join(words)) or "&nbsp;"}</p>')
    st.button(
        "Read with these columns",
        key="map_columns",
        type="primary",
        disabled=bool(twice or missing),
        on_click=read.answer_on,
        args=(question.layout, {**dict.fromkeys(ROLES, NO_COLUMN), **chosen, **ways}),
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


def _twice(chosen: Mapping[Role, str]) -> list[str]:
    """A sentence for each column that was given several meanings."""
    roles: dict[str, list[str]] = {}
    for role, column in chosen.items():
        roles.setdefault(column, []).append(ROLE_TITLES[role])
    several = {column: titles for column, titles in roles.items() if len(titles) > 1}
    return [
        f"{column} is chosen for {' and '.join(titles)}; a column can have one meaning only."
        for column, titles in several.items()
    ]


def _missing(question: MappingQuestion, chosen: Mapping[Role, str]) -> list[str]:
    """A sentence on the columns that are still needed, none where none is."""
    roles = [role for role in question.required if role not in chosen and not (role == "time" and "date" in chosen)]
    return [f"Still needed: {', '.join(ROLE_TITLES[role] for role in roles)}."] if roles else []


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
