"""When a scan was taken and of whom, as its header says: for holding it against the record beside it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from core.intake.scan.dicom.values import Values
from core.wording import OLDEST_YEARS

_FIRST_CT = 1971
_FIRST_BIRTH = 1902
"""An earlier year stands for "unknown" more often than for a patient: 1900-01-01 and 1901-01-01 fill empty fields."""
_MOST_YEARS = 130
_AGE = re.compile(r"(\d{1,3})([YMWD])")
_PER_YEAR = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
_DAY = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")
_DATETIME = re.compile(r"(\d{8})(\d{2})?(\d{2})?")
_CLOCK = re.compile(r"(\d{2}):?(\d{2})?")


def stated_sex(values: Values) -> Literal["F", "M"] | None:
    """PatientSex (PS3.3 C.7.1.1) where it is F or M."""
    return {"F": "F", "M": "M"}.get(values.text("PatientSex").upper())  # type: ignore[return-value]


def stated_age(values: Values) -> float | None:
    """Years from PatientAge (PS3.5, AS), else from birth and study date, at most OLDEST_YEARS; None where unsaid."""
    years = _written_age(values.text("PatientAge").upper()) or _age_by_birth(values)
    return None if years is None else min(years, OLDEST_YEARS)


def _written_age(text: str) -> float | None:
    """An age string in years; None for 0 too, which fills empty fields.

    >>> _written_age("061Y"), _written_age("006M"), _written_age("000Y"), _written_age("999Y")
    (61.0, 0.5, None, None)
    """
    found = _AGE.fullmatch(text)
    years = int(found[1]) / _PER_YEAR[found[2]] if found else 0.0
    return years if 0 < years < _MOST_YEARS else None


def _age_by_birth(values: Values) -> float | None:
    born, day = _day(values.text("PatientBirthDate")), _day(stated_day(values))
    if born is None or day is None or born.year < _FIRST_BIRTH or born > day:
        return None
    return (day - born).days / 365.25


def stated_day(values: Values) -> str:
    """The date nearest to the acquisition that the header holds and that makes sense, as written, or ""."""
    names = ("AcquisitionDate", "StudyDate", "SeriesDate", "ContentDate")
    return next((text for name in names if time_taken(text := values.text(name), "")), "")


def dates_shifted(values: Values) -> bool:
    """Whether the header says that its dates were changed when it was de-identified (PS3.3 C.7.6.1.1)."""
    return values.text("LongitudinalTemporalInformationModified").upper() in ("MODIFIED", "REMOVED")


def time_taken(day: str, clock: str) -> datetime | None:
    """When an image was acquired, to the minute; midnight where no clock is given, None where no date makes sense.

    day: a date as written. clock: a time, or a date and time, as written.

    >>> time_taken("20200131", "101500.25"), time_taken("", "20200131235959.9+0100"), time_taken("18500101", "")
    (datetime.datetime(2020, 1, 31, 10, 15), datetime.datetime(2020, 1, 31, 23, 59), None)
    >>> time_taken("20200130", "20200131")
    datetime.datetime(2020, 1, 31, 0, 0)
    """
    whole = _DATETIME.match(clock)
    dates = (_day(whole[1]) if whole else None, _day(day))
    date = next((date for date in dates if date and date.year >= _FIRST_CT), None)
    if date is None:
        return None
    hour, minute = (int(part or 0) for part in (whole.groups()[1:] if whole else _clock(clock)))
    return date.replace(hour=hour, minute=minute) if hour < 24 and minute < 60 else date


def _clock(text: str) -> tuple[str | None, ...]:
    """Hour and minute of a time as DICOM writes it (PS3.5, TM, and its older form with colons)."""
    found = _CLOCK.match(text)
    return found.groups() if found else (None, None)


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
