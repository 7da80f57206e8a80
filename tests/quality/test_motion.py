"""Motion between slices: planted sideways shifts are measured in mm, even drift and anatomy are none."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from real_ct import REAL_SCANS, SHARED_CT

from core.load import load_study
from core.quality import QualityReport, measure_scan
from core.quality.limits import LIMITS
from core.quality.motion import largest_shift
from core.quality.scan import scan_factors
from core.quality.voxels import planes_mm
from core.records import CtStudy

ROOT = Path(__file__).resolve().parents[2]
WHICH = {"one slice": slice(80, 81), "all above": slice(80, None), "alternate slices": slice(60, 100, 2)}


@lru_cache(maxsize=1)
def demo() -> CtStudy:
    """The real chest CT that ships with the app, 2 mm."""
    return load_study(ROOT / "assets" / "demo" / "lidc0001_2.0mm.nii.gz")


def with_voxels(voxels: npt.NDArray[np.generic]) -> CtStudy:
    return replace(demo(), voxels_hu=np.asarray(voxels, np.int16))


def shifted(voxels: int, axis: int, which: slice) -> CtStudy:
    """Slices moved sideways by whole voxels of 2 mm, air moving in."""
    moved = demo().voxels_hu.copy()
    moved[:, :, which] = np.roll(moved[:, :, which], voxels, axis=axis)
    return with_voxels(moved)


def shift(study: CtStudy) -> tuple[float, int]:
    return largest_shift(study, planes_mm(study))


@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize(("voxels", "axis"), [(2, 0), (-2, 1), (3, 1), (-3, 0)])
def test_a_planted_shift_is_measured_where_it_is(which: str, voxels: int, axis: int) -> None:
    """Of alternate slices, neighbours lie on the other side: up to twice the shift against the usual step."""
    found, at = shift(shifted(voxels, axis, WHICH[which]))
    planted = abs(voxels) * demo().spacing_mm[axis]
    times = 2.3 if which == "alternate slices" else 1.2
    assert 0.85 * planted < found < times * planted
    assert at in ((79, 80) if which != "alternate slices" else range(59, 100))
    assert LIMITS["slice_shift_mm"].judge(found) == "outside"


def test_the_verdict_says_how_far_and_where() -> None:
    report = QualityReport(scan_factors(moved := shifted(1, 0, WHICH["all above"]), measure_scan(moved), None))
    assert report["motion"].verdict == "edge"
    assert report["motion"].found.endswith("mm after slice 80")
    assert float(report["motion"].found.split()[2]) == pytest.approx(demo().spacing_mm[0], rel=0.1)
    assert "patient moved" in report["motion"].reason


def test_the_intact_scan_is_in_and_what_is_not_judged_is_said() -> None:
    factor = QualityReport(scan_factors(demo(), measure_scan(demo()), None))["motion"]
    assert factor.verdict == "in"
    assert "blur within a slice is not judged" in factor.reason


def test_even_drift_noise_brightness_and_missing_slices_are_no_motion() -> None:
    hu = demo().voxels_hu
    drift = np.stack([np.roll(hu[:, :, 60 + k], k, axis=0) for k in range(12)], axis=-1)
    noisy = hu + np.random.default_rng(0).normal(0, 40, hu.shape)
    brighter = hu.copy()
    brighter[:, :, 80:] += 60
    for voxels in (drift, noisy, brighter, np.delete(hu, slice(80, 83), axis=2), hu[:, :, ::3]):
        assert LIMITS["slice_shift_mm"].judge(shift(with_voxels(voxels))[0]) == "in"


def test_too_few_slices_or_no_picture_are_not_judged_as_motion() -> None:
    few = with_voxels(demo().voxels_hu[:, :, 80:87])
    assert np.isnan(shift(few)[0])
    assert "too few slices" in QualityReport(scan_factors(few, measure_scan(few), None))["motion"].reason
    assert shift(with_voxels(np.full((60, 60, 20), -1000)))[0] == 0


@pytest.mark.skipif(not SHARED_CT.exists(), reason="needs the real files of ../shared/data")
@pytest.mark.parametrize("name", REAL_SCANS)
def test_real_scans_show_no_motion(name: str) -> None:
    study = load_study(SHARED_CT / name)
    assert shift(study)[0] < 1.0
