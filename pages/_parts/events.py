"""Timeline panel: lanes, strongest events, the raw record behind a mark, lab trends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from html import escape

import pandas as pd
import streamlit as st

from core import session
from core.case import Case
from core.export.events import NONE_STRONG, concept_words, day_words
from core.quality import scan_day
from core.records import CaseReview, Timeline
from core.view.lanes import found, read_words, short_name, strongest, together_of, told_entries, undated_rows
from core.view.timeline import SHOWN_TRENDS, timeline_figure, trend_codes, trends_figure
from core.view.words import empty_html, events_html, raw_event_html, scan_words, scroll_html, together_html
from core.wording import count_of, span_words
from pages._parts import bound

SPANS = {"30 days": 30.0, "1 year": 365.25, "All": 0.0}
MEASURES = {"attribution": "Effect on risk", "attention": "Attention"}
PLOT = {"displayModeBar": False, "doubleClick": "reset", "scrollZoom": False}
MAX_RAW_ROWS = 200
PICKED, REACH = "picked_events", "reach_picked"
"""The events that are selected, and whether the axis reaches back to them: until the reader presses a span."""
NONE_WEIGHED = "No event was weighed: the model reads no record, or knows none of these events."
NONE_SHOWN = "None of the strongest events is among those found."
NO_RESULT = "No event was weighed: there is no model result."
LIST, MOST_LISTED = "event_list", 400
HEADING = '<h2 class="section">Record before day 0</h2>'


@st.fragment
def draw(case: Case, review: CaseReview | None, known: str = "") -> None:
    """The whole panel; selecting a mark reruns only this part of the page. known: as in `read_words`."""
    timeline = case.timeline
    if timeline is None:
        lines = (
            "Models that read a record were trained to answer without one and will note that it is missing.",
            "To add one, load CT and record together with \u201cLoad your own\u201d.",
        )
        st.html(empty_html("lanes", "This case has no record", lines))
        return
    with st.container(gap="xxsmall"):
        _panel(case, timeline, review, known)


def _panel(case: Case, timeline: Timeline, review: CaseReview | None, known: str) -> None:
    rows = session.event_table(timeline, review)
    every = pd.concat([rows, undated_rows(timeline, review)], ignore_index=True)
    if every.empty:
        st.html(f"{HEADING}{empty_html('lanes', 'The record has no event up to day 0', ())}")
        return
    shown, span, measure = _controls(every, read_words(timeline, review, known))
    chart, strong, detail = st.columns([2.3, 0.85, 0.95], gap="medium")
    selected = [event for event in st.session_state.get(PICKED, ()) if event in set(shown["event_id"])]
    span = _reaching(span, shown, selected)
    within = shown[~(shown["day"] < -span)]
    selected = [event for event in selected if event in set(within["event_id"])]
    with strong:
        _strongest(every, shown, case, review, measure, selected)
    with chart:
        _lanes(case, timeline, shown, span, measure, selected)
    with detail:
        _list(shown, selected, timeline)
        _raw(every, selected, timeline, review)
    _trends(rows, span, timeline.sex)


def _controls(rows: pd.DataFrame, read: str) -> tuple[pd.DataFrame, float, str]:
    """(events found, days shown, what sizes the marks): only controls that have something to act on. read: how much of
    the record the model read."""
    days = rows["day"].dropna()
    span = "All"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html(HEADING, width="content")
        if len(days):
            span = st.segmented_control(
                "Span",
                list(SPANS),
                default="All",
                required=True,
                key="span",
                label_visibility="collapsed",
                persist_state="session",
                on_change=_keep_to_span,
            )
        measure = _pick_measure([key for key in MEASURES if rows[key].notna().any()])
        query = st.text_input(
            "Search events",
            key=bound.of_case("event_search"),
            placeholder="Search events",
            label_visibility="collapsed",
            width=200,
        )
        if len(days):
            st.toggle(
                "Dates",
                key=bound.of_case("show_dates"),
                help="Calendar dates in the list, at the marks and in the event read; the axis stays in days. "
                "Off keeps the view free of dates.",
                persist_state="session",
            )
        if read:
            st.html(
                f'<p class="read-words dim" title="What the model read of this record">{escape(read)}</p>',
                width="content",
            )
    oldest = float(-days.min()) if len(days) else 1.0
    return found(rows, query or ""), SPANS[str(span)] or max(oldest, 1.0), measure


def _pick_measure(given: list[str]) -> str:
    """What sizes the marks: a choice where there are two, else told in words, or not at all."""
    if len(given) > 1:
        return str(
            st.segmented_control(
                "Marks sized by",
                given,
                default=given[0],
                format_func=MEASURES.__getitem__,
                required=True,
                key=f"measure_{'_'.join(given)}",
                label_visibility="collapsed",
            )
        )
    if given:
        st.html(f'<p class="dim">Marks sized by {MEASURES[given[0]].lower()}</p>', width="content")
    return (given or ["attribution"])[0]


def _reaching(span: float, rows: pd.DataFrame, selected: list[int]) -> float:
    """The span, or as many days as the axis takes to reach a selected event, unless a span was pressed since."""
    if not st.session_state.get(REACH):
        return span
    days = rows.loc[rows["event_id"].isin(selected), "day"].dropna()
    return max(span, float(-days.min())) if len(days) else span


def _day_label(timeline: Timeline) -> Callable[[float], str]:
    if not st.session_state.get(bound.of_case("show_dates")):
        return day_words

    def date(day: float) -> str:
        return day_words(day) if pd.isna(day) else f"{timeline.prediction_time + pd.Timedelta(days=day):%d %b %Y}"

    return date


def _strongest(
    rows: pd.DataFrame,
    shown: pd.DataFrame,
    case: Case,
    review: CaseReview | None,
    measure: str,
    selected: list[int],
) -> None:
    """The strongest events of those found as pills, or why there are none; picking one selects its marks, to which the
    axis then reaches, and opens what it holds. rows: every event."""
    every, ids = _told(rows, case, review, measure), set(shown["event_id"])
    told = {event: entry for event, entry in every.items() if ids & set(entry[0])}
    if not told:
        st.caption(NONE_SHOWN if every else _why_none(review))
        return
    key = bound.of_case(f"strong_{measure}")

    def pick() -> None:
        event = st.session_state[key]
        _pick(() if event is None else told[event][0])

    held = {tuple(sorted(ids)): event for event, (ids, _) in told.items()}
    st.session_state[key] = held.get(tuple(sorted(selected)))
    st.pills(
        "Strongest events",
        list(told),
        format_func=lambda event: told[event][1] if event in told else "",
        key=key,
        wrap=True,
        on_change=bound.for_this_case(pick),
    )


def _told(
    rows: pd.DataFrame, case: Case, review: CaseReview | None, measure: str
) -> dict[int, tuple[tuple[int, ...], str]]:
    """Strongest event of each pill -> the events that it stands for, and its words."""
    if measure == "attention":
        top = strongest(rows).to_dict("records")
        return {row["event_id"]: ((row["event_id"],), short_name(row)) for row in top}
    if review is None or case.timeline is None:
        return {}
    entries = told_entries(rows, review, case.timeline)
    return {entry.event: (entry.event_ids, line) for entry, line in entries.items()}


def _why_none(review: CaseReview | None) -> str:
    if review is None:
        return NO_RESULT
    weighed = review.event_attribution is not None and len(review.event_attribution.event_ids)
    return f"{NONE_STRONG}." if weighed else NONE_WEIGHED


def _pick(events: Iterable[int]) -> None:
    st.session_state.update({PICKED: [int(event) for event in events], REACH: True})


def _only(selected: list[int], names: Collection[int]) -> int | None:
    """The selected event where it is one, and one of these."""
    return selected[0] if len(selected) == 1 and selected[0] in names else None


def _keep_to_span() -> None:
    st.session_state[REACH] = False


def _lanes(case: Case, timeline: Timeline, rows: pd.DataFrame, span: float, measure: str, selected: list[int]) -> None:
    """The chart of the events found; without one, words instead."""
    if rows.empty:
        lines = ("Every word must stand in an event's name, code or value.", "Clear the search to see all events.")
        st.html(empty_html("lanes", "No event is found", lines))
        return
    figure = timeline_figure(
        rows,
        measure=measure,
        span_days=span,
        later_events=timeline.later_event_count,
        selected=selected,
        ct=scan_words(case.study, timeline, own=case.fabricated),
        ct_day=scan_day(case.study, timeline) or 0,
        label_day=_day_label(timeline),
        ink=session.ink(),
    )
    alt = (
        f"{count_of(len(rows), 'event')} in lanes by kind over the days before the prediction; later ones are hidden. "
        "Each can be read in the list \u201cEvents found\u201d."
    )
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
    if rows.empty:
        return
    listed = _listed(rows)
    label = _day_label(timeline)
    names = {
        row["event_id"]: f"{label(row['day'])}: {row['words']} {row['value']}".strip()
        for row in listed.to_dict("records")
    }
    key = bound.of_case(LIST)
    st.session_state[key] = _only(selected, names)
    st.selectbox(
        f"Events found: {f'{len(names):,} of ' if len(rows) > len(names) else ''}{len(rows):,}",
        list(names),
        index=None,
        format_func=lambda event: names.get(event, ""),
        placeholder="Choose an event",
        key=key,
        on_change=bound.for_this_case(lambda: _pick(_one(st.session_state[key]))),
    )


def _one(event: int | None) -> tuple[int, ...]:
    return () if event is None else (event,)


def _listed(rows: pd.DataFrame) -> pd.DataFrame:
    """The events that the list holds: of very many only the latest up to a day that the reader gives."""
    dated, undated = rows[rows["day"].notna()], rows[rows["day"].isna()]
    if len(dated) > MOST_LISTED:
        last = st.number_input(
            "List from this many days before day 0 on back",
            0,
            int(-dated["day"].min()),
            key=bound.of_case("list_from"),
            help=f"The list holds {MOST_LISTED} events at a time, the latest first. A search shortens it, too.",
        )
        dated = dated[dated["day"].round() <= -last]
    dated = dated.sort_values("day", ascending=False, kind="stable").head(MOST_LISTED)
    return pd.concat([dated, undated.head(MOST_LISTED)])


def _raw(rows: pd.DataFrame, selected: list[int], timeline: Timeline, review: CaseReview | None) -> None:
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
        if together := together_of(selected, review):
            st.html(together_html(concept_words(timeline, selected), together))
        st.html(scroll_html(events_html(shown, days), "Selected events", 220))


def _trends(rows: pd.DataFrame, span: float, sex: str | None) -> None:
    """Values over the same days as the lanes."""
    if not trend_codes(rows) or not st.toggle("Lab and vital trends", key="trends", persist_state="session"):
        return
    within = rows[rows["day"] >= -span]
    codes = trend_codes(within)
    if not codes:
        st.caption(f"Nothing was measured twice in the last {span_words(span)}. A longer span may show a trend.")
        return
    names = dict(zip(within["code"], within["words"], strict=True))
    chosen = st.multiselect(
        "Values shown",
        codes,
        default=codes[:SHOWN_TRENDS],
        format_func=lambda code: str(names.get(code, code)),
        key=bound.of_case("trend_codes"),
        label_visibility="collapsed",
        placeholder="Choose values",
    )
    if not chosen:
        return
    st.caption("Grey: usual in adults (a laboratory's own range goes before it). L below, H above.")
    st.plotly_chart(
        trends_figure(within, chosen, span_days=span, sex=sex, ink=session.ink()),
        key="trend_chart",
        theme=None,
        config=PLOT,
        alt=f"Values of laboratory tests and vital signs over the last {span_words(span)} before the prediction. "
        "Each can be read in the list \u201cEvents found\u201d.",
    )
