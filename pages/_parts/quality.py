"""The quality gate, under the header: what an expert would check before believing the curve."""

from __future__ import annotations

from streamlit.delta_generator import DeltaGenerator

from core import session
from core.errors import UserFacingError
from core.intake import Case
from core.view.quality import quality_html


def draw(case: Case, bundle_key: str | None, place: DeltaGenerator) -> None:
    """Verdicts on a case, for a model or (None) by themselves; a refusal is told where the curve would be."""
    try:
        place.html(quality_html(session.quality(case, bundle_key)))
    except UserFacingError:
        place.html('<div class="quality"></div>')
