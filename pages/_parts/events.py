"""Timeline panel: lanes, strongest events, the raw record behind a mark, lab trends."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pandas as pd
import streamlit as st

from core import session
from core.export.events import day_words
from core.intake import Case
from core.quality import scan_day
from core.records import CaseReview, Timeline
from core.view.lanes import found, short_name, strongest, undated_rows
from core.view.timeline import timeline_figure, trend_codes, trends_figure
from core.view.words import empty_html, events_html, raw_event_html, scan_words, scroll_html
from pages._parts import bound

SPANS = {"30 days": 30.0, "1 year": 365.25, "All": 0.0}
MEASURES = {"attribution": "Effect on risk", "attention": "Attention"}
PLOT = {"displayModeBar": False, "doubleClick": "reset", "scrollZoom": False}
MAX_RAW_ROWS = 200
PICKED, REACH = "picked_events", "reach_picked"
"""The events that are selected, and whether the axis reaches back to them: until the reader presses a span."""
NONE_WEIGHED = "No event was weighed: the model reads no record, or knows none of these events."
NO_RESULT = "No event was weighed: there is no model result."
LIST, MOST_LISTED = "event_list", 400


@st.fragment
def draw(case: Case, review: CaseReview | None) -> None:
    """The whole panel; selecting a mark reruns only this part of the page."""
    timeline = case.timeline
    if timeline is None:
        lines = (
            "Models that read a record were trained to answer without one and will note that it is missing.",
            "To add one, load CT and record together with \u201cLoad your own\u201d.",
        )
        st.html(empty_html("lanes", "This case has no record", lines))
        return
    with st.container(gap="xxsmall"):
        _panel(case, timeline, review)


def _panel(case: Case, timeline: Timeline, review: CaseReview | None) -> None:
    rows = session.event_table(timeline, review)
    every = pd.concat([rows, undated_rows(timeline, review)], ignore_index=True)
    shown, span, measure = _controls(every)
    chart, strong, detail = st.columns([2.3, 0.85, 0.95], gap="medium")
    selected = [event for event in st.session_state.get(PICKED, ()) if event in set(every["event_id"])]
    with strong:
        _strongest(every, measure, selected, NONE_WEIGHED if review else NO_RESULT)
    with chart:
        _lanes(case, timeline, shown, span, measure, selected)
    with detail:
        _list(shown, selected, timeline)
        _raw(every, selected, timeline)
    _trends(rows)


def _controls(rows: pd.DataFrame) -> tuple[pd.DataFrame, float, str]:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html('<h2 class="section">Record before day 0</h2>', width="content")
        name = st.segmented_control(
            "Span",
            list(SPANS),
            default="All",
            required=True,
            key="span",
            label_visibility="collapsed",
            persist_state="session",
            on_change=_keep_to_span,
        )
        given = [key for key in MEASURES if rows[key].notna().any()]
        measure = st.segmented_control(
            "Marks sized by",
            given or ["attribution"],
            default=(given or ["attribution"])[0],
            format_func=MEASURES.__getitem__,
            required=True,
            key=f"measure_{'_'.join(given)}",
            label_visibility="collapsed",
        )
        query = st.text_input(
            "Search events",
            key=bound.of_case("event_search"),
            placeholder="Search events",
            label_visibility="collapsed",
            width=200,
        )
        st.toggle(
            "Dates",
            key=bound.of_case("show_dates"),
            help="Calendar dates in the list, at the marks and in the event read; the axis stays in days. "
            "Off keeps the view free of dates.",
            persist_state="session",
        )
    shown = found(rows, query or "")
    oldest = float(-rows["day"].min()) if len(rows) else 1.0
    return shown, SPANS[str(name)] or max(oldest, 1.0), str(measure)


def _day_label(timeline: Timeline) -> Callable[[float], str]:
    if not st.session_state.get(bound.of_case("show_dates")):
        return day_words

    def date(day: float) -> str:
        return day_words(day) if pd.isna(day) else f"{timeline.prediction_time + pd.Timedelta(days=day):%d %b %Y}"

    return date


def _strongest(rows: pd.DataFrame, measure: str, selected: list[int], none: str) -> None:
    """The strongest events as pills, or why there are none; picking one selects its mark."""
    top = strongest(rows, measure)
    if top.empty:
        st.caption(none)
        return
    names = {row["event_id"]: short_name(row, measure) for row in top.to_dict("records")}
    key = bound.of_case(f"strong_{measure}")

    def pick() -> None:
        _pick(st.session_state[key])

    st.session_state[key] = _only(selected, names)
    st.pills(
        "Strongest events",
        list(names),
        format_func=lambda event: names.get(event, ""),
        key=key,
        wrap=True,
        on_change=bound.for_this_case(pick),
    )


def _pick(event: int | None) -> None:
    st.session_state.update({PICKED: [] if event is None else [int(event)], REACH: True})


def _only(selected: list[int], names: Collection[int]) -> int | None:
    """The selected event where it is one, and one of these."""
    return selected[0] if len(selected) == 1 and selected[0] in names else None


def _keep_to_span() -> None:
    st.session_state[REACH] = False


def _lanes(case: Case, timeline: Timeline, kept: pd.DataFrame, span: float, measure: str, selected: list[int]) -> None:
    """The chart of those found events that have a day; without one, words instead."""
    rows = kept[kept["day"].notna()]
    if rows.empty:
        title = "No event is found" if kept.empty else "What is found has no day of its own: it is in the list only"
        lines = ("Every word must stand in an event's name, code or value.", "Clear the search to see all events.")
        st.html(empty_html("lanes", title, lines))
        return
    reach = rows["event_id"].isin(selected) & bool(st.session_state.get(REACH))
    figure = timeline_figure(
        rows,
        measure=measure,
        span_days=max([span, *-rows.loc[reach, "day"]]),
        later_events=timeline.later_event_count,
        selected=selected,
        ct=scan_words(case.study, timeline, own=case.fabricated),
        ct_day=scan_day(case.study, timeline) or 0,
        label_day=_day_label(timeline),
        ink=session.ink(),
    )
    alt = f"{len(rows)} events in lanes by kind over the days before the prediction; later events are hidden."
    key = bound.of_case("lanes_chart")

    def pick() -> None:
        _pick_mark(st.session_state[key]["selection"]["points"])

    act = bound.for_this_case(pick)
    with st.container(key="lanes"):
        st.plotly_chart(figure, key=key, theme=None, on_select=act, selection_mode="points", config=PLOT, alt=alt)


def _pick_mark(points: list[dict[str, object]]) -> None:
    """A click on a mark selects its events; a click beside the marks keeps what was selected."""
    ids = [int(event) for point in points for event in str(_custom(point)).split(",") if event]
    if ids:
        st.session_state.update({PICKED: ids, REACH: True})


def _custom(point: dict[str, object]) -> object:
    data = point.get("customdata", "")
    return data[0] if isinstance(data, list) and data else (data or "")


def _list(rows: pd.DataFrame, selected: list[int], timeline: Timeline) -> None:
    """Every event that the search found, latest first, those without a day last: the way to a mark without a mouse."""
    label, latest = _day_label(timeline), rows.sort_values("day", ascending=False, kind="stable").head(MOST_LISTED)
    names = {
        row["event_id"]: f"{label(row['day'])}: {row['words']} {row['value']}".strip()
        for row in latest.to_dict("records")
    }
    key = bound.of_case(LIST)
    st.session_state[key] = _only(selected, names)
    more = f"latest {len(names):,} of {len(rows):,}, search for others" if len(rows) > len(names) else f"{len(rows):,}"
    st.selectbox(
        f"Events found: {more}",
        list(names),
        index=None,
        format_func=lambda event: names.get(event, ""),
        placeholder="Choose an event",
        key=key,
        on_change=bound.for_this_case(lambda: _pick(st.session_state[key])),
    )


def _raw(rows: pd.DataFrame, selected: list[int], timeline: Timeline) -> None:
    label = _day_label(timeline)
    chosen = rows[rows["event_id"].isin(selected)]
    if chosen.empty:
        st.caption("Select a mark to read the raw event.")
    elif len(chosen) == 1:
        row = chosen.iloc[0]
        st.html(raw_event_html(row, label(float(row["day"]))))
    else:
        shown = chosen.head(MAX_RAW_ROWS)
        days = [str(label(float(day))) for day in shown["day"]]
        st.html(scroll_html(events_html(shown, days), "Selected events", 220))


def _trends(rows: pd.DataFrame) -> None:
    codes = trend_codes(rows)
    if codes and st.toggle("Lab and vital trends", key="trends", persist_state="session"):
        st.plotly_chart(
            trends_figure(rows, codes, ink=session.ink()),
            key="trend_chart",
            theme=None,
            config=PLOT,
            alt="Values of laboratory tests and vital signs over the days before the prediction",
        )
