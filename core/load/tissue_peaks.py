"""Do fat and muscle lie where they do in every CT? Told by the peaks of a histogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

_FIRST_HU, _LAST_HU, _SMOOTH_HU = -400, 500, 8
_TALL, _SMALL, _SINGLE = 0.15, 0.03, 0.2
"""Least prominence of a peak of tissue, and of one that may be a little fat, over the fullest value; most that a single
value holds of what lies within 25 HU of it, as of the constant parts of a phantom it does not."""
_FAT_HU, _APART_HU, _AROUND_HU = (-130, -75), (100, 250), 25
"""In seven real scans fat peaks at -108 to -96 HU, and muscle or organs 145 to 167 HU above; 80 kV makes fat some 15 HU
darker."""
_NEAR_FAT_HU, _UNEVEN_HU = (-160, -40), 18
"""In a quarter of the slices of these scans it lies at most 12 HU from where it lies in another."""
_CLEAR_HU, _NARROW_HU = 132, 50
"""Noise of 45 HU and more, and blur in three dimensions, draw fat towards muscle, to 116 to 128 HU from it, or make one
wide peak of both; in these scans it lies 133 to 194 HU away, and falls to half its height within 17 to 40 HU."""
Counts = npt.NDArray[np.intp]


def doubts_of_tissue(parts: Sequence[Counts], first_hu: int) -> list[str]:
    """Doubts where two tissues stand out as fat and muscle do, and fat is not where it lies at any tube voltage, or
    where it lies elsewhere in one part of the volume than in another.

    parts: how many voxels of each part along the body have each value, from `first_hu` on.
    """
    shown = slice(_FIRST_HU - first_hu, _LAST_HU - first_hu)
    return _elsewhere(np.sum([part[shown] for part in parts], axis=0)) + _uneven([part[shown] for part in parts])


def _elsewhere(counts: Counts) -> list[str]:
    heights, prominences = _peaks(counts, _SMALL)
    tall = heights[prominences >= _TALL]
    if len(tall) != 2 or any(_FAT_HU[0] <= height <= _FAT_HU[1] for height in heights):
        return []
    fat, muscle = map(int, tall)
    if not _APART_HU[0] <= muscle - fat <= _APART_HU[1] or any(_is_single(counts, height) for height in (fat, muscle)):
        return []
    return [
        f"Two tissues stand out, near {fat} and {muscle} HU; fat lies near -100 HU in every CT and muscle near 50. The "
        "slope or offset may be wrong."
    ]


def _uneven(parts: Sequence[Counts]) -> list[str]:
    found = [height for counts in parts if (height := _clear_fat(counts)) is not None]
    if not found or max(found) - min(found) < _UNEVEN_HU:
        return []
    return [
        f"Fat lies near {min(found)} HU in one part of the volume and near {max(found)} in another: some slices may "
        "have another rescale, or belong to another scan."
    ]


def _clear_fat(counts: Counts) -> int | None:
    """Where fat peaks; None where it does not, or where noise or blur have drawn it towards muscle."""
    heights = [int(height) for height in _peaks(counts, _TALL)[0]]
    fat = [height for height in heights if _NEAR_FAT_HU[0] <= height <= _NEAR_FAT_HU[1]]
    if len(fat) != 1 or _is_single(counts, fat[0]):
        return None
    smooth, place = gaussian_filter1d(counts.astype(np.float64), _SMOOTH_HU), fat[0] - _FIRST_HU
    is_narrow = smooth[max(0, place - _NARROW_HU) : place].min() < smooth[place] / 2
    is_apart = all(not 0 < height - fat[0] < _CLEAR_HU for height in heights)
    return fat[0] if is_narrow and is_apart else None


def _peaks(counts: Counts, prominence: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Where values pile up, in HU, and how far each peak stands out, over the fullest value."""
    smooth = gaussian_filter1d(counts.astype(np.float64), _SMOOTH_HU)
    smooth /= max(smooth.max(), 1e-9)
    is_peak = (smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] > smooth[2:])
    places = 1 + np.flatnonzero(is_peak & (smooth[1:-1] >= prominence))  # none stands out by more than its height
    found = np.array([prominence_of(smooth, int(place)) for place in places])
    return _FIRST_HU + places[found >= prominence], found[found >= prominence]


def prominence_of(curve: npt.NDArray[np.float64], place: int) -> float:
    """How far a peak stands above the higher of the lowest points between it and higher ones (or the ends).

    Loading `scipy.signal`, which has this too, takes longer than reading a series.
    """
    higher = np.flatnonzero(curve > curve[place])
    left, right = higher[higher < place].max(initial=-1) + 1, higher[higher > place].min(initial=len(curve))
    return float(curve[place] - max(curve[left : place + 1].min(), curve[place:right].min()))


def _is_single(counts: Counts, height: int) -> bool:
    """Whether one value holds much of a peak."""
    place = height - _FIRST_HU
    around = counts[max(0, place - _AROUND_HU) : place + _AROUND_HU + 1]
    return bool(around.max() > _SINGLE * around.sum())
