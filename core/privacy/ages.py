"""Ages over 89 that a record tells by its patient's birth and a later event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from core.privacy.fields import begins_with_date, field_name
from core.privacy.finding import Finding
from core.records import BIRTH
from core.timeline.columns import FIELDS
from core.words import OLDEST_YEARS

DAYS_90_YEARS = OLDEST_YEARS * 365.25
OVER_89 = Finding("age over 89", "birth and events", "90 years or more")
_PARTS = ("subject_id", "time", "code")
_DAY = len("2020-01-01")


class Ages:
    """The birth and the last event of every patient, from rows as they come."""

    def __init__(self) -> None:
        self._births: dict[str, str] = {}
        self._last: dict[str, str] = {}

    def add(self, subject: str, time: str, code: str) -> None:
        """Take in one event; times that do not begin with year, month and day are passed over."""
        day = time[:_DAY]
        if code.startswith(BIRTH):
            self._births[subject] = day
        elif day > self._last.get(subject, "") and begins_with_date(day):
            self._last[subject] = day

    def is_any_over_89(self) -> bool:
        """Whether an event lies 90 years or more behind the birth of its patient."""
        pairs = ((birth, self._last.get(subject, "")) for subject, birth in self._births.items())
        return any(_days(*pair) >= DAYS_90_YEARS for pair in pairs)


def watched(rows: Iterable[list[str]], names: Sequence[str], ages: Ages) -> Iterator[list[str]]:
    """The rows of a table as they are, their events taken in where its columns say what they hold."""
    plain = [field_name(name) for name in names]
    places = [next((plain.index(name) for name in FIELDS[part] if name in plain), -1) for part in _PARTS]
    known = min(places[1:]) >= 0
    for row in rows:
        if known and len(row) > max(places):
            ages.add(row[places[0]] if places[0] >= 0 else "", row[places[1]], row[places[2]])
        yield row


def watch_record(record: Mapping[str, Any], ages: Ages) -> None:
    """Take in one event that came as a record with names."""
    plain = {field_name(str(name)): value for name, value in record.items()}
    subject, time, code = (next((plain[name] for name in FIELDS[part] if name in plain), "") for part in _PARTS)
    if isinstance(time, str) and isinstance(code, str):
        ages.add(str(subject), time, code)


def _days(birth: str, last: str) -> int:
    try:
        return (date.fromisoformat(last) - date.fromisoformat(birth)).days
    except ValueError:
        return 0
