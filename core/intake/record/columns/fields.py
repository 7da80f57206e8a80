"""Columns of a text table under the names of their fields; what could be read in two ways is refused or said."""

from __future__ import annotations

import pandas as pd

from core.errors import UserFacingError
from core.events.cut import KNOWN_FROM
from core.events.kinds import kind_of
from core.intake.record.checks.row_context import note_contexts
from core.intake.record.checks.row_status import settle_qualified
from core.intake.record.columns.dates import LIKE_DATE, iso_times
from core.intake.record.columns.demographics import PEOPLE
from core.intake.record.columns.names import alike
from core.intake.record.columns.numbers import plain_numbers, refuse_commas, refuse_numbers_as_units
from core.intake.record.columns.recorded import RECORDED_AS_TIME, known_from, recorded_columns
from core.intake.record.columns.roles import Answers, answer_for, answered_in, columns_of, recognise, ways_of
from core.intake.record.columns.text_cells import first_filled, plain_texts
from core.intake.record.columns.times import joined_times
from core.intake.record.columns.unknown import VALUES, doubt_unread
from core.intake.record.tables.i2b2 import plain_facts
from core.intake.record.tables.row_numbers import places_of
from core.wording import count_of

OMOP_VALUE = "value_as_number"
SECOND_TIME = (
    "More than one column may hold the time; the one with the usual name was read, the other where it is empty."
)


def recognised(table: pd.DataFrame, answers: Answers | None, notes: list[str]) -> pd.DataFrame:
    """The recognised columns of a text table, under the names of their fields; a date and a clock become one time.

    Times are written as ISO 8601 does, numbers with a decimal point, where they can only mean one thing or the mapping
    says how they are written.

    Where the rows stand in their file is kept in a column of its own (`core.intake.record.tables.row_numbers`), if it
    is known.

    Raises UserFacingError where columns of one meaning disagree, and where the numbers seem to stand in a column that
    is not recognised.
    """
    places = places_of(table)
    table = plain_facts(table.reset_index(drop=True), notes)
    names = [str(name) for name in table.columns]
    answer = answer_for(names, answers)
    ways, mapping, answered = ways_of(answer), columns_of(answer), answered_in(answer)
    fields, day = recognise(names, mapping), (mapping or {}).get("date")
    own_times = {fields["time"], day, *alike(names, "time")}
    recorded = recorded_columns(names, fields)
    timed = {*own_times, *recorded, fields.get("birth_date")}
    settled = iso_times({name: table[name] for name in names if name in timed}, ways.get("dates"), notes)
    table = table.assign(**settled)
    kept = pd.DataFrame({field: table[name] for field, name in fields.items() if field != KNOWN_FROM})
    kept = kept.join(known_from(table[recorded], "known_from" in answered, notes))
    if fields["time"] in alike(names, KNOWN_FROM):
        notes.append(RECORDED_AS_TIME)
    for field in ("subject_id", "time", "code", *VALUES, "text_value", "unit"):
        same = [] if field in (mapping or {}) else [name for name in alike(names, field) if name != fields.get(field)]
        for name in same:
            if name not in fields.values():
                kept[field] = _combined(field, kept[field], table[name], notes)
    if day and day != fields["time"]:
        kept["time"] = _one_time(kept["time"], table[day], notes)
    chosen = set((mapping or {}).values())
    if "time" not in answered:
        _doubt_timeless(table.drop(columns=[fields[name] for name in PEOPLE if name in fields]), kept)
    others = table[[name for name in table if name not in chosen]]
    doubt_unread(others, kept, answered, notes)
    note_contexts(others, kept, notes)
    if "decimals" in ways:
        kept = plainly_written(kept, ways["decimals"], notes)
    if "unit" in kept:
        values = [plain_texts(kept[field]) for field in VALUES if field in kept]
        none = pd.Series("", index=kept.index, dtype=object)
        refuse_numbers_as_units(kept["unit"], first_filled(none, *values), notes, places)
    kept = settle_qualified(others, kept, notes)
    return kept if places is None else kept.assign(**{str(places.name): places})


def plainly_written(kept: pd.DataFrame, decimals: str, notes: list[str]) -> pd.DataFrame:
    """The values with a decimal point, once it is known which sign parts the decimals."""
    plain = {name: plain_numbers(plain_texts(kept[name]), decimals) for name in (*VALUES, OMOP_VALUE) if name in kept}
    if any((plain[name] != plain_texts(kept[name])).any() for name in plain):
        notes.append(f"The {decimals} was read as the decimal sign, as answered.")
    return kept.assign(**plain)


def refuse_unsettled_numbers(named: pd.DataFrame) -> None:
    """Raises UserFacingError where the values of a table, columns named by field, have decimal signs in doubt."""
    for field in VALUES:
        if field in named:
            refuse_commas(plain_numbers(plain_texts(named[field])))


def _combined(field: str, one: pd.Series[str], other: pd.Series[str], notes: list[str]) -> pd.Series[str]:
    """A field that two columns name: the patient must be the same, values may not differ, times may complete.

    Texts are joined.
    """
    if field == "subject_id":
        if _disagree(one, other):
            raise two_patients()
        return one
    if field == "time":
        return _one_time(one, other, notes)
    if field == "code":
        notes.append(second_column("code"))
        return one
    first, second = plain_texts(one), plain_texts(other)
    if field == "text_value":
        return first.where((second == "") | (first == second), (first + "; " + second).str.removeprefix("; "))
    if ((first != second) & (first != "") & (second != "")).any():
        raise UserFacingError(
            f"Two columns may hold the {field.split('_')[-1]} and disagree.",
            "one column for each field",
            "Rename one of them, or map the columns where the Load page asks.",
        )
    return first_filled(first, second)


def second_column(field: str) -> str:
    """The note on a second column of the same meaning, which is not read."""
    return f"More than one column may hold the {field.split('_')[-1]}; the one with the usual name was read."


def two_patients() -> UserFacingError:
    """The refusal for two columns of patients that part the rows differently."""
    return UserFacingError(
        "Two columns name the patient and disagree.", "one patient column", "Map the columns where the Load page asks."
    )


def _disagree(one: pd.Series[str], other: pd.Series[str]) -> bool:
    """Whether two columns part the rows differently."""
    pairs = pd.DataFrame({"one": one.fillna(""), "other": other.fillna("")}).drop_duplicates()
    return not (pairs["one"].is_unique and pairs["other"].is_unique)


def _one_time(one: pd.Series[str], other: pd.Series[str], notes: list[str]) -> pd.Series[str]:
    joined, is_clock = joined_times(one, other)
    if not is_clock:
        notes.append(SECOND_TIME)
    return joined


def _doubt_timeless(table: pd.DataFrame, kept: pd.DataFrame) -> None:
    """An event without a time counts as known from the start, so a date in another column must be asked about."""
    timeless = (plain_texts(kept["time"]) == "") & can_be_dated(plain_texts(kept["code"]))
    for name in table.columns if timeless.any() else ():
        if dated := int(plain_texts(table.loc[timeless, name]).str.match(LIKE_DATE).sum()):
            raise dated_elsewhere(dated)


def can_be_dated(codes: pd.Series[str]) -> pd.Series[bool]:
    """Which codes are more than a static fact such as the sex."""
    kinds = {code: kind_of(code) != "demographics" for code in codes.unique()}
    return codes.map(kinds).astype(bool)


def dated_elsewhere(count: int) -> UserFacingError:
    """The refusal for events without a time that another column dates."""
    return UserFacingError(
        f"Without a time, though another column holds a date: {count_of(count, 'event')}.",
        "the time of each event in one column",
        "Fill in the times, or map the columns where the Load page asks.",
    )
