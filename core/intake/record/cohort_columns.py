"""Parquet files of many patients, opened once: columns in memory by patient and time, without a loop over events.

Codes are kept as numbers of a dictionary. One patient is a slice; an encoder reads all patients as arrays
(`core.encode.ehr.cohort`). Memory: 16 bytes an event, and what the dictionary-coded text and unit columns take.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.errors import UserFacingError
from core.events.cut import KNOWN_FROM, undated_outcomes
from core.events.death import may_tell_of_death
from core.intake.files.byte_source import Entry
from core.intake.files.sources import Source
from core.intake.record.checks.mixed_values import TAKEN_BACK, taken_back
from core.intake.record.columns.numbers import finite32
from core.intake.record.columns.times import EARLIEST, LATEST, refuse_mixed_zones
from core.intake.record.load import cut_timeline
from core.intake.record.meds_columns import Reading, typed_rows
from core.intake.record.sorting import event_files, no_events, no_such_patient
from core.intake.record.tables.meds import doubt_columns, is_plain_meds
from core.intake.record.tables.parquet import (
    OTHER_TIME,
    event_fields,
    in_utc,
    is_parquet,
    is_time,
    no_patient,
    parquet_file,
    translated,
)
from core.records import Timeline
from core.wording import count_of

NO_TIME = np.iinfo(np.int64).min
"""Microseconds of a static fact (numpy's NaT)."""
_NAN_BITS = np.float32(np.nan).view(np.uint32)
_DICTIONARY = ("code", "unit", "text_value", "description")
_SEQUENCE = ("subject_id", "time", "code", "numeric_value", "value", "unit")


@dataclass(frozen=True, eq=False)
class Labels:
    """A column of repeated texts. texts: the distinct ones; ids int32 (n,): which one, -1 where empty."""

    texts: tuple[str, ...]
    ids: npt.NDArray[np.int32]

    def table(self, start: int, stop: int) -> pa.Array:
        """Texts of the rows start to stop as an arrow array, null where empty."""
        ids = self.ids[start:stop]
        return pa.array([self.texts[number] if number >= 0 else None for number in ids.tolist()], pa.string())


@dataclass(frozen=True, eq=False)
class Cohort:
    """Events of many patients, sorted by patient and time, static facts first; the order of equal times is the file's.

    subject_ids int64 (p,), increasing. offsets int64 (p + 1,): rows offsets[i] to offsets[i + 1] are patient i's.
    times_us int64 (n,): microseconds since 1970, `NO_TIME` for static facts. values float32 (n,), NaN where none.
    labels: "code" and, where read, "unit", "text_value", "description". telling bool: for each text of "code", whether
    its value may say that the patient died. time_type: how the source stores the times.
    notes: what of the source is not read; they go with every patient's timeline. undated_outcomes: subject -> events
    that tell of death without a time; they are left out of the rows, as nobody knows when they were known.
    """

    subject_ids: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    times_us: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    labels: Mapping[str, Labels]
    telling: npt.NDArray[np.bool_]
    time_type: pa.DataType
    words: Mapping[str, str]
    parents: Mapping[str, tuple[str, ...]]
    virtual: bool
    notes: tuple[str, ...] = ()
    undated_outcomes: Mapping[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.subject_ids)

    def timeline(self, subject_id: int, prediction_time: pd.Timestamp | str | None = None) -> Timeline:
        """One patient's timeline, as `load_timeline` gives it. Raises UserFacingError for an unknown patient, and as
        `cut_timeline` does."""
        place = int(np.searchsorted(self.subject_ids, subject_id))
        if place == len(self) or self.subject_ids[place] != subject_id:
            raise no_such_patient()
        start, stop = int(self.offsets[place]), int(self.offsets[place + 1])
        columns = {name: labels.table(start, stop) for name, labels in self.labels.items()}
        columns["time"] = pa.array(self.times_us[start:stop].view("datetime64[us]")).cast(self.time_type)
        columns["numeric_value"] = pa.array(self.values[start:stop])
        left_out = self.undated_outcomes.get(int(subject_id), 0)
        reading = Reading(
            [*self.notes], dict(self.words), undated_outcomes=left_out, shared=self.words, parents=self.parents
        )
        events = typed_rows(pa.table(columns), {name: name for name in columns}, int(subject_id), reading)
        return cut_timeline(events, int(subject_id), prediction_time, reading, "virtual" if self.virtual else "unknown")


def open_cohort(source: Source, *, texts: bool = True) -> Cohort:
    """Every patient of a MEDS file, folder or data set, in memory.

    texts: whether text values and descriptions are read too; encoders of sequences do without, where no text takes a
    number back.
    Raises UserFacingError for sources other than MEDS parquet, rows without a patient, and impossible times or values.
    """
    files = event_files(source)
    entries = [entry for entry in files.entries if is_parquet(entry)]
    if len(entries) < len(files.entries):
        raise UserFacingError("The source is not made of parquet files.", "MEDS parquet", "Convert it to MEDS.")
    with translated():
        notes = [*files.notes]
        shards = [shard for entry in entries if (shard := _Shard.opened(entry, texts, notes)).rows]
        if not shards:
            raise no_events()
        stored = _time_type(shards, notes)
        columns = _joined(shards)
        if "text_value" in columns:
            _settle_values(columns, notes)
        telling = may_tell_of_death(columns["texts"]["code"])
        left_out = _leave_out_undated_outcomes(columns, telling)
        arrays = _sorted(columns)
        return Cohort(
            **arrays,
            telling=telling,
            time_type=stored,
            words=files.words,
            parents=files.parents,
            virtual=files.virtual,
            notes=tuple(notes),
            undated_outcomes=left_out,
        )


@dataclass(frozen=True, eq=False)
class _Shard:
    entry: Entry
    fields: Mapping[str, str]
    groups: int
    rows: int
    time_type: pa.DataType

    @classmethod
    def opened(cls, entry: Entry, texts: bool, notes: list[str]) -> _Shard:
        opened = parquet_file(entry)
        found = event_fields(opened, None)
        doubt_columns(entry, None, notes)
        if OTHER_TIME in found:
            raise UserFacingError("Two columns may hold the time.", "one column of times", "Leave one column out.")
        if KNOWN_FROM in found:
            raise UserFacingError(
                "A column says when each event was recorded, which in a cohort is not told from when it happened.",
                "one time of each event, from which on it was known",
                "Write the later of the two as the time, and leave that column out.",
            )
        fields = {
            field: name for field, name in found.items() if field in _SEQUENCE or (texts and field in _DICTIONARY)
        }
        if {"numeric_value", "value"} <= set(fields):
            del fields["value"]
        subject = fields.get("subject_id")
        if subject is None or not pa.types.is_integer(opened.schema_arrow.field(subject).type):
            raise UserFacingError(
                "The file does not name patients by whole numbers.", "a column subject_id of type int64", "Convert it."
            )
        if not is_plain_meds(entry, None, people=False):
            raise UserFacingError(
                "Times of day, bounds or states of the events stand in columns of their own.",
                "MEDS parquet, all that counts of an event in its time, code and value",
                "Leave withdrawn events out, write times of day and bounds into the time and the value.",
            )
        stored = opened.schema_arrow.field(fields["time"]).type
        if not is_time(stored):
            raise UserFacingError(
                "The times are not stored as times.", "MEDS parquet, its times of type timestamp", "Convert the column."
            )
        return cls(entry, fields, opened.metadata.num_row_groups, opened.metadata.num_rows, stored)

    def read(self, group: int) -> dict[str, Any]:
        """One row group: field -> numpy array, or (ids, texts) for texts."""
        texts = [name for field, name in self.fields.items() if field in _DICTIONARY]
        opened: pq.ParquetFile = parquet_file(self.entry, tuple(texts))
        table = opened.read_row_group(group, columns=list(self.fields.values()), use_threads=False)
        return {field: _as_array(field, table[name]) for field, name in self.fields.items()}


def _time_type(shards: Sequence[_Shard], notes: list[str]) -> pa.DataType:
    """Days, microseconds in a time zone or microseconds without one; days beside the others are said.

    Raises UserFacingError where only some shards name a time zone.
    """
    kinds = {shard.time_type for shard in shards}
    zones = {kind.tz is not None for kind in kinds if pa.types.is_timestamp(kind)}
    refuse_mixed_zones(zones)
    if not zones:
        return pa.date32()
    if any(pa.types.is_date(kind) for kind in kinds):
        notes.append("Some files hold days without a time of day, which count from 00:00 that day.")
    return pa.timestamp("us", "UTC" if True in zones else None)


def _as_array(field: str, column: pa.ChunkedArray) -> Any:
    if field in _DICTIONARY:
        return _dictionary(column)
    if field == "subject_id":
        if column.null_count:
            raise no_patient(column.null_count)
        return column.to_numpy().astype(np.int64, copy=False)
    return _microseconds(column) if field == "time" else _numbers(column)


def _dictionary(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], list[str | None]]:
    kind = pa.dictionary(pa.int32(), pa.string())
    plain = column.cast(pa.string()) if not pa.types.is_dictionary(column.type) else column
    coded = plain if plain.type == kind else plain.cast(kind)
    if coded.num_chunks != 1:
        coded = coded.unify_dictionaries().combine_chunks() if len(coded) else pa.array([], kind)
    whole = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
    ids = whole.indices.fill_null(-1) if whole.null_count else whole.indices
    return ids.to_numpy(), whole.dictionary.to_pylist()


def _microseconds(times: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    column = in_utc(times)
    low, high = (stamp.value // 1000 for stamp in (EARLIEST, LATEST))
    first, last = (bound.value for bound in pc.min_max(column).values())
    if first is not None and (first < low or last > high):
        raise UserFacingError("Some times lie before 1850 or after 2261.", "times of a patient's life", "Correct them.")
    return np.asarray(column.to_numpy(), dtype="datetime64[us]").view(np.int64)


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
        raise UserFacingError(
            "The values are not stored as numbers.", "a column numeric_value of type float32", "Convert it."
        )
    if column.null_count and column.type == pa.float32():
        return finite32(np.concatenate([_gaps_as_nan(chunk) for chunk in column.chunks]))
    return finite32(np.asarray(column.to_numpy(), np.float64 if pa.types.is_null(column.type) else None))


def _gaps_as_nan(values: pa.FloatArray) -> npt.NDArray[np.float32]:
    """Null values as NaN without a branch for each, ten times as fast as arrow where gaps are frequent."""
    validity, stored = values.buffers()
    bits = np.frombuffer(stored, np.uint32)[values.offset :][: len(values)]
    if validity is None:
        return bits.view(np.float32)
    filled = np.unpackbits(np.frombuffer(validity, np.uint8), count=values.offset + len(values), bitorder="little")
    return (bits | (1 - filled[values.offset :]) * _NAN_BITS).view(np.float32)


def _joined(shards: Sequence[_Shard]) -> dict[str, Any]:
    """All row groups of all shards one after the other, read by several threads, with one dictionary a text column."""
    jobs = [(shard, group) for shard in shards for group in range(shard.groups)]
    rows = sum(shard.rows for shard in shards)
    fields = {field for shard in shards for field in shard.fields} - {"value"} | {"numeric_value"}
    out: dict[str, Any] = {
        "subject_id": np.empty(rows, np.int64),
        "time": np.empty(rows, np.int64),
        "numeric_value": np.full(rows, np.nan, np.float32),
        **{field: np.full(rows, -1, np.int32) for field in _DICTIONARY if field in fields},
    }
    known: dict[str, dict[str, int]] = {field: {} for field in _DICTIONARY if field in fields}
    start = 0
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for piece in pool.map(lambda job: job[0].read(job[1]), jobs):
            stop = start + len(piece["subject_id"])
            for field, values in piece.items():
                name = "numeric_value" if field == "value" else field
                out[name][start:stop] = _renumbered(values, known[name]) if name in known else values
            start = stop
    return out | {"texts": known}


def _renumbered(values: tuple[npt.NDArray[np.int32], list[str | None]], known: dict[str, int]) -> npt.NDArray[np.int32]:
    """Ids of a row group's own dictionary as ids of the common one; empty texts count as none."""
    ids, texts = values
    stripped = [text.strip() if text else "" for text in texts]
    common = np.array([known.setdefault(text, len(known)) if text else -1 for text in stripped] + [-1], np.int32)
    return np.take(common, ids)


def _settle_values(columns: dict[str, Any], notes: list[str]) -> None:
    """Take out the numbers that the text in their row takes back."""
    numbers, ids = columns["numeric_value"], columns["text_value"]
    beside = np.flatnonzero(ids >= 0)
    beside = beside[~np.isnan(numbers[beside])]
    void = beside[taken_back(numbers[beside], ids[beside], [*columns["texts"]["text_value"]])]
    numbers[void] = np.nan
    if len(void):
        notes.append(f"{TAKEN_BACK}: {count_of(len(void), 'value')} of all patients.")


def _leave_out_undated_outcomes(columns: dict[str, Any], telling: npt.NDArray[np.bool_]) -> dict[int, int]:
    """Take rows that tell of death without a time out of the columns; how many of each subject they were."""
    if not telling.any():
        return {}
    undated = (columns["time"] == NO_TIME) & np.append(telling, False)[columns["code"]]
    undated[undated] = undated_outcomes(_told(columns, np.flatnonzero(undated)))
    subjects, counts = np.unique(columns["subject_id"][undated], return_counts=True)
    for name in columns.keys() - {"texts"}:
        columns[name] = columns[name][~undated]
    return {int(subject): int(count) for subject, count in zip(subjects, counts)}


def _told(columns: dict[str, Any], rows: npt.NDArray[np.intp]) -> pd.DataFrame:
    """Code and value of rows without a time, as `undated_outcomes` asks for them."""

    def texts(name: str) -> list[str | None]:
        known = [*columns["texts"].get(name, ()), None]
        ids = columns[name][rows] if name in columns else np.full(len(rows), -1)
        return [known[number] for number in ids.tolist()]

    told = {"code": texts("code"), "text_value": texts("text_value")}
    timeless = {"time": np.full(len(rows), np.datetime64("NaT", "us")), "numeric_value": columns["numeric_value"][rows]}
    return pd.DataFrame(timeless | {name: pd.Series(column, dtype=object) for name, column in told.items()})


def _sorted(columns: dict[str, Any]) -> dict[str, Any]:
    """The arrays of a `Cohort` from those of all rows."""
    subjects, times = columns["subject_id"], columns["time"]
    known: dict[str, dict[str, int]] = columns["texts"]
    starts = _starts(subjects, times)
    if starts is None:
        order = np.lexsort((times, subjects))
        for name in ("subject_id", "time", "numeric_value", *known):
            columns[name] = columns[name][order]
        subjects, times = columns["subject_id"], columns["time"]
        starts = np.flatnonzero(subjects[:-1] != subjects[1:]) + 1
    offsets = np.concatenate([[0], starts, [len(subjects)]])
    return {
        "subject_ids": subjects[offsets[:-1]],
        "offsets": offsets.astype(np.int64),
        "times_us": times,
        "values": columns["numeric_value"],
        "labels": {name: Labels(tuple(texts), columns[name]) for name, texts in known.items()},
    }


def _starts(subjects: npt.NDArray[np.int64], times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
    """First rows of all patients but the first, or None where rows are not sorted by patient and time, as MEDS asks."""
    starts = np.flatnonzero(subjects[:-1] != subjects[1:]) + 1
    if (subjects[starts - 1] > subjects[starts]).any():
        return None
    earlier = np.flatnonzero(times[:-1] > times[1:])
    return None if (subjects[earlier] == subjects[earlier + 1]).any() else starts
