"""The vocabulary of an event model, learned from training patients."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from core.foresee.code_parts import Part, parts_of
from core.foresee.events import DEATH, PatientEvents, SpelledCodes, event_gaps, spelled_codes
from core.foresee.gaps import GAP_NAMES, gap_numbers, gap_points
from core.foresee.vocabulary import BIN_POINTS, BINS, FIRST_GAP, FIXED, NUMBER_OF, Values, Vocabulary


def fit_vocabulary(events: PatientEvents, least: int = 10) -> Vocabulary:
    """The vocabulary of these patients, who must be of the training split alone.

    least: how often a part of a code must stand to be a token of its own, and how many numbers give a code tenths.
    """
    spelled = spelled_codes(events.codes)
    kept = ~_of_person(spelled)[events.code_ids]
    by_code = np.bincount(events.code_ids[kept], minlength=len(events.codes))
    counts: Counter[Part] = Counter()
    for code, count in zip(spelled.codes, by_code.tolist(), strict=True):
        for part in parts_of(code) if count else ():
            counts[part] += count
    seen = [part for part, count in counts.items() if count >= least and part not in NUMBER_OF]
    parts = (*FIXED, *sorted(seen))
    gaps = event_gaps(events.times_us, kept & ~events.is_static, events.offsets)[1]
    number, times = gap_numbers(gaps)
    by_gap = np.bincount(number[number >= 0], times[number >= 0], len(GAP_NAMES))
    number_of = {part: place for place, part in enumerate(parts)}
    values = _fit_values(events, spelled, number_of, least)
    totals = np.array([counts[part] for part in parts], np.int64)
    totals[FIRST_GAP : FIRST_GAP + len(GAP_NAMES)] = by_gap
    return Vocabulary(parts, totals, gap_points(gaps), values)


def value_points(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`Values.points` of training values (n,); the lower bound of a tenth belongs to it.

    >>> value_points(np.arange(1.0, 101.0))[:, 0].tolist()
    [1.0, 11.0, 21.0, 31.0, 41.0, 51.0, 61.0, 71.0, 81.0, 91.0]
    """
    ordered = np.sort(values)
    edges = ordered[(np.arange(1, BINS) * len(ordered)) // BINS]
    tenths = np.searchsorted(edges, ordered, side="right")
    points = np.full((BINS, BIN_POINTS), np.nan)
    for tenth in np.unique(tenths):
        points[tenth] = np.quantile(ordered[tenths == tenth], np.linspace(0.0, 1.0, BIN_POINTS))
    return points


def _fit_values(
    events: PatientEvents, spelled: SpelledCodes, number_of: dict[Part, int], least: int
) -> dict[int, Values]:
    """Numbers of each whole code that has at least so many in its most frequent unit, and two different ones."""
    token_of = [number_of.get(parts_of(code)[0], -1) for code in spelled.codes]
    whole = [parts_of(code)[0].kind == "code" and code != DEATH for code in spelled.codes]
    owner = np.where(np.array(whole, bool) & ~_of_person(spelled), np.array(token_of, np.int64), -1)[events.code_ids]
    rows = np.flatnonzero((owner >= 0) & np.isfinite(events.values))
    order = rows[np.argsort(owner[rows], kind="stable")]
    found: dict[int, Values] = {}
    tokens, starts = np.unique(owner[order], return_index=True)
    for token, own in zip(tokens.tolist(), np.split(order, starts[1:]), strict=False):
        units = np.bincount(events.unit_ids[own] + 1, minlength=len(events.units) + 1)
        unit = int(np.argmax(units)) - 1
        values = events.values[own[events.unit_ids[own] == unit]].astype(np.float64)
        if len(values) >= least and values.min() < values.max():
            found[token] = Values(events.units[unit] if unit >= 0 else "", value_points(values))
    return found


def _of_person(spelled: SpelledCodes) -> npt.NDArray[np.bool_]:
    return np.asarray(spelled.births | (spelled.sexes >= 0))
