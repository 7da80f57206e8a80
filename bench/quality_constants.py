"""How verdicts of the quality gate change where a number that it measures with is a quarter smaller or larger.

    python -m bench.quality_constants docs/results/quality_constants.md [--real ../shared/data/ct] [--seeds 77 78 79]

One number at a time, on virtual chests and real scans, as given and with planted faults. Sixteen minutes of one core.
Only the measured part of the page is written (`bench.measured`).
"""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from real_ct import SHARED_CT

from bench import quality_cases as cases_of
from bench.likeness import interval
from bench.measured import write_measured
from bench.quality_cases import Answer, Case, Cases, Scan, chest_of, scans
from core.quality import anatomy, limits, motion, thorax, voxels

FACTORS = (0.75, 1.25)
COUNTS = {
    "CLEARANCE_STEPS": (1, 3),
    "LEAST_NEIGHBOURS": (6, 10),
    "_AROUND": (5, 9),
    "_STEPS_AROUND": (4, 6),
    "_NOISE_BLOCKS": (8, 12),
    "_NOISE_PLANES": (12, 20),
}
"""What counts whole things, and goes to these instead."""
AROUND_ZERO = (-30, 30)
"""What 0 HU goes to: by a quarter of its distance from the other end of the range."""
ANCHORS = {"PLAIN_AIR_HU": -1000, "WINDPIPE_HU": -1000, "COUCH_HU": -1000, "LIVER_FILLED": 1, "FILLED_CORNERS": 1}
"""Values near an end of their scale: their distance from that end is changed too, on a line of its own."""


@dataclass(frozen=True)
class Number:
    """A number that is changed: its name, with the part of a pair or table; its value now; both other values."""

    name: str
    part: tuple[str | int, ...]
    value: float
    others: tuple[float, float]
    anchor: float | None = None

    @property
    def words(self) -> str:
        """Name and value as the page shows them."""
        of = "".join(f"[{part}]" for part in self.part)
        return f"`{self.name.lstrip('_')}{of}`" + ("" if self.anchor is None else f" from {self.anchor:g}")


def numbers_of(name: str, value: object, part: tuple[str | int, ...] = ()) -> Iterator[Number]:
    """Every number in a constant: itself, or those of a pair or table."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from numbers_of(name, inner, (*part, key))
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from numbers_of(name, inner, (*part, index))
    elif isinstance(value, int | float):
        low, high = COUNTS.get(name, tuple(factor * value for factor in FACTORS) if value else AROUND_ZERO)
        yield Number(name, part, value, (low, high))
        if name in ANCHORS:
            end = ANCHORS[name]
            low, high = (end + factor * (value - end) for factor in FACTORS)
            yield Number(name, part, value, (low, high), end)


def with_part(value: object, part: tuple[str | int, ...], number: float) -> object:
    """A constant with one of its numbers exchanged.

    >>> with_part((1, 2), (1,), 5), with_part({"air": (1, 2)}, ("air", 0), 5)
    ((1, 5), {'air': (5, 2)})
    """
    if not part:
        return number
    if isinstance(value, dict):
        return {**value, part[0]: with_part(value[part[0]], part[1:], number)}
    assert isinstance(value, tuple)
    return tuple(with_part(inner, part[1:], number) if index == part[0] else inner for index, inner in enumerate(value))


@contextmanager
def changed(number: Number, to: float) -> Iterator[None]:
    """Another value of a number wherever the quality gate holds it, for as long as the context lasts."""
    modules = [module for name, module in sys.modules.items() if name.startswith("core.quality")]
    holders = [module for module in modules if hasattr(module, number.name)]
    before = getattr(holders[0], number.name)
    anew = number.name in inspect.getsource(thorax)
    try:
        for module in holders:
            setattr(module, number.name, with_part(before, number.part, to))
        if anew:
            chest_of.cache_clear()
        yield
    finally:
        for module in holders:
            setattr(module, number.name, before)
        if anew:
            chest_of.cache_clear()


ANATOMY = tuple(name for name in vars(anatomy) if name.isupper())
ORIENTATION_LIMITS = (
    "ORIENTATION_IN",
    "ORIENTATION_OUTSIDE",
    "LEAST_LUNG_HEIGHT_MM",
    "TWO_LUNGS",
    "TURNED_LUNGS",
    "TURNED",
)
PEAKS = ("_PEAK_RANGES_HU", "_PEAK_SMOOTH_HU", "_LEAST_SHARE", "_NARROW_HU", "_NARROW_SHARE", "_CUT_AIR_HU")
QUESTIONS: dict[str, tuple[Callable[[Scan], Cases], tuple[str, ...]]] = {
    "orientation": (cases_of.orientation_cases, (*ANATOMY, "FILLED_CORNERS", *ORIENTATION_LIMITS)),
    "motion": (cases_of.motion_cases, ("_SMOOTH_CELLS", "_AROUND", "_CELL_MM", "_RANGE_HU", "LEAST_NEIGHBOURS")),
    "breath or gaps": (cases_of.gap_cases, ("_STEPS_AROUND", "_CELL_MM", "_RANGE_HU", "LEAST_NEIGHBOURS")),
    "slices": (cases_of.copy_cases, ("_SAME_HU", "_BETWEEN_HU", "_CELL_MM")),
    "noise": (cases_of.noise_cases, ("_BLOCK_MM", "_UNIFORM_HU", "_NOISE_PERCENT", "_NOISE_BLOCKS", "_NOISE_PLANES")),
    "HU scale": (cases_of.scale_cases, (*PEAKS, "_CELL_MM", "_RANGE_HU", "FILLED_CORNERS")),
    "contrast": (cases_of.contrast_cases, ("_BLOOD_HEIGHTS", "_BLOOD_HU", "_BLOOD_POINTS")),
}
"""Of each factor: its cases, and the constants that it rests on."""


def constants(names: tuple[str, ...]) -> Iterator[Number]:
    """Every number of constants that are named."""
    for name in names:
        holder = next(module for module in (anatomy, limits, motion, voxels) if hasattr(module, name))
        yield from numbers_of(name, getattr(holder, name))


def cell(cases: list[Case], before: list[Answer], after: list[Answer], of: int) -> str:
    """Verdicts changed, those from right to wrong, signs changed, scans in which a verdict or sign changed."""
    both = list(zip(cases, before, after, strict=True))
    moved = [case for case, a, b in both if a.verdict != b.verdict]
    wrong = sum(case.right(a) and not case.right(b) for case, a, b in both)
    signs = [case for case, a, b in both if a.signs != b.signs]
    touched = len({case.scan for case in moved + signs})
    if not touched:
        return "0"
    words = f"{len(moved)} changed, {wrong} to wrong" + (
        f", {len(signs)} signs" if any(a.signs for a in before) else ""
    )
    return f"{words}; {touched} of {of} scans, {interval(touched, of)}"


def said(answer: Answer) -> tuple[object, ...]:
    """What is compared of two answers."""
    return answer.verdict, answer.signs


def least(cases: list[Case], answers: list[Answer]) -> str:
    """The least score of any scan as given."""
    scores = [answer.least for case, answer in zip(cases, answers, strict=True) if not case.fault]
    return "" if np.isnan(scores).all() else f"{np.nanmin(scores):+.2f}"


def table(question: str, of: list[Scan]) -> Iterator[str]:
    """Lines of the page for one factor."""
    build, names = QUESTIONS[question]
    cases = [Case(index, fault, ask) for index, scan in enumerate(of) for fault, ask in build(scan)]
    before = [case.ask() for case in cases]
    faults = sum(case.fault for case in cases)
    yield f"\n## {question}\n"
    missed = sum(case.fault and not case.right(a) for case, a in zip(cases, before, strict=True))
    alarms = sum(not case.fault and not case.right(a) for case, a in zip(cases, before, strict=True))
    scores = least(cases, before)
    yield (
        f"{len(cases)} verdicts on {len(of)} scans, {faults} of them on planted faults. With every number as it is, "
        f"faults that are *in*: {missed}; scans as given that are not: {alarms}"
        + (f"; least score: {scores}." if scores else ".")
    )
    yield "\n| number | value | at the smaller | at the larger |" + (" least score |" if scores else "")
    yield "|--|--:|--|--|" + ("--|" if scores else "")
    for number in constants(names):
        yield row(number, cases, before, len(of))


def row(number: Number, cases: list[Case], before: list[Answer], of: int) -> str:
    """Line of one number; which verdicts changed is printed."""
    cells, scores = [], []
    for other in number.others:
        with changed(number, other):
            after = [case.ask() for case in cases]
        cells.append(f"{other:.4g}: {cell(cases, before, after, of)}")
        scores.append(least(cases, after))
        moved = [(c.scan, c.fault, a, b) for c, a, b in zip(cases, before, after, strict=True) if a != b]
        told = [f"scan {scan}{' fault' * fault}: {a} to {b}" for scan, fault, a, b in moved if said(a) != said(b)]
        print(number.words, other, *told, sep="\n  ", flush=True)
    line = f"| {number.words} | {number.value:.4g} | {cells[0]} | {cells[1]} |"
    return line + (f" {' and '.join(scores)} |" if any(scores) else "")


def main() -> None:
    """Run every question and write the measured part of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--real", type=Path, default=SHARED_CT, help="folder of the real scans")
    parser.add_argument("--seeds", type=int, nargs="+", default=[77, 78, 79])
    parser.add_argument("--only", choices=QUESTIONS, nargs="+", default=list(QUESTIONS))
    options = parser.parse_args()
    start, found = time.process_time(), list(scans(options.real, options.seeds))
    lines: list[str] = []
    for question in options.only:
        lines += table(question, found)
    minutes, seeds = (time.process_time() - start) / 60, ", ".join(map(str, options.seeds))
    real = ", ".join(scan.name.removeprefix("real: ") for scan in found if scan.name.startswith("real"))
    took = (
        f"{len(found)} scans: {4 * len(options.seeds)} virtual chests, patient 0 of each task and site for the "
        f"seeds {seeds}; the others are real: {real}. The run took {minutes:.0f} minutes of one core."
    )
    write_measured(options.page, [took, *lines])


if __name__ == "__main__":
    main()
