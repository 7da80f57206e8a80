"""CT series from a DICOMweb server: QIDO-RS to find, WADO-RS to load, STOW-RS to give back (DICOM PS3.18, chapter 10).

What is searched for (patient number, accession number, dates) and the UIDs of what is loaded become part of the
addresses asked of that server, as the standard wants it, and so may stand in its own logs. They go to no other machine,
and stand in no log, message or file of this program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset

from core.errors import UserFacingError
from core.load.dicom_scan import Malformed, Scan, scan
from core.load.dicomweb_rows import SeriesRow, StudyRow, is_uid, number_in, series_row, study_row, text_in, uid_in
from core.load.dicomweb_server import DicomWebServer
from core.load.dicomweb_wire import PATIENCE, Patience, Watch, open_client, run_watched
from core.load.dicomweb_words import LoadCancelled, LostConnection, not_dicomweb
from core.load.entries import NamedBytes
from core.load.limits import LIMITS, MIB, Limits, too_many_entries
from core.load.repairs import Repair
from core.load.study import load_study
from core.load.words import count_of
from core.records import CtStudy

__all__ = [
    "DicomWebServer",
    "LoadCancelled",
    "SeriesRow",
    "StudyRow",
    "fetch_series",
    "find_studies",
    "list_series",
    "load_series",
    "store_instances",
]

Share = Callable[[float], None]
Asked = Callable[[], bool]
_QUERY_BYTES = 32 * MIB
_PAGE = 1000
_SOP_UID, _SERIES_UID = 0x00080018, 0x0020000E
_RECEIVED_SHARE = 0.8


def find_studies(
    server: DicomWebServer,
    *,
    patient_id: str = "",
    accession: str = "",
    study_date: tuple[date | None, date | None] = (None, None),
    limit: int = 50,
    cancelled: Asked | None = None,
    patience: Patience = PATIENCE,
) -> tuple[StudyRow, ...]:
    """Studies that match everything given; () where there is none. study_date: (from, to), either may be open.

    The search becomes part of the address asked of the server (PS3.18, 10.6).
    Raises UserFacingError where nothing is searched for, or the server refuses, fails or is none.
    """
    first, last = (day.strftime("%Y%m%d") if day else "" for day in study_date)
    wanted = {"PatientID": _term(patient_id), "AccessionNumber": _term(accession)}
    wanted["StudyDate"] = f"{first}-{last}" if first or last else ""
    wanted = {name: text for name, text in wanted.items() if text}
    if not wanted:
        raise UserFacingError(
            "Nothing is searched for.", "a patient number, an accession number or a date", "Enter at least one of them."
        )

    def ask(client: DICOMwebClient) -> list[Any]:
        fields = ["StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries"]
        return client.search_for_studies(search_filters=wanted, fields=fields, limit=limit)

    rows = _query(server, ask, patience, cancelled)
    return tuple(study_row(row) for row in rows[:limit])


def list_series(
    server: DicomWebServer, study_uid: str, *, cancelled: Asked | None = None, patience: Patience = PATIENCE
) -> tuple[SeriesRow, ...]:
    """Every series of a study, those with most images first.

    Raises UserFacingError where the study holds none, or the server refuses, fails or is none.
    """
    _check_uids(study_uid)

    def ask(client: DICOMwebClient) -> list[Any]:
        fields = ["Modality", "SeriesDescription", "NumberOfSeriesRelatedInstances", "ConvolutionKernel"]
        return client.search_for_series(study_uid, fields=fields)

    rows = [series_row(row) for row in _query(server, ask, patience, cancelled)]
    if not rows:
        raise _gone("The study holds no series, or is no longer on the server.")
    return tuple(sorted(rows, key=lambda row: (-(row.instances or 0), row.series_uid)))


def load_series(
    server: DicomWebServer,
    study_uid: str,
    series_uid: str,
    *,
    progress: Share | None = None,
    cancelled: Asked | None = None,
    repairs: Collection[Repair] = (),
    limits: Limits = LIMITS,
    patience: Patience = PATIENCE,
) -> CtStudy:
    """Receive one series and read it through the same checks as a folder (`core.load.load_study`).

    progress: called with the share done, 0 to 1. cancelled: asked several times a second; True stops at once.
    Raises what `fetch_series` and `load_study` raise; there is either a whole study or none.
    """

    def received(share: float) -> None:
        if progress is not None:
            progress(share * _RECEIVED_SHARE)

    def reading(share: float, _: str) -> None:
        if cancelled is not None and cancelled():
            raise LoadCancelled
        if progress is not None:
            progress(_RECEIVED_SHARE + share * (1 - _RECEIVED_SHARE))

    files = fetch_series(
        server, study_uid, series_uid, progress=received, cancelled=cancelled, limits=limits, patience=patience
    )
    return load_study(files, repairs=repairs, progress=reading, limits=limits)


def fetch_series(
    server: DicomWebServer,
    study_uid: str,
    series_uid: str,
    *,
    progress: Share | None = None,
    cancelled: Asked | None = None,
    limits: Limits = LIMITS,
    patience: Patience = PATIENCE,
) -> list[NamedBytes]:
    """All images of a series as the server keeps them, (name, bytes) for `core.load`; complete, or an error.

    Each image is asked for by its own UID and must be that image. The list of images is taken before and after: a
    series that changed meanwhile is refused. `limits` hold while bytes arrive. Transient failures are tried again.
    Raises UserFacingError; LoadCancelled where `cancelled` said so.
    """
    _check_uids(study_uid, series_uid)
    before = _images_of(server, study_uid, series_uid, limits, patience, cancelled)
    watch = Watch(limits.bytes_total)
    client = open_client(server, watch, patience)
    place = f"{server.url}/studies/{study_uid}/series/{series_uid}/instances"
    tasks = [partial(_fetch_image, client, f"{place}/{uid}", series_uid, uid, limits) for uid in before]

    def tick(done: int) -> None:
        if progress is not None:
            progress(done / len(tasks))

    parts = run_watched(tasks, watch, patience, cancelled=cancelled, tick=tick)
    _refuse_change(set(before), set(_images_of(server, study_uid, series_uid, limits, patience, cancelled)))
    return [(f"{number:05d}.dcm", part) for number, part in enumerate(parts)]


def store_instances(
    server: DicomWebServer,
    datasets: Sequence[Dataset],
    *,
    progress: Share | None = None,
    cancelled: Asked | None = None,
    patience: Patience = PATIENCE,
) -> int:
    """Send objects to the server (PS3.18, 10.5), one a request; the number it confirmed, which is all of them.

    datasets: with file meta information. Raises UserFacingError where one was refused or stayed unconfirmed; others
    may be stored then, as several are sent at once, and sending all again does no harm. A FailedSOPSequence that is
    there but empty is none.
    """
    watch = Watch(_QUERY_BYTES)
    client = open_client(server, watch, patience)

    def tick(done: int) -> None:
        if progress is not None:
            progress(done / len(tasks))

    tasks = [partial(client.store_instances, [dataset]) for dataset in datasets]
    answers = run_watched(tasks, watch, patience, cancelled=cancelled, tick=tick)
    failed = sum(len(answer.get("FailedSOPSequence") or ()) for answer in answers)
    stored = sum(bool(answer.get("ReferencedSOPSequence")) for answer in answers)
    if failed or stored < len(datasets):
        raise UserFacingError(
            f"The server confirmed {stored} of {count_of(len(datasets), 'object')}.",
            "a server that accepts every object",
            "Ask the people who run it which objects it accepts.",
        )
    return stored


def _query(
    server: DicomWebServer,
    ask: Callable[[DICOMwebClient], list[Any]],
    patience: Patience,
    cancelled: Asked | None = None,
) -> list[Mapping[str, Any]]:
    """Rows of one search in the DICOM JSON model (PS3.18, annex F)."""
    watch = Watch(_QUERY_BYTES)
    client = open_client(server, watch, patience)
    (rows,) = run_watched([partial(ask, client)], watch, patience, cancelled=cancelled, deadline_s=patience.query_s)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise not_dicomweb()
    return rows


def _images_of(
    server: DicomWebServer,
    study_uid: str,
    series_uid: str,
    limits: Limits,
    patience: Patience,
    cancelled: Asked | None,
) -> list[str]:
    """UIDs of all images of a series, however many pages the server makes of them."""

    def count(client: DICOMwebClient) -> list[Any]:
        wanted = {"SeriesInstanceUID": series_uid}
        return client.search_for_series(study_uid, search_filters=wanted, fields=["NumberOfSeriesRelatedInstances"])

    def page(client: DICOMwebClient, offset: int) -> list[Any]:
        return client.search_for_instances(study_uid, series_uid, limit=_PAGE, offset=offset)

    rows = _query(server, count, patience, cancelled)
    stated = next((number_in(row, "00201209") for row in rows if text_in(row, "0020000E") == series_uid), None)
    uids: dict[str, None] = {}
    while stated is None or len(uids) < stated:
        rows = _query(server, partial(page, offset=len(uids)), patience, cancelled)
        fresh = dict.fromkeys(uid_in(row, "00080018") for row in rows if uid_in(row, "00080018") not in uids)
        uids.update(fresh)
        if len(uids) > limits.entries:
            raise too_many_entries(limits)
        if not fresh:
            break
    if not uids:
        raise _gone("The series holds no image, or is no longer on the server.")
    if stated is not None and len(uids) != stated:
        raise UserFacingError(
            f"The server states {count_of(stated, 'image')} for this series but lists {len(uids):,}.",
            "a complete list",
            "Try again once the series has arrived on the server.",
        )
    return list(uids)


def _refuse_change(before: set[str], after: set[str]) -> None:
    """Raise where images came or went."""
    changes = [
        f"{count_of(len(uids), 'slice')} {what}"
        for uids, what in ((after - before, "arrived"), (before - after, "went away"))
        if uids
    ]
    if changes:
        raise UserFacingError(
            f"{' and '.join(changes)} while loading; nothing was kept.",
            "a series that is complete on the server",
            "Wait until it has arrived there, then load it again.",
        )


def _fetch_image(client: DICOMwebClient, url: str, series_uid: str, sop_uid: str, limits: Limits) -> bytes:
    """One image, byte for byte as stored: the library hands on parts of bulk data without decoding them."""
    parts = list(client.iter_bulkdata(url))
    if len(parts) != 1:
        raise not_dicomweb() if parts else LostConnection
    part = bytes(parts[0])
    found = _scanned(part, limits)
    if found is None:
        raise _foreign("something other than a DICOM image.")
    if found.pixel_length is not None and found.data is None and found.pixel_start + found.pixel_length > len(part):
        raise LostConnection
    sent = tuple(found.values.get(tag, b"").decode("ascii", "replace").strip("\0 ") for tag in (_SERIES_UID, _SOP_UID))
    if sent != (series_uid, sop_uid):
        raise _foreign("another image than the one asked for.")
    return part


def _scanned(part: bytes, limits: Limits) -> Scan | None:
    """The UIDs and the extent of an image, None where it is none."""
    try:
        return scan(memoryview(part), (_SOP_UID, _SERIES_UID), complete=True, limits=limits)
    except Malformed:
        return None


def _foreign(what: str) -> UserFacingError:
    return UserFacingError(
        f"The server sent {what}",
        "the images of the chosen series",
        "Ask the people who run the server; nothing was kept.",
    )


def _gone(found: str) -> UserFacingError:
    return UserFacingError(found, "a series with images", "Search again.")


def _check_uids(*uids: str) -> None:
    if not all(is_uid(uid) for uid in uids):
        raise UserFacingError("This is not the UID of a study or series.", "a row of the search", "Search again.")


def _term(text: str) -> str:
    """A search term; what would widen the search or break the value apart is refused (PS3.4, C.2.2.2)."""
    text = text.strip()
    if len(text) > 64 or re.search(r"[\x00-\x1f\x7f\\*?]", text):
        raise UserFacingError(
            "The search term is too long or holds signs such as * ? \\.",
            "one whole number, exactly as the server knows it",
            "Enter it without them.",
        )
    return text
