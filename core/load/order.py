"""Slices in the order of the places they show: told by which of them would follow each other better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from core.errors import UserFacingError
from core.load.foreign_slices import Distances, Slices

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
