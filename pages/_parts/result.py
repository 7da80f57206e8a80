"""The model's answer: the curve first, then the saliency, which takes longer."""

from __future__ import annotations

import time

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import VIRTUAL_WATERMARK, session
from core.errors import UserFacingError
from core.export.style import duration
from core.intake import Case
from core.records import CaseReview
from pages._parts import quality, survival
from pages._parts.header import Asked

UNASKED = "no model"


def draw(
    case: Case, asked: Asked | None, busy: DeltaGenerator, verdicts: DeltaGenerator
) -> tuple[CaseReview | None, str]:
    """The right panel, then the quality gate, which must not keep the curve waiting, then the saliency.

    Returns the review with its saliency (None where no model answered) and the question asked.
    """
    if asked is None:
        survival.draw_missing_model()
        quality.draw(case, None, verdicts)
        return None, UNASKED
    horizon, alone = survival.pick_horizon(asked)
    method = _method(case, asked, horizon)
    question = UNASKED
    try:
        question = session.question_of(asked.model.key, horizon, method)
        with st.container(key="overlay_expect"):
            session.expect_overlay(question)
        survival.draw(case, asked, session.answer(case, asked.model.key, horizon), alone)
        quality.draw(case, asked.model.key, verdicts)
        return _explained(case, asked.model.key, horizon, method, busy), question
    except UserFacingError as error:
        survival.draw_refused(error)
        quality.draw(case, asked.model.key, verdicts)
        return None, question


def _method(case: Case, asked: Asked, horizon: int) -> str | None:
    """How to explain, None where there is nothing to explain or the reader stopped it."""
    stopped = session.was_stopped((case.digest, asked.model.key, horizon, asked.method))
    return None if stopped or case.study is None or asked.model.fusion == "ehr_only" else asked.method


def _explained(case: Case, key: str, horizon: int, method: str | None, busy: DeltaGenerator) -> CaseReview:
    """The review with saliency; says what is computed, for how long, and stops when told to or asked something else."""
    if method is None or session.is_reviewed(case, key, horizon, method):
        return session.review(case, key, horizon, method)
    words, started = f"Saliency of the risk by {duration(horizon)}", time.monotonic()
    slot = busy.empty()
    line, button = slot.columns([4, 1], vertical_alignment="center", gap="small")
    bar = line.progress(0.0, words)
    button.button("Stop", key="stop", on_click=session.stop, args=((case.digest, key, horizon, method),))

    def tell(share: float) -> None:
        bar.progress(min(1.0, share), f"{words}: {share:.0%}, {time.monotonic() - started:.0f} s")

    review = session.review(case, key, horizon, method, tell)
    slot.empty()
    return review


def overlay(case: Case, asked: Asked | None, review: CaseReview | None, question: str) -> None:
    """Send saliency and slice strip to the viewer, or say why there is none."""
    if case.study is None:
        return
    reason = ""
    if asked is None or review is None:
        reason = "No saliency: no model result."
    elif review.fusion == "ehr_only":
        reason = "No saliency: this model reads the record only."
    elif review.saliency is None:
        reason = "Saliency stopped. Choose another horizon or method to compute it."
    virtual = bool(asked and review and session.bundle(asked.model.key).virtual)
    mark = VIRTUAL_WATERMARK if virtual else ""
    with st.container(key="overlay_feed"):
        session.show_overlay(case.study, review, question=question, reason=reason, watermark=mark)
