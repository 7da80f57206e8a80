"""OMOP CDM 5.4 tables as rows of coded events (https://ohdsi.github.io/CommonDataModel/cdm54.html).

Codes are the standard concept's vocabulary and code where CONCEPT is present, else the source value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import pandas as pd

from core.errors import UserFacingError
from core.load.entry import Entry
from core.records import BIRTH
from core.timeline.concepts import read_concepts
from core.timeline.dates import iso_times
from core.timeline.parquet import is_parquet, parquet_text
from core.timeline.row_states import is_void
from core.timeline.text_tables import read_text_file
from core.timeline.texts import MISSING, NULLS, first_filled
from core.timeline.times import ISO_DAY
from core.timeline.vocabulary import standard_unit


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
_DIED = frozenset(("4216643", "died", "dead", "expired", "deceased", "patient died", "dead/expired"))
"""The concept and source values of a discharge that say that the patient died."""
_GAPPED = re.compile(r"(?<=\d)(?<!\.\d)\.0+$")
_HEADER_BYTES = 4096
_NO_WORDS = r"_(?:id|date|datetime|time|number|of_birth|low|high|supply|quantity)$"
"""Names of columns that never hold words; elsewhere NA may be a word of the source, as the code of sodium."""
_CLOCK = r"[0-2]\d:[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?"
_BOUND = r"(?:[<>]=?|[≤≥])\s*\d[\d.,]*"
_LEFT_OUT = ("visit_detail", "specimen", "note", "episode")
"""Tables with events of patients that are not read: counted for each patient."""
_WANTED = frozenset((*_TABLES, *_LEFT_OUT, "person", "death", "concept"))
_NO_EVENTS = frozenset(
    ("attribute_definition", "care_site", "cdm_source", "cohort", "cohort_definition", "concept_ancestor",
     "concept_class", "concept_relationship", "concept_synonym", "condition_era", "cost", "domain", "dose_era",
     "drug_era", "drug_strength", "episode_event", "fact_relationship", "location", "location_history", "metadata",
     "note_nlp", "observation_period", "payer_plan_period", "provider", "relationship", "source_to_concept_map",
     "vocabulary", "dataset", "codes")
)  # fmt: skip
"""Tables of the data model that hold no events, or only what was derived from them."""


_DOUBTED = frozenset(("preliminary", "provisional", "suspected", "differential", "unconfirmed", "possible", "verdacht"))
_PRELIMINARY = "32899"
"""The concept of a preliminary diagnosis among OMOP's condition states."""


@dataclass(frozen=True, eq=False)
class OmopFiles:
    """Table name -> its file or parts, and files beside them that are no tables of the data model."""

    tables: Mapping[str, Sequence[Entry]]
    unread: Sequence[Entry]


def omop_tables(entries: Sequence[Entry]) -> OmopFiles | None:
    """The tables where the files are an OMOP data set (PERSON and at least one event table); else None.

    A table may come in numbered parts in one folder. Raises UserFacingError where two folders hold the same table, or
    PERSON is not beside the others.
    """
    named: dict[str, list[Entry]] = {}
    for entry in entries:
        named.setdefault(_table_name(entry.name), []).append(entry)
    if "person" not in named:
        _refuse_nobodys(named)
        return None
    if not set(named) & set(_TABLES):
        return None
    found = {name: files for name, files in named.items() if name in _WANTED}
    if any(len({PurePath(file.name).parent for file in files}) > 1 for files in found.values()):
        raise UserFacingError(
            "Two folders hold the same OMOP table.", "the tables of one data set", "Choose the folder of one data set."
        )
    others = [file for name, files in named.items() if name not in _WANTED | _NO_EVENTS for file in files]
    return OmopFiles(found, others)


def _refuse_nobodys(named: Mapping[str, Sequence[Entry]]) -> None:
    """Raise for two or more event tables with OMOP's names and its column for the patient, but without PERSON."""
    found = [files[0] for name, files in named.items() if name in _TABLES]
    if len(found) > 1 and all(b"person_id" in bytes(file.read(0, _HEADER_BYTES)).lower() for file in found):
        raise UserFacingError(
            "The OMOP tables come without PERSON, which says when each patient was born.",
            "the table PERSON beside those of the events",
            "Add person.csv to the folder or archive.",
        )


def _table_name(path: str) -> str:
    """measurement of measurement.csv, measurement_1.csv and measurement/part-00000.csv."""
    file = PurePath(path.lower())
    stem = file.name.split(".")[0]
    is_part = re.match(r"(part|data|chunk)?[-_]?\d", stem)
    for name in (stem, re.sub(r"[_-]?\d+$", "", stem), file.parent.name if is_part else ""):
        if name in _WANTED | _NO_EVENTS:
            return name
    return stem


def omop_events(files: OmopFiles, notes: list[str]) -> pd.DataFrame:
    """Rows of text: subject_id, time, code, numeric_value, text_value, unit, description, table, remarks, left_out.

    notes: how dates were read where they are not written as ISO 8601 does is added.

    Raises UserFacingError where a table is damaged or lacks its key columns.
    """
    tables = {name: _read(parts) for name, parts in files.tables.items() if name not in ("concept", *_LEFT_OUT)}
    read = {name: table for name, table in tables.items() if name in _TABLES}
    concepts = read_concepts(files.tables.get("concept", ()), _wanted_concepts(read))
    rows = [_people(tables["person"])]
    rows += [_events(table, _TABLES[name], concepts).assign(table=name) for name, table in read.items()]
    if "death" in tables:
        rows.append(_deaths(tables["death"]))
    if "visit_occurrence" in tables:
        rows.append(_deaths_at_discharge(tables["visit_occurrence"]))
    events = _settled(rows, notes)
    timeless = (events["time"] == "") & ~events["code"].str.startswith("GENDER//")
    events["left_out"] = timeless.map({True: "without a time", False: ""}).where(events["code"] != "", "without a code")
    unread = [_unread(name, files.tables[name]) for name in _LEFT_OUT if name in files.tables]
    return pd.concat([events, *unread], ignore_index=True).fillna("")


def _settled(tables: Sequence[pd.DataFrame], notes: list[str]) -> pd.DataFrame:
    """All rows, their times as ISO 8601 writes them; those whose date names another day than their time are marked."""
    columns = {(number, name): table[name] for number, table in enumerate(tables) for name in ("time", "day")}
    isos = iso_times({f"{number} {name}": column for (number, name), column in columns.items()}, None, notes)
    settled = [
        table.assign(**{name: isos[f"{number} {name}"] for name in ("time", "day")})
        for number, table in enumerate(tables)
    ]
    events = pd.concat(settled, ignore_index=True).fillna("")
    differ = (events["day"] != "") & (events["time"].str[:10] != events["day"].str[:10])
    return _marked(events, differ, "two days").drop(columns="day")


def _marked(rows: pd.DataFrame, where: pd.Series[bool], remark: str) -> pd.DataFrame:
    """The rows with a remark (`core.timeline.typed_columns`) more where it holds."""
    marks = _column(rows, "remarks")
    return rows.assign(remarks=marks.where(~where, (marks + ";" + remark).str.removeprefix(";")))


def _unread(name: str, parts: Sequence[Entry]) -> pd.DataFrame:
    """A row for each row of a table that is not read; damage in it is no reason to refuse the others."""
    try:
        people = _read(parts)["person_id"]
    except UserFacingError:
        people = pd.Series([], dtype=object)
    return pd.DataFrame({"subject_id": people, "left_out": f"of a table that is not read ({name})"})


def _read(parts: Sequence[Entry]) -> pd.DataFrame:
    """A table, of one file or of several parts, as text without gaps."""
    tables = [_read_part(part) for part in parts]
    return pd.concat(tables, ignore_index=True).fillna("") if len(tables) > 1 else tables[0]


def _read_part(entry: Entry) -> pd.DataFrame:
    """One file as text without gaps, column names in lower case."""
    try:
        content = parquet_text(entry) if is_parquet(entry) else read_text_file(entry, empty=True)
        table = content if isinstance(content, pd.DataFrame) else pd.DataFrame()
    except UserFacingError as error:
        raise error.where("An OMOP table cannot be read") from error
    table.columns = [str(name).strip().lower() for name in table.columns]
    if "person_id" not in table.columns:
        raise UserFacingError(
            "An OMOP table has no person_id column.", "OMOP CDM 5.4 tables", "Export the tables again."
        )
    return _whole_ids(_without_nulls(table.fillna("")))


def _without_nulls(table: pd.DataFrame) -> pd.DataFrame:
    """Nothing where a database wrote NULL, and in columns of ids, times and numbers where a program wrote NA."""
    emptied = {}
    for name in table.columns:
        nulls = [text for text in table[name].unique() if _is_null(text, bool(re.search(_NO_WORDS, name)))]
        if nulls:
            emptied[name] = table[name].mask(table[name].isin(nulls), "")
    return table.assign(**emptied)


def _is_null(text: str, is_exact: bool) -> bool:
    return text != "" and text.strip().lower() in (MISSING if is_exact else NULLS)


def _whole_ids(table: pd.DataFrame) -> pd.DataFrame:
    """Programs write the whole numbers of a column with gaps as 3016723.0."""
    ids = [name for name in table.columns if name.endswith(("_id", "_of_birth"))]
    gapped = [name for name in ids if any(str(text).endswith(".0") for text in table[name].unique())]
    return table.assign(**{name: table[name].str.replace(_GAPPED, "", regex=True) for name in gapped})


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


def _events(table: pd.DataFrame, layout: _Table, concepts: pd.DataFrame) -> pd.DataFrame:
    if not {f"{layout.start}_datetime", f"{layout.start}_date"} & set(table.columns):
        raise UserFacingError(
            "An OMOP table has no column for the time.", "OMOP CDM 5.4 tables", "Export the tables again."
        )
    ids = _column(table, f"{layout.subject}_concept_id")
    source = first_filled(_column(table, f"{layout.subject}_source_value"), _given(ids))
    codes = ids.map(concepts["code"]).where(ids != "0").fillna((layout.prefix + "//" + source).where(source != "", ""))
    if layout.prefix == "VISIT":
        codes = _visits(ids, _column(table, "visit_source_value"))
    rows = pd.DataFrame({"subject_id": table["person_id"], "code": codes})
    rows["day"] = _column(table, f"{layout.start}_date")
    rows["time"] = _moments(table, layout.start)
    rows["description"] = ids.map(concepts["words"]).fillna("")
    concept, recorded = _given(_column(table, "qualifier_concept_id")), _column(table, "qualifier_source_value")
    qualified = (concept != "") | (recorded != "")
    if layout.value:
        return _marked(rows.join(_values(table, concepts)), qualified, "qualifier")
    state = _column(table, "condition_status_source_value").str.strip().str.lower()
    doubted = state.isin(_DOUBTED) | (_column(table, "condition_status_concept_id") == _PRELIMINARY)
    return _marked(_marked(rows, doubted, "unconfirmed"), is_void(state), "qualifier")


def _moments(table: pd.DataFrame, start: str) -> pd.Series[str]:
    """When events were: date and time, else the date with the time of day of a column of its own, else the date."""
    day, clock = _column(table, f"{start}_date"), _column(table, f"{start}_time")
    timed = day.str.fullmatch(ISO_DAY) & clock.str.fullmatch(_CLOCK)
    return first_filled(_column(table, f"{start}_datetime"), (day + "T" + clock).where(timed, ""), day)


def _visits(ids: pd.Series[str], source: pd.Series[str]) -> pd.Series[str]:
    """The usual visits by name, any other by its concept's number, else by its source value: kinds are never mixed."""
    known, given = ids.map(_VISITS), _given(ids)
    return "VISIT//" + known.fillna(first_filled(given, source).replace("", "OTHER"))


def _given(ids: pd.Series[str]) -> pd.Series[str]:
    """Concept ids, "" where none is named (0)."""
    return ids.where(ids != "0", "")


def _values(table: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:
    """numeric_value, text_value, unit and remarks of each row; a number with an operator is a bound and stays text.

    Without CONCEPT, what is known by its concept alone stands as the concept's number.
    """
    number, operator = _column(table, "value_as_number"), _column(table, "operator_concept_id").map(_OPERATORS)
    recorded = _column(table, "value_source_value").str.strip()
    told = operator.isna() & recorded.str.fullmatch(_BOUND)
    bounded = (operator.notna() | told) & (number != "")
    bound = (operator.fillna("") + number).where(~told, recorded).where(bounded, "")
    chosen, units = _given(_column(table, "value_as_concept_id")), _given(_column(table, "unit_concept_id"))
    source = recorded.where(number == "", "")
    said = first_filled(bound, _column(table, "value_as_string"), chosen.map(concepts["words"]).fillna(""), source)
    own, standard = _column(table, "unit_source_value"), units.map(concepts["code"]).fillna("").str.split("//").str[-1]
    unit = first_filled(own, standard)
    text, shown = first_filled(said, _numbered(chosen)), first_filled(unit, _numbered(units))
    unnamed = (text != said) | (shown != unit)
    values = pd.DataFrame({"numeric_value": number.where(~bounded, ""), "text_value": text, "unit": shown})
    other_unit = (own != "") & (standard != "") & (own.map(standard_unit) != standard.map(standard_unit))
    return _marked(_marked(values, unnamed, "concept number"), other_unit, "two units")


def _numbered(ids: pd.Series[str]) -> pd.Series[str]:
    return ("concept " + ids).where(ids != "", "")


def _people(table: pd.DataFrame) -> pd.DataFrame:
    year = _column(table, "year_of_birth")
    month = _column(table, "month_of_birth").replace("", "1").str.zfill(2)
    day = _column(table, "day_of_birth").replace("", "1").str.zfill(2)
    births = pd.DataFrame({"subject_id": table["person_id"], "code": BIRTH, "day": ""})
    moment = _column(table, "birth_datetime")
    births = _marked(births, first_filled(moment, _column(table, "day_of_birth")) == "", "first day")
    births = _marked(births, (moment != "") & (year != "") & (moment.str[:4] != year), "two births")
    births["time"] = first_filled(moment, (year + "-" + month + "-" + day).where(year != "", ""))
    gender = _column(table, "gender_concept_id").map({"8507": "GENDER//M", "8532": "GENDER//F"})
    sexes = pd.DataFrame({"subject_id": table["person_id"], "code": gender, "time": "", "day": ""}).dropna(
        subset=["code"]
    )
    return pd.concat([births[births["time"] != ""], sexes], ignore_index=True)


def _deaths(table: pd.DataFrame) -> pd.DataFrame:
    day = _column(table, "death_date")
    moment = first_filled(_column(table, "death_datetime"), day)
    return pd.DataFrame({"subject_id": table["person_id"], "code": "MEDS_DEATH", "time": moment, "day": day})


def _deaths_at_discharge(table: pd.DataFrame) -> pd.DataFrame:
    """The visits that ended with the patient's death, at their end; named differently up to version 5.3."""
    names = [f"discharge{d}_to_{part}" for d in ("d", "") for part in ("concept_id", "source_value")]
    told = pd.concat([_column(table, name).str.strip().str.lower().isin(_DIED) for name in names], axis=1).any(axis=1)
    day = _column(table, "visit_end_date")
    moment = first_filled(_column(table, "visit_end_datetime"), day)
    rows = {"subject_id": table["person_id"], "code": "DISCHARGE//EXPIRED", "time": moment, "day": day}
    return pd.DataFrame({**rows, "table": "visit_occurrence"})[told]
