"""Dates and times as databases, spreadsheets and people write them, turned into ISO 8601 where they mean one thing."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from core.intake.record.columns.text_cells import plain_texts, shapes

Shaped = dict[str, list[str]]
ORDERS = ("day first", "month first")
ISO_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}(?P<clock>[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?\s*(?P<zone>Z|[+-]\d{2}:?\d{2})?"
)
"""What ISO 8601 writes, and is read as it stands."""

_CLOCK_PARTS = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:[.,]\d{1,9})?))?(?:\s*(?P<half>[ap])\.?m\.?)?"
    r"(?:\s*(?P<zone>z|utc|gmt|[+-]\d{2}(?::?\d{2})?))?"
)
LIKE_CLOCK = re.compile(_CLOCK_PARTS, re.IGNORECASE)
"""A time of day, without or with its zone."""
_AFTER_DATE = rf"(?:(?:t|:|,?\s+){_CLOCK_PARTS})?"
_DAY, _MONTH, _YEAR, _NAME = (
    r"(?P<day>\d{1,2})",
    r"(?P<month>\d{1,2})",
    r"(?P<year>\d{4})",
    r"(?P<name>[^\W\d_]{3,10})\.?",
)
_GAP = r"[-\s./]*"


def _dated(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern + _AFTER_DATE, re.IGNORECASE)


_YEAR_FIRST = _dated(rf"{_YEAR}(?P<sign>[-/.]){_MONTH}(?P=sign){_DAY}")
_YEAR_LAST = _dated(r"(?P<first>\d{1,2})(?P<sign>[-/.])(?P<second_number>\d{1,2})(?P=sign)(?P<year>\d{4})")
_NAMED = (
    _dated(_DAY + _GAP + _NAME + r"[-\s./,]*" + _YEAR),
    _dated(_NAME + r"\s*" + _DAY + r"(?:,\s*|\s+)" + _YEAR),
    _dated(_YEAR + _GAP + _NAME + _GAP + _DAY),
)
_COMPACT = re.compile(
    r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"
    r"(?:T?(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})|T(?P<hours>\d{2})(?P<minutes>\d{2}))?"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2})?",
    re.IGNORECASE,
)
_MONTHS = (
    ("jan", "january", "januar", "janvier", "enero"), ("feb", "february", "februar", "février", "febrero"),
    ("mar", "march", "märz", "mär", "mrz", "mars", "marzo"), ("apr", "april", "avril", "abril"),
    ("may", "mai", "mayo"), ("jun", "june", "juni", "juin", "junio"), ("jul", "july", "juli", "juillet", "julio"),
    ("aug", "august", "août", "agosto"), ("sep", "sept", "september", "septembre", "septiembre"),
    ("oct", "okt", "october", "oktober", "octobre", "octubre"), ("nov", "november", "novembre", "noviembre"),
    ("dec", "dez", "december", "dezember", "décembre", "diciembre"),
)  # fmt: skip
_NUMBER_OF = {name: number for number, names in enumerate(_MONTHS, 1) for name in names}
MONTH_NAME = "|".join(_NUMBER_OF)
LIKE_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}"
    rf"|\d{{1,2}}[-\s./]*(?:{MONTH_NAME})\b\.?[-\s./,]*\d{{4}}",
    re.IGNORECASE,
)
"""How a date begins, however it is written."""


def iso_times(
    columns: Mapping[str, pd.Series[str]], answered: str | None, notes: list[str]
) -> dict[str, pd.Series[str]]:
    """Columns of one table with every date and time that means one thing as ISO 8601 writes it; others as they are.

    answered: the order of day and month before a year, as the reader said. Without it the columns tell, where only one
    order gives dates of the calendar; a note says so. A column that mixes such dates with others that begin with the
    year is left alone: spreadsheets turn some dates of the wrong order round and leave the rest.
    """
    shaped = {name: _by_shape(column) for name, column in columns.items()}
    possible = {name: _orders(texts) for name, texts in shaped.items()}
    found = {orders[0] for orders in possible.values() if len(orders) == 1}
    order = answered or (found.pop() if len(found) == 1 else None)
    told = [] if order is None else [name for name, orders in possible.items() if order in orders]
    if told:
        why = "as answered." if answered else "as only so all of them are in the calendar."
        notes.append(f"Dates that end with the year were read {order}, {why}")
    return {name: _turned(column, shaped[name], order if name in told else None) for name, column in columns.items()}


def _by_shape(column: pd.Series[str]) -> Shaped:
    """The distinct texts of a column, by their shape. All patterns here ask of a digit only that it is one."""
    texts = pd.Series(plain_texts(column).unique(), dtype=object)
    found: Shaped = {}
    for shape, text in zip(shapes(texts), texts):
        found.setdefault(shape, []).append(text)
    return found


def _orders(shaped: Shaped) -> tuple[str, ...]:
    """Orders that put a column's dates that end with a year in the calendar; none where there are none, or it mixes."""
    texts = [text for shape, some in shaped.items() if _YEAR_LAST.fullmatch(shape) for text in some]
    matches = [match for text in texts if (match := _YEAR_LAST.fullmatch(text))]
    one_way = len({match["sign"] for match in matches}) == 1
    if not one_way or any(_YEAR_FIRST.fullmatch(shape) or _COMPACT.fullmatch(shape) for shape in shaped):
        return ()
    return tuple(order for order in ORDERS if all(_month_of(match, order) <= 12 for match in matches))


def _turned(column: pd.Series[str], shaped: Shaped, order: str | None) -> pd.Series[str]:
    odd = [text for shape, some in shaped.items() if not ISO_TIME.fullmatch(shape) for text in some]
    isos = {text: _iso(text) for text in odd}
    if order is not None:
        isos |= {text: _year_last(match, order) for text in odd if (match := _YEAR_LAST.fullmatch(text))}
    changed = {text: iso for text, iso in isos.items() if iso}
    plain = plain_texts(column)
    return plain.map(changed).fillna(plain) if changed else column


def is_year_last(texts: pd.Series[str]) -> pd.Series[bool]:
    """Which texts are dates whose day and month could be confused."""
    return texts.str.fullmatch(_YEAR_LAST)


def _month_of(match: re.Match[str], order: str) -> int:
    return int(match["second_number" if order == "day first" else "first"])


def _year_last(match: re.Match[str], order: str) -> str | None:
    numbers = match["first"], match["second_number"]
    day, month = numbers if order == "day first" else numbers[::-1]
    return _joined(match["year"], month, day, _clock(match))


def _iso(text: str) -> str | None:
    """ISO 8601 of a text that means one date, one date and time, or one time of day; None for any other."""
    if match := LIKE_CLOCK.fullmatch(text):
        return _clock(match)
    if match := _COMPACT.fullmatch(text):
        parts = match.groupdict()
        hour, minute = parts["hour"] or parts["hours"], parts["minute"] or parts["minutes"]
        if parts["zone"] and not hour:
            return None
        clock = f"{hour}:{minute}:{parts['second'] or '00'}{_zone(parts['zone'])}" if hour else ""
        return _joined(parts["year"], parts["month"], parts["day"], clock)
    if match := _YEAR_FIRST.fullmatch(text):
        return _joined(match["year"], match["month"], match["day"], _clock(match))
    for pattern in _NAMED:
        if (match := pattern.fullmatch(text)) and (month := _NUMBER_OF.get(match["name"].lower())):
            return _joined(match["year"], str(month), match["day"], _clock(match))
    return None


def _joined(year: str, month: str, day: str, clock: str | None) -> str | None:
    if clock is None:
        return None
    return f"{year}-{month.zfill(2)}-{day.zfill(2)}" + (f"T{clock}" if clock else "")


def _clock(match: re.Match[str]) -> str | None:
    """The time of day of a match, "" where it has none, None where it is impossible (13 pm)."""
    parts: Mapping[str, str | None] = match.groupdict()
    if parts["hour"] is None:
        return ""
    hour = int(parts["hour"])
    if parts["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (parts["half"].lower() == "p")
    second = f":{parts['second'].replace(',', '.')}" if parts["second"] else ""
    return f"{hour:02d}:{parts['minute']}{second}{_zone(parts['zone'])}"


def _zone(zone: str | None) -> str:
    """A time zone as ISO writes it."""
    if not zone:
        return ""
    if zone.lower() in ("z", "utc", "gmt"):
        return "Z"
    return f"{zone[:3]}:{zone[-2:] if len(zone) > 3 else '00'}"
