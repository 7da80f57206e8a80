"""Values that all jump together from slice to slice, air's too, by less than shows at once: another rescale."""

from __future__ import annotations

import numpy as np

from core.load.foreign_slices import Distances, Slices
from core.words import count_of

_EVERY = 2
_AIR_HU, _SOFT_HU = (-1200, -900), (-200, 200)
_LEAST_HU, _SAME, _ERRORS, _FEWEST = 6.0, 0.5, 5.0, 100
"""From slice to slice the air of five real series changes by 2 HU at most, the soft tissue of six by 9 (17 in steps of
three slices); both at once and the same way by so much only where values were shifted."""


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
