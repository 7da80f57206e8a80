"""Fat and muscle where they must lie, and slices that repeat the values of the next one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_ct import SHARED_CT
from scipy.ndimage import gaussian_filter, maximum_filter1d, minimum_filter1d
from scipy.signal import peak_prominences

from core.intake.scan.checks.hounsfield_range import doubts_of_tissue, prominence_of
from core.intake.scan.checks.mixed_slices import doubts_of_slabs
from core.load import load_study

needs_data = pytest.mark.skipif(
    not SHARED_CT.is_dir(), reason="the real test files (../shared/data) are not on this machine"
)
Values = npt.NDArray[np.int16]


def body(fat_hu: float = -105, muscle_hu: float = 50, noise_hu: float = 12) -> Values:
    """Slices (32, 96, 96) of blobs of fat and muscle under noise, with lung and air."""
    rng = np.random.default_rng(3)
    blobs = gaussian_filter(rng.normal(size=(32, 96, 96)), 4)
    hu = np.where(blobs > np.median(blobs), fat_hu, muscle_hu)
    hu[:, 30:50, 30:60], hu[:, :8] = -850, -1000
    return np.rint(hu + rng.normal(scale=noise_hu, size=hu.shape)).astype(np.int16)


def told(stack: Values) -> list[str]:
    quarters = np.array_split(stack, 4)
    return doubts_of_tissue([np.bincount(part.ravel().astype(int) + 2000, minlength=6000) for part in quarters], -2000)


@pytest.mark.parametrize("noise_hu", [8, 20, 35])
@pytest.mark.parametrize("fat_hu", [-125, -110, -85])
def test_fat_where_it_lies_raises_no_doubt(fat_hu: float, noise_hu: float) -> None:
    assert told(body(fat_hu, fat_hu + 155, noise_hu)) == []


@pytest.mark.parametrize("change", [-60, -40, 40, 60, 100])
def test_another_offset_is_told(change: int) -> None:
    (note,) = told(body() + np.int16(change))
    assert note.startswith("Two tissues stand out, near ")
    fat = int(note.split("near ")[1].split(" and")[0].replace("−", "-"))
    assert fat == pytest.approx(-105 + change, abs=6)


@pytest.mark.parametrize("factor", [0.9, 1.06, 1.1, 1.2, 1.3])
def test_another_slope_is_told(factor: float) -> None:
    assert told(np.rint((body() + 1000.0) * factor - 1000).astype(np.int16))


def test_values_of_a_phantom_are_no_tissues() -> None:
    """Parts of one value each, be they 155 HU apart."""
    assert told(body(20, 175, 0)) == []


def test_muscle_and_contrast_agent_are_no_fat_and_muscle() -> None:
    """Two tissues that stand out above a little fat."""
    some = body(60, 220)
    some[:, 70:76] = np.random.default_rng(0).normal(-100, 12, some[:, 70:76].shape)
    assert told(some) == []


def test_a_half_with_another_offset_is_told() -> None:
    whole = body()
    assert told(whole) == []
    whole[16:] += 24
    (note,) = told(whole)
    assert note.startswith("Fat lies near -10")
    assert "another" in note


def noisy(voxels: Values) -> Values:
    return np.rint(voxels + np.random.default_rng(0).normal(0, 45, voxels.shape)).astype(np.int16)


def blurred(voxels: Values) -> Values:
    return np.rint(gaussian_filter(voxels.astype(np.float32), 1.5)).astype(np.int16)


@needs_data
@pytest.mark.parametrize(
    ("name", "change"),
    [("nsclc_radiogenomics_R01-001_dicom_every3rd.zip", noisy), ("4d-lung_113_HM10395_2x2x3mm.nii.gz", blurred)],
)
def test_fat_that_noise_or_blur_draw_to_muscle_has_no_other_rescale(
    name: str, change: Callable[[Values], Values]
) -> None:
    """In parts with less fat it peaks 20 HU nearer to muscle; the same scan with another rescale is still told."""
    whole = load_study(SHARED_CT / name).voxels_hu.T
    assert told(change(whole)) == []
    moved = whole.copy()
    moved[len(moved) // 2 :] += 24
    assert any("another rescale" in note for note in told(moved))


@given(st.lists(st.integers(0, 9), min_size=3, max_size=40).map(lambda found: np.array(found, float)))
def test_prominence_is_that_of_scipy(curve: npt.NDArray[np.float64]) -> None:
    peaks = 1 + np.flatnonzero((curve[1:-1] > curve[:-2]) & (curve[1:-1] > curve[2:]))
    assert [prominence_of(curve, int(place)) for place in peaks] == peak_prominences(curve, peaks)[0].tolist()


@pytest.mark.parametrize("project", [maximum_filter1d, minimum_filter1d])
@pytest.mark.parametrize("slices", [3, 5, 11])
def test_overlapping_projections_are_told(project, slices: int) -> None:
    assert doubts_of_slabs(body()) == []
    (note,) = doubts_of_slabs(project(body(), slices, axis=0))
    assert "MIP" in note


def test_slabs_that_do_not_overlap_and_repeated_slices_are_no_such_projection() -> None:
    slabs = maximum_filter1d(body(), 4, axis=0)[::4]
    assert doubts_of_slabs(slabs) == []
    assert doubts_of_slabs(np.repeat(body(), 2, axis=0)) == []


def test_an_object_that_is_the_same_in_every_slice_is_no_projection() -> None:
    """A phantom of constant parts repeats values within its slices as well."""
    assert doubts_of_slabs(np.repeat(body(0, 100, 0)[:1], 32, axis=0)) == []
