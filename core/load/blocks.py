"""A rectangle of one value within the body: lost data, or a box that was drawn over the picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.load.foreign_slices import Slices
from core.words import count_of

_APART = 4
"""Samples of a stack between those that are compared: 16 pixels of 512, of which 24 hold one and 48 two and more."""
_LEAST_PIXELS, _OPEN_SHARE, _AIR_HU = 24, 0.2, -900
"""In nine real series and eleven variants of each (every second slice, halves, sharp, smooth, noisy, with metal,
cropped, thick, cut off at -1000 and 1000 HU) no such rectangle of one value is bounded on all four sides; the nearest
one, of saturated air, goes on along 96 % of a side."""
_DENSE_HU, _MADE_SHARE, _FEWEST = -500, 0.2, 200
"""Beside each other 1 to 3 % of dense pixels of real series have one value; all of them in an object of constant
parts."""
Places = npt.NDArray[np.intp]


def doubts_of_filled_blocks(whole: Slices, stack: Slices, *, measured: bool) -> list[str]:
    """A doubt where a rectangle within the body of a slice is one value to the last pixel; raises where each slice was
    measured, as nothing measured is.

    whole: int16 (slices, rows, columns) HU. stack: samples of its rows and columns at an even distance. measured:
    whether a scanner reconstructed each slice; into a volume made otherwise somebody may have put a box on purpose. A
    slice that is one value up to its edge is no matter of this.
    """
    some = np.ascontiguousarray(stack[:, ::_APART, ::_APART])
    apart = _APART * -(-whole.shape[2] // stack.shape[2])
    places = np.unravel_index(_squares(some), some.shape)
    found: dict[int, tuple[int, int]] = {}
    for k, row, column in zip(*(axis.tolist() for axis in places), strict=True):
        if k not in found and (size := _rectangle(whole[k], row * apart, column * apart)):
            found[k] = size
    if not found or _is_made_of_constants(some, {int(value) for value in some[places]}):
        return []
    rows, columns = max(found.values())
    told = (
        f"Filled with one value within the body, in rectangles of up to {rows} x {columns} pixels: "
        f"{count_of(len(found), 'slice')}."
    )
    if measured:
        raise UserFacingError(
            told,
            "values that were measured everywhere in the body",
            "Export the series again; a part of it was probably lost, or covered by a box.",
        )
    return [told]


def _squares(some: Slices) -> Places:
    """Where a sample equals those to its right, below and between; of the lowest value only what the body encloses.

    Found in one line of all samples, as that is fastest: a square across an edge is no rectangle either.
    """
    line, width = some.ravel(), some.shape[2]
    beside = line[1:] == line[:-1]
    square = beside[:-width] & beside[width:]
    square &= line[width:-1] == line[: -width - 1]
    places = np.flatnonzero(square)
    lowest = line[places] == some.min()
    dark = places[lowest]
    slices, rows = np.divmod(dark // width, some.shape[1])
    return np.concatenate([places[~lowest], dark[_is_enclosed(some, slices, rows, dark % width)]])


def _is_enclosed(some: Slices, slices: Places, rows: Places, columns: Places) -> npt.NDArray[np.bool_]:
    """Whether something brighter than air lies to both sides of samples in their row, and in their column."""
    enclosed = np.ones(len(slices), bool)
    for lines, places in ((some[slices, rows], columns), (some[slices, :, columns], rows)):
        other = lines > _AIR_HU
        first, last = other.argmax(axis=1), other.shape[1] - 1 - other[:, ::-1].argmax(axis=1)
        enclosed &= other.any(axis=1) & (first < places) & (places < last)
    return enclosed


def _rectangle(plane: Slices, row: int, column: int) -> tuple[int, int] | None:
    """Rows and columns of the rectangle of one value around a pixel; None where there is none, or only around air."""
    value = plane[row, column]
    across, along = _run(plane[row], column, value), _run(plane[:, column], row, value)
    if across is None or along is None:
        return None
    (left, right), (top, bottom) = across, along
    if not (plane[top:bottom, left:right] == value).all():
        return None
    sides = (
        plane[top - 1, left:right],
        plane[bottom, left:right],
        plane[top:bottom, left - 1],
        plane[top:bottom, right],
    )
    if max(float((side == value).mean()) for side in sides) > _OPEN_SHARE:
        return None
    within_body = value > _AIR_HU or float(np.median(np.concatenate(sides))) > _AIR_HU
    return (bottom - top, right - left) if within_body else None


def _run(line: Slices, place: int, value: np.int16) -> tuple[int, int] | None:
    """First and last but one pixel of the run of a value around a place; None where it is short or meets an end."""
    other = np.flatnonzero(line != value)
    after = int(np.searchsorted(other, place))
    if after in (0, len(other)):
        return None
    first, last = int(other[after - 1]) + 1, int(other[after])
    return (first, last) if last - first >= _LEAST_PIXELS else None


def _is_made_of_constants(some: Slices, values: set[int]) -> bool:
    """Whether what is dense repeats its values beside each other elsewhere too, as in a made test object."""
    dense = (some[:, :, :-1] > _DENSE_HU) & ~np.isin(some[:, :, :-1], list(values))
    if np.count_nonzero(dense) < _FEWEST:
        return True
    return bool((some[:, :, 1:] == some[:, :, :-1])[dense].mean() > _MADE_SHARE)
