"""Stored values to int16 Hounsfield units, and the gate that asks whether a volume can be a CT in HU at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.load.limits import workers
from core.load.overflow import from_the_ends, refuse_overflow
from core.load.turning import write_turned

AIR_HU = -1024
PADDING_BELOW_HU = -1500
"""Nothing in a CT is this dark; lower values mark pixels outside the reconstructed field."""

_HIGHEST_SHARE = 1.001
"""The largest value of a map of probabilities, whose sum in float32 may exceed 1 a little."""
_BRIGHT_HU = 1500
"""Only teeth, metal and made values are brighter, and of these only the last reach in from the ends of rows."""

Volume = npt.NDArray[np.int16]
Number = TypeVar("Number", int, float)
Ends = tuple[int, int]
"""Lowest and highest value in HU."""
Stored = npt.NDArray[np.integer[Any] | np.floating[Any]]
Counts = npt.NDArray[np.intp]
_RANGE = (-32768, 32767)
_SAMPLE, _COUNTED = 1_000_000, 1 << 18
_RIM_SHARE, _DARK_SHARE = 0.05, 0.001
_INNER_SHARE, _PADDED_PLANES = 0.1, 8
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
_SOFT_HU, _MASKED_SHARE, _MASKED_RATIO = 200, 0.05, 5
"""In real scans one value of soft tissue holds at most 0.4 % of the voxels, and hardly more than those beside it."""
_PEAK_HU, _PEAK_SHARE = 100, 0.06
"""The fullest 100 HU hold 16 % or more of a real scan's voxels, be it cropped to the heart and under 60 HU of noise; of
equalised or random values 2 to 4 %."""
_METAL_HU, _STREAK_FEWEST, _STREAK_SHARE, _STREAK_HU = 4000, 20, 0.02, -10240
"""Nothing brighter fits 12 bits; the extended scale ends at -10240 HU."""
_WIDE_HU, _NOISE_SHARE = 400.0, 0.9
"""Neighbours in real scans differ by at most .24 of what any two pixels do, 60 HU of noise included; random ones by
.98. Water alone under noise spans little."""
_FLOOR_HU, _FLOOR_SHARE = -780, 0.05
_HARD_HU, _HARD_SHARE, _DARK_AIR_SHARE = 700, 0.3, 0.01
"""Dense bone and metal fill at most 1.2 % of real scans, and air hardly less than 1 %; of the same scans with the sign
reversed, 33 to 70 % and at most 0.6 %."""


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
    metal within the body may have its value. limit: other end of a range of padding values.
    """
    if padding is None or slope <= 0:
        return stored
    low, high = sorted((padding, padding if limit is None else limit))
    if padding * slope + intercept < _RANGE[0]:
        found = stored == padding
    elif low * slope + intercept >= _BRIGHT_HU:
        found = from_the_ends((stored >= low) & (stored <= high))
    else:
        return stored
    lifted = stored.astype(np.int32)
    lifted[found] = math.ceil((_RANGE[0] - intercept) / slope)
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
    if not (metal := bool(voxels.max() > _METAL_HU)):
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


def refuse_unless_hounsfield(voxels: Volume, ends: Ends, *, resampled: bool = True) -> list[str]:
    """Raise unless the values can be a CT in HU; return doubts that do not stop it.

    ends: `extremes` of the voxels. resampled: whether the volume may have been interpolated, which gives padding a
    rim of many values.
    Checked on an even sample: not constant, not a mask, not normalised or windowed, air or lung and soft tissue
    present, no more than stray values beyond metal.
    """
    low, high = ends
    counts = _histogram(_even_sample(voxels))
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
    _refuse_displaced(levels, inside, span)
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
    gathered, counts = np.ascontiguousarray(sample).view(np.uint16), np.zeros(65536, np.intp)
    for start in range(0, len(gathered), _COUNTED):  # `bincount` makes eight bytes of each value
        counts += np.bincount(gathered[start : start + _COUNTED], minlength=65536)
    return np.roll(counts, 32768)


def _at(value_hu: int) -> int:
    """The place of a value in a histogram."""
    return value_hu - _RANGE[0]


def _even_sample(voxels: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """About a million voxels at an even stride over the whole volume."""
    stride = max(1, voxels.size // _SAMPLE)
    return voxels.ravel(order="K")[:: stride + (stride % 2 == 0)] if stride > 1 else voxels.ravel(order="K")


def _refuse_varied_padding(counts: Counts, span: str, share: float) -> None:
    """Refuse many different values below -1500: padding is one value, with a thin rim where it was resampled.

    Streaks beside metal are as dark in the extended scale, which stores both as they are.
    """
    dark = counts[: _at(PADDING_BELOW_HU)]
    if counts[_at(_METAL_HU + 1) :].sum() >= _STREAK_FEWEST and not counts[: _at(_STREAK_HU)].any():
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


def _refuse_displaced(levels: Counts, counts: Counts, span: str) -> None:
    """Refuse tissues that lie where no tissue does, as after a wrong slope, offset or sign."""
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
    elif len(levels) <= _LEVELS_8_BIT and np.median(np.diff(levels)) > 2:
        notes.append(f"Only {len(levels)} different values occur; the data may have passed through an 8-bit export.")
    if notice := _masked(levels, counts):
        notes.append(notice)
    return notes


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
    """A doubt for one value of soft tissue that fills what was cut away; "" where there is none."""
    soft = np.abs(levels) <= _SOFT_HU
    if not soft.any():
        return ""
    most = int(np.argmax(np.where(soft, counts, 0)))
    share = counts[most] / counts.sum()
    around = counts[[place for place in (most - 1, most + 1) if 0 <= place < len(counts)]]
    if share < _MASKED_SHARE or counts[most] < _MASKED_RATIO * around.max():
        return ""
    return (
        f"{100 * share:.0f}% of voxels are exactly {levels[most]} HU, as soft tissue is: the background was probably "
        "masked with this value, and reads as tissue."
    )


def _not_hu(found: str) -> UserFacingError:
    return UserFacingError(
        f"{found}. These are not Hounsfield units of a CT.",
        "air near -1000, water near 0 and bone above 300 HU",
        "Choose the original CT, not a mask, a display export or another modality.",
    )
