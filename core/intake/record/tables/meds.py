"""Columns of a parquet file of events that are not read: whether it is plain MEDS without them, and what they say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.events.cut import KNOWN_FROM
from core.events.death import outcomes
from core.intake.files.byte_source import Entry
from core.intake.record.checks.row_context import sets_apart
from core.intake.record.checks.row_status import are_bounds, speaks_of_states
from core.intake.record.columns.demographics import PEOPLE
from core.intake.record.columns.fields import can_be_dated, dated_elsewhere, second_column
from core.intake.record.columns.names import alike, may_measure, suggests_units, suggests_values, unknown_names
from core.intake.record.columns.recorded import RECORDED, RECORDED_AS_TIME, recorded_columns
from core.intake.record.columns.roles import Answers, answered_in, ways_of
from core.intake.record.columns.text_cells import plain_texts
from core.intake.record.columns.unknown import (
    VALUES,
    holds_clocks,
    holds_units,
    holds_words,
    names_patients,
    unread_columns,
    unread_dates,
    unread_outcomes,
    unread_patient,
    unread_units,
    unread_values,
    unread_words,
)
from core.intake.record.tables.i2b2 import is_i2b2
from core.intake.record.tables.parquet import (
    OTHER_TIME,
    answer_on,
    column_texts,
    event_fields,
    is_number,
    is_text,
    is_time,
    parquet_file,
    translated,
)
from core.intake.record.tables.text_tables import MAX_TEXT_ROWS
from core.wording import count_of

_YES_AND_NO: pd.Series[Any] = pd.Series(["1", "0"])


def is_plain_meds(entry: Entry, mapping: Answers | None, *, people: bool = True) -> bool:
    """Whether the file names patients by whole numbers, as MEDS asks, or not at all, and no further column says more:
    times of day, bounds of numbers, or states of withdrawn rows. i2b2's facts are never plain.

    people: whether sex and birth beside the events, and columns that set rows apart (`sets_apart`), say more too, but
    for tables too large to be read as text.
    Any other is read as a table of text is, which joins them.
    """
    opened = parquet_file(entry)
    fields, answer = event_fields(opened, mapping), answer_on(opened, mapping)
    column = fields.get("subject_id")
    whole = (column is None or _are_int64(opened, column)) and not is_i2b2(opened.schema_arrow.names)
    clocked = "date" in fields or ("clock" not in answered_in(answer) and _has_clocks(opened, fields))
    written = KNOWN_FROM in fields and not _is_recorded_once(opened, fields)
    small = people and opened.metadata.num_rows <= MAX_TEXT_ROWS
    told = small and any(field in fields for field in PEOPLE)
    qualified = _is_qualified(opened, set(fields.values()), contexts=small)
    return whole and not (ways_of(answer) or clocked or written or told or qualified)


def _are_int64(opened: pq.ParquetFile, column: str) -> bool:
    """Whether a column holds whole numbers that MEDS can write, at most 2**63 - 1."""
    kind = opened.schema_arrow.field(column).type
    if not pa.types.is_uint64(kind):
        return bool(pa.types.is_integer(kind))
    with translated():
        largest = pc.max(opened.read(columns=[column])[column]).as_py()
    return largest is None or largest < 2**63


def _is_recorded_once(opened: pq.ParquetFile, fields: Mapping[str, str]) -> bool:
    """Whether one column alone says when events were recorded, and holds times."""
    schema = opened.schema_arrow
    columns = recorded_columns(schema.names, fields)
    return len(columns) == 1 and is_time(schema.field(columns[0]).type)


def _is_qualified(opened: pq.ParquetFile, known: set[str], *, contexts: bool) -> bool:
    """Whether a column that is not read holds bounds of numbers or states of withdrawn rows, or, where that is asked
    (contexts), sets rows apart."""
    schema = opened.schema_arrow
    for name in unknown_names(name for name in schema.names if name not in known):
        kind = schema.field(name).type
        by_name = speaks_of_states(name, _YES_AND_NO) or (contexts and sets_apart(name, _YES_AND_NO))
        if is_text(kind) or pa.types.is_boolean(kind) or (by_name and is_number(kind)):
            texts = plain_texts(_distinct_texts(opened, name))
            if are_bounds(name, texts) or speaks_of_states(name, texts) or (contexts and sets_apart(name, texts)):
                return True
    return False


def _has_clocks(opened: pq.ParquetFile, fields: Mapping[str, str]) -> bool:
    """Whether a column that is no other field holds times of day beside a column of days or of text."""
    schema = opened.schema_arrow
    if pa.types.is_timestamp(schema.field(fields["time"]).type) or not opened.metadata.num_row_groups:
        return False
    moments = any(pa.types.is_timestamp(schema.field(name).type) for name in unknown_names(schema.names))
    if opened.metadata.num_rows <= MAX_TEXT_ROWS and moments:
        return True
    others = set(fields.values()) - {fields["time"], fields.get(OTHER_TIME)}
    kinds = {name: schema.field(name).type for name in schema.names if name not in others}
    if any(pa.types.is_time(kind) for kind in kinds.values()):
        return True
    texts = [name for name, kind in kinds.items() if is_text(kind)]
    with translated():
        first = opened.read_row_group(0, columns=texts)
        return any(holds_clocks(column_texts(first[name])) for name in texts)


def doubt_columns(entry: Entry, mapping: Answers | None, notes: list[str]) -> None:
    """Columns that are not read: second ones of one meaning are said, numbers under unknown names refused or said."""
    opened = parquet_file(entry)
    names, fields = opened.schema_arrow.names, event_fields(opened, mapping)
    spare = [name for name in names if name not in fields.values()]
    answered = answered_in(answer_on(opened, mapping))
    if "time" not in answered:
        _doubt_timeless(opened, fields, spare)
    _doubt_roles(opened, fields, unknown_names(spare), answered)
    notes += [second_column(field) for field in ("code", *VALUES, "text_value", "unit") if alike(spare, field)]
    if untold := sum(field in fields for field in PEOPLE):
        notes.append(f"Not read, as MEDS has none of sex, date of birth or age: {count_of(untold, 'column')}.")
    if telling := int(outcomes(unknown_names(spare)).sum()):
        notes.append(unread_outcomes(telling))
    texts = [name for name in unknown_names(spare) if is_text(opened.schema_arrow.field(name).type)]
    if worded := sum(holds_words(name, _distinct_texts(opened, name)) for name in texts):
        notes.append(unread_words(worded))
    notes += _notes_on_times(opened, fields, spare)
    unknown = unknown_names(name for name in spare if is_number(opened.schema_arrow.field(name).type))
    if any(field in fields for field in VALUES):
        unknown = [name for name in unknown if may_measure(name)]
    elif "value" not in answered and any(suggests_values(name) for name in unknown):
        raise unread_values()
    if unknown:
        notes.append(unread_columns(len(unknown)))


def _notes_on_times(opened: pq.ParquetFile, fields: Mapping[str, str], spare: list[str]) -> Iterator[str]:
    """What is said of the columns of times besides the one of the events."""
    if KNOWN_FROM in fields:
        yield RECORDED
    if fields["time"] in alike(opened.schema_arrow.names, KNOWN_FROM):
        yield RECORDED_AS_TIME
    if dated := sum(is_time(opened.schema_arrow.field(name).type) for name in unknown_names(spare)):
        yield unread_dates(dated)


def _doubt_timeless(opened: pq.ParquetFile, fields: Mapping[str, str], spare: list[str]) -> None:
    """Raises UserFacingError where an event without a time has a date in a column that is not read."""
    others = [*spare, *(name for field, name in fields.items() if field == KNOWN_FROM)]
    dates = [name for name in others if pa.types.is_temporal(opened.schema_arrow.field(name).type)]
    if not dates:
        return
    with translated():
        table = opened.read(columns=[fields["time"], fields["code"], *dates])
        table = table.filter(table[fields["time"]].is_null())
        open_codes = can_be_dated(column_texts(table[fields["code"]]).fillna(""))
    dated = [int((open_codes & table[name].is_valid().to_numpy()).sum()) for name in dates]
    if OTHER_TIME not in fields and any(dated):
        raise dated_elsewhere(max(dated))


def _doubt_roles(
    opened: pq.ParquetFile, fields: Mapping[str, str], unknown: list[str], answered: Collection[str]
) -> None:
    """Raises UserFacingError where patients or units seem to stand in a column that is not recognised, unless a reader
    has answered on these."""
    flat = [name for name in unknown if not pa.types.is_nested(opened.schema_arrow.field(name).type)]
    nameless = "subject_id" not in fields and "subject_id" not in answered
    patients = [name for name in flat if nameless and names_patients(name, 2, opened.metadata.num_rows)]
    measured = "unit" not in fields and "unit" not in answered and any(field in fields for field in VALUES)
    kinds = {name: opened.schema_arrow.field(name).type for name in flat}
    units = [name for name in flat if measured and (suggests_units(name) or is_text(kinds[name]))]
    with translated():
        table = opened.read(columns=patients) if patients else None
        if table is not None and any(
            names_patients(name, len(pc.unique(table[name])), len(table)) for name in patients
        ):
            raise unread_patient()
        if any(holds_units(name, _distinct_texts(opened, name)) for name in units):
            raise unread_units()


def _distinct_texts(opened: pq.ParquetFile, name: str) -> pd.Series[Any]:
    with translated():
        return column_texts(pc.unique(opened.read(columns=[name])[name]))
