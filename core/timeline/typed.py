"""Rows of one patient turned into the typed MEDS columns of a timeline, from parquet or from text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from core.errors import UserFacingError
from core.load.entry import Entry
from core.load.words import count_of
from core.timeline.columns import (
    FloatColumn,
    check_times,
    clean_texts,
    finite32,
    parse_times,
    parse_values,
    refuse_numbers_as_units,
)
from core.timeline.kinds import kind_in_table, kind_of
from core.timeline.parquet import as_text, read_subject
from core.timeline.tables import Part


@dataclass(eq=False)
class Reading:
    """What is gathered while events are read: notes, words of codes, and the kinds that the source's tables give."""

    notes: list[str] = field(default_factory=list)
    words: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)


def read_events(
    parts: list[Part], subject: int, mapping: Mapping[str, str] | None, reading: Reading
) -> pd.DataFrame | None:
    """All events of a subject, typed, in the order of the source; None where there is none.

    Raises UserFacingError for values, times and codes that cannot be trusted.
    """
    typed = [
        typed_text(part, subject, reading)
        if isinstance(part, pd.DataFrame)
        else typed_parquet(part, subject, mapping, reading)
        for part in parts
    ]
    filled = [part for part in typed if len(part)]
    if not filled:
        return None
    events = pd.concat(filled, ignore_index=True) if len(filled) > 1 else filled[0].reset_index(drop=True)
    if blank := int(events["code"].isna().sum()):
        raise UserFacingError(
            f"Without a code: {count_of(blank, 'event')}.", "a code for every event", "Correct or remove these rows."
        )
    reading.notes[:] = dict.fromkeys(reading.notes)
    return events


def typed_parquet(entry: Entry, subject: int, mapping: Mapping[str, str] | None, reading: Reading) -> pd.DataFrame:
    """The subject's rows of a parquet file, as `typed_rows` gives them."""
    return typed_rows(*read_subject(entry, subject, mapping), subject, reading)


def typed_rows(table: pa.Table, fields: Mapping[str, str], subject: int, reading: Reading) -> pd.DataFrame:
    """Rows of one subject, read from parquet. fields: field -> column.

    Gives subject_id int64, time datetime64[us], code, numeric_value float32, text_value and unit (str or None).
    """

    def column(name: str) -> pd.Series[Any] | None:
        return _series(as_text(table[fields[name]])) if name in fields else None

    codes = clean_texts(_series(table[fields["code"]].cast(pa.string())))
    numbers, texts = _values(column("numeric_value"), column("value"), column("text_value"), table.num_rows)
    unit = column("unit")
    _collect_words(codes, column("description"), reading.words)
    return pd.DataFrame(
        {
            "subject_id": np.full(table.num_rows, subject, np.int64),
            "time": _parquet_times(table[fields["time"]], reading.notes),
            "code": pd.Series(codes, dtype=object),
            "numeric_value": numbers,
            "text_value": pd.Series(texts, dtype=object),
            "unit": pd.Series(clean_texts(unit) if unit is not None else units_in_codes(codes), dtype=object),
        }
    )


def typed_text(table: pd.DataFrame, subject: int, reading: Reading) -> pd.DataFrame:
    """The subject's rows of a text table whose columns are named by field; columns as `typed_rows` gives them."""
    table = table[subject_numbers(table, reading.notes) == subject].reset_index(drop=True)

    def column(name: str) -> pd.Series[Any] | None:
        return table.get(name)

    codes = clean_texts(table["code"])
    numbers, texts = _values(column("numeric_value"), column("value"), column("text_value"), len(table))
    units = column("unit")
    if units is not None:
        refuse_numbers_as_units(units)
    _collect_words(codes, column("description"), reading.words)
    _collect_kinds(codes, column("table"), reading.kinds)
    _note_imprecise(column("imprecise"), reading.notes)
    return pd.DataFrame(
        {
            "subject_id": np.full(len(table), subject, np.int64),
            "time": parse_times(table["time"], reading.notes).to_numpy(),
            "code": pd.Series(codes, dtype=object),
            "numeric_value": numbers,
            "text_value": pd.Series(texts, dtype=object),
            "unit": pd.Series(clean_texts(units) if units is not None else [None] * len(table), dtype=object),
        }
    )


def subject_numbers(table: pd.DataFrame, notes: list[str]) -> np.ndarray[Any, Any]:
    """Subject of each row as int64; identifiers that are not distinct whole numbers are numbered and so never shown."""
    if "subject_id" not in table:
        notes.append("The table names no patient; all its events were taken as one patient's.")
        return np.ones(len(table), np.int64)
    texts = table["subject_id"].fillna("").astype(str).str.strip()
    if (texts == "").any():
        raise UserFacingError(
            f"Naming no patient: {count_of(int((texts == '').sum()), 'event')}.",
            "a patient for every event",
            "Correct these rows.",
        )
    names = pd.Series(texts.unique())
    if names.str.fullmatch(r"[0-9]{1,18}").all() and names.astype(np.int64).is_unique:
        return texts.astype(np.int64).to_numpy()
    notes.append("Patient identifiers are not plain whole numbers; patients are numbered from 1 instead.")
    return (pd.factorize(texts, sort=True)[0] + 1).astype(np.int64)


def units_in_codes(codes: list[str | None]) -> list[str | None]:
    """Units that MIMIC's MEDS codes carry as their third part (LAB//item//unit)."""
    known = {code: _unit_in_code(str(code)) for code in set(codes)}
    return [known[code] for code in codes]


def _unit_in_code(code: str) -> str | None:
    parts = code.split("//")
    has_unit = len(parts) == 3 and parts[0] in ("LAB", "SUBJECT_FLUID_OUTPUT") and parts[2] not in ("UNK", "")
    return parts[2] if has_unit else None


def _series(column: pa.ChunkedArray) -> pd.Series[Any]:
    return pd.Series(column.to_pandas())


def _values(
    numeric: pd.Series[Any] | None, mixed: pd.Series[Any] | None, own_text: pd.Series[Any] | None, size: int
) -> tuple[FloatColumn, list[str | None]]:
    """(numbers, texts) of the numeric column, of the one that may hold either, and of the text column.

    Raises UserFacingError where the first two name different numbers.
    """
    numbers, texts = _parsed(numeric, size)
    others, more = _parsed(mixed, size)
    if int(((numbers != others) & ~np.isnan(numbers) & ~np.isnan(others)).sum()):
        raise UserFacingError(
            "Two columns give different numbers for the same event.",
            "one value for each event",
            "Leave one column out.",
        )
    own = clean_texts(own_text) if own_text is not None else [None] * size
    joined = ["; ".join(dict.fromkeys(filter(None, parts))) or None for parts in zip(own, texts, more)]
    return np.where(np.isnan(numbers), others, numbers).astype(np.float32), joined


def _parsed(column: pd.Series[Any] | None, size: int) -> tuple[FloatColumn, list[str | None]]:
    if column is None:
        return np.full(size, np.nan, np.float32), [None] * size
    if column.dtype.kind in "iuf":
        return finite32(column.to_numpy(np.float64)), [None] * size
    return parse_values(column)


def _parquet_times(times: pa.ChunkedArray, notes: list[str]) -> pd.Series[pd.Timestamp]:
    if not (pa.types.is_timestamp(times.type) or pa.types.is_date(times.type)):
        return parse_times(_series(times.cast(pa.string())), notes)
    zone = getattr(times.type, "tz", None)
    if zone:
        notes.append("Times with a time zone were converted to UTC.")
    if pa.types.is_date(times.type):
        notes.append("Dates without a time of day count from 00:00 that day.")
    fine = pa.types.is_timestamp(times.type) and times.type.unit == "ns"
    try:
        plain = times.cast(pa.timestamp("us", tz=zone), safe=not fine).cast(pa.timestamp("us"))
    except pa.ArrowException as error:
        raise UserFacingError(
            "Some times lie outside the calendar.", "times of a patient's life", "Correct or remove them."
        ) from error
    return check_times(pd.Series(plain.to_numpy().astype("datetime64[us]")))


def _collect_words(codes: list[str | None], described: pd.Series[Any] | None, words: dict[str, str]) -> None:
    if described is not None:
        texts = clean_texts(described)
        words.update({code: text for code, text in zip(codes, texts) if code and text})


def _collect_kinds(codes: list[str | None], tables: pd.Series[Any] | None, kinds: dict[str, str]) -> None:
    """Kinds by the table of origin, where they differ from what the code alone says; the first table counts."""
    for code, table in dict.fromkeys(zip(codes, tables)) if tables is not None else ():
        kind = kind_in_table(code, str(table)) if code else "other"
        if code and kind != kind_of(code):
            kinds.setdefault(code, kind)


def _note_imprecise(marks: pd.Series[Any] | None, notes: list[str]) -> None:
    if marks is not None and (count := int((marks.fillna("").astype(str) != "").sum())):
        notes.append(f"Given as a year or month only, counted from its first day: {count_of(count, 'time')}.")
