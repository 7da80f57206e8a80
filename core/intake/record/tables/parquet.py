"""Parquet files of events: opened, read for one patient by row-group statistics, or turned into text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeGuard

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry
from core.intake.record.columns.demographics import PEOPLE
from core.intake.record.columns.fields import two_patients
from core.intake.record.columns.names import alike
from core.intake.record.columns.roles import Answers, answer_for, columns_of, recognise, refuse_wide
from core.intake.record.tables.row_numbers import ROW, numbered
from core.intake.record.tables.text_tables import MAX_TEXT_ROWS, too_many_rows
from core.records import BIRTH
from core.wording import count_of

_ROWS_AT_ONCE = 1 << 20
_UNREAD = frozenset(("table", *PEOPLE))
"""Fields of text tables that a parquet file of events has no use for."""
MAX_SUBJECT_ROWS = 2_000_000
"""Events of one patient. Equal rows pack so well that a file of kilobytes can hold tens of millions."""
OTHER_TIME = "other_time"
"""The field of a second column of times, which counts where the first is empty."""


def is_parquet(entry: Entry | pd.DataFrame) -> TypeGuard[Entry]:
    """Whether a part is a parquet file, by its first bytes."""
    return isinstance(entry, Entry) and bytes(entry.read(0, 4)) == b"PAR1"


@contextmanager
def translated() -> Iterator[None]:
    """Turns any failure of the parquet reader into the refusal of a damaged table."""
    try:
        yield
    except (UserFacingError, MemoryError):
        raise
    except Exception as error:
        raise damaged_table() from error


def damaged_table() -> UserFacingError:
    """The refusal for a table that cannot be read."""
    return UserFacingError("The table is damaged and cannot be read.", "an intact file", "Copy or export it again.")


def parquet_file(entry: Entry, dictionary: tuple[str, ...] = ()) -> pq.ParquetFile:
    """The opened parquet file. Raises UserFacingError where it is damaged."""
    with translated():
        where: Any = entry.path if entry.path else pa.BufferReader(entry.read(0, None))
        return pq.ParquetFile(where, read_dictionary=list(dictionary) or None)


def parquet_text(entry: Entry, *, places: bool = False) -> pd.DataFrame:
    """A parquet table as text, None where empty; nested columns are left out.

    places: whether its index says which row of the file each is (`core.intake.record.tables.row_numbers`).
    Raises UserFacingError where it is damaged or has too many rows.
    """
    opened = parquet_file(entry)
    if opened.metadata.num_rows > MAX_TEXT_ROWS:
        raise too_many_rows()
    flat = flat_names(opened)
    with translated():
        table = opened.read(columns=flat)
        texts = pd.DataFrame({name: column_texts(table[name]) for name in table.column_names}, dtype=object)
    return numbered(texts, ROW, range(1, len(texts) + 1)) if places else texts


def flat_names(opened: pq.ParquetFile) -> list[str]:
    """The columns but for nested ones. Raises UserFacingError where there are too many."""
    refuse_wide(len(opened.schema_arrow))
    return [field.name for field in opened.schema_arrow if not pa.types.is_nested(field.type)]


def answer_on(opened: pq.ParquetFile, answers: Answers | None) -> Mapping[str, str] | None:
    """What a reader answered on the file's columns."""
    return answer_for(flat_names(opened), answers)


def column_texts(column: pa.ChunkedArray) -> pd.Series[Any]:
    """A column as text, None where empty."""
    return pd.Series(column.cast(pa.string()).to_pandas(), dtype=object)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of bytes, of truth values or of a dictionary as text, any other as it is.

    Some writers leave out the mark that bytes are UTF-8 text. Raises UserFacingError where the bytes are no text.
    """
    with translated():
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        kind = column.type
        is_text = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_boolean(kind)
        return column.cast(pa.string()) if is_text else column


def is_time(kind: pa.DataType) -> bool:
    """Whether a column of this type holds times or days."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def in_utc(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of times or days as timestamp[us]: those with a zone in UTC, days from 00:00.

    Raises UserFacingError where one lies outside the calendar.
    """
    fine = pa.types.is_timestamp(times.type) and times.type.unit == "ns"
    zone = getattr(times.type, "tz", None)
    try:
        return times.cast(pa.timestamp("us", tz=zone), safe=not fine).cast(pa.timestamp("us"))
    except pa.ArrowException as error:
        raise UserFacingError(
            "Some times lie outside the calendar.", "times of a patient's life", "Correct or remove them."
        ) from error


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type, or of a dictionary of it, holds text."""
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def event_fields(opened: pq.ParquetFile, mapping: Answers | None) -> dict[str, str]:
    """Field -> column of a parquet file of events.

    Raises UserFacingError where a recognised column is nested, or two columns name different patients.
    """
    schema, names = opened.schema_arrow, opened.schema_arrow.names
    answer = columns_of(answer_on(opened, mapping))
    fields = recognise(names, answer)
    if any(pa.types.is_nested(schema.field(name).type) for name in fields.values()):
        raise UserFacingError(
            "A column holds lists or nested fields.", "one text or number in each cell", "Export events as flat rows."
        )
    spare = [name for name in names if name not in fields.values()]
    if not answer and (times := alike(spare, "time")):
        fields[OTHER_TIME] = times[0]
    if not answer and "subject_id" in fields:
        for other in alike(spare, "subject_id"):
            _refuse_other_patients(opened, [fields["subject_id"], other])
    return fields


def _refuse_other_patients(opened: pq.ParquetFile, columns: list[str]) -> None:
    with translated():
        pairs = opened.read(columns=columns).group_by(columns).aggregate([])
    if any(len(pc.unique(pairs[name])) < pairs.num_rows for name in columns):
        raise two_patients()


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds numbers."""
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_integer(kind))


def read_subject(entry: Entry, subject_id: int | None, mapping: Answers | None) -> tuple[pa.Table, dict[str, str]]:
    """(rows of the subject, field -> column). Row groups without the subject are skipped by their statistics, and the
    other columns are read only where the subject's rows are found.
    """
    opened = parquet_file(entry)
    fields = {field: name for field, name in event_fields(opened, mapping).items() if field not in _UNREAD}
    column = fields.get("subject_id")
    names = sorted(set(fields.values()) - {column})
    with translated():
        if column is None or subject_id is None:
            refuse_many_events(opened.metadata.num_rows)
            return opened.read(columns=names), fields
        reader = parquet_file(entry, (fields["code"],))
        filled: list[pa.Table] = []
        for group in _groups(reader, column, subject_id):
            if (piece := _rows_of(reader, group, column, names, subject_id)) is not None:
                filled.append(piece)
                refuse_many_events(sum(part.num_rows for part in filled))
        return (pa.concat_tables(filled) if filled else opened.schema_arrow.empty_table()), fields


def refuse_many_events(count: int) -> None:
    """Raises UserFacingError for more events than a patient's record has."""
    if count > MAX_SUBJECT_ROWS:
        raise UserFacingError(
            f"One patient has more than {MAX_SUBJECT_ROWS:,} events.",
            "the coded events of one patient",
            "Leave out signals recorded by the second, such as those of monitors.",
        )


def _groups(opened: pq.ParquetFile, column: str, subject_id: int) -> list[int]:
    """Row groups that may hold the subject, by their statistics or by the first subjects of a file sorted by subject.

    Statistics carry no checksum: a flipped bit in them alone would make a part of the record disappear.
    """
    numbers = [n for n in range(opened.metadata.num_row_groups) if opened.metadata.row_group(n).num_rows]
    firsts = [_first_subject(opened, number, column) for number in numbers]
    known = [first for first in firsts if first is not None]
    is_sorted = len(known) == len(firsts) and all(one <= next_one for one, next_one in pairwise(known))
    found = []
    for place, number in enumerate(numbers):
        allowed = _range(opened, number, column)
        later = known[place + 1] if is_sorted and place + 1 < len(known) else subject_id
        between = is_sorted and known[place] <= subject_id <= later
        if allowed is None or allowed[0] <= subject_id <= allowed[1] or between:
            found.append(number)
    return found


def _first_subject(opened: pq.ParquetFile, number: int, column: str) -> int | None:
    """Subject of a row group's first row. Raises where the group's statistics cannot be decoded (see `_range`)."""
    first = next(opened.iter_batches(batch_size=1, row_groups=[number], columns=[column]))
    value: int | None = first.column(0)[0].as_py()
    return value


def _range(opened: pq.ParquetFile, number: int, column: str) -> tuple[int, int] | None:
    """Lowest and highest subject of a row group by its statistics, None where there are none.

    A row of the column was read before: where statistics cannot be decoded, asking for them ends the process, while
    reading decodes them too, and raises.
    """
    chunk = opened.metadata.row_group(number).column(opened.schema_arrow.names.index(column))
    if chunk.path_in_schema != column or not chunk.is_stats_set or not chunk.statistics.has_min_max:
        return None
    return chunk.statistics.min, chunk.statistics.max


def _rows_of(opened: pq.ParquetFile, group: int, column: str, names: list[str], subject_id: int) -> pa.Table | None:
    """The subject's rows of one row group; a run of rows is sliced, scattered rows are taken."""
    subjects = opened.read_row_group(group, columns=[column])[column]
    if subjects.null_count:
        raise no_patient(subjects.null_count)
    rows = np.flatnonzero(subjects.to_numpy() == subject_id)
    if not len(rows):
        return None
    refuse_many_events(len(rows))
    start, stop = int(rows[0]), int(rows[-1]) + 1
    if len(rows) == stop - start:
        return _slice(opened, group, names, start, stop)
    return opened.read_row_group(group, columns=names).take(pa.array(rows))


def _slice(opened: pq.ParquetFile, group: int, names: list[str], start: int, stop: int) -> pa.Table:
    """Rows start to stop of a row group, decoded in batches only as far as `stop`."""
    pieces, at = [], 0
    for batch in opened.iter_batches(batch_size=1 << 16, row_groups=[group], columns=names):
        if at + batch.num_rows > start:
            pieces.append(batch.slice(max(start - at, 0), min(stop - at, batch.num_rows) - max(start - at, 0)))
        at += batch.num_rows
        if at >= stop:
            break
    return pa.Table.from_batches(pieces)


def no_patient(rows: int, where: str = "") -> UserFacingError:
    """The refusal for rows without a patient. where: as `core.intake.record.tables.row_numbers.at` says it."""
    found = f"Naming no patient: {count_of(rows, 'event')}{where}."
    return UserFacingError(found, "a patient for every event", "Correct these rows.")


def count_subjects(entry: Entry, mapping: Answers | None) -> pd.DataFrame:
    """subject_id, events, first, last (but for the birth) of a parquet file whose subjects are whole numbers.

    Raises UserFacingError where the columns cannot be told, an event names no patient, or a time lies outside the
    calendar; a text that is no time is passed over here, and refused once its patient is read.
    """
    opened = parquet_file(entry)
    fields = event_fields(opened, mapping)
    if "subject_id" not in fields:
        return pd.DataFrame(
            {"subject_id": [1], "events": [opened.metadata.num_rows], "first": [pd.NaT], "last": [pd.NaT]}
        )
    names = [fields[field] for field in ("subject_id", "time", "code")]
    rows = parquet_file(entry, (fields["code"],)).iter_batches(_ROWS_AT_ONCE, columns=names)
    counted = [_counted(pa.Table.from_batches([batch]).select(names)) for batch in rows]
    if not counted:
        return pd.DataFrame({"subject_id": [], "events": [], "first": [], "last": []})
    several = pa.concat_tables(counted, promote_options="permissive").group_by("subject_id")
    grouped = several.aggregate([("events", "sum"), ("first", "min"), ("last", "max")])
    named = grouped.rename_columns(["subject_id", "events", "first", "last"])
    return named.to_pandas()  # type: ignore[no-any-return]


def _counted(rows: pa.Table) -> pa.Table:
    """subject_id, events, first, last of rows (subject, time, code) that are held at once."""
    subjects, times, codes = rows.columns
    if subjects.null_count:
        raise no_patient(subjects.null_count)
    times = in_utc(times if is_time(times.type) else _written_times(times))
    is_birth = pc.fill_null(pc.equal(as_text(codes).cast(pa.string()), BIRTH), False)
    times = pc.if_else(is_birth, pa.scalar(None, times.type), times)
    named = pa.table({"subject_id": subjects, "time": times})
    grouped = named.group_by("subject_id").aggregate([("subject_id", "count"), ("time", "min"), ("time", "max")])
    chosen = grouped.select(["subject_id", "subject_id_count", "time_min", "time_max"])
    return chosen.rename_columns(["subject_id", "events", "first", "last"])


def _written_times(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times written as text, null where one is no time."""
    stamps = pd.to_datetime(column_texts(times), format="ISO8601", utc=True, errors="coerce")
    return pa.chunked_array([pa.array(stamps)])


def distinct_subjects(entry: Entry, mapping: Answers | None) -> set[int]:
    """Patients of a parquet file whose subjects are whole numbers; {1} where it names none.

    Raises UserFacingError where the columns cannot be told, or an event names no patient.
    """
    opened = parquet_file(entry)
    column = event_fields(opened, mapping).get("subject_id")
    if column is None:
        return {1}
    with translated():
        found: set[int] = set()
        unnamed = 0
        for batch in opened.iter_batches(batch_size=1 << 20, columns=[column]):
            unnamed += batch.column(0).null_count
            found.update(pc.unique(batch.column(0)).drop_null().to_pylist())
        if unnamed:
            raise no_patient(unnamed)
        return {int(value) for value in found}
