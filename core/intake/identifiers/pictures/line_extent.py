"""On which planes, and how far along its line, text that was read in one picture really stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter, uniform_filter1d

from core.intake.identifiers.finding import mask
from core.intake.identifiers.pictures.line_detection import FLAT, Plane
from core.intake.identifiers.pictures.ocr import Reading

Planes = npt.NDArray[np.int16] | npt.NDArray[np.float32]
Box = tuple[int, int, int, int]
"""(top, left, bottom, right), half-open pixels."""
SURE = 0.8
"""Confidence from which a doubtful line counts by itself; below, it must come and go at once."""
AROUND = 12
"""Planes on either side of one that say what is usual there."""
REACH = 8
"""Letter heights by which a line is followed beyond what was read of it, at most."""


@dataclass(frozen=True)
class PlaneBox:
    """Text at one place of a stack of planes: first and last plane (inclusive) and a half-open pixel box."""

    first: int
    last: int
    top: int
    left: int
    bottom: int
    right: int
    confidence: float
    masked: str


def locate(planes: Planes, source: Plane, span: tuple[int, int], reading: Reading, *, doubtful: bool) -> list[PlaneBox]:
    """The planes on which a text stands, as boxes with a margin, followed along its line.

    planes: (n, rows, columns). source: what was read, made of the planes span[0]..span[1]. doubtful: read where only a
    line of some likeness was known; then a hesitant reading must be on its planes wholly and on the others not at all.
    """
    rows, columns = source.shape
    margin = max(2, min(reading.bottom - reading.top, reading.right - reading.left) // 4)
    top, left = max(reading.top - margin, 0), max(reading.left - margin, 0)
    box = (top, left, min(reading.bottom + margin, rows), min(reading.right + margin, columns))
    pattern, details = _apart(_detail(source, box), np.stack([_detail(plane, box) for plane in planes]), span)
    strokes = _strokes(pattern)
    contrast = np.array([_contrast(detail, strokes) for detail in details])
    inside = contrast[span[0] : span[1] + 1]
    strongest = float(inside[np.argmax(np.abs(inside))])
    if doubtful and reading.confidence < SURE and not _sudden(contrast / (strongest or 1.0), span):
        return []
    present = contrast * np.sign(strongest) >= 0.5 * abs(strongest)
    masked = mask(reading.text)
    return [
        PlaneBox(first, last, *_followed(planes, box, first, last), reading.confidence, masked)
        for first, last in _runs(present)
        if first <= span[1] and last >= span[0]
    ]


def _detail(plane: Planes, box: Box) -> Plane:
    """A box of a plane without the slow changes of what the text stands on."""
    top, left = max(box[0] - FLAT // 2, 0), max(box[1] - FLAT // 2, 0)
    wide = np.asarray(plane[top : box[2] + FLAT // 2, left : box[3] + FLAT // 2], np.float32)
    detail = wide - uniform_filter(wide, FLAT)
    return np.asarray(detail[box[0] - top : box[2] - top, box[1] - left : box[3] - left], np.float32)


def _apart(pattern: Plane, details: Plane, span: tuple[int, int]) -> tuple[Plane, Plane]:
    """What was read on one plane, and every plane there (n, rows, columns), less what is usual around that plane.

    Unchanged where it is not one plane of many, or where the usual holds most of what was read: the text itself then.
    """
    if span[0] != span[1] or len(details) <= 4:
        return pattern, details
    usual = np.median(details[max(span[0] - AROUND, 0) : span[1] + AROUND + 1], axis=0)
    if np.percentile(np.abs(pattern - usual), 95) < 0.5 * np.percentile(np.abs(pattern), 95):
        return pattern, details
    return pattern - usual, details - usual


def _sudden(relative: npt.NDArray[np.float64], span: tuple[int, int]) -> bool:
    """Whether a contrast over the planes (1 where strongest) is whole or gone, as text is; anatomy fades."""
    near = relative[max(span[0] - AROUND, 0) : span[1] + AROUND + 1]
    partial, whole = np.count_nonzero((near > 0.25) & (near < 0.75)), np.count_nonzero(near >= 0.75)
    return bool(partial <= 1 + whole / 3)


def _strokes(crop: Plane) -> npt.NDArray[np.bool_]:
    """Pixels of the letters in a crop: the smaller side of Otsu's threshold."""
    scaled = (crop - crop.min()) * (255.0 / max(float(np.ptp(crop)), 1e-6))
    grey = np.asarray(scaled, np.uint8)
    bright = grey > _otsu(grey)
    return bright if bright.mean() <= 0.5 else ~bright


def _otsu(grey: npt.NDArray[np.uint8]) -> int:
    """Otsu's threshold: the grey value that leaves the most variance between the pixels up to it and those above."""
    counts = np.bincount(grey.ravel(), minlength=256).astype(float)
    below, summed = np.cumsum(counts), np.cumsum(counts * np.arange(256))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = summed / below - (summed[-1] - summed) / above
    return int(np.argmax(np.nan_to_num(below * above * gap**2)))


def _contrast(crop: Plane, strokes: npt.NDArray[np.bool_]) -> float:
    if strokes.all() or not strokes.any():
        return 0.0
    return float(crop[strokes].mean() - crop[~strokes].mean())


def _runs(present: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """(first, last) of runs of True, gaps of up to two bridged."""
    where = np.flatnonzero(present)
    if not len(where):
        return
    breaks = np.flatnonzero(np.diff(where) > 3)
    for group in np.split(where, breaks + 1):
        yield int(group[0]), int(group[-1])


def _followed(planes: Planes, box: Box, first: int, last: int) -> Box:
    """The box, longer along its line for as long as the planes differ there from planes beyond the text as inside it.

    Unchanged where no two planes beyond the text show what anatomy alone changes.
    """
    beyond = [index for index in (first - 3, first - 2, last + 2, last + 3) if 0 <= index < len(planes)]
    if len(beyond) < 2:
        return box
    upright = box[3] - box[1] >= box[2] - box[0]
    height = min(box[2] - box[0], box[3] - box[1])
    longer = lengthened(box, REACH, planes.shape[1:])
    text, *others = (_detail(planes[index], longer) for index in ((first + last) // 2, *beyond[:2]))
    usual = np.abs(others[0] - others[1])
    excess = np.minimum(np.abs(text - others[0]), np.abs(text - others[1])) - usual
    profile = uniform_filter1d(excess.mean(axis=0 if upright else 1), height)
    start, stop = (box[1] - longer[1], box[3] - longer[1]) if upright else (box[0] - longer[0], box[2] - longer[0])
    like = profile >= 0.5 * profile[start:stop].mean()
    before, after = np.flatnonzero(~like[:start]), np.flatnonzero(~like[stop:])
    low = int(before[-1]) + 1 if len(before) else 0
    high = stop + (int(after[0]) if len(after) else len(like) - stop)
    if profile[start:stop].mean() <= 0:
        return box
    if upright:
        return box[0], longer[1] + low, box[2], longer[1] + high
    return longer[0] + low, box[1], longer[0] + high, box[3]


def lengthened(box: Box, heights: int, size: tuple[int, ...]) -> Box:
    """A box inside a picture of `size` made longer at both ends of its line, by a number of its heights.

    >>> lengthened((10, 20, 20, 100), 1, (160, 105))
    (10, 10, 20, 105)
    """
    top, left, bottom, right = box
    by = heights * min(bottom - top, right - left)
    if right - left >= bottom - top:
        return top, max(left - by, 0), bottom, min(right + by, size[1])
    return max(top - by, 0), left, min(bottom + by, size[0]), right
