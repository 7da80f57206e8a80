"""The quality gate, under the header: what an expert would check before believing the curve."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import session
from core.case import Case
from core.errors import UserFacingError
from core.view.quality import CHECKING_HTML, quality_html


def place() -> DeltaGenerator:
    """Where the verdicts will stand; until then it says that they are being made."""
    line = st.container(key="quality").empty()
    line.html(CHECKING_HTML)
    return line


def draw(case: Case, bundle_key: str | None, place: DeltaGenerator) -> None:
    """Verdicts on a case, for a model or (None) by themselves; by themselves, too, where the model cannot be had, which
    is told where the curve would be."""
    for key in (bundle_key, None):
        try:
            place.html(quality_html(session.answers().quality(case, key)))
            return
        except UserFacingError:
            place.empty()
