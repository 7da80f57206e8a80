"""Where the CT and the record are: uploads, paths on the server, a DICOMweb server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core import session
from core.bundle_folder import expanded
from core.case import Intake
from core.case.reopened import ExportedCase, exported_case
from core.errors import UserFacingError
from core.intake.files.allowed import allowed_path, allowed_roots
from core.view.loading import size_words
from core.view.words import error_html
from core.wording import count_of
from pages._parts import pacs
from pages._parts.pacs import Picked

ON_SERVER = "Path on the server"
CT_WORDS = "A DICOM series (files, folder, .zip, .tar and its .gz, .bz2, .xz) or a NIfTI volume (.nii, .nii.gz)"
RECORD_WORDS = "MEDS parquet, OMOP tables, a FHIR bundle, CSV or JSON lines"


def pick() -> Intake | None:
    """The pickers; an intake once the reader asks for it to be read."""
    left, right = st.columns(2, gap="large")
    with left, st.container(key="pick_ct"):
        ct = _pick_ct()
    with right, st.container(key="pick_record"):
        events = _pick_record()
    if not st.button("Read", type="primary", disabled=ct is None and events is None, key="read"):
        return None
    scan, scan_words, doubts = ct or (None, "", ())
    record, record_words, _ = events or (None, "", ())
    try:
        exported = exported_case(scan, record)
    except UserFacingError as error:
        st.html(error_html(error))
        return None
    if exported is not None:
        return _exported(exported)
    return Intake(scan, record, scan_words, record_words, doubts)


def _exported(found: ExportedCase) -> Intake:
    """The scan and the record of an exported case, to be read as any others are."""
    sizes = (part and f"From an exported case, {size_words(len(part[1]))}" for part in (found.scan, found.record))
    scan_words, record_words = (words or "" for words in sizes)
    return Intake(found.scan, found.record, scan_words, record_words, exported=found, day_zero=found.day_zero)


def _pick_ct() -> Picked | None:
    st.html('<h2 class="section">CT</h2>')
    ways = ["Upload", "Upload a folder", *_server_ways(), "DICOMweb"]
    how = _choose("Where the CT is", ways, "ct_how")
    if how == "DICOMweb":
        return pacs.draw()
    if how == ON_SERVER:
        return _path("Path of the folder, file or archive", "ct_path", "/data/studies/ct")
    return _upload(CT_WORDS, f"ct_{how}", "directory" if how == "Upload a folder" else True)


def _pick_record() -> Picked | None:
    st.html('<h2 class="section">Record</h2>')
    how = _choose("Where the record is", ["Upload", *_server_ways()], "record_how")
    if how == ON_SERVER:
        return _path("Path of the file or folder", "record_path", "/data/events.parquet")
    return _upload(RECORD_WORDS, "record", True)


def _choose(label: str, ways: list[str], key: str) -> str:
    chosen = st.segmented_control(
        label, ways, default=ways[0], required=True, key=key, label_visibility="collapsed", persist_state="session"
    )
    return str(chosen or ways[0])


def _path(label: str, key: str, example: str) -> Picked | None:
    folders = " or ".join(map(str, _folders()))
    told = f"Read where it lies, below {folders}; nothing is copied or changed."
    text = st.text_input(label, key=key, placeholder=example, help=told)
    if not text.strip():
        return None
    try:
        return Picked(allowed_path(expanded(text.strip()), _folders()), "From the server")
    except UserFacingError as error:
        st.html(error_html(error))
        return None


def _folders() -> tuple[Path, ...]:
    return allowed_roots(os.environ, st.get_option("server.address"))


def _server_ways() -> list[str]:
    """Paths are offered only where whoever starts the app lets some be read."""
    return [ON_SERVER] if _folders() else []


def _upload(words: str, key: str, many: Literal[True, "directory"]) -> Picked | None:
    files: list[UploadedFile] = st.file_uploader(
        words, accept_multiple_files=many, key=f"{key}_{session.upload_round()}"
    )
    if not files:
        return None
    size = size_words(sum(file.size for file in files))
    return Picked([(file.name, file.getvalue()) for file in files], f"{count_of(len(files), 'file')}, {size}")
