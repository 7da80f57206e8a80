"""Rows of a DICOMweb search in the DICOM JSON model (PS3.18, annex F), read with distrust."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import UserFacingError
from core.intake.pacs.failures import not_dicomweb
from core.intake.terms.safe_description import describe_series, safe_kernel

Row = Mapping[str, Any]
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_MODALITY = re.compile(r"[A-Z0-9_]{1,16}")


@dataclass(frozen=True)
class StudyRow:
    """One study a server found. Whatever names a person stays out of `repr`.

    study_date: as the server wrote it, YYYYMMDD or "". modalities: such as ("CT", "SR"). series: their count, or None.
    """

    study_uid: str = field(repr=False)
    patient_name: str = field(repr=False)
    patient_id: str = field(repr=False)
    accession: str = field(repr=False)
    study_date: str = field(repr=False)
    description: str
    modalities: tuple[str, ...]
    series: int | None


@dataclass(frozen=True)
class SeriesRow:
    """One series of a study. description, kernel: only words known to be safe. instances: their count, or None.

    number: as the archive numbers it in its study, None where it does not.
    """

    series_uid: str = field(repr=False)
    modality: str
    description: str
    instances: int | None
    kernel: str
    number: int | None = None


def is_uid(text: str) -> bool:
    """Whether the text has the form of a DICOM UID (PS3.5, 9.1)."""
    return len(text) <= 64 and bool(_UID.fullmatch(text))


def study_row(row: Row) -> StudyRow:
    """A row of a search for studies."""
    modalities = tuple(text for text in _texts(row, "00080061") if _MODALITY.fullmatch(text))
    return StudyRow(
        study_uid=uid_in(row, "0020000D"),
        patient_name=text_in(row, "00100010"),
        patient_id=text_in(row, "00100020"),
        accession=text_in(row, "00080050"),
        study_date=text_in(row, "00080020"),
        description=describe_series(text_in(row, "00081030")),
        modalities=modalities,
        series=number_in(row, "00201206"),
    )


def series_row(row: Row) -> SeriesRow:
    """A row of a search for series."""
    modality = text_in(row, "00080060")
    return SeriesRow(
        series_uid=uid_in(row, "0020000E"),
        modality=modality if _MODALITY.fullmatch(modality) else "",
        description=describe_series(text_in(row, "0008103E")),
        instances=number_in(row, "00201209"),
        kernel=safe_kernel(text_in(row, "00181210")),
        number=number_in(row, "00200011"),
    )


def _values(row: Row, tag: str) -> list[str]:
    """Values of an element as text; whatever else a server writes there is left out."""
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    texts = []
    for value in values if isinstance(values, list) else ():
        plain = value.get("Alphabetic") if isinstance(value, dict) else value
        if isinstance(plain, float) and plain.is_integer():
            plain = int(plain)  # JSON knows one kind of number: 16.0 is 16
        if isinstance(plain, (str, int, float)):
            texts.append(str(plain))
    return texts


def _texts(row: Row, tag: str) -> list[str]:
    """Values of an element as bounded printable text."""
    return ["".join(sign for sign in text[:64] if sign.isprintable()).strip() for text in _values(row, tag)]


def text_in(row: Row, tag: str) -> str:
    """First value of an element, or ""."""
    return next(iter(_texts(row, tag)), "")


def number_in(row: Row, tag: str) -> int | None:
    """An element that is a whole number, or None."""
    text = text_in(row, tag)
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def refuse_unasked(rows: Iterable[StudyRow], wanted: Mapping[str, str]) -> None:
    """Raise where a study states another number or day than was searched for: the server did not search by it.

    wanted: PatientID, AccessionNumber, StudyDate as asked (PS3.4, C.2.2.2). What a row leaves open is let pass.
    """
    first, _, last = wanted.get("StudyDate", "").partition("-")
    for row in rows:
        day = re.sub(r"[^0-9]", "", row.study_date)
        stated = ((row.patient_id, wanted.get("PatientID")), (row.accession, wanted.get("AccessionNumber")))
        other = any(found and asked and found.casefold() != asked.casefold() for found, asked in stated)
        if other or (day and ((first and day < first) or (last and day > last))):
            raise UserFacingError(
                "The server lists studies that were not searched for; it does not search by all that was entered.",
                "studies that match the number, accession number and dates entered",
                "Search by another of them, or ask the people who run the server.",
            )


def uid_in(row: Row, tag: str) -> str:
    """The UID a row must have, as it stands there. Raises UserFacingError where it has none."""
    text = next(iter(_values(row, tag)), "").strip("\0 ")
    if not is_uid(text):
        raise not_dicomweb()
    return text
