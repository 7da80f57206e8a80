"""Rows and columns of pictures in their order: what every picture shares, no slice beside it can tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.load.foreign_slices import Slices
from core.words import count_of

Measures = npt.NDArray[np.float64]
_FEWEST_LINES, _FEWEST_SLICES, _PICTURES, _FEW_PICTURES, _EVERY = 64, 4, 12, 3, 3
_RANGE_HU, _BODY_HU, _BODY_SHARE = (-1000, 400), -300, 0.02
_BESIDE = (-3, -2, 2, 3)
"""Lines whose steps a step is compared with: those next to a displaced line are displaced themselves."""
_SEAM, _SEAM_SURE, _SEAM_LEAST_HU = 2.0, 3.0, 10.0
"""How often a step between lines that changes the body both ways is as large as those around. Nine real series and
eleven variants of each (thinned, thick, sharp, noisy, resampled, turned and more) reach 1.36; halves moved by four
pixels 4.1 or more, four lines left out 1.97 to 3. A couch changes values one way."""
_STRIPE, _STRIPE_LEAST_HU = 2.0, 5.0
"""The same for a line beside the mean of its neighbours: at most 1.39; of one that lies ten lines off 2.6 and more."""
_PARTS, _REPEATED, _NOT_PERIODIC = (2, 3, 4), 0.3, 7
"""Pictures that show the body two to four times repeat themselves to .18 of what other lines differ by; real ones to
.6, and what repeats itself at one seventh of the picture is a pattern."""
_MIRRORED, _UNMIRRORED, _SOFT_HU = 0.9, 0.5, 200
_STRIPS, _STRIP, _TOGETHER = 4, 8, 16
_PAIRS, _PAIRS_LEAST_HU, _PAIRS_CLEAR, _PAIRS_AGREE = 1.55, 5.0, 0.18, 0.6
"""Steps within pairs of lines over those between them, as geometric means: at most 1.26 in real series and their
variants, 1.48 in a made one; lines exchanged in pairs, in all slices or in one, 1.63 to 2.4, repeated ones 7 to 66.
Then two thirds of the pairs of a slice agree by a factor of 1.2; of sound ones at most .6."""
_COMB, _COMB_DOUBTFUL, _COMB_ALONE, _AGREE, _AGREE_BY_CHANCE, _SWING_HU, _SWING_PIXELS = (
    1.1,
    0.7,
    1.04,
    0.85,
    4.0,
    1.0,
    0.15,
)
"""The next line over the next but one: at most .97, with 60 HU of noise; every second one moved by two pixels 1.3. At
most .73 of the lines of a real slice are brighter, or lie further to one side, in turns; of every second one that was
made so .9 to 1. Of few lines of noise, more do by chance."""


@dataclass(frozen=True)
class _Doubt:
    """What was found, and whether nothing but damage looks so."""

    found: str
    is_sure: bool


def doubts_of_lines(whole: Slices, *, measured: bool) -> list[str]:
    """Doubts about the order of rows and columns; raises where a scanner wrote the pictures and nothing else looks so.

    whole: int16 (slices, rows, columns) HU. measured: whether a scanner reconstructed each slice.
    """
    if min(whole.shape[1:]) < _FEWEST_LINES or len(whole) < _FEWEST_SLICES:
        return []
    places = np.unique(np.linspace(0, len(whole) - 1, _PICTURES + 2).astype(int)[1:-1])
    some = np.clip(whole[places], *_RANGE_HU)
    every = min(_EVERY, min(whole.shape[1:]) // _FEWEST_LINES)
    found = []
    for turned, name in (((0, 1, 2), "rows"), ((0, 2, 1), "columns")):
        pictures = np.ascontiguousarray(some.transpose(turned)[:, :, ::every])
        found += _seams(pictures, name) + _stripes(pictures, name)
        found += _repeated(pictures[:: len(pictures) // _FEW_PICTURES or 1], name)
        found += _in_order(whole.transpose(turned), name)
    for doubt in found:
        if doubt.is_sure and measured:
            raise UserFacingError(
                doubt.found,
                "pictures whose rows and columns continue each other",
                "Export the series again; parts of its pictures were probably moved, exchanged or lost.",
            )
    return [doubt.found for doubt in found]


def _seams(pictures: Slices, name: str) -> list[_Doubt]:
    """A line across which the body does not go on, in all pictures (slices, lines, pixels)."""
    change, net, count = (np.zeros(pictures.shape[1] - 1, np.int64) for _ in range(3))
    for picture in pictures:
        shown = np.maximum(picture[1:], picture[:-1]) > _BODY_HU
        step = (picture[1:] - picture[:-1]) * shown
        change += np.abs(step).sum(axis=1, dtype=np.int32)
        net += step.sum(axis=1, dtype=np.int32)
        count += np.count_nonzero(shown, axis=1)
    both_ways = (change - np.abs(net)) / np.maximum(count, 1)
    times = both_ways / np.maximum(_around(change / np.maximum(count, 1)), _SEAM_LEAST_HU)
    times[count < _BODY_SHARE * pictures[:, 0].size] = 0
    places = np.flatnonzero(times > _SEAM)
    if not len(places):
        return []
    worst = int(times.argmax())
    return [
        _Doubt(
            f"The body does not go on between {name} {worst + 1} and {worst + 2} of the pictures{_more(places)}: parts "
            "of them were moved or left out.",
            bool(times[worst] > _SEAM_SURE),
        )
    ]


def _stripes(pictures: Slices, name: str) -> list[_Doubt]:
    """A line that lies apart from those beside it, which fit each other, in all pictures (slices, lines, pixels)."""
    off, apart, count = (np.zeros(pictures.shape[1] - 2, np.int64) for _ in range(3))
    for picture in pictures:
        shown = np.maximum(picture[2:], picture[:-2]) > _BODY_HU
        step = picture[1:] - picture[:-1]
        off += (np.abs(step[1:] - step[:-1]) * shown).sum(axis=1, dtype=np.int32)
        apart += (np.abs(step[1:] + step[:-1]) * shown).sum(axis=1, dtype=np.int32)
        count += np.count_nonzero(shown, axis=1)
    own, across = (total / np.maximum(2 * count, 1) for total in (off, apart))
    times = own / np.maximum(np.maximum(_around(own), across), _STRIPE_LEAST_HU)
    times[count < _BODY_SHARE * pictures[:, 0].size] = 0
    places = np.flatnonzero(times > _STRIPE)
    if not len(places):
        return []
    line = f"{name.capitalize().removesuffix('s')} {int(times.argmax()) + 2} of the pictures"
    return [_Doubt(f"{line} is unlike those beside it in every slice{_more(places)}: it was probably lost.", False)]


def _around(steps: Measures) -> Measures:
    """The largest of the steps near each one."""
    most = max(_BESIDE)
    padded = np.pad(steps, most, mode="edge")
    return np.asarray(np.max([padded[most + off : most + off + len(steps)] for off in _BESIDE], axis=0))


def _more(places: npt.NDArray[np.intp]) -> str:
    return f" (and so at {count_of(len(places) - 1, 'other place')})" if len(places) > 1 else ""


def _repeated(pictures: Slices, name: str) -> list[_Doubt]:
    """Pictures (slices, lines, pixels) that show the body several times, or one half of it twice."""
    count = pictures.shape[1]
    usual = _apart(pictures, count // _NOT_PERIODIC)
    for parts in _PARTS:
        least = min(_apart(pictures, length) for length in {count // parts, -(-count // parts)})
        if least < _REPEATED * usual and not _is_pattern(pictures, count // parts, least):
            return [
                _Doubt(f"The pictures show the body {parts} times, one part after the other along their {name}.", True)
            ]
    mirrored, soft = pictures[:, ::-1], np.abs(pictures) < _SOFT_HU
    if not soft.any():
        return []
    alike = float((pictures == mirrored)[soft].mean())
    next_alike = float((pictures[:, 1:] == pictures[:, :-1])[soft[:, 1:]].mean())
    if alike < _MIRRORED or next_alike > _UNMIRRORED:
        return []
    return [_Doubt(f"One half of the pictures is the other one mirrored along their {name}, to the last value.", True)]


def _is_pattern(pictures: Slices, part: int, least: float) -> bool:
    """Whether lines come again within a part too, nearly as well as from part to part."""
    lengths = range(part // _NOT_PERIODIC, part - part // _NOT_PERIODIC)
    thinned = pictures[:, :, :: max(1, pictures.shape[2] // _FEWEST_LINES)]
    return any(_apart(thinned, length) < least / _REPEATED for length in lengths)


def _apart(pictures: Slices, lines: int) -> float:
    """How far lines lie from those so many lines away, HU."""
    return float(np.abs(pictures[:, lines:] - pictures[:, :-lines]).mean())


def _in_order(whole: Slices, name: str) -> list[_Doubt]:
    """Slices (slices, lines, pixels) of which every second line is elsewhere, or whose lines come in pairs."""
    pairs, comb, in_turns = np.empty(len(whole)), np.empty(len(whole)), np.empty(len(whole), bool)
    for first in range(0, len(whole), _TOGETHER):
        part = slice(first, first + _TOGETHER)
        pairs[part], comb[part], in_turns[part] = _pairs_and_turns(_strips(whole[part]))
    doubtful = np.flatnonzero((comb > _COMB_DOUBTFUL) & ~in_turns)
    if not _moved_in_turns(whole, doubtful[:: len(doubtful) // _PICTURES or 1]).any():
        doubtful = doubtful[comb[doubtful] > _COMB_ALONE * _usual(comb)[doubtful]]
    in_turns[doubtful] = _moved_in_turns(whole, doubtful)
    doubts = []
    if in_turns.any():
        slices = count_of(int(in_turns.sum()), "slice")
        doubts.append(_Doubt(f"Every second one of the {name} lies apart from those beside it: {slices}.", True))
    if abs(np.median(pairs)) > np.log(_PAIRS):
        doubts.append(
            _Doubt(f"The {name} of the pictures come in pairs: doubled, or exchanged with each other.", False)
        )
    elif count := _odd_ones(pairs):
        slices = count_of(count, "slice")
        doubts.append(_Doubt(f"The {name} come in pairs, unlike those of other slices: {slices}.", False))
    return doubts


def _strips(whole: Slices) -> Slices:
    """Strips beside each other of slices (slices, lines, pixels), within what scanners measure: (slices, strips x
    pixels, lines)."""
    strips = np.empty((len(whole), _STRIPS, _STRIP, whole.shape[1]), np.int16)
    for k, start in enumerate(np.linspace(0, whole.shape[2] - _STRIP, _STRIPS + 2).astype(int)[1:-1].tolist()):
        strips[:, k] = whole[:, :, start : start + _STRIP].transpose(0, 2, 1)
    return np.clip(strips, *_RANGE_HU, out=strips).reshape(len(whole), _STRIPS * _STRIP, -1)


def _pairs_and_turns(strips: Slices) -> tuple[Measures, Measures, npt.NDArray[np.bool_]]:
    """Of each slice (slices, strips x pixels, lines) the logarithm of steps within pairs over those between them, 0
    where most pairs do not agree, the step to the next line over that to the next but one, and whether every second
    line lies apart.

    Sums over the strips fit 16 bits, which takes half the time.
    """
    pixels = strips.shape[1]
    near, far = (
        np.abs(strips[:, :, reach:] - strips[:, :, :-reach]).view(np.uint16).sum(axis=1, dtype=np.uint16) / pixels
        for reach in (1, 2)
    )
    even = near.shape[1] // 2 * 2
    steps = np.log(np.maximum(near[:, :even], _PAIRS_LEAST_HU))
    pairs = steps[:, ::2] - steps[:, 1::2]
    clear = np.maximum((pairs > _PAIRS_CLEAR).mean(axis=1), (pairs < -_PAIRS_CLEAR).mean(axis=1))
    comb = near.mean(axis=1) / np.maximum(far.mean(axis=1), 1.0)
    line = strips.sum(axis=1, dtype=np.int16) / pixels
    in_turns = (comb > _COMB) | _swings(line[:, 1:-1] - (line[:, 2:] + line[:, :-2]) / 2, _SWING_HU)
    return pairs.mean(axis=1) * (clear > _PAIRS_AGREE), comb, in_turns


def _moved_in_turns(whole: Slices, places: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Whether lines of these slices (of slices, lines, pixels) lie to one side and to the other in turns."""
    moved = np.empty(len(places), bool)
    for first in range(0, len(places), _TOGETHER):
        part = slice(first, first + _TOGETHER)
        strips = _strips(whole[places[part]])
        moved[part] = _swings(_sideways(strips.reshape(len(strips), _STRIPS, _STRIP, -1)), _SWING_PIXELS)
    return moved


def _sideways(strips: Slices) -> Measures:
    """By how many pixels each inner line of slices (slices, strips, pixels, lines) lies beside the mean of its
    neighbours; 0 where these show nothing to tell by."""
    mean = (strips[..., 2:] + strips[..., :-2]) / np.float32(2)
    slope, off = np.gradient(mean, axis=2), strips[..., 1:-1] - mean
    return np.asarray((off * slope).sum(axis=(1, 2)) / np.maximum((slope**2).sum(axis=(1, 2)), 1.0), np.float64)


def _swings(values: Measures, least: float) -> npt.NDArray[np.bool_]:
    """Whether values (slices, lines) are positive and negative in turns from line to line, by at least so much."""
    odd, even = values[:, ::2], values[:, 1::2]
    up, down = ((one > 0).sum(axis=1) + (other < 0).sum(axis=1) for one, other in ((odd, even), (even, odd)))
    least_share = max(_AGREE, 0.5 + _AGREE_BY_CHANCE / np.sqrt(values.shape[1]))
    swings = np.maximum(up, down) > least_share * values.shape[1]
    swings[swings] = np.median(np.abs(values[swings]), axis=1) > least
    return np.asarray(swings)


def _odd_ones(pairs: Measures) -> int:
    """How many slices have pairs of lines where those around have none."""
    return int(np.count_nonzero(np.minimum(np.abs(pairs), np.abs(pairs - _usual(pairs))) > np.log(_PAIRS)))


def _usual(values: Measures) -> Measures:
    """The median of the three on either side of each value."""
    around = np.pad(values, 3, mode="reflect")
    return np.asarray(np.median([around[k : k + len(values)] for k in (0, 1, 2, 4, 5, 6)], axis=0))
