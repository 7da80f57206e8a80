"""The inputs of the compact sequence encoder for all patients of a cohort at once, without a loop over events."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from core.encode.ehr.cohort_deaths import DAY_US, or_none, without_deaths_of_the_day
from core.encode.ehr.compact_sequence import CodedEvents, CompactSequence, EventRows, room_for_facts
from core.encode.ehr.features import EventColumns, NumericScale
from core.errors import UserFacingError
from core.events.standard_codes import standard_code
from core.intake.record.cohort_columns import NO_TIME, Cohort, Labels
from core.intake.record.meds_columns import units_in_codes
from core.records import BIRTH

_BLOCK = 1 << 19
"""Events handled at a time: many, as threads wait for each other between arrays, yet within the processor's cache."""


@dataclass(frozen=True, eq=False)
class CohortSequences:
    """Known events of every patient, one after the other: of each what `CodedEvents` holds.

    events: patient i has rows offsets[i] to offsets[i + 1]. known (p,): events with a known code up to the prediction
    time, before the limit; total (p,): all of those events.
    """

    subject_ids: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    events: EventRows
    known: npt.NDArray[np.int64]
    total: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.subject_ids)

    def __getitem__(self, patient: int) -> CodedEvents:
        """What `CompactSequence.read` gives for this patient's timeline, ready for `CompactSequence.collate`."""
        rows = slice(int(self.offsets[patient]), int(self.offsets[patient + 1]))
        return CodedEvents(**self.events.columns(rows), known=int(self.known[patient]), total=int(self.total[patient]))


@dataclass(frozen=True, eq=False)
class _Vocabulary:
    """The encoder's tables by code id of the cohort (c,), by the encoder's own codes and by numeric column (s,).

    codes (c,): the encoder's code, -1 unknown. known (c,): whether it is known. refused (c,): numbers of this code come
    in another unit. numeric (codes,): numeric column of a known code or -1. edges (s, e) padded with inf; first (s,):
    symbol of the lowest bin.
    """

    codes: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]
    refused: npt.NDArray[np.bool_]
    numeric: npt.NDArray[np.int32]
    edges: npt.NDArray[np.float64]
    first: npt.NDArray[np.int64]
    scales: list[NumericScale]
    birth: int
    max_tokens: int


@dataclass(frozen=True, eq=False)
class _Rows:
    """Of the cohort: first row, row behind the last, and cut of each record; starts and then ends increase."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    cuts: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Chosen:
    """Events to encode of the records first to last: rows (m,) of the cohort; lengths and known of each record."""

    first: int
    last: int
    rows: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CohortRecords:
    """Records of a cohort, each patient's up to a prediction time, read without a timeline of each.

    starts, ends (n,): the record has rows starts[i] to ends[i] of the cohort, none where nothing is known. cuts (n,):
    prediction times, microseconds. order (n,): record numbers by starts, then by ends. Rows behind all patients'
    are copies: records without a death of the prediction day.
    """

    cohort: Cohort
    subject_ids: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    cuts: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]

    @classmethod
    def up_to(cls, cohort: Cohort, subject_ids: npt.ArrayLike, prediction_times: npt.ArrayLike) -> CohortRecords:
        """One record for each subject and prediction time; a subject may have several, or no event in the cohort."""
        subjects = np.asarray(subject_ids, np.int64)
        cuts = np.asarray(prediction_times, "datetime64[us]").view(np.int64)
        places = np.searchsorted(cohort.subject_ids, subjects)
        known = np.append(cohort.subject_ids, -1)[places] == subjects
        starts, stops = cohort.offsets[places], cohort.offsets[np.minimum(places + known, len(cohort))]
        ends = stops.copy()
        for number in np.flatnonzero(_last_times(cohort, stops) > cuts).tolist():
            own = slice(starts[number], stops[number])
            ends[number] = own.start + np.searchsorted(cohort.times_us[own], cuts[number], side="right")
        cohort, starts, ends = without_deaths_of_the_day(cohort, starts, ends, cuts)
        by_end = np.argsort(ends, kind="stable")
        return cls(cohort, subjects, starts, ends, cuts, by_end[np.argsort(starts[by_end], kind="stable")])

    def __len__(self) -> int:
        return len(self.starts)

    def digests(self) -> list[str]:
        """None: no timeline is made."""
        return [""] * len(self)

    def columns(self) -> list[EventColumns]:
        """What `event_columns` gives for each patient's timeline."""
        labels, ids = self.cohort.labels, self.cohort.labels["code"].ids
        _refuse_without_code(ids)
        names = labels["code"].texts
        codes = or_none(map(standard_code, names))
        carried = or_none(units_in_codes([*names]))
        units, texts = (or_none(labels[name].texts if name in labels else ()) for name in ("unit", "text_value"))

        def read(start: int, end: int, cut: int) -> EventColumns:
            rows = slice(start, end)
            days, values = np.empty(end - start), self.cohort.values[rows].astype(np.float64)
            _days(self.cohort.times_us[rows], np.full(end - start, cut), days)
            spelled = codes[ids[rows]]
            born = spelled == BIRTH
            values[born] = -days[born] / 365.25
            unit = units[labels["unit"].ids[rows]] if "unit" in labels else carried[ids[rows]]
            none = np.full(end - start, -1)
            text = texts[labels["text_value"].ids[rows] if "text_value" in labels else none]
            return EventColumns(spelled, values, unit, text, days, self.cohort.parents)

        return [read(*bounds) for bounds in zip(self.starts.tolist(), self.ends.tolist(), self.cuts.tolist())]

    def coded(self, encoder: CompactSequence) -> list[CodedEvents]:
        """What `CompactSequence.read` gives for each patient's timeline."""
        read = sequences(self, encoder)
        found: list[CodedEvents | None] = [None] * len(self)
        for place, number in enumerate(self.order.tolist()):
            found[number] = read[place]
        return [item for item in found if item is not None]


def sequences(records: CohortRecords, encoder: CompactSequence) -> CohortSequences:
    """The encoder's inputs of every record, in `records.order`; equal to reading each timeline alone."""
    cohort, order = records.cohort, records.order
    rows = _Rows(records.starts[order], records.ends[order], records.cuts[order])
    words = _vocabulary(cohort, encoder)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        parts = list(pool.map(lambda part: _chosen(cohort, words, rows, *part), _blocks(rows)))
        offsets = np.concatenate([[0], *(part.lengths for part in parts)]).astype(np.int64).cumsum()
        events = EventRows.unfilled(int(offsets[-1]))
        list(pool.map(lambda part: _fill(cohort, words, rows, part, events, int(offsets[part.first])), parts))
    known = np.concatenate([np.zeros(0, np.int64), *(part.known for part in parts)])
    return CohortSequences(records.subject_ids[order], offsets, events, known, total=rows.ends - rows.starts)


def _last_times(cohort: Cohort, stops: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Times of the rows before `stops`; of no meaning for a record without rows."""
    return cohort.times_us[np.maximum(stops - 1, 0)] if len(cohort.times_us) else np.zeros_like(stops)


def _refuse_without_code(ids: npt.NDArray[np.int32]) -> None:
    if len(ids) and ids.min() < 0:
        raise UserFacingError("Some events have no code.", "a code for every event", "Correct these rows.")


def _vocabulary(cohort: Cohort, encoder: CompactSequence) -> _Vocabulary:
    names = cohort.labels["code"].texts
    standard = [standard_code(name) for name in names]
    number = {code: place for place, code in enumerate(encoder.config["codes"])}
    column = {scale.code: place for place, scale in enumerate(encoder.scales)}
    most = max((len(scale.edges) for scale in encoder.scales), default=0)
    edges = np.full((len(encoder.scales) + 1, most), np.inf)
    for place, scale in enumerate(encoder.scales):
        edges[place, : len(scale.edges)] = scale.edges
    bins = np.array([len(scale.edges) + 1 for scale in encoder.scales], np.int64)
    units = units_in_codes(list(names)) if "unit" not in cohort.labels else [None] * len(names)
    refused = [code in column and not encoder.scales[column[code]].accepts(unit) for code, unit in zip(standard, units)]
    codes = np.array([number.get(code, -1) for code in standard], np.int64)
    return _Vocabulary(
        codes=codes,
        known=codes >= 0,
        refused=np.array(refused, bool),
        numeric=np.array([column.get(code, -1) for code in encoder.config["codes"]], np.int32),
        edges=edges,
        first=len(number) + np.concatenate([[0], np.cumsum(bins)])[:-1] if len(bins) else np.zeros(0, np.int64),
        scales=encoder.scales,
        birth=number.get(BIRTH, -2),
        max_tokens=encoder.max_tokens,
    )


def _blocks(rows: _Rows) -> list[tuple[int, int]]:
    """Runs of whole records that reach over about `_BLOCK` rows."""
    if not len(rows.starts):
        return []
    marks = np.arange(int(rows.starts[0]), int(rows.starts[-1]) + _BLOCK, _BLOCK)
    edges = np.unique(np.append(np.searchsorted(rows.starts, marks), len(rows.starts)))
    return [(first, last) for first, last in pairwise(edges.tolist())]


def _chosen(cohort: Cohort, words: _Vocabulary, rows: _Rows, first: int, last: int) -> _Chosen:
    """Up to `max_tokens` readable events before the cut of each record from first to last."""
    starts, ends = rows.starts[first:last], rows.ends[first:last]
    start = int(starts[0])
    readable = np.flatnonzero(_readable(cohort, words, slice(start, int(ends.max())))) + start
    begins, stops = np.searchsorted(readable, starts), np.searchsorted(readable, ends)
    known = stops - begins
    lengths = np.minimum(known, words.max_tokens)
    before = lengths.cumsum() - lengths
    places = np.repeat(stops - lengths - before, lengths)
    places += np.arange(len(places))
    long = np.flatnonzero(known > words.max_tokens)
    at_first = np.arange(room_for_facts(words.max_tokens))
    facts = begins[long, None] + at_first
    record, fact = np.nonzero(np.logical_and.accumulate(_is_fact(cohort, words, readable[facts]), axis=1))
    places[before[long[record]] + at_first[fact]] = facts[record, fact]
    return _Chosen(first, last, readable[places], lengths, known)


def _is_fact(cohort: Cohort, words: _Vocabulary, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Readable rows without a time, and births."""
    born = words.codes[cohort.labels["code"].ids[rows]] == words.birth
    return np.asarray((cohort.times_us[rows] == NO_TIME) | born)


def _readable(cohort: Cohort, words: _Vocabulary, rows: slice) -> npt.NDArray[np.bool_]:
    """Rows with a known code whose number, if any, is in the unit that training saw."""
    ids, unit = cohort.labels["code"].ids[rows], cohort.labels.get("unit")
    _refuse_without_code(ids)
    known = np.take(words.known, ids)
    if unit is None and not words.refused.any():
        return known
    foreign = words.refused[ids] if unit is None else _foreign_units(words, words.codes[ids], unit, rows)
    return known & ~(foreign & np.isfinite(cohort.values[rows]))


def _foreign_units(
    words: _Vocabulary, codes: npt.NDArray[np.int64], unit: Labels, rows: slice
) -> npt.NDArray[np.bool_]:
    """Rows whose unit differs from that of their code's numbers in training."""
    foreign = np.zeros((len(words.scales) + 1, len(unit.texts) + 1), bool)
    for place, scale in enumerate(words.scales):
        foreign[place, :-1] = [not scale.accepts(text) for text in unit.texts]
    columns = np.append(words.numeric, -1)[codes]
    return np.asarray(foreign[columns, unit.ids[rows]])


def _fill(cohort: Cohort, words: _Vocabulary, asked: _Rows, part: _Chosen, out: EventRows, at: int) -> None:
    """Write the columns of the chosen events from row `at` on."""
    places, rows = slice(at, at + len(part.rows)), part.rows
    patients = slice(part.first, part.last)
    codes = words.codes[cohort.labels["code"].ids[rows]]
    out.codes[places] = out.symbols[places] = codes
    np.subtract(rows, np.repeat(asked.starts[patients], part.lengths), out=out.event_ids[places], casting="unsafe")
    _days(cohort.times_us[rows], np.repeat(asked.cuts[patients], part.lengths), out.days[places])
    out.latest[places] = _latest(part.lengths, codes, len(words.numeric))
    _amounts(words, codes, cohort.values, rows, EventRows(**out.columns(places)))


def _days(times: npt.NDArray[np.int64], cuts: npt.NDArray[np.int64], out: npt.NDArray[np.float64]) -> None:
    """Days relative to the cut, NaN for static facts."""
    np.divide(times - cuts, DAY_US, out=out)
    out[times == NO_TIME] = np.nan


def _amounts(
    words: _Vocabulary,
    codes: npt.NDArray[np.int64],
    values: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    out: EventRows,
) -> None:
    """Numeric columns, standard values and symbols: `NumericScale.standard` and `.bin` of every event with a number."""
    column = words.numeric[codes]
    out.z[:], out.numeric[:] = 0.0, -1
    numeric = np.flatnonzero(column >= 0)
    value = np.where(codes[numeric] == words.birth, -out.days[numeric] / 365.25, values[rows[numeric]])
    finite = np.isfinite(value)
    numeric, value = numeric[finite], value[finite]
    if not len(numeric):
        return
    column = column[numeric]
    log, centre, spread = np.array([(scale.log, scale.centre, scale.spread) for scale in words.scales]).T
    scaled = value.copy()
    np.log(np.maximum(value, 1e-6), out=scaled, where=log[column] > 0)
    out.z[numeric] = np.clip((scaled - centre[column]) / spread[column], -4.0, 4.0)
    bins = (value[:, None] >= words.edges[column]).sum(1)
    out.numeric[numeric], out.symbols[numeric] = column, words.first[column] + bins


def _latest(lengths: npt.NDArray[np.int64], codes: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.bool_]:
    """Whether an event is the last of its code in its patient: of equal keys, the last assignment stays."""
    keys = np.repeat(np.arange(len(lengths)) * most, lengths)
    keys += codes
    places = np.arange(len(codes), dtype=np.int32)
    last = np.empty(len(lengths) * most, np.int32)
    last[keys] = places
    return np.asarray(last[keys] == places)
