"""Motion between slices: does any slice lie sideways of its neighbours?

A patient who moves, or slices put together from several passes, leave slices displaced within their plane. Anatomy also
shifts from slice to slice, but evenly; a displacement that its neighbours do not share is motion. Blur and double
contours within one slice are not judged: without the raw data they cannot be told from a smooth kernel, thick slices
or the beating heart of every scan without gating.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from core.quality.limits import LEAST_NEIGHBOURS
from core.quality.voxels import cell_strides
from core.records import CtStudy, FloatArray

_SMOOTH_CELLS = 1.5
"""Width of the Gaussian before gradients are taken, in cells of 4 mm: the method asks for shifts below it; chosen, see
docs/results/quality_constants.md."""
_AROUND = 7
"""Steps whose median is the usual shift: half of them hold a shift of up to three slices; chosen, see there."""
_OUTERMOST = 2
"""Steps left out at either end, chosen: resampled scans end in one or two partly filled slices."""


def largest_shift(study: CtStudy, planes: FloatArray) -> tuple[float, int]:
    """(largest unshared in-plane displacement between neighbours in mm, index of the lower slice).

    NaN below 8 slices, and where these are not two cells wide and high: then nothing can be said to move.
    planes: of `voxels.planes_mm` for the same study. The two outermost pairs at either end are left out: resampled
    scans often end in partly filled slices.
    """
    if study.shape[2] < LEAST_NEIGHBOURS or min(planes.shape[:2]) < 2:
        return float("nan"), 0
    (i, j), (x, y, _) = cell_strides(study), study.spacing_mm
    unshared = unshared_shifts_mm(planes, (i * x, j * y))[_OUTERMOST:-_OUTERMOST]
    worst = int(np.argmax(unshared))
    return float(unshared[worst]), worst + _OUTERMOST


def unshared_shifts_mm(planes: FloatArray, cell_mm: tuple[float, float]) -> FloatArray:
    """(slices - 1,) displacement of each plane against the one below, less the median of the seven around it, mm.

    planes: (I, J, slices) on cells of cell_mm.
    """
    shifts = _shifts(planes) * np.array(cell_mm)[:, None]
    usual = ndimage.median_filter(shifts, (1, _AROUND), mode="nearest")
    return np.asarray(np.hypot(*(shifts - usual)), np.float32)


def _shifts(planes: FloatArray) -> FloatArray:
    """(2, slices - 1) displacement in cells between neighbours, least squares over the picture (Lucas, Kanade 1981)."""
    smooth = ndimage.gaussian_filter(np.asarray(planes, np.float32), (_SMOOTH_CELLS, _SMOOTH_CELLS, 0))
    change = np.diff(smooth, axis=2)
    middle = (smooth[:, :, 1:] + smooth[:, :, :-1]) / 2
    along, across = np.gradient(middle, axis=0), np.gradient(middle, axis=1)
    ii, ij, jj = ((a * b).sum((0, 1)) for a, b in ((along, along), (along, across), (across, across)))
    it, jt = (along * change).sum((0, 1)), (across * change).sum((0, 1))
    whole = np.maximum(ii * jj - ij * ij, 1e-6)
    return np.asarray([-(jj * it - ij * jt) / whole, -(ii * jt - ij * it) / whole], np.float32)
