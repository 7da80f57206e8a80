"""The quality gate on scans: every fault is planted in a scan that is fine without it, beside a control."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from ct_factory import Grid, dicom_files, enhanced_file
from quality_support import demo, demo_report, judged, measure_demo, with_voxels
from real_ct import REAL_SCANS, SHARED_CT
from sampling import sampled
from scipy import ndimage

from core.load import load_study
from core.quality import Factor, QualityReport, measure_scan
from core.quality.orientation import judge_orientation
from core.quality.scan import scan_factors
from core.quality.thorax import Thorax, thorax_of
from core.records import AcquisitionFacts, CtStudy
from core.virtual.render import render_patient
from core.virtual.sampling import sample_patient

VIRTUAL = list(product(("pe_mortality", "mace"), ("internal", "external"), range(3)))
needs_shared = pytest.mark.skipif(not SHARED_CT.exists(), reason="needs the real files of ../shared/data")


@lru_cache(maxsize=16)
def virtual(task: str, site: str, number: int) -> CtStudy:
    """A rendered patient of the virtual cohort."""
    patient = sample_patient(task, site, 77, number)  # type: ignore[arg-type]
    return render_patient(patient.findings, patient.acquisition).study


def test_the_demo_scan_passes_every_check_that_can_be_made() -> None:
    assert demo_report().of("outside") == demo_report().of("edge") == ()
    assert {f.name for f in demo_report().of("unknown")} == {"tube voltage", "kernel", "metal"}
    assert demo_report()["metal"].found == "values end at 2,000 HU"
    assert demo_report().verdict == "in"


@pytest.mark.parametrize(
    ("axes", "words"),
    [((0,), "left and right"), ((1,), "front and back"), ((2,), "upside down"), ((0, 1), "front and back")],
)
def test_a_flipped_scan_is_outside_and_the_reason_names_the_axis(axes: tuple[int, ...], words: str) -> None:
    factor = judged(with_voxels(demo(), np.flip(demo().voxels_hu, axes)))["orientation"]
    assert factor.verdict == "outside"
    assert words in factor.reason
    assert len(factor.reason.split(";")) == len(axes)


def test_a_turned_scan_is_not_called_mirrored_beyond_its_turn() -> None:
    """Turned about the body axis: front-back and left-right are both exchanged, up and down are not."""
    factor = judged(with_voxels(demo(), demo().voxels_hu[::-1, ::-1]))["orientation"]
    assert "left and right" in factor.reason
    assert "front and back" in factor.reason
    assert "upside" not in factor.reason


def test_a_prone_patient_is_unusual_not_wrong() -> None:
    """The couch goes in front of the patient; the patient stays as it is."""
    voxels = demo().voxels_hu.copy()
    assert (voxels[:, 19:22] > -700).mean() > 0.2
    assert (voxels[:, 160:] > -700).mean() < 0.001
    voxels[:, :26], voxels[20:-20, 160:164] = -1000, -200
    factor = judged(with_voxels(demo(), voxels))["orientation"]
    assert (factor.verdict, "prone" in factor.reason) == ("edge", True)


def test_a_thin_wall_of_the_chest_is_no_couch() -> None:
    """Of the wall in front of the left lung only what lies within 10 mm of it is left; nothing lies behind the back."""
    chest = thorax_of(demo())
    assert chest is not None
    off_mm = ndimage.distance_transform_edt(~chest.lungs, sampling=chest.step_mm)
    i, j, _ = np.indices(chest.hu.shape, sparse=True)
    heights = (chest.height > 0.1) & (chest.height < 0.9)
    hu = np.where((off_mm > 10) & (i < chest.range_ij[:, 0].mean()) & (j > 44) & heights, -1000, chest.hu)
    thin = Thorax(np.where(chest.body | (off_mm < 30), hu, -1000).astype(np.int16), chest.lungs, chest.step_mm)
    assert judge_orientation(thin).couch == "not seen"
    with_couch = np.where((j == 84) & (np.abs(i - 45) < 30), -200, thin.hu).astype(np.int16)
    assert judge_orientation(Thorax(with_couch, chest.lungs, chest.step_mm)).couch == "in front"


@pytest.mark.parametrize(
    ("part", "face"),
    [
        (np.s_[:, :, 85:], "bottom"),
        (np.s_[:, :, :95], "top"),
        (np.s_[70:, :, :], "left"),
        (np.s_[:, :100, :], "front"),
    ],
)
def test_a_scan_that_cuts_lungs_and_heart_is_outside(part: tuple[slice, ...], face: str) -> None:
    factor = judged(with_voxels(demo(), demo().voxels_hu[part]))["field of view"]
    assert factor.verdict == "outside"
    assert face in factor.found


def test_cutting_off_what_is_not_chest_changes_nothing() -> None:
    trimmed = with_voxels(demo(), demo().voxels_hu[4:-4, :, 3:-3], (4, 0, 3))
    assert judged(trimmed)["field of view"].verdict == "in"


def test_without_lungs_nothing_about_the_chest_is_claimed() -> None:
    voxels = np.where(demo().voxels_hu < -300, -50, demo().voxels_hu).astype(np.int16)
    report = judged(with_voxels(demo(), voxels))
    assert report["field of view"].verdict == "outside"
    assert {report[name].verdict for name in ("orientation", "contrast", "metal")} == {"unknown"}


@pytest.mark.parametrize("missing", [3, 6])
def test_lost_slices_show_as_a_step_at_their_place(missing: int) -> None:
    voxels = np.delete(demo().voxels_hu, slice(80, 80 + missing), axis=2)
    factor = judged(with_voxels(demo(), voxels))["breath or gaps"]
    assert factor.verdict in ("edge", "outside")
    assert "slice 80" in factor.found


def test_coarser_even_slices_are_no_gap() -> None:
    affine = demo().affine_mm.copy()
    affine[:3, 2] *= 2
    coarse = replace(demo(), voxels_hu=demo().voxels_hu[:, :, ::2], affine_mm=affine)
    report = judged(coarse)
    assert report["breath or gaps"].verdict == "in"
    assert report["slice spacing"].verdict == "in"
    assert report["orientation"].verdict == "in"


def test_thick_and_few_slices_and_repairs_are_said() -> None:
    affine = demo().affine_mm.copy()
    affine[:3, 2] *= 4
    thick = judged(replace(demo(), voxels_hu=demo().voxels_hu[:, :, ::4], affine_mm=affine))
    assert thick["slice spacing"].verdict == "outside"
    assert "8.0 mm apart" in thick["slice spacing"].reason
    few = judged(with_voxels(demo(), demo().voxels_hu[:, :, :12]))
    assert "only 12 slices" in few["slices"].reason
    mended = judged(replace(demo(), notes=("Repaired: uneven slices were interpolated to even ones.",)))
    assert mended["slices"].verdict == "edge"


SMALL = list(product([(1, 1), (2, 12), (12, 12), (16, 3)], [1, 7, 8, 30], [0.3, 0.6, 6.0], ["air", "noise", "metal"]))


@pytest.mark.parametrize(("across", "planes", "spacing", "kind"), sampled(SMALL, list, one_in=7))
def test_no_study_is_too_small_to_be_judged(across: tuple[int, int], planes: int, spacing: float, kind: str) -> None:
    shape = (*across, planes)
    noise = np.random.default_rng(0).integers(-1000, 1000, shape)
    voxels = {"air": np.full(shape, -1000), "noise": noise, "metal": np.full(shape, 3000)}[kind]
    report = judged(CtStudy(voxels.astype(np.int16), np.diag([spacing, spacing, spacing, 1.0])))
    if planes < 8 or spacing * min(across) < 4:
        for name in ("breath or gaps", "motion"):
            assert report[name].verdict == "unknown"
            assert "fit" not in report[name].reason


def test_metal_on_every_plane_leaves_nothing_to_compare_its_streaks_with() -> None:
    voxels = demo().voxels_hu.copy()
    voxels[80:86, 80:86] = 3000
    factor = judged(with_voxels(demo(), voxels))["metal"]
    assert factor.verdict == "outside"
    assert "noise" not in factor.found


def test_no_noise_elsewhere_leaves_nothing_to_compare_streaks_with() -> None:
    """Values in steps of a lossy export: soft tissue without metal holds one value."""
    voxels = np.where(np.abs(demo().voxels_hu - 60) < 90, 60, demo().voxels_hu)
    voxels[80:86, 80:86, 60:64] = 3000
    factor = judged(with_voxels(demo(), voxels.astype(np.int16)))["metal"]
    assert factor.verdict == "outside" or factor.verdict == "edge"
    assert "noise" not in factor.found


def test_only_what_was_looked_at_is_said_of_the_slices() -> None:
    assert "position" not in demo_report()["slices"].reason, "a NIfTI file has none"


def ball(study: CtStudy, centre: tuple[int, int, int], radius_mm: float) -> npt.NDArray[np.bool_]:
    axes = [(np.arange(n) - c) * mm for n, c, mm in zip(study.shape, centre, study.spacing_mm, strict=True)]
    return sum(a**2 for a in np.meshgrid(*axes, indexing="ij")) < radius_mm**2  # type: ignore[return-value]


def test_metal_in_the_body_is_measured_and_metal_beside_it_is_not() -> None:
    inside = ball(demo(), (90, 100, 70), 10.0)
    assert (demo().voxels_hu[inside] > -300).mean() > 0.9
    planted = judged(with_voxels(demo(), np.where(inside, 3071, demo().voxels_hu)))["metal"]
    assert planted.verdict == "outside"
    assert float(planted.found.split()[0]) == pytest.approx(4 / 3 * np.pi, rel=0.1)
    beside = ball(demo(), (10, 170, 70), 10.0)
    assert (demo().voxels_hu[beside] < -900).all()
    assert judged(with_voxels(demo(), np.where(beside, 3071, demo().voxels_hu)))["metal"].verdict == "in"


def test_added_noise_is_measured() -> None:
    before = measure_scan(demo()).noise_hu
    noisy = demo().voxels_hu + np.random.default_rng(0).normal(0, 60, demo().shape)
    after = measure_scan(with_voxels(demo(), noisy.astype(np.int16))).noise_hu
    assert after == pytest.approx(np.hypot(before, 60), rel=0.15)
    assert judged(with_voxels(demo(), noisy.astype(np.int16)))["noise"].verdict == "outside"
    flat = with_voxels(demo(), np.where(np.abs(demo().voxels_hu - 60) < 60, 60, demo().voxels_hu))
    assert judged(flat)["noise"].verdict != "in"


@pytest.mark.parametrize("change", [lambda hu: hu + 90, lambda hu: hu - 90, lambda hu: hu * 0.6])
def test_shifted_or_scaled_values_are_outside(change: object) -> None:
    changed = change(demo().voxels_hu.astype(np.float32))  # type: ignore[operator]
    assert judged(with_voxels(demo(), changed.astype(np.int16)))["HU scale"].verdict == "outside"
    assert demo_report()["HU scale"].verdict == "in"


@pytest.mark.parametrize(("task", "site", "number"), VIRTUAL)
def test_virtual_patients_raise_no_alarm_and_flips_of_them_do(task: str, site: str, number: int) -> None:
    study = virtual(task, site, number)
    report = judged(study, task)
    assert report.of("outside") == ()
    assert report["orientation"].verdict == report["field of view"].verdict == report["contrast"].verdict == "in"
    other = "mace" if task == "pe_mortality" else "pe_mortality"
    assert judged(study, other)["contrast"].verdict == "outside"
    axis = number % 3
    assert judged(with_voxels(study, np.flip(study.voxels_hu, axis)), task)["orientation"].verdict == "outside"


@pytest.mark.parametrize(("task", "site", "number"), VIRTUAL[::2])
def test_noise_is_what_was_written_into_virtual_patients(task: str, site: str, number: int) -> None:
    written = sample_patient(task, site, 77, number).acquisition.noise_hu  # type: ignore[arg-type]
    assert measure_scan(virtual(task, site, number)).noise_hu == pytest.approx(written, rel=0.25)


@needs_shared
@pytest.mark.parametrize("name", REAL_SCANS)
def test_real_scans_raise_no_false_alarm_about_orientation(name: str) -> None:
    report = judged(load_study(SHARED_CT / name))
    assert report["orientation"].verdict == "in"
    assert report["breath or gaps"].verdict == "in"
    assert report["HU scale"].verdict in ("in", "unknown")
    whole = "crop" not in name
    assert report["field of view"].verdict == ("in" if whole else "outside")


def test_contrast_in_header_and_voxels_are_compared() -> None:
    def contrast(agent: bool | None, task: str | None) -> Factor:
        return judged_with(replace(demo(), facts=AcquisitionFacts(contrast_agent=agent)), task)["contrast"]

    assert contrast(None, "pe_mortality").verdict == contrast(True, "pe_mortality").verdict == "in"
    assert contrast(False, "pe_mortality").verdict == "edge"
    assert "disagree" in contrast(False, "pe_mortality").reason
    assert contrast(True, None).verdict == "unknown"
    assert contrast(False, None).verdict == "edge"


def test_numbers_below_zero_have_a_minus_sign_and_no_hyphen() -> None:
    measured = replace(measure_demo(), blood_hu=-12.0, peaks_hu={"air": -998.0, "fat": -101.0})
    found = measured.orientation
    assert found is not None
    measured = replace(measured, orientation=replace(found, side=-0.9))
    said = {factor.name: factor.found for factor in scan_factors(demo(), measured, "pe_mortality")}
    assert "heart left \u22120.90" in said["orientation"]
    assert said["contrast"].startswith("blood \u221212 HU")
    assert said["HU scale"] == "air \u2212998, fat \u2212101 HU"


def judged_with(study: CtStudy, task: str | None) -> QualityReport:
    return QualityReport(scan_factors(study, replace(measure_demo(), digest=study.digest), task))


@pytest.mark.parametrize(
    ("facts", "name", "verdict"),
    [
        (AcquisitionFacts(tube_voltage_kv=120), "tube voltage", "in"),
        (AcquisitionFacts(tube_voltage_kv=80), "tube voltage", "edge"),
        (AcquisitionFacts(tube_voltage_kv=40), "tube voltage", "outside"),
        (AcquisitionFacts(), "tube voltage", "unknown"),
        (AcquisitionFacts(kernel="B31f"), "kernel", "in"),
        (AcquisitionFacts(kernel="LUNG"), "kernel", "edge"),
        (AcquisitionFacts(kernel="Br64d"), "kernel", "edge"),
        (AcquisitionFacts(), "kernel", "unknown"),
    ],
)
def test_stated_acquisition_is_judged_or_said_to_be_unknown(facts: AcquisitionFacts, name: str, verdict: str) -> None:
    assert judged_with(replace(demo(), facts=facts), None)[name].verdict == verdict


def test_dicom_headers_hand_over_numbers_and_codes_only() -> None:
    def edit(_: int, dataset) -> None:  # type: ignore[no-untyped-def]
        dataset.KVP, dataset.ConvolutionKernel, dataset.ContrastBolusAgent = "110", "B40f", "Ultravist for JOHN DOE"

    facts = load_study(dicom_files(edit=edit)).facts
    assert (facts.tube_voltage_kv, facts.kernel, facts.contrast_agent) == (110.0, "B40f", True)
    assert "DOE" not in repr(facts)

    def named(_: int, dataset) -> None:  # type: ignore[no-untyped-def]
        dataset.KVP, dataset.ConvolutionKernel, dataset.ContrastBolusAgent = "0", "JOHN DOE", "NONE"

    facts = load_study(dicom_files(edit=named)).facts
    assert (facts.tube_voltage_kv, facts.kernel, facts.contrast_agent) == (None, "", False)
    plain = load_study(dicom_files(Grid())).facts
    assert (plain.tube_voltage_kv, plain.contrast_agent) == (None, None)


def test_enhanced_files_hand_over_their_voltage() -> None:
    def edit(dataset) -> None:  # type: ignore[no-untyped-def]
        details = type(dataset)()
        details.KVP = 100.0
        dataset.SharedFunctionalGroupsSequence[0].CTXRayDetailsSequence = [details]

    assert load_study([("enhanced.dcm", enhanced_file(edit=edit))]).facts.tube_voltage_kv == 100.0
