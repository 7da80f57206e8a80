"""Single rows that do not belong to their picture, as a decoder's error leaves them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.records import CtStudy

_SAMPLES, _RANGE_HU, _TOGETHER = 128, (-1000, 400), 8
_LEAST_HU, _TIMES = 4.0, 3.2
"""In nine real series and eleven variants of each (every second slice, sharp, noisy, with metal, thick and more) a row
leaves the mean of those above and below at most 2.1 times as far as rows two and three away and the same rows of the
slices around leave theirs; a row of noise 5.3 to 59 times, one that is half of noise 3.6 to 29."""
_REACH = (2, 3)
"""How many rows away others are compared: those beside a damaged one are half as far off as it is."""
_FEWEST_SLICES, _FEWEST_ROWS = 3, 16
Bends = npt.NDArray[np.float32]
"""(slices, rows - 2): how far each inner row lies from the mean of those beside it, mean absolute HU."""


def slices_with_odd_rows(study: CtStudy) -> int:
    """Number of axial slices with a row that bends away from its neighbours as none around does."""
    planes = study.voxels_hu.T
    if len(planes) < _FEWEST_SLICES or planes.shape[1] < _FEWEST_ROWS:
        return 0
    bends = _bends(planes)
    slices = np.pad(bends, ((1, 1), (0, 0)), mode="reflect")
    usual = np.maximum(slices[:-2], slices[2:])
    most = max(_REACH)
    rows = np.pad(bends, ((0, 0), (most, most)), mode="reflect")
    for reach in _REACH:
        for start in (most - reach, most + reach):
            np.maximum(usual, rows[:, start : start + bends.shape[1]], out=usual)
    odd = bends > _TIMES * np.maximum(usual, _LEAST_HU)
    return int(np.count_nonzero(odd.any(axis=1)))


def _bends(planes: npt.NDArray[np.int16]) -> Bends:
    """See `Bends`, by some of the columns. planes: int16 (slices, rows, columns) HU."""
    some = planes[:, :, :: max(1, planes.shape[2] // _SAMPLES)]
    bends = np.empty((len(some), some.shape[1] - 2), np.float32)
    for first in range(0, len(some), _TOGETHER):
        part = np.clip(some[first : first + _TOGETHER], *_RANGE_HU)
        step = part[:, 1:] - part[:, :-1]
        bends[first : first + _TOGETHER] = np.abs(step[:, 1:] - step[:, :-1]).sum(axis=2, dtype=np.int32)
    bends /= 2 * some.shape[2]
    return bends
