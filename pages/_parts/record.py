"""The record that is being read: its patients to choose from, columns to map, why it was refused, what was read."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, time, timedelta

import pandas as pd
import streamlit as st

from core import session
from core.case import Intake
from core.events.death import last_time_before_death, says_died
from core.intake.record.columns.times import EARLIEST, LATEST
from core.view.loading import facts_html
from core.view.words import doubts_html, error_html
from core.wording import count_of, days_from_zero_words, span_words
from pages._parts import columns
from pages._parts.scan import leave_out

DIED = "The record says that the patient had died by day 0: no curve from then on would be about this patient."


def draw(read: Intake) -> None:
    """The column of the record."""
    st.html(f'<h2 class="section">Record</h2><span class="dim">{read.record_words}</span>')
    if read.record is None:
        st.caption("No record was provided.")
        return
    if error := read.error("subjects"):
        st.html(error_html(error, instead="" if read.question is None else columns.next_step(read.question)))
        if read.question is not None:
            columns.draw(read, read.question)
        leave_out(read, "record")
        return
    if read.subjects is not None:
        _choose(read, read.subjects)
    if error := read.error("timeline"):
        st.html(error_html(error))
        leave_out(read, "record")
    elif read.timeline is not None:
        st.html(facts_html(session.described(None, read.timeline)))
    if read.columns:
        st.button("Map the columns again", key="map_again", icon=":material/undo:", on_click=read.forget_columns)


def _choose(read: Intake, subjects: pd.DataFrame) -> None:
    """Which patient, and up to when."""

    def changed() -> None:
        subject = st.session_state.get("subject", read.subject)
        if subject != read.subject:
            _show_day_zero(None)
        read.choose_record(subject, _day_zero(), read.columns)

    if len(subjects) > 1:
        names = subject_words(subjects)
        st.selectbox(
            f"Patient, of {len(subjects):,} in the file",
            list(names),
            index=None if read.subject is None else list(names).index(read.subject),
            placeholder="Choose a patient; patients are never mixed",
            format_func=names.__getitem__,
            key="subject",
            on_change=changed,
            help="Identifiers that are not whole numbers are never shown: those patients are numbered in the order of "
            "their identifiers.",
        )
    if read.subject is not None:
        _ask_day_zero(read.day_zero, changed)
        _offer_scan_day(read)
        _offer_before_death(read)


def _ask_day_zero(known: pd.Timestamp | None, changed: Callable[[], None]) -> None:
    """Day and time of day each in a field of its own: one field for both takes a day without a time for nothing."""
    if "day_zero" not in st.session_state:
        _show_day_zero(known)
    day, clock = st.columns([3, 2])
    day.date_input(
        "Day 0, the prediction time (empty: the last event)",
        value=None,
        min_value=EARLIEST.date(),
        max_value=LATEST.date() - timedelta(days=1),
        format="YYYY-MM-DD",
        key="day_zero",
        help="A day that is typed counts once the calendar is closed: by Escape, or a click elsewhere.",
        on_change=changed,
    )
    clock.time_input(
        "Its time of day (empty: 00:00)",
        value=None,
        step=timedelta(minutes=15),
        key="day_zero_time",
        help="Nothing that happened or became known later is read.",
        on_change=changed,
    )
    if st.session_state["day_zero"] is None and st.session_state["day_zero_time"] is not None:
        st.html('<p class="dim" role="status">A time of day alone is not read: say the day, too.</p>')


def _day_zero() -> pd.Timestamp | None:
    """What the two fields say; None where there is no day."""
    day, clock = st.session_state.get("day_zero"), st.session_state.get("day_zero_time")
    return None if day is None else pd.Timestamp(datetime.combine(day, clock or time()))


def _show_day_zero(when: datetime | None) -> None:
    """Put a day 0 into the two fields, or nothing."""
    st.session_state["day_zero"] = None if when is None else when.date()
    st.session_state["day_zero_time"] = None if when is None else when.time()


def _offer_scan_day(read: Intake) -> None:
    """Day 0 as the tasks count it, from the scan, where its date says that it was taken on another day."""
    taken = read.study.facts.taken if read.study else None
    if taken is None or not read.scan_day:
        return

    def choose() -> None:
        _show_day_zero(taken)
        read.choose_record(read.subject, pd.Timestamp(taken), read.columns)

    st.button(
        f"Scan taken {days_from_zero_words(read.scan_day)}: set day 0 to it",
        key="scan_day",
        on_click=choose,
        icon=":material/event:",
    )


def _offer_before_death(read: Intake) -> None:
    """Day 0 before the death, where the record tells of one by day 0: the record's last event often is the death."""
    if read.timeline is None or not says_died(read.timeline.events).any():
        return
    st.html(doubts_html([DIED]))
    if (read.scan_day or 0) < 0:  # the day of the scan is offered, and was not chosen by the outcome
        return
    if (before := last_time_before_death(read.timeline)) is None:
        return

    def choose() -> None:
        _show_day_zero(before)
        read.choose_record(read.subject, before, read.columns)

    words = span_words((read.timeline.prediction_time - before) / pd.Timedelta(days=1))
    st.button(
        f"Set day 0 to the last event before the death, {words} earlier",
        key="before_death",
        on_click=choose,
        icon=":material/event:",
        help="To look at the case. A day that was chosen by the outcome says nothing of how well a model predicts it.",
    )


def subject_words(subjects: pd.DataFrame) -> dict[int, str]:
    """Patients of an events file: subject id -> how much is known of each, over how long; never a date.

    >>> first, last = pd.to_datetime(["2018-01-01", None]), pd.to_datetime(["2020-07-01", None])
    >>> subject_words(pd.DataFrame({"subject_id": [7, 8], "events": [1200, 1], "first": first, "last": last}))
    {7: '7: 1,200 events over 2.5 years', 8: '8: 1 event'}
    """
    days = (subjects["last"] - subjects["first"]).dt.total_seconds() / 86400
    rows = zip(subjects["subject_id"].astype(int), subjects["events"].astype(int), days, strict=True)
    return {subject: f"{subject}: {count_of(count, 'event')}{_over(span)}" for subject, count, span in rows}


def _over(days: float) -> str:
    """How long a record reaches, "" where no event has a time."""
    return "" if math.isnan(days) else f" over {span_words(days)}"
