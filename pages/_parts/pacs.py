"""A CT from a DICOMweb server: sign in, search, choose a study and a series, receive it. Kept in this session only."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, NamedTuple, TypeVar

import pandas as pd
import streamlit as st

from core.case.background import Asking
from core.errors import UserFacingError
from core.intake.files.sources import NamedBytes, Source
from core.intake.pacs.client import DicomWebServer, SeriesRow, StudyRow, fetch_series, find_studies, list_series
from core.intake.pacs.patient_match import other_patient
from core.progress import Progress
from core.view.loading import name_words, rows_html
from core.view.words import doubts_html, error_html, scroll_html
from core.wording import count_of
from pages._parts import arriving, watching

MOST_STUDIES = 50
TALL = 300
"""Height in pixels from which on a table scrolls."""
HIDDEN = "••••"
AUTHORITY = (
    "A path on the machine that runs this app; only for https with a certificate of your own authority. "
    "Empty: the environment's REQUESTS_CA_BUNDLE, else the public authorities."
)
STORE, ASKING = "store:pacs", "store:asking"
SEARCHING, LISTING, RECEIVING = "Searching", "Looking up the series", "Receiving the series"
STUDIES = ("studies",)
"""What the server is asked for by a search; series and images are asked for with the UID of what holds them."""
AT_ONCE_S = 0.3
"""An answer that takes no longer is shown without a bar before it."""
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
    were listed, and of the series whose images were received. None: not asked for yet, refused or stopped."""

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
        _asking().start(STUDIES, SEARCHING, partial(_search, asked))
    if kept.studies is None and (answer := _answer(STUDIES)):
        kept.server, kept.studies = answer
    study, server = _pick_study(kept.studies), kept.server
    if study is None or server is None:
        return None
    series = _pick_series(_series(kept, server, study))
    return None if series is None else _images(kept, server, study, series)


def _asking() -> Asking:
    """What this session asks a server now; dropped with what it knows of one."""
    asking: Asking = st.session_state.setdefault(ASKING, Asking())
    return asking


def _answer(question: tuple[str, ...], told: str = "{words}") -> Any:
    """What came of a question; None where it was not asked, is under way (shown, with a way to stop it), was stopped or
    refused (said)."""
    asking = _asking()
    if asking.stopped(question):
        st.html(f'<p class="dim" role="status">{arriving.CANCELLED}</p>')
    job = asking.about(question)
    if job is None:
        return None
    if not job.wait(max(0.0, job.started + AT_ONCE_S - time.monotonic())):
        watching.draw(
            job, lambda: asking.about(question) is job, asking.stop, key="pacs_cancel", label="Cancel", told=told
        )
        return None
    if job.error is not None:
        st.html(error_html(job.error))
        return None
    asking.drop()  # the page keeps it from here
    return job.result


def _series(kept: Kept, server: DicomWebServer, study: StudyRow) -> tuple[SeriesRow, ...] | None:
    """Series of the study, asked for as soon as it is chosen."""
    question = ("series", study.study_uid)
    if kept.study_uid != study.study_uid:
        kept.study_uid, kept.series, kept.files = study.study_uid, None, None
        _asking().start(question, LISTING, partial(_series_of, server, study))
    if kept.series is None:
        kept.series = _answer(question)
    job = _asking().about(question)
    if kept.series is None and not (job and job.running):
        again = partial(_asking().start, question, LISTING, partial(_series_of, server, study))
        icon, words = ":material/refresh:", "Look up the series once more"
        st.button("Try again", key="pacs_again", icon=icon, help=words, on_click=again)
    return kept.series


def _images(kept: Kept, server: DicomWebServer, study: StudyRow, series: SeriesRow) -> Picked | None:
    """Images of the series, once the reader asks for them and they are there."""
    question = ("images", series.series_uid)
    job = _asking().about(question)
    if job is None:
        _asking().drop()  # another series was being received
    st.button(
        "Receive this series",
        key="pacs_receive",
        icon=":material/download:",
        disabled=job is not None and job.running,
        on_click=_begin_to_receive,
        args=(kept, server, study, series),
    )
    if answer := _answer(question, "{words}: {share:.0%}"):
        kept.files, kept.doubts = answer
    return _received(kept.files, kept.doubts) if kept.series_uid == series.series_uid else None


def _begin_to_receive(kept: Kept, server: DicomWebServer, study: StudyRow, series: SeriesRow) -> None:
    kept.series_uid, kept.files, kept.doubts = series.series_uid, None, ()
    _asking().start(("images", series.series_uid), RECEIVING, partial(_receive, server, study, series))


def _received(files: list[NamedBytes] | None, doubts: tuple[str, ...]) -> Picked | None:
    """Says what was received whole, and what speaks against it."""
    if files is None:
        return None
    words = f"{count_of(len(files), 'image')} from a DICOMweb server"
    st.caption(f"{words}. Received whole; kept in this session's memory only.")
    if doubts:
        st.html(doubts_html(doubts))
    return Picked(files, words, doubts)


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


def _search(asked: Asked, tell: Progress) -> tuple[DicomWebServer, tuple[StudyRow, ...]]:
    """Where it was searched, and what was found."""
    found = find_studies(
        asked.server,
        patient_id=asked.patient_id,
        accession=asked.accession,
        study_date=asked.dates,
        limit=MOST_STUDIES,
        cancelled=_beat(tell, SEARCHING),
    )
    return asked.server, found


def _beat(tell: Progress, words: str) -> Callable[[], bool]:
    """To be called while waiting: never says stop itself, but `tell` ends a job that was cancelled."""

    def beat() -> bool:
        tell(0.0, words)
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


def _series_of(server: DicomWebServer, study: StudyRow, tell: Progress) -> tuple[SeriesRow, ...]:
    return list_series(server, study.study_uid, cancelled=_beat(tell, LISTING))


def _pick_series(series: Sequence[SeriesRow] | None) -> SeriesRow | None:
    if series is None:
        return None
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


def _receive(
    server: DicomWebServer, study: StudyRow, series: SeriesRow, tell: Progress
) -> tuple[list[NamedBytes], tuple[str, ...]]:
    """All images, and what speaks against them."""
    share = 0.0

    def keep(done: float) -> None:
        nonlocal share
        share = done

    def beat() -> bool:  # while the server is silent too
        tell(share, RECEIVING)
        return False

    files = fetch_series(server, study.study_uid, series.series_uid, progress=keep, cancelled=beat)
    return files, other_patient(study, files)
