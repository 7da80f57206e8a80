"""A CT from a DICOMweb server: sign in, search, choose a study and a series, receive it. Kept in this session only."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, TypeVar

import pandas as pd
import streamlit as st

from core.errors import UserFacingError
from core.load.dicomweb import DicomWebServer, SeriesRow, StudyRow, fetch_series, find_studies, list_series
from core.load.dicomweb_patient import other_patient
from core.load.entries import NamedBytes, Source
from core.view.loading import name_words, rows_html
from core.view.words import doubts_html, error_html, scroll_html
from core.words import count_of

MOST_STUDIES = 50
TALL = 300
"""Height in pixels from which on a table scrolls."""
HIDDEN = "••••"
AUTHORITY = (
    "A path on the machine that runs this app; only for https with a certificate of your own authority. "
    "Empty: the environment's REQUESTS_CA_BUNDLE, else the public authorities."
)
STORE = "store:pacs"
Row = TypeVar("Row")


class Picked(NamedTuple):
    """Files to be read: where they are, what they are in words, what speaks against them."""

    source: Source
    words: str
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What is searched for, and where."""

    server: DicomWebServer
    patient_id: str
    accession: str
    dates: tuple[date | None, date | None]


@dataclass
class Kept:
    """What this session knows of the server, dropped with the patient: of the last search, of the study whose series
    were listed, and of the series whose images were received. None: not asked for yet, or refused."""

    server: DicomWebServer | None = None
    studies: tuple[StudyRow, ...] | None = None
    study_uid: str = ""
    series: tuple[SeriesRow, ...] | None = None
    series_uid: str = ""
    files: list[NamedBytes] | None = None
    doubts: tuple[str, ...] = ()


def draw() -> Picked | None:
    """The form and what it leads to; the images once a series was received whole, with words for them."""
    kept: Kept = st.session_state.setdefault(STORE, Kept())
    if asked := _form():
        kept = st.session_state[STORE] = Kept()
        with _refusal_shown():
            kept.studies, kept.server = _search(asked), asked.server
    study, server = _pick_study(kept.studies), kept.server
    if study is None or server is None:
        return None
    if kept.study_uid != study.study_uid:
        kept.study_uid, kept.series, kept.files = "", None, None
        with _refusal_shown():
            kept.series = _series_of(server, study)
            kept.study_uid = study.study_uid
    if kept.series is None:
        st.button("Try again", key="pacs_again", icon=":material/refresh:", help="Look up the series once more")
        return None
    series = _pick_series(kept.series)
    if series is None:
        return None
    if st.button("Receive this series", key="pacs_receive", icon=":material/download:"):
        kept.files = None
        with _refusal_shown():
            kept.files = _receive(server, study, series)
            kept.series_uid, kept.doubts = series.series_uid, other_patient(study, kept.files)
    return _received(kept.files, kept.doubts) if kept.series_uid == series.series_uid else None


def _received(files: list[NamedBytes] | None, doubts: tuple[str, ...]) -> Picked | None:
    """Says what was received whole, and what speaks against it."""
    if files is None:
        return None
    words = f"{count_of(len(files), 'image')} from a DICOMweb server"
    st.caption(f"{words}. Received whole; kept in this session's memory only.")
    if doubts:
        st.html(doubts_html(doubts))
    return Picked(files, words, doubts)


@contextmanager
def _refusal_shown() -> Iterator[None]:
    """A refusal is shown, and ends what is done here."""
    try:
        yield
    except UserFacingError as error:
        st.html(error_html(error))


def _form() -> Asked | None:
    """What is searched for and where, once the reader asks."""
    with st.form("pacs", border=False):
        url = st.text_input("Address of the DICOMweb service", key="pacs_url", placeholder="https://pacs/dicom-web")
        first_way, its_secret, other_way = st.columns(3)
        user = first_way.text_input("User", key="pacs_user", autocomplete="off")
        password = its_secret.text_input("Password", type="password", key="pacs_password", autocomplete="off")
        token = other_way.text_input(
            "Or a token (Bearer)",
            type="password",
            key="pacs_token",
            autocomplete="off",
            help="In place of name and password. Sent to this server alone, in a header; kept in this session only.",
        )
        left, right = st.columns(2)
        number = left.text_input("Patient number", key="pacs_number", autocomplete="off")
        accession = right.text_input("Accession number", key="pacs_accession", autocomplete="off")
        left, right = st.columns(2)  # Tab goes row by row
        first = left.date_input("Examined from", value=None, min_value=date(1970, 1, 1), key="pacs_from")
        last = right.date_input("Examined to", value=None, min_value=date(1970, 1, 1), key="pacs_to")
        bundle = st.text_input("File with your authority's certificates (PEM)", key="pacs_ca", help=AUTHORITY)
        st.caption("Number, accession and dates are sent to this server as part of the address, and to no other.")
        if not st.form_submit_button("Search", key="pacs_search", icon=":material/search:"):
            return None
    try:
        server = DicomWebServer(
            url, user.strip() or None, password or None, token=token.strip() or None, ca_bundle=bundle.strip() or None
        )
    except UserFacingError as error:
        st.html(error_html(error))
        return None
    return Asked(server, number, accession, (first, last))


def _search(asked: Asked) -> tuple[StudyRow, ...]:
    with st.spinner("Searching", show_time=True):
        return find_studies(
            asked.server,
            patient_id=asked.patient_id,
            accession=asked.accession,
            study_date=asked.dates,
            limit=MOST_STUDIES,
            cancelled=_pulse(),
        )


def _pulse() -> Callable[[], bool]:
    """To be called while waiting: never says stop, but lets a page that is left or run again end the wait."""
    slot = st.empty()

    def beat() -> bool:
        slot.empty()
        return False

    return beat


def _pick_study(studies: Sequence[StudyRow] | None) -> StudyRow | None:
    if studies is None:
        return None
    if not studies:
        st.html('<p class="dim">No study matches. Numbers must be whole and exactly as the server knows them.</p>')
        return None
    more = f" The first {MOST_STUDIES} are listed; narrow the search." if len(studies) == MOST_STUDIES else ""
    st.caption("1 study found." if len(studies) == 1 else f"{len(studies)} studies found. Choose one.{more}")
    shown = st.toggle("Show names, numbers and dates", key="pacs_names")
    uids = [row.study_uid for row in studies]
    return _chosen(study_table(studies, shown), studies, _key("pacs_studies", uids))


def study_table(studies: Sequence[StudyRow], shown: bool) -> pd.DataFrame:
    """Rows to show; what names a person leaves this machine only where `shown`."""
    days = pd.to_datetime(pd.Series([row.study_date for row in studies]), format="%Y%m%d", errors="coerce")
    return pd.DataFrame(
        {
            "Patient": [name_words(row.patient_name) if shown else HIDDEN for row in studies],
            "Number": [row.patient_id if shown else HIDDEN for row in studies],
            "Accession": [row.accession if shown else HIDDEN for row in studies],
            "Date" if shown else "Days before the latest": days.dt.date if shown else _back(days),
            "Study": [row.description for row in studies],
            "Modalities": [", ".join(row.modalities) for row in studies],
            "Series": pd.array([row.series for row in studies], dtype="Int64"),
        }
    )


def _back(days: pd.Series[pd.Timestamp]) -> pd.Series[int]:
    return (days.max() - days).dt.days.astype("Int64")


def _series_of(server: DicomWebServer, study: StudyRow) -> tuple[SeriesRow, ...]:
    with st.spinner("Looking up the series", show_time=True):
        return list_series(server, study.study_uid, cancelled=_pulse())


def _pick_series(series: Sequence[SeriesRow]) -> SeriesRow | None:
    scans = [row for row in series if row.modality == "CT"]
    others = len(series) - len(scans)
    if series:
        besides = f"; {others} of other modalities left out" if others else ""
        st.caption(f"{len(scans)} CT series in this study{besides}.{' Choose one.' if len(scans) > 1 else ''}")
    if not scans:
        return None
    table = pd.DataFrame(
        {
            "Series": [row.description for row in scans],
            "Series number": pd.array([row.number for row in scans], dtype="Int64"),
            "Images": pd.array([row.instances for row in scans], dtype="Int64"),
            "Kernel": [row.kernel for row in scans],
        }
    )
    return _chosen(table, scans, _key("pacs_series", [row.series_uid for row in scans]))


def _key(name: str, uids: Sequence[str]) -> str:
    """A widget's key for exactly these rows in this order: a number chosen among others must not choose among these.

    It stands in the page's markup, and so tells no UID.
    """
    return f"{name}_{hashlib.sha256(' '.join(uids).encode()).hexdigest()[:16]}"


def _chosen(table: pd.DataFrame, rows: Sequence[Row], key: str) -> Row | None:
    """The row the reader selected; the only one where there is one."""
    st.html(scroll_html(rows_html(table), "Found on the server", TALL))
    if len(rows) == 1:
        return rows[0]
    number = st.pills("Number in the table", range(1, len(rows) + 1), key=key)
    return rows[number - 1] if number else None


def _receive(server: DicomWebServer, study: StudyRow, series: SeriesRow) -> list[NamedBytes]:
    """All images, with a bar and a way to stop; leaving or stopping keeps nothing."""
    slot, words, started = st.empty(), "Receiving the series", time.monotonic()
    line, button = slot.columns([5, 1], vertical_alignment="center", gap="small")
    bar = line.progress(0.0, words)
    button.button("Stop", key="pacs_stop")

    share = 0.0

    def tell(done: float) -> None:
        nonlocal share
        share = done

    def beat() -> bool:  # each drawing lets the page end here, while the server is silent too
        bar.progress(share, f"{words}: {share:.0%}, {time.monotonic() - started:.0f} s")
        return False

    try:
        return fetch_series(server, study.study_uid, series.series_uid, progress=tell, cancelled=beat)
    finally:
        slot.empty()
