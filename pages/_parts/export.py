"""Export: the figure and the saliency, made when asked for, each with its sidecar."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core import session
from core.records import CaseReview
from core.session import Case
from pages._parts.header import Asked

KINDS = {
    "figure.png": ("PNG, 300 dpi", "image/png"),
    "figure.svg": ("SVG", "image/svg+xml"),
    "figure.pdf": ("PDF", "application/pdf"),
    "saliency.nii.gz": ("Saliency, NIfTI", "application/gzip"),
    "provenance.json": ("Sidecar, JSON", "application/json"),
}


@st.fragment
def draw(case: Case, asked: Asked, review: CaseReview) -> None:
    """One row of download buttons; files are made on the click, at the slice and window on screen."""
    files = session.exports(case, asked.model.key, review)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="export"):
        st.html('<h2 class="section">Export</h2>', width="content")
        for name, (title, mime) in KINDS.items():
            if name in files.names:
                _button(title, name, mime, lambda name=name: files.file(name))
        _button("All in one zip", "case_review.zip", "application/zip", files.archive)
        st.caption("At the slice and window on screen; notice, model, method and versions are burned in.")


def _button(title: str, name: str, mime: str, make: Callable[[], bytes]) -> None:
    st.download_button(title, make, file_name=name, mime=mime, on_click="ignore", key=f"export_{name}")
