"""Is each slice the projection of a slab, whose neighbour shares most of it? Told by the values that stay the same."""

from __future__ import annotations

import numpy as np

from core.load.foreign_slices import Slices

_ROWS_APART = 4
_DENSE_HU, _FEWEST = -500, 200
"""Air is cut off at one value in many scans, and lung is darker; a share of fewer voxels says little."""
_SAME, _OF_SEVERAL, _TIMES, _LEAST_IN_PLANE = 0.2, 0.25, 5.0, 0.01
"""In seven real scans 1 to 3 % of dense voxels have the value of the next slice, and as many that of a pixel nearby. A
maximum over 3, 5 or 11 slices in steps of one makes the first 33, 48 and 67 % at least, and leaves the second alone."""


def doubts_of_slabs(stack: Slices) -> list[str]:
    """A doubt where most slices repeat the values of the next one, as do overlapping maxima or minima (MIP, MinIP).

    stack: samples of the slices (slices, rows, columns), HU.
    """
    some = stack[:, ::_ROWS_APART]
    dense = some[:-1] > _DENSE_HU
    count = dense.sum(axis=(1, 2))
    if not len(count) or count.min() < _FEWEST:
        return []
    same = float(np.quantile(((some[1:] == some[:-1]) & dense).sum(axis=(1, 2)) / count, _OF_SEVERAL))
    beside = some[:-1, :, 1:] == some[:-1, :, :-1]
    in_plane = float(beside[dense[:, :, 1:]].mean())
    if same < _SAME or same < _TIMES * max(in_plane, _LEAST_IN_PLANE):
        return []
    return [
        f"From slice to slice {100 * same:.0f}% of the values outside air stay exactly the same, as where each slice "
        "is the maximum or minimum of several (MIP, MinIP): if so, no tissue has its own value."
    ]
