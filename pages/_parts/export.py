"""Export: the figure and the saliency, made when asked for, each with its sidecar."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

import streamlit as st

from core import session
from core.errors import UserFacingError
from core.intake import Case
from core.records import CaseReview
from core.view.words import error_html
from pages._parts.header import Asked

KINDS = {
    "figure.png": ("PNG, 300 dpi", "image/png"),
    "figure.svg": ("SVG", "image/svg+xml"),
    "figure.pdf": ("PDF", "application/pdf"),
    "saliency.nii.gz": ("Saliency, NIfTI", "application/gzip"),
    "provenance.json": ("Sidecar, JSON", "application/json"),
}
BURNED_IN = "At the slice and window on screen; notice, model, method and versions are burned in."
WAITING = "Ready once the saliency is computed, or stopped."


@st.fragment
def draw(case: Case, asked: Asked, review: CaseReview, *, waiting: bool) -> None:
    """One row of download buttons; files are made on the click, at the slice and window on screen.

    waiting: the saliency is still being computed; nothing is made without it before that is over or stopped.
    """
    if refusal := session.export_block(case):
        _blocked(refusal)
        return
    files = session.exports(case, asked.model.key, review)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="export"):
        st.html('<h2 class="section">Export</h2>', width="content")
        coming = {"saliency.nii.gz"} if waiting else set()
        for name, (title, mime) in KINDS.items():
            if name in {*files.names, *coming}:
                _button(title, name, mime, partial(files.file, name), waiting)
        _button("All in one zip", "case_review.zip", "application/zip", files.archive, waiting)
        st.caption(WAITING if waiting else BURNED_IN)


def _blocked(refusal: UserFacingError) -> None:
    """Why nothing can be taken away, and where that is decided."""
    with st.container(key="export_blocked"):
        st.html(f'<h2 class="section">Export</h2>{error_html(refusal)}')
        st.page_link("pages/load.py", label="Go to Load", icon=":material/arrow_forward:")


def _button(title: str, name: str, mime: str, make: Callable[[], bytes], waiting: bool) -> None:
    st.download_button(
        title, make, file_name=_tagged(name), mime=mime, on_click="ignore", key=f"export_{name}", disabled=waiting
    )


def _tagged(name: str) -> str:
    """The name with a word of this session only: a download's address is a hash of its name and of parts of its bytes,
    and files of two sessions must never meet there."""
    tag = st.session_state.setdefault("export_tag", secrets.token_hex(6))
    stem, dot, suffix = name.partition(".")
    return f"{stem}_{tag}{dot}{suffix}"
