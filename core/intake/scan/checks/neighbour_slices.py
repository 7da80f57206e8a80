"""Does every slice fit between its neighbours? Catches damaged streams without checksum and a slice's wrong rescale."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.intake.scan.checks.displaced_rows import refuse_wrapped_pictures
from core.intake.scan.checks.mixed_slices import (
    Distances,
    Slices,
    doubts_of_slabs,
    jumps,
    refuse_breaks,
    refuse_disorder,
    refuse_foreign_ends,
    refuse_two_in_turns,
    repeated_slices,
    shows_body,
)
from core.intake.scan.checks.regions import doubts_in_parts, doubts_of_filled_blocks, first_of
from core.intake.scan.checks.rescale import doubts_of_shifts
from core.intake.scan.checks.rows_columns import doubts_of_lines
from core.wording import count_of, slices_named

_TOGETHER = 16
"""Slices compared at once: fewer take longer, more leave the processor's cache."""
_ROUGH_HU, _ROUGH_FAR, _ROUGH_NEAR = 2.0, 3.0, 1.5
_PROBES = 20_000
_WIDTH_RATIO = 0.5
_HALVES_RATIO = 0.7
_REFUSE_HU, _REFUSE_TYPICAL, _REFUSE_APART = 60.0, 2.5, 1.6
_STRANGE_HU, _STRANGE_TYPICAL, _STRANGE_APART = 12.0, 4.0, 2.5
"""Real series reach 1.6 times the typical step and 0.83 times the distance of the two neighbours; where a slice
leaves these figures far behind, a smaller difference is enough. Where every third slice is such a one, the typical step
says nothing, and a large difference is enough."""
_ALONG_THE_BODY, _END_TYPICAL, _AIR_BELOW_HU = 2, 2.5, -500
_TAIL_HU, _TAIL_RATIO = 60.0, 3.0
_MEAN_HU, _MEAN_APART_HU, _MEAN_SHARE = 1.0, 3.0, 2 / 3
"""A slice that was calculated as the mean of its neighbours leaves it by rounding alone, at most half a unit on
average; those of seven real series by 3 HU or more. Where most do, the object itself changes evenly."""
_AROUND, _DOUBT, _REFUSE = 3, 0.5, 0.3
"""In nine real series and eleven variants of each (thinned, halves, sharp, smooth, noisy, cropped, thick and more) a
step is at least .73 times the smallest of the three before and after it; to a copy under 1 HU of noise it is .02 to
.07, under 3 HU .05 to .20 and under 6 HU .10 to .41."""


def thinned(voxels: npt.NDArray[np.int16], slice_axis: int) -> Slices:
    """What slices are compared by: a view (slices, rows, columns), in large ones of every fourth row and column."""
    whole = np.moveaxis(voxels.T, 2 - slice_axis, 0)
    stride = min(4, max(1, min(whole.shape[1:]) // 64))
    return whole[:, ::stride, ::stride]


def refuse_outlier_slices(
    voxels: npt.NDArray[np.int16],
    slice_axis: int,
    *,
    stack: Slices | None = None,
    measured: bool = True,
    compressed: bool = False,
) -> list[str]:
    """Raise where a slice differs from both neighbours far more than they differ from each other; return doubts.

    Across the body this is a doubt only: the plane of a table top differs so.
    voxels: int16 (i, j, k) HU. slice_axis: the axis along which slices were stacked (2: along the body). stack: a copy
    of `thinned(voxels, slice_axis)`, where there is one. measured: whether a scanner reconstructed each slice, so that
    none repeats another. compressed: whether slices come from streams without checksum, whose damage can be slight.
    The measure is the mean absolute difference (HU) of slices, thinned.
    """
    whole = np.moveaxis(voxels.T, 2 - slice_axis, 0)
    if len(whole) < 4:
        return []
    stack = np.ascontiguousarray(thinned(voxels, slice_axis)) if stack is None else stack
    with ThreadPoolExecutor(1) as beside:
        in_parts = beside.submit(doubts_in_parts, stack, slice_axis, whole)
        first = first_of(slice_axis)
        of_rows = beside.submit(doubts_of_lines, whole, "rows", first, measured=measured)
        notes = _doubts_of_slices(whole, stack, slice_axis, measured=measured, compressed=compressed)
        of_columns = doubts_of_lines(whole.transpose(0, 2, 1), "columns", first, measured=measured)
        return notes + of_rows.result() + of_columns + in_parts.result()


def _doubts_of_slices(
    whole: npt.NDArray[np.int16], stack: Slices, slice_axis: int, *, measured: bool, compressed: bool
) -> list[str]:
    """`refuse_outlier_slices` by what slices tell as a whole. stack: samples of `whole` (slices, rows, columns)."""
    step, apart, off = _distances(stack)
    nearer = np.minimum(step[:-1], step[1:])
    typical = float(np.median(step))
    odd = (nearer > _REFUSE_HU) & (nearer > _REFUSE_TYPICAL * typical) & (nearer > _REFUSE_APART * apart)
    strange_hu = min(_REFUSE_HU, max(_STRANGE_HU, _STRANGE_TYPICAL * typical))
    odd |= (nearer > strange_hu) & (nearer > _STRANGE_APART * apart)
    blank = (stack.reshape(len(stack), -1) == stack[:, :1, 0]).all(axis=1)
    first = first_of(slice_axis)
    doubts = _unlike(nearer, odd, first) + jumps(stack, step, typical, blank, first)
    along = slice_axis == _ALONG_THE_BODY
    refuse_two_in_turns(stack, np.where(blank[:-2] | blank[1:-1] | blank[2:], 0.0, nearer), apart)
    if doubts and along:
        raise doubts[0]
    notes = [doubt.found for doubt in doubts]
    _refuse_blank(stack, blank, first)
    _refuse_lost_tails(whole, first)
    _refuse_lost_rows(stack, first)
    notes += doubts_of_filled_blocks(whole, stack, first, measured=measured)
    notes += refuse_wrapped_pictures(whole)
    notes += _repetitions(repeated_slices(whole, stack), blank, measured, first)
    notes += [*_calculated(off, nearer, first), *doubts_of_slabs(stack), *doubts_of_shifts(stack)]
    notes += doubts_of_near_copies(stack, step, first, measured=measured)
    if compressed:
        _refuse_rough_slices(off, first)
    if along:
        refuse_foreign_ends(stack, step, blank)
    notes += [*refuse_disorder(stack, step, apart), *refuse_breaks(stack, step, blank)] if along else []
    return notes + _strange_ends(step, typical)


def _distances(stack: npt.NDArray[np.int16]) -> tuple[Distances, Distances, Distances]:
    """How far (mean absolute HU) each slice lies from the next, the slices around each one from one another, and each
    one from the mean of these two."""
    flat = stack.reshape(len(stack), -1)
    inner = len(flat) - 2
    step, apart, off = np.empty(inner + 1), np.empty(inner), np.empty(inner)
    slices, changes, work = (np.empty((_TOGETHER + more, flat.shape[1]), np.float32) for more in (2, 1, 0))
    for start in range(0, inner, _TOGETHER):
        count = min(_TOGETHER, inner - start)
        these, change, both = slices[: count + 2], changes[: count + 1], work[:count]
        these[:] = flat[start : start + count + 2]
        np.subtract(these[1:], these[:-1], out=change)
        np.add(change[1:], change[:-1], out=both)
        apart[start : start + count] = _sums(np.abs(both, out=both))
        np.subtract(change[1:], change[:-1], out=both)
        off[start : start + count] = _sums(np.abs(both, out=both))
        step[start : start + count + 1] = _sums(np.abs(change, out=change))
    pixels = flat.shape[1]
    return step / pixels, apart / pixels, off / (2 * pixels)


def _sums(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The sum of each row, in half the time that `sum` takes."""
    return np.asarray(np.einsum("ij->i", values))


def _unlike(nearer: Distances, odd: npt.NDArray[np.bool_], first: str) -> list[UserFacingError]:
    """The fault of inner slices that differ so much from the nearer neighbour; none where there are none."""
    if not odd.any():
        return []
    return [
        UserFacingError(
            f"Unlike both neighbours by {nearer[odd].min():.0f} HU on average or more: "
            f"{slices_named((np.flatnonzero(odd) + 1).tolist(), first)}.",
            "slices that continue each other",
            "Export the series again; the data of these slices or their rescale are probably damaged.",
        )
    ]


def _repetitions(repeated: Sequence[int], blank: npt.NDArray[np.bool_], measured: bool, first: str) -> list[str]:
    """Doubts for blank and for repeated slices; raises for the latter where each was measured, as none is twice."""
    notes = [f"Blank, without any contents: {count_of(int(blank.sum()), 'slice')}."] if blank.any() else []
    if not repeated:
        return notes
    found = f"Identical to another one although not empty: {slices_named(repeated, first)}."
    if measured:
        raise UserFacingError(
            found,
            "slices that were each measured",
            "Export the series again; a slice was probably written in place of another.",
        )
    return [*notes, found]


def _calculated(off: Distances, nearer: Distances, first: str) -> list[str]:
    """A doubt for slices that are the mean of those beside them. off: how far each inner slice leaves it. nearer: how
    far it lies from the nearer neighbour."""
    found = (off < _MEAN_HU) & (nearer > _MEAN_APART_HU)
    if not 0 < found.sum() <= _MEAN_SHARE * len(found):
        return []
    slices = slices_named((np.flatnonzero(found) + 1).tolist(), first)
    return [f"The mean of those beside it, and so calculated and not measured: {slices}."]


def _strange_ends(step: Distances, typical: float) -> list[str]:
    """A doubt for a first or last slice that differs from the next one far more than that one from its own.

    With one neighbour only, damage cannot be told from an end of anatomy.
    """
    ends = {"first": step[:2], "last": step[:-3:-1]}
    return [
        f"The {name} slice differs from the next one by {end:.0f} HU on average, {end / max(inner, typical):.1f} times "
        "as much as slices do here; it may be damaged or blank."
        for name, (end, inner) in ends.items()
        if end > _STRANGE_HU and end > _END_TYPICAL * max(inner, typical)
    ]


def _refuse_blank(stack: npt.NDArray[np.int16], blank: npt.NDArray[np.bool_], first: str) -> None:
    """Raise where slices are blank at a value that is not air, or blank between slices that show the body."""
    shown = np.flatnonzero(~blank)
    gaps = [(one, other) for one, other in pairwise(shown.tolist()) if other > one + 1]
    within = [pair for pair in gaps if shows_body(stack[pair[0]]) and shows_body(stack[pair[1]])]
    if lost := [k for one, other in within for k in range(one + 1, other)]:
        raise UserFacingError(
            f"Blank between slices that show the body: {slices_named(lost, first)}.",
            "contents in every slice",
            "Copy or export the series again; a part of it was probably lost.",
        )
    filled = [int(k) for k in np.flatnonzero(blank) if stack[k].flat[0] > _AIR_BELOW_HU]
    if filled and stack.min() < _AIR_BELOW_HU:
        raise UserFacingError(
            f"Blank at a value that is not air: {slices_named(filled, first)}.",
            "contents or air in every slice",
            "Copy or export the series again; a part of it was probably lost.",
        )


def _refuse_lost_tails(whole: npt.NDArray[np.int16], first: str) -> None:
    """Raise where a slice (slices, rows, columns) is one value from some row to its edge and its neighbour is not."""
    sides = (whole, whole[:, ::-1], whole.transpose(0, 2, 1), whole.transpose(0, 2, 1)[:, ::-1])
    lost = {k for side in sides for k in _with_lost_tail(side)}
    if lost:
        raise UserFacingError(
            f"Filled with one value where the next slice shows the body: {slices_named(lost, first)}.",
            "complete slices",
            "Copy or export the series again; a part of it was probably lost.",
        )


def _refuse_lost_rows(stack: Slices, first: str) -> None:
    """Raise where rows of a slice are one value from edge to edge, unlike the rows around and those beside."""
    ends = stack[:, :, 0]
    filled = (ends == stack[:, :, -1]) & (ends == stack[:, :, stack.shape[2] // 2])
    filled[filled] = (stack[filled] == ends[filled][:, None]).all(axis=1)
    lost = [int(k) for k in np.flatnonzero(filled.any(axis=1)) if _has_lost_row(stack, filled, int(k))]
    if lost:
        raise UserFacingError(
            f"Filled with one value between rows that show the body: {slices_named(lost, first)}.",
            "contents in every row",
            "Copy or export the series again; a part of it was probably lost.",
        )


def _has_lost_row(stack: Slices, filled: npt.NDArray[np.bool_], k: int) -> bool:
    """Whether a filled row of slice k lies far from the next rows that are not, and from the same row of a neighbour.

    filled: (slices, rows). Air between a phantom and its table is filled in the neighbours too.
    """
    plane, shown = stack[k], np.flatnonzero(~filled[k])
    gaps = [(above, above + 1, below) for above, below in pairwise(shown.tolist()) if below > above + 1]
    return any(
        min(_distance(plane[row], plane[end]) for end in (above, below)) > _TAIL_HU
        and any(not filled[n, row] and _distance(plane[row], stack[n, row]) > _TAIL_HU for n in _beside(k, len(stack)))
        for above, row, below in gaps
    )


def _beside(k: int, count: int) -> list[int]:
    return [n for n in (k - 1, k + 1) if 0 <= n < count]


def _with_lost_tail(slices: npt.NDArray[np.int16]) -> list[int]:
    """Slices whose first rows are one value, unlike the same rows of a neighbour that continues the others."""
    line = slices[:, max(2, slices.shape[1] // 32)] if slices.shape[1] > 8 else slices[:, 0]
    even = (line[:, 0] == line[:, -1]) & (line[:, 0] == line[:, line.shape[1] // 2])
    even[even] = np.ptp(line[even], axis=1) == 0
    found = []
    for k in np.flatnonzero(even):
        beside = [n for n in _beside(int(k), len(slices)) if not even[n]]
        filled = (slices[k] == line[k, 0]).all(axis=1)
        rows = int(np.argmin(filled)) if not filled.all() else 0
        if rows < 2 or not beside:
            continue
        there = _distance(slices[k, :rows], slices[beside[0], :rows])
        elsewhere = _distance(slices[k, rows + 1 :], slices[beside[0], rows + 1 :]) if rows + 1 < len(filled) else 0.0
        if there > max(_TAIL_HU, _TAIL_RATIO * elsewhere):
            found.append(int(k))
    return found


def _refuse_rough_slices(off: Distances, first: str) -> None:
    """Raise where one slice leaves the mean of its neighbours far more than four in five of the others leave theirs.

    off: these distances (HU), for all slices but the first and last.
    This finds a damaged stream whose error is below 60 HU. An abrupt end of anatomy leaves its mark on two slices; a
    damaged one marks its neighbours half as much as itself. Real series reach 1.5 times what surrounds them.
    """
    if len(off) < 5:
        return
    around = np.pad(off, 2, mode="reflect")
    far, near = np.maximum(around[:-4], around[4:]), np.maximum(around[1:-3], around[3:-1])
    doubtful = np.flatnonzero((off > _ROUGH_HU) & (off > _ROUGH_FAR * far) & (off > _ROUGH_NEAR * near))
    others = [np.delete(off, slice(max(0, int(k) - 1), int(k) + 2)) for k in doubtful]
    odd = [int(k) + 1 for k, rest in zip(doubtful, others) if off[k] > _ROUGH_FAR * np.percentile(rest, 80)]
    if odd:
        raise UserFacingError(
            f"Damaged in comparison with the slices around: {slices_named(odd, first)}.",
            "slices that continue each other",
            "Export the series again; the data of these slices are probably damaged.",
        )


def refuse_wrong_width(plane: npt.NDArray[np.generic], slices: int) -> None:
    """Raise where the pixels of a plane (rows, columns) continue far better at another row length than the declared.

    slices: length of the third axis, another row length worth trying. Read at a wrong row length, a pixel's lower
    neighbour is a stranger. The other length must do better where it stays within a declared row and where it crosses
    a row's end; while the declared length is right, one of the two is far away.
    """
    rows, columns = plane.shape
    plane = np.nan_to_num(plane, posinf=0, neginf=0)  # one infinite pixel would make every mean and median of it NaN
    _refuse_side_by_side(plane)
    flat = plane.reshape(-1)
    lengths = {d for d in range(max(8, columns // 4), min(flat.size // 2, 4 * columns) + 1) if flat.size % d == 0}
    others = [d for d in lengths | {rows, slices} if 8 <= d <= flat.size // 2 and d % columns]
    if not others or columns > flat.size // 2:
        return
    start = np.arange(0, flat.size - max(*others, columns), max(1, flat.size // _PROBES))
    values = flat[start].astype(np.float64)
    limit = _WIDTH_RATIO * float(np.median(np.abs(flat[start + columns] - values)))
    for length in others:
        apart = np.abs(flat[start + length] - values)
        crossing = start % columns + length % columns >= columns
        if not 0 < crossing.sum() < len(start):
            continue
        if max(np.median(apart[crossing]), np.median(apart[~crossing])) < limit * min(1.0, length / columns):
            raise _wrong_width()


def _refuse_side_by_side(plane: npt.NDArray[np.generic]) -> None:
    """Raise where a plane (rows, columns) shows one picture twice, side by side: two true rows lie in a declared one.

    The halves are then neighbours in the true picture, and so are the right one and the left one of the next row, each
    half as far apart as the declared rows. In a pattern that only repeats along the rows, the latter are not.
    """
    rows, columns = plane.shape
    if rows < 4 or columns < 16 or columns % 2:
        return
    values, half = plane.astype(np.float32), columns // 2
    below, beside = (float(np.abs(np.diff(values, axis=axis)).mean()) for axis in (0, 1))
    left, right = values[:, :half], values[:, half:]
    apart = max(float(np.abs(left - right).mean()), float(np.abs(left[1:] - right[:-1]).mean()))
    if beside > 0.1 * below and apart < _HALVES_RATIO * below:
        raise _wrong_width()


def _wrong_width() -> UserFacingError:
    return UserFacingError(
        "The rows of the images are not as long as the header declares.",
        "a header that describes its pixels",
        "Export or convert the original CT again.",
    )


def _distance(one: npt.NDArray[np.int16], other: npt.NDArray[np.int16]) -> float:
    return float(np.abs(np.subtract(one, other, dtype=np.int32)).mean())


def doubts_of_near_copies(stack: Slices, step: Distances, first: str, *, measured: bool) -> list[str]:
    """A doubt for slices that differ from the next one far less than those around do; raises where that is clear.

    stack: samples of the slices (slices, rows, columns), HU. step: from each slice to the next. measured: whether a
    scanner reconstructed each slice. A step of 0 HU is told elsewhere, and what shows no body has little to differ by.
    """
    beside = np.lib.stride_tricks.sliding_window_view(np.pad(step, _AROUND, constant_values=np.inf), 2 * _AROUND + 1)
    floor = np.minimum(beside[:, :_AROUND].min(axis=1), beside[:, _AROUND + 1 :].min(axis=1))
    smaller = np.flatnonzero((step > 0) & (step < _DOUBT * floor)).tolist()
    near = [k for k in smaller if shows_body(stack[k]) and shows_body(stack[k + 1])]
    if not near:
        return []
    least = float((step[near] / floor[near]).min())
    found = (
        f"Nearly identical to the next one, from which it differs by {100 * least:.0f}% of what slices around do: "
        f"{slices_named(near, first)}."
    )
    if measured and least < _REFUSE:
        raise UserFacingError(
            found,
            "slices that were each measured, with noise of their own",
            "Export the series again; a slice was probably written in place of another.",
        )
    return [found]
