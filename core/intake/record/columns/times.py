"""Dates and times in ISO 8601, as texts of a table, turned into time stamps; what cannot be one is refused."""

from __future__ import annotations

import re

import pandas as pd

from core.errors import UserFacingError
from core.events.yes_no import MISSING
from core.intake.record.columns.dates import ISO_TIME, LIKE_DATE, is_year_last
from core.intake.record.columns.text_cells import by_distinct, first_filled, matching, plain_texts, shapes
from core.intake.record.tables.row_numbers import Places, at
from core.wording import count_of

_END_OF_DAY = re.compile(r"(?<=\d[T ])24(?=:00(?::00(?:\.0+)?)?(?![\d:.]))")
"""Midnight as the end of its day, which ISO 8601 knows."""
ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_CLOCK = re.compile(r"\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?")
_CLOCK_IN_WORDS = re.compile(
    r"t?(?P<hour>\d{1,2})(?:(?P<sign>[:.]|h\s?)(?P<minute>\d{2}))?\s*(?P<end>uhr|h|hrs?|hours?|(?P<half>[ap])\.?m\.?)?",
    re.IGNORECASE,
)
"""Times of day as people write them: "08:30 Uhr", "8h30", "8 pm"; "8.30" alone may be a number of hours."""
_NO_CLOCK = re.compile(r"[-–—?._:\s]+")
_CLOCK_ON_NO_DAY = re.compile(r"(?:1899-12-3[01]|1900-01-01|1970-01-01|0001-01-01)[T ](?=\d{2}:\d{2})")
"""A time of day as databases store it that have no type for one: on the day from which they count."""
_ZONE_BY_NAME = re.compile(r"\d{4}-\d{2}-\d{2}[T ].*\d\s*(?:\[[\w/+-]+\]|[A-Z]{3,5}(?:[+-]\d{1,2}(?::?\d{2})?)?)")
_DAY_IN_A_ZONE = re.compile(r"\d{4}-\d{2}-\d{2}(?:Z|[+-]\d{2}:?\d{2})")
_AT_MIDNIGHT = re.compile(r"(?<=\d)[T ]00:00(?::00(?:\.0+)?)?")
EARLIEST, LATEST = pd.Timestamp("1850-01-01"), pd.Timestamp("2262-01-01")


def joined_times(one: pd.Series[str], other: pd.Series[str]) -> tuple[pd.Series[str], bool]:
    """(the times of two columns, whether they were a date and a time of day, either way round).

    One that repeats the days of the other with times of day counts as these. Otherwise the first column counts, and
    where it is empty the other: a time that is given is never passed over.
    Raises UserFacingError where days stand beside times of day of which some cannot be read.
    """
    texts = [plain_texts(column) for column in (one, other)]
    for dates, clocks in (texts, texts[::-1]):
        clocks = _without_day(_clocks(clocks))
        given = clocks[clocks != ""]
        days = dates.str.replace(_AT_MIDNIGHT, "", regex=True)
        given_days = days[clocks != ""]
        if not len(given) or not given_days.str.fullmatch(ISO_DAY).all():
            continue
        if (given.str[:10] == given_days).all():
            return first_filled(clocks, dates), True
        if given.str.fullmatch(_CLOCK).any() or not given.str.match(LIKE_DATE).any():
            _refuse_unless_clocks(given)
            return dates.where(clocks == "", days + "T" + clocks), True
    return first_filled(*texts), False


def _clocks(texts: pd.Series[str]) -> pd.Series[str]:
    """Times of day as ISO 8601 writes them where people's words mean one; "" where a cell says that it is not known."""
    found = {text: _clock_in_words(text) for text in texts.unique()}
    return texts.map(found)


def _clock_in_words(text: str) -> str:
    if text.lower() in MISSING or _NO_CLOCK.fullmatch(text):
        return ""
    match = _CLOCK_IN_WORDS.fullmatch(text)
    if not match or not (match["end"] or (match["minute"] and match["sign"] != ".")):
        return text
    hour, half = int(match["hour"]), (match["half"] or "").lower()
    if half and not 1 <= hour <= 12:
        return text
    hour = hour % 12 + 12 * (half == "p") if half else hour
    return f"{hour:02d}:{match['minute'] or '00'}"


def _refuse_unless_clocks(given: pd.Series[str]) -> None:
    if unread := int((~given.str.fullmatch(_CLOCK)).sum()):
        raise UserFacingError(
            f"Not read, in the column beside the dates: {count_of(unread, 'time')} of day.",
            "times of day such as 08:30, or empty cells where they are not known",
            "Correct these cells; without its time of day an event would count from 00:00.",
        )


def _without_day(clocks: pd.Series[str]) -> pd.Series[str]:
    """Times of day without the one day that stands before all of them, where it is none of the calendar's use."""
    days = clocks[clocks != ""].str.extract(f"^({_CLOCK_ON_NO_DAY.pattern})")[0]
    alone = len(days) > 0 and days.notna().all() and days.nunique() == 1
    return clocks.str.replace(_CLOCK_ON_NO_DAY, "", regex=True) if alone else clocks


def parse_times(texts: pd.Series[str], notes: list[str], places: Places | None = None) -> pd.Series[pd.Timestamp]:
    """ISO 8601 dates and times as datetime64[us]; empty ones are static facts (NaT).

    places: where the rows stand in their file, for refusals.
    Raises UserFacingError for other notations, impossible dates, and a mixture of times with and without a time zone.
    """
    plain = plain_texts(texts)
    shaped = shapes(plain)
    is_given = ~by_distinct(shaped, lambda some: some.str.lower().isin(MISSING))
    given, shaped = plain[is_given], shaped[is_given]
    matches = matching(shaped, ISO_TIME)
    if not matches.all():
        refuse_unsure_dates(given)
        _refuse_no_dates(given, places)
        raise UserFacingError(
            f"Not written as year-month-day: {count_of(int((~matches).sum()), 'time')}{at(places, ~matches)}.",
            "times such as 2024-03-15 or 2024-03-15T13:45",
            "Write dates in this order, so that day and month cannot be confused.",
        )
    zones = _zones(shaped)
    refuse_mixed_zones(zones)
    years = given.str[:4].astype(int)
    _refuse_years((years < EARLIEST.year) | (years >= LATEST.year), places)
    midnight = given.str[11:13] == "24"
    midnight[midnight] = given[midnight].str.contains(_END_OF_DAY)
    given = given.str.replace(_END_OF_DAY, "00", regex=True) if midnight.any() else given
    try:
        stamps = pd.to_datetime(given, format="ISO8601", utc=True).dt.tz_localize(None)
    except (ValueError, OverflowError) as error:
        raise _impossible(given, places) from error
    stamps += pd.to_timedelta(midnight.astype(int), unit="D")
    if True in zones:
        notes.append("Times with a time zone were converted to UTC.")
    if dates := int(matching(shaped, ISO_DAY).sum()):
        notes.append(whole_days(dates, len(given), len(texts)))
    return check_times(stamps.reindex(texts.index).astype("datetime64[us]"), places)


def _refuse_no_dates(given: pd.Series[str], places: Places | None) -> None:
    """Raises UserFacingError for what spreadsheets and programs write in place of dates: counts, and ####."""
    if narrow := int((odd := given.str.fullmatch("#{3,}")).sum()):
        raise UserFacingError(
            f"Not written as year-month-day, but hidden (####), as the spreadsheet's column was too narrow: "
            f"{count_of(narrow, 'time')}{at(places, odd)}.",
            "dates and times in full",
            "Widen the column in the spreadsheet, and save the table again.",
        )
    if years := int((odd := given.str.fullmatch(r"(?:18|19|20)\d{2}")).sum()):
        raise UserFacingError(
            f"Years alone, without month and day: {count_of(years, 'time')}{at(places, odd)}.",
            "times such as 2024-03-15 or 2024-03-15T13:45",
            "Add month and day; a year does not say what happened before day 0.",
        )
    if zoned := int((odd := given.str.fullmatch(_ZONE_BY_NAME)).sum()):
        raise UserFacingError(
            f"With a time zone that is not written as a difference to UTC: {count_of(zoned, 'time')}{at(places, odd)}.",
            "times such as 2024-03-15T13:45+01:00, or without a zone",
            "Export the times with their difference to UTC.",
        )
    if counted := int((odd := given.str.fullmatch(r"-?\d+(?:[.,]\d+)?")).sum()):
        raise UserFacingError(
            f"Not written as year-month-day, but as a count of days, minutes or seconds: {count_of(counted, 'time')}"
            f"{at(places, odd)}.",
            "times such as 2024-03-15 or 2024-03-15T13:45",
            "Write them as dates; in a spreadsheet, format the column as a date before it is saved.",
        )


def refuse_unsure_dates(times: pd.Series[str]) -> None:
    """Raises UserFacingError for dates that may be day first or month first, or that do not all fit one order."""
    if unsure := int(is_year_last(plain_texts(times)).sum()):
        raise UserFacingError(
            f"Unclear whether the day or the month comes first, or not alike throughout: {count_of(unsure, 'date')}.",
            "dates written year-month-day, or all alike with the order known",
            "Say where the Load page asks whether the day or the month comes first, or write them as year-month-day.",
        )


def whole_days(days: int, times: int, events: int) -> str:
    """The note on events that have a day and no time of day, of those that have a time; others, such as the sex of the
    patient, are events of the record too.

    >>> whole_days(1, 267, 268)
    'A date without a time of day counts from 00:00 that day: 1 of the 267 events that have a time.'
    """
    timed = "that has a time" if times == 1 else "that have a time"
    of_all = f"{times} events" if times == events else f"the {count_of(times, 'event')} {timed}"
    return f"A date without a time of day counts from 00:00 that day: {days} of {of_all}."


def zones_of(texts: pd.Series[str]) -> set[bool]:
    """Whether the times of day among these texts name a time zone: {True}, {False}, both, or neither without any."""
    return _zones(shapes(plain_texts(texts)))


def _zones(shaped: pd.Series[str]) -> set[bool]:
    matches = (ISO_TIME.fullmatch(shape) for shape in shaped.unique())
    return {match["zone"] is not None for match in matches if match and (match["clock"] or match["zone"])}


def refuse_mixed_zones(zones: set[bool]) -> None:
    """Raises UserFacingError where some times name a time zone and others do not."""
    if len(zones) > 1:
        raise UserFacingError(
            "Some times carry a time zone and others do not.", "all times in one zone", "Export the times alike."
        )


def is_iso_time(text: str) -> bool:
    """Whether a text is a date or time as ISO 8601 writes them, so that day and month cannot be confused.

    >>> is_iso_time("2024-03-15"), is_iso_time("2024-03-15T13:45Z"), is_iso_time("15/03/2024"), is_iso_time("now")
    (True, True, False, False)
    """
    return bool(ISO_TIME.fullmatch(text.strip()))


def _impossible(given: pd.Series[str], places: Places | None) -> UserFacingError:
    zoned = given.str.fullmatch(_DAY_IN_A_ZONE)
    if zoned.any():
        return UserFacingError(
            f"A day in a time zone but without a time of day: {count_of(int(zoned.sum()), 'time')}{at(places, zoned)}.",
            "a day alone, or a day with its time of day",
            "Leave the zone out, or export the time of day with it.",
        )
    odd = pd.to_datetime(given, format="ISO8601", utc=True, errors="coerce").isna()
    return UserFacingError(
        f"Impossible, such as a 30th of February or 25:10: {count_of(max(int(odd.sum()), 1), 'time')}"
        f"{at(places, odd)}.",
        "dates of the calendar and times of the day",
        "Correct them.",
    )


def check_times(times: pd.Series[pd.Timestamp], places: Places | None = None) -> pd.Series[pd.Timestamp]:
    """The times, once they lie in a plausible span (years 1850 to 2261; records may be shifted)."""
    _refuse_years((times < EARLIEST) | (times > LATEST), places)
    return times


def _refuse_years(outside: pd.Series[bool], places: Places | None) -> None:
    if outside.any():
        raise UserFacingError(
            f"Before 1850 or after 2261: {count_of(int(outside.sum()), 'time')}{at(places, outside)}.",
            "times of a patient's life",
            "Correct or remove them.",
        )
