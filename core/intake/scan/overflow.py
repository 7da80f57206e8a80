"""Values that wrapped round: too bright for the stored bits, they come out darker than air within dense tissue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.intake.terms.safe_description import EXPORT_AGAIN
from core.wording import count_of

_BRIGHT_HU, _BRIGHT_SHARE, _FEWEST = 200, 0.5, 20
"""What surrounds true padding is air or a cut-off body, and a dark streak touches metal at its end alone; what wrapped
has bone or metal all around it."""
_METAL_HU, _RIM_HU, _SPOT_HU, _SPOTS_FEWEST, _LONGEST_SPOT, _METAL_SHARE = 2000, 1500, 0, 5, 40, 0.02
"""In seven real scans no pixel darker than water lies between what is as bright as metal; of metal balls of 4 to 8 mm
that were added to four of them and wrapped round at 12 bits, up to 62 do. What fills more than metal does is noise."""
_LOST_ABOVE_HU, _LOST_NEAR_HU, _LOST_FEWEST = 1024, 48, 10
_CUT_OFF = 5
"""Where bone of real scans was cut off at 976 to 1023 HU, more than so many times as many pixels have the end as the
value below it, and up to 17 dark spots lie within; where it lost a bit, hardly more have it."""
_LOST_LEVELS_HU = ((650, -250), (850, 250))
"""Rim and spot of bone that lost 2048 and 1024 HU: where the brightest pixels of a slice end just below 1024 HU, no
spot lies within its bone in nine real series, sharp, noisy, smooth, cropped, and with arms beside the body; where all
above lost so much, in eight of these and three virtual ones 79 to 19,800 and 11 to 4,500 do. The next bit is no matter
of this: below 2048 HU, 0 to 4 spots lie in intact slices and 0 to 450 in damaged ones."""


def refuse_overflow(voxels: npt.NDArray[np.int16], padding_below_hu: int) -> None:
    """Raise where values darker than anything lie within dense tissue: they are no padding outside the field of view.

    voxels: int16 (i, j, k) HU. padding_below_hu: values below it count. Padding reaches in from the ends of rows or
    columns, and what was cut out of lung or soft tissue has no dense rim.
    """
    within = around = dense = 0
    for plane in voxels.T:
        dark = plane < padding_below_hu
        if not _touches(dark, plane > _BRIGHT_HU):
            continue
        inner = dark & ~from_the_ends(dark) & ~from_the_ends(dark.T).T
        rim = plane[_beside(inner) & ~dark]
        within, around = within + int(np.count_nonzero(inner)), around + rim.size
        dense += int(np.count_nonzero(rim > _BRIGHT_HU))
    if within >= _FEWEST and dense > _BRIGHT_SHARE * around:
        raise UserFacingError(
            f"Values far below air lie within bone or metal, as after an overflow of stored values: {within:,} voxels.",
            "dense tissue that reads as dense",
            EXPORT_AGAIN,
        )


def count_spots(voxels: npt.NDArray[np.int16], high: int) -> int:
    """How many pixels darker than water metal encloses within their slice, as it does those that wrapped round.

    voxels: int16 (i, j, k) HU. high: the largest of them.
    """
    return sum(spots_in_metal(plane, int(plane.max())) for plane in voxels.T) if high > _METAL_HU else 0


def note_spots_in_metal(found: int) -> list[str]:
    """A doubt about so many spots. The shadows of metal reach away from it; those within a ring of it are told too."""
    if found < _SPOTS_FEWEST:
        return []
    return [
        f"Dark and enclosed by what is as bright as metal: {count_of(found, 'voxel')}. They lie in its shadow, or were "
        "too bright for the stored bits and wrapped round."
    ]


def count_lost(voxels: npt.NDArray[np.int16], high: int) -> int:
    """`spots_of_lost_bits` of all slices, where the largest value of them all ends as each of theirs would.

    voxels: int16 (i, j, k) HU. high: the largest of them.
    """
    if not _ends_at_a_bit(high):
        return 0
    return sum(spots_of_lost_bits(plane, int(plane.max())) for plane in voxels.T)


def note_lost_bits(found: int, high: int) -> list[str]:
    """A doubt about so many spots, where only some slices have them; raises where no slice of the volume is brighter.

    high: the largest value of the volume.
    """
    if found < _LOST_FEWEST:
        return []
    told = (
        f"Dark and enclosed by bone, as where brighter values lost a bit, in slices that end just below "
        f"{_LOST_ABOVE_HU:,} HU: {count_of(found, 'voxel')}"
    )
    if _ends_at_a_bit(high):
        raise UserFacingError(f"{told}.", "dense tissue that reads as dense", EXPORT_AGAIN)
    return [f"{told}."]


def spots_of_lost_bits(plane: npt.NDArray[np.int16], high: int) -> int:
    """How many dark pixels lie between bone to their left and right, or above and below them if that is fewer, in a
    slice whose brightest pixel is as bright as a value can be without its highest bit.

    plane: int16 (rows, columns) HU. high: the largest of them.
    """
    if not _ends_at_a_bit(high) or _is_cut_off(plane, high):
        return 0
    return sum(_enclosed(plane, *levels) for levels in _LOST_LEVELS_HU)


def _is_cut_off(plane: npt.NDArray[np.int16], high: int) -> bool:
    """Whether brighter values were set to the largest: far more pixels have it than the value below."""
    last, before = (np.count_nonzero(plane == value) for value in (high, high - 1))
    return bool(last > _CUT_OFF * (before + 1))


def _ends_at_a_bit(high: int) -> bool:
    return _LOST_ABOVE_HU - _LOST_NEAR_HU <= high < _LOST_ABOVE_HU


def spots_in_metal(plane: npt.NDArray[np.int16], high: int) -> int:
    """How many dark pixels lie between metal to their left and right, or above and below them if that is fewer.

    plane: int16 (rows, columns) HU. high: the largest of them.
    """
    return _enclosed(plane, _RIM_HU, _SPOT_HU) if high > _METAL_HU else 0


def _enclosed(plane: npt.NDArray[np.int16], rim_hu: int, spot_hu: int) -> int:
    """How many pixels below a value the brighter ones enclose, in short stretches of rows or, if fewer, columns."""
    height, width = plane.shape
    bright = np.flatnonzero(plane.max(axis=1) > rim_hu)  # few: what is found in them takes little memory
    rows, columns = np.nonzero(plane[bright] > rim_hu)
    rows = bright[rows]
    if len(rows) > _METAL_SHARE * plane.size:
        return 0
    values, rim, below, right = plane.ravel(), rows * width + columns, height - 1 - rows, width - 1 - columns
    across = _between(values, rim, 1, right, rim_hu, spot_hu)
    return min(across, _between(values, rim, width, below, rim_hu, spot_hu)) if across else 0


def _between(
    values: npt.NDArray[np.int16],
    rim: npt.NDArray[np.intp],
    step: int,
    room: npt.NDArray[np.intp],
    rim_hu: int,
    spot_hu: int,
) -> int:
    """How many pixels the short dark stretches have that begin and end at a bright one.

    rim: places of these in `values`. step: from a pixel to the next of a stretch. room: pixels behind each place.
    """
    begins = (room > 0) & (values[np.minimum(rim + step, values.size - 1)] < spot_hu)
    if not begins.any():
        return 0
    ahead, room = np.arange(1, _LONGEST_SPOT + 2), room[begins, None]
    stretch = values[rim[begins, None] + step * np.minimum(ahead, room)]
    long = np.argmin((stretch < spot_hu) | (ahead > room), axis=1)
    ends = stretch[np.arange(len(long)), long] > rim_hu
    return int(long[ends].sum())


def from_the_ends(found: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """What is found of each row without a gap from one of its ends on."""
    left = np.logical_and.accumulate(found, axis=1)
    return np.asarray(left | np.logical_and.accumulate(found[:, ::-1], axis=1)[:, ::-1])


def _touches(dark: npt.NDArray[np.bool_], bright: npt.NDArray[np.bool_]) -> bool:
    """Whether a dark pixel lies beside a bright one in its row."""
    return bool((dark[:, 1:] & bright[:, :-1]).any() or (dark[:, :-1] & bright[:, 1:]).any())


def _beside(found: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pixels above, below, left and right of those found."""
    out = np.zeros_like(found)
    out[1:] |= found[:-1]
    out[:-1] |= found[1:]
    out[:, 1:] |= found[:, :-1]
    out[:, :-1] |= found[:, 1:]
    return out
