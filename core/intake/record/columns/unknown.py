"""Columns that no name makes known, though they seem to hold a value, its unit, the patient or the time of day.

Such a column is asked about where passing it over would change what the record says; else it is said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping

import pandas as pd

from core.errors import UserFacingError
from core.events.death import outcomes
from core.events.yes_no import MISSING
from core.intake.record.columns.dates import LIKE_CLOCK, LIKE_DATE, iso_times
from core.intake.record.columns.names import (
    may_measure,
    may_number_patients,
    names_remarks,
    suggests_another_moment,
    suggests_patients,
    suggests_units,
    suggests_values,
    suggests_zones,
    unknown_names,
)
from core.intake.record.columns.numbers import LIKE_NUMBER
from core.intake.record.columns.text_cells import matching, plain_texts, shapes
from core.intake.record.columns.times import ISO_DAY
from core.intake.record.columns.units import is_unit
from core.wording import count_of

VALUES = ("numeric_value", "value")
_SHARED_BY = 3
"""So many rows on average share a number that tells patients apart and not rows."""
_AT_CLOCK = re.compile(r"\d{4}-\d{2}-\d{2}[T ](?!00:00(?::00(?:\.0+)?)?(?!\d)).+")
_ZONE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z_/+-]+\d*|(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?|[A-Z]{3,4}")
UNREAD_ZONES = "Not read: a column of time zones; times were taken as they are written."


def say_unread(table: pd.DataFrame, notes: list[str]) -> None:
    """Adds notes on columns that are not read: those that by their names tell of a death, and those of dates."""
    names = unknown_names(table)
    telling = [name for name, tells in zip(names, outcomes(names), strict=True) if tells]
    if count := sum(bool((plain_texts(table[name]) != "").any()) for name in telling):
        notes.append(unread_outcomes(count))
    if dated := sum(holds_dates(table[name]) for name in names):
        notes.append(unread_dates(dated))


def doubt_unread(table: pd.DataFrame, kept: pd.DataFrame, answered: Collection[str], notes: list[str]) -> None:
    """Judges the columns of `table` that `kept`, its columns named by field, does not hold.

    answered: the questions that a reader has answered (`answered_in`), which are not asked again; the others are.
    notes: numbers that are not read are said. Raises UserFacingError where the patient, the time of day, a value or its
    unit is probably there.
    """
    if asked := still_asked(table, kept, answered):
        raise asked[0]
    _note_numbers(table, kept, notes)
    if any(holds_zones(name, table[name]) for name in unknown_names(table)):
        notes.append(UNREAD_ZONES)
    say_unread(table, notes)
    if worded := sum(holds_words(name, table[name]) for name in unknown_names(table)):
        notes.append(unread_words(worded))


def still_asked(table: pd.DataFrame, kept: pd.DataFrame, answered: Collection[str]) -> list[UserFacingError]:
    """What must be answered before a table can be read, one refusal a question, as `doubt_unread` judges its
    columns."""
    doubts = {
        "subject_id": (_is_patient_unread, unread_patient),
        "clock": (_is_clock_unread, unread_clock),
        "unit": (_is_unit_unread, unread_units),
        "value": (_is_value_unread, unread_values),
    }
    asked = ((is_unread, refusal) for question, (is_unread, refusal) in doubts.items() if question not in answered)
    return [refusal() for is_unread, refusal in asked if is_unread(table, kept)]


def names_patients(name: str, distinct: int, rows: int) -> bool:
    """Whether a column of that name, with so many distinct values in so many rows, probably tells patients apart.

    >>> names_patients("USUBJID", 2, 2), names_patients("MRN", 1, 9)
    (True, False)
    >>> names_patients("id", 9, 9), names_patients("ID", 2, 9)
    (False, True)
    """
    shared = rows >= _SHARED_BY * distinct and may_number_patients(name)
    return distinct > 1 and (shared or suggests_patients(name))


def holds_units(name: str, values: pd.Series[str]) -> bool:
    """Whether most distinct values of a column, named like one of units, are units; under a name that tells of nothing
    else, where nearly all are, and one that can mean nothing else.

    >>> holds_units("lab_unit", pd.Series(["mg/dL", ""])), holds_units("care_unit", pd.Series(["MICU", "ICU 2"]))
    (True, False)
    >>> holds_units("LBORRESU", pd.Series(["g/dL", ""])), holds_units("test", pd.Series(["m", "Hb"]))
    (True, False)
    """
    given = [text for text in plain_texts(values).unique() if text]
    units = [text for text in given if is_unit(text)]
    named = suggests_units(name) and 2 * len(units) > len(given)
    telling = may_measure(name) and any("/" in text or text == "%" for text in units)
    return named or (telling and len(units) >= 0.9 * len(given))


def holds_zones(name: str, values: pd.Series[str]) -> bool:
    """Whether a column, named like one of time zones, names some.

    >>> holds_zones("tz", pd.Series(["Europe/Paris", ""])), holds_zones("zone", pd.Series(["lung base"]))
    (True, False)
    """
    given = [text for text in plain_texts(values).unique() if text]
    return bool(given) and suggests_zones(name) and all(map(_ZONE.fullmatch, given))


def holds_clocks(values: pd.Series[str]) -> bool:
    """Whether at least half of the filled cells of a column are times of day.

    >>> holds_clocks(pd.Series(["08:30", "", "late"])), holds_clocks(pd.Series(["08:30", "late", "fasting"]))
    (True, False)
    """
    given = plain_texts(values)
    given = given[given != ""]
    return len(given) > 0 and 2 * int(matching(given, LIKE_CLOCK).sum()) >= len(given)


def holds_words(name: str, values: pd.Series[str]) -> bool:
    """Whether a column holds words that may say more of its rows: no numbers, times, units or zones, and not one word
    for all rows; a remark of several words may stand in all.

    >>> holds_words("remark", pd.Series(["haemolytic", ""])), holds_words("ward", pd.Series(["ICU", "ICU"]))
    (True, False)
    """
    texts = plain_texts(values)
    distinct = [text for text in texts.unique() if text.lower() not in MISSING]
    remarked = names_remarks(name) and any(" " in text for text in distinct)
    told_apart = remarked or len(distinct) > 1 or (len(distinct) == 1 and bool((texts == "").any()))
    wordless = all(re.fullmatch(LIKE_NUMBER, text) or LIKE_CLOCK.fullmatch(text) for text in distinct)
    other = holds_dates(values) or holds_zones(name, values) or holds_units(name, values)
    return told_apart and not wordless and not other


def holds_dates(values: pd.Series[str]) -> bool:
    """Whether at least half of the filled cells of a column begin with a date.

    >>> holds_dates(pd.Series(["2020-01-03 08:30", ""])), holds_dates(pd.Series(["see 2020-01-03", "12"]))
    (True, False)
    """
    dated, given = count_dates(values)
    return given > 0 and dated >= given / 2


def count_dates(values: pd.Series[str]) -> tuple[int, int]:
    """(cells that begin with a date, filled cells).

    >>> count_dates(pd.Series(["2020-01-03 08:30", "", "n/a", "pending"]))
    (1, 2)
    """
    counts = Counter(plain_texts(values))
    given = {text: count for text, count in counts.items() if text.lower() not in MISSING}
    return sum(count for text, count in given.items() if re.match(LIKE_DATE, text)), sum(given.values())


def _is_patient_unread(table: pd.DataFrame, kept: pd.DataFrame) -> bool:
    names = unknown_names(table) if "subject_id" not in kept else []
    return any(names_patients(name, int(plain_texts(table[name]).nunique()), len(table)) for name in names)


def _is_clock_unread(table: pd.DataFrame, kept: pd.DataFrame) -> bool:
    """A date without its time of day would count from 00:00, before the prediction time of that day."""
    days = matching(shapes(plain_texts(kept["time"])), ISO_DAY)
    return any(
        holds_clocks(table.loc[days, name]) or _has_same_days(name, table.loc[days, name], kept.loc[days, "time"])
        for name in (unknown_names(table) if days.any() else [])
    )


def _has_same_days(name: str, values: pd.Series[str], days: pd.Series[str]) -> bool:
    """Whether a column names the days of the events again, and times of day with them."""
    if suggests_another_moment(name) or not holds_dates(values):
        return False
    moments = plain_texts(iso_times({name: values}, None, [])[name])
    given = moments != ""
    same = (moments.str[:10] == plain_texts(days)) | ~given
    return bool(same.all() and moments[given].str.fullmatch(_AT_CLOCK).any())


def _is_unit_unread(table: pd.DataFrame, kept: pd.DataFrame) -> bool:
    """A number without its unit would count as one in the usual unit."""
    measured = pd.Series(False, index=table.index)
    for field in VALUES if "unit" not in kept else ():
        if field in kept:
            measured |= matching(plain_texts(kept[field]), LIKE_NUMBER)
    names = unknown_names(table) if measured.any() else []
    return any(holds_units(name, table.loc[measured, name]) for name in names)


def _is_value_unread(table: pd.DataFrame, kept: pd.DataFrame) -> bool:
    """Whether more numbers than are read stand under a name that suggests a value."""
    read = _count_read(kept)
    return any(suggests_values(name) and _count_numbers(table[name]) > read for name in unknown_names(table))


def _count_read(kept: pd.DataFrame) -> int:
    return sum(_count_numbers(kept[field]) for field in VALUES if field in kept)


def _note_numbers(table: pd.DataFrame, kept: pd.DataFrame, notes: list[str]) -> None:
    """Says which columns that are not recognised hold numbers."""
    read = _count_read(kept)
    unread: Mapping[str, int] = {name: _count_numbers(table[name]) for name in unknown_names(table)}
    numeric = [name for name, count in unread.items() if count > 0 and (not read or may_measure(name))]
    if numeric:
        notes.append(unread_columns(len(numeric)))


def _count_numbers(column: pd.Series[str]) -> int:
    """How many cells are numbers where most of the filled ones are, else 0."""
    given = plain_texts(column)
    given = given[given != ""]
    numbers = int(matching(given, LIKE_NUMBER).sum())
    return numbers if 2 * numbers > len(given) else 0


def unread_patient() -> UserFacingError:
    """The refusal for patients that seem to be told apart by a column whose name is not known."""
    return UserFacingError(
        "Several patients or cases seem to be told apart by a column whose name is not recognised.",
        "patients in a column called subject_id or patient_id",
        "Rename it, or say where the Load page asks which column names the patient, if any.",
    )


def unread_clock() -> UserFacingError:
    """The refusal for times of day that seem to stand in a column whose name is not known."""
    return _unread("times of day", "date and time in one column, or in two called date and time", ", beside the dates")


def unread_units() -> UserFacingError:
    """The refusal for units that seem to stand in a column whose name is not known."""
    return _unread("units", "units in a column called unit")


def unread_values() -> UserFacingError:
    """The refusal for values that seem to stand in a column whose name is not known."""
    return _unread("numbers", "values in a column called numeric_value or value")


def _unread(what: str, expected: str, where: str = "") -> UserFacingError:
    return UserFacingError(
        f"The {what} seem to stand in a column whose name is not recognised{where}.",
        expected,
        "Rename it, or map the columns where the Load page asks.",
    )


def unread_columns(count: int) -> str:
    """The note on columns of numbers that are not read."""
    told = "a row gives one event with one value, so give each of these values a row of its own, with its code"
    return f"Not read, though they hold numbers: {count_of(count, 'column')}; {told}."


def unread_outcomes(count: int) -> str:
    """The note on columns that may say whether the patient died."""
    return f"Not read, though their names say that they tell whether the patient died: {count_of(count, 'column')}."


def unread_words(count: int) -> str:
    """The note on columns of words that are not read."""
    return (
        f"Not read, though they hold words, as they are neither mapped nor known by name: {count_of(count, 'column')}."
    )


def unread_dates(count: int) -> str:
    """The note on columns of dates that are not read."""
    return (
        f"With dates but not read, as they are neither mapped nor known by name: {count_of(count, 'column')}; the time "
        "of an event is that of the column with the usual name, or of the one chosen."
    )
