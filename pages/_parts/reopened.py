"""An exported case that was opened again: the question and the view that it was exported with."""

from __future__ import annotations

from html import escape

import streamlit as st

from core import session
from core.case import Case
from core.errors import UserFacingError
from core.explain.methods import CARDS
from core.view.choices import ModelChoice, of_task
from pages._parts import bound

SAYS = "reopened_says"
GONE = "The model that this case was exported with is not installed here; the first one of the task answers instead."
CHANGED = "The model that this case was exported with has changed since; the first one of the task answers instead."
NO_TASK = "No model of the task that this case was exported with is installed here."


def ask(case: Case) -> None:
    """Put the question of an exported case into the pickers, once, before they are drawn; what cannot be asked any more
    is kept to be said."""
    asked = session.reopened()
    st.session_state.pop(SAYS, None)
    if asked is None:
        return
    models = of_task(session.model_choices(), asked.task)
    found = next((model for model in models if model.key == asked.model), None)
    same = found is not None and _digest(found) == asked.model_sha256
    if models:
        st.session_state["fusion"] = found.name if found is not None and same else models[0].name
    if not same:
        st.session_state[SAYS] = NO_TASK if not models else GONE if found is None else CHANGED
    st.session_state[f"horizon_{asked.task}"] = int(asked.horizon_days)
    if asked.method in CARDS:
        st.session_state["method"] = asked.method
    if asked.label:
        st.session_state[bound.of_case("label")] = asked.label


def say() -> None:
    """What of the question could not be asked again."""
    if session.reopened() is not None and (words := st.session_state.get(SAYS)):
        st.html(f'<p class="reopened" role="status">{escape(words)}</p>')


def _digest(model: ModelChoice) -> str:
    """What tells a model from what it was before; "" where it cannot be loaded."""
    try:
        return session.bundle(model.key).digest
    except UserFacingError:
        return ""
