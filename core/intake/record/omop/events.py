"""OMOP CDM 5.4 tables as rows of coded events (https://ohdsi.github.io/CommonDataModel/cdm54.html).

Codes are the standard concept's vocabulary and code where CONCEPT is present, else the source value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from core.errors import UserFacingError
from core.events.standard_codes import standard_unit
from core.events.yes_no import NULLS
from core.intake.files.byte_source import Entry
from core.intake.record.checks.mixed_values import names_another
from core.intake.record.checks.row_status import is_void
from core.intake.record.columns.dates import iso_times
from core.intake.record.columns.fields import plainly_written
from core.intake.record.columns.text_cells import first_filled
from core.intake.record.columns.times import joined_times
from core.intake.record.omop.concepts import read_concepts
from core.intake.record.omop.tables import EVENT_TABLES, LEFT_OUT, EventTable, OmopFiles, read_table
from core.records import BIRTH, SEXES

_VISITS = {"9201": "INPATIENT", "9202": "OUTPATIENT", "9203": "ED", "262": "ED"}
_OPERATORS = {"4171756": "<", "4171754": "<=", "4172704": ">", "4171755": ">=", "4172703": "="}
_OPERATOR_WORDS = {"less than": "<", "less than or equal to": "<=", "more than": ">", "greater than": ">",
                   "more than or equal to": ">=", "greater than or equal to": ">=", "equal to": "=", "equals": "=",
                   **{sign: sign for sign in ("<", "<=", ">", ">=", "=")}}  # fmt: skip
"""What CONCEPT calls a local operator -> the sign; an equal sign bounds nothing."""
_DIED = frozenset(("4216643", "died", "dead", "expired", "deceased", "patient died", "dead/expired"))
"""The concept and source values of a discharge that say that the patient died."""
_BOUND = r"(?:[<>]=?|[≤≥])\s*\d[\d.,]*"
_DATED = ("time", "day", "end")
_DOUBTED = frozenset(("preliminary", "provisional", "suspected", "differential", "unconfirmed", "possible", "verdacht"))
_PRELIMINARY = "32899"
"""The concept of a preliminary diagnosis among OMOP's condition states."""


def omop_events(files: OmopFiles, ways: Mapping[str, str], notes: list[str]) -> pd.DataFrame:
    """Rows of text: subject_id, time, code, numeric_value, text_value, unit, description, table, remarks, left_out.

    ways: how dates and numbers are written, as a reader answered (`core.intake.record.columns.roles.WAYS`). notes:
    how dates were read where they are not written as ISO 8601 does is added.

    Raises UserFacingError where a table is damaged or lacks its key columns.
    """
    tables = {name: read_table(parts) for name, parts in files.tables.items() if name not in ("concept", *LEFT_OUT)}
    tables = {name: table for name, table in tables.items() if len(table) or name == "person"}
    read = {name: table for name, table in tables.items() if name in EVENT_TABLES}
    if "decimals" in ways:
        read = {name: plainly_written(table, ways["decimals"], notes) for name, table in read.items()}
    concepts = read_concepts(files.tables.get("concept", ()), _wanted_concepts(read))
    rows = [_people(tables["person"])]
    for name, table in read.items():
        numbers = _column(table, f"{name}_id")
        events = _events(table, EVENT_TABLES[name], concepts).assign(table=name)
        rows.append(_marked(events, (numbers != "") & numbers.duplicated(keep=False), "same number"))
    if "death" in tables:
        rows.append(_deaths(tables["death"]))
    if "visit_occurrence" in tables:
        rows.append(_deaths_at_discharge(tables["visit_occurrence"]))
    events = _settled(rows, ways.get("dates"), notes)
    timeless = (events["time"] == "") & ~events["code"].str.startswith("GENDER//")
    events["left_out"] = timeless.map({True: "without a time", False: ""}).where(events["code"] != "", "without a code")
    unread = [_unread(name, files.tables[name]) for name in LEFT_OUT if name in files.tables]
    return pd.concat([events, *unread], ignore_index=True).fillna("")


def _settled(tables: Sequence[pd.DataFrame], dates: str | None, notes: list[str]) -> pd.DataFrame:
    """All rows, their times as ISO 8601 writes them; those whose date names another day than their time, and those
    that end before they start, are marked."""
    given = {f"{number} {name}": table[name] for number, table in enumerate(tables) for name in _DATED if name in table}
    isos = iso_times(given, dates, notes)
    settled = [
        table.assign(**{name: isos[f"{number} {name}"] for name in _DATED if name in table})
        for number, table in enumerate(tables)
    ]
    events = pd.concat(settled, ignore_index=True).fillna("")
    days, end_days = events["time"].str[:10], _column(events, "end").str[:10]
    events = _marked(events, (events["day"] != "") & (days != events["day"].str[:10]), "two days")
    return _marked(events, (end_days != "") & (end_days < days), "reversed").drop(
        columns=["day", "end"], errors="ignore"
    )


def _marked(rows: pd.DataFrame, where: pd.Series[bool], remark: str) -> pd.DataFrame:
    """The rows with a remark (`core.intake.record.meds_columns`) more where it holds."""
    marks = _column(rows, "remarks")
    return rows.assign(remarks=marks.where(~where, (marks + ";" + remark).str.removeprefix(";")))


def _unread(name: str, parts: Sequence[Entry]) -> pd.DataFrame:
    """A row for each row of a table that is not read; damage in it is no reason to refuse the others."""
    try:
        people = read_table(parts)["person_id"]
    except UserFacingError:
        people = pd.Series([], dtype=object)
    return pd.DataFrame({"subject_id": people, "left_out": f"of a table that is not read ({name})"})


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


def _events(table: pd.DataFrame, layout: EventTable, concepts: pd.DataFrame) -> pd.DataFrame:
    if not {f"{layout.start}_datetime", f"{layout.start}_date"} & set(table.columns):
        raise UserFacingError(
            f"The OMOP table with {layout.subject}_concept_id has no column for the time, {layout.start}_date.",
            "OMOP CDM 5.4 tables",
            "Export the tables again.",
        )
    ids = _column(table, f"{layout.subject}_concept_id")
    source = first_filled(_column(table, f"{layout.subject}_source_value"), _given(ids))
    codes = ids.map(concepts["code"]).where(ids != "0").fillna((layout.prefix + "//" + source).where(source != "", ""))
    if layout.prefix == "VISIT":
        codes = _visits(ids, _column(table, "visit_source_value"))
    rows = pd.DataFrame({"subject_id": table["person_id"], "code": codes})
    rows["day"] = _column(table, f"{layout.start}_date")
    rows["time"] = _moments(table, layout.start)
    rows["end"] = _ends(table, layout.start)
    rows["description"] = ids.map(concepts["words"]).fillna("")
    concept, recorded = _given(_column(table, "qualifier_concept_id")), _column(table, "qualifier_source_value")
    qualified = (concept != "") | (recorded != "")
    if layout.value:
        return _marked(rows.join(_values(table, concepts)), qualified, "qualifier")
    state = _column(table, "condition_status_source_value").str.strip().str.lower()
    concept_ids = _column(table, "condition_status_concept_id")
    named = concept_ids.map(concepts["words"]).fillna("").str.strip().str.lower()
    doubted = state.isin(_DOUBTED) | named.isin(_DOUBTED) | (concept_ids == _PRELIMINARY)
    return _marked(_marked(rows, doubted, "unconfirmed"), is_void(state) | is_void(named), "qualifier")


def _moments(table: pd.DataFrame, start: str) -> pd.Series[str]:
    """When events were: date and time, else the date with the time of day of a column of its own, else the date.

    Raises UserFacingError for times of day that are needed and cannot be read.
    """
    moment, day = _column(table, f"{start}_datetime"), _column(table, f"{start}_date")
    timed, is_clock = joined_times(day, _column(table, f"{start}_time").where(moment == "", ""))
    return first_filled(moment, timed if is_clock else day)


def _ends(table: pd.DataFrame, start: str) -> pd.Series[str]:
    end = start.removesuffix("_start") + "_end"
    return first_filled(_column(table, f"{end}_datetime"), _column(table, f"{end}_date"))


def _visits(ids: pd.Series[str], source: pd.Series[str]) -> pd.Series[str]:
    """The usual visits by name, any other by its concept's number, else by its source value: kinds are never mixed."""
    known, given = ids.map(_VISITS), _given(ids)
    return "VISIT//" + known.fillna(first_filled(given, source).replace("", "OTHER"))


def _given(ids: pd.Series[str]) -> pd.Series[str]:
    """Concept ids, "" where none is named (0)."""
    return ids.where(ids != "0", "")


def _values(table: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:
    """numeric_value, text_value, unit and remarks of each row; a number with an operator is a bound and stays text.

    What the source recorded stands as text where there is no number, or another one. Without CONCEPT, what is known by
    its concept alone stands as the concept's number.
    """
    number, operator, is_unread = _column(table, "value_as_number"), *_operators(table, concepts)
    recorded = _column(table, "value_source_value").str.strip()
    told = operator.isna() & recorded.str.fullmatch(_BOUND)
    bounded = (operator.notna() | told) & (number != "")
    bound = (operator.fillna("") + number).where(~told, recorded).where(bounded, "")
    chosen, units = _given(_column(table, "value_as_concept_id")), _given(_column(table, "unit_concept_id"))
    amounts = pd.to_numeric(number, errors="coerce").to_numpy(np.float32)
    is_none = recorded.str.lower().isin(NULLS)
    source = recorded.where(((number == "") | names_another(amounts, recorded)) & ~is_none, "")
    said = first_filled(bound, _column(table, "value_as_string"), chosen.map(concepts["words"]).fillna(""), source)
    text = first_filled(said, _numbered(chosen))
    own, standard = _column(table, "unit_source_value"), units.map(concepts["code"]).fillna("").str.split("//").str[-1]
    unit = first_filled(own, standard)
    shown = first_filled(unit, _numbered(units))
    values = pd.DataFrame({"numeric_value": number.where(~bounded, ""), "text_value": text, "unit": shown})
    values = _marked(values, (text != said) | (shown != unit), "concept number")
    values = _marked(values, is_unread & ~told, "qualifier")
    values = _marked(values, (amounts == 0) & is_none & (recorded != ""), "zero for none")
    other_unit = (own != "") & (standard != "") & (own.map(standard_unit) != standard.map(standard_unit))
    return _marked(values, other_unit, "two units")


def _operators(table: pd.DataFrame, concepts: pd.DataFrame) -> tuple[pd.Series[str], pd.Series[bool]]:
    """(the sign of comparison beside each number, NaN where there is none, whether one is given that is not known)."""
    ids = _given(_column(table, "operator_concept_id"))
    words = ids.map(concepts["words"]).str.strip().str.casefold() if len(concepts) else ids
    known = ids.map(_OPERATORS).astype(object)
    signs = known.where(known.notna(), words.map(_OPERATOR_WORDS))
    return signs.mask(signs == "="), (ids != "") & signs.isna()


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
    recorded: pd.Series[str] = _column(table, "gender_source_value").str.strip().str.casefold().map({**SEXES})
    concept = _given(_column(table, "gender_concept_id"))
    sex = concept.map({"8507": "M", "8532": "F"})
    sex = sex.where(concept != "", recorded)
    sexes = pd.DataFrame({"subject_id": table["person_id"], "code": "GENDER//" + sex, "time": "", "day": ""})
    sexes = _marked(sexes, sex.notna() & recorded.notna() & (sex != recorded), "two sexes").dropna(subset=["code"])
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
