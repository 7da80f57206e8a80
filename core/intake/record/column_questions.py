"""Guided column mapping: what a table's columns look like, a best guess for each role, and what is still missing.

Sample values are masked by kind: digits become 9 and letters a or A, so no value of a patient is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from core.errors import UserFacingError
from core.events.cut import KNOWN_FROM
from core.intake.files.byte_source import Entry
from core.intake.files.sources import Source
from core.intake.record.columns.dates import LIKE_DATE, is_year_last, iso_times
from core.intake.record.columns.demographics import PEOPLE, is_of_people
from core.intake.record.columns.fields import recognised, refuse_unsettled_numbers
from core.intake.record.columns.names import FIELDS, alike, hints_at, may_number_codes, plain_name, unknown_names
from core.intake.record.columns.numbers import LIKE_NUMBER, refuse_commas
from core.intake.record.columns.roles import (
    ROLE_TITLES,
    ROLES,
    Answers,
    Role,
    answer_for,
    answered_in,
    columns_of,
    encoding_of,
)
from core.intake.record.columns.text_cells import plain_texts
from core.intake.record.columns.times import parse_times, refuse_unsure_dates
from core.intake.record.columns.units import is_unit
from core.intake.record.columns.unknown import names_patients, still_asked
from core.intake.record.sorting import Part, event_files, fhir_events, flat_table, text_looks
from core.intake.record.tables.encodings import Look
from core.intake.record.tables.parquet import flat_names, is_parquet, parquet_file, translated
from core.intake.record.tables.row_numbers import places_of
from core.intake.record.tables.text_tables import MAX_TEXT_ROWS

REQUIRED: tuple[Role, ...] = ("time", "code")
_SAMPLE_ROWS, _SAMPLES = 2000, 3
_DATE = r"\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{4}[./]\d{1,2}[./]\d{1,2}"
Shape = Literal[
    "empty", "date and time", "date", "time of day", "whole number", "number", "unit", "code", "word", "text"
]
_SHAPES: Sequence[tuple[Shape, str]] = (
    ("date and time", rf"(?:{_DATE})(?:[T ]|,\s*)\d{{1,2}}:\d{{2}}.*"),
    ("date", _DATE),
    ("time of day", r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"),
    ("whole number", r"[+-]?\d+"),
    ("number", LIKE_NUMBER),
    ("code", r"(?=\S*\d)[A-Za-z0-9._:/\-^*%()\[\]{}]+"),
    ("word", r"\S+"),
)
_FITTING: Mapping[Role, tuple[Shape, ...]] = {
    "subject_id": ("whole number", "code"),
    "time": ("date and time", "date"),
    "code": ("code", "word", "text"),
    "value": ("number", "whole number"),
}
"""Shapes that a column must have for a role its name hints at."""
_TELLING: Mapping[Role, tuple[Shape, ...]] = {**_FITTING, "unit": ("unit",)}
"""Shapes that let a column be guessed for a role by its content alone, best first."""


@dataclass(frozen=True)
class ColumnFound:
    """A column of the table: its name, the shape most of its values have, masked samples, share of empty cells."""

    name: str
    shape: Shape
    masked_samples: tuple[str, ...]
    empty_share: float


@dataclass(frozen=True)
class Guess:
    """The best column for a role and why; `sure` where the name is one that is recognised without asking."""

    column: str
    reason: str
    sure: bool


@dataclass(frozen=True)
class MappingQuestion:
    """What a page asks before it reads a table.

    columns: in the order of the file. guesses: role -> best guess, roles without one left out. doubts: plain sentences
    on what must be settled. refused: whether the table is refused when its columns are taken by their names. ways:
    which questions of `core.intake.record.columns.roles.WAYS` are to be answered beside the columns. place, tables:
    which one it
    is of how many tables with other columns. required: roles without which the table cannot be read. looks: how lines
    read in each encoding that may be answered, where text is not UTF-8; no column is known before that is.
    """

    columns: tuple[ColumnFound, ...]
    guesses: Mapping[Role, Guess]
    doubts: tuple[str, ...]
    refused: bool = False
    ways: tuple[str, ...] = ()
    place: int = 1
    tables: int = 1
    required: tuple[Role, ...] = REQUIRED
    looks: tuple[Look, ...] = ()

    @property
    def layout(self) -> tuple[str, ...]:
        """The names of the table's columns, by which what is answered on it is kept; none where it is on all files."""
        return tuple(column.name for column in self.columns)

    @property
    def is_needed(self) -> bool:
        """Whether the table cannot be read by its column names alone."""
        sure = {"time" if role == "date" else role for role, guess in self.guesses.items() if guess.sure}
        return self.refused or not sure.issuperset(self.required)


def suggest_mapping(source: Source, *, mapping: Answers | None = None) -> MappingQuestion:
    """Columns of the first table of a source that cannot be read without being asked about, or of the one that was
    answered on last; else of the first. With a guess for each role; nothing is kept and no value is shown. Before all
    else, the encoding of text that is not UTF-8, of all files at once.

    mapping: what was answered so far, the latest answer first. Tables with the same columns are asked about once.
    Raises UserFacingError where the source holds no table that can be read at all.
    """
    if encoding_of(mapping) is None and (seen := text_looks(source)):
        return MappingQuestion((), {}, (), refused=True, ways=("encoding",), looks=seen, required=())
    tables = _tables(source, mapping)
    required: tuple[Role, ...] = REQUIRED if len(tables) == 1 else ("subject_id", *REQUIRED)
    asked = []
    for place, (layout, table) in enumerate({tuple(map(str, table.columns)): table for table in tables}.items(), 1):
        question = _question(table, answer_for(layout, mapping), required)
        asked.append(replace(question, place=place))
    asked = [replace(question, tables=len(asked)) for question in asked]
    latest = [question for layout in mapping or () for question in asked if question.layout == layout]
    return next((question for question in asked if question.is_needed), [*latest, asked[0]][0])


def _tables(source: Source, mapping: Answers | None) -> list[pd.DataFrame]:
    """Tables that are not FHIR, as text; where all are, these as a table of events."""
    parts = event_files(source, mapping).entries
    tables = [table for part in parts if (table := _whole(part, alone=len(parts) == 1)) is not None]
    of_events = [table for table in tables if not is_of_people(table)]
    return of_events or tables or [fhir_events(parts)]


def _question(table: pd.DataFrame, answer: Mapping[str, str] | None, required: tuple[Role, ...]) -> MappingQuestion:
    """What to ask about one table; what was answered already takes the place of guesses."""
    sample, refusal = table.head(_SAMPLE_ROWS), _refusal(table, answer)
    columns = tuple(_look_at(str(name), sample[name]) for name in sample.columns)
    given = columns_of(answer) or {}
    guesses = _answered_and_guessed(columns, given, _persons(table))
    ways = tuple(way for way, asked in (("dates", _unsure_dates(table)), ("decimals", _commas(table))) if asked)
    if "subject_id" in required and not ("subject_id" in guesses and guesses["subject_id"].sure):
        refusal = [*refusal, "Each of several tables must have a column that names the patient."]
    doubts = [*([] if refusal else _still_asked(table, guesses, given)), *_doubts(columns, guesses, given, required)]
    return MappingQuestion(columns, guesses, (*refusal, *doubts), bool(refusal), ways, required=required)


def _persons(table: pd.DataFrame) -> set[str]:
    """The columns that tell patients apart, whatever their values look like."""
    unknown = unknown_names(table)
    return {name for name in unknown if names_patients(name, int(plain_texts(table[name]).nunique()), len(table))}


def _still_asked(table: pd.DataFrame, guesses: Mapping[Role, Guess], given: Mapping[str, str]) -> list[str]:
    """What would have to be asked of the table if the guesses were right, of what was not answered."""
    columns = {str(role): guess.column for role, guess in guesses.items()}
    columns["time"] = columns.get("time") or columns.pop("date", "")
    if not (columns["time"] and "code" in columns):
        return []
    kept = pd.DataFrame({role: table[name] for role, name in columns.items()})
    kept = kept.assign(time=iso_times({"time": kept["time"]}, None, [])["time"])
    others = table.drop(columns=list(columns.values()))
    return [error.found for error in still_asked(others, kept, answered_in(given))]


def _unsure_dates(table: pd.DataFrame) -> bool:
    """Whether day and month could be confused in any column of dates."""
    texts = {str(name): plain_texts(table[name]) for name in table.columns}
    dated = {name: column for name, column in texts.items() if column.head(_SAMPLE_ROWS).str.match(LIKE_DATE).any()}
    return any(is_year_last(column).any() for column in iso_times(dated, None, []).values())


def _commas(table: pd.DataFrame) -> bool:
    """Whether numbers are written with commas in any column."""
    try:
        for name in table.columns:
            refuse_commas(plain_texts(table[name]))
    except UserFacingError:
        return True
    return False


def _refusal(table: pd.DataFrame, answer: Mapping[str, str] | None) -> list[str]:
    """Why a table that has the columns it needs cannot be read by their names alone, or as answered; empty where it
    can."""
    names = {plain_name(str(name)) for name in table.columns}
    if not answer and not all(names & set(FIELDS[role]) for role in REQUIRED):
        return []
    try:
        is_settled = "remarks" in table  # OMOP, which is read as answered
        named = table if is_settled else recognised(table, answer, [])
        refuse_unsure_dates(named["time"])
        if answer:
            parse_times(named["time"], [], places_of(named))
        refuse_unsettled_numbers(named)
    except UserFacingError as error:
        return [error.found]
    return []


def masked(text: str) -> str:
    """A value with its digits as 9 and its letters as a or A, cut at 24 characters.

    >>> masked("Doe, Jane 1957-03-02"), masked("E11.9")
    ('Aaa, Aaaa 9999-99-99', 'A99.9')
    """
    upper = "".join(
        "9" if sign.isdigit() else "A" if sign.isupper() else "a" if sign.isalpha() else sign for sign in text
    )
    return upper[:24]


def _whole(part: Part, *, alone: bool) -> pd.DataFrame | None:
    """A part as text, None for FHIR; of a large parquet file the first rows."""
    if isinstance(part, Entry) and is_parquet(part):
        opened = parquet_file(part)
        if opened.metadata.num_rows > MAX_TEXT_ROWS:
            with translated():
                batch = next(opened.iter_batches(batch_size=_SAMPLE_ROWS, columns=flat_names(opened)))
                return pd.DataFrame(batch.to_pandas().astype(object).astype(str))
    return flat_table(part, alone=alone)


def _look_at(name: str, values: pd.Series[str]) -> ColumnFound:
    texts = values.dropna().astype(str).str.strip()
    given = texts[texts != ""]
    samples = tuple(dict.fromkeys(masked(text) for text in given.head(200)))[:_SAMPLES]
    empty = 1.0 - len(given) / len(values) if len(values) else 1.0
    return ColumnFound(name, _shape(given), samples, round(empty, 3))


def _shape(given: pd.Series[str]) -> Shape:
    """The first shape that at least nine of ten values have."""
    if given.empty:
        return "empty"
    if _are_units(given):
        return "unit"
    for shape, pattern in _SHAPES:
        if given.str.fullmatch(pattern).mean() >= 0.9:
            return shape
    return "number" if given.str.fullmatch(LIKE_NUMBER).mean() >= 0.5 else "text"


def _are_units(given: pd.Series[str]) -> bool:
    """Whether nine of ten values are units, and one of them can be nothing else: "m" is a man, and "Hb" is a test."""
    counts = given.value_counts()
    units = counts[[is_unit(text) for text in counts.index]]
    return units.sum() >= 0.9 * len(given) and any("/" in text or text == "%" for text in units.index)


def _answered_and_guessed(
    columns: Sequence[ColumnFound], given: Mapping[str, str], persons: Collection[str]
) -> dict[Role, Guess]:
    """What was answered, and guesses for the roles that were not; day and time of day are one question."""
    answered: dict[Role, Guess] = {role: Guess(given[role], "as answered", True) for role in ROLES if given.get(role)}
    closed = {*given, *({"time"} if "date" in given else ())}
    closed |= {"value", "numeric_value"} if given.keys() & {"value", "numeric_value"} else set()
    guessed = _guess([column for column in columns if column.name not in given.values()], closed, persons)
    return _with_clock(columns, answered | guessed, given)


def _with_clock(
    columns: Sequence[ColumnFound], guesses: dict[Role, Guess], given: Mapping[str, str]
) -> dict[Role, Guess]:
    """The guesses with a date where the time holds times of day alone, or beside a time that holds days alone."""
    time, shapes = guesses.get("time"), {column.name: column.shape for column in columns}
    if time is None or "date" in given:
        return guesses
    free = _free(columns, guesses)
    wanted = "date" if shapes[time.column] == "time of day" else "time of day"
    found = [column.name for column in free if column.shape == wanted]
    found = alike(found, "time")[:1] or found
    if len(found) != 1 or shapes[time.column] not in ("date", "time of day"):
        return guesses
    other = Guess(found[0], f"the only column left whose values look like: {wanted}", bool(alike(found, "time")))
    if wanted == "date":
        return {**guesses, "date": other}
    return guesses if "time" in given else {**guesses, "date": time, "time": other}


def _guess(columns: Sequence[ColumnFound], closed: Collection[str], persons: Collection[str]) -> dict[Role, Guess]:
    """By recognised name first, then by a hint in the name with a fitting content, then by content alone; none for
    closed roles.

    Where no other column may hold the time, that of when events were recorded is guessed to be it: a table of results
    often has no other.
    """
    guesses: dict[Role, Guess] = {}
    roles = [role for role in ROLES if role not in closed]
    for role in roles:
        _take(guesses, role, _by_name(columns, role))
    if person := next((column.name for column in columns if column.name in persons and "subject_id" in roles), None):
        _take(guesses, "subject_id", Guess(person, "by its name and values it tells patients apart", False))
    for role in roles:
        _take(guesses, role, _by_hint(_free(columns, guesses), role))
    for role in _TELLING:
        if role in closed:
            continue
        if role != "value" or not guesses.keys() & {"value", "numeric_value"}:
            _take(guesses, role, _by_content(_free(columns, guesses), role))
    recorded = guesses.get("known_from")
    if recorded is None or "time" in guesses or "time" in closed or not _is_dated(columns, recorded.column):
        return guesses
    others: dict[Role, Guess] = {role: guess for role, guess in guesses.items() if role != "known_from"}
    return {**others, "time": Guess(recorded.column, "the only column left that holds dates", False)}


def _is_dated(columns: Sequence[ColumnFound], name: str) -> bool:
    return any(column.name == name and column.shape in _FITTING["time"] for column in columns)


def _take(guesses: dict[Role, Guess], role: Role, guess: Guess | None) -> None:
    if guess is not None and role not in guesses and guess.column not in {other.column for other in guesses.values()}:
        guesses[role] = guess


def _free(columns: Sequence[ColumnFound], guesses: Mapping[Role, Guess]) -> list[ColumnFound]:
    taken = {guess.column for guess in guesses.values()} | _of_people(columns)
    return [column for column in columns if column.name not in taken and column.shape != "empty"]


def _of_people(columns: Sequence[ColumnFound]) -> set[str]:
    """The columns whose names are those of sex, birth and age: a date of birth is no time of an event."""
    names = [column.name for column in columns]
    return {name for field in PEOPLE for name in alike(names, field)}


def _by_name(columns: Sequence[ColumnFound], role: Role) -> Guess | None:
    plain = {plain_name(column.name): column for column in columns}
    for name in FIELDS.get(role, ()):
        if name in plain:
            return Guess(plain[name].name, "its name is a usual one", True)
    return None


def _by_hint(columns: Sequence[ColumnFound], role: Role) -> Guess | None:
    fitting = _FITTING.get(role)
    for column in columns:
        fits = not fitting or column.shape in fitting or (role == "code" and _is_numbered(column))
        if fits and hints_at(role, column.name):
            return Guess(column.name, f"its name suggests it and its values look like: {column.shape}", False)
    return None


def _is_numbered(column: ColumnFound) -> bool:
    return column.shape == "whole number" and may_number_codes(column.name)


def _by_content(columns: Sequence[ColumnFound], role: Role) -> Guess | None:
    for shape in _TELLING[role]:
        same = [column for column in columns if column.shape == shape]
        if len(same) == 1:
            return Guess(same[0].name, f"the only column left whose values look like: {shape}", False)
    return None


def _doubts(
    columns: Sequence[ColumnFound],
    guesses: Mapping[Role, Guess],
    given: Mapping[str, str],
    required: Sequence[Role],
) -> list[str]:
    """What is in doubt of what was not answered."""
    found = {*guesses, *given, *({"time"} if "date" in guesses else ())}
    doubts = [f"No column was found for the {ROLE_TITLES[role].lower()}." for role in required if role not in found]
    if "subject_id" not in (*found, *required):
        doubts.append("No column names the patient; all rows would count as one patient's.")
    if given.keys() & {"time", "date"}:
        return doubts
    if "time" in guesses and alike([guesses["time"].column], KNOWN_FROM):
        doubts.append("The column guessed for the time is, by its name, that of when events were recorded.")
    dated = {column.name for column in columns if column.shape in _FITTING["time"]} - _of_people(columns)
    if len(dated) > 1:
        doubts.append(f"{len(dated)} columns hold dates; the one that says when the event happened is wanted.")
    return doubts
