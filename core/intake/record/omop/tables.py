"""Which files are tables of OMOP CDM 5.4 (https://ohdsi.github.io/CommonDataModel/cdm54.html), read as text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import pandas as pd

from core.errors import UserFacingError
from core.events.yes_no import MISSING, NULLS
from core.intake.files.byte_source import Entry
from core.intake.record.tables.parquet import is_parquet, parquet_file, parquet_text
from core.intake.record.tables.text_tables import read_text_file


@dataclass(frozen=True)
class EventTable:
    """Columns of one event table: {subject}_concept_id, {subject}_source_value, {start}_datetime, {start}_date."""

    subject: str
    start: str
    prefix: str
    value: bool = False


EVENT_TABLES: Mapping[str, EventTable] = {
    "condition_occurrence": EventTable("condition", "condition_start", "CONDITION"),
    "drug_exposure": EventTable("drug", "drug_exposure_start", "DRUG"),
    "procedure_occurrence": EventTable("procedure", "procedure", "PROCEDURE"),
    "measurement": EventTable("measurement", "measurement", "MEASUREMENT", True),
    "observation": EventTable("observation", "observation", "OBSERVATION", True),
    "device_exposure": EventTable("device", "device_exposure_start", "DEVICE"),
    "visit_occurrence": EventTable("visit", "visit_start", "VISIT"),
}
_AS_RECORDED = "value_source_value"
"""Where NULL beside a number is worth a word."""
_GAPPED = re.compile(r"(?<=\d)(?<!\.\d)\.0+$")
_HEADER_BYTES = 4096
_NO_WORDS = r"_(?:id|date|datetime|time|number|of_birth|low|high|supply|quantity)$"
"""Names of columns that never hold words; elsewhere NA may be a word of the source, as the code of sodium."""
LEFT_OUT = ("visit_detail", "specimen", "note", "episode")
"""Tables with events of patients that are not read: counted for each patient."""
_WANTED = frozenset((*EVENT_TABLES, *LEFT_OUT, "person", "death", "concept"))
_NO_EVENTS = frozenset(
    ("attribute_definition", "care_site", "cdm_source", "cohort", "cohort_definition", "concept_ancestor",
     "concept_class", "concept_relationship", "concept_synonym", "condition_era", "cost", "domain", "dose_era",
     "drug_era", "drug_strength", "episode_event", "fact_relationship", "location", "location_history", "metadata",
     "note_nlp", "observation_period", "payer_plan_period", "provider", "relationship", "source_to_concept_map",
     "vocabulary", "dataset", "codes")
)  # fmt: skip
"""Tables of the data model that hold no events, or only what was derived from them."""


@dataclass(frozen=True, eq=False)
class OmopFiles:
    """Table name -> its file or parts, and files beside them that are no tables of the data model."""

    tables: Mapping[str, Sequence[Entry]]
    unread: Sequence[Entry]


def omop_tables(entries: Sequence[Entry]) -> OmopFiles | None:
    """The tables where the files are an OMOP data set (PERSON and at least one event table); else None.

    A table may come in numbered parts in one folder. Raises UserFacingError where two folders hold the same table, and
    where either PERSON or the tables of events are missing.
    """
    named: dict[str, list[Entry]] = {}
    for entry in entries:
        named.setdefault(_table_name(entry.name), []).append(entry)
    if "person" not in named or not set(named) & set(EVENT_TABLES):
        _refuse_incomplete(named)
        return None
    found = {name: files for name, files in named.items() if name in _WANTED}
    if any(len({PurePath(file.name).parent for file in files}) > 1 for files in found.values()):
        raise UserFacingError(
            "Two folders hold the same OMOP table.", "the tables of one data set", "Choose the folder of one data set."
        )
    others = [file for name, files in named.items() if name not in _WANTED | _NO_EVENTS for file in files]
    return OmopFiles(found, others)


def _refuse_incomplete(named: Mapping[str, Sequence[Entry]]) -> None:
    """Raise for event tables without PERSON, and for PERSON without an event table, known by OMOP's columns."""
    starts = {"person": "year_of_birth", **{name: f"{table.start}_date" for name, table in EVENT_TABLES.items()}}
    first = {name: named[name][0] for name in starts if name in named}
    known = {name for name, file in first.items() if _has_columns(file, "person_id", starts[name])}
    if known - {"person"} and "person" not in named:
        raise UserFacingError(
            "The OMOP tables come without PERSON, which says when each patient was born.",
            "the table PERSON beside those of the events",
            "Add person.csv to the folder or archive.",
        )
    if "person" in known and set(named) <= {"person", "death", *LEFT_OUT, *_NO_EVENTS}:
        raise UserFacingError(
            "The OMOP tables hold no events: PERSON is there, but none of the tables that are read beside it.",
            f"at least one of {', '.join(name.upper() for name in EVENT_TABLES)}",
            "Add them to the folder or archive.",
        )


def _has_columns(file: Entry, *wanted: str) -> bool:
    """Whether a table's names of columns hold all those wanted, or begin with them."""
    if is_parquet(file):
        names = [name.lower() for name in parquet_file(file).schema_arrow.names]
    else:
        names = re.split(r"\W+", bytes(file.read(0, _HEADER_BYTES)).decode("latin-1").lower())
    return all(any(name.startswith(one) for name in names) for one in wanted)


def table_of(path: str) -> str:
    """The table of the data model that a file's name says it is, "" for others.

    >>> table_of("export/measurement_2.csv"), table_of("smith.csv")
    ('measurement', '')
    """
    name = _table_name(path)
    return name if name in _WANTED | _NO_EVENTS else ""


def _table_name(path: str) -> str:
    """measurement of measurement.csv, measurement_1.csv and measurement/part-00000.csv."""
    file = PurePath(path.lower())
    stem = file.name.split(".")[0]
    is_part = re.match(r"(part|data|chunk)?[-_]?\d", stem)
    for name in (stem, re.sub(r"[_-]?(?:part|chunk)?[_-]?\d+$", "", stem), file.parent.name if is_part else ""):
        if name in _WANTED | _NO_EVENTS:
            return name
    return stem


def read_table(parts: Sequence[Entry]) -> pd.DataFrame:
    """A table, of one file or of several parts, as text without gaps."""
    tables = [_read_part(part) for part in parts]
    return pd.concat(tables, ignore_index=True).fillna("") if len(tables) > 1 else tables[0]


def _read_part(entry: Entry) -> pd.DataFrame:
    """One file as text without gaps, column names in lower case."""
    try:
        content = parquet_text(entry) if is_parquet(entry) else read_text_file(entry, empty=True)
        table = content if isinstance(content, pd.DataFrame) else pd.DataFrame()
    except UserFacingError as error:
        raise error.where(f"{_called(entry)} cannot be read") from error
    table.columns = [str(name).strip().lower() for name in table.columns]
    if "person_id" not in table.columns:
        raise UserFacingError(
            f"{_called(entry)} has no person_id column.", "OMOP CDM 5.4 tables", "Export the tables again."
        )
    return _whole_ids(_without_nulls(table.fillna("")))


def _called(entry: Entry) -> str:
    """A table by the name that the data model gives it."""
    name = table_of(entry.name)
    return f"The OMOP table {name.upper()}" if name else "An OMOP table"


def _without_nulls(table: pd.DataFrame) -> pd.DataFrame:
    """Nothing where a database wrote NULL, and in columns of ids, times and numbers where a program wrote NA."""
    emptied = {}
    for name in table.columns.drop(_AS_RECORDED, errors="ignore"):
        nulls = [text for text in table[name].unique() if _is_null(text, bool(re.search(_NO_WORDS, name)))]
        if nulls:
            emptied[name] = table[name].mask(table[name].isin(nulls), "")
    return table.assign(**emptied)


def _is_null(text: str, is_exact: bool) -> bool:
    return text != "" and text.strip().lower() in (MISSING if is_exact else NULLS)


def _whole_ids(table: pd.DataFrame) -> pd.DataFrame:
    """Programs write the whole numbers of a column with gaps as 3016723.0, or with all the decimals of a type."""
    ids = [name for name in table.columns if name.endswith(("_id", "_of_birth"))]
    gapped = [name for name in ids if any(_GAPPED.search(str(text)) for text in table[name].unique())]
    return table.assign(**{name: table[name].str.replace(_GAPPED, "", regex=True) for name in gapped})
