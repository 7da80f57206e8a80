"""Sex and date of birth that stand beside each event, as the static facts of a record that the models know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from core.errors import UserFacingError
from core.events.standard_codes import standard_code
from core.events.yes_no import MISSING
from core.intake.record.checks.row_status import is_event
from core.intake.record.columns.dates import ISO_TIME, iso_times
from core.intake.record.columns.names import FIELDS, alike
from core.intake.record.columns.text_cells import plain_texts
from core.intake.record.columns.unknown import say_unread
from core.records import BIRTH, SEXES
from core.wording import count_of

Fact = tuple[str, str, str]
"""Patient, code, time."""
PEOPLE = ("sex", "birth_date", "age")
_ROW_OF_PEOPLE = "of a table of patients"
_UNKNOWN = MISSING | {"u", "unknown", "x", "o", "other", "unbekannt", "divers", "d"}
AGES_UNREAD = "Not read: the column of ages, as models take the age from the date of birth."
_SEXES_DIFFER = "Not read, as the rows or events differ, or name it in other words than female and male: the sex of"
_NO_BIRTH = "Not read, as they are not all written as year-month-day: the dates of birth of"


def with_people(table: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The rows of a table, columns named by field, and for each patient those of the sex and the birth that stand
    beside all others; without the columns of these.

    What the events themselves say of the sex counts. Dates of birth that differ become two births, which are refused
    when the record is read: it is not one patient's.
    """
    found = [name for name in PEOPLE if name in table]
    if not found:
        return table
    if "age" in found and (plain_texts(table["age"]) != "").any():
        notes.append(AGES_UNREAD)
    is_of_patient = table["left_out"] == _ROW_OF_PEOPLE if "left_out" in table else pd.Series(False, index=table.index)
    rows = table[is_event(table) | is_of_patient]
    named = plain_texts(rows["subject_id"]) if "subject_id" in rows else pd.Series("", index=rows.index)
    codes = plain_texts(rows["code"])
    facts = [*_sexes(rows, named, codes, notes), *_births(rows, named, codes, notes)]
    added = pd.DataFrame(facts, columns=["subject_id", "code", "time"], dtype=object)
    if "subject_id" not in rows:
        added = added.drop(columns="subject_id")
    return pd.concat([table[~is_of_patient].drop(columns=found), added], ignore_index=True).fillna("")


def is_of_people(table: pd.DataFrame) -> bool:
    """Whether a table tells of patients, each in one row, and by the names of its columns of no events.

    >>> people = pd.DataFrame({"subject_id": ["1", "2"], "gender": ["F", "M"], "dod": ["", ""]})
    >>> is_of_people(people), is_of_people(people.assign(time="", code="")), is_of_people(people.assign(subject_id="1"))
    (True, False, False)
    """
    names = [str(name) for name in table.columns]
    told = {field for field in FIELDS if alike(names, field)}
    if "subject_id" not in told or not told & {"sex", "birth_date"} or told & {"time", "code"}:
        return False
    return plain_texts(table.drop_duplicates()[alike(names, "subject_id")[0]]).is_unique


def beside_events(table: pd.DataFrame, people: Sequence[pd.DataFrame], notes: list[str]) -> pd.DataFrame:
    """The events with the sex and birth of their patients, out of tables of patients; for `with_people`.

    Raises UserFacingError where a table of patients names none of those of the events.
    """
    for told in people:
        names = [str(name) for name in told.columns]
        fields = {field: alike(names, field)[0] for field in ("subject_id", *PEOPLE) if alike(names, field)}
        patients = plain_texts(told[fields["subject_id"]])
        if "subject_id" not in table or not plain_texts(table["subject_id"]).isin(patients).any():
            raise UserFacingError(
                "A table of patients names none of those of the events.", "tables of the same patients", "Leave it out."
            )
        if others := len(names) - len(fields):
            notes.append(f"Not read, of a table of patients: {count_of(others, 'column')}.")
        say_unread(told, notes)
        rows = {field: told[name] for field, name in fields.items() if field != "age"}
        births = {"birth_date": rows["birth_date"]} if "birth_date" in rows else {}
        known = pd.DataFrame(rows | iso_times(births, None, notes)).assign(code="", time="")
        known = known[patients.isin(set(plain_texts(table["subject_id"])))]
        table = pd.concat([table, known.assign(left_out=_ROW_OF_PEOPLE)], ignore_index=True)
    return table


def _sexes(rows: pd.DataFrame, named: pd.Series[str], codes: pd.Series[str], notes: list[str]) -> Iterator[Fact]:
    """The one sex of each patient whose events do not tell it."""
    tell = {code: sex for code in codes.unique() if (sex := standard_code(code)).startswith("GENDER//")}
    own, unsure = codes.isin(tell), 0
    told = dict(zip(named[own], codes[own].map(tell)))
    for patient, given in _given(rows, "sex", named).items():
        sexes = {SEXES.get(text, "") for text in given if text not in _UNKNOWN}
        code = f"GENDER//{next(iter(sexes), '')}"
        if len(sexes) > 1 or "" in sexes or (sexes and told.get(patient, code) != code):
            unsure += 1
        elif sexes and patient not in told:
            yield patient, code, ""
    if unsure:
        notes.append(f"{_SEXES_DIFFER} {count_of(unsure, 'patient')}.")


def _births(rows: pd.DataFrame, named: pd.Series[str], codes: pd.Series[str], notes: list[str]) -> Iterator[Fact]:
    """The days of birth of each patient that events do not tell themselves."""
    own = codes == BIRTH
    told = set(zip(named[own], plain_texts(rows.loc[own, "time"]).str[:10]))
    unsure = 0
    for patient, given in _given(rows, "birth_date", named).items():
        if all(ISO_TIME.fullmatch(text.upper()) for text in given):
            yield from ((patient, BIRTH, day) for day in {text[:10] for text in given} if (patient, day) not in told)
        else:
            unsure += 1
    if unsure:
        notes.append(f"{_NO_BIRTH} {count_of(unsure, 'patient')}.")


def _given(rows: pd.DataFrame, field: str, named: pd.Series[str]) -> dict[str, list[str]]:
    """Patient -> the distinct texts of a field, in lower case, but for those that stand for none."""
    found: dict[str, list[str]] = {}
    texts = plain_texts(rows[field]).str.lower() if field in rows else named.iloc[:0]
    for patient, text in dict.fromkeys(zip(named, texts)):
        if text not in MISSING:
            found.setdefault(patient, []).append(text)
    return found
