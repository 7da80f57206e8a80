"""Slices whose values were shifted together are told, and nothing is said of scans, however thick, noisy or cut off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from damaged_ct import Volume, fine_body
from real_ct import REAL_SCANS, SHARED_CT
from scipy.ndimage import gaussian_filter1d

from core.intake.scan.checks.neighbour_slices import thinned
from core.intake.scan.checks.rescale import doubts_of_shifts
from core.load import load_study

WITHOUT_AIR = "totalseg_pulmonary_crop/ct_cropped.nii.gz"
needs_data = pytest.mark.skipif(
    not SHARED_CT.is_dir(), reason="the real test files (../shared/data) are not on this machine"
)


def said(voxels: npt.NDArray[np.generic]) -> list[str]:
    whole = np.asfortranarray(np.rint(voxels).astype(np.int16))
    return doubts_of_shifts(np.ascontiguousarray(thinned(whole, 2)))


def shifted(voxels: Volume, slices: slice, hu: int) -> Volume:
    out = voxels.copy()
    out[:, :, slices] += hu
    return out


@pytest.mark.parametrize("hu", [-40, -12, 12, 40])
def test_a_shift_is_told_with_its_place_and_size(hu: int) -> None:
    body = fine_body(12)
    assert said(body) == []
    (note,) = said(shifted(body, slice(20, None), hu))
    assert note.startswith(
        f"Between slices 20 and 21, counted from the lowest, all values change together by {hu:+d} HU"
    )
    (note,) = said(shifted(body, slice(20, 25), hu))
    assert "(and so at 1 other place)" in note


def test_tissue_that_changes_while_air_does_not_is_no_shift() -> None:
    """As contrast does that arrives."""
    body = fine_body(12)
    body[:, :, 20:][body[:, :, 20:] > -200] += 40
    assert said(body) == []


@needs_data
@pytest.mark.parametrize("name", REAL_SCANS)
def test_real_scans_are_shifted_only_where_they_were_made_so(name: str) -> None:
    voxels = load_study(SHARED_CT / name).voxels_hu
    half = voxels.shape[2] // 2
    noisy = voxels + np.random.default_rng(0).normal(0, 60, voxels.shape)
    thick = [voxels[:, :, ::every] for every in (2, 3, 5)] + [gaussian_filter1d(voxels, 1.5, axis=2)]
    gap = np.delete(voxels, slice(half, half + 6), axis=2)
    for intact in (voxels, noisy, np.clip(voxels, -1000, 1000), gap, *thick):
        assert said(intact) == []
    for hu in (-20, 15, 30):
        for part in (slice(half, None), slice(half, half + 1), slice(half - 5, half + 5)):
            assert bool(said(shifted(voxels, part, hu))) == (name != WITHOUT_AIR)
