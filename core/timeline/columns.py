"""Columns recognised by name, and their text turned into typed values without guessing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import UserFacingError
from core.load.words import count_of

FIELDS: Mapping[str, tuple[str, ...]] = {
    "subject_id": ("subject_id", "patient_id", "person_id", "subject", "patient", "subjectid", "patientid"),
    "time": ("time", "date", "datetime", "timestamp", "event_time", "start_time", "charttime", "date_time"),
    "code": ("code", "event", "event_code", "concept", "concept_code"),
    "numeric_value": ("numeric_value", "value_numeric", "value_as_number", "number"),
    "value": ("value", "result", "result_value"),
    "text_value": ("text_value", "text", "value_text", "value_as_string"),
    "unit": ("unit", "units", "uom", "unit_source_value", "valueuom"),
    "description": ("description", "label", "display", "code_description"),
}
"""Field -> column names that mean it (compared without case, spaces as underscores)."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "unk"))
_DATE_ONLY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"(\d{4})-(\d{2})-(\d{2})([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?\s*(Z|[+-]\d{2}:?\d{2})?")
EARLIEST, LATEST = pd.Timestamp("1850-01-01"), pd.Timestamp("2262-01-01")


def recognise(names: Sequence[str], mapping: Mapping[str, str] | None = None) -> dict[str, str]:
    """Field -> column of the table.

    mapping: field -> column chosen by the user; the rest is recognised by name. Raises UserFacingError when the code or
    the time column is missing, or two columns have one name.
    """
    plain = refuse_same_names(names)
    chosen = {field: column for field, column in (mapping or {}).items() if column in names}
    for field, known in FIELDS.items():
        hits = [names[plain.index(name)] for name in known if name in plain]
        if field not in chosen and hits:
            chosen[field] = hits[0]
    missing = [field for field in ("time", "code") if field not in chosen]
    if missing:
        raise UserFacingError(
            f"The table has no column for the {' and the '.join(missing)}.",
            "columns subject_id, time, code, numeric_value (or value), text_value and unit, recognised by these names",
            "Rename the columns, or map them on the Load page.",
        )
    return chosen


def refuse_same_names(names: Sequence[str]) -> list[str]:
    """Names in lower case with underscores; raises UserFacingError where two are the same."""
    plain = [re.sub(r"\s+", "_", name.strip().lower()) for name in names]
    if len(set(plain)) < len(plain):
        raise UserFacingError(
            "Two columns of the table have the same name.", "one column for each field", "Rename one."
        )
    return plain


def parse_times(texts: pd.Series[str], notes: list[str]) -> pd.Series[pd.Timestamp]:
    """ISO 8601 dates and times as datetime64[us]; empty ones are static facts (NaT).

    Raises UserFacingError for other notations, impossible dates, and a mixture of times with and without a time zone.
    """
    plain = texts.fillna("").astype(str).str.strip()
    given = plain[~plain.str.lower().isin(_MISSING)]
    matches = given.str.fullmatch(_TIME)
    if not matches.all():
        raise UserFacingError(
            f"Not written as year-month-day: {count_of(int((~matches).sum()), 'time')}.",
            "times such as 2024-03-15 or 2024-03-15T13:45",
            "Write dates in this order, so that day and month cannot be confused.",
        )
    with_clock = given[~given.str.fullmatch(_DATE_ONLY)]
    zoned = with_clock.str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$")
    if zoned.any() and not zoned.all():
        raise UserFacingError(
            "Some times carry a time zone and others do not.", "all times in one zone", "Export the times alike."
        )
    years = given.str[:4].astype(int)
    _refuse_years(int(((years < EARLIEST.year) | (years >= LATEST.year)).sum()))
    try:
        stamps = pd.to_datetime(given, format="ISO8601", utc=True).dt.tz_localize(None)
    except (ValueError, OverflowError) as error:
        raise _impossible(given) from error
    if zoned.any():
        notes.append("Times with a time zone were converted to UTC.")
    if dates := int(given.str.fullmatch(_DATE_ONLY).sum()):
        notes.append(f"A date without a time of day counts from 00:00 that day: {dates} of {len(given)} events.")
    return check_times(stamps.reindex(texts.index).astype("datetime64[us]"))


def _impossible(given: pd.Series[str]) -> UserFacingError:
    bad = int(pd.to_datetime(given, format="ISO8601", utc=True, errors="coerce").isna().sum())
    return UserFacingError(
        f"Impossible, such as a 30th of February: {count_of(max(bad, 1), 'time')}.",
        "dates of the calendar",
        "Correct them.",
    )


def check_times(times: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    """The times, once they lie in a plausible span (years 1850 to 2261; records may be shifted)."""
    _refuse_years(int(((times < EARLIEST) | (times > LATEST)).sum()))
    return times


def _refuse_years(outside: int) -> None:
    if outside:
        raise UserFacingError(
            f"Before 1850 or after 2261: {count_of(outside, 'time')}.",
            "times of a patient's life",
            "Correct or remove them.",
        )


def parse_values(texts: pd.Series[str]) -> tuple[npt.NDArray[np.float32], list[str | None]]:
    """(numeric values, text values): a clean number becomes numeric, anything else stays text, never both.

    Raises UserFacingError for decimal commas and for infinities.
    """
    plain = texts.fillna("").astype(str).str.strip()
    if commas := int(plain.str.fullmatch(_DECIMAL_COMMA).sum()):
        raise UserFacingError(
            f"Written with a decimal comma: {count_of(commas, 'value')}.",
            "numbers with a decimal point",
            "Export with points.",
        )
    if plain.str.lower().isin(("inf", "-inf", "+inf", "infinity", "-infinity")).any():
        raise infinite()
    clean = plain.str.fullmatch(_NUMBER)
    numbers = np.full(len(plain), np.nan, np.float64)
    numbers[clean.to_numpy(bool)] = plain[clean].astype(float)
    missing = plain.str.lower().isin(_MISSING)
    texts_left = [None if skip else text for skip, text in zip(clean | missing, plain)]
    return finite32(numbers), texts_left


def finite32(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Values as float32; raises UserFacingError where one is infinite or too large."""
    with np.errstate(over="ignore"):
        small = numbers.astype(np.float32)
    if np.isinf(small).any():
        raise infinite()
    return small


def infinite() -> UserFacingError:
    """The refusal for infinite values."""
    return UserFacingError("Some numeric values are infinite.", "finite numbers", "Leave unknown values empty.")


def clean_texts(texts: pd.Series[str]) -> list[str | None]:
    """Stripped texts; None where empty."""
    return [str(value).strip() or None if pd.notna(value) else None for value in texts]
