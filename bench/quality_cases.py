"""Scans and questions about them for `bench.quality_constants`: each scan as given and with planted faults."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from real_ct import REAL_CT

from core.encode.ct.lungs import find_lungs
from core.load import load_study
from core.quality import ScanMeasures, limits, measure_scan
from core.quality.motion import largest_shift
from core.quality.orientation import judge_orientation
from core.quality.scan import scan_factors
from core.quality.thorax import Thorax, thorax_of, without_pockets
from core.quality.voxels import blood_hu, hu_peaks, largest_step, made_up_slices, noise_hu, planes_mm
from core.records import CtStudy
from core.virtual.render import render_patient
from core.virtual.sampling import sample_patient

DEMO = Path(__file__).resolve().parents[1] / "assets" / "demo" / "lidc0001_2.0mm.nii.gz"
TURNS = {
    "quarter turn": (1, 0, 2),
    "coronal for axial": (0, 2, 1),
    "sagittal for axial": (2, 1, 0),
}
SHIFT_MM, LOST_MM, BRIGHTER_HU, NOISE_HU = 4.0, 15.0, 90, 60.0
"""The planted faults: a sideways shift, lost slices, a shifted scale, added noise."""

Ask = Callable[[], "Answer"]
Cases = Iterator[tuple[bool, Ask]]
"""Whether a fault was planted, and the question."""


@dataclass(frozen=True, eq=False)
class Scan:
    """An upright scan, what was measured on it with all numbers as they are, and a task whose contrast it has."""

    name: str
    study: CtStudy
    measured: ScanMeasures
    task: str


@dataclass(frozen=True)
class Answer:
    """A verdict; of orientation, unless axes are exchanged, which scores are above 0, and their least (else NaN)."""

    verdict: str
    signs: tuple[bool, ...] = ()
    least: float = math.nan


@dataclass(frozen=True, eq=False)
class Case:
    """One question about one scan. fault: whether one was planted, so that `in` is the wrong answer."""

    scan: int
    fault: bool
    ask: Ask

    def right(self, answer: Answer) -> bool:
        """A fault is right where it is not `in`, a scan as given where it is."""
        return (answer.verdict != "in") == self.fault


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


@cache
def chest_of(found: Thorax) -> Thorax | None:
    """A chest without pockets of air, with what it keeps of itself, made anew for numbers that `thorax.py` reads."""
    return without_pockets(Thorax(found.hu, found.lungs, found.step_mm))


def verdict(scan: Scan, factor: str, task: str | None = None, **measured: object) -> str:
    """Verdict of a factor where these measures take the place of those with all numbers as they are."""
    factors = scan_factors(scan.study, replace(scan.measured, **measured), task)  # type: ignore[arg-type]
    return next(found.verdict for found in factors if found.name == factor)


def orientation_cases(scan: Scan) -> Cases:
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
        turned = _laid_out(hu, mask, (given.step_mm[a], given.step_mm[b], given.step_mm[c]))
        yield True, partial(_orientation, scan, turned, scored=False)


def _laid_out(hu: npt.NDArray[np.int16], lungs: npt.NDArray[np.bool_], step_mm: tuple[float, float, float]) -> Thorax:
    """A chest whose lattice is a copy of its own: views with strides are several times slower."""
    return Thorax(np.ascontiguousarray(hu), np.ascontiguousarray(lungs), step_mm)


def _orientation(scan: Scan, chest: Thorax, *, scored: bool = True) -> Answer:
    kept = chest_of(chest)
    if kept is None:
        return Answer(verdict(scan, "orientation", orientation=None))
    found = judge_orientation(kept)
    scores = (found.up, found.front, found.side)
    said = verdict(scan, "orientation", orientation=found)
    return Answer(said, tuple(score > 0 for score in scores), min(scores)) if scored else Answer(said)


def motion_cases(scan: Scan) -> Cases:
    """As given; the upper half shifted sideways."""
    moved = scan.study.voxels_hu.copy()
    half, steps = moved.shape[2] // 2, round(SHIFT_MM / scan.study.spacing_mm[0])
    moved[:, :, half:] = np.roll(moved[:, :, half:], steps, axis=0)
    for fault, study in ((False, scan.study), (True, with_voxels(scan.study, moved))):
        yield fault, partial(_motion, scan, study)


def _motion(scan: Scan, study: CtStudy) -> Answer:
    return Answer(verdict(scan, "motion", shift_mm=largest_shift(study, planes_mm(study))[0]))


def gap_cases(scan: Scan) -> Cases:
    """As given; slices lost in the middle."""
    half, lost = scan.study.shape[2] // 2, max(1, round(LOST_MM / scan.study.spacing_mm[2]))
    fewer = np.delete(scan.study.voxels_hu, slice(half, half + lost), axis=2)
    for fault, study in ((False, scan.study), (True, with_voxels(scan.study, fewer))):
        yield fault, partial(_gap, scan, study)


def _gap(scan: Scan, study: CtStudy) -> Answer:
    return Answer(verdict(scan, "breath or gaps", step_change=largest_step(planes_mm(study))[0]))


def copy_cases(scan: Scan) -> Cases:
    """As given; one slice a copy; one slice the mean of its neighbours."""
    half = scan.study.shape[2] // 2
    copied, between = scan.study.voxels_hu.copy(), scan.study.voxels_hu.copy()
    copied[:, :, half] = copied[:, :, half - 1]
    between[:, :, half] = np.rint(between[:, :, [half - 1, half + 1]].mean(axis=2))
    for fault, hu in ((False, scan.study.voxels_hu), (True, copied), (True, between)):
        yield fault, partial(_copies, scan, with_voxels(scan.study, hu))


def _copies(scan: Scan, study: CtStudy) -> Answer:
    return Answer(verdict(scan, "slices", made_up=made_up_slices(study)))


def noise_cases(scan: Scan) -> Cases:
    """As given; with noise added."""
    noise = np.random.default_rng(0).standard_normal(scan.study.shape, np.float32) * NOISE_HU
    for fault, hu in ((False, scan.study.voxels_hu), (True, scan.study.voxels_hu + noise)):
        yield fault, partial(_noise, scan, with_voxels(scan.study, hu))


def _noise(scan: Scan, study: CtStudy) -> Answer:
    return Answer(verdict(scan, "noise", noise_hu=noise_hu(study)))


def scale_cases(scan: Scan) -> Cases:
    """As given; every value too high."""
    for fault, hu in ((False, scan.study.voxels_hu), (True, scan.study.voxels_hu + BRIGHTER_HU)):
        yield fault, partial(_scale, scan, with_voxels(scan.study, hu))


def _scale(scan: Scan, study: CtStudy) -> Answer:
    planes = planes_mm(study)
    dark = float((planes < limits.DARK_HU).mean())
    return Answer(verdict(scan, "HU scale", peaks_hu=hu_peaks(planes), dark_share=dark))


def contrast_cases(scan: Scan) -> Cases:
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
