"""OMOP CDM 5.4 tables as rows of coded events (https://ohdsi.github.io/CommonDataModel/cdm54.html).

Codes are the standard concept's vocabulary and code where CONCEPT is present, else the source value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import pandas as pd

from core.errors import UserFacingError
from core.load.entry import Entry
from core.timeline.concepts import read_concepts
from core.timeline.parquet import is_parquet, parquet_text
from core.timeline.text_tables import read_text_table


@dataclass(frozen=True)
class _Table:
    """Columns of one event table: {subject}_concept_id, {subject}_source_value, {start}_datetime, {start}_date."""

    subject: str
    start: str
    prefix: str
    value: bool = False


_TABLES: Mapping[str, _Table] = {
    "condition_occurrence": _Table("condition", "condition_start", "CONDITION"),
    "drug_exposure": _Table("drug", "drug_exposure_start", "DRUG"),
    "procedure_occurrence": _Table("procedure", "procedure", "PROCEDURE"),
    "measurement": _Table("measurement", "measurement", "MEASUREMENT", True),
    "observation": _Table("observation", "observation", "OBSERVATION", True),
    "device_exposure": _Table("device", "device_exposure_start", "DEVICE"),
    "visit_occurrence": _Table("visit", "visit_start", "VISIT"),
}
_VISITS = {"9201": "INPATIENT", "9202": "OUTPATIENT", "9203": "ED", "262": "ED"}
_OPERATORS = {"4171756": "<", "4171754": "<=", "4172704": ">", "4171755": ">="}
_WANTED = frozenset((*_TABLES, "person", "death", "concept"))


def omop_tables(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Table name -> file, where the files are an OMOP data set (PERSON and at least one event table); else empty."""
    named = {PurePath(entry.name).stem.lower(): entry for entry in entries if "__MACOSX" not in entry.name}
    found = {name: entry for name, entry in named.items() if name in _WANTED}
    return found if "person" in found and set(found) & set(_TABLES) else {}


def omop_events(tables: Mapping[str, Entry]) -> pd.DataFrame:
    """Rows of text: subject_id, time, code, numeric_value, text_value, unit, description, table.

    Raises UserFacingError where a table is damaged or lacks its key columns.
    """
    read = {name: _read(tables[name]) for name in _TABLES if name in tables}
    concepts = read_concepts(tables.get("concept"), _wanted_concepts(read))
    parts = [_people(_read(tables["person"]))]
    parts += [_events(table, _TABLES[name], concepts).assign(table=name) for name, table in read.items()]
    if "death" in tables:
        parts.append(_deaths(_read(tables["death"])))
    return pd.concat(parts, ignore_index=True).fillna("")


def _read(entry: Entry) -> pd.DataFrame:
    """A table as text without gaps, column names in lower case."""
    try:
        table = parquet_text(entry) if is_parquet(entry) else read_text_table(entry, empty=True)
    except UserFacingError as error:
        raise UserFacingError(
            f"An OMOP table cannot be read: {error.found[:1].lower()}{error.found[1:]}", error.expected, error.next_step
        ) from error
    table.columns = [str(name).strip().lower() for name in table.columns]
    if "person_id" not in table.columns:
        raise UserFacingError(
            "An OMOP table has no person_id column.", "OMOP CDM 5.4 tables", "Export the tables again."
        )
    return table.fillna("")


def _wanted_concepts(tables: Mapping[str, pd.DataFrame]) -> frozenset[str]:
    """Ids of the concepts that the tables name, so that a whole vocabulary need not be held."""
    return frozenset(
        text
        for table in tables.values()
        for name in table.columns
        if name.endswith("_concept_id")
        for text in table[name].unique()
    )


def _column(table: pd.DataFrame, name: str) -> pd.Series[str]:
    return table[name] if name in table.columns else pd.Series("", index=table.index, dtype=object)


def _first(*columns: pd.Series[str]) -> pd.Series[str]:
    """Element by element, the first text that is not empty."""
    found = columns[0]
    for other in columns[1:]:
        found = found.where(found != "", other)
    return found


def _events(table: pd.DataFrame, layout: _Table, concepts: pd.DataFrame) -> pd.DataFrame:
    if not {f"{layout.start}_datetime", f"{layout.start}_date"} & set(table.columns):
        raise UserFacingError(
            "An OMOP table has no column for the time.", "OMOP CDM 5.4 tables", "Export the tables again."
        )
    ids = _column(table, f"{layout.subject}_concept_id")
    source = layout.prefix + "//" + _first(_column(table, f"{layout.subject}_source_value"), ids)
    codes = ids.map(concepts["code"]).where(ids != "0").fillna(source)
    if layout.prefix == "VISIT":
        codes = "VISIT//" + ids.map(_VISITS).fillna("OTHER")
    rows = pd.DataFrame({"subject_id": table["person_id"], "code": codes})
    rows["time"] = _first(_column(table, f"{layout.start}_datetime"), _column(table, f"{layout.start}_date"))
    rows["description"] = ids.map(concepts["words"]).fillna("")
    if layout.value:
        number, operator = _column(table, "value_as_number"), _column(table, "operator_concept_id").map(_OPERATORS)
        bounded = operator.notna() & (number != "")
        rows["numeric_value"] = number.where(~bounded, "")
        chosen = _column(table, "value_as_concept_id").map(concepts["words"]).fillna("")
        bound = (operator.fillna("") + number).where(bounded, "")
        rows["text_value"] = _first(bound, _column(table, "value_as_string"), chosen)
        units = _column(table, "unit_concept_id").map(concepts["code"]).fillna("").str.split("//").str[-1]
        rows["unit"] = _first(_column(table, "unit_source_value"), units)
    return rows


def _people(table: pd.DataFrame) -> pd.DataFrame:
    year = _column(table, "year_of_birth")
    month = _column(table, "month_of_birth").replace("", "1").str.zfill(2)
    day = _column(table, "day_of_birth").replace("", "1").str.zfill(2)
    births = pd.DataFrame({"subject_id": table["person_id"], "code": "MEDS_BIRTH"})
    births["time"] = _first(_column(table, "birth_datetime"), (year + "-" + month + "-" + day).where(year != "", ""))
    gender = _column(table, "gender_concept_id").map({"8507": "GENDER//M", "8532": "GENDER//F"})
    sexes = pd.DataFrame({"subject_id": table["person_id"], "code": gender, "time": ""}).dropna(subset=["code"])
    return pd.concat([births[births["time"] != ""], sexes], ignore_index=True)


def _deaths(table: pd.DataFrame) -> pd.DataFrame:
    moment = _first(_column(table, "death_datetime"), _column(table, "death_date"))
    return pd.DataFrame({"subject_id": table["person_id"], "code": "MEDS_DEATH", "time": moment})
