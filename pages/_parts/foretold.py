"""What the Futures page needs of the app: the event model, shared by all sessions, and a fusion model's curve."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from core import session
from core.case import Case
from core.case.background import Question
from core.errors import UserFacingError
from core.foresee.train import TrainedEventModel, load_event_model
from core.records import MODALITIES, SurvivalCurve
from core.view.words import error_html

EVENT_MODEL = "CT_SURVIVAL_EVENT_MODEL"
"""Environment variable that names an own event model, which `pretrain --method events` wrote."""
SHIPPED = Path(__file__).resolve().parents[2] / "assets" / "event_model"


@st.cache_resource(show_spinner=False, max_entries=1)
def event_model(path: str) -> TrainedEventModel:
    """An event model, verified and loaded once for all sessions (weights only, never a patient)."""
    return load_event_model(path)


def is_offered() -> bool:
    """Is there an event model, shipped or named? Without one the page is not offered."""
    return bool(os.environ.get(EVENT_MODEL)) or SHIPPED.is_dir()


def model_or_words() -> tuple[TrainedEventModel | None, str]:
    """The event model of the installation, or why it cannot be used, as HTML."""
    try:
        return event_model(os.environ.get(EVENT_MODEL, "") or str(SHIPPED)), ""
    except UserFacingError as error:
        return None, error_html(error)


def fusion_curve(case: Case, horizon_days: int) -> tuple[SurvivalCurve | None, str]:
    """The curve of the model that Case review showed last, and what it read; None where it showed none."""
    key = st.session_state.get("model_reviewed")
    choices = {choice.key: choice for choice in session.model_choices()}
    if key not in choices:
        return None, ""
    read = " and ".join(MODALITIES[name].word for name in choices[key].reads if name in MODALITIES)
    try:
        review = session.answers().curve(case, Question(case.digest, key, float(horizon_days), None))
    except UserFacingError:
        return None, ""
    return review.curve, read
