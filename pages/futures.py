"""Futures: simulated continuations of the record, what happens in them, and the risk of any code."""

from __future__ import annotations

from html import escape

import streamlit as st

from core import VIRTUAL_WATERMARK, session
from core.case import Case
from core.cohort.tasks import TASKS
from core.errors import UserFacingError
from core.events.descriptions import describe
from core.foresee.cohort_risks import futures_table
from core.foresee.futures import Foresight, foresee
from core.foresee.outcomes import task_query
from core.foresee.queries import Query
from core.foresee.train import TrainedEventModel
from core.records import Timeline
from core.view.futures import (
    agreement_words,
    ends_words,
    frequent_events,
    frequent_html,
    hospital_days,
    lanes_figure,
    risk_figure,
)
from core.view.words import case_line, empty_html, error_html, time_zero
from pages._parts import arriving, foretold, label, router

HORIZONS, COUNTS = (30, 90, 365), (20, 50, 100)
PLOT = {"displayModeBar": False}
CAVEAT = (
    "Simulated by a generative model of coded records: what usually follows such a record, not what will happen, and "
    "not what causes what."
)


def main() -> None:
    """The record goes on beyond today; below, what happens most often, and what is asked for."""
    session.settle_intake()
    case = session.current_case()
    arriving.draw(case)
    model, problem = foretold.model_or_words()
    if model is None:
        st.html(problem)
        return
    if case is None or case.timeline is None:
        st.html(empty_html("panel", "No record is open", ("Futures are simulated from a record. Open one on Load.",)))
        return
    zero = time_zero(case.study, case.timeline, TASKS.get(case.task or ""))
    st.html(case_line(label.in_title(case), case.words, case.timeline, case.study, zero))
    st.set_page_config(page_title=f"{label.of(case)} · Futures")
    columns = st.columns([1, 1, 1, 2.4], vertical_alignment="bottom")
    horizon = int(columns[0].segmented_control("Days ahead", HORIZONS, default=365, key="futures_days") or 365)
    count = int(columns[1].segmented_control("Futures", COUNTS, default=20, key="futures_count") or 20)
    seed = int(columns[2].number_input("Seed", 0, 9999, 0, key="futures_seed", help="The same seed, the same futures"))
    text = columns[3].text_input(
        "Risk of any code", key="futures_code", placeholder="I50, or LOINC//2160-0 > 2",
        help="A code, a group of codes, codes with | between, or a value beyond a limit",
    )  # fmt: skip
    try:
        _draw(case, case.timeline, model, horizon, count, seed, text.strip())
    except UserFacingError as error:
        st.html(error_html(error))


def _draw(
    case: Case, timeline: Timeline, model: TrainedEventModel, horizon: int, count: int, seed: int, text: str
) -> None:
    own = task_query(case.task)
    queries = [own, *([Query.of(text)] if text else [])]
    place = st.empty()
    few = _foreseen(timeline, model, queries, horizon, min(4, count), seed)
    with place.container():
        st.html('<p class="dim" role="status">The first futures; the others are being simulated.</p>')
        _lanes(timeline, model, few, horizon, None)
    found = _foreseen(timeline, model, queries, horizon, count, seed)
    with place.container():
        chosen = st.slider("Show one future in full", 0, count, 0, key="futures_one", help="0: all of them, faint")
        _lanes(timeline, model, found, horizon, chosen or None)
    table = futures_table(found.futures, model.vocabulary)
    watermark = f"{VIRTUAL_WATERMARK}. " if model.virtual else ""
    st.html(f'<p class="dim">{watermark}{CAVEAT} {ends_words(table, horizon)} Seed {seed}.</p>')
    left, right = st.columns([1, 1.1], gap="large")
    with left:
        st.html(frequent_html(frequent_events(table, words=timeline.code_descriptions)))
        admissions, admission_error, days, day_error = hospital_days(table, horizon)
        st.html(
            f"<p>Expected by day {horizon}: {admissions:.1f} ± {1.96 * admission_error:.1f} hospital admissions, "
            f"{days:.1f} ± {1.96 * day_error:.1f} days in hospital.</p>"
        )
    with right:
        _risks(case, found, queries, text)


def _lanes(timeline: Timeline, model: TrainedEventModel, found: Foresight, horizon: int, chosen: int | None) -> None:
    table = futures_table(found.futures, model.vocabulary)
    figure = lanes_figure(session.event_table(timeline, None), table, horizon, chosen, ink=session.ink())
    st.plotly_chart(figure, config=PLOT, key=f"futures_lanes_{len(found.futures)}")


def _risks(case: Case, found: Foresight, queries: list[Query], text: str) -> None:
    task = TASKS.get(case.task or "")
    own = task.event_words if task else describe("MEDS_DEATH")
    names = [own, *([text] if text else [])]
    horizon = found.risks[0].horizon_days
    curve, read = foretold.fusion_curve(case, horizon)
    figure = risk_figure(dict(zip(names, found.risks)), curve, f"fusion model ({read})", ink=session.ink())
    st.plotly_chart(figure, config=PLOT, key="futures_risks")
    for name, risk in zip(names, found.risks):
        st.html(
            f"<p>{escape(name)}: <b>{risk.risk:.1%}</b> ± {1.96 * risk.standard_error:.1%} by day {horizon} "
            "(95%, of the simulation's error alone).</p>"
        )
    if curve is not None:
        st.html(f"<p>{agreement_words(found.risks[0], curve.risk_at(horizon), read)}</p>")


def _foreseen(
    timeline: Timeline, model: TrainedEventModel, queries: list[Query], horizon: int, count: int, seed: int
) -> Foresight:
    key = (timeline.digest, model.digest, tuple(queries), horizon, count, seed)
    return session.remember("foreseen", key, 6, lambda: foresee(timeline, model, queries, horizon, count, seed))


router.ensure_router()
main()
