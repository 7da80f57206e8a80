"""Model card: what a model is, how well it did on patients it had not seen, and where it must not be used."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import streamlit as st

from core import session
from core.benchmark.report_plots import baseline_figure, calibration_figure, calibration_words, training_rows
from core.bundle import Bundle
from core.errors import UserFacingError
from core.view.card import card_html, map_check_rows, map_check_words, performance_rows
from core.view.layout import finish
from core.view.words import empty_html, error_html
from core.wording import duration
from pages._parts import arriving, router

PLOT = {"displayModeBar": False}
SHOWN_ELSEWHERE = ("name", "performance", "schema_version")


def main() -> None:
    """Pick a model; performance left, the card right. Files that are being read are read on."""
    session.settle_intake()
    arriving.draw(None)
    models = session.model_choices()
    _say_what_own_models_lack()
    if not models:
        lines = ("The app found no model bundle in assets/bundles.", "Build them with: make models")
        st.html(empty_html("panel", "No model is installed", lines))
        return
    names = {choice.key: f"{choice.task_title}: {choice.title}" for choice in models}
    _follow_case_review(names)
    key = str(
        st.columns(2)[0].selectbox(
            "Model", list(names), format_func=names.__getitem__, key="card_model", persist_state="session"
        )
    )
    try:
        bundle = session.bundle(key)
    except UserFacingError as error:
        st.html(error_html(error))
        return
    st.html(f'<div class="case-line"><h1>{names[key]}</h1></div>')
    left, right = st.columns([1, 1.15], gap="large")
    with left:
        _performance(bundle)
    right.html(card_html({name: value for name, value in bundle.card.items() if name not in SHOWN_ELSEWHERE}))


def _follow_case_review(names: Collection[str]) -> None:
    """The card of the model that Case review showed last, until another one is picked here."""
    reviewed = st.session_state.get("model_reviewed")
    if reviewed in names and st.session_state.get("card_follows") != reviewed:
        st.session_state["card_model"] = st.session_state["card_follows"] = reviewed


def _say_what_own_models_lack() -> None:
    if problems := session.own_models().problems:
        st.html(empty_html("panel", "Of your own models some cannot be offered", problems))


def _performance(bundle: Bundle) -> None:
    evaluation = next(iter(bundle.metrics.get("models", {}).values()), None)
    who = "held-out virtual patients" if bundle.virtual else "held-out patients"
    if evaluation is not None:
        st.html(f'<h2 class="section">How well it did on {bundle.metrics["patients"]:,} {who}</h2>')
        st.dataframe(training_rows(evaluation, events=bundle.metrics["events"]), hide_index=True, height="content")
        _calibration(bundle, evaluation["horizons"], who)
    else:
        st.html('<h2 class="section">How well it did</h2>')
        _stated_performance(bundle.card.get("performance", []))
    if bundle.maps is not None:
        st.html('<h2 class="section">Do its maps hang on what it learned?</h2>')
        st.dataframe(map_check_rows(bundle.maps), hide_index=True, height="content")
        st.caption(map_check_words(bundle.maps))
    st.html('<h2 class="section">Training cohort</h2>')
    columns = [bundle.baseline[name].tolist() for name in ("time_days", "survival", "lower", "upper")]
    figure = finish(
        baseline_figure(*columns), ink=session.ink(), height=300, margin={"l": 60, "r": 10, "t": 30, "b": 40}
    )
    st.plotly_chart(
        figure,
        theme=None,
        config=PLOT,
        key="baseline",
        alt="Event-free share of the training patients over time, Kaplan-Meier",
    )


def _stated_performance(rows: list[dict[str, Any]]) -> None:
    """What the card states, where no evaluation on held-out patients is kept with the model."""
    if rows:
        st.dataframe(performance_rows(rows), hide_index=True, height="content")
    st.caption(
        "No evaluation on held-out patients is kept with this model. "
        "To make one: `python -m core predict`, then `python -m core evaluate`."
    )


def _calibration(bundle: Bundle, horizons: dict[str, Any], who: str) -> None:
    day = st.segmented_control(
        "Calibration by",
        list(horizons),
        default=next(iter(horizons)),
        required=True,
        format_func=lambda days: duration(float(days)),
        key=f"calibration_{bundle.digest[:8]}",
    )
    entry = horizons[str(day)]
    words = calibration_words(entry, who)
    figure = calibration_figure(entry, fusion=bundle.fusion)
    if figure is not None:
        figure = finish(figure, ink=session.ink(), height=360, margin={"l": 60, "r": 10, "t": 30, "b": 60})
        st.plotly_chart(figure, theme=None, config=PLOT, key="calibration", alt=words)
    st.caption(words)


router.ensure_router()
main()
