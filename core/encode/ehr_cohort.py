"""The inputs of the compact sequence encoder for all patients of a cohort at once, without a loop over events."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.encode.ehr_features import BIRTH, NumericScale
from core.encode.ehr_sequence import CodedEvents, CompactSequence
from core.errors import UserFacingError
from core.timeline.cohort_scale import NO_TIME, Cohort, Labels
from core.timeline.typed import units_in_codes
from core.timeline.vocabulary import standard_code

_DAY_US = 86_400_000_000.0
_BLOCK = 1 << 21
"""Events handled at a time, so that intermediate arrays stay small."""


@dataclass(frozen=True, eq=False)
class CohortSequences:
    """Known events of every patient, the last `max_tokens` of each, one after the other.

    Patient i has rows offsets[i] to offsets[i + 1] of the columns, which are those of `CodedEvents`.
    known (p,): events with a known code up to the prediction time, before the limit; total (p,): all of those events.
    """

    subject_ids: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    symbols: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]
    z: npt.NDArray[np.float32]
    numeric: npt.NDArray[np.int64]
    latest: npt.NDArray[np.float32]
    days: npt.NDArray[np.float64]
    event_ids: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    total: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.subject_ids)

    def __getitem__(self, patient: int) -> CodedEvents:
        """What `CompactSequence.read` gives for this patient's timeline, ready for `CompactSequence.collate`."""
        rows = slice(int(self.offsets[patient]), int(self.offsets[patient + 1]))
        return CodedEvents(
            self.symbols[rows],
            self.codes[rows],
            self.z[rows],
            self.numeric[rows],
            self.latest[rows],
            self.days[rows],
            self.event_ids[rows],
            int(self.known[patient]),
            int(self.total[patient]),
        )


@dataclass(frozen=True, eq=False)
class _Vocabulary:
    """The encoder's tables by code id of the cohort (c,) and by numeric column (s,).

    codes int16 (c,), -1 unknown. numeric int16 (codes,): numeric column of a known code or -1. refused (c,): numbers of
    this code come in another unit. edges (s, e) padded with inf; first (s,): symbol of the lowest bin.
    """

    codes: npt.NDArray[np.int32]
    numeric: npt.NDArray[np.int32]
    refused: npt.NDArray[np.bool_]
    edges: npt.NDArray[np.float64]
    first: npt.NDArray[np.int64]
    scales: list[NumericScale]
    birth: int
    max_tokens: int


def cohort_sequences(
    cohort: Cohort, encoder: CompactSequence, prediction_times: Mapping[int, pd.Timestamp] | None = None
) -> CohortSequences:
    """The encoder's inputs of every patient, equal to reading each timeline alone.

    prediction_times: subject -> cut; by default each patient's last event. Raises UserFacingError where a patient has
    neither, or an event has no code.
    """
    if (cohort.labels["code"].ids < 0).any():
        raise UserFacingError("Some events have no code.", "a code for every event", "Correct these rows.")
    cuts = _cuts(cohort, prediction_times)
    words = _vocabulary(cohort, encoder)
    ends = _ends(cohort, cuts) if prediction_times is not None else cohort.offsets[1:]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        pieces = list(pool.map(lambda part: _block(cohort, words, cuts, ends, *part), _blocks(cohort.offsets)))
    columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    offsets = np.concatenate([[0], np.cumsum(columns.pop("lengths"))])
    return CohortSequences(cohort.subject_ids, offsets, total=ends - cohort.offsets[:-1], **columns)


def _cuts(cohort: Cohort, given: Mapping[int, pd.Timestamp] | None) -> npt.NDArray[np.int64]:
    """Prediction time of each patient, microseconds."""
    if given is None:
        cuts = cohort.times_us[cohort.offsets[1:] - 1]
        if (cuts == NO_TIME).any():
            raise UserFacingError("A patient has no event with a time.", "events with times", "Leave the patient out.")
        return cuts
    missing = sum(int(subject) not in given for subject in cohort.subject_ids)
    if missing:
        raise UserFacingError(
            f"Without a prediction time: {missing} of {len(cohort)} patients.", "one for each patient", "Add them."
        )
    return np.array([pd.Timestamp(given[int(subject)]).value // 1000 for subject in cohort.subject_ids], np.int64)


def _ends(cohort: Cohort, cuts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Row behind the last event up to the cut, patient by patient (times are sorted)."""
    parts = zip(cohort.offsets[:-1].tolist(), cohort.offsets[1:].tolist(), cuts.tolist())
    ends = [start + np.searchsorted(cohort.times_us[start:stop], cut, side="right") for start, stop, cut in parts]
    return np.array(ends, np.int64)


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
    return _Vocabulary(
        codes=np.array([number.get(code, -1) for code in standard], np.int32),
        numeric=np.array([column.get(code, -1) for code in encoder.config["codes"]], np.int32),
        refused=np.array(refused, bool),
        edges=edges,
        first=len(number) + np.concatenate([[0], np.cumsum(bins)])[:-1] if len(bins) else np.zeros(0, np.int64),
        scales=encoder.scales,
        birth=number.get(BIRTH, -2),
        max_tokens=encoder.max_tokens,
    )


def _blocks(offsets: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Runs of whole patients of about `_BLOCK` events."""
    marks = np.arange(0, int(offsets[-1]) + _BLOCK, _BLOCK)
    edges = np.unique(np.append(np.searchsorted(offsets, marks), len(offsets) - 1))
    edges = edges[edges < len(offsets)]
    return [(first, last) for first, last in pairwise(edges.tolist())]


def _block(
    cohort: Cohort,
    words: _Vocabulary,
    cuts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    first: int,
    last: int,
) -> dict[str, npt.NDArray[Any]]:
    """Columns of the patients first to last, with `lengths` and `known` of each."""
    start, stop = int(cohort.offsets[first]), int(cohort.offsets[last])
    ids, values = cohort.labels["code"].ids[start:stop], cohort.values[start:stop]
    codes = words.codes[ids]
    rows = np.flatnonzero(_readable(cohort, words, codes, slice(start, stop)))
    starts = np.searchsorted(rows, cohort.offsets[first:last] - start)
    stops = np.searchsorted(rows, ends[first:last] - start)
    lengths = np.minimum(stops - starts, words.max_tokens)
    before = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    chosen = rows[np.arange(int(lengths.sum())) + np.repeat(stops - lengths - before, lengths)]
    patients = np.repeat(np.arange(last - first), lengths)
    known = codes[chosen].astype(np.int64)
    days = _days(cohort.times_us[start:stop][chosen], cuts[first:last][patients])
    amounts = np.where(known == words.birth, -days / 365.25, values[chosen].astype(np.float64))
    numeric = np.where(np.isfinite(amounts), words.numeric[known], -1).astype(np.int64)
    z, symbols = _amounts(words, known, amounts, numeric)
    return {
        "lengths": lengths,
        "known": stops - starts,
        "symbols": symbols,
        "codes": known,
        "z": z,
        "numeric": numeric,
        "latest": _latest(patients, known, last - first, len(words.numeric)),
        "days": days,
        "event_ids": chosen - (cohort.offsets[first:last] - start)[patients],
    }


def _readable(cohort: Cohort, words: _Vocabulary, codes: npt.NDArray[np.int32], rows: slice) -> npt.NDArray[np.bool_]:
    """Rows with a known code whose number, if any, is in the unit that training saw."""
    known = codes >= 0
    ids, finite = cohort.labels["code"].ids[rows], None
    if words.refused.any():
        finite = np.isfinite(cohort.values[rows])
        known &= ~(words.refused[ids] & finite)
    unit = cohort.labels.get("unit")
    if unit is not None:
        finite = np.isfinite(cohort.values[rows]) if finite is None else finite
        known &= ~(_foreign_units(words, codes, unit, rows) & finite)
    return known


def _foreign_units(
    words: _Vocabulary, codes: npt.NDArray[np.int32], unit: Labels, rows: slice
) -> npt.NDArray[np.bool_]:
    """Rows whose unit differs from that of their code's numbers in training."""
    foreign = np.zeros((len(words.scales) + 1, len(unit.texts) + 1), bool)
    for place, scale in enumerate(words.scales):
        foreign[place, :-1] = [not scale.accepts(text) for text in unit.texts]
    columns = np.append(words.numeric, -1)[codes]
    return np.asarray(foreign[columns, unit.ids[rows]])


def _days(times: npt.NDArray[np.int64], cuts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Days relative to the cut, NaN for static facts."""
    days = (times - cuts) / _DAY_US
    days[times == NO_TIME] = np.nan
    return np.asarray(days)


def _amounts(
    words: _Vocabulary,
    codes: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    numeric: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Standard values and symbols: `NumericScale.standard` and `.bin` of every event with a number."""
    z, symbols = np.zeros(len(codes), np.float32), codes.copy()
    rows = np.flatnonzero(numeric >= 0)
    if not len(rows):
        return z, symbols
    column, value = numeric[rows], values[rows]
    table = np.array([(scale.log, scale.centre, scale.spread) for scale in words.scales])
    logs = table[column, 0] > 0
    scaled = np.where(logs, np.log(np.maximum(value, 1e-6)), value)
    z[rows] = np.clip((scaled - table[column, 1]) / table[column, 2], -4.0, 4.0)
    bins = np.zeros(len(rows), np.int64)
    for edge in range(words.edges.shape[1]):
        bins += value >= words.edges[column, edge]
    symbols[rows] = words.first[column] + bins
    return z, symbols


def _latest(
    patients: npt.NDArray[np.int64], codes: npt.NDArray[np.int64], count: int, most: int
) -> npt.NDArray[np.float32]:
    """1 at the last event of each code of each patient: of equal keys, the last assignment stays."""
    keys, places = patients * most + codes, np.arange(len(codes))
    last = np.zeros(count * most, np.int64)
    last[keys] = places
    return np.asarray(last[keys] == places, np.float32)
