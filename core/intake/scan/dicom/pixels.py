"""Pixel data of a stack decoded in parallel into one preallocated int16 HU volume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.intake.files.limits import LIMITS, Limits, check_grid, workers
from core.intake.scan.checks.neighbour_slices import refuse_wrong_width, thinned
from core.intake.scan.dicom.codecs import WITHOUT_WIDTH
from core.intake.scan.dicom.frames import NATIVE, Split, split_multiframe, stored_values
from core.intake.scan.dicom.header import ImageHeader
from core.intake.scan.geometry import Canonical, empty_volume, source_view
from core.intake.scan.hounsfield import Ends, Stored, Volume, bad_rescale, joined, lift_padding, rescale_into
from core.intake.scan.overflow import spots_in_metal, spots_of_lost_bits
from core.intake.terms.safe_description import EXPORT_AGAIN
from core.progress import Progress

_IN_A_ROW = 8
"""Slices one thread writes beside each other: threads that take turns touch each other's pages of new memory."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """voxels: int16 HU, canonical axes. ends: its `extremes`. stack: a copy of what `thinned` shows of it, spots, lost:
    how many `spots_in_metal` and `spots_of_lost_bits` find; taken while each slice was in the processor's cache.
    clipped: of how many slices bits above the declared ones were cut off that no header explains."""

    voxels: Volume
    ends: Ends
    stack: Volume
    spots: int
    lost: int
    clipped: int


def read_stack(
    images: Sequence[ImageHeader], axes: Canonical, *, progress: Progress | None = None, limits: Limits = LIMITS
) -> Decoded:
    """Decode `images` (in stack order) into an int16 HU volume with canonical axes.

    axes: reordering of (column, row, slice). Every slice is decoded straight into its place by a thread pool, so that
    one volume and one slice a thread exist at a time.
    """
    check_pixel_format(images)
    rows, columns = images[0].pixels.rows, images[0].pixels.columns
    source_shape = (columns, rows, len(images))
    check_grid(source_shape, limits)
    volume = empty_volume(source_shape, axes)
    planes = source_view(volume, axes).transpose(2, 1, 0)
    slice_axis = axes.order.index(2)
    seen = thinned(volume, slice_axis)
    stack = np.empty(seen.shape, np.int16)
    in_order = slice(None, None, -1 if axes.flipped[slice_axis] else 1)
    parts = list(zip(images, planes, seen[in_order], stack[in_order], strict=True))
    split = split_multiframe(images)
    ends: list[Ends] = []
    spots = lost = clipped = 0
    pool = ThreadPoolExecutor(workers())
    try:
        width = pool.submit(_check_width, split, images)
        running = [(run, pool.submit(_decode_run, split, parts, run)) for run in _runs(len(images))]
        width.result()
        for run, decoded in running:
            run_ends, run_spots, run_lost, run_clipped = decoded.result()
            ends.append(run_ends)
            spots += run_spots
            lost += run_lost
            clipped += run_clipped
            if progress:
                progress(run.stop / len(images), f"Reading slice {run.stop} of {len(images)}")
    finally:
        pool.shutdown(cancel_futures=True)
    return Decoded(volume, joined(ends), stack, spots, lost, clipped)


def _check_width(split: Split, images: Sequence[ImageHeader]) -> None:
    """Raise where the rows of the middle image seem to have another length; compressed frames mostly state theirs."""
    middle = images[len(images) // 2]
    if middle.pixels.transfer_syntax in NATIVE | WITHOUT_WIDTH:
        refuse_wrong_width(stored_values(middle, split), len(images))


def _runs(count: int) -> list[slice]:
    """Slices 0 to count - 1 in runs for the pool, shorter ones at the end so that no thread waits long for another."""
    starts = [0]
    while (left := count - starts[-1]) > 0:
        starts.append(starts[-1] + min(_IN_A_ROW, 1 + left // (4 * workers())))
    return [slice(start, stop) for start, stop in pairwise(starts)]


def check_pixel_format(images: Sequence[ImageHeader]) -> None:
    """Raise for pixels that are not plain monochrome CT values."""
    for image in images:
        pixels = image.pixels
        if pixels.photometric == "MONOCHROME1":
            raise _not_plain("The images are stored inverted (MONOCHROME1)")
        if pixels.samples != 1 or pixels.photometric != "MONOCHROME2":
            raise _not_plain("The images are colour pictures or do not say how their values are shown")
        width = pixels.bits_allocated
        if image.pixel_tag != 0x7FE00010 or width not in (8, 16) or (width == 8 and pixels.big_endian):
            raise _not_plain(f"The images store {width} bits a pixel")
        if not pixels.bits_stored:
            raise _not_plain(f"The images do not say how many of the {width} bits of a pixel are in use")
        if not width // 2 < pixels.bits_stored <= width or pixels.high_bit != pixels.bits_stored - 1:
            raise _not_plain(f"The images use {pixels.bits_stored} of {width} bits in an unusual way")
        if image.slope is None or image.intercept is None:
            raise bad_rescale()
        if image.has_modality_table:
            raise _not_plain("The images state a rescale and a lookup table, which exclude each other")
        if image.rescale_type not in ("", "HU", "HOUNSFIELD", "HOUNSFIELD UNITS", "US"):
            raise _not_plain("The rescaled values are declared to be something else than Hounsfield units")


def rescale_notes(images: Sequence[ImageHeader]) -> list[str]:
    """Doubts and facts about the rescale for the reader."""
    notes = []
    pairs = Counter((image.slope, image.intercept) for image in images)
    if len(pairs) > 1:
        notes.append(f"The rescale differs between slices ({len(pairs)} versions); each slice was read with its own.")
    if any(
        slope != int(slope or 0) or offset != int(offset or 0)
        for slope, offset in pairs
        if slope and offset is not None
    ):
        notes.append("Rescaled values were rounded to whole HU.")
    if any(image.rescale_type == "US" for image in images):
        notes.append("The unit of the rescaled values is declared as unspecified; the value range is that of HU.")
    return notes


def _not_plain(found: str) -> UserFacingError:
    return UserFacingError(
        found, "8- or 16-bit MONOCHROME2 CT images in Hounsfield units", "Export the original CT series."
    )


def _decode_run(
    split: Split, parts: Sequence[tuple[ImageHeader, Volume, Volume, Volume]], run: slice
) -> tuple[Ends, int, int, int]:
    """Decode a run of images, each into its plane (rows, columns), of which a thinned view is copied; returns the
    extremes, the numbers of `spots_in_metal` and `spots_of_lost_bits`, and that of images whose bits were clipped.

    A refusal tells which image, by its position.
    """
    ends, spots, lost, clipped = [], 0, 0, 0
    for number, (image, plane, seen, copy) in enumerate(parts[run], run.start + 1):
        try:
            found, is_clipped = _decode_into(split, image, plane)
        except UserFacingError as error:
            raise error.where(f"Slice {number} of {len(parts)}, by position") from error
        ends.append(found)
        copy[:] = seen
        spots += spots_in_metal(plane, found[1])
        lost += spots_of_lost_bits(plane, found[1])
        clipped += is_clipped
    return joined(ends), spots, lost, clipped


def _decode_into(split: Split, image: ImageHeader, out: Volume) -> tuple[Ends, bool]:
    """Decode one image and write its HU into `out` (rows, columns); returns its extremes, and whether bits were cut
    off that nothing explains."""
    stored = stored_values(image, split)
    ends = int(stored.min()), int(stored.max())
    inside, is_clipped = _significant_bits(stored, ends, image)
    if image.slope is None or image.intercept is None:
        raise bad_rescale()
    lifted = lift_padding(inside, image.padding, image.slope, image.intercept, limit=image.padding_limit)
    own_ends = ends if lifted is stored else None
    return rescale_into(lifted, image.slope, image.intercept, out, stored_ends=own_ends), is_clipped


def _significant_bits(stored: Stored, ends: Ends, image: ImageHeader) -> tuple[Stored, bool]:
    """Stored values without what lies above the declared bits (PS3.5 8.1.1), and whether that is neither declared an
    overlay nor the missing sign; refuses values that do not fit.

    ends: the lowest and highest of them.
    """
    bits, signed = image.pixels.bits_stored, image.pixels.signed
    width = 8 * stored.dtype.itemsize
    if bits == width:
        return stored, False
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if ends[0] >= low and ends[1] <= high:
        return stored, False
    native = stored.astype(f"={stored.dtype.kind}{stored.dtype.itemsize}")
    upper = np.unique(native.view(f"=u{stored.dtype.itemsize}") >> bits)
    shift = width - bits
    inside = np.asarray((native << shift) >> shift)
    swapped = native.byteswap()
    if int(swapped.min()) >= low and int(swapped.max()) <= high and _roughness(swapped) < _roughness(inside):
        raise UserFacingError(
            "The two bytes of every pixel seem to be exchanged.", "pixels in the declared byte order", EXPORT_AGAIN
        )
    declared = image.overlay_in_pixels or (signed and upper.tolist() == [0])
    if not declared and 2 * _roughness(inside) > _roughness(native):
        raise UserFacingError(
            f"Stored values do not fit the declared {bits} bits.", "values within the declared bits", EXPORT_AGAIN
        )
    return inside, not declared


def _roughness(plane: npt.NDArray[Any]) -> float:
    """Mean difference of neighbouring pixels; bits that belong to the image make it smooth, foreign ones rough."""
    wide = plane.astype(np.int32)
    return float(np.abs(np.diff(wide, axis=0)).mean() + np.abs(np.diff(wide, axis=1)).mean())
