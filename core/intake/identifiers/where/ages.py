"""Ages over 89 that a record tells: by its patient's birth and a later event, or as what was observed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from core.intake.identifiers.finding import Finding
from core.intake.identifiers.text.field_names import AGE_FIELDS, OLDEST_SHOWN, field_name
from core.intake.identifiers.text.free_text import begins_with_date
from core.intake.record.columns.names import FIELDS
from core.records import BIRTH
from core.wording import OLDEST_YEARS

DAYS_90_YEARS = OLDEST_YEARS * 365.25
OVER_89 = Finding("age over 89", "birth and events of a patient in the file", "90 years or more")
CODED = Finding("age over 89", "value of an event in the file", "90 years or more")
_PARTS = ("subject_id", "time", "code")
_VALUES = ((*FIELDS["numeric_value"], *FIELDS["value"]), FIELDS["unit"])
_AGE_CODES = frozenset(("30525-0", "21611-9", "21612-7", "29553-5", "63900-5", "397669002", "424144002"))
"""LOINC's and SNOMED's codes of an age."""
_IN_YEARS = frozenset(("", "a", "y", "yr", "yrs", "year", "years", "{years}", "jahre", "ans", "años"))
_NUMBER = re.compile(r"\s*\d{2,3}(?:\.\d+)?\s*")
_DAY = len("2020-01-01")


def names_age(code: str) -> bool:
    """Whether a code is that of an age.

    >>> names_age("LOINC//30525-0"), names_age("Age"), names_age("LOINC//8867-4"), names_age("LAB//average")
    (True, True, False, False)
    """
    own = code.rpartition("//")[2].strip()
    return own in _AGE_CODES or field_name(own) in AGE_FIELDS


def is_over_89(value: Any, unit: Any = None) -> bool:
    """Whether a number of years, written or not, is more than a record may show.

    >>> is_over_89("95"), is_over_89(95.0, "a"), is_over_89(89), is_over_89(95, "mo"), is_over_89("95 F")
    (True, True, False, False, False)
    """
    years = bool(_NUMBER.fullmatch(str(value))) and float(value) > OLDEST_SHOWN
    return years and str(unit or "").strip().casefold() in _IN_YEARS


class Ages:
    """The birth and the last event of every patient, from rows as they come; and whether one is coded as old."""

    def __init__(self) -> None:
        self._coded = False
        self._births: dict[str, str] = {}
        self._last: dict[str, str] = {}

    def add(self, subject: str, time: str, code: str) -> None:
        """Take in one event; times that do not begin with year, month and day are passed over."""
        day = time[:_DAY]
        if code.startswith(BIRTH):
            self._births[subject] = day
        elif day > self._last.get(subject, "") and begins_with_date(day):
            self._last[subject] = day

    def add_value(self, code: str, value: Any, unit: Any) -> None:
        """Take in what an event measured."""
        self._coded = self._coded or (is_over_89(value, unit) and names_age(code))

    def findings(self) -> Iterator[Finding]:
        """One where an event lies 90 years or more behind the birth of its patient, one where an age is a value."""
        pairs = ((birth, self._last.get(subject, "")) for subject, birth in self._births.items())
        if any(_days(*pair) >= DAYS_90_YEARS for pair in pairs):
            yield OVER_89
        if self._coded:
            yield CODED


def watched(rows: Iterable[list[str]], names: Sequence[str], ages: Ages) -> Iterator[list[str]]:
    """The rows of a table as they are, their events taken in where its columns say what they hold."""
    plain = [field_name(name) for name in names]
    places = [_place(plain, FIELDS[part]) for part in _PARTS]
    value, unit = (_place(plain, named) for named in _VALUES)
    known = min(places[1:]) >= 0
    for row in rows:
        if known and len(row) > max(*places, value, unit):
            ages.add(row[places[0]] if places[0] >= 0 else "", row[places[1]], row[places[2]])
            if value >= 0:
                ages.add_value(row[places[2]], row[value], row[unit] if unit >= 0 else "")
        yield row


def _place(plain: Sequence[str], wanted: Sequence[str]) -> int:
    return next((plain.index(name) for name in wanted if name in plain), -1)


def watch_record(record: Mapping[str, Any], ages: Ages) -> None:
    """Take in one event that came as a record with names."""
    plain = {field_name(str(name)): value for name, value in record.items()}
    subject, time, code = (next((plain[name] for name in FIELDS[part] if name in plain), "") for part in _PARTS)
    if isinstance(time, str) and isinstance(code, str):
        ages.add(str(subject), time, code)
        value, unit = (next((plain[name] for name in named if name in plain), "") for named in _VALUES)
        ages.add_value(code, value, unit)


def watch_resource(resource: Mapping[str, Any], ages: Ages) -> None:
    """Take in an observation of FHIR; any other resource tells no age so."""
    concept, quantity = resource.get("code"), resource.get("valueQuantity")
    coded = concept.get("coding") if isinstance(concept, dict) else None
    if resource.get("resourceType") == "Observation" and isinstance(quantity, dict):
        for coding in coded if isinstance(coded, list) else ():
            code = coding.get("code") if isinstance(coding, dict) else None
            ages.add_value(str(code), quantity.get("value"), quantity.get("code") or quantity.get("unit"))


def _days(birth: str, last: str) -> int:
    try:
        return (date.fromisoformat(last) - date.fromisoformat(birth)).days
    except ValueError:
        return 0
