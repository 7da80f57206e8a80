"""Does a slice's own rescale fit, where the rescale differs from slice to slice?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from core.errors import UserFacingError
from core.intake.scan.checks.mixed_slices import Distances, Slices
from core.intake.scan.hounsfield import PADDING_BELOW_HU
from core.wording import count_of

Rescale = tuple[float | None, float | None]
"""Slope and intercept."""
_MATTERS_HU, _EXPLAINED, _NEARER, _AS_USUAL = 5.0, (0.5, 1.5), 0.9, 0.5
"""Of the change from one slice to the next another rescale explains nothing where each is read right, and all of it
where one was read with a wrong one; without it they are as far apart as slices are here, and not far closer."""
_EVERY = 2
_AIR_HU, _SOFT_HU = (-1200, -900), (-200, 200)
_LEAST_HU, _SAME, _ERRORS, _FEWEST = 6.0, 0.5, 5.0, 100
"""From slice to slice the air of five real series changes by 2 HU at most, the soft tissue of six by 9 (17 in steps of
three slices); both at once and the same way by so much only where values were shifted."""


def refuse_misfit_rescale(stack: Slices, rescales: Sequence[Rescale]) -> None:
    """Raise where a slice continues the one before better when it is read with that one's rescale than with its own.

    stack: HU (slices, rows, columns) in the order of `rescales`.
    """
    changes = [k for k in range(len(rescales) - 1) if rescales[k] != rescales[k + 1]]
    if not changes:
        return
    usual = float(np.median([np.abs(np.subtract(b, a, dtype=np.int32)).mean() for a, b in pairwise(stack)]))
    wrong = [k for k in changes if _misfits(stack[k], stack[k + 1], rescales[k], rescales[k + 1], usual)]
    if wrong:
        raise UserFacingError(
            f"The rescale changes, but slices continue their neighbours only without the change: "
            f"{count_of(len(wrong), 'time')}, first between slices {wrong[0] + 1} and {wrong[0] + 2}, by position.",
            "values that continue from slice to slice",
            "Export the series again; the rescale of some slices was probably changed without their pixels.",
        )


def _misfits(before: Slices, own: Slices, rescale_before: Rescale, rescale_own: Rescale, usual_hu: float) -> bool:
    """Whether the change between two planes is the usual one where the second is read with the rescale of the first."""
    (slope, intercept), (own_slope, own_intercept) = rescale_before, rescale_own
    if slope is None or intercept is None or not own_slope or own_intercept is None:
        return False
    seen = (before > PADDING_BELOW_HU) & (own > PADDING_BELOW_HU)
    first, second = before[seen].astype(np.float64), own[seen].astype(np.float64)
    change, due = second - first, second - ((second - own_intercept) / own_slope * slope + intercept)
    if not len(due) or np.abs(due).mean() < _MATTERS_HU:
        return False
    explained, without = float(change @ due / (due @ due)), float(np.abs(change - due).mean())
    nearer = _AS_USUAL * usual_hu < without < _NEARER * float(np.abs(change).mean())
    return nearer and _EXPLAINED[0] < explained < _EXPLAINED[1]


def doubts_of_shifts(stack: Slices) -> list[str]:
    """A doubt where air and soft tissue change together between slices (slices, rows, columns), HU."""
    some = np.ascontiguousarray(stack[:, ::_EVERY, ::_EVERY])
    air = _changes(some, _AIR_HU)
    found = [place for place in np.flatnonzero(np.abs(air) > _LEAST_HU).tolist() if _is_shifted(some, place, air)]
    if not found:
        return []
    worst = max(found, key=lambda place: abs(air[place]))
    more = f" (and so at {count_of(len(found) - 1, 'other place')})" if len(found) > 1 else ""
    return [
        f"Between slices {worst + 1} and {worst + 2}, counted from the lowest, all values change together by "
        f"{air[worst]:+.0f} HU, air's too{more}: a part of the slices was probably rescaled in another way."
    ]


def _changes(some: Slices, between_hu: tuple[int, int]) -> Distances:
    """The mean change of what stays within a range of HU from each slice to the next, 0 within its sampling error."""
    low, high = between_hu
    inside = (some > low) & (some < high)
    both = inside[1:] & inside[:-1]
    change = (some[1:] - some[:-1]) * both
    count = np.maximum(np.count_nonzero(both, axis=(1, 2)), 1)
    mean = change.sum(axis=(1, 2), dtype=np.int64) / count
    spread = np.sqrt(np.square(change, dtype=np.int32).sum(axis=(1, 2), dtype=np.int64) / count)
    sure = (count >= _FEWEST) & (np.abs(mean) > _ERRORS * spread / np.sqrt(count))
    return np.where(sure, mean, 0.0)


def _is_shifted(some: Slices, place: int, air: Distances) -> bool:
    """Whether soft tissue changes about as much as air does between a slice and the next."""
    soft = _changes(some[place : place + 2], _SOFT_HU)[0]
    return bool(abs(soft - air[place]) < max(_LEAST_HU, _SAME * abs(air[place])) and soft)
