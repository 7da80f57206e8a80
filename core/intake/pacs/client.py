"""CT series from a DICOMweb server: QIDO-RS to find, WADO-RS to load, STOW-RS to give back (DICOM PS3.18, chapter 10).

What is searched for (patient number, accession number, dates) and the UIDs of what is loaded become part of the
addresses asked of that server, as the standard wants it, and so may stand in its own logs. They go to no other machine,
and stand in no log, message or file of this program.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset

from core.errors import UserFacingError
from core.intake.files.limits import LIMITS, MIB, Limits, too_many_entries
from core.intake.files.sources import NamedBytes
from core.intake.pacs.dicom_json import (
    SeriesRow,
    StudyRow,
    is_uid,
    number_in,
    refuse_unasked,
    series_row,
    study_row,
    text_in,
    uid_in,
)
from core.intake.pacs.failures import LoadCancelled, not_dicomweb
from core.intake.pacs.retrieve import content_of, fetch_images
from core.intake.pacs.server import DicomWebServer
from core.intake.pacs.transport import PATIENCE, Exchange, Patience
from core.progress import Share
from core.wording import count_of

__all__ = [
    "DicomWebServer",
    "LoadCancelled",
    "SeriesRow",
    "StudyRow",
    "fetch_series",
    "find_studies",
    "list_series",
    "store_instances",
]

Asked = Callable[[], bool]
_QUERY_BYTES = 32 * MIB
_PAGE = 1000
_LOOKED_AT_AGAIN = 11
"""Images that are fetched a second time, when all are there."""
_BEYOND_THE_END = (400, 404, 416)
"""How some servers answer in place of an empty page."""


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

    def ask(client: DICOMwebClient, offset: int) -> list[Any]:
        fields = ["StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries"]
        return client.search_for_studies(search_filters=wanted, fields=fields, limit=limit, offset=offset or None)

    rows = _pages(server, ask, "0020000D", limit, patience, cancelled)
    found = tuple(study_row(row) for row in rows[:limit])
    refuse_unasked(found, wanted)
    return found


def list_series(
    server: DicomWebServer, study_uid: str, *, cancelled: Asked | None = None, patience: Patience = PATIENCE
) -> tuple[SeriesRow, ...]:
    """Every series of a study, those with most images first.

    Raises UserFacingError where the study holds none, or the server refuses, fails or is none.
    """
    _check_uids(study_uid)

    def ask(client: DICOMwebClient, offset: int) -> list[Any]:
        fields = [
            "Modality",
            "SeriesNumber",
            "SeriesDescription",
            "NumberOfSeriesRelatedInstances",
            "ConvolutionKernel",
        ]
        return client.search_for_series(study_uid, fields=fields, offset=offset or None)

    found = _pages(server, ask, "0020000E", LIMITS.entries, patience, cancelled)
    rows = [series_row(row) for row in found]
    if not rows:
        raise _gone("The study holds no series, or is no longer on the server.")
    return tuple(sorted(rows, key=lambda row: (-(row.instances or 0), row.series_uid)))


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

    Each image is asked for by its own UID and must be that image of that series and study. The list of images is taken
    before and after, and some images from its first to its last once more: a series that changed meanwhile is refused.
    `limits` hold while bytes arrive. Transient failures are tried again.
    Raises UserFacingError; LoadCancelled where `cancelled` said so.
    """
    _check_uids(study_uid, series_uid)
    before = _images_of(server, study_uid, series_uid, limits, patience, cancelled)
    place = f"{server.url}/studies/{study_uid}/series/{series_uid}/instances"
    parts = fetch_images(server, place, (study_uid, series_uid), before, progress, cancelled, limits, patience)
    _refuse_change(set(before), set(_images_of(server, study_uid, series_uid, limits, patience, cancelled)))
    some = _from_end_to_end(len(before))
    uids = [before[number] for number in some]
    again = fetch_images(server, place, (study_uid, series_uid), uids, None, cancelled, limits, patience)
    if any(content_of(parts[k], limits) != content_of(part, limits) for k, part in zip(some, again, strict=True)):
        raise _changed("The series was replaced while loading; nothing was kept.")
    return [(f"{number:05d}.dcm", part) for number, part in enumerate(parts)]


def _from_end_to_end(count: int) -> list[int]:
    """At most _LOOKED_AT_AGAIN even steps through 0 to count - 1, both of them included.

    >>> _from_end_to_end(3), _from_end_to_end(101)
    ([0, 1, 2], [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
    """
    steps = min(count, _LOOKED_AT_AGAIN) - 1
    return sorted({number * (count - 1) // max(steps, 1) for number in range(steps + 1)})


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
    exchange = Exchange(server, _QUERY_BYTES, patience)

    def tick(done: int) -> None:
        if progress is not None:
            progress(done / len(tasks))

    tasks = [partial(exchange.client.store_instances, [dataset]) for dataset in datasets]
    answers = exchange.run(tasks, cancelled=cancelled, tick=tick)
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
    deadline_s: float | None = None,
) -> tuple[list[Mapping[str, Any]], bool]:
    """(rows of one search in the DICOM JSON model (PS3.18, annex F), whether the server warned that there are more)."""
    exchange = Exchange(server, _QUERY_BYTES, patience)
    wait_s = patience.query_s if deadline_s is None else deadline_s
    (rows,) = exchange.run([partial(ask, exchange.client)], cancelled=cancelled, deadline_s=wait_s)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise not_dicomweb()
    return rows, exchange.watch.cut


def _pages(
    server: DicomWebServer,
    ask: Callable[[DICOMwebClient, int], list[Any]],
    uid_tag: str,
    most: int,
    patience: Patience,
    cancelled: Asked | None,
) -> list[Mapping[str, Any]]:
    """Rows of a search, each UID once, in however many pages the server sends them; at least `most` of them, or all.

    The next page is asked for until one brings nothing new: not every server that cuts its lists says so.
    Raises UserFacingError where it says that there are more and does not send them.
    """
    found: dict[str, Mapping[str, Any]] = {}
    until = time.monotonic() + patience.query_s

    def page(client: DICOMwebClient) -> list[Any]:
        try:
            return ask(client, len(found))
        except requests.HTTPError as error:
            if found and error.response is not None and error.response.status_code in _BEYOND_THE_END:
                return []
            raise

    while len(found) < most:
        rows, cut = _query(server, page, patience, cancelled, until - time.monotonic())
        known = len(found)
        for row in rows:
            found.setdefault(uid_in(row, uid_tag), row)
        if len(found) > known:
            continue
        if rows and cut:
            raise UserFacingError(
                "The server says that there is more than it lists, and does not send the rest.",
                "a complete list",
                "Ask the people who run the server to let longer lists through.",
            )
        break
    return list(found.values())


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

    rows, _ = _query(server, count, patience, cancelled)
    stated = next((number_in(row, "00201209") for row in rows if text_in(row, "0020000E") == series_uid), None)
    listed = _pages(server, page, "00080018", limits.entries + 1, patience, cancelled)
    uids = [uid_in(row, "00080018") for row in listed]
    if len(uids) > limits.entries:
        raise too_many_entries(limits)
    if not uids:
        raise _gone("The series holds no image, or is no longer on the server.")
    if stated is not None and len(uids) != stated:
        raise UserFacingError(
            f"The server states {count_of(stated, 'image')} for this series but lists {len(uids):,}.",
            "a complete list",
            "Try again once the series has arrived on the server; if it stays so, ask the people who run it.",
        )
    return uids


def _refuse_change(before: set[str], after: set[str]) -> None:
    """Raise where images came or went."""
    changes = [
        f"{count_of(len(uids), 'slice')} {what}"
        for uids, what in ((after - before, "arrived"), (before - after, "went away"))
        if uids
    ]
    if changes:
        raise _changed(f"{' and '.join(changes)} while loading; nothing was kept.")


def _changed(found: str) -> UserFacingError:
    return UserFacingError(
        found, "a series that is complete on the server", "Wait until it has arrived there, then load it again."
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
