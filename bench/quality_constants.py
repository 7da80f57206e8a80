"""How verdicts of the quality gate change where a number that it measures with is a quarter smaller or larger.

    python -m bench.quality_constants docs/results/quality_constants.md [--real ../shared/data/ct] [--seeds 77 78 79]

One number at a time, on virtual chests and real scans, as given and with planted faults. Twelve minutes of one core.
"""

from __future__ import annotations

import argparse
import inspect
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from real_ct import REAL_CT, SHARED_CT

from bench.likeness import interval
from bench.quality_constants_words import INTRODUCTION, READING
from core.cohort.render import render_patient
from core.cohort.sampling import sample_patient
from core.encode.slices import find_lungs
from core.load import load_study
from core.quality import ScanMeasures, anatomy, limits, measure_scan, motion, thorax, voxels
from core.quality.motion import largest_shift
from core.quality.orientation import judge_orientation
from core.quality.scan import scan_factors
from core.quality.thorax import Thorax, thorax_of, without_pockets
from core.quality.voxels import blood_hu, hu_peaks, largest_step, made_up_slices, noise_hu, planes_mm
from core.records import CtStudy

FACTORS = (0.75, 1.25)
DEMO = Path(__file__).resolve().parents[1] / "assets" / "demo" / "lidc0001_2.0mm.nii.gz"
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
TURNS = {
    "quarter turn": (1, 0, 2),
    "coronal for axial": (0, 2, 1),
    "sagittal for axial": (2, 1, 0),
}
SHIFT_MM, LOST_MM, BRIGHTER_HU, NOISE_HU = 4.0, 15.0, 90, 60.0
"""The planted faults: a sideways shift, lost slices, a shifted scale, added noise."""


@dataclass(frozen=True, eq=False)
class Scan:
    """An upright scan, what was measured on it with all numbers as they are, and a task whose contrast it has."""

    name: str
    study: CtStudy
    measured: ScanMeasures
    task: str


@dataclass(frozen=True)
class Answer:
    """A verdict, which orientation scores are above 0, and the least of these scores (NaN without any)."""

    verdict: str
    signs: tuple[bool, ...] = ()
    least: float = math.nan


@dataclass(frozen=True, eq=False)
class Case:
    """One question about one scan. fault: whether one was planted, so that `in` is the wrong answer."""

    scan: int
    fault: bool
    ask: Callable[[], Answer]

    def right(self, answer: Answer) -> bool:
        """A fault is right where it is not `in`, a scan as given where it is."""
        return (answer.verdict != "in") == self.fault


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


@cache
def chest_of(found: Thorax) -> Thorax | None:
    """A chest without pockets of air, with what it keeps of itself, made anew for numbers that `thorax.py` reads."""
    return without_pockets(Thorax(found.hu, found.lungs, found.step_mm))


def verdict(scan: Scan, factor: str, task: str | None = None, **measured: object) -> str:
    """Verdict of a factor where these measures take the place of those with all numbers as they are."""
    factors = scan_factors(scan.study, replace(scan.measured, **measured), task)  # type: ignore[arg-type]
    return next(found.verdict for found in factors if found.name == factor)


def orientation_cases(scan: Scan) -> Iterator[tuple[bool, Callable[[], Answer]]]:
    """As given; flipped along each axis; with axes exchanged."""
    lungs, strides, _ = find_lungs(scan.study)
    i, j, k = strides
    x, y, z = scan.study.spacing_mm
    given = _laid_out(scan.study.voxels_hu[::i, ::j, ::k], lungs, (x * i, y * j, z * k))
    yield False, partial(_orientation, scan, given)
    for axis in range(3):
        flipped = given.flipped((axis,))
        yield True, partial(_orientation, scan, _laid_out(flipped.hu, flipped.lungs, flipped.step_mm))
    for a, b, c in TURNS.values():
        hu, mask = given.hu.transpose(a, b, c), given.lungs.transpose(a, b, c)
        yield (
            True,
            partial(_orientation, scan, _laid_out(hu, mask, (given.step_mm[a], given.step_mm[b], given.step_mm[c]))),
        )


def _laid_out(hu: npt.NDArray[np.int16], lungs: npt.NDArray[np.bool_], step_mm: tuple[float, float, float]) -> Thorax:
    """A chest whose lattice is a copy of its own: views with strides are several times slower."""
    return Thorax(np.ascontiguousarray(hu), np.ascontiguousarray(lungs), step_mm)


def _orientation(scan: Scan, chest: Thorax) -> Answer:
    kept = chest_of(chest)
    if kept is None:
        return Answer(verdict(scan, "orientation", orientation=None))
    found = judge_orientation(kept)
    scores = (found.up, found.front, found.side)
    signs = tuple(score > 0 for score in scores)
    return Answer(verdict(scan, "orientation", orientation=found), signs, min(scores))


def motion_cases(scan: Scan) -> Iterator[tuple[bool, Callable[[], Answer]]]:
    """As given; the upper half shifted sideways."""
    moved = scan.study.voxels_hu.copy()
    half, steps = moved.shape[2] // 2, round(SHIFT_MM / scan.study.spacing_mm[0])
    moved[:, :, half:] = np.roll(moved[:, :, half:], steps, axis=0)
    for fault, study in ((False, scan.study), (True, with_voxels(scan.study, moved))):
        yield fault, partial(_motion, scan, study)


def _motion(scan: Scan, study: CtStudy) -> Answer:
    return Answer(verdict(scan, "motion", shift_mm=largest_shift(study, planes_mm(study))[0]))


def gap_cases(scan: Scan) -> Iterator[tuple[bool, Callable[[], Answer]]]:
    """As given; slices lost in the middle."""
    half, lost = scan.study.shape[2] // 2, max(1, round(LOST_MM / scan.study.spacing_mm[2]))
    fewer = np.delete(scan.study.voxels_hu, slice(half, half + lost), axis=2)
    for fault, study in ((False, scan.study), (True, with_voxels(scan.study, fewer))):
        yield fault, partial(_gap, scan, study)


def _gap(scan: Scan, study: CtStudy) -> Answer:
    return Answer(verdict(scan, "breath or gaps", step_change=largest_step(planes_mm(study))[0]))


def copy_cases(scan: Scan) -> Iterator[tuple[bool, Callable[[], Answer]]]:
    """As given; one slice a copy; one slice the mean of its neighbours."""
    half = scan.study.shape[2] // 2
    copied, between = scan.study.voxels_hu.copy(), scan.study.voxels_hu.copy()
    copied[:, :, half] = copied[:, :, half - 1]
    between[:, :, half] = np.rint(between[:, :, [half - 1, half + 1]].mean(axis=2))
    for fault, hu in ((False, scan.study.voxels_hu), (True, copied), (True, between)):
        yield fault, partial(_copies, scan, with_voxels(scan.study, hu))


def _copies(scan: Scan, study: CtStudy) -> Answer:
    return Answer(verdict(scan, "slices", made_up=made_up_slices(study)))


def noise_cases(scan: Scan) -> Iterator[tuple[bool, Callable[[], Answer]]]:
    """As given; with noise added."""
    noise = np.random.default_rng(0).standard_normal(scan.study.shape, np.float32) * NOISE_HU
    for fault, hu in ((False, scan.study.voxels_hu), (True, scan.study.voxels_hu + noise)):
        yield fault, partial(_noise, scan, with_voxels(scan.study, hu))


def _noise(scan: Scan, study: CtStudy) -> Answer:
    return Answer(verdict(scan, "noise", noise_hu=noise_hu(study)))


def scale_cases(scan: Scan) -> Iterator[tuple[bool, Callable[[], Answer]]]:
    """As given; every value too high."""
    for fault, hu in ((False, scan.study.voxels_hu), (True, scan.study.voxels_hu + BRIGHTER_HU)):
        yield fault, partial(_scale, scan, with_voxels(scan.study, hu))


def _scale(scan: Scan, study: CtStudy) -> Answer:
    planes = planes_mm(study)
    dark = float((planes < limits.DARK_HU).mean())
    return Answer(verdict(scan, "HU scale", peaks_hu=hu_peaks(planes), dark_share=dark))


def contrast_cases(scan: Scan) -> Iterator[tuple[bool, Callable[[], Answer]]]:
    """For the task whose contrast it has; for the other."""
    chest = thorax_of(scan.study)
    assert chest is not None
    for task in ("pe_mortality", "mace"):
        yield task != scan.task, partial(_contrast, scan, chest, task)


def _contrast(scan: Scan, chest: Thorax, task: str) -> Answer:
    return Answer(verdict(scan, "contrast", task, blood_hu=blood_hu(chest)))


def with_voxels(study: CtStudy, hu: npt.NDArray[np.generic]) -> CtStudy:
    """Other voxels, or fewer slices, on the same lattice."""
    return replace(study, voxels_hu=np.asfortranarray(hu.astype(np.int16)))


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
QUESTIONS: dict[str, tuple[Callable[[Scan], Iterator[tuple[bool, Callable[[], Answer]]]], tuple[str, ...]]] = {
    "orientation": (orientation_cases, (*ANATOMY, "FILLED_CORNERS", *ORIENTATION_LIMITS)),
    "motion": (motion_cases, ("_SMOOTH_CELLS", "_AROUND", "_CELL_MM", "_RANGE_HU", "LEAST_NEIGHBOURS")),
    "breath or gaps": (gap_cases, ("_STEPS_AROUND", "_CELL_MM", "_RANGE_HU", "LEAST_NEIGHBOURS")),
    "slices": (copy_cases, ("_SAME_HU", "_BETWEEN_HU", "_CELL_MM")),
    "noise": (noise_cases, ("_BLOCK_MM", "_UNIFORM_HU", "_NOISE_PERCENT", "_NOISE_BLOCKS", "_NOISE_PLANES")),
    "HU scale": (scale_cases, (*PEAKS, "_CELL_MM", "_RANGE_HU", "FILLED_CORNERS")),
    "contrast": (contrast_cases, ("_BLOOD_HEIGHTS", "_BLOOD_HU", "_BLOOD_POINTS")),
}
"""Of each factor: its cases, and the constants that it rests on."""


def constants(names: tuple[str, ...]) -> Iterator[Number]:
    """Every number of constants that are named."""
    for name in names:
        holder = next(module for module in (anatomy, limits, motion, voxels) if hasattr(module, name))
        yield from numbers_of(name, getattr(holder, name))


def scans(real: Path, seeds: list[int]) -> Iterator[Scan]:
    """Virtual chests, one of each task and site a seed; the scan of the app; the real scans of the tests."""
    for seed in seeds:
        for task in ("pe_mortality", "mace"):
            for site in ("internal", "external"):
                patient = sample_patient(task, site, seed, 0)
                study = render_patient(patient.findings, patient.acquisition).study
                yield Scan(f"virtual: {task}, {site} site, seed {seed}", study, measure_scan(study), task)
    for path in (DEMO, *(real / name for name in REAL_CT)):
        study = load_study(path)
        measured = measure_scan(study)
        enhanced = measured.blood_hu > sum(limits.CONTRAST_UNSURE_HU) / 2
        yield Scan(f"real: {path.name}", study, measured, "pe_mortality" if enhanced else "mace")


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
        f"{missed} faults are *in* and {alarms} scans as given are not"
        + (f"; their least score is {scores}." if scores else ".")
    )
    yield "\n| number | value | at the smaller | at the larger |" + (" least score |" if scores else "")
    yield "|--|--:|--|--|" + ("--|" if scores else "")
    for number in constants(names):
        yield row(number, cases, before, len(of))


def row(number: Number, cases: list[Case], before: list[Answer], of: int) -> str:
    """Line of one number."""
    cells, scores = [], []
    for other in number.others:
        with changed(number, other):
            after = [case.ask() for case in cases]
        cells.append(f"{other:.4g}: {cell(cases, before, after, of)}")
        scores.append(least(cases, after))
    line = f"| {number.words} | {number.value:.4g} | {cells[0]} | {cells[1]} |"
    print(line, flush=True)
    return line + (f" {' and '.join(scores)} |" if any(scores) else "")


def main() -> None:
    """Run every question and write the page."""
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
    names = "; ".join(scan.name for scan in found)
    took = f"{(time.process_time() - start) / 60:.0f} minutes of one core. Scans: {names}."
    options.page.write_text("\n".join([INTRODUCTION, READING, took, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
