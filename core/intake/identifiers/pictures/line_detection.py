"""Where lines of text may stand: strokes packed between two quiet edges, on slices where their neighbours have none.

Reading a whole slice is slow and small faint letters are lost in it. Text packs strokes into a band of a letter's
height with little above and below, which vessels and ribs do not, and what anatomy has of it stays when one leafs on.
So the likeliest places of a stack are cut out, enlarged, and read together, several in one picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter, uniform_filter, uniform_filter1d, zoom

from core.intake.identifiers.pictures.ocr import Picture, Reading, read_text

Plane = npt.NDArray[np.float32]
Pictures = Sequence[Plane] | npt.NDArray[np.int16] | npt.NDArray[np.float32]
CELL = 16
"""Pixels along a side of the cells in which places are compared."""
LETTER_HEIGHTS = (9, 16, 24)
LINE_LENGTH = 48
"""Pixels along the line over which strokes are counted."""
GAP = 3
"""Pixels above and below the line that must hold fewer strokes."""
CUT = (64, 256)
"""Pixels across and along the line of what is cut out around a place."""
ENLARGED = 2
SHEET = 5
"""Places read in one picture."""
_PAUSE = 16
FLAT = 25
"""Pixels along a side of what counts as slow changes."""
LEAST_EXCESS = 0.08


@dataclass(frozen=True)
class Place:
    """A half-open pixel box that may hold a line of text, upright or (`vertical`) turned by a quarter."""

    plane: int
    top: int
    left: int
    bottom: int
    right: int
    vertical: bool
    score: float


def likely_places(
    planes: Pictures, most: int, neighbourhood: int, step: Callable[[], None] | None = None
) -> list[Place]:
    """At most `most` places, likeliest first; from five planes on compared with the median of their neighbourhood.

    planes: pictures of one size (rows, columns). neighbourhood: planes around one that it is compared with.
    step: called for each plane; may raise, to stop.
    """
    found: list[Place] = []
    for vertical in (False, True):
        scores = np.stack([_scores(plane, vertical, step) for plane in planes])
        if len(planes) > 4:
            usual = median_filter(scores, (min(neighbourhood, 2 * len(planes) - 1), 1, 1), mode="nearest")
            scores = np.asarray(scores - usual, np.float32)
        found += _peaks(scores, planes[0].shape, vertical, most)
    return sorted(found, key=lambda place: -place.score)[:most]


def _scores(plane: Plane | npt.NDArray[np.int16], vertical: bool, step: Callable[[], None] | None) -> Plane:
    if step:
        step()
    return _cells(line_likeness(np.asarray(plane, np.float32), vertical=vertical))


def line_likeness(plane: Plane, *, vertical: bool) -> Plane:
    """Share of strokes in a band of a letter's height less that just beside the band, per pixel, at most 1.

    Strokes are steps between neighbours along the line, in units of eight times the picture's median step.
    """
    picture = plane.T if vertical else plane
    steps = np.abs(np.diff(picture, axis=1, append=picture[:, -1:]))
    moving = steps[steps > 0]
    if not moving.size:
        return np.zeros_like(plane)
    share = uniform_filter1d(np.minimum(steps / (8 * np.median(moving)), 1), LINE_LENGTH, axis=1)
    edge = uniform_filter1d(share, GAP, axis=0)
    best = np.full_like(share, -1)
    for height in LETTER_HEIGHTS:
        away = height // 2 + GAP // 2 + 1
        beside = np.maximum(np.roll(edge, away, axis=0), np.roll(edge, -away, axis=0))
        best = np.maximum(best, uniform_filter1d(share, height, axis=0) - beside)
    return np.asarray(best.T if vertical else best, np.float32)


def _cells(scores: Plane) -> Plane:
    """The best score of every whole cell."""
    rows, columns = (size // CELL for size in scores.shape)
    whole = scores[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL)
    return np.asarray(whole.max(axis=(1, 3)), np.float32)


def _peaks(scores: npt.NDArray[np.float32], shape: tuple[int, ...], vertical: bool, most: int) -> Iterator[Place]:
    """The best of (planes, rows, columns) cells as places; cells inside a place taken before are not taken again."""
    free = scores.copy()
    for flat in np.argsort(-scores, axis=None, kind="stable")[: 40 * most]:
        at = np.unravel_index(int(flat), scores.shape)
        score = float(scores[at])
        if most == 0 or score < LEAST_EXCESS:
            return
        if free[at] < LEAST_EXCESS:
            continue
        place = _around(free[at[0]], (int(at[1]), int(at[2])), shape, vertical)
        inside = np.s_[place.top // CELL : -(-place.bottom // CELL), place.left // CELL : -(-place.right // CELL)]
        free[at[0]][inside] = 0
        most -= 1
        yield replace(place, plane=int(at[0]), score=score)


def _around(scores: Plane, cell: tuple[int, int], shape: tuple[int, ...], vertical: bool) -> Place:
    """What is cut out around a cell: centred on the mean of the good cells in reach along the line."""
    across, along = (1, 0) if vertical else (0, 1)
    reach = CUT[1] // CELL // 2
    line = scores[:, cell[1]] if vertical else scores[cell[0]]
    first = max(cell[along] - reach, 0)
    window = line[first : cell[along] + reach + 1]
    good = np.flatnonzero(window >= 0.5 * line[cell[along]]) + first
    centre = {along: float(good.mean() + 0.5) * CELL, across: (cell[across] + 0.5) * CELL}
    start, stop = {}, {}
    for axis, size in ((across, CUT[0]), (along, CUT[1])):
        size = min(size, shape[axis])
        start[axis] = int(np.clip(round(centre[axis] - size / 2), 0, shape[axis] - size))
        stop[axis] = start[axis] + size
    return Place(0, start[0], start[1], stop[0], stop[1], vertical, 0.0)


def read_places(planes: Pictures, places: Sequence[Place], least_confidence: float) -> list[tuple[Place, Reading]]:
    """Text at at most `SHEET` places, read in one picture; readings in the pixels of their planes.

    Raises NoTextReader.
    """
    if not places:
        return []
    tiles = [_tile(np.asarray(planes[place.plane], np.float32), place) for place in places]
    sheet = np.full((SHEET * (ENLARGED * CUT[0] + _PAUSE), ENLARGED * CUT[1]), 128, np.uint8)
    for index, tile in enumerate(tiles):
        top = index * (ENLARGED * CUT[0] + _PAUSE)
        sheet[top : top + tile.shape[0], : tile.shape[1]] = tile
    found = []
    for reading in read_text(sheet, least_confidence=least_confidence):
        index = (reading.top + reading.bottom) // 2 // (ENLARGED * CUT[0] + _PAUSE)
        if index < len(places):
            found.append((places[index], _back(reading, places[index], index)))
    return found


def flattened(plane: Plane) -> Plane:
    """A picture without its slow changes, in units of its local contrast (about -3 to 3)."""
    detail = plane - uniform_filter(plane, FLAT)
    local = uniform_filter(np.abs(detail), FLAT)
    return np.asarray(detail / (local + 0.5 * max(float(np.median(local)), 1e-3)), np.float32)


def flattened_picture(plane: Plane) -> Picture:
    """`flattened`, as grey values around 128."""
    return np.asarray(np.clip(128 + flattened(plane) * (127 / 3), 0, 255), np.uint8)


def _tile(plane: Plane, place: Place) -> Picture:
    """One place, enlarged, its line along the columns."""
    crop = plane[place.top : place.bottom, place.left : place.right]
    return np.asarray(zoom(flattened_picture(np.rot90(crop) if place.vertical else crop), ENLARGED, order=1))


def _back(reading: Reading, place: Place, index: int) -> Reading:
    """A reading on the sheet in the pixels of the plane."""
    offset = index * (ENLARGED * CUT[0] + _PAUSE)
    top, bottom = max(reading.top - offset, 0) // ENLARGED, -(-(reading.bottom - offset) // ENLARGED)
    left, right = reading.left // ENLARGED, -(-reading.right // ENLARGED)
    if place.vertical:  # np.rot90 took column c to row (width - 1 - c)
        width = place.right - place.left
        top, left, bottom, right = left, width - bottom, right, width - top
    rows = (max(place.top + top, place.top), min(place.top + bottom, place.bottom))
    columns = (max(place.left + left, place.left), min(place.left + right, place.right))
    return replace(reading, top=rows[0], bottom=rows[1], left=columns[0], right=columns[1])
