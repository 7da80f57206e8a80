"""Right panel: the curve, the risk in words, what to beware of."""

from __future__ import annotations

import streamlit as st

from core import session
from core.case import Case
from core.errors import UserFacingError
from core.export.panels import risk_sentence
from core.export.style import fusion_title
from core.fuse import reads_of
from core.records import EHR, CaseReview, SurvivalCurve
from core.view.choices import single_modality
from core.view.risk_words import risk_words_html, risks_html, values_html
from core.view.survival import curve_figure, legend_html
from core.view.words import empty_html, error_html, notices_html
from core.wording import duration
from pages._parts import comparison
from pages._parts.header import Asked

PLOT = {"displayModeBar": False, "responsive": True, "showTips": False}


def pick_horizon(asked: Asked) -> tuple[int, bool]:
    """(horizon in days, show single-modality curves): the controls above the curve."""
    days = list(asked.task.horizons_days)
    key = f"horizon_{asked.task.name}"
    if st.session_state.get(key) not in days:
        st.session_state[key] = days[len(days) // 2]
    row = st.container(horizontal=True, vertical_alignment="center", gap="small", key="asked")
    if len(days) > 1:
        row.segmented_control(
            "Risk within",
            days,
            key=key,
            required=True,
            format_func=duration,
            label_visibility="collapsed",
            help="The horizon of the risk, of the saliency and of the events' effects",
            persist_state="session",
        )
    else:
        row.html(f'<p class="dim">Risk within {duration(days[0])}</p>')
    alone = row.toggle("CT only and record only", key="alone", persist_state="session")
    with row:
        comparison.pick()
    return int(st.session_state[key]), bool(alone)


def draw(case: Case, asked: Asked, review: CaseReview, alone: bool) -> None:
    """Curve, headline, notices."""
    bundle = session.bundle(asked.model.key)
    others = _single_curves(case, asked) if alone else []
    figure = curve_figure(review, bundle.baseline, others=others, virtual=bundle.virtual, ink=session.ink())
    told = f"{risk_sentence(review, bundle.baseline)}."
    values = values_html(review, bundle.baseline, others)
    st.html(f'<div class="curve-head">{legend_html(figure)}{values}</div>')
    with st.container(key="answer", horizontal=True, wrap=False, height="stretch", gap="small"):
        st.plotly_chart(
            figure,
            key="curve",
            theme=None,
            width="stretch",
            height="stretch",
            config=PLOT,
            alt=f"Predicted probability free of {review.task.event_words}, with band, and the training cohort's. "
            f"{told} The table \u201cValues\u201d gives the numbers.",
        )
        st.html(risks_html(review, bundle.baseline), width="content")
    st.html(risk_words_html(review, bundle.baseline))
    if review.notices:
        st.html(notices_html(review.notices))


def draw_missing_model() -> None:
    """No bundle is installed for this task."""
    lines = ("The app found no model bundle for this task in assets/bundles.", "Build them with: make models")
    st.html(empty_html("panel", "No model is installed", lines))


def draw_nothing_read(case: Case, review: CaseReview) -> None:
    """No curve: the model would say the same of anybody."""
    lines = []
    if case.timeline is not None and EHR in reads_of(review.fusion):
        learned = "codes such as ICD10CM//I26.99, LOINC//718-7 and ATC//B01AA03"
        lines.append(f"It knows none of this record's codes; it learned {learned}.")
    lines.append("Choose a model that reads what there is, or load what this one reads.")
    st.html(empty_html("answer", "This model reads nothing of this patient", lines))


def draw_after_death() -> None:
    """No curve: it would begin after the patient's death."""
    lines = (
        "The record says so: no curve from then on would be about this patient.",
        "On Load, set day 0 to a time before the death, and open the case again.",
    )
    st.html(empty_html("answer", "The patient had died by day 0", lines))


def draw_error(error: UserFacingError, kind: str = "panel") -> None:
    """Why there is no answer: a case that cannot be read, or (kind "answer") one the model refused."""
    st.html(f'<div class="empty {kind}" role="alert"><div style="text-align:left">{error_html(error)}</div></div>')


def _single_curves(case: Case, asked: Asked) -> list[tuple[str, SurvivalCurve]]:
    beside = single_modality(session.model_choices(), asked.model)
    curves = session.answers().compared(case, {fusion: made.key for fusion, made in beside.items() if made})
    without_input = [fusion for fusion, made in beside.items() if made and fusion not in curves]
    without_model = [fusion for fusion, made in beside.items() if made is None]
    for fusions, why in (
        (without_input, "this case lacks that input"),
        (without_model, "there is no such model beside this one"),
    ):
        if fusions:
            names = " and ".join(fusion_title(fusion) for fusion in fusions)
            st.caption(f"{names}: no curve, as {why}.")
    return list(curves.items())
