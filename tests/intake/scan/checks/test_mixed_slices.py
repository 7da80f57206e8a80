"""Slices of another scan are refused or told, and nothing is said of one scan: real series, breaths, ends of a body."""

from __future__ import annotations

import numpy as np
import pytest
from corpus_doubts import BODY, again, beside, body, scan, volume
from ct_factory import positions
from real_ct import REAL_SCANS, SHARED_CT

from core.errors import UserFacingError
from core.intake.scan.checks.neighbour_slices import refuse_outlier_slices
from core.load import load_study

BODY_HU = body(positions(BODY.affine_ras, BODY.shape)).astype(np.int16)


def told(voxels: np.ndarray) -> str:
    """What is said of a volume, be it a refusal."""
    try:
        return " ".join(refuse_outlier_slices(np.asfortranarray(voxels), 2))
    except UserFacingError as error:
        return f"refused: {error.found}"


@pytest.mark.parametrize("make", [scan, volume])
def test_a_lesser_break_is_told_with_its_place(make) -> None:
    notes = load_study(make(beside(slice(15, None), mm=12))).notes
    assert any(note.startswith("Slice 16, counted from the lowest, differs from the one below by") for note in notes)
    assert not any("differs" in note for note in load_study(make()).notes)


def test_each_further_break_is_counted() -> None:
    assert "(and so at 1 other place)" in told(beside(slice(5, 10), mm=12)(BODY_HU))


def test_a_flat_end_of_a_body_is_told_only() -> None:
    """As of a phantom on a table: far beyond what slices differ by, but values fall only."""
    ended = BODY_HU.copy()
    ended[:, 8:, 15:] = -1000
    said = told(ended + np.random.default_rng(0).integers(-9, 9, ended.shape).astype(np.int16))
    assert said.startswith("Slice 16, ")


def test_another_slice_between_two_that_are_alike_needs_no_typical_step() -> None:
    assert told(beside(slice(1, None, 3))(BODY_HU)).startswith("refused")


@pytest.mark.parametrize(("count", "refused"), [(4, False), (5, False), (8, True)])
def test_noise_alone_takes_no_turns_and_two_scans_do(count: int, refused: bool) -> None:
    rng = np.random.default_rng(1)
    noise = np.rint(rng.normal(0, 30, (64, 64, count))).astype(np.int16)
    assert told(noise) == ""
    noise[:32, :, ::2] += 40
    assert told(noise) != ""
    assert told(noise).startswith("refused") == refused


@pytest.mark.parametrize("across", [0, 1])
def test_across_the_body_a_break_is_no_doubt(across: int) -> None:
    hu = np.moveaxis(beside(slice(15, None), mm=12)(BODY_HU), 2, across)
    assert refuse_outlier_slices(np.asfortranarray(hu), across) == []


def test_a_slice_that_comes_again_in_a_nifti_is_told_and_far_away_refused() -> None:
    assert any("Identical to another one" in note for note in load_study(volume(again(4, 5))).notes)
    with pytest.raises(UserFacingError, match="out of order"):
        load_study(volume(again(4, 6)))


@pytest.mark.skipif(not SHARED_CT.is_dir(), reason="the real test files (../shared/data) are not on this machine")
@pytest.mark.parametrize("name", REAL_SCANS)
def test_real_scans_are_one_scan_and_two_are_not(name: str) -> None:
    """As they are, thinned out to thick steps, or without 30 mm in the middle; and shifted in turns or from the middle
    on, by 12 and by 60 mm."""
    study = load_study(SHARED_CT / name)
    voxels, (x_mm, _, z_mm), half = study.voxels_hu, study.spacing_mm, study.shape[2] // 2
    for every in (1, 2, 3):
        assert told(voxels[:, :, ::every]) == ""
    gap = np.delete(voxels, slice(half, half + round(30 / z_mm)), axis=2)
    assert "refused" not in told(gap)
    turns, joined = voxels.copy(), voxels.copy()
    turns[:, :, ::2] = np.roll(turns[:, :, ::2], round(12 / x_mm), 0)
    assert "take turns" in told(turns)
    joined[:, :, half:] = np.roll(joined[:, :, half:], round(60 / x_mm), 0)
    assert "differs from the one below" in told(joined)
