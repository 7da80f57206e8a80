"""The model's answer: the curve first, then the saliency, which takes longer."""

from __future__ import annotations

import time

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import VIRTUAL_WATERMARK, session
from core.errors import UserFacingError
from core.export.style import duration
from core.records import CaseReview
from core.session import Case
from pages._parts import survival
from pages._parts.header import Asked


def draw(case: Case, asked: Asked | None, busy: DeltaGenerator) -> CaseReview | None:
    """The right panel; returns the review with its saliency, None where no model answered."""
    if asked is None:
        survival.draw_missing_model()
        return None
    horizon, alone = survival.pick_horizon(asked)
    try:
        review = session.review(case, asked.model.key, horizon, None)
        survival.draw(case, asked, review, alone)
        return _explained(case, asked, horizon, busy)
    except UserFacingError as error:
        survival.draw_refused(error)
        return None


def _explained(case: Case, asked: Asked, horizon: int, busy: DeltaGenerator) -> CaseReview:
    """The review with saliency; says what is computed, for how long, and stops when told to or asked something else."""
    key, method = asked.model.key, asked.method
    if (
        asked.model.fusion == "ehr_only"
        or case.study is None
        or session.was_stopped((case.digest, key, horizon, method))
    ):
        return session.review(case, key, horizon, None)
    if session.is_reviewed(case, key, horizon, method):
        return session.review(case, key, horizon, method)
    words, started = f"Saliency of the risk by {duration(horizon)}", time.monotonic()
    slot = busy.empty()
    line, button = slot.columns([4, 1], vertical_alignment="center", gap="small")
    bar = line.progress(0.0, words)
    button.button("Stop", key="stop", on_click=session.stop, args=((case.digest, key, horizon, method),))

    def tell(share: float) -> None:
        bar.progress(min(1.0, share), f"{words}: {share:.0%}, {time.monotonic() - started:.0f} s")

    result = session.review(case, key, horizon, method, tell)
    slot.empty()
    return result


def overlay(case: Case, asked: Asked | None, review: CaseReview | None) -> None:
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
    with st.container(key="overlay_feed"):
        session.show_overlay(case.study, review, reason=reason, watermark=VIRTUAL_WATERMARK if virtual else "")
