"""Values that wrapped round: too bright for the stored bits, they come out darker than air within dense tissue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.load.words import EXPORT_AGAIN

_BRIGHT_HU, _BRIGHT_SHARE, _FEWEST = 200, 0.5, 20
"""What surrounds true padding is air or a cut-off body, and a dark streak touches metal at its end alone; what wrapped
has bone or metal all around it."""


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
