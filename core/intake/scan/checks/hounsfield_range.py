"""Can a volume be a CT in Hounsfield units at all? Judged by its extremes and by a histogram of an even sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from core.errors import UserFacingError
from core.intake.scan.hounsfield import BEYOND_BONE_HU, PADDING_BELOW_HU, Ends, Volume

_HIGHEST_SHARE = 1.001
"""The largest value of a map of probabilities, whose sum in float32 may exceed 1 a little."""
_LOWEST_HU = -32768
_SAMPLE, _RUN, _COUNTED, _PARTS = 1_000_000, 32, 1 << 18, 4
"""Voxels of the sample, and how many side by side: as many as the processor fetches at once."""
_RIM_SHARE, _DARK_SHARE = 0.05, 0.001
_FEWEST_LEVELS, _LEVELS_8_BIT = 8, 256
_BONE_HU, _TOP_SHARE, _METAL_SHARE = 600, 0.005, 0.01
"""The highest top of a window in HU, the share of voxels cut off there, and, where a window was stretched over all
values of so many bits, the share that metal at a scanner's limit leaves far behind."""
_SCANNER_TOP_HU, _CUT_FEWEST = 2900, 20
"""Scanners end at 2976 HU or above, where 12 bits do."""
_AS_AIR_HU = -940
_AIRY_HU, _AIRY_SHARE, _PADDING_SHARE, _DARKEST_HU = -800, 0.05, 0.3, -1060
"""The middle of the voxels below -800 HU lies from -1011 to -836 in real scans."""
_DENSE_HU = -520
"""Darker voxels are air or lung; the tissues are told by the others."""
_SOFT_SHARE = 0.06
"""Least share of soft tissue (-200 to 200 HU) among the dense voxels. Real scans have .86 to .90; the same scans with
half, one and a half or twice the slope, or 500 HU too high, .005 to .056; an even ramp over 12 bits has .11."""
_MODE_HU, _MODE_SHARE, _FAT_HU, _MODE_SPREAD = 60, 0.2, -150, 0.5
"""The fullest 60 HU hold 25 to 39 % of a real scan's dense voxels and are muscle or fat, -102 HU or more; no single
value holds half of them."""
_ORGANS_HU = 150
"""The fullest 60 HU of six real scans lie at -103 to 63; enhanced liver and spleen reach about 120 HU."""
_SOFT_HU, _MASKED_SHARE, _MASKED_RATIO, _FILLED_HU = 200, 0.05, 5, -780
"""In real scans one value of soft tissue holds at most 0.4 % of the voxels, and hardly more than those beside it; what
is as dark as air may be one value everywhere."""
_WRAPPED_HU, _WRAPPED_SHARE = 2500, 0.01
"""Real scans have at most .05 % of such voxels, of metal; air that wrapped at 12 bits lies there."""
_PEAK_HU, _PEAK_SHARE = 100, 0.06
"""The fullest 100 HU hold 16 % or more of a real scan's voxels, be it cropped to the heart and under 60 HU of noise; of
equalised or random values 2 to 4 %."""
_STREAK_FEWEST, _STREAK_SHARE, _STREAK_HU = 20, 0.02, -10240
"""Streaks beside metal; the extended scale ends at -10240 HU."""
_BITS_HU, _BIT_SHARE = tuple(2**place for place in range(1, 9)), 0.999
_FILLING_SHARE, _MEASURED_SHARE = 0.05, 0.2
"""The fuller half of every 2 to 512 HU holds at most .91 of the values of real series, .97 of made ones; all of them
where the bit of that half was lost or never cleared. Of the bits above, most tissue shares one."""
_WIDE_HU, _NOISE_SHARE = 400.0, 0.9
"""Neighbours in real scans differ by at most .24 of what any two pixels do, 60 HU of noise included; random ones by
.98. Water alone under noise spans little."""
_FLOOR_HU, _FLOOR_SHARE = -780, 0.05
_HARD_HU, _HARD_SHARE, _DARK_AIR_SHARE = 700, 0.3, 0.01
"""Dense bone and metal fill at most 1.2 % of real scans, and air hardly less than 1 %; of the same scans with the sign
reversed, 33 to 70 % and at most 0.6 %."""
_FIRST_HU, _LAST_HU, _SMOOTH_HU = -400, 500, 8
_TALL, _SMALL, _SINGLE = 0.15, 0.03, 0.2
"""Least prominence of a peak of tissue, and of one that may be a little fat, over the fullest value; most that a single
value holds of what lies within 25 HU of it, as of the constant parts of a phantom it does not."""
_FAT_PEAK_HU, _APART_HU, _AROUND_HU = (-130, -75), (100, 250), 25
"""In seven real scans fat peaks at -108 to -96 HU, and muscle or organs 145 to 167 HU above; 80 kV makes fat some 15 HU
darker."""
_NEAR_FAT_HU, _UNEVEN_HU = (-160, -40), 18
"""In a quarter of the slices of these scans it lies at most 12 HU from where it lies in another."""
_CLEAR_HU, _NARROW_HU = 132, 50
"""Noise of 45 HU and more, and blur in three dimensions, draw fat towards muscle, to 116 to 128 HU from it, or make one
wide peak of both; in these scans it lies 133 to 194 HU away, and falls to half its height within 17 to 40 HU."""
Counts = npt.NDArray[np.intp]


def refuse_unless_hounsfield(voxels: Volume, ends: Ends, *, resampled: bool = True) -> list[str]:
    """Raise unless the values can be a CT in HU; return doubts that do not stop it.

    ends: `extremes` of the voxels. resampled: whether the volume may have been interpolated, which gives padding a
    rim of many values.
    Checked on an even sample: not constant, not a mask, not normalised or windowed, air or lung and soft tissue
    present, no more than stray values beyond metal.
    """
    low, high = ends
    quarters = [_histogram(part) for part in np.array_split(_even_sample(voxels), _PARTS)]
    counts = np.sum(quarters, axis=0)
    inside = counts[_at(PADDING_BELOW_HU) :]
    if low < high and inside.sum() < 0.02 * counts.sum():
        raise _not_hu("Almost all voxels are padding")
    refuse_narrow(low, high)
    span = f"The values run from {low} to {high}"
    _refuse_varied_padding(counts, span, _RIM_SHARE if resampled else _DARK_SHARE)
    _refuse_ranges(counts, span)
    odd = [*_even_spread(inside), *_disorder(voxels[:, :, voxels.shape[2] // 2])]
    present = np.flatnonzero(inside)
    inside, levels = inside[present], present + PADDING_BELOW_HU
    if len(levels) < _FEWEST_LEVELS:
        raise _not_hu(f"Only {len(levels)} different values occur, as in a mask")
    _refuse_window(levels, inside, span)
    odd += _displaced(levels, inside, span) or doubts_of_tissue(quarters, _LOWEST_HU)
    return odd + _doubts(levels, inside, high)


def refuse_narrow(low: float, high: float) -> None:
    """Raise where the lowest and the highest value alone, rounded to whole HU or not, show that these are no HU."""
    if low == high:
        raise _not_hu("All voxels have one value")
    if low >= 0 and high <= _HIGHEST_SHARE:
        raise _not_hu("All values lie between 0 and 1, as in a probability map, a mask or a normalised image")
    span = f"The values run from {round(low, 2):g} to {round(high, 2):g}"
    if high - max(low, PADDING_BELOW_HU) < 50:
        raise _not_hu(f"{span}: already normalised, or a mask")
    if low >= 0:
        kind = "an 8-bit picture or a mask" if high <= 255 else "stored values without their offset"
        raise _not_hu(f"{span}, never below 0: {kind}")


def _histogram(sample: Volume) -> Counts:
    """How often each value from -32768 to 32767 HU occurs."""
    gathered, counts = sample.view(np.uint16), np.zeros(65536, np.intp)
    for start in range(0, len(gathered), _COUNTED):  # `bincount` makes eight bytes of each value
        counts += np.bincount(gathered[start : start + _COUNTED], minlength=65536)
    return np.roll(counts, 32768)


def _at(value_hu: int) -> int:
    """The place of a value in a histogram."""
    return value_hu - _LOWEST_HU


def _even_sample(voxels: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """About a million voxels, in short runs at an even stride over the whole volume."""
    values = voxels.ravel(order="K")
    stride = values.size // _SAMPLE | 1
    return values[: values.size // _RUN * _RUN].reshape(-1, _RUN)[::stride].ravel() if stride > 1 else values


def _refuse_varied_padding(counts: Counts, span: str, share: float) -> None:
    """Refuse many different values below -1500: padding is one value, with a thin rim where it was resampled.

    Streaks beside metal are as dark in the extended scale, which stores both as they are.
    """
    dark = counts[: _at(PADDING_BELOW_HU)]
    if counts[_at(BEYOND_BONE_HU + 1) :].sum() >= _STREAK_FEWEST and not counts[: _at(_STREAK_HU)].any():
        share = max(share, _STREAK_SHARE)
    if dark.sum() - dark.max() > share * counts.sum():
        raise _not_hu(f"{span}; many lie below any tissue or air, as after an overflow")


def _refuse_ranges(counts: Counts, span: str) -> None:
    """Refuse shifted or scaled values: lungs or air, and soft tissue, must be where HU puts them."""
    total = counts[_at(PADDING_BELOW_HU) :].sum()
    if counts[_at(PADDING_BELOW_HU) : _at(-300)].sum() < 0.002 * total:
        raise _not_hu(f"{span}, without air or lung (below -300 HU)")
    if counts[_at(-199) : _at(400)].sum() < 0.01 * total:
        raise _not_hu(f"{span}, almost without soft tissue (-200 to 400 HU)")
    bright = counts[_at(_WRAPPED_HU + 1) :]
    if bright.sum() - bright.max() > _WRAPPED_SHARE * total:
        raise _not_hu(f"{span}; {100 * bright.sum() / total:.0f}% lie above {_WRAPPED_HU}, as where air wrapped round")
    if counts[_at(4001) :].sum() > 0.01 * total:
        raise _not_hu(f"{span}; more than 1% lie above 4000, which no tissue reaches")


def _even_spread(inside: Counts) -> list[str]:
    """A doubt about values spread evenly, as by histogram equalisation; no more, as a made test object may be so."""
    sums = np.concatenate([[0], np.cumsum(inside)])
    if (sums[_PEAK_HU:] - sums[:-_PEAK_HU]).max() < _PEAK_SHARE * sums[-1]:
        return ["No tissue stands out, so evenly are the values spread: they may have been equalised for display."]
    return []


def _disorder(plane: Volume) -> list[str]:
    """A doubt about a plane of wide range whose neighbouring pixels are no more alike than any two of it."""
    values = plane.astype(np.float32)
    if min(plane.shape) < 2 or float(np.subtract(*np.percentile(values[::2, ::2], [75, 25]))) < _WIDE_HU:
        return []
    some = values.ravel()[::7]
    far = float(np.abs(some - np.random.default_rng(0).permutation(some)).mean())
    if min(float(np.abs(np.diff(values, axis=axis)).mean()) for axis in (0, 1)) > _NOISE_SHARE * far:
        return ["Neighbouring pixels are no more alike than distant ones: this seems to be noise and no picture."]
    return []


def _refuse_window(levels: Counts, counts: Counts, span: str) -> None:
    """Refuse a volume cut off at the lower end of a display window (air missing, many voxels at one lowest value) or at
    the upper one (bone missing, many voxels at one top value), in HU or stretched over all values of 8 to 16 bits."""
    if len(levels) < 64:
        return
    if levels[0] > _FLOOR_HU and counts[0] > max(_FLOOR_SHARE * counts.sum(), 5 * counts[1:6].max()):
        raise _not_hu(f"{span}, cut off at the bottom as by a display window")
    stretched = int(levels[-1] - levels[0] + 1).bit_count() == 1
    if levels[-1] > _BONE_HU and not stretched:
        return
    share = _TOP_SHARE if levels[-1] <= _BONE_HU else _METAL_SHARE
    if counts[-1] > share * counts.sum() and counts[-1] > 5 * counts[-6:-1].max():
        raise _not_hu(f"{span}, cut off at the top as by a display window")


def _displaced(levels: Counts, counts: Counts, span: str) -> list[str]:
    """Refuse tissues that lie where no tissue does, as after a wrong slope, offset or sign; a doubt where they lie as
    high as contrast agent and bone do."""
    hard, dark = counts[levels > _HARD_HU].sum(), counts[levels < _AS_AIR_HU].sum()
    if hard > _HARD_SHARE * counts.sum() and dark < _DARK_AIR_SHARE * counts.sum():
        share = 100 * hard / counts.sum()
        raise _not_hu(f"{span}; {share:.0f}% lie above {_HARD_HU}, and hardly any are as dark as air")
    dense = levels > _DENSE_HU
    values, numbers = levels[dense], counts[dense]
    total, most = numbers.sum(), numbers.max(initial=0)
    # One value that fills a tenth is a limit or a made background, not tissue.
    tissue = total - most if most > 0.1 * total else total
    if numbers[np.abs(values) <= 200].sum() < _SOFT_SHARE * tissue:
        raise _not_hu(f"{span}, with hardly any soft tissue among what is no air or lung")
    ends = np.searchsorted(values, values + _MODE_HU)
    sums = np.concatenate([[0], np.cumsum(numbers)])
    fullest = int(np.argmax(sums[ends] - sums[:-1]))
    held = numbers[fullest : ends[fullest]]
    centre = int(np.average(values[fullest : ends[fullest]], weights=held))
    common = held.sum() >= _MODE_SHARE * total and held.max() < _MODE_SPREAD * held.sum()
    if common and not _FAT_HU <= centre <= _BONE_HU:
        raise _not_hu(f"{span}; most of what should be tissue lies near {centre}")
    if common and centre > _ORGANS_HU:
        return [
            f"Most of what should be tissue lies near {centre} HU, above any organ: the slope or offset may be wrong."
        ]
    return []


def _doubts(levels: Counts, counts: Counts, high: int) -> list[str]:
    notes = []
    if high > 4000:
        notes.append(f"Some values reach {high} HU, as metal does.")
    if cut := _cut_off(levels, counts):
        notes.append(cut)
    if counts[levels < _AS_AIR_HU].sum() < 0.001 * counts.sum():
        notes.append("Hardly anything is as dark as air (-1000 HU); the offset of the values may be wrong.")
    if _is_too_dark(levels, counts):
        notes.append("Most of the air is far darker than air (-1000 HU); the offset of the values may be wrong.")
    if len(levels) < 64:
        notes.append(f"Only {len(levels)} different values occur; a measured CT has hundreds.")
    elif (grain := int(np.gcd.reduce(np.diff(levels)))) > 2:
        notes.append(f"Values come in steps of {grain} HU; the data may have passed through an 8-bit export.")
    elif bit := _lost_bit(levels, counts):
        notes.append(
            f"Of every {2 * bit} HU one half never occurs: a bit worth {bit} HU of the stored values was probably lost."
        )
    elif len(levels) <= _LEVELS_8_BIT and np.median(np.diff(levels)) > 2:
        notes.append(f"Only {len(levels)} different values occur; the data may have passed through an 8-bit export.")
    if notice := _masked(levels, counts):
        notes.append(notice)
    return notes


def _lost_bit(levels: Counts, counts: Counts) -> int:
    """The power of two whose bit all values share, in whatever place of each run of twice as many; 0 for none.

    Values that fill much of the volume are padding or cut off, and tell nothing of the others.
    """
    measured = counts < _FILLING_SHARE * counts.sum()
    values, numbers = levels[measured], counts[measured]
    if len(values) <= _LEVELS_8_BIT or numbers.sum() < _MEASURED_SHARE * counts.sum():
        return 0
    for bit in _BITS_HU:
        held = np.bincount(values % (2 * bit), numbers, minlength=2 * bit)
        sums = np.concatenate([[0], np.cumsum(np.tile(held, 2))])
        if (sums[bit : 3 * bit] - sums[: 2 * bit]).max() > _BIT_SHARE * numbers.sum():
            return int(bit)
    return 0


def _cut_off(levels: Counts, counts: Counts) -> str:
    """A doubt for few voxels at a highest value that no scanner ends at; "" where they fade out."""
    if len(levels) < 64 or levels[-1] >= _SCANNER_TOP_HU:
        return ""
    if counts[-1] < _CUT_FEWEST or counts[-1] <= 5 * counts[-6:-1].max():
        return ""
    return f"Many of the brightest voxels have exactly {levels[-1]} HU: higher values were probably cut off there."


def _is_too_dark(levels: Counts, counts: Counts) -> bool:
    """Whether the middle of what is as dark as air or lung, but for one value of padding, is darker than air."""
    airy = levels < _AIRY_HU
    values, numbers = levels[airy], counts[airy].copy()
    if numbers.max(initial=0) > _PADDING_SHARE * numbers.sum():
        numbers[np.argmax(numbers)] = 0
    if numbers.sum() < _AIRY_SHARE * counts.sum():
        return False
    return bool(values[np.searchsorted(np.cumsum(numbers), numbers.sum() / 2)] < _DARKEST_HU)


def _masked(levels: Counts, counts: Counts) -> str:
    """A doubt for one value other than air's that fills what was cut away; "" where there is none."""
    filled = levels > _FILLED_HU
    if not filled.any():
        return ""
    most = int(np.argmax(np.where(filled, counts, 0)))
    share = counts[most] / counts.sum()
    around = counts[[place for place in (most - 1, most + 1) if 0 <= place < len(counts)]]
    if share < _MASKED_SHARE or counts[most] < _MASKED_RATIO * around.max():
        return ""
    kind = "soft tissue" if abs(levels[most]) <= _SOFT_HU else "no air"
    return (
        f"{100 * share:.0f}% of voxels are exactly {levels[most]} HU, as {kind} is: the background was probably filled "
        "with this value, or its padding wrapped round, and reads as tissue."
    )


def _not_hu(found: str) -> UserFacingError:
    return UserFacingError(
        f"{found}. These are not Hounsfield units of a CT.",
        "air near -1000, water near 0 and bone above 300 HU",
        "Choose the original CT, not a mask, a display export or another modality.",
    )


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
    if len(tall) != 2 or any(_FAT_PEAK_HU[0] <= height <= _FAT_PEAK_HU[1] for height in heights):
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
