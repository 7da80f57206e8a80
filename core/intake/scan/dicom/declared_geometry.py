"""Sizes that the header states against those of the stack: slice thickness, slice distance and field of view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry
from core.intake.scan.dicom.consistency import which
from core.intake.scan.dicom.frames import pixel_bytes, split_multiframe, stored_values
from core.intake.scan.dicom.header import ImageHeader
from core.intake.scan.geometry import plane_normal
from core.intake.terms.safe_description import EXPORT_AGAIN
from core.wording import count_of

_FIELD_RATIO, _AXIAL, _SQUARE = 1.25, 0.7, 0.02
_MOST_OVERLAP = 5.0
_CROPPED_PIXELS = 110
"""More pixels than a tenth of the largest usual matrix (1024) has."""
_Compared = dict[tuple[Entry, Entry], bool]


def step_notes(step_mm: float, images: Sequence[ImageHeader], given: int) -> list[str]:
    """Doubts about slice distance, field and pixels that the headers raise.

    step_mm: from slice to slice. given: images of the series, with those that are left out of the stack. Raises
    UserFacingError where pixels are measured in centimetres.
    """
    notes = []
    thickness = {image.thickness_mm for image in images} - {None}
    if len(thickness) == 1 and (thick := max(filter(None, thickness))) < 0.95 * step_mm:
        notes.append(f"Slices are {thick:g} mm thick but {step_mm:.2f} mm apart: what lies between was not imaged.")
    elif len(thickness) == 1 and thick > _MOST_OVERLAP * step_mm:
        notes.append(
            f"Slices are {thick:g} mm thick but only {step_mm:.2f} mm apart: they overlap by far, or the unit of their "
            "positions is wrong."
        )
    declared = {image.slice_step_mm for image in images} - {None}
    if len(declared) == 1 and not math.isclose(max(filter(None, declared)), step_mm, rel_tol=0.02):
        notes.append(
            f"The header states another slice distance than the positions; the positions ({step_mm:.2f} mm) count."
        )
    notes += _counted_note(step_mm, images)
    notes += [*_square_note(images[0]), *_field_note(images[0])]
    stated = {image.acquisition_images for image in images} - {None}
    if len(stated) == 1 and (count := max(number or 0 for number in stated)) > given:
        notes.append(
            f"The header counts {count_of(count, 'image')} of this acquisition, and {given} are here: slices may "
            "be missing at an end, or the others belong to another series."
        )
    if any(image.lossy for image in images):
        notes.append("The images were compressed with loss at some point; fine detail may be altered.")
    if any(image.pixels.bits_stored <= 8 for image in images):
        notes.append("The images were stored in 8 bits or fewer, with at most 256 different values each.")
    if not all(image.frame_of_reference for image in images):
        notes.append("The images name no frame of reference.")
    return notes


def _counted_note(step_mm: float, images: Sequence[ImageHeader]) -> list[str]:
    """A doubt where positions run 0, 1, 2 or 1, 2, 3 though the slices are not 1 mm thick: slice numbers, no places."""
    heights = [image.position_mm[2] for image in images if image.position_mm]
    lowest, thickness = min(heights, default=math.nan), {image.thickness_mm for image in images}
    if lowest not in (0, 1) or step_mm != 1 or 1.0 in thickness or not all(height.is_integer() for height in heights):
        return []
    return [
        f"The positions count from {lowest:.0f} up by 1, as slice numbers do: they may be none in millimetres, and the "
        "slice distance another."
    ]


def _square_note(image: ImageHeader) -> list[str]:
    """A doubt where axial pixels are no squares: their two sizes may have been exchanged, or only one was changed."""
    if image.spacing_mm is None or not _is_axial(image) or math.isclose(*image.spacing_mm, rel_tol=_SQUARE):
        return []
    rows, columns = image.spacing_mm
    return [
        f"The pixels are {columns:.3g} mm wide and {rows:.3g} mm high, and those of CT scanners are square: the pixel "
        "spacing may be wrong."
    ]


def _is_axial(image: ImageHeader) -> bool:
    return image.orientation is not None and abs(plane_normal(image.orientation)[2]) >= _AXIAL


def _field_note(image: ImageHeader) -> list[str]:
    """A doubt where axial pixels do not fill the field that was reconstructed, as after a change of their number.

    Raises where many of them fill a tenth of it: no crop leaves so many, and their size is in centimetres.
    """
    if image.diameter_mm is None or image.spacing_mm is None or not _is_axial(image):
        return []
    width = max(image.pixels.rows * image.spacing_mm[0], image.pixels.columns * image.spacing_mm[1])
    if 1 / _FIELD_RATIO <= width / image.diameter_mm <= _FIELD_RATIO:
        return []
    if image.pixels.columns >= _CROPPED_PIXELS and math.isclose(10 * width, image.diameter_mm, rel_tol=0.01):
        raise UserFacingError(
            f"The header states a reconstructed field of {image.diameter_mm:.0f} mm, but the slices are a tenth as "
            "wide: the pixel spacing seems to be in centimetres.",
            "a pixel spacing in millimetres",
            EXPORT_AGAIN,
        )
    return [
        f"The header states a reconstructed field of {image.diameter_mm:.0f} mm, but the slices are {width:.0f} mm "
        "wide: they were cropped, or the pixel spacing is not theirs."
    ]


def without_copies(images: Sequence[ImageHeader], notes: list[str]) -> list[ImageHeader]:
    """Drop images that repeat another one value for value; refuse those that share an identity but differ."""
    kept: dict[object, ImageHeader] = {}
    compared: _Compared = {}
    for image in images:
        key = (image.sop_uid or id(image), image.frame)
        if key in kept and not same_image(kept[key], image, compared):
            found = f"Two images claim to be the same one but differ: {which([kept[key], image], images)}."
            raise UserFacingError(found, "each image once", EXPORT_AGAIN)
        kept.setdefault(key, image)
    places: dict[object, ImageHeader] = {}
    for image in kept.values():
        place = image.position_mm or id(image)
        repeated = place in places and same_image(places[place], image, compared)
        places.setdefault(id(image) if place in places and not repeated else place, image)
    if len(places) < len(images):
        notes.append(f"Present twice and read once: {count_of(len(images) - len(places), 'image')}.")
    return list(places.values())


def same_image(one: ImageHeader, other: ImageHeader, compared: _Compared) -> bool:
    """Whether two images have the same place, grid, rescale and stored values, be they compressed differently.

    Frames of one file are never copies of each other. compared: which files were already found to hold equal pixels.
    """
    if one.entry is other.entry or _meaning(one) != _meaning(other):
        return False
    pair = (one.entry, other.entry)
    if pair not in compared:
        compared[pair] = _equal_pixels(one, other)
    return compared[pair]


def _meaning(image: ImageHeader) -> tuple[object, ...]:
    """All that decides which HU the image puts where."""
    pixels = replace(image.pixels, transfer_syntax="", big_endian=False)
    geometry = (image.position_mm, image.orientation, image.spacing_mm, pixels)
    return (image.frame, *geometry, image.slope, image.intercept)


def _equal_pixels(one: ImageHeader, other: ImageHeader) -> bool:
    """Whether two files hold equal pixels; those of two transfer syntaxes are decoded first."""
    if (one.pixels, one.frames) == (other.pixels, other.frames):
        return pixel_bytes(one) == pixel_bytes(other)
    if one.frames != other.frames:
        return False
    split = split_multiframe((one, other))
    pairs = ([replace(image, frame=number) for image in (one, other)] for number in range(one.frames))
    return all(np.array_equal(stored_values(this, split), stored_values(that, split)) for this, that in pairs)
