"""Rows and columns of pictures in their order: what every picture shares, no slice beside it can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.intake.scan.checks.mixed_slices import Slices
from core.wording import count_of, slices_named

Measures = npt.NDArray[np.floating[Any]]
_FEWEST_LINES, _FEWEST_SLICES, _PICTURES, _FEW_PICTURES, _EVERY = 64, 4, 6, 3, 3
_RANGE_HU, _BODY_HU, _BODY_SHARE = (-1000, 400), -300, 0.02
_BESIDE = (-3, -2, 2, 3)
"""Lines whose steps a step is compared with: those next to a displaced line are displaced themselves."""
_SEAM, _SEAM_SURE, _SEAM_LEAST_HU = 2.0, 3.0, 10.0
"""How often a step between lines that changes the body both ways is as large as those around. Nine real series and
eleven variants of each (thinned, thick, sharp, noisy, resampled, turned and more) reach 1.36; halves moved by four
pixels 4.1 or more, four lines left out 1.97 to 3. A couch changes values one way."""
_SEAM_TURNED, _JOINED, _FURTHER, _FURTHER_APART = 1.7, 1.5, 3, 1.1
"""In the middle of six real series this step is at most 1.1 times as large as those around, where a half is written in
reverse 1.8 to 73; what then would be joined lies .1 to 1.3 times as far apart."""
_STRIPE, _STRIPE_LEAST_HU = 2.0, 5.0
"""The same for a line beside the mean of its neighbours: at most 1.39; of one that lies ten lines off 2.6 and more."""
_PARTS, _REPEATED, _NOT_PERIODIC = (2, 3, 4), 0.3, 7
"""Pictures that show the body two to four times repeat themselves to .18 of what other lines differ by; real ones to
.6, and what repeats itself at one seventh of the picture is a pattern."""
_MIRRORED, _UNMIRRORED, _SOFT_HU = 0.9, 0.5, 200
_STRIPS, _STRIP, _MIDDLE, _TOGETHER = 4, 8, 128, 16
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


def doubts_of_lines(whole: Slices, name: str, first: str = "lowest", *, measured: bool) -> list[str]:
    """Doubts about the order of lines; raises where a scanner wrote the pictures and nothing else looks so.

    whole: int16 (slices, lines, pixels) HU. name: "rows" or "columns", what the lines are called. first: from
    which slices are counted. measured: whether a scanner reconstructed each slice.
    """
    if min(whole.shape[1:]) < _FEWEST_LINES or len(whole) < _FEWEST_SLICES:
        return []
    places = np.unique(np.linspace(0, len(whole) - 1, _PICTURES + 2).astype(int)[1:-1])
    every = min(_EVERY, min(whole.shape[1:]) // _FEWEST_LINES)
    pictures = np.ascontiguousarray(np.clip(whole[places, :, ::every], *_RANGE_HU))
    some = pictures[:: len(pictures) // _FEW_PICTURES or 1, :, ::every]
    found = _out_of_line(pictures, name) + _half_turned(pictures, name)
    found += _repeated(some, name) + _in_order(whole, name, first)
    for doubt in found:
        if doubt.is_sure and measured:
            raise UserFacingError(
                doubt.found,
                "pictures whose rows and columns continue each other",
                "Export the series again; parts of its pictures were probably moved, exchanged or lost.",
            )
    return [doubt.found for doubt in found]


def _out_of_line(pictures: Slices, name: str) -> list[_Doubt]:
    """Lines across which the body does not go on, and such as lie apart from those beside them, which fit each other,
    in all pictures (slices, lines, pixels)."""
    seams, stripes = _times_around(pictures)
    doubts = []
    if len(places := np.flatnonzero(seams > _SEAM)):
        worst = int(seams.argmax())
        between = f"between {name} {worst + 1} and {worst + 2} of the pictures{_more(places)}"
        found = f"The body does not go on {between}: parts of them were moved or left out."
        doubts.append(_Doubt(found, bool(seams[worst] > _SEAM_SURE)))
    if len(places := np.flatnonzero(stripes > _STRIPE)):
        line = f"{name.capitalize().removesuffix('s')} {int(stripes.argmax()) + 2} of the pictures"
        found = f"{line} is unlike those beside it in every slice{_more(places)}: it was probably lost."
        doubts.append(_Doubt(found, False))
    return doubts


def _times_around(pictures: Slices) -> tuple[Measures, Measures]:
    """How often the step from each line to the next is as large as those around, as far as it goes both ways, and how
    often each inner line lies as far from the mean of its neighbours; 0 where little of the body is shown."""
    lines, fewest = pictures.shape[1], _BODY_SHARE * pictures[:, 0].size
    change, net, shown = (np.zeros(lines - 1, np.int64) for _ in range(3))
    off, apart, around = (np.zeros(lines - 2, np.int64) for _ in range(3))
    for picture in pictures:
        body, step = picture > _BODY_HU, picture[1:] - picture[:-1]
        beside, across = body[1:] | body[:-1], body[2:] | body[:-2]
        net += (step * beside).sum(axis=1, dtype=np.int32)
        for total, apart_hu, where in (
            (change, step, beside),
            (off, step[1:] - step[:-1], across),
            (apart, step[1:] + step[:-1], across),
        ):
            total += (np.abs(apart_hu) * where).sum(axis=1, dtype=np.int32)
        shown += np.count_nonzero(beside, axis=1)
        around += np.count_nonzero(across, axis=1)
    shares = (change - np.abs(net), change) / np.maximum(shown, 1)
    seams = shares[0] / np.maximum(_around(shares[1]), _SEAM_LEAST_HU)
    own, far = (off, apart) / np.maximum(2 * around, 1)
    stripes = own / np.maximum(np.maximum(_around(own), far), _STRIPE_LEAST_HU)
    return np.where(shown < fewest, 0, seams), np.where(around < fewest, 0, stripes)


def _around(steps: Measures) -> Measures:
    """The largest of the steps near each one."""
    most = max(_BESIDE)
    padded = np.pad(steps, most, mode="edge")
    return np.asarray(np.max([padded[most + off : most + off + len(steps)] for off in _BESIDE], axis=0))


def _more(places: npt.NDArray[np.intp]) -> str:
    return f" (and so at {count_of(len(places) - 1, 'other place')})" if len(places) > 1 else ""


def _half_turned(pictures: Slices, name: str) -> list[_Doubt]:
    """Pictures (slices, lines, pixels) of which one half is written in reverse: it breaks off at the other half, and
    its far end, which shows the body, would go on there."""
    count = pictures.shape[1]
    for half in {count // 2, -(-count // 2)}:
        usual = max(*(_between(pictures, half - 1 + off, half + off)[0] for off in _BESIDE), _SEAM_LEAST_HU)
        broken = _between(pictures, half - 1, half)[0] / usual
        ends = (half - 1, count - 1, count - 1 - _FURTHER), (half, 0, _FURTHER)
        if broken > _SEAM_TURNED and any(_joined(pictures, one, other, further, usual) for one, other, further in ends):
            found = f"One half of the pictures seems to be written in reverse along their {name}."
            return [_Doubt(found, broken > _SEAM_SURE)]
    return []


def _joined(pictures: Slices, one: int, other: int, further: int, usual: float) -> bool:
    """Whether two lines that show the body lie as near each other as usual, and nearer than one further from the other
    does: of an object that is the same throughout, all do."""
    apart, shown = _between(pictures, one, other)
    nearer = _FURTHER_APART * apart < _between(pictures, one, further)[0]
    return shown > _BODY_SHARE and apart < _JOINED * usual and nearer


def _between(pictures: Slices, one: int, other: int) -> tuple[float, float]:
    """How far two lines lie from each other where either shows the body, HU, and the lesser share of it in them."""
    lines = pictures[:, [one, other]]
    body = lines > _BODY_HU
    shown = body.any(axis=1)
    apart = float(np.abs(lines[:, 1] - lines[:, 0])[shown].mean()) if shown.any() else 0.0
    return apart, float(body.mean(axis=(0, 2)).min())


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


def _in_order(whole: Slices, name: str, first: str) -> list[_Doubt]:
    """Slices (slices, lines, pixels) of which every second line is elsewhere, or whose lines come in pairs; by their
    middle."""
    lines = min(whole.shape[1], _MIDDLE)
    near, far, means = (np.empty((len(whole), lines - less), np.float32) for less in (1, 2, 0))
    for start in range(0, len(whole), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        strips = _strips(whole[part])
        near[part], far[part] = (_apart_by(strips, lines_away) for lines_away in (1, 2))
        means[part] = strips.sum(axis=1, dtype=np.int16)
    for sums in (near, far, means):
        sums /= _STRIPS * _STRIP
    pairs, comb = _pairs(near), near.mean(axis=1) / np.maximum(far.mean(axis=1), 1.0)
    in_turns = (comb > _COMB) | _swings(means[:, 1:-1] - (means[:, 2:] + means[:, :-2]) / 2, _SWING_HU)
    doubtful = np.flatnonzero((comb > _COMB_DOUBTFUL) & ~in_turns)
    if not _moved_in_turns(whole, doubtful[:: len(doubtful) // _PICTURES or 1]).any():
        doubtful = doubtful[comb[doubtful] > _COMB_ALONE * _usual(comb)[doubtful]]
    in_turns[doubtful] = _moved_in_turns(whole, doubtful)
    doubts = []
    if in_turns.any():
        slices = slices_named(np.flatnonzero(in_turns).tolist(), first)
        doubts.append(_Doubt(f"Every second one of the {name} lies apart from those beside it: {slices}.", True))
    if abs(np.median(pairs)) > np.log(_PAIRS):
        doubts.append(
            _Doubt(f"The {name} of the pictures come in pairs: doubled, or exchanged with each other.", False)
        )
    elif odd := _odd_ones(pairs):
        slices = slices_named(odd, first)
        doubts.append(_Doubt(f"The {name} come in pairs, unlike those of other slices: {slices}.", False))
    return doubts


def _strips(whole: Slices) -> Slices:
    """Strips beside each other in the middle of slices (slices, lines, pixels), within what scanners measure: (slices,
    strips x pixels, lines)."""
    lines, pixels = ((max(0, (size - _MIDDLE) // 2), min(size, _MIDDLE)) for size in whole.shape[1:])
    middle = whole[:, lines[0] : sum(lines)]
    starts = pixels[0] + np.linspace(0, pixels[1] - _STRIP, _STRIPS + 2).astype(int)[1:-1]
    strips = np.concatenate([middle[:, :, start : start + _STRIP] for start in starts.tolist()], axis=2)
    return np.asarray(np.clip(np.ascontiguousarray(strips.transpose(0, 2, 1)), *_RANGE_HU))


def _apart_by(strips: Slices, lines: int) -> npt.NDArray[np.uint16]:
    """The sums of how far each line of strips (slices, pixels, lines) lies from the one so many lines on.

    They fit 16 bits, which takes half the time.
    """
    apart = np.abs(strips[:, :, lines:] - strips[:, :, :-lines]).view(np.uint16)
    return np.asarray(apart.sum(axis=1, dtype=np.uint16))


def _pairs(near: Measures) -> Measures:
    """Of each slice the logarithm of steps within pairs of lines over those between them, 0 where most do not agree.

    near: steps from line to line, HU, (slices, steps).
    """
    even = near.shape[1] // 2 * 2
    steps = np.log(np.maximum(near[:, :even], _PAIRS_LEAST_HU))
    pairs = steps[:, ::2] - steps[:, 1::2]
    agree = np.maximum((pairs > _PAIRS_CLEAR).mean(axis=1), (pairs < -_PAIRS_CLEAR).mean(axis=1))
    return np.asarray(pairs.mean(axis=1) * (agree > _PAIRS_AGREE))


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
    return np.asarray((off * slope).sum(axis=(1, 2)) / np.maximum((slope**2).sum(axis=(1, 2)), 1.0))


def _swings(values: Measures, least: float) -> npt.NDArray[np.bool_]:
    """Whether values (slices, lines) are positive and negative in turns from line to line, by at least so much."""
    odd, even = values[:, ::2], values[:, 1::2]
    up, down = ((one > 0).sum(axis=1) + (other < 0).sum(axis=1) for one, other in ((odd, even), (even, odd)))
    least_share = max(_AGREE, 0.5 + _AGREE_BY_CHANCE / np.sqrt(values.shape[1]))
    swings = np.maximum(up, down) > least_share * values.shape[1]
    swings[swings] = np.median(np.abs(values[swings]), axis=1) > least
    return np.asarray(swings)


def _odd_ones(pairs: Measures) -> list[int]:
    """Slices that have pairs of lines where those around have none."""
    found = np.flatnonzero(np.minimum(np.abs(pairs), np.abs(pairs - _usual(pairs))) > np.log(_PAIRS))
    return [int(k) for k in found]


def _usual(values: Measures) -> Measures:
    """The median of the three on either side of each value."""
    around = np.pad(values, 3, mode="reflect")
    return np.asarray(np.median([around[k : k + len(values)] for k in (0, 1, 2, 4, 5, 6)], axis=0))
