"""Single rows that a decoder's error left are told; the plane of a table and a scan's own rows are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from real_ct import REAL_SCANS, SHARED_CT

from core.load import load_study
from core.quality import measure_scan
from core.quality.rows import slices_with_odd_rows
from core.quality.scan import scan_factors
from core.records import CtStudy

DEMO = Path(__file__).resolve().parents[2] / "assets/demo/lidc0001_2.0mm.nii.gz"


def spoilt(study: CtStudy, change: Callable[[np.ndarray], object], *slices: int) -> CtStudy:
    """A row in the middle of some slices changed."""
    voxels = study.voxels_hu.copy(order="F")
    for place in slices:
        change(voxels[:, study.shape[1] // 2, place])
    return replace(study, voxels_hu=voxels)


def noise(row: np.ndarray) -> None:
    row[:] = np.random.default_rng(0).integers(-1024, 1500, len(row))


def half_of_noise(row: np.ndarray) -> None:
    noise(row[len(row) // 2 :])


def bright(row: np.ndarray) -> None:
    row[:] = 300


def test_a_damaged_row_is_at_the_edge_and_counted() -> None:
    study = load_study(DEMO)
    assert slices_with_odd_rows(study) == 0
    damaged = spoilt(study, noise, 60, 90)
    (factor,) = [one for one in scan_factors(damaged, measure_scan(damaged), None) if one.name == "slices"]
    assert (factor.verdict, factor.found) == ("edge", f"2 of {study.shape[2]} slices")
    assert "single rows are unlike" in factor.reason


def test_the_plane_of_a_table_goes_through_all_slices() -> None:
    study = load_study(DEMO)
    assert slices_with_odd_rows(spoilt(study, bright, *range(study.shape[2]))) == 0


def test_few_or_small_slices_are_not_judged() -> None:
    study = load_study(DEMO)
    for part in (np.s_[:, :, :2], np.s_[:, :9, :]):
        assert slices_with_odd_rows(replace(study, voxels_hu=np.asfortranarray(study.voxels_hu[part]))) == 0


@pytest.mark.skipif(not SHARED_CT.is_dir(), reason="the real test files (../shared/data) are not on this machine")
@pytest.mark.parametrize("name", REAL_SCANS)
def test_real_scans_hold_no_odd_row_but_one_that_was_made(name: str) -> None:
    study = load_study(SHARED_CT / name)
    for every in (1, 2):
        assert slices_with_odd_rows(replace(study, voxels_hu=np.asfortranarray(study.voxels_hu[:, :, ::every]))) == 0
    place = study.shape[2] // 2
    assert slices_with_odd_rows(spoilt(study, noise, place)) == 1
    assert slices_with_odd_rows(spoilt(study, half_of_noise, place)) == 1
