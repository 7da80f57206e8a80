"""Doubts about slices that a part of the picture raises, while the mean of the whole stays silent.

Every slice is cut into cells of 4 x 4 sampled pixels, about 12 mm wide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from core.errors import UserFacingError
from core.intake.scan.checks.displaced_rows import refuse_torn_slices
from core.intake.scan.checks.mixed_slices import Slices
from core.wording import count_of, slices_named

Cells = npt.NDArray[np.float32]
"""(slices, rows / 4, columns / 4), HU."""
_TO_THE_RIGHT, _TO_THE_FRONT = 0, 1
_CELL = 4
_TOGETHER = 16
"""Slices that are worked on at once, few enough for the processor's cache."""
_TURNS_HU, _TURNS_AGREE, _TURNS_SLICES, _TURNS_FEWEST, _TURNS_TOGETHER = 8.0, 0.95, 32, 20, 6
"""In six real scans at most one cell at a time is brighter and darker in turns by so much over 32 slices, and three
that touch with 80 HU of noise; two phases of the heart in turns, 20 HU apart, make 7 to 69 that touch."""
_STEADY_HU, _STEADY_FEWEST, _JUDGED, _AROUND, _LEAST_HU = 10.0, 100, 0.75, 6, 2.0
_ROUGHER, _ELSEWHERE = 1.8, 2.0
"""Where the slices around one agree, it has at most 1.25 times their roughness and 1.5 times their distance from what
lies around in six real scans; damage of a fifth of a slice by 20 HU and more makes that 2 to 40 times."""
_PHASE_HU, _PHASE_STEADY_HU, _PHASE_TISSUE_HU = 60.0, 25.0, (-20.0, 600.0)
_PHASE_FEWEST, _PHASE_SHARE, _PHASE_FEW = 9, 0.18, 10
"""Between two slices of nine real series and eleven variants of each (thinned, thick, cropped, noisy and more) at most
8 cells of steady soft tissue change together by so much, and where 6 or more do, at most 14 % of all such cells; where
blood is 100 HU brighter from the middle of the heart on, 10 to 70 do, 20 to 65 %."""
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


def first_of(slice_axis: int) -> str:
    """The slice from which those along an axis of the volume (to the right, front or top) are counted."""
    return ("leftmost", "rearmost", "lowest")[slice_axis]


def doubts_in_parts(stack: Slices, slice_axis: int = 2, whole: Slices | None = None) -> list[str]:
    """What parts of slices (slices, rows, columns) tell of damage to one, or of two phases of one place; raises where a
    part of a slice lies sideways.

    slice_axis: the axis of the volume (to the right, front or top) along which the slices follow each other. From back
    to front nothing is told: planes of the table differ from those beside them. whole: what `stack` is a sample of.
    """
    if slice_axis == _TO_THE_FRONT:
        return []
    if len(stack) < 5 or min(stack.shape[1:]) < _CELL:
        return []
    cells, roughness = _means_and_roughness(stack)
    first = first_of(slice_axis)
    if whole is not None:
        refuse_torn_slices(whole, cells, first)
    return _parts_in_turns(cells) + _another_phase(cells, first) + _unsteady(cells, roughness, first)


def _means_and_roughness(stack: Slices) -> tuple[Cells, Cells]:
    """The mean of every cell, and how far its pixels lie from the next one in their row.

    In 16 bits, as twice the width takes twice the time: pixels more than 32,767 HU apart are padding beside metal.
    """
    rows, columns = (size // _CELL * _CELL for size in stack.shape[1:])
    stack = stack[:, :rows, :columns]
    means = np.empty((len(stack), rows // _CELL, columns // _CELL), np.float32)
    roughness = np.empty_like(means)
    for first in range(0, len(stack), _TOGETHER):
        part = slice(first, first + _TOGETHER)
        apart = np.abs(stack[part, :, 1:] - stack[part, :, :-1])
        means[part] = _summed(stack[part], 1)
        roughness[part] = _summed(apart, 2)
    means /= _CELL**2
    roughness /= _CELL**2 // 2
    return means, roughness


def _summed(values: Slices, step: int) -> npt.NDArray[np.int32]:
    """Sums over the rows of each cell and every `step`-th of its columns."""
    by_row = np.add(values[:, ::_CELL], values[:, 1::_CELL], dtype=np.int32)
    for row in range(2, _CELL):
        by_row += values[:, row::_CELL]
    total = by_row[:, :, ::_CELL].copy()
    for column in range(step, _CELL, step):
        total += by_row[:, :, column::_CELL]
    return total


def _parts_in_turns(cells: Cells) -> list[str]:
    """A doubt where a part of the picture is brighter and darker from slice to slice: two phases or contrasts in turns.

    The rest of the picture is the same in both, so that the slices as a whole do not tell.
    """
    swing = cells[1:-1] - (cells[:-2] + cells[2:]) / 2
    if len(swing) < _TURNS_FEWEST:
        return []
    swing[::2] *= -1
    run = min(_TURNS_SLICES, len(swing))
    far = _running_mean(swing, run)
    likely = (np.abs(far) > _TURNS_HU).any(axis=0)
    bright = _running_mean(swing[:, likely] > 0, run)
    in_turns = np.abs(far) > _TURNS_HU
    in_turns[:, likely] &= np.maximum(bright, 1 - bright) >= _TURNS_AGREE
    parts, _ = ndimage.label(in_turns.any(axis=0))
    sizes = np.bincount(parts.ravel())[1:]
    if sizes.max(initial=0) < _TURNS_TOGETHER:
        return []
    largest = in_turns & (parts == 1 + int(sizes.argmax()))
    return [
        "A part of the picture is brighter and darker in turns from slice to slice, by "
        f"{np.abs(far[largest]).mean():.0f} HU on average: two phases or scans of one place may take turns."
    ]


def _another_phase(cells: Cells, first: str) -> list[str]:
    """A doubt where much of the soft tissue that is steady below and above turns brighter, or darker, between two
    slices: contrast agent in the blood of one phase and not of the other. Anatomy changes place by place."""
    found: dict[int, float] = {}
    for first_slice in range(1, len(cells) - 2, _TOGETHER):
        some = cells[first_slice : min(first_slice + _TOGETHER + 1, len(cells) - 1)]
        jump, dense = some[1:] - some[:-1], some > _PHASE_TISSUE_HU[0]
        large = (np.abs(jump, out=jump) > _PHASE_HU) & dense[1:] & dense[:-1]
        count = large.reshape(len(jump), -1).view(np.uint8).sum(axis=1, dtype=np.uint32)
        for k in (first_slice + np.flatnonzero(count >= _PHASE_FEWEST)).tolist():
            if change := _phase_change(*cells[k - 1 : k + 3]):
                found[k] = change
    if not found:
        return []
    place = max(found, key=lambda k: found[k])
    more = f" (and so at {count_of(len(found) - 1, 'other place')})" if len(found) > 1 else ""
    return [
        f"From slice {place + 2} on, counted from the {first}, soft tissue that is steady below and above differs by "
        f"{found[place]:.0f} HU{more}: slices of two phases of contrast may be joined there."
    ]


def _phase_change(before: Cells, below: Cells, above: Cells, after: Cells) -> float:
    """By how much many cells of soft tissue change alike between the middle two of four slices; 0 where they do not."""
    jump = above - below
    steady = np.maximum(np.abs(below - before), np.abs(after - above)) < _PHASE_STEADY_HU
    steady &= (np.minimum(below, above) > _PHASE_TISSUE_HU[0]) & (np.maximum(below, above) < _PHASE_TISSUE_HU[1])
    ways = [steady & (jump > _PHASE_HU), steady & (jump < -_PHASE_HU)]
    larger = max(ways, key=np.count_nonzero)
    count = np.count_nonzero(larger)
    if count < _PHASE_FEWEST or count <= _PHASE_SHARE * (np.count_nonzero(steady) + _PHASE_FEW):
        return 0.0
    return float(np.abs(jump[larger]).mean())


def _running_mean(values: npt.NDArray[Any], count: int) -> npt.NDArray[np.float32]:
    """The mean of every `count` successive values along the first axis."""
    means = np.empty((len(values) - count + 1, *values.shape[1:]), np.float32)
    window = means[0] = values[:count].sum(axis=0, dtype=np.float32)
    for place, (gone, come) in enumerate(zip(values, values[count:], strict=False), 1):
        window += come
        window -= gone
        means[place] = window
    means /= count
    return means


def _unsteady(cells: Cells, roughness: Cells, first: str) -> list[str]:
    """A doubt for slices that are rougher, or elsewhere in their mean, where the slices around agree with each other.

    Damage to a compressed stream spreads over much of the picture, often less than anatomy changes.
    """
    odd = (_over_others(roughness) > _ROUGHER) | (_over_others(cells) > _ELSEWHERE)
    if not odd.any():
        return []
    places = 2 + np.flatnonzero(odd)
    others = len(places) - 1
    more = f" (and so {'does' if others == 1 else 'do'} {count_of(others, 'other slice')})" if others else ""
    return [
        f"Slice {places[0]}, counted from the {first}, differs from those around it where these are alike{more}; the "
        "data may be damaged there, or metal or motion blur it."
    ]


def _over_others(cells: Cells) -> npt.NDArray[np.float64]:
    """For each inner slice how far it lies from those around in cells in which they agree, over the same of others:
    the largest of ten near ones and what four in five in the whole stack do not reach."""
    steady = np.abs(cells[2:] - cells[:-2]) < _STEADY_HU
    off = np.abs(cells[1:-1] - (cells[2:] + cells[:-2]) / 2)
    count = steady.sum(axis=(1, 2))
    judged, times = count >= _STEADY_FEWEST, np.zeros(len(off))
    if judged.mean() < _JUDGED:
        return times
    far = np.where(judged, (off * steady).sum(axis=(1, 2)) / np.maximum(count, 1), 0.0)
    usual = max(float(np.percentile(far[judged], 80)), _LEAST_HU)
    for k in np.flatnonzero(far > min(_ROUGHER, _ELSEWHERE) * usual):
        near = np.concatenate([far[max(0, k - _AROUND) : max(0, k - 1)], far[k + 2 : k + 1 + _AROUND]])
        times[k] = far[k] / max(usual, float(near.max(initial=0)))
    return times


def doubts_of_filled_blocks(whole: Slices, stack: Slices, first: str, *, measured: bool) -> list[str]:
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
        f"{slices_named(found, first)}."
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
