"""The quality gate, under the header: what an expert would check before believing the curve."""

from __future__ import annotations

import streamlit as st

from core import session
from core.errors import UserFacingError
from core.intake import Case
from core.view.quality import quality_html


def draw(case: Case, bundle_key: str | None) -> None:
    """Verdicts on a case, for a model or (None) by themselves; a refusal is told where the curve would be."""
    try:
        st.html(quality_html(session.quality(case, bundle_key)))
    except UserFacingError:
        st.html('<div class="quality"></div>')
