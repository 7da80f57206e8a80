"""Antolini's concordance (2005): are patients ranked by their predicted survival at the very time of each event?

Unlike a score, curves may cross, so the ranking is asked anew at every event: O(n x events), with or without resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.records import Float64Array
from core.survive.metrics.concordance import Concordance, checked
from core.survive.metrics.kaplan_meier import BoolArray, IntArray
from core.survive.metrics.pairs import CountArray

EVENTS_AT_ONCE = 256
Pairs = tuple[IntArray, npt.NDArray[np.float32], npt.NDArray[np.float32]]


def antolini_concordance(
    time_days: npt.ArrayLike, event: npt.ArrayLike, survival: npt.ArrayLike, grid_days: npt.ArrayLike
) -> Concordance:
    """Antolini's time-dependent concordance: event i is concordant with j where S(t_i | x_i) < S(t_i | x_j).

    survival (n, t): predicted S at grid_days (t,), increasing; read linearly between grid times, so event times must
    lie within the grid. Pairs and ties as in `concordance`.
    Equals Harrell's for curves that do not cross. Raises UserFacingError where shapes differ, events lie outside the
    grid, or no pair can be compared.
    """
    time, seen, curves, grid = _checked(time_days, event, survival, grid_days)
    concordant, pairs = 0.0, 0
    for _, won, comparable in _event_pairs(time, seen, curves, grid):
        concordant += float(won.sum(dtype=np.float64))
        pairs += int(comparable.sum(dtype=np.float64))
    if pairs == 0:
        raise UserFacingError(
            "No pair of patients can be compared.",
            "at least one event with another patient followed longer",
            "Use more patients or a longer follow-up.",
        )
    return Concordance(concordant / pairs, "antolini", len(time), int(seen.sum()), pairs)


def antolini_values(
    time_days: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    grid_days: npt.ArrayLike,
    counts: Sequence[CountArray],
) -> Float64Array:
    """`antolini_concordance` in each resample; counts: how often each patient counts, blocks (n, b) side by side.

    NaN where a resample holds no comparable pair.
    """
    drawn = np.concatenate(counts, axis=1).astype(np.float32)
    top, bottom = np.zeros(drawn.shape[1]), np.zeros(drawn.shape[1])
    for rows, won, comparable in _event_pairs(*_checked(time_days, event, survival, grid_days)):
        top += np.einsum("qb,qb->b", drawn[rows], won @ drawn, dtype=np.float64)
        bottom += np.einsum("qb,qb->b", drawn[rows], comparable @ drawn, dtype=np.float64)
    return np.asarray(np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0), np.float64)


def _checked(
    time_days: npt.ArrayLike, event: npt.ArrayLike, survival: npt.ArrayLike, grid_days: npt.ArrayLike
) -> tuple[Float64Array, BoolArray, Float64Array, Float64Array]:
    grid = np.asarray(grid_days, np.float64)
    curves = np.asarray(survival, np.float64)
    time, seen, _ = checked(time_days, event, np.zeros(len(np.atleast_1d(np.asarray(time_days)))))
    if curves.shape != (len(time), len(grid)) or (np.diff(grid) <= 0).any():
        raise UserFacingError(
            "The predicted curves do not fit the patients and times.",
            f"one row for each of {len(time)} patients and one column for each of the increasing grid times",
            "Pass survival with shape (patients, grid times).",
        )
    if seen.any() and (time[seen].max() > grid[-1] or time[seen].min() < grid[0]):
        raise UserFacingError(
            "Some events lie outside the times of the predicted curves.",
            f"events from day {grid[0]:g} to {grid[-1]:g}",
            "Censor the outcomes at the last supported time, or predict longer curves.",
        )
    return time, seen, curves, grid


def _event_pairs(time: Float64Array, seen: BoolArray, curves: Float64Array, grid: Float64Array) -> Iterator[Pairs]:
    """Some events at a time: their rows (q,), and with each patient (q, n) whether the pair is won (1, one half for a
    tie) and whether it can be compared.
    """
    events = np.flatnonzero(seen)
    for start in range(0, len(events), EVENTS_AT_ONCE):
        rows = events[start : start + EVENTS_AT_ONCE]
        at = time[rows, None]
        comparable = (time > at) | ((time == at) & ~seen)
        everyone = np.stack([_at_day(curves, grid, day) for day in time[rows]])
        own = everyone[np.arange(len(rows)), rows][:, None]
        won = ((own < everyone) + 0.5 * (own == everyone)) * comparable
        yield rows, won.astype(np.float32), comparable.astype(np.float32)


def _at_day(curves: Float64Array, grid: Float64Array, day: float) -> Float64Array:
    """Every curve at one day, linear between grid times; (n, t) -> (n,)."""
    right = min(max(int(np.searchsorted(grid, day)), 1), len(grid) - 1)
    share = (day - grid[right - 1]) / (grid[right] - grid[right - 1])
    return np.asarray((1 - share) * curves[:, right - 1] + share * curves[:, right], np.float64)
