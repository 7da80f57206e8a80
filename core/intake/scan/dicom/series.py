"""Images into series, and one series into a stack: order and geometry from positions along the normal, or a refusal."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.intake.scan.dicom.acquisitions import first_of_each, refuse_mixed_acquisitions, refuse_phases
from core.intake.scan.dicom.consistency import ANGLE_TOLERANCE, PIXEL_TOLERANCE, unlike, which
from core.intake.scan.dicom.declared_geometry import step_notes, without_copies
from core.intake.scan.dicom.header import ImageHeader
from core.intake.scan.dicom.series_identity import slices_of_one_scan
from core.intake.scan.geometry import Matrix, plane_normal, refuse_absurd_geometry, shear_degrees, slice_affine_lps
from core.intake.scan.repairs import Repair, RepairableError, even_heights_within, longest_even_run
from core.intake.terms.safe_description import EXPORT_AGAIN
from core.wording import count_of

STEP_TOLERANCE = 0.02
STEP_TOLERANCE_MM = 0.06
"""How far slices may lie from even steps: positions are often rounded to 0.1 mm, which moves them by half of that."""
SIDEWAYS_TOLERANCE_MM = 0.1
_EXACT_MM = 0.02
MAX_SHEAR_DEGREES = 0.5
_FEWEST_IN_PAIRS = 5
"""Distances that alternate by chance hardly ever are so many."""
MOST_STRETCHED, MOST_BRIDGED, MOST_BRIDGED_MM = 2.0, 2.05, 10.25
"""How much longer than its slices interpolation may make a volume, and how wide a gap it may fill: one slice that is
missing, or, of thinner slices, as much as where one of the routine 5 mm is."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Images of one series in order along their normal.

    affine_lps: (column, row, slice) index -> LPS mm. notes: plain sentences for every doubt or repair.
    heights_mm: None, or where the slices really lie, to be interpolated to even steps. slanted: to be straightened.
    """

    images: tuple[ImageHeader, ...]
    affine_lps: Matrix
    notes: tuple[str, ...]
    heights_mm: npt.NDArray[np.float64] | None = None
    slanted: bool = False


def series_key(study_uid: str, series_uid: str) -> str:
    """Opaque key of a series, stable between runs."""
    return hashlib.sha256(f"{study_uid}\0{series_uid}".encode()).hexdigest()[:12]


def group_series(images: Iterable[ImageHeader]) -> dict[str, list[ImageHeader]]:
    """Images by series key, in the order met."""
    groups: dict[tuple[str, str], list[ImageHeader]] = defaultdict(list)
    for image in images:
        groups[image.study_uid, image.series_uid].append(image)
    return {series_key(*uids): group for uids, group in groups.items()}


def stack_series(images: Sequence[ImageHeader], repairs: Collection[Repair] = ()) -> Stack:
    """Order one series and derive its geometry.

    Raises UserFacingError on anything that leaves order or geometry in doubt and that `repairs` does not lift.
    """
    notes: list[str] = []
    slices = without_copies(slices_of_one_scan(images, notes, repairs), notes)
    orientation = _common_orientation(slices)
    positions = _positions(slices)
    heights = positions @ plane_normal(orientation)
    order = np.argsort(heights, kind="stable")
    if "first_of_repeats" in repairs:
        order = _first_of_repeats(order, heights, slices, notes)
    if "longest_run" in repairs:
        order = _longest_run(order, heights, notes)
    ordered = tuple(slices[index] for index in order)
    heights, positions = heights[order], positions[order]
    _refuse_repeats(heights, ordered)
    notes += refuse_mixed_acquisitions(ordered)
    even = _check_steps(heights, repairs, notes)
    refuse_phases(ordered)
    first, step = _first_and_step(positions, heights, even=even)
    affine = slice_affine_lps(orientation, _pixel_spacing(ordered), first, step)
    refuse_absurd_geometry(affine)
    slanted = _check_tilt(affine, ordered, repairs, notes)
    notes += step_notes(float(np.linalg.norm(step)), ordered, len(images))
    return Stack(ordered, affine, tuple(notes), None if even else heights, slanted)


def _positions(images: Sequence[ImageHeader]) -> npt.NDArray[np.float64]:
    given = [image.position_mm for image in images if image.position_mm is not None]
    if len(given) < len(images):
        raise unlike(
            f"Not saying where in the patient they lie: {_lacking(images, 'position_mm')}.",
            "a position for every slice",
            EXPORT_AGAIN,
            images,
        )
    return np.array(given)


def _lacking(images: Sequence[ImageHeader], name: str) -> str:
    return which([image for image in images if getattr(image, name) is None], images)


def _common_orientation(images: Sequence[ImageHeader]) -> npt.NDArray[np.float64]:
    """Orthonormal cosines shared by all images."""
    cosines = np.array([image.orientation for image in images if image.orientation is not None])
    if len(cosines) < len(images):
        raise unlike(
            f"Not saying how they are oriented: {_lacking(images, 'orientation')}.",
            "an orientation for every slice",
            EXPORT_AGAIN,
            images,
        )
    if np.abs(cosines - cosines[0]).max() > ANGLE_TOLERANCE:
        raise unlike(
            "The slices of one series point in different directions.",
            "parallel slices",
            "Choose a series of parallel slices; scout views belong in a series of their own.",
            images,
        )
    middle = np.median(cosines, axis=0)  # which of those that differ by rounding comes first says nothing
    row, column = middle[:3], middle[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > 0.01 or abs(row @ column) > 0.01:
        raise UserFacingError(
            "The orientation written in the images is not a pair of perpendicular directions.",
            "unit row and column directions at right angles",
            EXPORT_AGAIN,
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    return np.concatenate([row, column / np.linalg.norm(column)])


def _pixel_spacing(images: Sequence[ImageHeader]) -> npt.NDArray[np.float64]:
    spacing = np.array([image.spacing_mm for image in images if image.spacing_mm is not None])
    if len(spacing) < len(images) or spacing.min() <= 0:
        odd = [image for image in images if image.spacing_mm is None or min(image.spacing_mm) <= 0]
        found = f"Without a valid pixel spacing: {which(odd, images)}."
        raise unlike(found, "a pixel size in mm for every slice", EXPORT_AGAIN, images)
    if np.abs(spacing / spacing[0] - 1).max() > PIXEL_TOLERANCE:
        raise unlike(
            "The slices of one series have different pixel sizes.",
            "one pixel size",
            "Choose slices of one scan only.",
            images,
        )
    return np.asarray(spacing[0], np.float64)


def _first_of_repeats(
    order: npt.NDArray[np.intp], heights: npt.NDArray[np.float64], images: Sequence[ImageHeader], notes: list[str]
) -> npt.NDArray[np.intp]:
    """One image a place: the one of the first acquisition, where it is certain which those are. order: by height."""
    places = _places(order, heights[order])
    found = first_of_each(places, images) if len(places) < len(order) else None
    if found is None:
        return order
    kept, what = found
    notes.append(
        f"Repaired: of images at one place those of the first acquisition were kept, told apart by {what}; "
        f"{len(order) - len(kept)} were dropped."
    )
    return np.array(kept, np.intp)


def _places(order: npt.NDArray[np.intp], heights: npt.NDArray[np.float64]) -> list[list[int]]:
    """Indices that lie at one place each. order: by height. heights: of the images in this order."""
    places = np.split(order, np.flatnonzero(np.diff(heights) > _EXACT_MM) + 1)
    return [place.tolist() for place in places]


def _longest_run(
    order: npt.NDArray[np.intp], heights: npt.NDArray[np.float64], notes: list[str]
) -> npt.NDArray[np.intp]:
    typical = float(np.median(np.diff(heights[order]))) if len(order) > 1 else 0.0
    kept = order[longest_even_run(heights[order], typical, 2 * _tolerance_mm(typical))]
    if len(kept) < len(order):
        notes.append(f"Repaired: only the longest even run was kept, {len(kept)} of {len(order)} slices.")
    return kept


def _tolerance_mm(step_mm: float) -> float:
    return max(STEP_TOLERANCE_MM, STEP_TOLERANCE * step_mm)


def _check_steps(heights: npt.NDArray[np.float64], repairs: Collection[Repair], notes: list[str]) -> bool:
    """Whether slices are evenly spaced; raises where they are not and no chosen repair makes them so."""
    gaps = np.diff(heights)
    typical = float(np.median(gaps))
    off_mm = float(np.abs(heights - _even_heights(heights)).max())
    if off_mm <= _tolerance_mm(typical):
        if off_mm > _EXACT_MM:
            notes.append(f"Slices lie up to {off_mm:.2f} mm off even steps, as after rounding; they were read as even.")
        return True
    if "resample_evenly" not in repairs:
        raise _uneven(gaps, typical, off_mm)
    if _too_far_apart(gaps, typical):
        raise UserFacingError(
            "Much of the volume would have to be invented between slices that lie far apart.",
            "slices with few gaps",
            EXPORT_AGAIN,
        )
    wanted = even_heights_within(heights)
    lost_mm = float(heights[-1] - wanted[-1])
    beyond = f"; the last {lost_mm:.1f} mm, beyond the last even step, were left out" if lost_mm > _EXACT_MM else ""
    made_up = int((np.abs(wanted[:, None] - heights).min(axis=1) > STEP_TOLERANCE_MM).sum())
    notes.append(
        f"Repaired: uneven slices ({gaps.min():.2f} to {gaps.max():.2f} mm) were interpolated to even ones; "
        f"{made_up} of {count_of(len(wanted), 'slice')} {'is' if made_up == 1 else 'are'} not as scanned{beyond}."
    )
    return False


def _too_far_apart(gaps: npt.NDArray[np.float64], typical: float) -> bool:
    """Whether gaps between slices are too wide to be bridged by interpolation."""
    widest = max(MOST_BRIDGED * typical, MOST_BRIDGED_MM)
    return bool(gaps.max() > widest or gaps.sum() > MOST_STRETCHED * (len(gaps) + 1) * typical)


def _even_heights(heights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The evenly spaced heights that fit best (least squares)."""
    number = np.arange(len(heights)) - (len(heights) - 1) / 2
    return np.asarray(heights.mean() + number * (number @ (heights - heights.mean()) / (number @ number)), np.float64)


def _first_and_step(
    positions: npt.NDArray[np.float64], heights: npt.NDArray[np.float64], *, even: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Place of the first slice and vector from slice to slice, once all are shown to lie on one straight line.

    even: whether to take the even steps that fit best, the first one among them; else the positions as they are.
    """
    direction = (positions[-1] - positions[0]) / (heights[-1] - heights[0])
    sideways = np.abs(positions - positions[0] - (heights - heights[0])[:, None] * direction).max()
    if sideways > max(SIDEWAYS_TOLERANCE_MM, _tolerance_mm(float(np.median(np.diff(heights))))):
        raise UserFacingError(
            f"The slices do not lie on one straight line (up to {sideways:.1f} mm beside it).",
            "slices stacked on a straight line",
            EXPORT_AGAIN,
        )
    fitted = _even_heights(heights) if even else heights
    step_mm = float(np.median(np.diff(fitted)))
    return positions[0] + direction * (fitted[0] - heights[0]), direction * step_mm


def _refuse_repeats(heights: npt.NDArray[np.float64], images: Sequence[ImageHeader]) -> None:
    """Raise for a single image or several at one place. images: by height. A repair is offered where it is certain."""
    if len(images) < 2:
        raise UserFacingError(
            "The series holds a single slice.",
            "at least two slices, so that there is a volume",
            "Choose the full series.",
        )
    if not (repeats := _repeats(heights)):
        return
    found = f"At the same place as another one: {repeats} of {len(images)} slices."
    places = _places(np.arange(len(images)), heights)
    first = first_of_each(places, images) if 1 < len(places) < len(images) else None
    if first is None or _repeats(heights[first[0]]):
        raise UserFacingError(
            found,
            "one image at each position",
            "Remove the repeated slices, or export the series again; nothing tells for certain which belong together."
            if len(places) > 1
            else "Choose a series whose slices lie at different places.",
        )
    raise RepairableError(
        found,
        "one image at each position",
        f"The series seems to hold {max(map(len, places))} acquisitions; export one of them.",
        ("first_of_repeats",),
    )


def _repeats(heights: npt.NDArray[np.float64]) -> int:
    """How many of the sorted heights repeat the one before."""
    gaps = np.diff(heights)
    return int((gaps <= max(0.01, 0.1 * float(np.median(gaps)))).sum())


def _in_pairs(gaps: npt.NDArray[np.float64]) -> bool:
    """Whether every second distance is far smaller than all others."""
    one, other = gaps[::2], gaps[1::2]
    return len(gaps) >= _FEWEST_IN_PAIRS and bool(one.max() < other.min() / 4 or other.max() < one.min() / 4)


def _uneven(gaps: npt.NDArray[np.float64], typical: float, off_mm: float) -> UserFacingError:
    """The refusal for slices that lie up to off_mm away from even steps."""
    if _in_pairs(gaps):
        return UserFacingError(
            f"The slices lie in pairs, {gaps.min():.2f} mm apart and {gaps.max():.2f} mm to the next pair, as two "
            "acquisitions at almost the same places do.",
            "evenly spaced slices of one acquisition",
            "Export one of the acquisitions.",
        )
    wide = gaps[gaps - typical > _tolerance_mm(typical)]
    missing = int(np.rint(wide / typical - 1).sum())
    whole = len(wide) and (np.abs(wide / typical - np.rint(wide / typical)) < 0.1).all() and len(wide) < 0.5 * len(gaps)
    if whole and missing:
        found = (
            f"The slices are {typical:.2f} mm apart except for {count_of(len(wide), 'gap')}; about "
            f"{count_of(missing, 'slice')} {'is' if missing == 1 else 'are'} missing."
        )
    else:
        found = (
            f"The distance between slices varies from {gaps.min():.2f} to {gaps.max():.2f} mm; even steps would put "
            f"slices up to {off_mm:.2f} mm away from where they lie."
        )
    repairs: tuple[Repair, ...] = ("longest_run", "resample_evenly")
    if _too_far_apart(gaps, typical):
        repairs = ("longest_run",)
    return RepairableError(found, "evenly spaced slices without gaps", EXPORT_AGAIN, repairs)


def _check_tilt(affine: Matrix, images: Sequence[ImageHeader], repairs: Collection[Repair], notes: list[str]) -> bool:
    """Whether slices are stacked at a slant; raises unless the chosen repairs straighten it."""
    shear = shear_degrees(affine)
    tilts = [abs(image.tilt_degrees or 0.0) for image in images]
    stated = max(filter(math.isfinite, tilts), default=0.0)
    if (
        stated > 1
        and abs(affine[2, 2]) / np.linalg.norm(affine[:3, 2]) > math.cos(math.radians(stated / 2))
        and shear < 0.5
    ):
        tilt = f"tilt of {stated:.1f} degrees" if stated < 90 else "tilt that no gantry has"
        raise UserFacingError(
            f"The header states a gantry {tilt}, but the slice orientation shows none.",
            "a header that agrees with itself",
            "Choose a series without gantry tilt, or a reconstruction that removes it.",
        )
    if shear <= MAX_SHEAR_DEGREES:
        return False
    if "straighten_tilt" not in repairs:
        raise RepairableError(
            f"The slices are stacked at a slant of {shear:.1f} degrees (tilted gantry).",
            "slices stacked at right angles",
            "Choose a series without gantry tilt, or a reconstruction that removes it.",
            ("straighten_tilt",),
        )
    notes.append(f"Repaired: slices stacked at a slant of {shear:.1f} degrees were resampled to right angles.")
    return True
