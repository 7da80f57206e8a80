"""Slices of another scan among those of a volume, told by their values: in turns, in blocks, or one slice twice."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.words import count_of

Distances = npt.NDArray[np.float64]
"""How far slices lie from one another: mean absolute difference in HU."""
Slices = npt.NDArray[np.int16]

_SWING_AGREE, _SWING_HU, _SWING_APART, _SWING_SLICES = 0.95, 2.0, 0.85, 20
"""In real series slices are brighter and darker than the mean of their neighbours in no order (.50 to .59 agree with
taking turns), and neighbours are .53 to .75 times as far apart as the slices around them."""
_TURNS_APART, _TURNS_SLICES, _TURNS_FEWEST = 1.1, 8, 6
"""Nothing but another scan between them makes neighbours further apart than the slices around: noise alone reaches 1.0,
single slices of real series .91, two scans 3 mm apart in turns 1.4."""
_JUMP_HU, _JUMP_TYPICAL, _JUMP_SPREAD = 60.0, 4.0, 0.25
_BREAK_HU, _BREAK_BESIDE, _BREAK_EACH_WAY = 150.0, 6.0, 0.1
_DOUBT_HU, _DOUBT_BESIDE = 20.0, 2.0
"""In real series a step is at most 1.4 times as large as the larger one beside it, and 1.3 to 5.2 times (175 HU) where
10 to 30 mm are cut out, as after another breath. A flat end of a body changes values one way only."""
_MIRRORED = 0.5
"""What is left of a break once the slices above it are mirrored, where it came of that alone: at most a third."""
_END_HU, _END_BESIDE, _END_EACH_WAY = 300.0, 10.0, 0.05
"""In real series the first and last step are at most 1.2 times the one beside them, and below 90 HU. A body that ends
within the last step changes values one way only; two scans or a page of text do not."""
_BODY_ABOVE_HU, _BODY_SHARE = -500, 0.02
_ROWS_APART = 8


def refuse_two_in_turns(stack: Slices, nearer: Distances, apart: Distances) -> None:
    """Raise where every second slice is of another scan, in the whole stack or in a part of it.

    nearer: from each inner slice to the nearer neighbour. apart: from one of its neighbours to the other.
    Either slices around resemble each other more than they do the one between, or brighter and darker slices take
    turns from end to end.
    """
    ratio = np.where(nearer > _SWING_HU, nearer / np.maximum(apart, 1e-6), 0.0)
    if _apart_in_turns(ratio) or _bright_in_turns(stack, float(np.median(nearer / np.maximum(apart, 1e-6)))):
        raise UserFacingError(
            "Every second slice differs from those beside it: two scans of one place seem to take turns.",
            "slices of one scan",
            "Export one of the two as a series of its own.",
        )


def _apart_in_turns(ratio: Distances) -> bool:
    """Whether a run of slices lies further from their neighbours than these from each other."""
    if len(ratio) < _TURNS_FEWEST:
        return False
    runs = np.lib.stride_tricks.sliding_window_view(ratio, min(_TURNS_SLICES, len(ratio)))
    return bool((np.median(runs, axis=1) > _TURNS_APART).any())


def _bright_in_turns(stack: Slices, apart: float) -> bool:
    """Whether brighter and darker slices take turns. apart: distance of neighbours over that of the slices around."""
    if len(stack) < 8:
        return False
    mean = stack[:, ::2, ::2].mean(axis=(1, 2))
    swing = mean[1:-1] - (mean[:-2] + mean[2:]) / 2
    swing[::2] *= -1
    agree = max(float((swing > 0).mean()), float((swing < 0).mean()))
    sure = apart > _SWING_APART or len(swing) >= _SWING_SLICES
    return agree >= _SWING_AGREE and bool(np.median(np.abs(swing)) > _SWING_HU) and sure


def jumps(stack: Slices, step: Distances, typical: float, blank: npt.NDArray[np.bool_]) -> list[UserFacingError]:
    """The fault of values that all jump together between two slices; none where they do not.

    An end of anatomy changes some voxels much and others not at all; another offset changes all of them alike.
    step: from each slice to the next. typical: their median. blank: which slices hold one value only.
    """
    large = np.flatnonzero((step > _JUMP_HU) & (step > _JUMP_TYPICAL * typical) & ~blank[:-1] & ~blank[1:])
    changes = [np.subtract(stack[k + 1], stack[k], dtype=np.int32) for k in large]
    if any(np.abs(change - np.median(change)).mean() < _JUMP_SPREAD * np.abs(change).mean() for change in changes):
        return [
            UserFacingError(
                f"Between two slices all values jump together by {step[large].max():.0f} HU.",
                "slices that continue each other",
                "Export the series again; a part of it probably has another rescale or belongs to another scan.",
            )
        ]
    return []


def refuse_breaks(stack: Slices, step: Distances, blank: npt.NDArray[np.bool_]) -> list[str]:
    """Raise where the body breaks off between two slices and another one, or its mirror image, goes on; return a doubt
    for lesser breaks.

    For slices along the body: across it the plane of a table top is a break. The arguments are those of `jumps`.
    """
    beside = np.maximum(step[:-2], step[2:])
    inner, shown = step[1:-1], ~blank[1:-2] & ~blank[2:-1]
    doubtful = 1 + np.flatnonzero(shown & (inner > _DOUBT_HU) & (inner > _DOUBT_BESIDE * beside))
    if not len(doubtful):
        return []
    _refuse_mirrored(stack, step, doubtful)
    times = {int(k): float(step[k] / max(beside[k - 1], 1.0)) for k in doubtful}
    broken = [k for k in times if step[k] > _BREAK_HU and times[k] > _BREAK_BESIDE and _another_body(*stack[k : k + 2])]
    if broken:
        raise UserFacingError(
            f"{_where(broken, step, times)}: two scans seem to be joined there.",
            "slices of one scan that continue each other",
            "Export the series again, each scan as a series of its own.",
        )
    return [f"{_where([*times], step, times)}; the patient may have moved, or a part may belong to another scan."]


def refuse_foreign_ends(stack: Slices, step: Distances, blank: npt.NDArray[np.bool_]) -> None:
    """Raise where the first or last slice shows something else than the slices beside it, as a page of text does.

    For slices along the body. The arguments are those of `jumps`.
    """
    typical = float(np.median(step))
    ends = {0: (step[0], step[1]), len(stack) - 2: (step[-1], step[-2])}
    for place, (end, inner) in ends.items():
        if end < _END_HU or end < _END_BESIDE * max(inner, typical, 1.0) or blank[place] or blank[place + 1]:
            continue
        if _another_body(stack[place], stack[place + 1], _END_EACH_WAY):
            raise UserFacingError(
                f"The {'last' if place else 'first'} slice, counted from the lowest, differs from the one beside it by "
                f"{end:.0f} HU on average: it shows something else.",
                "slices of one scan that continue each other",
                "Export the series again without that slice; it is probably a picture or belongs to another scan.",
            )


def _refuse_mirrored(stack: Slices, step: Distances, places: npt.NDArray[np.intp]) -> None:
    """Raise where the slice above one of the breaks continues the one below far better once it is mirrored."""
    for place in places.tolist():
        above = stack[place + 1]
        turned = (above[:, ::-1], above[::-1], above[::-1, ::-1])
        apart = min(float(np.abs(np.subtract(stack[place], other, dtype=np.int32)).mean()) for other in turned)
        if apart < _MIRRORED * step[place]:
            raise UserFacingError(
                f"From slice {place + 2} on, counted from the lowest, the pictures seem to be mirrored against those "
                "below.",
                "slices of one scan, all written in the same way",
                "Export the series again; rows or columns of a part of it were probably written in reverse.",
            )


def _another_body(below: Slices, above: Slices, each_way: float = _BREAK_EACH_WAY) -> bool:
    """Whether both slices show the body and values change both ways between them."""
    change = np.subtract(above, below, dtype=np.int32)
    rise, fall = int(change[change > 0].sum()), -int(change[change < 0].sum())
    return shows_body(below) and shows_body(above) and min(rise, fall) > each_way * (rise + fall)


def shows_body(plane: Slices) -> bool:
    """Whether more than a little of the plane is denser than air and lung."""
    return bool((plane > _BODY_ABOVE_HU).mean() > _BODY_SHARE)


def _where(places: list[int], step: Distances, times: dict[int, float]) -> str:
    """The largest of the breaks in words, and how many more there are."""
    worst = max(places, key=lambda k: times[k])
    more = f" (and so at {count_of(len(places) - 1, 'other place')})" if len(places) > 1 else ""
    return (
        f"Slice {worst + 2}, counted from the lowest, differs from the one below by {step[worst]:.0f} HU on average, "
        f"{times[worst]:.1f} times as much as the slices beside them do{more}"
    )


def repeated_slices(whole: Slices, stack: Slices) -> int:
    """How many slices with contents equal another one, be it far away. stack: a sample of each slice of `whole`."""
    alike: dict[bytes, list[int]] = defaultdict(list)
    for k, plane in enumerate(stack[:, ::_ROWS_APART]):
        alike[plane.tobytes()].append(k)
    several = (places for places in alike.values() if len(places) > 1)
    digests = ([hash(whole[k].tobytes()) for k in places if np.ptp(whole[k]) > 0] for places in several)
    return sum(len(found) - len(set(found)) for found in digests)
