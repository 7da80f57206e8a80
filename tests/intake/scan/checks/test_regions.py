"""What parts of slices tell: two phases in turns, and damage that is less than what anatomy changes."""

from __future__ import annotations

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
from corpus_doubts import body
from ct_factory import Grid, positions
from real_ct import REAL_SCANS, SHARED_CT

from core.errors import UserFacingError
from core.intake.scan.checks.neighbour_slices import refuse_outlier_slices, thinned
from core.intake.scan.checks.regions import doubts_in_parts
from core.load import load_study

Volume = npt.NDArray[np.int16]
FINE = Grid((144, 120, 40), (2.5, 2.5, 2.5))
NOISE_HU = 12


def fine_body(noise_hu: float = NOISE_HU) -> Volume:
    """40 slices of a chest with a scanner's noise."""
    hu = body(positions(FINE.affine_ras, FINE.shape))
    return np.rint(hu + np.random.default_rng(2).normal(0, noise_hu, hu.shape)).astype(np.int16)


def brighter(hu: int, slices: slice = slice(1, None, 2)) -> Volume:
    """With so much more contrast in the middle of some slices."""
    voxels = fine_body()
    voxels[48:96, 48:80, slices] += np.int16(hu)
    return voxels


def told(voxels: Volume) -> str:
    """What is said of a volume, be it a refusal."""
    try:
        return " ".join(refuse_outlier_slices(np.asfortranarray(voxels), 2))
    except UserFacingError as error:
        return f"refused: {error.found}"


@pytest.mark.parametrize("first", [0, 1])
def test_a_part_that_is_brighter_in_turns_is_told(first: int) -> None:
    """Two phases of one place, 2.5 mm apart, that differ in the heart alone and whose headers tell nothing."""
    assert "brighter and darker in turns" in told(brighter(16, slice(first, None, 2)))


@pytest.mark.parametrize(
    "voxels",
    [brighter(0), brighter(90, slice(18, None)), fine_body(120)],
    ids=["nothing", "an organ that begins", "noise"],
)
def test_a_part_that_is_not_brighter_in_turns_is_not(voxels: Volume) -> None:
    assert "in turns" not in told(voxels)


def damaged(voxels: Volume, place: int, flips: int, seed: int) -> Volume:
    """One slice through JPEG 2000, some bytes of which were changed."""
    rng, out = np.random.default_rng(seed), voxels.copy()
    plane = (out[:, :, place].astype(np.int32) + 2048).astype(np.uint16)
    stream = bytearray(imagecodecs.jpeg2k_encode(plane, codecformat="j2k", reversible=True, level=0))
    for at in rng.integers(200, len(stream) - 10, flips):
        stream[at] ^= int(rng.integers(1, 255))
    out[:, :, place] = imagecodecs.jpeg2k_decode(bytes(stream)).astype(np.int32) - 2048
    return out


@pytest.mark.parametrize("seed", range(6))
def test_damage_over_much_of_one_slice_is_told(seed: int) -> None:
    voxels = fine_body()
    spoilt = damaged(voxels, 17, 20, seed)
    assert (np.abs(spoilt[:, :, 17].astype(int) - voxels[:, :, 17]) > 20).mean() > 0.2
    assert told(spoilt)


@pytest.mark.parametrize("name", REAL_SCANS)
def test_real_scans_raise_no_doubt_in_parts(name: str) -> None:
    if not (SHARED_CT / name).exists():
        pytest.skip("the shared CT files are absent")
    study = load_study(SHARED_CT / name)
    for across in (0, 1):
        assert doubts_in_parts(thinned(study.voxels_hu, across), across) == []
    voxels = thinned(study.voxels_hu, 2)
    for slices in (slice(None), slice(None, None, 2), slice(None, 30), slice(-30, None)):
        assert doubts_in_parts(voxels[slices]) == []


def test_a_slice_of_another_noise_is_told_and_a_change_of_noise_is_not() -> None:
    """Current is modulated along the body: noise may change, not in one slice alone."""
    one, many, rng = fine_body(), fine_body(), np.random.default_rng(3)
    one[:, :, 20] += rng.integers(-60, 60, one.shape[:2]).astype(np.int16)
    many += np.rint(rng.normal(0, 1, many.shape) * np.linspace(0, 60, 40)).astype(np.int16)
    assert "Slice 21, counted from the lowest, differs" in told(one)
    assert told(many) == ""


def test_slices_that_lie_across_the_body_are_counted_from_their_own_end() -> None:
    one = fine_body()
    one[:, :, 20] += np.random.default_rng(3).integers(-60, 60, one.shape[:2]).astype(np.int16)
    across = np.asfortranarray(np.moveaxis(one, 2, 0))
    assert "Slice 21, counted from the leftmost, differs" in " ".join(refuse_outlier_slices(across, 0))


@pytest.mark.parametrize("shape", [(4, 40, 40), (9, 3, 40), (9, 40, 3), (30, 4, 4), (5, 9, 11)])
def test_few_or_small_slices_are_judged_without_fault(shape: tuple[int, int, int]) -> None:
    assert doubts_in_parts(np.random.default_rng(0).integers(-20, 20, shape).astype(np.int16)) == []


def with_blood(hu: int, slices: slice) -> Volume:
    """So much more contrast in heart and great vessels, an oval part of the middle, of some slices."""
    i, j = np.mgrid[-72:72, -60:60]
    voxels = fine_body()
    voxels[:, :, slices] += (hu * ((i / 22) ** 2 + ((j - 8) / 24) ** 2 < 1)).astype(np.int16)[..., None]
    return voxels


@pytest.mark.parametrize("hu", [-150, 150])
def test_two_phases_of_contrast_that_are_joined_are_told_with_the_place(hu: int) -> None:
    voxels = with_blood(max(0, -hu), slice(None)) + with_blood(hu, slice(18, None)) - fine_body()
    said = " ".join(doubts_in_parts(thinned(voxels, 2)))
    assert said.startswith("From slice 19 on, counted from the lowest, soft tissue that is steady")
    assert "two phases of contrast may be joined" in said


def test_blocks_of_two_phases_are_told_as_often_as_they_change() -> None:
    voxels = fine_body()
    for first in range(4, 36, 8):
        voxels[:, :, first : first + 4] += with_blood(150, slice(None))[:, :, :4] - fine_body()[:, :, :4]
    assert "(and so at 7 other places)" in " ".join(doubts_in_parts(thinned(voxels, 2)))


def test_contrast_that_arrives_little_by_little_is_no_other_phase() -> None:
    voxels = fine_body()
    for place in range(40):
        voxels[:, :, place] += (with_blood(10 * place, slice(None)) - fine_body())[:, :, place]
    assert told(voxels) == ""


@pytest.mark.parametrize("name", REAL_SCANS)
def test_real_scans_are_of_one_phase(name: str) -> None:
    """As they are, thinned out, and the mean of three slices."""
    if not (SHARED_CT / name).exists():
        pytest.skip("the shared CT files are absent")
    voxels = load_study(SHARED_CT / name).voxels_hu
    count = voxels.shape[2] // 3 * 3
    thick = voxels[:, :, :count].reshape(*voxels.shape[:2], -1, 3).mean(axis=3).astype(np.int16)
    for slices in (voxels, voxels[:, :, ::2], voxels[:, :, 1::2], thick):
        assert "phases of contrast" not in told(slices)
