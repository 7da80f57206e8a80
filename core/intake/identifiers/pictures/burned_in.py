"""Text burned into the pixels: found by reading projections and suspicious slices, blanked as air.

Reading every slice of a series would take minutes. Text stands at one place on many slices, or on a few slices only:
the first survives in the mean over a stack, the second stands out from the mean of a short stack, or shows as straight
runs of one value beside a sharp edge, which measured tissue hardly has. One that moves from slice to slice shows on the
middle slice of a stack, which is read by itself. Small and faint lines are looked for where
strokes are packed as text packs them and neighbouring slices have none
(`core.intake.identifiers.pictures.line_detection`); only those places
are enlarged and read. No detector is proof: what this one misses stands in docs/results/burned_in_text.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from core.intake.identifiers.pictures.line_detection import SHEET, Plane, flattened_picture, likely_places, read_places
from core.intake.identifiers.pictures.line_extent import SURE, PlaneBox, Planes, lengthened, locate
from core.intake.identifiers.pictures.ocr import Picture, Reading, read_text
from core.intake.scan.hounsfield import AIR_HU
from core.records import CtStudy
from core.wording import count_of, true_minus

BLOCK = 8
"""Slices that are compared with their mean in one picture."""
CHUNK = 48
"""Slices of one mean projection."""
EACH_BELOW = 4
"""Series of at most this many slices are read slice by slice."""
SUSPECTS = 8
"""Slices per 100 that are read one by one because they hold flat strokes."""
NEIGHBOURHOOD = 25
"""Slices around one that its flat strokes and its likely places are compared with."""
PLACES, LEAST_PLACES = 40, 10
"""Likely places per 100 slices that are enlarged and read, and at least, whatever the number of slices."""
ROUNDS = 3
LEAST_SIDE = 32
"""Pixels along the shorter side; smaller pictures cannot hold three legible letters."""
LEAST_CHARACTERS = 3
LEAST_CONFIDENCE = 0.6
_ALIKE = 1.5
"""Ratio of voxel sizes up to which slices may lie along any axis."""


@dataclass(frozen=True)
class TextBox:
    """Text in a volume: half-open voxel box, confidence of the reading in [0, 1], and its length only.

    start, stop: voxel indices (i, j, k). masked: dots and a number of characters, never the text. axis: across the
    planes in which the text stands.
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]
    confidence: float
    masked: str
    axis: int = 2


@dataclass(frozen=True, eq=False)
class _View:
    """One picture to be read: what it was made from, and the planes that it covers."""

    picture: Picture
    source: Plane
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class _Line:
    """A line that was read: in a whole picture, or (`doubtful`) at a place that was only likely to hold text."""

    reading: Reading
    source: Plane
    first: int
    last: int
    doubtful: bool


def find_burned_in_text(
    study: CtStudy | npt.NDArray[np.int16], *, axes: Sequence[int] = (2,), step: Callable[[], None] | None = None
) -> tuple[TextBox, ...]:
    """Text burned into a CT volume.

    study: CtStudy, or int16 (i, j, k) HU on closest-canonical RAS+ axes, read along `axes` as `reading_axes` gives them
    for a study. Planes are read in display order (patient's right on the left). Text of one or two characters (side
    markers) is not reported.
    step: called before each picture is read; may raise, to stop. Raises NoTextReader
    (`core.intake.identifiers.pictures.ocr`)."""
    voxels = study.voxels_hu if isinstance(study, CtStudy) else np.asarray(study, np.int16)
    if isinstance(study, CtStudy):
        axes = _axes_of(study)
    return tuple(
        _to_voxels(box, axis, voxels.shape)
        for axis in axes
        for box in find_all_text(displayed(voxels, axis), step, briefly=axis != axes[0])
    )


def expected_steps(study: CtStudy) -> int:
    """About how often `find_burned_in_text` calls its `step` where there is no text, and more often where there is.

    Measured on series of 30 to 102 slices: each plane is looked at twice, and a quarter of them or fewer are read.
    """
    first, *others = (study.shape[axis] for axis in _axes_of(study))
    return max(1, round(2.45 * first + 0.25 * sum(others)))


def _axes_of(study: CtStudy) -> tuple[int, ...]:
    return reading_axes(study.spacing_mm, study.facts.slice_axis, stored_anew=study.facts.thickness_mm is None)


def blank_text(study: CtStudy, boxes: Sequence[TextBox]) -> CtStudy:
    """A new study with the boxes set to air (-1024 HU) and a note that says so; all other voxels are unchanged."""
    if not boxes:
        return study
    voxels = study.voxels_hu.copy(order="F")
    for box in boxes:
        voxels[tuple(slice(a, b) for a, b in zip(box.start, box.stop))] = AIR_HU
    note = (
        f"Text burned into the image was blanked: {count_of(len(boxes), 'place')} set to {true_minus(str(AIR_HU))} HU."
    )
    return replace(study, voxels_hu=voxels, notes=(*study.notes, note))


def on_every_slice(study: CtStudy, boxes: Sequence[TextBox]) -> tuple[TextBox, ...]:
    """Each box through all slices and longer at both ends by its height.

    A name is written into every slice; where the reader fails it is often legible still, as are its first letters.
    """
    found = []
    for box in boxes:
        along = box.axis
        one, other = (axis for axis in range(3) if axis != along)
        size = study.shape[one], study.shape[other]
        start, stop = list(box.start), list(box.stop)
        place = start[one], start[other], stop[one], stop[other]
        start[one], start[other], stop[one], stop[other] = lengthened(place, 1, size)
        start[along], stop[along] = 0, study.shape[along]
        found.append(replace(box, start=(start[0], start[1], start[2]), stop=(stop[0], stop[1], stop[2])))
    return tuple(found)


def find_all_text(planes: Planes, step: Callable[[], None] | None = None, *, briefly: bool = False) -> list[PlaneBox]:
    """Text as `find_text` reports it, what becomes legible once that is taken away (at most three rounds), and then as
    `find_moving_text` does.

    Raises NoTextReader.
    """
    found: list[PlaneBox] = []
    for _ in range(ROUNDS):
        boxes = find_text(planes, step, briefly=briefly)
        if not boxes:
            break
        found += boxes
        planes = planes.copy()
        for box in boxes:
            planes[box.first : box.last + 1, box.top : box.bottom, box.left : box.right] = planes.min()
    return found + ([] if briefly else find_moving_text(planes, step))


def find_text(planes: Planes, step: Callable[[], None] | None = None, *, briefly: bool = False) -> list[PlaneBox]:
    """Text in a stack of planes (n, rows, columns) of any grey values, each plane as it is displayed.

    Neighbouring boxes of one run of planes stay apart; the same place is reported once per run of planes. briefly: read
    the means of stacks and the planes with flat strokes only, not small and faint lines. Raises NoTextReader.
    """
    if min(planes.shape[1:]) < LEAST_SIDE:
        return []
    found: list[PlaneBox] = []
    places = () if briefly else _read_places(planes, step)
    for line in itertools.chain(_read_views(planes, step, blocks=not briefly), places):
        if sum(letter.isalnum() for letter in line.reading.text) >= LEAST_CHARACTERS:
            found += locate(planes, line.source, (line.first, line.last), line.reading, doubtful=line.doubtful)
    return merged(found)


def find_moving_text(planes: Planes, step: Callable[[], None] | None = None) -> list[PlaneBox]:
    """Text on the middle plane of each stack, read by itself: where it moves from plane to plane no mean shows it.

    Raises NoTextReader.
    """
    found: list[PlaneBox] = []
    if min(planes.shape[1:]) < LEAST_SIDE or len(planes) <= EACH_BELOW:
        return found
    for first, stop in pairwise(_cuts(len(planes), CHUNK)):
        middle = (first + stop - 1) // 2
        if step:
            step()
        for view in _pictures(np.asarray(planes[middle], np.float32), middle, middle):
            for reading in read_text(view.picture, least_confidence=SURE):
                if sum(letter.isalnum() for letter in reading.text) >= LEAST_CHARACTERS:
                    found += locate(planes, view.source, (middle, middle), reading, doubtful=False)
    return merged(found)


def _read_views(planes: Planes, step: Callable[[], None] | None, *, blocks: bool) -> Iterator[_Line]:
    """What is read in whole pictures."""
    for view in _views(planes, blocks=blocks):
        if step:
            step()
        for reading in read_text(view.picture, least_confidence=LEAST_CONFIDENCE):
            yield _Line(reading, view.source, view.first, view.last, False)


def _read_places(planes: Planes, step: Callable[[], None] | None) -> Iterator[_Line]:
    """What is read where lines are likely: on single planes, and on the means over stacks."""
    count = len(planes)
    most = max(-(-count * PLACES // 100), LEAST_PLACES)
    places = likely_places(planes, most, NEIGHBOURHOOD, step)
    for start in range(0, len(places), SHEET):
        if step:
            step()
        for place, reading in read_places(planes, places[start : start + SHEET], LEAST_CONFIDENCE):
            plane = np.asarray(planes[place.plane], np.float32)
            yield _Line(reading, plane, place.plane, place.plane, True)
    for first, last, mean in _means(planes) if count > EACH_BELOW else ():
        if step:
            step()
        for _, reading in read_places([mean], likely_places([mean], SHEET, 1), LEAST_CONFIDENCE):
            yield _Line(reading, mean, first, last, True)


def slice_axis(spacing: tuple[float, float, float], stored: int) -> int:
    """The axis along which a scanner's slices lie: that of the largest voxel size where it exceeds the others by half,
    for a volume may have been stored anew, else the one along which slices follow each other in the file."""
    thickest = int(np.argmax(spacing))
    rest = [size for axis, size in enumerate(spacing) if axis != thickest]
    return thickest if spacing[thickest] > _ALIKE * max(rest) else stored


def reading_axes(spacing: tuple[float, float, float], stored: int, *, stored_anew: bool) -> tuple[int, ...]:
    """The axes across whose planes text is looked for: that of the slices, then, where voxels are of about one size and
    may have been stored anew, the two others (briefly), for any of them may be the one that was acquired.

    >>> reading_axes((1.0, 1.0, 1.2), 2, stored_anew=True), reading_axes((0.7, 0.7, 5.0), 2, stored_anew=True)
    ((2, 0, 1), (2,))
    """
    first = slice_axis(spacing, stored)
    if not stored_anew or max(spacing) > _ALIKE * min(spacing):
        return (first,)
    return (first, *(axis for axis in range(3) if axis != first))


def displayed(voxels: npt.NDArray[Any], axis: int = 2) -> npt.NDArray[Any]:
    """(n, rows, columns) view: axial with anterior on top and right on the left, others with superior on top."""
    moved = np.moveaxis(voxels, axis, 0)
    return moved[:, ::-1, ::-1].transpose(0, 2, 1)


def _to_voxels(box: PlaneBox, axis: int, shape: tuple[int, ...]) -> TextBox:
    """The inverse of `displayed`."""
    across, down = (size for index, size in enumerate(shape) if index != axis)
    start, stop = [across - box.right, down - box.bottom], [across - box.left, down - box.top]
    start.insert(axis, box.first)
    stop.insert(axis, box.last + 1)
    return TextBox((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]), box.confidence, box.masked, axis)


def _views(planes: Planes, *, blocks: bool) -> Iterator[_View]:
    """Pictures worth reading. blocks: also what changes within short stacks."""
    count = len(planes)
    scores = np.array([_flat_strokes(plane) for plane in planes])
    alone = range(count) if count <= EACH_BELOW else _suspects(scores)
    for index in alone:
        yield from _pictures(np.asarray(planes[index], np.float32), index, index)
    if count <= EACH_BELOW:
        return
    for first, last, mean in _means(planes):
        yield from _pictures(mean, first, last)
        yield _View(flattened_picture(mean), mean, first, last)
    for first, stop in pairwise(_cuts(count, BLOCK)) if blocks else ():
        changes = _changes(np.asarray(planes[first:stop], np.float32))
        for limit in _limits(np.abs(changes)):
            yield _View(_window(changes, -limit, limit), changes, first, stop - 1)


def _means(planes: Planes) -> Iterator[tuple[int, int, Plane]]:
    """(first plane, last plane, mean) of each stack."""
    for first, stop in pairwise(_cuts(len(planes), CHUNK)):
        yield first, stop - 1, np.asarray(planes[first:stop].mean(axis=0), np.float32)


def _limits(sizes: Plane) -> list[float]:
    """Windows for changes: anatomy's, and a wider one where something exceeds it by far."""
    usual, largest = float(np.percentile(sizes, 99.0)), float(sizes.max())
    return [max(usual, 1e-6), largest] if largest > 3 * usual else [max(usual, 1e-6)]


def _changes(block: npt.NDArray[np.float32]) -> Plane:
    """What stands on few planes of a block: the largest deviation from the block's mean, with its sign."""
    mean = block.mean(axis=0)
    above, below = block.max(axis=0) - mean, mean - block.min(axis=0)
    return np.asarray(np.where(above >= below, above, -below), np.float32)


def _cuts(count: int, size: int) -> list[int]:
    """Borders of about equal parts of at most `size`."""
    return [int(edge) for edge in np.linspace(0, count, -(-count // size) + 1).round()]


def _pictures(plane: Plane, first: int, last: int) -> Iterator[_View]:
    for picture in (_wide(plane), _narrow(plane)):
        yield _View(picture, plane, first, last)


def _wide(plane: Plane) -> Picture:
    """The whole range of values."""
    return _window(plane, float(plane.min()), float(np.percentile(plane, 99.9)))


def _narrow(plane: Plane) -> Picture:
    """The middle of the values that are not background, as soft tissue is displayed."""
    inside = plane[plane > plane.min()]
    if inside.size < 64:
        return _wide(plane)
    middle = np.percentile(inside, 75)
    spread = max(float(np.percentile(inside, 90) - np.percentile(inside, 50)), 0.05 * float(np.ptp(plane)))
    return _window(plane, float(middle - 2 * spread), float(middle + 2 * spread))


def _window(plane: Plane, low: float, high: float) -> Picture:
    scaled = (plane - low) * (255.0 / max(high - low, 1e-6))
    return np.asarray(np.clip(scaled, 0, 255), np.uint8)


def _flat_strokes(plane: Planes) -> int:
    """Pixels in straight runs of four equal values with a sharp edge all along one side."""
    step = 0.06 * (float(plane.max()) - float(plane.min()))
    total = 0
    for values in (plane, plane.T):
        equal = values[1:] == values[:-1]
        runs = equal[2:] & equal[1:-1] & equal[:-2]
        edge = np.abs(np.diff(np.asarray(values, np.float32), axis=1)) > step
        beside = np.zeros(values.shape, bool)
        beside[:, 1:] |= edge
        beside[:, :-1] |= edge
        total += int(np.count_nonzero(runs & beside[:-3] & beside[1:-2] & beside[2:-1] & beside[3:]))
    return total


def _suspects(scores: npt.NDArray[np.int64]) -> list[int]:
    """Slices with clearly more flat strokes than their neighbourhood, strongest first."""
    excess = scores - median_filter(scores, NEIGHBOURHOOD, mode="nearest")
    limit = 15 + 6 * float(np.median(np.abs(excess)))
    most = -(-len(scores) * SUSPECTS // 100)
    order = np.argsort(-excess, kind="stable")[:most]
    return [int(index) for index in order if excess[index] > limit]


def merged(boxes: Sequence[PlaneBox]) -> list[PlaneBox]:
    """Boxes that overlap by more than half of the smaller one, on common planes, joined."""
    joined: list[PlaneBox] = []
    for box in sorted(boxes, key=lambda item: -item.confidence):
        partner = next((index for index, other in enumerate(joined) if _same_place(box, other)), None)
        if partner is None:
            joined.append(box)
        else:
            joined[partner] = _union(joined[partner], box)
    return sorted(joined, key=lambda item: (item.first, item.top, item.left))


def _same_place(one: PlaneBox, other: PlaneBox) -> bool:
    if one.first > other.last + 1 or other.first > one.last + 1:
        return False
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    width = min(one.right, other.right) - max(one.left, other.left)
    smaller = min((box.bottom - box.top) * (box.right - box.left) for box in (one, other))
    return height > 0 and width > 0 and height * width > 0.5 * smaller


def _union(one: PlaneBox, other: PlaneBox) -> PlaneBox:
    return replace(
        one, first=min(one.first, other.first), last=max(one.last, other.last), top=min(one.top, other.top),
        left=min(one.left, other.left), bottom=max(one.bottom, other.bottom), right=max(one.right, other.right),
    )  # fmt: skip
