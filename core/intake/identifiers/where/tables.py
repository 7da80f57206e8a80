"""Residual identifiers in timelines: CSV, JSON, JSON lines, FHIR, OMOP and MEDS tables, searched in memory."""

from __future__ import annotations

import csv
import io
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.intake.files.byte_source import Entry
from core.intake.identifiers.finding import Finding, mask
from core.intake.identifiers.text.field_names import AGE_FIELDS, FIELD_CATEGORIES, field_name
from core.intake.identifiers.text.free_text import in_free_text
from core.intake.identifiers.text.judge import Judge
from core.intake.identifiers.text.names_alone import identifies, says_nothing
from core.intake.identifiers.text.patterns import name_parts
from core.intake.identifiers.text.vocabulary import own_words
from core.intake.identifiers.where.ages import (
    CODED,
    DAYS_90_YEARS,
    OVER_89,
    Ages,
    is_over_89,
    names_age,
    watched,
)
from core.intake.identifiers.where.column_headers import column_words
from core.intake.identifiers.where.decoding import encoding_of, head_of
from core.intake.identifiers.where.json_fields import TERM_FIELDS, FieldSearch, is_old
from core.intake.identifiers.where.json_records import TOLD_EVERY, documents_of, in_records, owned_in
from core.intake.identifiers.where.owned import PATIENT_NAMES, PATIENT_NUMBERS, Met, Owned
from core.intake.record.omop.tables import table_of
from core.intake.record.tables.delimiters import DELIMITERS, delimiter_of, filled_rows
from core.progress import Share
from core.records import BIRTH

T = TypeVar("T")
_READ = 0.5
"""Share of the search of text that is done once all rows are read."""

_ROWS = 200_000
_DISTINCT = 100_000
_MOST_NAMES = 12
"""Parts of names, at most, that may be one patient's."""
_SHORTEST_NUMBER = 5
"""Digits of a patient's number that is looked for in texts; shorter ones stand there by chance."""


def looks_like_table(entry: Entry) -> bool:
    """Whether the entry is parquet, JSON, or delimited text with a header row."""
    head = bytes(entry.read(0, 4096))
    if head[:4] == b"PAR1":
        return True
    text = head_of(head)
    if "\0" in text or not text.strip():
        return False
    if text.lstrip()[:1] in ("{", "["):
        return True
    first = text.lstrip().splitlines()[0]
    header = text if first.startswith('"') else first
    return len(text) > len(first) and (
        any(mark in header for mark in DELIMITERS) or field_name(first) in FIELD_CATEGORIES
    )


@dataclass(frozen=True)
class SearchedTable:
    """findings: each place once. own: words of its patient's name, for searching other places. known: the words with
    which all of it was searched."""

    findings: list[Finding]
    own: frozenset[str]
    known: frozenset[str]


def search_table(entry: Entry, judge: Judge, tell: Share) -> SearchedTable:
    """Search one table; `tell` is told the share done as it goes, and may raise, to stop.

    Columns or fields are judged by their names, and values by what they look like; each place once. Columns are
    numbered, and named where every word of their header is usual (`core.intake.identifiers.where.column_headers`),
    behind the table of OMOP or
    the resource of FHIR. judge: of texts, which knows parts of patients' names and ids. Where many patients are named,
    their words would be met everywhere, so that none is given. What cannot be parsed is reported as not searched,
    beside what was found before. JSON is gone through for the patient first, so that it is searched once.
    """
    found: dict[tuple[str, str], Finding] = {}
    names: set[Owned] = set()
    table = table_of(entry.name)
    stopped: list[BaseException] = []

    def told(share: float) -> None:
        try:
            tell(share)
        except BaseException as error:
            stopped.append(error)
            raise

    try:
        documents = documents_of(entry) if _is_json(entry) else None
        if documents:
            for one in owned_in(documents, told):
                if len(names) <= _MOST_NAMES:
                    names.add(one)
            judge = judge.knowing(judge.words | _words_of(names))
        for item in in_records(documents, judge, told) if documents else _columns(entry, judge, told):
            if isinstance(item, Finding):
                where = f"{table}, {item.where}" if table else item.where
                found.setdefault((item.category, where), replace(item, where=where))
            elif len(names) <= _MOST_NAMES:
                names.add(item)
    except Exception:  # whatever a parser says may repeat content
        if stopped:
            raise
        found["unreadable", "table"] = Finding("unreadable", "table", "not searched to the end")
    return SearchedTable(list(found.values()), _words_of(names), judge.words)


def _words_of(names: set[Owned]) -> frozenset[str]:
    """The words of a patient's names and numbers; none of so many patients that they would be met everywhere."""
    return frozenset[str]().union(*(_own_words(*one) for one in names)) if len(names) <= _MOST_NAMES else frozenset()


def _own_words(name: str, number: str) -> frozenset[str]:
    """Words of a patient's name and number, but for digits so few that they are met by chance."""
    own = name_parts(name, 3) | own_words("", number)
    return frozenset(word for word in own if not word.isdigit() or len(word) >= _SHORTEST_NUMBER)


def _is_json(entry: Entry) -> bool:
    return head_of(bytes(entry.read(0, 4096))).lstrip()[:1] in ("{", "[")


def _columns(entry: Entry, judge: Judge, tell: Share) -> Iterator[Met]:
    is_parquet = bytes(entry.read(0, 4)) == b"PAR1"
    return _parquet(entry, judge, tell) if is_parquet else _text_table(entry, judge, tell)


def _parquet(entry: Entry, judge: Judge, tell: Share) -> Iterator[Met]:
    file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(entry.read(0, None))))
    for number, name in enumerate(file.schema_arrow.names):
        tell(number / len(file.schema_arrow.names))
        for batch in file.iter_batches(_ROWS, columns=[name]):
            yield from _parquet_column(number, name, batch.column(0), judge)
    metadata = b" ".join(value for key, value in (file.schema_arrow.metadata or {}).items() if key != b"pandas")
    for category in judge.categories(metadata.decode("utf-8", "replace")):
        yield Finding(category, "table metadata", mask(metadata))
    if {"code", "time", "subject_id"} <= set(file.schema_arrow.names) and _has_old_patient(file):
        yield OVER_89
    if _has_old_age(file):
        yield CODED


def _parquet_column(number: int, name: str, values: Any, judge: Judge) -> Iterator[Met]:
    """A column of plain values, or of records and lists, which are walked as those of JSON."""
    if not pa.types.is_nested(values.type):
        yield from _column(number, name, _distinct(values), judge)
        return
    yield from FieldSearch(judge).search({name: values.to_pylist()})


def _distinct(values: Any) -> list[Any]:
    """Distinct values, at most 100,000; numbers and times come as they are."""
    return [value for value in pc.unique(values).slice(0, _DISTINCT).to_pylist() if value is not None]


def _has_old_patient(file: pq.ParquetFile) -> bool:
    """Whether a MEDS birth lies 90 years or more before an event of the same patient."""
    table = _dated(file.read(columns=["subject_id", "time", "code"]))
    births = table.filter(pc.equal(pc.cast(table["code"], pa.string()), BIRTH)).to_pandas()
    last = table.select(["subject_id", "time"]).group_by("subject_id").aggregate([("time", "max")]).to_pandas()
    joined = births.merge(last, on="subject_id")
    return bool(((joined["time_max"] - joined["time"]) >= pd.Timedelta(days=DAYS_90_YEARS)).any())


def _dated(table: pa.Table) -> pa.Table:
    """The same table with its times as such, where they are texts."""
    place, kind = table.schema.get_field_index("time"), table.schema.field("time").type
    if pa.types.is_temporal(kind):
        return table
    texts = pc.cast(table["time"], pa.string()).to_pandas()
    times = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True).dt.tz_localize(None)
    return table.set_column(place, "time", pa.array(times))


def _has_old_age(file: pq.ParquetFile) -> bool:
    """Whether an event is an age of more than 89 years."""
    names = [name for name in ("code", "numeric_value", "value", "unit") if name in file.schema_arrow.names]
    if "code" not in names or len(names) < 2:
        return False
    table = file.read(columns=names)
    codes = pc.cast(table["code"], pa.string())
    wanted = pa.array([code for code in pc.unique(codes).to_pylist() if code and names_age(code)], pa.string())
    rows = table.filter(pc.is_in(codes, wanted)).drop_columns("code").to_pylist() if len(wanted) else []
    return any(is_over_89(value, row.get("unit")) for row in rows for name, value in row.items() if name != "unit")


def _text_table(entry: Entry, judge: Judge, tell: Share) -> Iterator[Met]:
    """Columns of delimited text, read as `core.intake.record.tables.text_tables` reads it; rows of any length."""
    raw = bytes(entry.read(0, None))
    held = io.BytesIO(raw)
    lines = io.TextIOWrapper(held, encoding_of(raw[:4096]), "replace", newline="")
    rows = filled_rows(csv.reader(lines, delimiter=delimiter_of(lines)))
    names = next(rows, [])
    ages = Ages()
    read = _told(watched(rows, names, ages), lambda count: tell(_READ * held.tell() / max(len(raw), 1)))
    for done, (number, values) in enumerate(_distinct_fields(read)):
        tell(_READ + (1 - _READ) * min(1.0, done / max(len(names), 1)))
        name = names[number] if number < len(names) else ""
        yield from _column(number, name, values, judge)
    yield from ages.findings()


def _told(items: Iterable[T], tell: Callable[[int], None]) -> Iterator[T]:
    """The items; `tell` is told now and then how many have come."""
    for number, item in enumerate(items):
        if number % TOLD_EVERY == 0:
            tell(number)
        yield item


def _distinct_fields(rows: Iterable[list[str]]) -> Iterator[tuple[int, list[Any]]]:
    """(column, distinct values), handed over whenever many of a column have come together, and at the end."""
    waiting: dict[int, dict[str, None]] = defaultdict(dict)
    for row in rows:
        for number, text in filter(operator.itemgetter(1), enumerate(row)):
            waiting[number][text] = None
            if len(waiting[number]) >= _DISTINCT:
                yield number, list(waiting.pop(number))
    for number, values in waiting.items():
        yield number, list(values)


def _column(number: int, name: str, values: list[Any], judge: Judge) -> Iterator[Met]:
    """Findings of one column's distinct values."""
    if not values:
        return
    plain = field_name(name)
    if plain in PATIENT_NAMES:
        yield from ((str(value), "") for value in values[: _MOST_NAMES + 1])
    if plain in PATIENT_NUMBERS:
        yield from (("", str(value)) for value in values[: _MOST_NAMES + 1])
    shown = plain in FIELD_CATEGORIES or plain in AGE_FIELDS
    where = f"column {plain}" if shown else column_words(number + 1, name, judge.words)
    example = mask(str(values[0]))
    if plain in FIELD_CATEGORIES:
        yield Finding(FIELD_CATEGORIES[plain], where, example)
    elif hasattr(values[0], "year"):
        yield Finding("date", where, example)
    if plain in AGE_FIELDS and any(is_old(value) for value in values):
        yield Finding("age over 89", where, "90 years or more")
    if in_free_text(name) - {"free text"} or judge.is_number(name):
        yield Finding("free text", f"name of column {number + 1}", mask(name))
    if plain.endswith("concept_id"):
        values = [value for value in values if not str(value).isdecimal()]  # many read as days: 19080128
    texts: dict[str, str] = {}
    if says_nothing(name) and (found := identifies([str(value) for value in values if isinstance(value, (str, int))])):
        texts[found] = str(values[0])
    for value in values:
        if isinstance(value, str):
            for category in judge.categories(value, is_term=plain in TERM_FIELDS):
                texts.setdefault(category, value)
    for category, value in texts.items():
        if category != FIELD_CATEGORIES.get(plain):
            yield Finding(category, where, mask(value))
