"""Export: the figure and the saliency, made when asked for, each with its sidecar."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Literal

import streamlit as st

from core import session
from core.case import Case, Job
from core.errors import UserFacingError
from core.records import CaseReview
from core.view.exporting import ZIP_WORDS, Exports
from core.view.loading import size_words
from core.view.words import error_html
from pages._parts import label, watching
from pages._parts.header import Asked

KINDS = {
    "figure.png": ("PNG, 300 dpi", "image/png"),
    "figure.svg": ("SVG", "image/svg+xml"),
    "figure.pdf": ("PDF", "application/pdf"),
    "saliency.nii.gz": ("Saliency, NIfTI", "application/gzip"),
    "provenance.json": ("Sidecar, JSON", "application/json"),
}
ON_SCREEN = "At the slice and window on screen; notice, model and method are burned in; versions stand in the sidecar."
WITHOUT_CT = "Notice and model are burned in; versions stand in the sidecar."
WAITING = "Ready once the saliency is computed, or stopped."
READY = "The zip is saved; its figures show the slice and window that were on screen when it was asked for."
READY_WITHOUT_CT = "The zip is saved."
ZIP_HELP = (
    "All of these files, every model's answer, and {parts} themselves: what may identify stripped as you decided, "
    "dates moved. Given to Load, it opens this case again with this question and view."
)
SAVE_ONCE = """
<script>
(() => {
  const saved = (window.zipsSaved ||= new Set());
  const look = (left) => {
    const button = document.querySelector('[class*="st-key-export_case_review"] button:not([disabled])');
    if (saved.has("TOKEN") || (!button && !left)) return;
    if (!button) { setTimeout(look, 100, left - 1); return; }
    saved.add("TOKEN");
    button.click();
  };
  look(50);
})();
</script>
"""
"""Presses the button that saves a zip once it is drawn: the reader asked for it, and waits for nothing else."""


@st.fragment
def draw(case: Case, asked: Asked, review: CaseReview, *, waiting: bool) -> None:
    """One row of buttons; files are made on the click, of a CT at the slice and window on screen.

    waiting: the saliency is still being computed; nothing is made without it before that is over or stopped.
    """
    if refusal := session.export_block(case):
        _blocked(refusal)
        return
    files = session.exports(case, asked.model.key, review, label.of(case))
    job = session.zipping().of(files)
    busy = job is not None and job.running
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="export"):
        st.html('<h2 class="section">Export</h2>', width="content")
        label.ask(case)
        coming = {"saliency.nii.gz"} if waiting else set()
        for name, (title, mime) in KINDS.items():
            if name in {*files.names, *coming}:
                _button(title, name, files.called(name), mime, partial(files.file, name), waiting or busy)
        _zip(case, files, job, waiting or busy)
        if job is not None and busy:
            _under_way(job)
        else:
            made = job is not None and job.result is not None
            st.caption(WAITING if waiting else _words(made=made, with_ct=case.study is not None))
    if job is not None and not busy and job.error:
        st.html(error_html(job.error))


def _words(*, made: bool, with_ct: bool) -> str:
    """What the files show."""
    if made:
        return READY if with_ct else READY_WITHOUT_CT
    return ON_SCREEN if with_ct else WITHOUT_CT


def _zip(case: Case, files: Exports, job: Job[bytes] | None, closed: bool) -> None:
    """The button that has everything made as one zip, which saves itself once it is there; its key is that of these
    files, so that a click on the one of another answer makes nothing of this. Where a browser saved nothing, it is
    saved by hand."""
    parts = " and ".join(["the scan"] * (case.study is not None) + ["the record"] * (case.timeline is not None))
    st.button(
        f"{ZIP_WORDS}, with {parts.replace('the ', '')}",
        key=f"make_zip_{files.number}",
        disabled=closed,
        on_click=session.zipping().start,
        args=(files,),
        help=ZIP_HELP.format(parts=parts),
    )
    if job is not None and (made := job.result) is not None:
        title, name = f"Save it again, {size_words(len(made))}", "case_review.zip"
        _button(title, name, files.called(name), "application/zip", lambda: made, closed, kind="tertiary")
        st.html(SAVE_ONCE.replace("TOKEN", f"{_tag()}_{job.number}"), unsafe_allow_javascript=True)


def _under_way(job: Job[bytes]) -> None:
    """How far the zip is, and a way to do without it."""
    zipping = session.zipping()
    with st.container(key="zip_under_way"):
        watching.draw(job, lambda: zipping.job is job, zipping.stop, key="cancel_zip", label="Cancel")


def _blocked(refusal: UserFacingError) -> None:
    """Why nothing can be taken away, and where that is decided."""
    with st.container(key="export_blocked"):
        st.html(f'<h2 class="section">Export</h2>{error_html(refusal)}')
        st.page_link("pages/load.py", label="Go to Load", icon=":material/arrow_forward:")


def _button(
    title: str,
    name: str,
    called: str,
    mime: str,
    make: Callable[[], bytes],
    closed: bool,
    kind: Literal["secondary", "tertiary"] = "secondary",
) -> None:
    key, file_name = f"export_{name}", _tagged(called)
    st.download_button(
        title, make, file_name=file_name, mime=mime, on_click="ignore", key=key, disabled=closed, type=kind
    )


def _tagged(name: str) -> str:
    """The name with a word of this session only: a download's address is a hash of its name and of parts of its bytes,
    and files of two sessions must never meet there."""
    stem, dot, suffix = name.partition(".")
    return f"{stem}_{_tag()}{dot}{suffix}"


def _tag() -> str:
    return str(st.session_state.setdefault("export_tag", secrets.token_hex(6)))
