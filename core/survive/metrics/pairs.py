"""Weighted counts of concordant pairs in O(n log n), for one weighting of the patients or for many at once.

A pair (i, j) is counted from its event i: j is comparable when t_j > t_i, or t_j = t_i and j is censored (the rule of
lifelines, scikit-survival and torchsurv; it matters because dates come in whole days). With patients sorted by
(time, events first) the comparable patients of i are a suffix [p_i, n), and those with a lower risk are a prefix
[0, q_i) of the order by risk. Counting the patients in both is a walk down a wavelet matrix over the time positions:
one level a bit, each level two look-ups in a cumulative sum. Ranks depend on the data only, so a plan is built once and
asked with any weights, which makes a bootstrap (patients drawn with counts 0, 1, 2, ...) a few vectorised passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.records import Float64Array

IntArray = npt.NDArray[np.int64]
CountArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]

RESAMPLES_AT_ONCE = 128
"""Columns a pass; fixed, so that the draws of a seed do not depend on the machine's memory."""
BLOCK = 16


@dataclass(frozen=True, eq=False)
class _Level:
    """One bit of the time position: patients with the bit set, and the ranges that the queries look up among them."""

    patients: IntArray
    queries: IntArray
    low: IntArray
    high: IntArray


@dataclass(frozen=True, eq=False)
class PairPlan:
    """Ranks of one risk score against one set of outcomes, ready for any patient weights.

    events:      (q,) row of each event that can open a pair.
    first_later: (q,) position in `by_time` of its first comparable patient.
    """

    events: IntArray
    first_later: IntArray
    by_time: IntArray
    levels: tuple[_Level, ...]
    tied_risk: bool

    def comparable(self, weights: CountArray) -> CountArray:
        """Weight of the patients comparable with each event; weights (n, b) -> (q, b)."""
        running = _running_sum(weights, self.by_time)
        later: CountArray = running[-1] - running[self.first_later]
        return later

    def twice_concordant(self, weights: CountArray) -> CountArray:
        """Twice the weight of comparable patients at lower risk, plus the weight at equal risk; (n, b) -> (q, b)."""
        sides = 2 if self.tied_risk else 1
        counted = np.zeros((sides * len(self.events), weights.shape[1]), np.int32)
        for level in self.levels:
            running = _running_sum(weights, level.patients)
            counted[level.queries] += running.take(level.high, axis=0) - running.take(level.low, axis=0)
        if not self.tied_risk:
            return 2 * counted
        below, below_or_tied = np.split(counted, 2)
        return below + below_or_tied


def plan_pairs(
    time_days: Float64Array,
    event: BoolArray,
    risk: Float64Array,
    *,
    tmax_days: float | None = None,
    strict: bool = False,
) -> PairPlan:
    """Ranks of `risk` (n,) for pair counting.

    tmax_days: only events before it open a pair. strict: leave out patients censored at the event's own time.
    """
    events = np.flatnonzero(event if tmax_days is None else event & (time_days < tmax_days))
    by_time = np.lexsort((~event, time_days))
    # Even keys are events, odd keys the censored of the same time: one search finds the first comparable patient.
    same_time = np.unique(time_days, return_inverse=True)[1]
    key = 2 * same_time + ~event
    first_later = np.searchsorted(key[by_time], key[events] + (2 if strict else 1), side="left")
    by_risk = np.argsort(risk, kind="stable")
    sorted_risk = risk[by_risk]
    below = np.searchsorted(sorted_risk, risk[events], side="left")
    below_or_tied = np.searchsorted(sorted_risk, risk[events], side="right")
    tied = bool((below_or_tied - below > 1).any())
    ends = np.concatenate([below, below_or_tied]) if tied else below
    starts = np.tile(first_later, 2) if tied else first_later
    position = np.empty(len(risk), np.int64)
    position[by_time] = np.arange(len(risk))
    levels = tuple(_walk(by_risk, position[by_risk], starts, ends))
    return PairPlan(events, first_later, by_time, levels, tied)


def _walk(patients: IntArray, position: IntArray, starts: IntArray, ends: IntArray) -> Iterator[_Level]:
    """Levels of the wavelet matrix for queries "position >= start among the first `end` patients by risk"."""
    low, high = np.zeros_like(ends), ends.copy()
    for bit in reversed(range(len(patients).bit_length())):
        is_one = (position >> bit & 1).astype(bool)
        ones_before = np.concatenate([[0], np.cumsum(is_one)])
        ones_low, ones_high = ones_before[low], ones_before[high]
        wants_zero = (starts >> bit & 1) == 0
        asking = np.flatnonzero(wants_zero & (ones_high > ones_low))
        yield _Level(patients[is_one], asking, ones_low[asking], ones_high[asking])
        zeros = int(len(position) - ones_before[-1])
        low = np.where(wants_zero, low - ones_low, zeros + ones_low)
        high = np.where(wants_zero, high - ones_high, zeros + ones_high)
        patients = np.concatenate([patients[~is_one], patients[is_one]])
        position = np.concatenate([position[~is_one], position[is_one]])
    asking = np.flatnonzero(high > low)
    yield _Level(patients, asking, low[asking], high[asking])


def _running_sum(weights: CountArray, rows: IntArray) -> CountArray:
    """Sums of the first 0, 1, ..., r of the given rows; (n, b), (r,) -> (r + 1, b).

    Summed in blocks, a row of all blocks at a time: numpy's own sum down a column is about three times slower.
    """
    blocks = len(rows) // BLOCK + 1
    running = np.zeros((blocks * BLOCK + 1, weights.shape[1]), np.int32)
    np.take(weights, rows, axis=0, out=running[1 : len(rows) + 1], mode="clip")
    inside = running[1:].reshape(blocks, BLOCK, weights.shape[1])
    for row in range(1, BLOCK):
        inside[:, row] += inside[:, row - 1]
    inside[1:] += np.cumsum(inside[:-1, -1], axis=0, dtype=np.int32)[:, None]
    return running[: len(rows) + 1]


def patient_groups(subject_id: npt.ArrayLike | None, rows: int) -> IntArray:
    """Patient number 0, 1, ... of each row; every row its own patient where no ids are given.

    Raises UserFacingError for another number of ids than rows.
    """
    if subject_id is None:
        return np.arange(rows)
    ids = np.asarray(subject_id)
    if ids.shape != (rows,):
        raise UserFacingError(
            "The patient identifiers do not match the outcomes.",
            f"one identifier for each of {rows} rows",
            "Pass arrays of the same length.",
        )
    return np.asarray(np.unique(ids, return_inverse=True)[1], np.int64)


def resample_counts(groups: IntArray, resamples: int, seed: int) -> Iterator[CountArray]:
    """Bootstrap draws of patients as counts, (rows, up to RESAMPLES_AT_ONCE) a step; all rows of a patient together."""
    generator = np.random.default_rng(seed)
    patients = int(groups.max()) + 1
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        columns = min(RESAMPLES_AT_ONCE, resamples - start)
        draws = generator.integers(0, patients, (RESAMPLES_AT_ONCE, patients))[:columns]
        counts = np.empty((columns, patients), np.int32)
        for row, drawn in zip(counts, draws, strict=True):
            row[:] = np.bincount(drawn, minlength=patients)
        yield np.take(counts.T, groups, axis=0)
