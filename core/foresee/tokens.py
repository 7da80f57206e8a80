"""MEDS events to token numbers and back, for all patients at once without a loop over events."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.events.standard_codes import standard_unit
from core.foresee.code_parts import Part, joined
from core.foresee.events import UNKNOWN_SEX, PatientEvents, event_gaps, spelled_codes
from core.foresee.gaps import REPEATED, gap_numbers
from core.foresee.vocabulary import BINS, FIRST_BIN, FIRST_GAP, Vocabulary
from core.intake.record.cohort_columns import NO_TIME

_MOST_PARTS = 3
_BLOCK = 1 << 18
"""Events handled at a time, so that their arrays stay in the processor's cache."""
Ints = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TokenisedRecords:
    """Records of p patients as tokens, without what is said of the person.

    offsets int64 (p + 1,), tokens int32 (m,): those of patient i are offsets[i] to offsets[i + 1]. starts int64 (k,):
    where the tokens of each dated event begin, its gap first; times_us int64 (k,): when it was. facts_offsets, facts:
    tokens of static facts, likewise by patient. sexes int8 (p,): place in `SEXES`. births_us int64 (p,): `NO_TIME`
    where not known.
    """

    subject_ids: Int64s
    offsets: Int64s
    tokens: Ints
    starts: Int64s
    times_us: Int64s
    facts_offsets: Int64s
    facts: Ints
    sexes: npt.NDArray[np.int8]
    births_us: Int64s

    def __len__(self) -> int:
        return len(self.subject_ids)


@dataclass(frozen=True, eq=False)
class _CodeTables:
    """What tokenising looks up, by number of a code in the events (c,), or by numeric code of the vocabulary (s,).

    parts int32 (3, c): tokens, -1 behind the last; sizes int8 (c,): how many. sexes int8 (c,): the sex that it tells
    or -1; births bool (c,). numeric int32 (c,): numeric code or -1. edges float32 (s, 16): lower bounds of tenths 2 to
    10, then inf. fits bool (c, units + 1): whether a number in that unit, the last of none, may be read.
    """

    parts: Ints
    sizes: npt.NDArray[np.int8]
    sexes: npt.NDArray[np.int8]
    births: npt.NDArray[np.bool_]
    numeric: Ints
    edges: npt.NDArray[np.float32]
    fits: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, events: PatientEvents, vocabulary: Vocabulary) -> _CodeTables:
        spelled = spelled_codes(events.codes)
        parts = np.full((_MOST_PARTS, len(events.codes)), -1, np.int32)
        for place, code in enumerate(spelled.codes):
            own = vocabulary.tokens_of(code)
            parts[: len(own), place] = own
        owners = list(vocabulary.values)
        column = np.full(len(vocabulary), -1, np.int32)
        column[owners] = np.arange(len(owners))
        edges = np.full((len(owners), 16), np.inf, np.float32)
        for place, token in enumerate(owners):
            edges[place, : BINS - 1] = vocabulary.values[token].edges
        numeric = column[parts[0]]
        told = [vocabulary.values[owners[place]].unit if place >= 0 else "" for place in numeric.tolist()]
        fits = _same_unit(spelled.codes, told, events.units)
        sizes = (parts >= 0).sum(0).astype(np.int8)
        return cls(parts, sizes, spelled.sexes, spelled.births, numeric, edges, fits)


@dataclass(frozen=True, eq=False)
class _Block:
    """Tokens of the events of patients first to last: see `TokenisedRecords`; offsets and starts count from 0."""

    tokens: Ints
    starts: Int64s
    times_us: Int64s
    lengths: Int64s
    facts: Ints
    fact_lengths: Int64s
    sexes: npt.NDArray[np.int8]
    births_us: Int64s


def tokenise(events: PatientEvents, vocabulary: Vocabulary) -> TokenisedRecords:
    """The tokens of every patient: of an event the gap before it, its code, and the tenth of its number.

    A number in another unit than training's has no tenth. The birth and the sex are kept apart.
    """
    tables = _CodeTables.of(events, vocabulary)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        blocks = list(pool.map(lambda part: _tokenise_block(events, tables, *part), _blocks(events.offsets)))

    def of_all(name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        return np.concatenate([np.zeros(0, dtype), *(getattr(block, name) for block in blocks)])

    before = np.cumsum([0, *(len(block.tokens) for block in blocks)])
    starts = [block.starts + shift for block, shift in zip(blocks, before.tolist(), strict=False)]
    return TokenisedRecords(
        events.subject_ids,
        np.append(0, np.cumsum(of_all("lengths", np.int64))),
        of_all("tokens", np.int32),
        np.concatenate([np.zeros(0, np.int64), *starts]),
        of_all("times_us", np.int64),
        np.append(0, np.cumsum(of_all("fact_lengths", np.int64))),
        of_all("facts", np.int32),
        of_all("sexes", np.int8),
        of_all("births_us", np.int64),
    )


def decode(tokens: npt.ArrayLike, vocabulary: Vocabulary, days: npt.ArrayLike, levels: npt.ArrayLike) -> pd.DataFrame:
    """Dated events that a sequence of tokens tells: days, code, numeric_value (NaN where none).

    tokens (n,); days (n,): when each token stands. levels (n,) in 0..1: which of the training values of its tenth a
    number is. Parts that continue no code, which no record holds, are left out.
    """
    found: list[tuple[float, tuple[Part, ...], float]] = []
    owner = -1
    for token, day, level in zip(np.asarray(tokens).tolist(), np.asarray(days), np.asarray(levels), strict=True):
        part = vocabulary.parts[token]
        if part.kind in ("code", "icd", "atc"):
            found.append((float(day), (part,), np.nan))
            owner = token
        elif part.kind == "quantile" and found and owner in vocabulary.values:
            value = vocabulary.values[owner].at(token - FIRST_BIN, float(level))
            found[-1], owner = (*found[-1][:2], value), -1
        elif part.kind.endswith((" middle", " end")) and found and owner >= 0:
            found[-1] = (found[-1][0], (*found[-1][1], part), np.nan)
        else:
            owner = -1
    columns = {
        "days": [day for day, _, _ in found],
        "code": [joined(parts) for _, parts, _ in found],
        "numeric_value": [value for _, _, value in found],
    }
    return pd.DataFrame(columns).astype({"days": np.float64, "code": object, "numeric_value": np.float64})


def _blocks(offsets: Int64s) -> list[tuple[int, int]]:
    """Runs of whole patients that reach over about `_BLOCK` events."""
    marks = np.searchsorted(offsets, np.arange(0, offsets[-1] + _BLOCK, _BLOCK))
    edges = np.unique(np.minimum(marks, len(offsets) - 1))
    return [*pairwise(edges.tolist())]


def _tokenise_block(events: PatientEvents, tables: _CodeTables, first: int, last: int) -> _Block:
    offsets = events.offsets[first : last + 1]
    begin, end = int(offsets[0]), int(offsets[-1])
    times, codes = events.times_us[begin:end], events.code_ids[begin:end]
    static, person = times == NO_TIME, (tables.births | (tables.sexes >= 0))[codes]
    rows, gaps = event_gaps(times, ~static & ~person, offsets - begin)
    tokens, ends = _event_tokens(events, tables, rows + begin, gaps)
    facts, fact_ends = _event_tokens(events, tables, np.flatnonzero(static & ~person) + begin, None)
    persons = np.flatnonzero(person)
    owner = np.searchsorted(offsets, persons + begin, side="right") - 1
    sexes, births = np.full(last - first, -1, np.int8), np.full(last - first, NO_TIME)
    births_at, sex_at = (np.flatnonzero(told[codes[persons]])[::-1] for told in (tables.births, tables.sexes >= 0))
    births[owner[births_at]] = times[persons[births_at]]  # from the last to the first, so that the first one stays
    sexes[owner[sex_at]] = tables.sexes[codes[persons[sex_at]]]
    return _Block(
        tokens,
        np.append(0, ends)[:-1],
        times[rows],
        _lengths(ends, np.searchsorted(rows, offsets - begin)),
        facts,
        _lengths(fact_ends, np.searchsorted(np.flatnonzero(static & ~person), offsets - begin)),
        np.where(sexes < 0, UNKNOWN_SEX, sexes).astype(np.int8),
        births,
    )


def _lengths(ends: Int64s, events_before: Int64s) -> Int64s:
    """Tokens of each patient, from where the tokens of each event end and how many events come before each patient."""
    return np.diff(np.append(0, ends)[events_before])


def _event_tokens(events: PatientEvents, tables: _CodeTables, rows: Int64s, gaps: Int64s | None) -> tuple[Ints, Int64s]:
    """Tokens of the events in these rows one after the other, and where those of each event end."""
    codes = events.code_ids[rows]
    tenths = _tenths(events, tables, rows, codes)
    sizes = tables.sizes[codes] + (tenths >= 0)
    number, times = gap_numbers(gaps) if gaps is not None else (None, np.zeros(len(rows), np.int32))
    ends = np.cumsum(sizes + times, dtype=np.int64)
    tokens = np.empty(int(ends[-1]) if len(ends) else 0, np.int32)
    place = ends - sizes
    if number is not None:
        once = np.flatnonzero(times == 1)
        tokens[place[once] - 1] = number[once].astype(np.int32) + FIRST_GAP
        for row in np.flatnonzero(times > 1).tolist():  # Half years, which are few.
            tokens[place[row] - times[row] : place[row]] = FIRST_GAP + REPEATED
    tokens[place] = tables.parts[0][codes]
    for stage in range(1, _MOST_PARTS):
        of_stage = tables.parts[stage][codes]
        has = np.flatnonzero(of_stage >= 0)
        tokens[place[has] + stage] = of_stage[has]
    has = np.flatnonzero(tenths >= 0)
    tokens[ends[has] - 1] = FIRST_BIN + tenths[has]
    return tokens, ends


def _tenths(events: PatientEvents, tables: _CodeTables, rows: Int64s, codes: Ints) -> npt.NDArray[np.int8]:
    """Of each event the tenth of its number among training's of that code, -1 where it has none."""
    found = np.full(len(rows), -1, np.int8)
    own, value = tables.numeric[codes], events.values[rows]
    numeric = np.flatnonzero((own >= 0) & np.isfinite(value))
    if not tables.fits.all():
        numeric = numeric[tables.fits[codes[numeric], events.unit_ids[rows[numeric]]]]
    value, flat, base = value[numeric], tables.edges.ravel(), own[numeric] * 16
    tenth = np.zeros(len(numeric), np.int32)
    for step in (8, 4, 2, 1):  # Halving: four looks in place of nine.
        tenth += step * (value >= flat[base + tenth + (step - 1)])
    found[numeric] = tenth
    return found


def _same_unit(codes: list[str], told: list[str], units: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """(codes, units + 1): whether a number in that unit may be read as training's; the last column is of no unit."""
    fits = np.ones((len(codes), len(units) + 1), bool)
    for place, (code, unit) in enumerate(zip(codes, told, strict=True)):
        if unit:
            fits[place, :-1] = [standard_unit(other, code) == standard_unit(unit, code) for other in units]
    return fits
