"""Which column of a table holds what: by its name (`column_names`), or as a reader answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast

from core.errors import UserFacingError
from core.intake.record.columns.dates import ORDERS
from core.intake.record.columns.names import FIELDS, KNOWN_NAMES, hints_at, plain_name, suggests_patients, unknown_names
from core.intake.record.tables.encodings import ENCODINGS

Role = Literal[
    "subject_id", "time", "date", "code", "numeric_value", "value", "text_value", "unit", "description", "known_from"
]
ROLES: Mapping[Role, str] = {
    "subject_id": "whose event it is, by number or name; none where the whole table is of one patient",
    "time": "when it happened: date and time of day, or the time of day alone where the date has its own column",
    "date": "the date, where day and time of day stand in two columns",
    "code": "what happened: a code, or the name of a test, diagnosis or medicine",
    "numeric_value": "what was measured, where all of it is numbers",
    "value": "what was measured or noted, where numbers and texts stand in one column",
    "text_value": "what was noted in words",
    "unit": "the unit of the number",
    "description": "the code in words",
    "known_from": "when it was entered, filed or reported, if that is later than it happened; it is known from then on",
}
"""Role -> what it means, in the order in which a page asks for them."""
ROLE_TITLES: Mapping[Role, str] = {
    "subject_id": "Patient",
    "time": "Time",
    "date": "Date",
    "code": "Event",
    "numeric_value": "Number",
    "value": "Number or text",
    "text_value": "Text",
    "unit": "Unit",
    "description": "Event in words",
    "known_from": "Recorded",
}
"""Role -> what a page calls it."""
NO_COLUMN = ""
"""In place of a column, the answer that the table has none for the role, whatever the names of its columns say; but a
column that names the patient is read all the same: patients are never mixed."""
Answers = Mapping[str, str] | Mapping[tuple[str, ...], Mapping[str, str]]
"""What a reader says of columns: role -> column, for every table or for each by the names of its columns."""
WAYS: Mapping[str, tuple[str, ...]] = {
    "dates": ORDERS,
    "decimals": ("comma", "point"),
    "encoding": tuple(ENCODINGS),
}
"""What a mapping may answer besides its columns: how dates that end with the year are written, the decimal sign, and
the encoding of text that is not UTF-8."""
_MOST_COLUMNS = 1000
ALL_FILES: tuple[str, ...] = ()
"""In place of the names of a table's columns, what is answered on all files: their names depend on the encoding."""


def recognise(names: Sequence[str], mapping: Mapping[str, str] | None = None) -> dict[str, str]:
    """Field -> column of the table.

    mapping: field -> column chosen by the user, or `NO_COLUMN`; the rest is recognised by name, and a date alone is the
    time. Raises UserFacingError when the code or the time column is missing, or two columns have one name.

    >>> recognise(["when", "code", "value"], {"time": "when", "value": NO_COLUMN})
    {'time': 'when', 'code': 'code'}
    """
    plain = refuse_same_names(names)
    check_mapping(mapping or {}, names)
    chosen = dict(mapping or {})
    if chosen.get("subject_id") == NO_COLUMN:
        del chosen["subject_id"]
    for field, known in FIELDS.items():
        hits = [names[plain.index(name)] for name in known if name in plain]
        hits = [name for name in hits if name not in chosen.values()]
        if field not in chosen and hits:
            chosen[field] = hits[0]
    chosen = {field: name for field, name in chosen.items() if name != NO_COLUMN}
    if "time" not in chosen and "date" in chosen:
        chosen["time"] = chosen["date"]
    missing = [field for field in ("time", "code") if field not in chosen]
    if missing:
        raise UserFacingError(
            _missing_words(missing, chosen, [name for name in names if name not in chosen.values()], mapping or {}),
            "columns subject_id, time, code, numeric_value (or value), text_value and unit, recognised by these names",
            "Rename the columns, or map them where the Load page asks.",
        )
    return chosen


def _missing_words(
    missing: Sequence[str], chosen: Mapping[str, str], spare: Sequence[str], mapping: Mapping[str, str]
) -> str:
    """What the table lacks, apart from what it may hold under names that are only hints, if no reader has denied it.

    When an event was recorded is not taken for when it happened unless a reader says so.

    >>> _missing_words(["time", "code"], {"known_from": "result_date"}, ["x"], {})
    'The table has no column for the time and the code, only one for when events were recorded.'
    >>> _missing_words(["time", "code"], {}, ["test", "wann"], {})
    'The time and the code may stand in columns whose names are not recognised.'
    """
    hinted = _hinted([field for field in missing if field not in mapping], spare)
    lacking = [field for field in missing if field not in hinted]
    recorded = ", only one for when events were recorded" if "time" in lacking and "known_from" in chosen else ""
    several = "columns whose names are" if len(hinted) > 1 else "a column whose name is"
    parts = (
        f"the table has no column for the {' and the '.join(lacking)}{recorded}" if lacking else "",
        f"the {' and the '.join(hinted)} may stand in {several} not recognised" if hinted else "",
    )
    words = "; ".join(filter(None, parts))
    return f"{words[0].upper()}{words[1:]}."


def _hinted(fields: Sequence[str], names: Sequence[str]) -> list[str]:
    """The fields that a column with an unknown name may hold, each another one."""
    left = [name for name in unknown_names(names) if not suggests_patients(name)]
    found = []
    for field in fields:
        if name := next((name for name in left if hints_at(field, name)), None):
            left.remove(name)
            found.append(field)
    return found


def answer_for(names: Iterable[str], answers: Answers | None) -> Mapping[str, str] | None:
    """The answer on the table whose columns have these names, in this order; None where there is none.

    >>> answer_for(["a", "b"], {("a", "b"): {"time": "a"}}), answer_for(["a"], {("a", "b"): {"time": "a"}})
    ({'time': 'a'}, None)
    >>> answer_for(["a", "b"], {"time": "a"})
    {'time': 'a'}
    """
    if answers is None or all(isinstance(key, str) for key in answers):
        return cast("Mapping[str, str] | None", answers)
    return cast("Mapping[tuple[str, ...], Mapping[str, str]]", answers).get(tuple(names))


def encoding_of(answers: Answers | None) -> str | None:
    """The encoding that was answered for text that is not UTF-8. Raises UserFacingError as `ways_of`.

    >>> encoding_of({"encoding": "cp1252"}), encoding_of({ALL_FILES: {"encoding": "cp850"}}), encoding_of(None)
    ('cp1252', 'cp850', None)
    """
    return ways_of(answer_for(ALL_FILES, answers)).get("encoding")


def roles_of(answers: Answers | None) -> list[tuple[str, str]]:
    """Every role that has a column, with it, of all tables that were answered on."""
    pairs: list[tuple[str, str]] = []
    for key, value in (answers or {}).items():
        pairs += [(key, value)] if isinstance(key, str) and isinstance(value, str) else roles_of(cast(Answers, value))
    return [(role, name) for role, name in pairs if role not in WAYS and name != NO_COLUMN]


def columns_of(mapping: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Role -> column of a mapping, or `NO_COLUMN`; None where it says nothing of columns: all go by their names."""
    return {role: name for role, name in (mapping or {}).items() if role not in WAYS} or None


def answered_in(mapping: Mapping[str, str] | None) -> frozenset[str]:
    """The questions about columns that a mapping answers, each for itself, be it with `NO_COLUMN`: the patient, the
    time, the time of day in a column of its own ("clock"), the value, its unit, and when the event was recorded.

    Where day and time of day stand, two answers say together: the time, and the date.

    >>> sorted(answered_in({"time": "day", "code": "test", "numeric_value": "result"}))
    ['time', 'value']
    >>> sorted(answered_in({"time": "day", "date": NO_COLUMN, "unit": NO_COLUMN}))
    ['clock', 'time', 'unit']
    """
    given = frozenset(columns_of(mapping) or {})
    told = {
        "time": bool(given & {"time", "date"}),
        "clock": given >= {"time", "date"},
        "value": bool(given & {"value", "numeric_value"}),
        **{role: role in given for role in ("subject_id", "unit", "known_from")},
    }
    return frozenset(question for question, is_told in told.items() if is_told)


def ways_of(mapping: Mapping[str, str] | None) -> Mapping[str, str]:
    """What a mapping answers besides columns. Raises UserFacingError for an answer that is none (`WAYS`)."""
    ways = {question: answer for question, answer in (mapping or {}).items() if question in WAYS}
    for question, answer in ways.items():
        if answer not in WAYS[question]:
            raise UserFacingError(
                f"That is no answer on the {question}.", " or ".join(WAYS[question]), "Choose one of these."
            )
    return ways


def all_ways(answers: Answers | None) -> Mapping[str, str]:
    """What is answered besides columns on any table of a source. Raises UserFacingError as `ways_of`.

    >>> all_ways({("a", "b"): {"time": "a", "dates": "day first"}, ("c",): {"decimals": "comma"}})
    {'dates': 'day first', 'decimals': 'comma'}
    """
    if answers is None or all(isinstance(key, str) for key in answers):
        return ways_of(cast("Mapping[str, str] | None", answers))
    found: dict[str, str] = {}
    for answer in cast("Mapping[tuple[str, ...], Mapping[str, str]]", answers).values():
        found |= ways_of(answer)
    return found


def refuse_wide(columns: int) -> None:
    """Raises UserFacingError for more columns than a table with a row for each event has: each is looked at."""
    if columns > _MOST_COLUMNS:
        raise UserFacingError(
            f"The table has {columns:,} columns, more than {_MOST_COLUMNS:,}.",
            "a row for each event, with its patient, time, code and value",
            "Export the table in this long form.",
        )


def refuse_same_names(names: Sequence[str]) -> list[str]:
    """Names in lower case with underscores; raises UserFacingError where two are the same, or there are too many."""
    refuse_wide(len(names))
    plain = [plain_name(name) for name in names]
    if len(set(plain)) < len(plain):
        raise UserFacingError(
            "Two columns of the table have the same name.", "one column for each field", "Rename one."
        )
    return plain


def refuse_changing_names(layouts: Iterable[Sequence[str]]) -> None:
    """Raises where a row lacks a known field of other rows but has an unknown one in its place: its name changed."""
    plain = [{plain_name(name) for name in names} for names in layouts]
    known = set().union(*plain) & KNOWN_NAMES
    common = set.intersection(*plain) if plain else set()
    if any(known - names and names - KNOWN_NAMES - common for names in plain):
        raise UserFacingError(
            "The names of the fields change from row to row.", "the same fields in every row", "Export the file again."
        )


def check_mapping(mapping: Mapping[str, str], names: Sequence[str]) -> None:
    """Raises UserFacingError for a role that does not exist, a column the table lacks, or one column in two roles."""
    if unknown := sorted(set(mapping) - set(ROLES)):
        raise UserFacingError(
            f"There is no role called {unknown[0]}." if unknown[0].isidentifier() else "There is no such role.",
            "the roles " + ", ".join(ROLES),
            "Choose again.",
        )
    columns = [name for name in mapping.values() if name != NO_COLUMN]
    if not set(columns) <= set(names):
        raise UserFacingError("A mapped column is not in the table.", "a column of the table", "Choose again.")
    if len(set(columns)) < len(columns):
        raise UserFacingError("One column is mapped to two roles.", "a column for each role", "Choose again.")
