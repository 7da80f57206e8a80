"""Repairs that a user may choose by name when a study is refused; each leaves a note on the study."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.intake.scan.geometry import Matrix
from core.intake.scan.hounsfield import AIR_HU, Volume

Repair = Literal[
    "leave_out_unreadable",
    "largest_group",
    "first_of_repeats",
    "longest_run",
    "resample_evenly",
    "straighten_tilt",
    "use_sform",
    "use_qform",
    "convert_units",
]

REPAIRS: Mapping[Repair, str] = {
    "leave_out_unreadable": "Leave out the files that cannot be read",
    "largest_group": "Keep the images that are alike, leave out the others",
    "first_of_repeats": "Where several images lie at one place, keep the first acquisition",
    "longest_run": "Keep the longest run of evenly spaced slices, drop the rest",
    "resample_evenly": "Interpolate between slices to an even distance",
    "straighten_tilt": "Resample slices stacked at a slant to right angles",
    "use_sform": "Take the orientation of the sform",
    "use_qform": "Take the orientation of the qform",
    "convert_units": "Convert the stated unit of length to millimetres",
}
"""Repair -> what it does, in words for a list of choices."""


class RepairableError(UserFacingError):
    """A refusal that the named repairs would lift."""

    def __init__(self, found: str, expected: str, next_step: str, repairs: tuple[Repair, ...]) -> None:
        super().__init__(found, expected, next_step)
        self.repairs = repairs


def check_repairs(repairs: Collection[str]) -> None:
    """Raise UserFacingError for a repair that does not exist."""
    if set(repairs) - set(get_args(Repair)):
        raise UserFacingError("An unknown repair was asked for.", "a repair of the list", "Choose one of the list.")


def longest_even_run(heights_mm: npt.NDArray[np.float64], step_mm: float, tolerance_mm: float) -> slice:
    """The longest stretch of sorted slice heights whose distances all equal `step_mm` within the tolerance.

    >>> longest_even_run(np.array([0.0, 2, 4, 8, 10]), 2.0, 0.1)
    slice(0, 3, None)
    """
    even = np.abs(np.diff(heights_mm) - step_mm) <= tolerance_mm
    edges = np.flatnonzero(np.diff(np.concatenate(([0], even.astype(np.int8), [0]))))
    if not len(edges):
        return slice(0, 1)
    starts, stops = edges[::2], edges[1::2]
    best = int(np.argmax(stops - starts))
    return slice(int(starts[best]), int(stops[best]) + 1)


def even_heights_within(heights_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Heights in steps of the median distance, from the first of these increasing ones to the last.

    >>> even_heights_within(np.array([0.0, 2, 4, 8]))
    array([0., 2., 4., 6., 8.])
    """
    step = float(np.median(np.diff(heights_mm)))
    count = int(np.floor((heights_mm[-1] - heights_mm[0]) / step + 1e-6)) + 1
    return np.asarray(heights_mm[0] + step * np.arange(count), np.float64)


def resample_heights(voxels: Volume, heights_mm: npt.NDArray[np.float64]) -> Volume:
    """Slices at uneven heights, linearly interpolated to those of `even_heights_within`.

    voxels: int16 (columns, rows, slices). heights_mm: increasing, one a slice.
    """
    wanted = even_heights_within(heights_mm)
    right = np.clip(np.searchsorted(heights_mm, wanted, side="right"), 1, len(heights_mm) - 1)
    share = (wanted - heights_mm[right - 1]) / (heights_mm[right] - heights_mm[right - 1])
    out = np.empty((*voxels.shape[:2], len(wanted)), np.int16)
    for k in range(len(wanted)):
        out[:, :, k] = _blend(voxels[:, :, right[k] - 1], voxels[:, :, right[k]], float(share[k]))
    return out


def grown_by(shape: tuple[int, ...], affine: Matrix) -> tuple[tuple[int, int], tuple[int, int]]:
    """By how many (columns, rows) a grid of slices stacked at a slant grows before and behind, once it is straight."""
    columns, rows = ((min(0.0, far), max(0.0, far)) for far in _slant(affine) * (shape[2] - 1))
    return _whole(*columns), _whole(*rows)


def straighten(voxels: Volume, affine: Matrix) -> tuple[Volume, Matrix]:
    """Slices stacked at a slant, shifted within their planes by linear interpolation to stack at right angles.

    voxels: int16 (columns, rows, slices) with `affine` (any world). Returns a grid with a perpendicular slice axis that
    holds all of every slice: it is larger within the planes (`grown_by`), and what no slice reaches is air.
    """
    along = affine[:3, :2] / np.linalg.norm(affine[:3, :2], axis=0)
    shift = _slant(affine)
    before, behind = np.array(grown_by(voxels.shape, affine)).T
    straight = affine.copy()
    straight[:3, 2] = affine[:3, 2] - along @ (along.T @ affine[:3, 2])
    straight[:3, 3] = affine[:3, 3] - affine[:3, :2] @ before
    columns, rows = np.array(voxels.shape[:2]) + before + behind
    out = np.empty((columns, rows, voxels.shape[2]), np.int16, order="F")
    for k in range(voxels.shape[2]):
        column, row = shift * k + before
        out[:, :, k] = _placed(_placed(voxels[:, :, k], float(column), columns).T, float(row), rows).T
    return out, straight


def _slant(affine: Matrix) -> npt.NDArray[np.float64]:
    """How many (columns, rows) each slice lies beside the one before."""
    steps = np.linalg.norm(affine[:3, :2], axis=0)
    return np.asarray((affine[:3, :2] / steps).T @ affine[:3, 2] / steps, np.float64)


def _whole(low: float, high: float) -> tuple[int, int]:
    """Whole pixels that a shift from low to high takes before and behind."""
    return int(np.ceil(-low - 1e-9)), int(np.ceil(high - 1e-9))


def _placed(plane: Volume, at: float, size: int) -> Volume:
    """The plane from `at` on along its first axis, in so many lines of air; at its ends it is not mixed with air."""
    whole = int(np.floor(at + 1e-9))
    share = max(at - whole, 0.0)
    out = np.full((size, *plane.shape[1:]), AIR_HU, np.int16)
    if share <= 1e-9:
        out[whole : whole + len(plane)] = plane
        return out
    edged = np.concatenate([plane[:1], plane, plane[-1:]])
    out[whole : whole + len(plane) + 1] = _blend(edged[1:], edged[:-1], share)
    return out


def _blend(one: Volume, other: Volume, share: float) -> Volume:
    mixed = one.astype(np.float32) * np.float32(1 - share) + other.astype(np.float32) * np.float32(share)
    return np.asarray(np.rint(mixed), np.int16)
