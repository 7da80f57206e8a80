"""What is measured on a scan, once, and the factors that follow from it for a task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.quality.limits import (
    CONTRAST_UNSURE_HU,
    LIMITS,
    METAL_HU,
    ORIENTATION_IN,
    ORIENTATION_OUTSIDE,
    PADDED_HU,
    SHARP_KERNEL,
    STREAKS,
)
from core.quality.motion import largest_shift
from core.quality.orientation import Orientation, judge_orientation
from core.quality.report import VERDICTS, Factor, Verdict
from core.quality.thorax import Thorax, thorax_of
from core.quality.voxels import blood_hu, hu_peaks, largest_step, lung_cuts, metal, noise_hu, planes_mm
from core.records import AcquisitionFacts, CtStudy
from core.words import true_minus

CONTRAST_EXPECTED = {"pe_mortality": True, "mace": False}
_TOO_SMALL = "too few slices, or too small ones, to compare neighbours"
_SHARP = ("lung", "bone", "edge", "boneplus", "sharp", "ultra", "e", "l", "yb", "ya")


@dataclass(frozen=True)
class ScanMeasures:
    """Numbers measured on one study; they depend on no model. NaN where something cannot be measured.

    lung_ml: 0 where no lungs were found; then orientation is None and cuts are empty. step_change, step_slice: largest
    change between neighbouring slices over the usual one, and where. shift_mm, shift_slice: largest sideways shift of
    a slice against its neighbour that the others do not share, and where. metal_ml, streaks: see `voxels.metal`.
    """

    digest: str
    lung_ml: float
    orientation: Orientation | None
    cuts: Mapping[str, float]
    blood_hu: float
    noise_hu: float
    step_change: float
    step_slice: int
    shift_mm: float
    shift_slice: int
    metal_ml: float
    streaks: float
    peaks_hu: Mapping[str, float] = field(default_factory=dict)


def measure_scan(study: CtStudy) -> ScanMeasures:
    """Measure a study (under a second for 512 x 512 x 300 voxels); never raises on a valid one."""
    thorax, planes = thorax_of(study), planes_mm(study)
    step, where = largest_step(planes)
    shift_mm, shifted = largest_shift(study, planes)
    metal_ml, streaks = metal(study, thorax) if thorax else (math.nan, math.nan)
    return ScanMeasures(
        digest=study.digest,
        lung_ml=_volume_ml(thorax) if thorax else 0.0,
        orientation=judge_orientation(thorax) if thorax else None,
        cuts=lung_cuts(thorax) if thorax else {},
        blood_hu=blood_hu(thorax) if thorax else math.nan,
        noise_hu=noise_hu(study),
        step_change=step,
        step_slice=where,
        shift_mm=shift_mm,
        shift_slice=shifted,
        metal_ml=metal_ml,
        streaks=streaks,
        peaks_hu=hu_peaks(planes),
    )


def _volume_ml(thorax: Thorax) -> float:
    return float(thorax.lungs.sum() * np.prod(thorax.step_mm) / 1000)


def scan_factors(study: CtStudy, measured: ScanMeasures, task_name: str | None) -> tuple[Factor, ...]:
    """Every factor of a scan. task_name: decides whether contrast is expected; None where no model was chosen."""
    return (
        _orientation(measured.orientation),
        _coverage(measured),
        _contrast(measured, study.facts, task_name),
        _slices(study),
        _spacing(study),
        _neighbours(measured),
        _motion(measured),
        _values(measured),
        _noise(measured),
        _metal(measured),
        _voltage(study.facts),
        _kernel(study.facts),
    )


def worst(verdicts: list[Verdict]) -> Verdict:
    """The worst known verdict, unknown where none is known."""
    known = [verdict for verdict in verdicts if verdict != "unknown"]
    return min(known, key=VERDICTS.index) if known else "unknown"


def _orientation(found: Orientation | None) -> Factor:
    name = "orientation"
    if found is None:
        return Factor(name, "unknown", "no lungs found", "without lungs left, right, up and front cannot be checked")
    words = (
        (found.up, "lungs' tops up", "upside down: the lungs' tops point to the feet"),
        (found.front, "spine behind", "front and back are exchanged: the spine lies in front"),
        (found.side, "heart left", "left and right are exchanged, or heart and liver lie on the other side"),
    )
    shown = ", ".join(f"{good} {true_minus(f'{score:+.2f}')}" for score, good, _ in words)
    wrong = [bad for score, _, bad in words if score < ORIENTATION_OUTSIDE]
    if wrong:
        return Factor(name, "outside", shown, "; ".join(wrong))
    doubtful = [good for score, good, _ in words if score < ORIENTATION_IN]
    if doubtful:
        return Factor(name, "edge", shown, f"the anatomy does not settle: {', '.join(doubtful)}")
    if found.couch == "in front":
        return Factor(name, "edge", f"{shown}, couch in front", "the patient lies prone; organs shift with gravity")
    return Factor(name, "in", f"{shown}, couch {found.couch}", "anatomy agrees with the header")


def _coverage(measured: ScanMeasures) -> Factor:
    name = "field of view"
    if measured.lung_ml == 0:
        return Factor(name, "outside", "no lungs found", "the models expect a chest CT with both lungs and the heart")
    limit = LIMITS["lung_cut"]
    cut = {face: share for face, share in measured.cuts.items() if share > limit.usual[1]}
    verdicts = [limit.judge(share) for share in measured.cuts.values()]
    found = f"lungs {measured.lung_ml / 1000:.1f} L"
    if cut:
        faces = ", ".join(f"{face} ({share:.0%} of the largest section)" for face, share in cut.items())
        return Factor(
            name, worst(verdicts), f"{found}, cut at the {faces}", "the scan does not hold lungs and heart whole"
        )
    size = LIMITS["lung_ml"].judge(measured.lung_ml)
    reason = "lungs, and the heart between them, lie inside the volume" if size == "in" else "unusual size of the lungs"
    return Factor(name, size, found, reason)


def _contrast(measured: ScanMeasures, facts: AcquisitionFacts, task_name: str | None) -> Factor:
    name, blood = "contrast", measured.blood_hu
    if math.isnan(blood):
        return Factor(name, "unknown", "heart and great vessels not found", "blood could not be measured")
    low, high = CONTRAST_UNSURE_HU
    seen = None if low <= blood < high else blood >= high
    named = {None: "", True: ", agent named", False: ", no agent"}[facts.contrast_agent]
    found = f"blood {true_minus(f'{blood:.0f}')} HU{named}"
    contradiction = "header and voxels disagree about contrast" if {seen, facts.contrast_agent} == {True, False} else ""
    expected = CONTRAST_EXPECTED.get(task_name or "")
    if expected is None:
        verdict: Verdict = "edge" if contradiction else "unknown"
        return Factor(name, verdict, found, contradiction or "no model says whether contrast is expected")
    verdict = LIMITS["contrast_present" if expected else "contrast_absent"].judge(blood)
    reasons = {
        True: "the task expects contrast in heart and great vessels",
        False: "the task expects a scan without contrast",
    }
    seen_words = {True: ", and contrast is seen", False: ", and none is seen", None: ", and little is seen"}[seen]
    agrees = verdict == "in"
    reason = "as the task expects" if agrees else reasons[expected] + seen_words
    if contradiction:
        return Factor(name, "edge" if agrees else verdict, found, f"{contradiction}; {reason}")
    return Factor(name, verdict, found, reason)


def _slices(study: CtStudy) -> Factor:
    name, count = "slices", study.shape[2]
    repaired = [note for note in study.notes if note.startswith("Repaired:")]
    verdict = LIMITS["slice_count"].judge(count)
    if verdict != "in":
        return Factor(name, verdict, f"{count} slices", f"the scan has only {count} slices")
    if repaired:
        return Factor(name, "edge", f"{count} slices, repaired", repaired[0].removeprefix("Repaired: ").rstrip("."))
    return Factor(name, "in", f"{count} slices", "enough for a chest; a lost slice would show under breath or gaps")


def _spacing(study: CtStudy) -> Factor:
    step = study.spacing_mm[2]
    verdict = LIMITS["slice_step_mm"].judge(step)
    usual = "the encoder reads a plane every 5 mm"
    reason = usual if verdict == "in" else f"slices are {step:.1f} mm apart and {usual}"
    return Factor("slice spacing", verdict, f"{step:.2f} mm", reason)


def _neighbours(measured: ScanMeasures) -> Factor:
    name, verdict = "breath or gaps", LIMITS["step_change"].judge(measured.step_change)
    if verdict == "unknown":
        return Factor(name, verdict, "not measured", _TOO_SMALL)
    found = f"largest step {measured.step_change:.1f} times the usual"
    if verdict == "in":
        return Factor(name, verdict, found, "neighbouring slices fit")
    found += f", after slice {measured.step_slice + 1}"
    return Factor(name, verdict, found, "neighbouring slices do not fit: a breath, motion, or lost slices")


def _motion(measured: ScanMeasures) -> Factor:
    name, verdict = "motion", LIMITS["slice_shift_mm"].judge(measured.shift_mm)
    if verdict == "unknown":
        return Factor(name, verdict, "not measured", _TOO_SMALL)
    found = f"slices shift by at most {measured.shift_mm:.1f} mm against their neighbours"
    if verdict == "in":
        return Factor(name, verdict, found, "no slice lies sideways; blur within a slice is not judged")
    found = f"shift of {measured.shift_mm:.1f} mm after slice {measured.shift_slice + 1}"
    return Factor(name, verdict, found, "the patient moved, or slices of different passes were put together")


def _values(measured: ScanMeasures) -> Factor:
    peaks = measured.peaks_hu
    verdicts = [LIMITS[f"{name}_hu"].judge(value) for name, value in peaks.items() if not _padded(name, value)]
    found = ", ".join(f"{name} {true_minus(f'{value:.0f}')}" for name, value in peaks.items() if not math.isnan(value))
    verdict = worst(verdicts)
    reason = "air, fat and soft tissue lie where they should" if verdict == "in" else "values are shifted or scaled"
    if verdict == "unknown":
        reason = "neither fat nor soft tissue was found"
    return Factor("HU scale", verdict, f"{found} HU" if found else "no peak", reason)


def _padded(name: str, value: float) -> bool:
    """Air at the fill value says nothing of the scale."""
    return name == "air" and value <= PADDED_HU


def _noise(measured: ScanMeasures) -> Factor:
    verdict = LIMITS["noise"].judge(measured.noise_hu)
    if verdict == "unknown":
        return Factor("noise", verdict, "not measurable", "too little uniform soft tissue")
    smooth = measured.noise_hu < LIMITS["noise"].usual[0]
    reasons = {"in": "like the training scans", "edge": "noisier than the training scans"}
    reason = "smoother than any scan: filtered or not a CT" if smooth else reasons.get(verdict, "drowned in noise")
    return Factor("noise", verdict, f"{measured.noise_hu:.0f} HU", reason)


def _metal(measured: ScanMeasures) -> Factor:
    verdict = LIMITS["metal_ml"].judge(measured.metal_ml)
    if verdict == "unknown":
        return Factor("metal", verdict, "not searched", "without lungs the body was not told from the couch")
    if verdict == "in":
        return Factor("metal", verdict, "none in the body", f"no connected voxels above {METAL_HU:,} HU")
    found = f"{measured.metal_ml:.1f} mL above {METAL_HU:,} HU"
    if measured.streaks > STREAKS:
        found += f", noise there {measured.streaks:.1f} times that elsewhere"
    return Factor(
        "metal", verdict, found, "metal or undiluted contrast casts streaks that were not in the training scans"
    )


def _voltage(facts: AcquisitionFacts) -> Factor:
    voltage = facts.tube_voltage_kv
    if voltage is None:
        return Factor("tube voltage", "unknown", "not stated", "the file does not say it")
    verdict = LIMITS["tube_voltage_kv"].judge(voltage)
    reason = (
        "usual for a chest CT" if verdict == "in" else "contrast and calcium look brighter or dimmer than at 120 kV"
    )
    return Factor("tube voltage", verdict, f"{voltage:.0f} kV", reason)


def _kernel(facts: AcquisitionFacts) -> Factor:
    if not facts.kernel:
        return Factor("kernel", "unknown", "not stated", "the file does not say it, or in words that are not known")
    if is_sharp(facts.kernel):
        return Factor("kernel", "edge", facts.kernel, "sharp: edges and noise are enhanced beyond the training scans")
    return Factor("kernel", "in", facts.kernel, "soft or medium, as the training scans")


def is_sharp(kernel: str) -> bool:
    """Whether a kernel's name stands for edge enhancement: by word, or by its number (Siemens and Canon, 50 and up).

    >>> is_sharp("LUNG"), is_sharp("B70f"), is_sharp("B31f"), is_sharp("STANDARD"), is_sharp("FC13")
    (True, True, False, False, False)
    """
    number = "".join(letter for letter in kernel[1:4] if letter.isdigit())
    return kernel.lower() in _SHARP or (len(number) == 2 and int(number) >= SHARP_KERNEL)
