"""Rows of one patient turned into the typed MEDS columns of a timeline, from parquet or from text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from core.errors import UserFacingError
from core.events.cut import KNOWN_FROM
from core.events.kinds import kind_in_table, kind_of
from core.events.yes_no import MISSING, NULL_CODES, NULL_TEXTS
from core.intake.files.byte_source import Entry
from core.intake.files.which_file import told_of
from core.intake.record.checks.mixed_values import settled_by_text, words_among_numbers
from core.intake.record.checks.plausibility import ROUNDED, rounded_by_spreadsheet
from core.intake.record.checks.row_status import is_event
from core.intake.record.columns.dates import iso_times
from core.intake.record.columns.fields import SECOND_TIME
from core.intake.record.columns.numbers import FloatColumn, finite32, parse_values
from core.intake.record.columns.roles import Answers
from core.intake.record.columns.text_cells import clean_texts, plain_texts
from core.intake.record.columns.times import check_times, parse_times, refuse_mixed_zones, whole_days, zones_of
from core.intake.record.columns.units import unit_in_code
from core.intake.record.sorting import Part
from core.intake.record.tables.parquet import OTHER_TIME, as_text, in_utc, is_time, no_patient, read_subject
from core.intake.record.tables.row_numbers import Places, at, places_of
from core.progress import Progress, watched
from core.wording import count_of

_FIRST_DAY = "first day"
_REMARKS = {
    _FIRST_DAY: "Given as a year or month only, counted from its first day",
    "period end": "Counted from the end of the time that they took",
    "report time": "Without a time of their own, counted from the time of their report",
    "encounter end": "Without a time of their own, counted from the end of their encounter",
    "unit": "With a unit in words that differs from the coded one, shown in words; check which one holds",
    "unconfirmed": "Suspected only, as provisional, differential or not confirmed",
    "value": "With a value of a kind that is not read",
    "absent": "With an amount beside a reason why there is no value, of which the amount is not read",
    "reversed": "With a start after their end, counted from the later of the two",
    "two days": "With a date and a time that name different days, of which the time counts",
    "two times": "With two times in place of one, counted from the later",
    "two births": "With a year of birth and a time of birth that differ, of which the time counts",
    "two sexes": "With a sex that differs from the one of the source, which does not count",
    "zero for none": "Zero, where the source has no value, so perhaps never measured",
    "two units": "With a unit as recorded that is not the one of its concept; as recorded it counts",
    "qualifier": "With a qualifier that is not read, though it may change what is meant",
    "same number": "With the number of another row of their table, of which one may correct the other; both count",
    "concept number": "With a result or unit known by its concept's number only, as there is no CONCEPT table",
}
"""Remark of a row -> what is said of the rows that carry it."""

Column = Callable[[str], "pd.Series[Any] | None"]
_NAMES_NONE = "The table names no patient; all its events were taken as one patient's."
_WORDS = frozenset(("text_value", "unit", "description"))
_WHOLE_CODE = re.compile(r"\d{4,}\.0")
_WHOLE_NUMBER = r"[0-9]{1,18}(\.0)?"
"""Programs write the whole numbers of a column with gaps as 7.0."""


@dataclass(eq=False)
class Reading:
    """What is gathered while events are read: notes, words of codes, and the kinds that the source's tables give.

    shared: words of codes from a vocabulary of the data set, which are nobody's own; parents: what it says they are
    under, in standard spelling.
    zones: whether times of day name a time zone, over all files read. first_days: how many events are dated by a year
    or month only. places: where the rows of the events stand in their file, None where that is not known.
    undated_outcomes: how many were left out before they came here, as
    `core.events.cut.undated_outcomes`.
    """

    notes: list[str] = field(default_factory=list)
    words: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    zones: set[bool] = field(default_factory=set)
    first_days: int = 0
    undated_outcomes: int = 0
    places: Places | None = None
    shared: Mapping[str, str] = field(default_factory=dict)
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_events(
    parts: list[Part], subject: int, mapping: Answers | None, reading: Reading, progress: Progress | None = None
) -> pd.DataFrame | None:
    """All events of a subject, typed, in the order of the source; None where there is none.

    progress: told before each part; it may end the reading by raising.

    Raises UserFacingError for values and times that cannot be trusted.
    """
    typed = []
    entries = [part for part in parts if not isinstance(part, pd.DataFrame)]
    for part in watched(parts, progress, "Reading the record"):
        if isinstance(part, pd.DataFrame):
            typed.append(typed_text(part, subject, reading))
            continue
        with told_of(part, entries):
            typed.append(typed_parquet(part, subject, mapping, reading))
    refuse_mixed_zones(reading.zones)
    filled = [part for part in typed if len(part)]
    if not filled:
        return None
    return pd.concat(filled, ignore_index=True) if len(filled) > 1 else filled[0].reset_index(drop=True)


def typed_parquet(entry: Entry, subject: int, mapping: Answers | None, reading: Reading) -> pd.DataFrame:
    """The subject's rows of a parquet file, as `typed_rows` gives them."""
    table, fields = read_subject(entry, subject, mapping)
    if "subject_id" not in fields:
        reading.notes.append(_NAMES_NONE)
    return typed_rows(table, fields, subject, reading)


def typed_rows(table: pa.Table, fields: Mapping[str, str], subject: int, reading: Reading) -> pd.DataFrame:
    """Rows of one subject, read from parquet. fields: field -> column.

    Gives subject_id int64, time datetime64[us], code, numeric_value float32, text_value and unit (str or None), and
    `known_from` (datetime64[us]) where the source has such a column.
    """

    def column(name: str) -> pd.Series[Any] | None:
        if name not in fields:
            return None
        values = as_text(table[fields[name]])
        # Whole numbers with a gap among them would come back as decimals.
        is_word = name in _WORDS and pa.types.is_integer(values.type)
        return _series(values.cast(pa.string()) if is_word else values)

    if pa.types.is_floating(table[fields["code"]].type):
        reading.notes.append("Codes are stored as numbers: zeros at their beginning or end may have been lost.")
    codes = clean_texts(_series(table[fields["code"]].cast(pa.string())), NULL_CODES)
    typed = _typed(codes, column, subject, reading)
    typed.insert(1, "time", _event_times(table, fields, reading))
    if KNOWN_FROM in fields:
        typed[KNOWN_FROM] = _parquet_times(table[fields[KNOWN_FROM]], reading, [])
    return typed


def typed_text(table: pd.DataFrame, subject: int, reading: Reading) -> pd.DataFrame:
    """The subject's rows of a text table whose columns are named by field; columns as `typed_rows` gives them."""
    table = _happened(table[subject_numbers(table, reading.notes) == subject], reading.notes)
    reading.places = places_of(table)
    codes = _whole_codes(clean_texts(table["code"], NULL_CODES))
    typed = _typed(codes, table.get, subject, reading)
    reading.zones |= zones_of(table["time"])
    _collect_kinds(codes, table.get("table"), reading.kinds)
    _note_remarks(table.get("remarks"), reading)
    typed.insert(1, "time", parse_times(table["time"], reading.notes, reading.places).to_numpy())
    if KNOWN_FROM in table:
        reading.zones |= zones_of(table[KNOWN_FROM])
        typed[KNOWN_FROM] = parse_times(table[KNOWN_FROM], [], reading.places).to_numpy()
    return typed


def _whole_codes(codes: list[str | None]) -> list[str | None]:
    """Programs write codes that are whole numbers as 50912.0 where a column has gaps; ICD-9 has no more than 3 digits
    before the point."""
    whole = {code: code.partition(".")[0] for code in set(codes) if code and _WHOLE_CODE.fullmatch(code)}
    return [whole.get(code or "", code) for code in codes] if whole else codes


def _typed(codes: list[str | None], column: Column, subject: int, reading: Reading) -> pd.DataFrame:
    """The columns of events but for their times; `column` gives what the source has for a field, or None."""
    numbers, texts = _values(column("numeric_value"), column("value"), column("text_value"), codes, reading)
    _collect_words(codes, column("description"), reading)
    unit = column("unit")
    return pd.DataFrame(
        {
            "subject_id": np.full(len(codes), subject, np.int64),
            "code": pd.Series(codes, dtype=object),
            "numeric_value": numbers,
            "text_value": pd.Series(texts, dtype=object),
            "unit": pd.Series(clean_texts(unit, MISSING) if unit is not None else units_in_codes(codes), dtype=object),
        }
    )


def subject_numbers(table: pd.DataFrame, notes: list[str]) -> np.ndarray[Any, Any]:
    """Subject of each row as int64; identifiers that are not distinct whole numbers are numbered and so never shown.

    Raises UserFacingError where a row names no patient.
    """
    if "subject_id" not in table:
        notes.append(_NAMES_NONE)
        return np.ones(len(table), np.int64)
    texts = plain_texts(table["subject_id"])
    texts = texts.replace({name: "" for name in texts.unique() if name.lower() in NULL_TEXTS})
    if (texts == "").any():
        raise no_patient(int((texts == "").sum()), at(places_of(table), texts == ""))
    names = pd.Series(texts.unique())
    if (rounded := names[names.str.fullmatch(ROUNDED)]).any():
        raise rounded_by_spreadsheet("patient identifiers", int(texts.isin(rounded).sum()))
    if names.str.fullmatch(_WHOLE_NUMBER).all():
        texts = texts.str.removesuffix(".0")
        names = pd.Series(texts.unique())
    if names.str.fullmatch(r"[0-9]{1,18}").all() and names.astype(np.int64).is_unique:
        return texts.astype(np.int64).to_numpy()
    plain = names[names.str.fullmatch(r"[1-9][0-9]{0,17}")].astype(np.int64)
    first = int(plain.max()) + 1 if len(plain) else 1
    if plain.empty:
        notes.append("Patient identifiers are not plain whole numbers; patients are numbered from 1 instead.")
    else:  # how the numbers go on would tell a patient's
        notes.append(
            "Patient identifiers are not all plain whole numbers; the other patients are numbered after those."
        )
    numbers = dict(zip(sorted(set(names) - set(plain.astype(str))), range(first, first + len(names))))
    return texts.map(numbers | {str(number): number for number in plain}).to_numpy(np.int64)


def units_in_codes(codes: list[str | None]) -> list[str | None]:
    """Units that codes carry (`unit_in_code`)."""
    known = {code: unit_in_code(str(code)) for code in set(codes)}
    return [known[code] for code in codes]


def _series(column: pa.ChunkedArray) -> pd.Series[Any]:
    return pd.Series(column.to_pandas())


def _values(
    numeric: pd.Series[Any] | None,
    mixed: pd.Series[Any] | None,
    own_text: pd.Series[Any] | None,
    codes: list[str | None],
    reading: Reading,
) -> tuple[FloatColumn, list[str | None]]:
    """(numbers, texts) of the numeric column, of the one that may hold either, and of the text column; a number that a
    text in its row takes back is left out (`settled_by_text`).

    Raises UserFacingError where the first two name different numbers.
    """
    numbers, texts = _parsed(numeric, codes, reading, numeric=True)
    others, more = _parsed(mixed, codes, reading)
    if int(((numbers != others) & ~np.isnan(numbers) & ~np.isnan(others)).sum()):
        raise UserFacingError(
            "Two columns give different numbers for the same event.",
            "one value for each event",
            "Leave one column out.",
        )
    own = clean_texts(own_text, NULL_TEXTS) if own_text is not None else [None] * len(codes)
    joined = ["; ".join(dict.fromkeys(filter(None, parts))) or None for parts in zip(own, texts, more)]
    found = np.where(np.isnan(numbers), others, numbers).astype(np.float32)
    return settled_by_text(found, joined, reading.notes), joined


def _parsed(
    column: pd.Series[Any] | None, codes: list[str | None], reading: Reading, *, numeric: bool = False
) -> tuple[FloatColumn, list[str | None]]:
    if column is None:
        return np.full(len(codes), np.nan, np.float32), [None] * len(codes)
    if column.dtype.kind in "iuf":
        return finite32(column.to_numpy(np.float64)), [None] * len(codes)
    numbers, texts = parse_values(column, numeric=numeric, notes=reading.notes, places=reading.places)
    if said := words_among_numbers(numbers, texts, codes, numeric=numeric):
        reading.notes.append(said)
    return numbers, texts


def _event_times(table: pa.Table, fields: Mapping[str, str], reading: Reading) -> pd.Series[pd.Timestamp]:
    """The times of rows read from parquet; where they are empty, those of a second column of times."""
    times = _parquet_times(table[fields["time"]], reading, reading.notes)
    empty = times.isna().to_numpy()
    if OTHER_TIME in fields and empty.any():
        others = table[fields[OTHER_TIME]].filter(pa.array(empty))
        times[empty] = _parquet_times(others, reading, reading.notes).to_numpy()
        reading.notes.append(SECOND_TIME)
    return times


def _parquet_times(times: pa.ChunkedArray, reading: Reading, notes: list[str]) -> pd.Series[pd.Timestamp]:
    if not is_time(times.type):
        given = {"time": _series(times.cast(pa.string()))}
        texts = iso_times(given, None, notes)["time"]
        reading.zones |= zones_of(texts)
        return parse_times(texts, notes)
    count = len(times) - times.null_count
    if count and pa.types.is_date(times.type):
        notes.append(whole_days(count, count, len(times)))
    elif count:
        reading.zones.add(times.type.tz is not None)
    if getattr(times.type, "tz", None):
        notes.append("Times with a time zone were converted to UTC.")
    return check_times(pd.Series(in_utc(times).to_numpy().astype("datetime64[us]")))


def _collect_words(codes: list[str | None], described: pd.Series[Any] | None, reading: Reading) -> None:
    """Words of codes, the last of several; codes with more than one description are counted."""
    if described is None:
        return
    pairs = [pair for pair in dict.fromkeys(zip(codes, clean_texts(described, NULL_TEXTS))) if pair[0] and pair[1]]
    before = {(code, reading.words.get(str(code))) for code, _ in pairs} - {*reading.shared.items()}
    said = {(code, text) for code, text in (*before, *pairs) if text}
    reading.words.update({str(code): str(text) for code, text in pairs})
    if several := sum(count > 1 for count in Counter(code for code, _ in said).values()):
        reading.notes.append(f"With more than one description: {count_of(several, 'code')}; the last one is shown.")


def _collect_kinds(codes: list[str | None], tables: pd.Series[Any] | None, kinds: dict[str, str]) -> None:
    """Kinds by the table of origin, where they differ from what the code alone says; the first table counts."""
    for code, table in dict.fromkeys(zip(codes, tables)) if tables is not None else ():
        kind = kind_in_table(code, str(table)) if code else "other"
        if code and kind != kind_of(code):
            kinds.setdefault(code, kind)


def _happened(table: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The rows that are events; those left out are counted by their reason."""
    happened = is_event(table)
    reasons = table.loc[~happened, "left_out"] if not happened.all() else pd.Series([], dtype=object)
    for reason, count in reasons.value_counts(sort=False).items():
        notes.append(f"Left out, {reason}: {count_of(int(count), 'event')}.")
    return table[happened].reset_index(drop=True)


def _note_remarks(marks: pd.Series[Any] | None, reading: Reading) -> None:
    given: Iterable[object] = () if marks is None else marks.dropna()
    counts = Counter(mark for text in given for mark in str(text).split(";"))
    for mark, words in _REMARKS.items():
        if counts[mark]:
            reading.notes.append(f"{words}: {count_of(counts[mark], 'event')}.")
    reading.first_days += counts[_FIRST_DAY]
