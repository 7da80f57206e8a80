"""OMOP CDM 5.4 tables as rows of coded events (https://ohdsi.github.io/CommonDataModel/cdm54.html).

Codes are the standard concept's vocabulary and code where CONCEPT is present, else the source value.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import UserFacingError
from core.load.entries import Entry


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
    "visit_occurrence": _Table("visit", "visit_start", "VISIT"),
}
_VISITS = {"9201": "INPATIENT", "9202": "OUTPATIENT", "9203": "ED", "262": "ED"}
_VOCABULARY = {"CPT4": "CPT"}
_WANTED = frozenset((*_TABLES, "person", "death", "concept"))


def omop_tables(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Table name -> file, where the files are an OMOP data set (PERSON and at least one event table); else empty."""
    named = {PurePath(entry.name).stem.lower(): entry for entry in entries if "__MACOSX" not in entry.name}
    found = {name: entry for name, entry in named.items() if name in _WANTED}
    return found if "person" in found and set(found) & set(_TABLES) else {}


def omop_events(tables: Mapping[str, Entry]) -> pd.DataFrame:
    """Rows of text: subject_id, time, code, numeric_value, text_value, unit, description.

    Raises UserFacingError where a table is damaged or lacks its key columns.
    """
    concepts = _concepts(tables)
    parts = [_people(_read(tables["person"]))]
    parts += [_events(_read(tables[name]), layout, concepts) for name, layout in _TABLES.items() if name in tables]
    if "death" in tables:
        parts.append(_deaths(_read(tables["death"])))
    return pd.concat(parts, ignore_index=True).fillna("")


def _read(entry: Entry) -> pd.DataFrame:
    """A table as text, column names in lower case."""
    data = entry.read(0, None)
    try:
        if bytes(data[:4]) == b"PAR1":
            raw: pd.DataFrame = pq.read_table(pa.BufferReader(data)).to_pandas().astype(object)
            table = raw.where(raw.notna(), "").astype(str)
        else:
            delimiter = "\t" if b"\t" in bytes(data[:4096]).split(b"\n")[0] else ","
            table = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False, sep=delimiter)
    except Exception as error:
        raise UserFacingError("An OMOP table is damaged.", "OMOP CDM 5.4 tables", "Export the tables again.") from error
    table.columns = [str(name).strip().lower() for name in table.columns]
    if "person_id" not in table.columns and "concept_id" not in table.columns:
        raise UserFacingError(
            "An OMOP table has no person_id column.", "OMOP CDM 5.4 tables", "Export the tables again."
        )
    return table


def _concepts(tables: Mapping[str, Entry]) -> pd.DataFrame:
    """concept_id -> code and words."""
    if "concept" not in tables:
        return pd.DataFrame({"code": [], "words": []}, dtype=object)
    table = _read(tables["concept"])
    vocabulary = table["vocabulary_id"].replace(_VOCABULARY)
    codes = pd.DataFrame({"code": vocabulary + "//" + table["concept_code"], "words": table["concept_name"]})
    codes.index = pd.Index(table["concept_id"])
    return pd.DataFrame(codes[~codes.index.duplicated()])


def _column(table: pd.DataFrame, name: str) -> pd.Series[str]:
    return table[name] if name in table.columns else pd.Series("", index=table.index, dtype=object)


def _first(*columns: pd.Series[str]) -> pd.Series[str]:
    """Element by element, the first text that is not empty."""
    found = columns[0]
    for other in columns[1:]:
        found = found.where(found != "", other)
    return found


def _events(table: pd.DataFrame, layout: _Table, concepts: pd.DataFrame) -> pd.DataFrame:
    ids = _column(table, f"{layout.subject}_concept_id")
    source = layout.prefix + "//" + _first(_column(table, f"{layout.subject}_source_value"), ids)
    codes = ids.map(concepts["code"]).where(ids != "0").fillna(source)
    if layout.prefix == "VISIT":
        codes = "VISIT//" + ids.map(_VISITS).fillna("OTHER")
    rows = pd.DataFrame({"subject_id": table["person_id"], "code": codes})
    rows["time"] = _first(_column(table, f"{layout.start}_datetime"), _column(table, f"{layout.start}_date"))
    rows["description"] = ids.map(concepts["words"]).fillna("")
    if layout.value:
        rows["numeric_value"] = _column(table, "value_as_number")
        chosen = _column(table, "value_as_concept_id").map(concepts["words"]).fillna("")
        rows["text_value"] = _first(_column(table, "value_as_string"), chosen)
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
