"""What is measured on a scan, once, and the factors that follow from it for a task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.quality.kernel import is_sharp
from core.quality.limits import (
    CONTRAST_UNSURE_HU,
    DARK_HU,
    LEAST_DARK_SHARE,
    LEAST_LUNG_HEIGHT_MM,
    LIMITS,
    METAL_HU,
    ORIENTATION_IN,
    ORIENTATION_OUTSIDE,
    PADDED_HU,
    SMOOTHED_HU,
    STREAKS,
)
from core.quality.motion import largest_shift
from core.quality.orientation import Orientation, judge_orientation
from core.quality.report import Factor, Verdict, worst
from core.quality.rows import slices_with_odd_rows
from core.quality.thorax import Thorax, thorax_of
from core.quality.voxels import (
    blood_hu,
    hu_peaks,
    largest_step,
    lung_cuts,
    made_up_slices,
    metal,
    noise_hu,
    planes_mm,
)
from core.records import AcquisitionFacts, CtStudy
from core.wording import true_minus

CONTRAST_EXPECTED = {"pe_mortality": True, "mace": False, "mace_ecg": False}
_TOO_SMALL = "too few slices, or too small ones, to compare neighbours"


@dataclass(frozen=True)
class ScanMeasures:
    """Numbers measured on one study; they depend on no model. NaN where something cannot be measured.

    lung_ml: 0 where no lungs were found; then orientation is None and cuts are empty. step_change, step_slice: largest
    change between neighbouring slices over the usual one, and where. shift_mm, shift_slice: largest sideways shift of
    a slice against its neighbour that the others do not share, and where. metal_ml, streaks: see `voxels.metal`.
    made_up: slices that were not scanned. odd_rows: slices with rows unlike those around. dark_share: share of the
    picture that is darker than DARK_HU. ceiling_hu: the largest value.
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
    made_up: int
    odd_rows: int
    dark_share: float
    ceiling_hu: int
    peaks_hu: Mapping[str, float]


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
        made_up=made_up_slices(study),
        odd_rows=slices_with_odd_rows(study),
        dark_share=float((planes < DARK_HU).mean()) if planes.size else math.nan,
        ceiling_hu=int(study.voxels_hu.max()),
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
        _slices(study, measured),
        _spacing(study),
        _neighbours(measured),
        _motion(measured),
        _values(measured),
        _noise(measured),
        _metal(measured),
        _voltage(study.facts),
        _kernel(study.facts),
    )


def _orientation(found: Orientation | None) -> Factor:
    name = "orientation"
    if found is None:
        return Factor(name, "unknown", "no lungs found", "without lungs left, right, up and front cannot be checked")
    if found.lungs_mm < LEAST_LUNG_HEIGHT_MM:
        height = f"{found.lungs_mm:.0f} mm of lung from top to bottom"
        reason = "too little of the lungs to tell their tops and the heart's side"
        return Factor(name, "unknown", height, reason, limit=f"at least {LEAST_LUNG_HEIGHT_MM:.0f} mm")
    if found.one_lung:
        return Factor(name, "unknown", "one lung", "left, right, up and front are told from both lungs")
    if found.turned:
        return Factor(name, "outside", "lungs not side by side, spine upright", f"the volume is {found.turned}")
    return _scores(found)


def _scores(found: Orientation) -> Factor:
    """The verdict on a chest whose axes are not exchanged."""
    name, limit = "orientation", f"1 as the header says, {true_minus('-1')} reversed; usual at least {ORIENTATION_IN}"
    words = (
        (found.up, "lungs' tops up", "upside down: the lungs' tops point to the feet"),
        (found.front, "spine behind", "front and back are exchanged: the spine lies in front"),
        (found.side, "heart left", "left and right are exchanged, or heart and liver lie on the other side"),
    )
    shown = ", ".join(f"{good} {true_minus(f'{score:+.2f}')}" for score, good, _ in words)
    wrong = [bad for score, _, bad in words if score < ORIENTATION_OUTSIDE]
    if wrong:
        return Factor(name, "outside", shown, "; ".join(wrong), limit=limit)
    doubtful = [good for score, good, _ in words if score < ORIENTATION_IN]
    if doubtful:
        reason = f"the anatomy does not settle: {', '.join(doubtful)}"
        return Factor(name, "edge", shown, reason, limit=limit)
    if found.couch == "in front":
        reason = "the patient lies prone; organs shift with gravity"
        return Factor(name, "edge", f"{shown}, couch in front", reason, limit=limit)
    return Factor(name, "in", f"{shown}, couch {found.couch}", "anatomy agrees with the header", limit=limit)


def _coverage(measured: ScanMeasures) -> Factor:
    name = "field of view"
    if measured.lung_ml == 0:
        return Factor(name, "outside", "no lungs found", "the models expect a chest CT with both lungs and the heart")
    if measured.orientation is not None and measured.orientation.one_lung:
        reason = "no heart lies between two lungs: one is gone, filled or not in the scan, or this is no chest"
        return Factor(name, "outside", f"one lung, {measured.lung_ml / 1000:.1f} L", reason)
    limit = LIMITS["lung_cut"]
    cut = {face: share for face, share in measured.cuts.items() if share > limit.usual[1]}
    size = LIMITS["lung_ml"].judge(measured.lung_ml)
    verdicts = [size, *(limit.judge(share) for share in measured.cuts.values())]
    found = f"lungs {measured.lung_ml / 1000:.1f} L"
    if cut:
        faces = ", ".join(f"{face} ({share:.0%} of the largest section)" for face, share in cut.items())
        reason = "the scan does not hold lungs and heart whole"
        usual = f"of a section, usual at most {limit.usual[1]:.0%}, edge at most {limit.edge[1]:.0%}"
        return Factor(name, worst(verdicts), f"{found}, cut at the {faces}", reason, limit=usual)
    reason = "lungs, and the heart between them, lie inside the volume" if size == "in" else "unusual size of the lungs"
    return Factor(name, size, found, reason, limit=LIMITS["lung_ml"].scaled(1 / 1000).words("L"))


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
    limit = LIMITS["contrast_present" if expected else "contrast_absent"]
    verdict, compared = limit.judge(blood), limit.words("HU")
    reasons = {
        True: "the task expects contrast in heart and great vessels",
        False: "the task expects a scan without contrast",
    }
    seen_words = {True: ", and contrast is seen", False: ", and none is seen", None: ", and little is seen"}[seen]
    agrees = verdict == "in"
    reason = "as the task expects" if agrees else reasons[expected] + seen_words
    if contradiction:
        return Factor(name, "edge" if agrees else verdict, found, f"{contradiction}; {reason}", limit=compared)
    return Factor(name, verdict, found, reason, limit=compared)


def _slices(study: CtStudy, measured: ScanMeasures) -> Factor:
    name, count, compared = "slices", study.shape[2], LIMITS["slice_count"].words("slices")
    made_up, odd_rows = measured.made_up, measured.odd_rows
    verdict = LIMITS["slice_count"].judge(count)
    if verdict != "in":
        return Factor(name, verdict, f"{count} slices", f"the scan has only {count} slices", limit=compared)
    if made_up:
        limit = LIMITS["made_up_share"]
        reason = "slices repeat a neighbour or lie exactly between both: copied or interpolated, not scanned"
        usual = f"of the slices, usual none, edge at most {limit.edge[1]:.0%}"
        return Factor(name, limit.judge(made_up / count), f"{made_up} of {count} slices", reason, limit=usual)
    if odd_rows:
        reason = "single rows are unlike those above and below: the data may be damaged there"
        return Factor(name, "edge", f"{odd_rows} of {count} slices", reason)
    if study.repairs:
        return Factor(name, "edge", f"{count} slices, repaired", study.repairs[0].rstrip("."))
    reason = "enough for a chest, each with noise of its own; lost ones may show under breath or gaps"
    return Factor(name, "in", f"{count} slices", reason, limit=compared)


def _spacing(study: CtStudy) -> Factor:
    x, y, step = study.spacing_mm
    steps, pixels = LIMITS["slice_step_mm"], LIMITS["pixel_mm"]
    found = f"{step:.2f} mm between slices, pixels of {x:.2f} by {y:.2f} mm"
    reads = "the encoder reads a plane every 5 mm and a pixel every 2 mm"
    wrong = [] if steps.judge(step) == "in" else [f"slices are {step:.1f} mm apart"]
    across = worst([pixels.judge(x), pixels.judge(y)])
    wrong += [] if across == "in" else [f"pixels are {max(x, y) if max(x, y) > 1 else min(x, y):.1f} mm wide"]
    reason = f"{' and '.join(wrong)}; {reads}" if wrong else reads
    compared = f"{steps.words('mm')} between slices; {pixels.words('mm')} in the plane"
    return Factor("slice spacing", worst([steps.judge(step), across]), found, reason, limit=compared)


def _neighbours(measured: ScanMeasures) -> Factor:
    name, verdict = "breath or gaps", LIMITS["step_change"].judge(measured.step_change)
    if verdict == "unknown":
        return Factor(name, verdict, "not measured", _TOO_SMALL)
    found, compared = f"largest step {measured.step_change:.1f} times the usual", LIMITS["step_change"].words("times")
    if verdict == "in":
        return Factor(name, verdict, found, "neighbouring slices fit", limit=compared)
    found += f", after slice {measured.step_slice + 1}"
    reason = "neighbouring slices do not fit: a breath, motion, or lost slices"
    return Factor(name, verdict, found, reason, limit=compared)


def _motion(measured: ScanMeasures) -> Factor:
    name, verdict = "motion", LIMITS["slice_shift_mm"].judge(measured.shift_mm)
    if verdict == "unknown":
        return Factor(name, verdict, "not measured", _TOO_SMALL)
    found = f"slices shift by at most {measured.shift_mm:.1f} mm against their neighbours"
    compared = LIMITS["slice_shift_mm"].words("mm")
    if verdict == "in":
        reason = "no slice lies sideways; blur within a slice is not judged, nor are double contours and slow drift"
        return Factor(name, verdict, found, reason, limit=compared)
    found = f"shift of {measured.shift_mm:.1f} mm after slice {measured.shift_slice + 1}"
    reason = "the patient moved, or slices of different passes were put together"
    return Factor(name, verdict, found, reason, limit=compared)


def _values(measured: ScanMeasures) -> Factor:
    peaks = {name: value for name, value in measured.peaks_hu.items() if not math.isnan(value)}
    found = ", ".join(f"{name} {true_minus(f'{value:.0f}')}" for name, value in peaks.items())
    judged = {name: value for name, value in peaks.items() if not _padded(name, value)}
    verdict, reason = _scale_verdict(judged, measured.dark_share)
    ranges = "; ".join(f"{name.replace('tissue', 'soft tissue')} {LIMITS[f'{name}_hu'].words('HU')}" for name in judged)
    return Factor("HU scale", verdict, f"{found} HU" if found else "no peak", reason, limit=ranges)


def _scale_verdict(peaks: Mapping[str, float], dark_share: float) -> tuple[Verdict, str]:
    """Verdict and reason; in takes both fat and soft tissue, since one alone may be something else that was shifted."""
    if dark_share < LEAST_DARK_SHARE:
        words = f"nothing is darker than {true_minus(str(DARK_HU))} HU, neither air nor lung"
        return "outside", f"{words}: values were shifted, or cut to a window"
    missing = [words for name, words in (("fat", "fat"), ("tissue", "soft tissue")) if name not in peaks]
    if len(missing) == 2:
        return "outside", "neither fat nor soft tissue lies where it should: values are shifted, scaled, or of no body"
    verdict = worst([LIMITS[f"{name}_hu"].judge(value) for name, value in peaks.items()])
    if verdict != "in":
        return verdict, "values are shifted or scaled"
    if missing:
        return "unknown", f"no peak of {missing[0]} was found, and the rest alone does not settle the scale"
    if "air" not in peaks:
        return "in", "fat and soft tissue lie where they should; no air around the patient to check"
    return "in", "air, fat and soft tissue lie where they should"


def _padded(name: str, value: float) -> bool:
    """Air at the fill value says nothing of the scale."""
    return name == "air" and value <= PADDED_HU


def _noise(measured: ScanMeasures) -> Factor:
    verdict = LIMITS["noise"].judge(measured.noise_hu)
    if verdict == "unknown":
        return Factor("noise", verdict, "not measurable", "too little uniform soft tissue")
    reasons = {"in": "like the training scans", "edge": "noisier than the training scans"}
    reason = reasons.get(verdict, "drowned in noise")
    if measured.noise_hu < LIMITS["noise"].usual[0]:
        filtered = measured.noise_hu < SMOOTHED_HU
        reason = "smoother than any scan: filtered or not a CT" if filtered else "smoother than the training scans"
    return Factor("noise", verdict, f"{measured.noise_hu:.0f} HU", reason, limit=LIMITS["noise"].words("HU"))


def _metal(measured: ScanMeasures) -> Factor:
    verdict = LIMITS["metal_ml"].judge(measured.metal_ml)
    if verdict == "unknown" and measured.orientation is not None:
        found = f"values end at {measured.ceiling_hu:,} HU"
        reason = f"they were cut off below {METAL_HU:,} HU, where metal is told from bone and contrast"
        return Factor("metal", verdict, found, reason)
    if verdict == "unknown":
        return Factor("metal", verdict, "not searched", "without lungs the body was not told from the couch")
    limit = LIMITS["metal_ml"].words("mL")
    if measured.metal_ml == 0:
        return Factor("metal", verdict, "none in the body", f"no connected voxels above {METAL_HU:,} HU", limit=limit)
    found = f"{measured.metal_ml:.1f} mL above {METAL_HU:,} HU"
    if measured.streaks > STREAKS:
        found += f", noise there {measured.streaks:.1f} times that elsewhere"
    reason = "too little to matter" if verdict == "in" else "metal or undiluted contrast: streaks may hide what is near"
    return Factor("metal", verdict, found, reason, limit=limit)


def _voltage(facts: AcquisitionFacts) -> Factor:
    voltage = facts.tube_voltage_kv
    if voltage is None:
        return Factor("tube voltage", "unknown", "not stated", "the file does not say it")
    verdict = LIMITS["tube_voltage_kv"].judge(voltage)
    reason = (
        "usual for a chest CT" if verdict == "in" else "contrast and calcium look brighter or dimmer than at 120 kV"
    )
    limit = LIMITS["tube_voltage_kv"].words("kV")
    return Factor("tube voltage", verdict, f"{voltage:.3g} kV", reason, limit=limit)


def _kernel(facts: AcquisitionFacts) -> Factor:
    if not facts.kernel:
        return Factor("kernel", "unknown", "not stated", "the file does not say it, or in words that are not known")
    if is_sharp(facts.kernel):
        return Factor("kernel", "edge", facts.kernel, "sharp: edges and noise are enhanced beyond the training scans")
    return Factor("kernel", "in", facts.kernel, "soft or medium, as the training scans")
