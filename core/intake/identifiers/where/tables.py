"""Residual identifiers in timelines: CSV, JSON, JSON lines, FHIR, OMOP and MEDS tables, searched in memory."""

from __future__ import annotations

import csv
import io
import json
import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.intake.files.byte_source import Entry
from core.intake.files.limits import MIB
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
    watch_record,
    watch_resource,
    watched,
)
from core.intake.identifiers.where.column_headers import column_words
from core.intake.identifiers.where.decoding import encoding_of, head_of
from core.intake.identifiers.where.json_fields import TERM_FIELDS, FieldSearch, is_old, leaves
from core.intake.record.fhir.resource_types import is_kind
from core.intake.record.omop.tables import table_of
from core.intake.record.tables.delimiters import DELIMITERS, delimiter_of, filled_rows
from core.records import BIRTH

_MOST_JSON = 256 * MIB
_ROWS = 200_000
_DISTINCT = 100_000
_PATIENT_NAMES = frozenset(
    """
    patient_name patientname full_name fullname first_name firstname last_name lastname given_name family_name surname
    forename birth_name maiden_name nachname vorname familienname geburtsname patientenname prenom prénom
    nom_de_naissance apellido apellidos nombre cognome nome achternaam voornaam
    """.split()  # noqa: SIM905
)
_MOST_NAMES = 12
"""Parts of names, at most, that may be one patient's."""
_PATIENT_NUMBERS = frozenset(
    """
    mrn medical_record_number medical_record_no ssn social_security_number nhs_number patient_id patient_identifier
    person_source_value hospital_number national_id patient_number patient_no pat_no pat_nr patno patnr pat_id pid
    patientennummer patienten_nr versichertennummer numero_patient nip ipp insurance_id member_id policy_number
    """.split()  # noqa: SIM905
)
_SHORTEST_NUMBER = 5
"""Digits of a patient's number that is looked for in texts; shorter ones stand there by chance."""
Owned = tuple[str, str]
"""(name, number) that a table gives its patient, one of them empty."""
Met = Finding | Owned
"""What a search comes upon."""


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


def search_table(entry: Entry, judge: Judge) -> tuple[list[Finding], frozenset[str]]:
    """(findings of one table, words of its patient's name for searching other places).

    Columns or fields are judged by their names, and values by what they look like; each place once. Columns are
    numbered, and named where every word of their header is usual (`core.intake.identifiers.where.column_headers`),
    behind the table of OMOP or
    the resource of FHIR. judge: of texts, which knows parts of patients' names and ids. Where many patients are named,
    their words would be met everywhere, so that none is given. What cannot be parsed is reported as not searched,
    beside what was found before.
    """
    found: dict[tuple[str, str], Finding] = {}
    names: set[Owned] = set()
    table = table_of(entry.name)
    try:
        for item in _searched(entry, judge):
            if isinstance(item, Finding):
                where = f"{table}, {item.where}" if table else item.where
                found.setdefault((item.category, where), replace(item, where=where))
            elif len(names) <= _MOST_NAMES:
                names.add(item)
    except Exception:  # whatever a parser says may repeat content
        found["unreadable", "table"] = Finding("unreadable", "table", "not searched to the end")
    words = frozenset[str]().union(*(_own_words(*one) for one in names)) if len(names) <= _MOST_NAMES else frozenset()
    return list(found.values()), words


def _own_words(name: str, number: str) -> frozenset[str]:
    """Words of a patient's name and number, but for digits so few that they are met by chance."""
    own = name_parts(name, 3) | own_words("", number)
    return frozenset(word for word in own if not word.isdigit() or len(word) >= _SHORTEST_NUMBER)


def _searched(entry: Entry, judge: Judge) -> Iterator[Met]:
    head = bytes(entry.read(0, 4096))
    if head[:4] == b"PAR1":
        return _parquet(entry, judge)
    return _records(entry, judge) if head_of(head).lstrip()[:1] in ("{", "[") else _text_table(entry, judge)


def _parquet(entry: Entry, judge: Judge) -> Iterator[Met]:
    file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(entry.read(0, None))))
    for number, name in enumerate(file.schema_arrow.names):
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


def _text_table(entry: Entry, judge: Judge) -> Iterator[Met]:
    """Columns of delimited text, read as `core.intake.record.tables.text_tables` reads it; rows of any length."""
    raw = bytes(entry.read(0, None))
    lines = io.TextIOWrapper(io.BytesIO(raw), encoding_of(raw[:4096]), "replace", newline="")
    rows = filled_rows(csv.reader(lines, delimiter=delimiter_of(lines)))
    names = next(rows, [])
    ages = Ages()
    for number, values in _distinct_fields(watched(rows, names, ages)):
        name = names[number] if number < len(names) else ""
        yield from _column(number, name, values, judge)
    yield from ages.findings()


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
    if plain in _PATIENT_NAMES:
        yield from ((str(value), "") for value in values[: _MOST_NAMES + 1])
    if plain in _PATIENT_NUMBERS:
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


def _records(entry: Entry, judge: Judge) -> Iterator[Met]:
    """JSON: one document, or one a line."""
    if entry.size > _MOST_JSON:
        yield Finding("unreadable", "JSON", "too large to be searched")
        return
    data, ages, fields = bytes(entry.read(0, None)), Ages(), FieldSearch(judge)
    for document in _documents(data.decode(encoding_of(data), "replace")):
        yield from _names_of_patients(document)
        for record in _objects(document):
            watch_record(record, ages)
            for resource in _resources(record):
                watch_resource(resource, ages)
        for kind, part in _parts(document):
            yield from fields.search(part, kind)
    yield from ages.findings()


def _parts(document: Any) -> Iterator[tuple[str, Any]]:
    """(type of FHIR resource or "", object) of what a document holds: a bundle, and each of its resources."""
    for item in document if isinstance(document, list) else [document]:
        if not isinstance(item, dict):
            yield "", item
            continue
        whole, *inner = _resources(item)
        if inner:
            whole = {**whole, "entry": [_around(entry) for entry in whole["entry"]]}
        for resource in (whole, *inner):
            kind = resource.get("resourceType")
            yield kind if isinstance(kind, str) and is_kind(kind) else "", resource


def _around(entry: Any) -> Any:
    """An entry of a bundle without its resource."""
    if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
        return entry
    return {key: value for key, value in entry.items() if key != "resource"}


def _documents(text: str) -> Iterable[Any]:
    try:
        return [json.loads(text)]
    except ValueError:
        return (json.loads(line) for line in text.split("\n") if line.strip())


def _names_of_patients(document: Any) -> Iterator[Owned]:
    """Names and numbers that rows give their patient, or a FHIR bundle or resource; those of its staff are left out."""
    for item in _objects(document):
        for key, value in item.items():
            if field_name(str(key)) in _PATIENT_NAMES:
                yield str(value), ""
            elif field_name(str(key)) in _PATIENT_NUMBERS:
                yield "", str(value)
        yield from _names_in_fhir(item)


def _objects(document: Any) -> list[dict[str, Any]]:
    """The object that a document is, or those in its list."""
    return [item for item in (document if isinstance(document, list) else [document]) if isinstance(item, dict)]


def _resources(item: dict[str, Any]) -> list[dict[str, Any]]:
    """A JSON object, and the resources in it where it is a bundle of FHIR."""
    entries = item.get("entry")
    inner = [entry.get("resource") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [resource for resource in (item, *inner) if isinstance(resource, dict)]


def _names_in_fhir(item: dict[str, Any]) -> Iterator[Owned]:
    for resource in _resources(item):
        if resource.get("resourceType") == "Patient":
            parts = leaves(resource.get("name"))
            yield from ((str(value), "") for path, value in parts if path[-1:] in (("family",), ("given",), ("text",)))
            numbers = leaves(resource.get("identifier"))
            yield from (("", str(value)) for path, value in numbers if path == ("value",))
