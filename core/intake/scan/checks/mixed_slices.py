"""Slices of another scan among those of a volume, told by their values: in turns, in blocks, or one slice twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.wording import count_of

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
_ORDER_HU, _ORDER_APART = 2.0, 1.1
"""Along the body the next slice of a real series is at most .98 times as far as the next but one, thin and noisy series
included; where two are exchanged or one is moved, it is 1.12 to 1.6 times as far, up to 20 HU of noise."""
_SEAM, _JOINED, _MOST_SEAMS = 1.4, 1.2, 8
"""A step between slices over the larger one beside it: at most 1.34 in six real series, 1.3 to 5.2 where 10 to 30 mm
are cut out; where six slices or more are written in reverse 1.6 and more. Slices that are neighbours in truth lie .8 to
1.1 times as far apart as those beside the seams."""
_FURTHER, _FURTHER_APART = 3, 1.15
"""What lies three slices further into a part with anatomy differs more; into one that is the same throughout, not."""
_COMPARED, _NEAR = 8, 8
"""Of two phases each slice resembles one within an eighth of the part most that lies at its own place in the other."""
_SLAB_ROWS_APART = 4
_DENSE_HU, _FEWEST = -500, 200
"""Air is cut off at one value in many scans, and lung is darker; a share of fewer voxels says little."""
_SAME, _OF_SEVERAL, _TIMES, _LEAST_IN_PLANE = 0.2, 0.25, 5.0, 0.01
"""In seven real scans 1 to 3 % of dense voxels have the value of the next slice, and as many that of a pixel nearby. A
maximum over 3, 5 or 11 slices in steps of one makes the first 33, 48 and 67 % at least, and leaves the second alone."""


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


def jumps(
    stack: Slices, step: Distances, typical: float, blank: npt.NDArray[np.bool_], first: str
) -> list[UserFacingError]:
    """The fault of values that all jump together between two slices; none where they do not.

    An end of anatomy changes some voxels much and others not at all; another offset changes all of them alike.
    step: from each slice to the next. typical: their median. blank: which slices hold one value only. first: from
    which slices are counted ("lowest").
    """
    large = np.flatnonzero((step > _JUMP_HU) & (step > _JUMP_TYPICAL * typical) & ~blank[:-1] & ~blank[1:])
    changes = [np.subtract(stack[k + 1], stack[k], dtype=np.int32) for k in large]
    flat = [np.abs(change - np.median(change)).mean() < _JUMP_SPREAD * np.abs(change).mean() for change in changes]
    if any(flat):
        below = int(large[flat.index(True)]) + 1
        return [
            UserFacingError(
                f"Between two slices all values jump together by {step[large].max():.0f} HU: between {below} and "
                f"{below + 1}, counted from the {first}.",
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


def repeated_slices(whole: Slices, stack: Slices) -> list[int]:
    """Slices with contents that equal one before, be it far away. stack: a sample of each slice of `whole`."""
    alike: dict[bytes, list[int]] = defaultdict(list)
    for k, plane in enumerate(stack[:, ::_ROWS_APART]):
        alike[plane.tobytes()].append(k)
    several = (places for places in alike.values() if len(places) > 1)
    again = []
    for places in several:
        met: set[int] = set()
        for k in places:
            digest = hash(whole[k].tobytes()) if np.ptp(whole[k]) > 0 else None
            again += [k] if digest in met else []
            met |= set() if digest is None else {digest}
    return again


def refuse_disorder(stack: Slices, step: Distances, apart: Distances) -> list[str]:
    """Raise where slices would follow each other better in another order; return a doubt where two strange ones meet.

    Strange is a step to a slice that the next but one resembles more; one slice that shows motion does that, as do both
    sides of the middle of a ball. For slices along the body. step: from each slice to the next. apart: from one slice
    around each inner one to the other.
    """
    _refuse_moved_parts(_Seams.of(stack, step))
    least = np.minimum(np.append(np.inf, apart), np.append(apart, np.inf))
    strange = np.flatnonzero((step > _ORDER_HU) & (step > _ORDER_APART * least)).tolist()
    if not strange:
        return []
    turned = [(first, last) for first, last in pairwise(strange) if _better_turned(stack, step, first, last)]
    moved = [last for first, last in pairwise(strange) if last == first + 1 and _better_elsewhere(stack, step, last)]
    if turned or moved:
        first, last = min([first for first, _ in turned] + moved), max([last for _, last in turned] + moved)
        raise _out_of_order(first, last)
    worst = max(strange, key=lambda k: step[k] / max(least[k], 1.0))
    return [
        f"Slices {worst + 1} and {worst + 2}, counted from the lowest, differ more than those around them do; one may "
        "be damaged, lie in a wrong place or show motion."
    ]


@dataclass(frozen=True, eq=False)
class _Seams:
    """Steps larger than those beside them, between slices of `stack`.

    places: of the slices below them, in order. usual: how far slices lie from one another beside each of them, HU.
    """

    stack: Slices
    places: tuple[int, ...]
    usual: dict[int, float]

    @classmethod
    def of(cls, stack: Slices, step: Distances) -> _Seams:
        """The seams of a stack, the largest of them if there are many. step: from each slice to the next."""
        beside = np.maximum(np.append(0.0, step[:-1]), np.append(step[1:], 0.0))
        times = np.where(step > _ORDER_HU, step / np.maximum(beside, _ORDER_HU / _SEAM), 0.0)
        found = np.flatnonzero(times > _SEAM)
        places = sorted(found[np.argsort(times[found])[-_MOST_SEAMS:]].tolist())
        return cls(stack, tuple(places), {place: float(beside[place]) for place in places})

    def joined(self, seam: int, one: int, other: int, end: int) -> bool:
        """Whether two slices lie as near each other as those beside a seam do, and nearer than what lies further in.

        other: a slice at one end of a part that may be moved there. end: the slice at its other end; the next seam may
        be nearer.
        """
        apart = _distance(self.stack, one, other)
        if end > other:
            further = min(other + _FURTHER, end, *(place for place in self.places if place >= other))
        else:
            further = max(other - _FURTHER, end, *(place + 1 for place in self.places if place < other))
        return apart <= _JOINED * self.usual[seam] and _distance(self.stack, one, further) > _FURTHER_APART * apart


def _refuse_moved_parts(seams: _Seams) -> None:
    """Raise where slices continue each other once the parts between seams are turned round or exchanged, or where
    each part shows the same places."""
    if count := _times_shown(seams):
        raise UserFacingError(
            f"The slices show the same part of the body {count} times, one time after the other.",
            "one scan, its slices in the order of their positions",
            "Export each phase or scan as a series of its own, or the slices in their order.",
        )
    if found := next(_moved_parts(seams), None):
        raise _out_of_order(*found)


def _moved_parts(seams: _Seams) -> Iterator[tuple[int, int]]:
    """The seams (slices below them) around each part that would be joined to the others when turned or exchanged."""
    last = len(seams.stack) - 1
    for seam in seams.places:
        if seam < last - 1 and seams.joined(seam, seam, last, seam + 1):
            yield seam, last - 1
        if seam > 0 and seams.joined(seam, seam + 1, 0, seam):
            yield 0, seam
        if seams.joined(seam, 0, last, seam + 1):
            yield 0, last - 1
    for one, two in combinations(seams.places, 2):
        if seams.joined(one, one, two, one + 1) and seams.joined(two, two + 1, one + 1, two):
            yield one, two
    for one, two, three in combinations(seams.places, 3):
        if (
            seams.joined(one, one, two + 1, three)
            and seams.joined(three, three + 1, two, one + 1)
            and seams.joined(two, three, one + 1, two)
        ):
            yield one, three


def _times_shown(seams: _Seams) -> int:
    """How often the stack shows the same places, if its seams divide it evenly; else 0."""
    count, parts = len(seams.stack), len(seams.places) + 1
    length = count // parts
    if parts < 2 or length < 2 or any(abs(place + 1 - (k + 1) * length) > 1 for k, place in enumerate(seams.places)):
        return 0
    first = seams.places[0] + 1
    some = np.unique(np.linspace(0, first - 1, _COMPARED).astype(int)).tolist()
    others = range(first, min(2 * first, count))
    most_alike = [int(np.argmin([_distance(seams.stack, k, other) for other in others])) for k in some]
    return parts if all(abs(other - k) <= max(1, length // _NEAR) for k, other in zip(some, most_alike)) else 0


def _out_of_order(first: int, last: int) -> UserFacingError:
    return UserFacingError(
        f"The contents of slices seem to be out of order, counted from the lowest between {first + 1} and "
        f"{last + 2}: in another order they would follow each other better.",
        "pixels that belong to their positions",
        "Export the series again; the pixels or the positions of some slices were probably exchanged.",
    )


def _better_turned(stack: Slices, step: Distances, first: int, last: int) -> bool:
    """Whether the slices between two steps fit clearly better when they are turned round, as two exchanged ones do."""
    left, right = _distance(stack, first, last), _distance(stack, first + 1, last + 1)
    return last > first + 1 and max(left / step[first], right / step[last]) < 1 / _ORDER_APART


def _better_elsewhere(stack: Slices, step: Distances, place: int) -> bool:
    """Whether a slice lies clearly between two others that follow each other."""
    far = np.array([_distance(stack, place, k) for k in range(len(stack))])
    between = np.maximum(far[:-1], far[1:]) < step / _ORDER_APART
    between[max(0, place - 1) : place + 1] = False
    return bool(between.any())


def _distance(stack: Slices, one: int, other: int) -> float:
    return float(np.abs(np.subtract(stack[one], stack[other], dtype=np.int32)).mean())


def doubts_of_slabs(stack: Slices) -> list[str]:
    """A doubt where most slices repeat the values of the next one, as do overlapping maxima or minima (MIP, MinIP).

    stack: samples of the slices (slices, rows, columns), HU.
    """
    some = stack[:, ::_SLAB_ROWS_APART]
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
