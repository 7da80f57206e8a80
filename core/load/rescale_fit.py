"""Does a slice's own rescale fit, where the rescale differs from slice to slice?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from core.errors import UserFacingError
from core.load.foreign_slices import Slices
from core.load.hounsfield import PADDING_BELOW_HU
from core.words import count_of

Rescale = tuple[float | None, float | None]
"""Slope and intercept."""

_MATTERS_HU, _EXPLAINED, _NEARER, _AS_USUAL = 5.0, (0.5, 1.5), 0.9, 0.5
"""Of the change from one slice to the next another rescale explains nothing where each is read right, and all of it
where one was read with a wrong one; without it they are as far apart as slices are here, and not far closer."""


def refuse_misfit_rescale(stack: Slices, rescales: Sequence[Rescale]) -> None:
    """Raise where a slice continues the one before better when it is read with that one's rescale than with its own.

    stack: HU (slices, rows, columns) in the order of `rescales`.
    """
    changes = [k for k in range(len(rescales) - 1) if rescales[k] != rescales[k + 1]]
    if not changes:
        return
    usual = float(np.median([np.abs(np.subtract(b, a, dtype=np.int32)).mean() for a, b in pairwise(stack)]))
    wrong = sum(_misfits(stack[k], stack[k + 1], rescales[k], rescales[k + 1], usual) for k in changes)
    if wrong:
        raise UserFacingError(
            f"The rescale changes, but slices continue their neighbours only without the change: "
            f"{count_of(wrong, 'time')}.",
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
