"""The same image twice: read once where nothing differs, refused where two claim to be one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from core.errors import UserFacingError
from core.load.dicom_header import ImageHeader
from core.load.entry import Entry
from core.load.stored_values import pixel_bytes, split_multiframe, stored_values
from core.load.words import EXPORT_AGAIN
from core.words import count_of

_Compared = dict[tuple[Entry, Entry], bool]


def without_copies(images: Sequence[ImageHeader], notes: list[str]) -> list[ImageHeader]:
    """Drop images that repeat another one value for value; refuse those that share an identity but differ."""
    kept: dict[object, ImageHeader] = {}
    compared: _Compared = {}
    for image in images:
        key = (image.sop_uid or id(image), image.frame)
        if key in kept and not same_image(kept[key], image, compared):
            raise UserFacingError("Two images claim to be the same one but differ.", "each image once", EXPORT_AGAIN)
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
