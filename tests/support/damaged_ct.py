"""A chest with a scanner's noise, and what damage makes of it; volumes are int16 (i, j, k) HU, slices along k."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from corpus_doubts import body
from ct_factory import Grid, positions
from scipy.ndimage import gaussian_filter

from core.errors import UserFacingError
from core.intake.scan.checks.neighbour_slices import refuse_outlier_slices

Volume = npt.NDArray[np.int16]
FINE = Grid((144, 120, 40), (2.5, 2.5, 2.5))


def fine_body(noise_hu: float = 12) -> Volume:
    """40 slices of a chest that changes from slice to slice, as organs do, under noise; each call has its own."""
    return _fine_body(noise_hu).copy()


@lru_cache(maxsize=4)
def _fine_body(noise_hu: float) -> Volume:
    places = positions(FINE.affine_ras, FINE.shape)
    rng = np.random.default_rng(2)
    organs = gaussian_filter(rng.normal(size=FINE.shape), 4)
    hu = body(places)
    hu = np.where(hu > -300, hu + 60 * organs / organs.std(), hu)
    return np.rint(hu + rng.normal(0, noise_hu, hu.shape)).astype(np.int16)


def told(voxels: Volume, axis: int = 2, *, measured: bool = True) -> str:
    """What is said of the slices of a volume, be it a refusal."""
    try:
        return " ".join(refuse_outlier_slices(np.asfortranarray(voxels), axis, measured=measured))
    except UserFacingError as error:
        return f"refused: {error.found}"


def torn(voxels: Volume, place: int, pixels: int, axis: int = 0) -> Volume:
    """The second half of the lines of one slice moved along an axis of it."""
    out = voxels.copy()
    plane = out[:, :, place] if axis == 0 else out[:, :, place].T
    half = plane.shape[1] // 2
    plane[:, half:] = np.roll(plane[:, half:], pixels, 0)
    return out


def boxed(voxels: Volume, value: int, slices: slice, size: int = 40) -> Volume:
    """A square of one value in the middle of slices."""
    out = voxels.copy()
    left, top = (count // 2 - size // 2 for count in voxels.shape[:2])
    out[left : left + size, top : top + size, slices] = value
    return out


def copied(voxels: Volume, place: int, noise_hu: float) -> Volume:
    """A slice written over the next one, with a little noise."""
    out = voxels.copy()
    noise = np.random.default_rng(7).normal(0, noise_hu, voxels.shape[:2])
    out[:, :, place + 1] = np.rint(voxels[:, :, place] + noise)
    return out
