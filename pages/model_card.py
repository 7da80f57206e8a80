"""Model card: what a model is, how well it did on patients it had not seen, and where it must not be used."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core import session
from core.bundle import Bundle
from core.errors import UserFacingError
from core.export.style import FUSION_TITLES
from core.survive.card_plots import baseline_figure, calibration_figure, calibration_words, training_rows
from core.view.card import card_html, performance_rows
from core.view.layout import finish
from core.view.words import empty_html, error_html
from core.words import duration
from pages._parts import arriving

PLOT = {"displayModeBar": False}
SHOWN_ELSEWHERE = ("name", "performance", "schema_version")


def main() -> None:
    """Pick a model; performance left, the card right. Files that are being read are read on."""
    session.settle_intake()
    arriving.draw(None)
    models = session.model_choices()
    if not models:
        lines = ("The app found no model bundle in assets/bundles.", "Build them with: make models")
        st.html(empty_html("panel", "No model is installed", lines))
        return
    names = {
        choice.key: f"{session.task_card(choice).title}: {FUSION_TITLES.get(choice.fusion, choice.fusion)}"
        for choice in models
    }
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


def _performance(bundle: Bundle) -> None:
    evaluation = next(iter(bundle.metrics.get("models", {}).values()), None)
    who = "held-out virtual patients" if bundle.virtual else "held-out patients"
    count = "" if evaluation is None else f"{bundle.metrics['patients']:,} "
    st.html(f'<h2 class="section">How well it did on {count}{who}</h2>')
    if evaluation is not None:
        st.dataframe(training_rows(evaluation, events=bundle.metrics["events"]), hide_index=True, height="content")
        _calibration(bundle, evaluation["horizons"], who)
    elif bundle.card.get("performance"):
        st.dataframe(performance_rows(bundle.card["performance"]), hide_index=True)
    else:
        st.caption("No evaluation is stored with this model.")
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


session.ensure_router()
main()
