"""Open your own: a CT from a server folder or an upload, a record from a file; described back before it opens."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from core import session
from core.errors import UserFacingError
from core.load import SeriesSummary
from core.session import Case
from core.view.words import error_html

ARCHIVES = "A DICOM series (files, folder or .zip/.tar.gz) or a NIfTI volume (.nii, .nii.gz)"


@st.dialog("Open your own case", width="large", on_dismiss="rerun")
def open_own() -> None:
    """The dialog. Files stay in this session's memory and are dropped with it."""
    st.caption("Files are read in memory, stay in this session and are dropped when it ends or another case is opened.")
    scan, record = st.columns(2, gap="large")
    with scan:
        source = _pick_scan()
        series = _pick_series(source)
    with record:
        events = _pick_record()
        subject, when = _pick_subject(events)
    ready = source is not None or events is not None
    if st.button("Open this case", type="primary", disabled=not ready, key="own_open"):
        _open(source, series, events, subject, when)


def _pick_scan() -> object | None:
    st.html('<h2 class="section">CT</h2>')
    how = st.segmented_control(
        "Where the CT is",
        ["Upload", "Upload a folder", "Folder on the server"],
        default="Upload",
        required=True,
        key="own_how",
        label_visibility="collapsed",
    )
    if how == "Folder on the server":
        path = st.text_input("Path on the server", key="own_path", placeholder="/data/studies/ct", help=ARCHIVES)
        return Path(path).expanduser() if path.strip() else None
    many = "directory" if how == "Upload a folder" else True
    files = st.file_uploader(ARCHIVES, accept_multiple_files=many, key=f"own_ct_{how}")
    return [(f"{n:05d}{_suffix(file.name)}", file.getvalue()) for n, file in enumerate(files)] if files else None


def _suffix(name: str) -> str:
    """File endings only: names can hold a patient's."""
    return "".join(Path(name).suffixes[-2:]) if len(name) < 255 else ""


def _pick_series(source: object | None) -> str | None:
    if source is None:
        return None
    try:
        with st.spinner("Looking for CT series", show_time=True):
            series = session.series_in(source)
    except UserFacingError as error:
        st.html(error_html(error))
        return None
    if len(series) < 2:
        return None
    st.caption(f"{len(series)} CT series found. Choose one.")
    names = {item.key: _series_words(item) for item in series}
    return str(
        st.radio("Series", list(names), format_func=names.__getitem__, key="own_series", label_visibility="collapsed")
    )


def _series_words(item: SeriesSummary) -> str:
    spacing = (
        "spacing in doubt"
        if item.spacing_mm is None
        else " \u00d7 ".join(f"{mm:.2g}" for mm in item.spacing_mm) + " mm"
    )
    kernel = f", kernel {item.kernel}" if item.kernel else ""
    return f"{item.description or 'CT series'}: {item.slices} slices, {spacing}{kernel}"


def _pick_record() -> object | None:
    st.html('<h2 class="section">Record</h2>')
    how = st.segmented_control(
        "Where the record is",
        ["Upload", "File on the server"],
        default="Upload",
        required=True,
        key="own_record_how",
        label_visibility="collapsed",
    )
    if how == "File on the server":
        path = st.text_input("Path of the file", key="own_record_path", placeholder="/data/events.parquet")
        return Path(path).expanduser() if path.strip() else None
    file = st.file_uploader("Events as MEDS parquet or CSV", type=["parquet", "csv"], key="own_record")
    return (f"events{_suffix(file.name)}", file.getvalue()) if file else None


def _pick_subject(events: object | None) -> tuple[int | None, pd.Timestamp | None]:
    if events is None:
        return None, None
    try:
        subjects = session.subjects_in(events)
    except UserFacingError as error:
        st.html(error_html(error))
        return None, None
    subject = next(iter(subjects), None)
    if len(subjects) > 1:
        label = f"Patient, of {len(subjects)} in the file"
        subject = st.selectbox(label, list(subjects), format_func=subjects.__getitem__, key="own_subject")
    when = st.datetime_input("Day 0 (leave empty for the last event)", value=None, key="own_when")
    return subject, None if when is None else pd.Timestamp(when)


def _open(
    source: object | None, series: str | None, events: object | None, subject: int | None, when: pd.Timestamp | None
) -> None:
    """Read both, describe them, put them on screen."""
    try:
        with st.status("Reading", expanded=True) as status:
            study = session.read_scan(
                source, series, lambda share, words: status.update(label=f"{words} ({share:.0%})")
            )
            timeline = session.read_record(events, subject, when)
            status.update(label="Read", state="complete")
    except UserFacingError as error:
        st.html(error_html(error))
        return
    session.set_case(Case("Your own case", study, timeline, fabricated=study is not None and timeline is not None))
    st.rerun()
