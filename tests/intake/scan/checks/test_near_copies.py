"""A slice copied over the next one with less noise than a scan has; slices that merely resemble each other are not."""

from __future__ import annotations

import numpy as np
import pytest
from damaged_ct import copied, fine_body, told
from real_ct import REAL_SCANS, SHARED_CT

from core.load import load_study

BODY = fine_body()
WORDS = "Nearly identical to the next one"


@pytest.mark.parametrize("noise_hu", [0.5, 1, 3])
def test_a_copy_under_little_noise_is_refused_where_slices_were_measured(noise_hu: float) -> None:
    assert told(BODY) == ""
    assert f"refused: {WORDS}" in told(copied(BODY, 17, noise_hu))
    said = told(copied(BODY, 17, noise_hu), measured=False)
    assert said.startswith(WORDS)
    assert said.endswith("1 slice (number 18, counted from the lowest).")


def test_air_above_the_body_resembles_itself() -> None:
    air = np.random.default_rng(0).normal(-1000, 3, (*BODY.shape[:2], 2)).astype(np.int16)
    assert WORDS not in told(np.concatenate([BODY, air], 2))


@pytest.mark.parametrize("every", [1.5, 2.5])
def test_slices_interpolated_to_thinner_ones_are_no_copies(every: float) -> None:
    heights = np.arange(0, BODY.shape[2] - 1, 1 / every)
    below = heights.astype(int)
    share = heights - below
    thin = BODY[:, :, below] * (1 - share) + BODY[:, :, below + 1] * share
    assert WORDS not in told(np.rint(thin).astype(np.int16), measured=False)


@pytest.mark.skipif(not SHARED_CT.is_dir(), reason="the real test files (../shared/data) are not on this machine")
@pytest.mark.parametrize("name", REAL_SCANS)
def test_real_scans_hold_no_copy_but_one_that_was_made(name: str) -> None:
    voxels = load_study(SHARED_CT / name).voxels_hu
    for intact in (voxels, voxels[:, :, ::2], voxels[:, :, ::3]):
        assert told(intact) == ""
    place = voxels.shape[2] // 2
    assert f"refused: {WORDS}" in told(copied(voxels, place, 2))
