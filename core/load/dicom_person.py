"""When a scan was taken and of whom, as its header says: for holding it against the record beside it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from core.load.dicom_values import Values

OLDEST_YEARS = 90.0
"""Whoever is older than 89 counts as 90: an age above that may identify a person (45 CFR 164.514)."""
_FIRST_CT = 1971
_AGE = re.compile(r"(\d{1,3})([YMWD])")
_PER_YEAR = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
_DAY = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")
_DATETIME = re.compile(r"\d{8}(\d{2})(\d{2})")
_CLOCK = re.compile(r"(\d{2}):?(\d{2})?")


def stated_sex(values: Values) -> Literal["F", "M"] | None:
    """PatientSex (PS3.3 C.7.1.1) where it is F or M."""
    return {"F": "F", "M": "M"}.get(values.text("PatientSex").upper())  # type: ignore[return-value]


def stated_age(values: Values) -> float | None:
    """Years from PatientAge (PS3.5, AS), else from birth and study date, at most OLDEST_YEARS; None where unsaid."""
    if found := _AGE.fullmatch(values.text("PatientAge").upper()):
        years = int(found[1]) / _PER_YEAR[found[2]]
    else:
        born, day = _day(values.text("PatientBirthDate")), _day(stated_day(values))
        years = (day - born).days / 365.25 if born and day else -1.0
    return min(years, OLDEST_YEARS) if 0 <= years < 130 else None


def stated_day(values: Values) -> str:
    """The date nearest to the acquisition that the header holds, as written, or ""."""
    names = ("AcquisitionDate", "StudyDate", "SeriesDate", "ContentDate")
    return next((text for name in names if (text := values.text(name))), "")


def dates_shifted(values: Values) -> bool:
    """Whether the header says that its dates were changed when it was de-identified (PS3.3 C.7.6.1.1)."""
    return values.text("LongitudinalTemporalInformationModified").upper() in ("MODIFIED", "REMOVED")


def time_taken(day: str, clock: str) -> datetime | None:
    """When an image was acquired, to the minute; midnight where no clock is given, None where no date makes sense.

    day: a date as written. clock: a time, or a date and time, as written.

    >>> time_taken("20200131", "101500.25"), time_taken("", "20200131235959.9+0100"), time_taken("18500101", "")
    (datetime.datetime(2020, 1, 31, 10, 15), datetime.datetime(2020, 1, 31, 23, 59), None)
    """
    whole = _DATETIME.match(clock)
    date = _day(clock[:8]) if whole else _day(day)
    if date is None or date.year < _FIRST_CT:
        return None
    found = whole or _CLOCK.match(clock)
    hour, minute = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    return date.replace(hour=hour, minute=minute) if hour < 24 and minute < 60 else date


def _day(text: str) -> datetime | None:
    """A date as DICOM writes it (PS3.5, DA, and its older form with full stops).

    >>> _day("2020.01.31"), _day("20201301"), _day("")
    (datetime.datetime(2020, 1, 31, 0, 0), None, None)
    """
    found = _DAY.fullmatch(text)
    try:
        return datetime(int(found[1]), int(found[2]), int(found[3])) if found else None
    except ValueError:
        return None
