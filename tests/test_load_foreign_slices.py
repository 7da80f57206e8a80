"""Slices of another scan are refused or told, and nothing is said of one scan: real series, breaths, ends of a body."""

from __future__ import annotations

import numpy as np
import pytest
from corpus_doubts import BODY, again, beside, body, reordered, scan, volume
from ct_factory import positions
from real_ct import REAL_CT, SHARED_CT

from core.errors import UserFacingError
from core.load import load_study
from core.load.continuity import refuse_outlier_slices

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


ORDERS = {
    "two beside each other exchanged": [12, 11],
    "one moved up": [12, 13, 11],
    "one moved down": [14, 11, 12, 13],
    "a part turned round": [15, 14, 13, 12, 11],
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_slices_out_of_order_are_refused(order: list[int]) -> None:
    assert told(BODY_HU) == ""
    assert "out of order" in told(reordered(*order)(BODY_HU))


@pytest.mark.parametrize("upside_down", [False, True])
def test_the_two_slices_of_an_end_exchanged_are_told(upside_down: bool) -> None:
    body_hu = BODY_HU[:, :, 4:][:, :, :: -1 if upside_down else 1].copy()
    assert told(body_hu) == ""
    body_hu[:, :, [0, 1]] = body_hu[:, :, [1, 0]]
    assert "a wrong place" in told(body_hu)


def test_a_slice_that_fits_nowhere_is_told_only() -> None:
    """As where the patient moved while one slice was taken."""
    moved = BODY_HU.copy()
    moved[:, :, 12] = np.roll(moved[:, :, 12], 1, 0)
    assert told(moved).startswith("Slices 12 and 13, counted from the lowest, differ more than those around")


Z = np.arange(24)
SYMMETRIC = {
    "a ball": np.hypot(*np.mgrid[-30:30, -30:30])[..., None] < np.sqrt(np.maximum(0, 24**2 - (2.5 * (Z - 11)) ** 2)),
    "two balls": np.hypot(*np.mgrid[-30:30, -30:30])[..., None]
    < np.sqrt(np.maximum(0, 15**2 - (3 * (Z % 11 - 5)) ** 2)),
    "waves along the body": np.broadcast_to(np.sin(Z / 2.2), (60, 60, 24)),
    "waves in all directions": np.prod(np.sin(np.meshgrid(np.arange(60) / 9, np.arange(60) / 7, Z / 1.9)), axis=0),
    "waves and a ramp": np.sin(Z / 2.2) * 0.2 + np.linspace(0, 1, 60)[:, None, None] + np.zeros((60, 60, 24)),
}


@pytest.mark.parametrize("name", SYMMETRIC)
@pytest.mark.parametrize("noise_hu", [0, 15])
def test_test_objects_that_are_symmetric_along_the_body_are_no_disorder(name: str, noise_hu: int) -> None:
    noise = np.random.default_rng(4).normal(0, noise_hu, (60, 60, 24))
    assert "out of order" not in told((SYMMETRIC[name] * 900 - 500 + noise).astype(np.int16))


def test_a_diaphragm_that_comes_twice_is_no_disorder() -> None:
    """As where the patient breathed in between two positions of the table: a part of each slice comes again."""
    breathed = BODY_HU.copy()
    breathed[20:40, 20:40, 14:] = BODY_HU[20:40, 20:40, 12:-2]
    assert "out of order" not in told(breathed)


@pytest.mark.skipif(not SHARED_CT.is_dir(), reason="the real test files (../shared/data) are not on this machine")
@pytest.mark.parametrize("name", REAL_CT)
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


@pytest.mark.skipif(not SHARED_CT.is_dir(), reason="the real test files (../shared/data) are not on this machine")
@pytest.mark.parametrize("name", REAL_CT)
def test_two_slices_of_a_real_scan_exchanged_are_refused_wherever_they_lie(name: str) -> None:
    """As they are and with 20 HU of noise more, which alone are not."""
    voxels = load_study(SHARED_CT / name).voxels_hu[::2, ::2]
    noise = np.random.default_rng(3).normal(0, 20, voxels.shape).astype(np.int16)
    for hu in (voxels, voxels + noise):
        assert told(hu) == ""
        for place in range(2, voxels.shape[2] - 3, 9):
            part = slice(max(0, place - 6), place + 8)
            exchanged = hu.copy()
            exchanged[:, :, [place, place + 1]] = hu[:, :, [place + 1, place]]
            assert "out of order" in told(exchanged[:, :, part])
