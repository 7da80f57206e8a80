"""A slice of which a part lies sideways, and pictures that wrap round their edges; a body cut off is neither."""

from __future__ import annotations

import numpy as np
import pytest
from damaged_ct import fine_body, told, torn
from real_ct import REAL_SCANS, SHARED_CT

from core.errors import UserFacingError
from core.intake.scan.checks.displaced_rows import refuse_wrapped_pictures
from core.intake.scan.checks.neighbour_slices import thinned
from core.intake.scan.checks.regions import doubts_in_parts
from core.load import load_study

BODY = fine_body()
BESIDE, WRAPPED = "pixels beside where the slices around it show it", "edges of the pictures continue each other"
needs_data = pytest.mark.skipif(
    not SHARED_CT.is_dir(), reason="the real test files (../shared/data) are not on this machine"
)


def in_parts(voxels: np.ndarray, axis: int = 2) -> str:
    """What parts of slices alone tell, be it a refusal."""
    try:
        whole = np.moveaxis(voxels.T, 2 - axis, 0)
        return " ".join(doubts_in_parts(thinned(voxels, axis), axis, whole))
    except UserFacingError as error:
        return f"refused: {error.found}"


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("pixels", [-6, 4, 6])
def test_a_torn_slice_is_refused_with_its_place(pixels: int, axis: int) -> None:
    assert told(BODY) == in_parts(BODY) == ""
    spoilt = torn(BODY, 17, pixels, axis)
    assert told(spoilt).startswith("refused")
    said = in_parts(spoilt)
    assert said.startswith("refused: A part of slice 18, counted from the lowest,")
    assert f"{abs(pixels)} {BESIDE}" in said


def test_slices_that_lie_from_left_to_right_are_counted_from_the_left() -> None:
    assert "slice 18, counted from the leftmost" in in_parts(np.moveaxis(torn(BODY, 17, 6), 2, 0), axis=0)


@pytest.mark.parametrize("slices", [slice(17, 18), slice(17, None)], ids=["one slice", "all from one on"])
def test_a_patient_who_moved_is_no_torn_slice(slices: slice) -> None:
    moved = BODY.copy()
    moved[:, :, slices] = np.roll(moved[:, :, slices], 4, 0)
    assert BESIDE not in in_parts(moved)


@pytest.mark.parametrize(("axis", "share"), [(0, 0.4), (0, 0.5), (1, 0.5), (1, 0.6)])
def test_pictures_that_wrap_round_are_refused(axis: int, share: float) -> None:
    assert WRAPPED in told(np.roll(BODY, round(share * BODY.shape[axis]), axis))


def test_pixels_shifted_in_the_order_they_are_stored_are_refused() -> None:
    rows = BODY.T.reshape(BODY.shape[2], -1)
    shifted = np.roll(rows, BODY.shape[0] * 5 + 70, axis=1).reshape(BODY.T.shape)
    assert WRAPPED in told(shifted.T)


def test_a_body_cut_off_at_both_edges_is_in_one_piece() -> None:
    middle = BODY[:, 34:86]
    assert (middle[:, [0, -1]] > -300).mean() > 0.3
    assert refuse_wrapped_pictures(middle.T) == []


def test_opposite_edges_of_a_symmetric_object_may_be_alike() -> None:
    """An object that is its own mirror image, cut off left and right: told, as it may be one that wraps round too."""
    i, j, k = np.indices((120, 100, 30))
    across = np.cos((i - 59.5) / 9) * np.sin(j / 7 + k / 20)
    hu = np.where((j > 8) & (j < 90), 40 + 150 * across, -1000)
    (note,) = refuse_wrapped_pictures(np.asfortranarray(hu.astype(np.int16)).T)
    assert WRAPPED in note


@pytest.mark.parametrize("axis", [0, 1])
def test_a_rod_along_the_rows_is_the_same_at_both_edges(axis: int) -> None:
    rod = np.random.default_rng(0).normal(-1000, 5, (40, 40, 40))
    rod[8:32, 8:32] = 40 + 10 * np.random.default_rng(1).normal(size=(24, 24, 40))
    assert refuse_wrapped_pictures(np.moveaxis(rod, 2, axis).astype(np.int16).T) == []


@needs_data
@pytest.mark.parametrize("name", REAL_SCANS)
def test_real_scans_are_torn_and_wrapped_only_where_they_were_made_so(name: str) -> None:
    """As they are, thinned, and cropped to the middle of the chest; torn by 20 pixels, rolled by half."""
    voxels = load_study(SHARED_CT / name).voxels_hu
    columns, rows, slices = voxels.shape
    middle = voxels[columns // 4 : -columns // 4, rows // 4 : -rows // 4]
    for intact in (voxels, voxels[:, :, ::2], middle):
        assert told(intact) == ""
    assert "refused" in told(torn(voxels, slices // 3, 20))
    assert "refused" in told(torn(voxels, slices // 3, 20, axis=1))
    for axis in (0, 1):
        said = told(np.roll(voxels, voxels.shape[axis] // 2, axis))
        assert said.startswith("refused")
        assert WRAPPED in said
