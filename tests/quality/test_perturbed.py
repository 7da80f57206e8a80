"""The quality gate on the demo scan, changed in ways whose truth is known; faults stand beside what is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from quality_support import demo, demo_report, judged, measure_demo, with_voxels
from scipy import ndimage

from core.encode.ct.lungs import find_lungs
from core.quality import QualityReport
from core.quality.kernel import is_sharp
from core.quality.scan import scan_factors
from core.records import CtStudy

HU = npt.NDArray[np.float32]


def on_grid(voxels: npt.NDArray[np.generic], spacing_mm: tuple[float, float, float]) -> CtStudy:
    return CtStudy(np.asarray(voxels, np.int16), np.diag([*spacing_mm, 1.0]))


def hu() -> HU:
    return demo().voxels_hu.astype(np.float32)


def lung_voxels() -> npt.NDArray[np.bool_]:
    """The lungs voxel by voxel."""
    mask, strides, _ = find_lungs(demo())
    for axis, stride in enumerate(strides):
        mask = np.repeat(mask, stride, axis=axis)
    return np.asarray(mask[tuple(slice(n) for n in demo().shape)] & (demo().voxels_hu < -300), bool)


def filled(lungs: npt.NDArray[np.bool_]) -> CtStudy:
    """Fluid with a scanner's noise in place of some of the lungs."""
    fluid = np.random.default_rng(1).normal(15, 15, demo().shape)
    return with_voxels(demo(), np.where(lungs, fluid, hu()).astype(np.int16))


def middle_i() -> int:
    return int(np.flatnonzero(lung_voxels().any((1, 2))).mean())


TURNS = {
    "quarter turn": lambda hu: np.rot90(hu, 1, (0, 1)),
    "quarter turn back": lambda hu: np.rot90(hu, 3, (0, 1)),
    "rows for columns": lambda hu: hu.transpose(1, 0, 2),
    "coronal for axial": lambda hu: hu.transpose(0, 2, 1),
    "coronal for axial, turned": lambda hu: hu.transpose(0, 2, 1)[:, :, ::-1],
    "sagittal for axial": lambda hu: hu.transpose(2, 1, 0),
    "all three": lambda hu: hu.transpose(1, 2, 0),
    "all three, the other way": lambda hu: hu.transpose(2, 0, 1),
}


@pytest.mark.parametrize("turn", TURNS)
def test_exchanged_axes_are_outside(turn: str) -> None:
    factor = judged(on_grid(TURNS[turn](demo().voxels_hu), (2, 2, 2)))["orientation"]
    assert factor.verdict == "outside"
    assert "the volume is turned" in factor.reason or "head and feet" in factor.reason


@pytest.mark.parametrize("degrees", [-20, -10, 10, 20])
def test_a_patient_who_lies_a_little_turned_is_no_exchanged_axis(degrees: float) -> None:
    turned = ndimage.rotate(hu()[::2, ::2, ::2], degrees, (0, 1), reshape=False, order=1, cval=-1000)
    assert judged(on_grid(turned, (4, 4, 4)))["orientation"].verdict == "in"


@pytest.mark.parametrize("half", [np.s_[: demo().shape[0] // 2], np.s_[demo().shape[0] // 2 :]], ids=["right", "left"])
def test_half_a_chest_holds_one_lung_and_is_outside(half: slice) -> None:
    report = judged(with_voxels(demo(), demo().voxels_hu[half]))
    assert report["field of view"].verdict == "outside"
    assert report["orientation"].verdict in ("unknown", "edge")


@pytest.mark.parametrize("side", [np.s_[: middle_i()], np.s_[middle_i() :]], ids=["left", "right"])
def test_a_lung_that_is_gone_is_said_and_is_no_mirrored_scan(side: slice) -> None:
    lost = np.zeros(demo().shape, bool)
    lost[side] = lung_voxels()[side]
    report = judged(filled(lost))
    assert (report["field of view"].verdict, "one lung" in report["field of view"].found) == ("outside", True)
    assert report["orientation"].verdict == "unknown"
    below = lost.copy()
    below[:, 90:] = False
    report = judged(filled(below))
    assert report["field of view"].verdict == report["orientation"].verdict == "in", "an effusion leaves two lungs"


def test_effusions_on_both_sides_are_no_mirrored_scan() -> None:
    low = lung_voxels()
    low[:, :, 70:] = False
    assert judged(filled(low))["orientation"].verdict in ("in", "edge")


@pytest.mark.parametrize("count", [1, 3, 12])
def test_a_few_slices_do_not_tell_the_orientation(count: int) -> None:
    factor = judged(with_voxels(demo(), demo().voxels_hu[:, :, 80 : 80 + count]))["orientation"]
    assert factor.verdict == "unknown"
    assert "mm of lung" in factor.found or "no lungs" in factor.found


@pytest.mark.parametrize("fill", [-1024, -2048, -3024, 0])
def test_a_scanned_circle_that_cuts_the_lungs_is_outside(fill: int) -> None:
    i, j = np.ogrid[: demo().shape[0], : demo().shape[1]]
    distance_mm = 2 * np.hypot(i - 90, j - 85)
    cut = judged(with_voxels(demo(), np.where((distance_mm > 80)[:, :, None], fill, demo().voxels_hu)))
    assert cut["field of view"].verdict == "outside"
    assert "scanned circle" in cut["field of view"].found
    around = judged(with_voxels(demo(), np.where((distance_mm > 165)[:, :, None], fill, demo().voxels_hu)))
    assert around["field of view"].verdict == around["HU scale"].verdict == "in"


def test_a_cut_at_one_face_does_not_excuse_lungs_that_are_hardly_there() -> None:
    measured = replace(measure_demo(), lung_ml=40.0, cuts={"top": 0.1})
    factor = QualityReport(scan_factors(demo(), measured, None))["field of view"]
    assert (factor.verdict, factor.found) == ("outside", "lungs 0.0 L, cut at the top (10% of the largest section)")
    whole = QualityReport(scan_factors(demo(), replace(measured, lung_ml=3700.0), None))["field of view"]
    assert whole.verdict == "edge"


def test_a_tight_crop_round_whole_lungs_is_no_cut() -> None:
    lungs = np.argwhere(lung_voxels())
    low, high = lungs.min(axis=0) - 4, lungs.max(axis=0) + 5
    tight = with_voxels(demo(), demo().voxels_hu[low[0] : high[0], low[1] : high[1]])
    assert judged(tight)["field of view"].verdict == "in"


SCALES = {
    "24 too high": (lambda hu: hu + 24, "edge"),
    "24 too low": (lambda hu: hu - 24, "edge"),
    "without the intercept": (lambda hu: hu + 1024, "outside"),
    "1000 too low": (lambda hu: hu - 1000, "outside"),
    "a tenth too small": (lambda hu: hu * 0.9, "outside"),
    "half as steep from air": (lambda hu: (hu + 1000) / 2 - 1000, "outside"),
    "soft-tissue window": (lambda hu: np.clip(hu, -160, 240), "outside"),
    "eight bits of a lung window": (lambda hu: (np.clip(hu, -1350, 150) + 1350) * 255 / 1500, "outside"),
    "8 too high": (lambda hu: hu + 8, "in"),
    "8 too low": (lambda hu: hu - 8, "in"),
    "cut at 400": (lambda hu: np.clip(hu, -1000, 400), "in"),
}


@pytest.mark.parametrize("change", SCALES)
def test_the_scale_is_judged_by_air_fat_and_tissue_together(change: str) -> None:
    alter, verdict = SCALES[change]
    factor = judged(with_voxels(demo(), np.rint(alter(hu())).astype(np.int16)))["HU scale"]
    assert factor.verdict == verdict
    assert ("lie where they should" in factor.reason) == (verdict == "in")


def test_zeros_around_the_body_do_not_count_as_tissue() -> None:
    body = ndimage.binary_dilation(demo().voxels_hu > -300, iterations=2) | lung_voxels()
    factor = judged(with_voxels(demo(), np.where(body, demo().voxels_hu, 0)))["HU scale"]
    assert factor.verdict == "in"
    assert "no air around the patient" in factor.reason


@pytest.mark.parametrize("ceiling", [400, 1000])
def test_metal_is_not_denied_where_values_were_cut_off(ceiling: int) -> None:
    factor = judged(with_voxels(demo(), np.minimum(demo().voxels_hu, ceiling)))["metal"]
    assert (factor.verdict, factor.found) == ("unknown", f"values end at {ceiling:,} HU")


def test_metal_is_denied_where_the_scale_reaches_beyond_bone() -> None:
    smallest = np.random.default_rng(0).integers(0, 400, demo().shape)
    uncut = np.where(demo().voxels_hu == demo().voxels_hu.max(), 2000 + smallest, demo().voxels_hu).astype(np.int16)
    assert judged(with_voxels(demo(), uncut))["metal"].verdict == "in"


def interpolated(first: int, last: int) -> HU:
    """Slices between two replaced by what lies between these."""
    changed = hu()
    for k in range(first + 1, last):
        share = (k - first) / (last - first)
        changed[:, :, k] = (1 - share) * changed[:, :, first] + share * changed[:, :, last]
    return np.rint(changed)


@pytest.mark.parametrize(
    ("make", "count", "verdict"),
    [
        (lambda: interpolated(80, 82), 1, "edge"),
        (lambda: interpolated(80, 90), 9, "edge"),
        (lambda: np.repeat(hu()[:, :, ::5], 5, axis=2), 136, "outside"),
        (lambda: ndimage.zoom(hu()[:, :, ::5], (1, 1, 4.9), order=1, grid_mode=False), 80, "outside"),
        (lambda: hu()[:, :, [*range(81), *range(80, 166)]], 1, "edge"),
    ],
    ids=["one", "nine", "each five times", "upsampled", "one twice"],
)
def test_slices_that_were_not_scanned_are_counted(make, count: int, verdict: str) -> None:  # type: ignore[no-untyped-def]
    factor = judged(with_voxels(demo(), make().astype(np.int16)))["slices"]
    assert factor.verdict == verdict
    assert int(factor.found.split()[0]) >= count


def test_filtered_or_fewer_slices_are_not_called_copies() -> None:
    smooth = ndimage.gaussian_filter(hu(), 1.0)
    for voxels in (smooth, hu()[:, :, ::3]):
        assert judged(with_voxels(demo(), voxels.astype(np.int16)))["slices"].verdict == "in"


def test_coarse_pixels_are_said() -> None:
    affine = demo().affine_mm.copy()
    affine[:3, 1] *= 3
    factor = judged(replace(demo(), voxels_hu=demo().voxels_hu[:, ::3], affine_mm=affine))["slice spacing"]
    assert factor.verdict == "outside"
    assert "6.0 mm" in factor.reason
    affine[:3, 1] *= 0.5 / 3
    fine = replace(demo(), voxels_hu=np.repeat(demo().voxels_hu, 2, axis=1), affine_mm=affine)
    assert judged(fine)["slice spacing"].verdict == "in"


SOFT = (
    "B20f", "B31f", "B40f", "Br40d\\3", "Bv40", "I31f\\3", "Qr40", "H30s", "STANDARD", "SOFT", "CHST", "FC08-H", "FC13",
    "FC18", "FC20", "A", "B", "C", "SA",
)  # fmt: skip
SHARP = (
    "B60f", "B70s", "B80f", "Bl57d", "Br64", "Hr60", "I50f\\3", "U90u", "BONE", "BONE+", "LUNG", "EDGE", "FC30", "FC35",
    "FC52", "FC86", "D", "E", "EB", "L", "LA", "YC", "HD LUNG", "HD BONEPLUS", "LUNG ENHANCED",
)  # fmt: skip


def test_kernels_are_told_by_their_makers_names() -> None:
    assert [name for name in SOFT if is_sharp(name)] == []
    assert [name for name in SHARP if not is_sharp(name)] == []


def _numbers_without_limit(report: QualityReport) -> list[str]:
    named_only = {"kernel", "training population"}
    measured = [f for f in report.factors if any(c.isdigit() for c in f.found) and f.name not in named_only]
    return [f.name for f in measured if not f.limit and f.verdict != "unknown"]


def test_every_measured_number_says_what_it_was_compared_with() -> None:
    noisy = hu()[:, :, :120] + np.random.default_rng(0).normal(0, 60, (*demo().shape[:2], 120))
    for report in (demo_report(), judged(with_voxels(demo(), noisy.astype(np.int16)))):
        assert _numbers_without_limit(report) == []
    told = judged(with_voxels(demo(), noisy.astype(np.int16)))["noise"].told
    assert told.startswith("drowned in noise (")
    assert told.endswith("HU; usual 10 to 33 HU)")
