"""Stored values to int16 Hounsfield units, and padding outside the field of view to air."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.intake.files.limits import workers
from core.intake.scan.overflow import from_the_ends, refuse_overflow
from core.intake.scan.reorient import write_turned

AIR_HU = -1024
PADDING_BELOW_HU = -1500
"""Nothing in a CT is this dark; lower values mark pixels outside the reconstructed field."""

_BRIGHT_HU = 1500
"""Only teeth, metal and made values are brighter, and of these only the last reach in from the ends of rows."""

Volume = npt.NDArray[np.int16]
Number = TypeVar("Number", int, float)
Ends = tuple[int, int]
"""Lowest and highest value in HU."""
Stored = npt.NDArray[np.integer[Any] | np.floating[Any]]
_RANGE = (-32768, 32767)
_INNER_SHARE, _PADDED_PLANES = 0.1, 8
BEYOND_BONE_HU = 4000
"""Nothing brighter fits 12 bits; the extended scale ends at -10240 HU."""


def rescale_into(
    stored: Stored, slope: float, intercept: float, out: Volume, *, stored_ends: Ends | None = None
) -> Ends:
    """Write round(slope * stored + intercept) into `out` without a float64 temporary; returns its extremes.

    stored_ends: the lowest and highest stored value, where they are known.
    Raises UserFacingError where a result does not fit int16 or the rescale is not finite.
    """
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0:
        raise bad_rescale()
    ends = np.array(stored_ends or (stored.min(), stored.max()), stored.dtype)
    if not all(_RANGE[0] <= float(end) * slope + intercept <= _RANGE[1] for end in ends):
        raise UserFacingError(
            "Rescaled values leave the range of a CT.",
            "Hounsfield units between -32768 and 32767",
            "Export or convert the original CT again; the rescale or the sign of the stored values is probably wrong.",
        )
    if slope == 1 and intercept == int(intercept) and stored.dtype.kind in "iu" and abs(intercept) < 32768:
        _write_shifted(stored, int(intercept), out)
    else:
        write_turned(_rescaled(stored, slope, intercept), out)
    low, high = sorted(int(end) for end in _rescaled(ends, slope, intercept))
    return low, high


def _write_shifted(stored: Stored, offset_hu: int, out: Volume) -> None:
    """Write stored + offset_hu, which fits int16, into `out`, and add where it lies: it is then still in the cache."""
    if stored.dtype.itemsize == 2 and stored.dtype.isnative:  # sums that fit int16 are the same bits, signed or not
        write_turned(stored.view(np.int16), out)
        np.add(out, np.int16(offset_hu), out=out)
    else:
        wide = np.int16 if stored.dtype.itemsize <= 2 else np.int64
        write_turned(np.add(stored, wide(offset_hu), dtype=wide, casting="unsafe"), out)


def _rescaled(stored: Stored, slope: float, intercept: float) -> Stored:
    """Whole HU of values whose HU fit int16."""
    if stored.dtype.itemsize > 4:
        return np.rint(stored.astype(np.float64, copy=False) * slope + intercept)
    scaled = stored.astype(np.float32)
    scaled *= np.float32(slope)
    scaled += np.float32(intercept)
    return np.rint(scaled, out=scaled)


def lift_padding(
    stored: Stored, padding: int | None, slope: float, intercept: float, *, limit: int | None = None
) -> Stored:
    """Stored values whose declared padding becomes the lowest HU of int16; unchanged where it is readable as it is.

    That is padding below int16, and padding brighter than bone as far as it reaches in from the ends of rows:
    metal within the body may have its value. limit: other end of a range of padding values. Raises UserFacingError for
    a slope so small that no stored value is that dark.
    """
    if padding is None or not (0 < slope < math.inf) or not math.isfinite(intercept):
        return stored
    low, high = sorted((padding, padding if limit is None else limit))
    if padding * slope + intercept < _RANGE[0]:
        found = stored == padding
    elif low * slope + intercept >= _BRIGHT_HU:
        found = from_the_ends((stored >= low) & (stored <= high))
    else:
        return stored
    lowest = math.ceil((_RANGE[0] - intercept) / slope)
    if lowest < np.iinfo(np.int32).min:
        raise bad_rescale()
    lifted = stored.astype(np.int32)
    lifted[found] = lowest
    return lifted


def bad_rescale() -> UserFacingError:
    """The refusal for a rescale that is missing, zero or not finite."""
    return UserFacingError(
        "The rescale to Hounsfield units is missing or not a usable number.",
        "a finite, non-zero rescale slope and a finite intercept",
        "Export the original CT images, not a screen capture or a derived series.",
    )


def replace_padding(voxels: Volume, notes: list[str]) -> None:
    """Where padding is present (values below -1500), set everything below -1024 HU to -1024, in place, with a note.

    Raises UserFacingError where it lies within dense tissue, as values that wrapped round do; where metal is stored as
    bright as it is, nothing wrapped, and streaks beside it may be as dark.
    """
    if voxels.min() >= PADDING_BELOW_HU:
        return
    if not (metal := bool(voxels.max() > BEYOND_BONE_HU)):
        refuse_overflow(voxels, PADDING_BELOW_HU)
    share, inner = 0, 0 if metal else _inner_share(voxels)
    for plane in voxels.T:
        dark = plane < AIR_HU
        share += int(np.count_nonzero(dark))
        plane[dark] = AIR_HU
    what = (
        "Padding outside the field of view or dark streaks beside metal"
        if metal
        else "Padding outside the field of view"
    )
    notes.append(f"{what} ({100 * share / voxels.size:.1f}% of voxels) was set to -1024 HU.")
    if inner > _INNER_SHARE:
        notes.append(
            f"Of this padding, {100 * inner:.0f}% does not reach in from the edge: parts of the picture were cut out, "
            "or their values are damaged."
        )


def _inner_share(voxels: Volume) -> float:
    """The share of padding that lies within the picture, by a few of the planes."""
    planes = [plane < PADDING_BELOW_HU for plane in voxels.T[:: max(1, voxels.shape[2] // _PADDED_PLANES), ::2, ::2]]
    dark = sum(int(np.count_nonzero(plane)) for plane in planes)
    outer = sum(int(np.count_nonzero(from_the_ends(plane) | from_the_ends(plane.T).T)) for plane in planes)
    return 1 - outer / dark if dark else 0.0


def extremes(voxels: Volume) -> Ends:
    """Lowest and highest value, planes read side by side."""
    with ThreadPoolExecutor(workers()) as pool:
        return joined(list(pool.map(lambda plane: (int(plane.min()), int(plane.max())), voxels.T)))


def joined(parts: Sequence[tuple[Number, Number]]) -> tuple[Number, Number]:
    """The extremes of a whole from those of its parts.

    >>> joined([(-5, 3), (0, 9)])
    (-5, 9)
    """
    return min(low for low, _ in parts), max(high for _, high in parts)
