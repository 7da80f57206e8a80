"""What may be wrong though a scan opens is told, and nothing is said of the harmless scan that looks most like it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from corpus_doubts import BODY, body, scan
from corpus_values import foreign_high_bits, overlay_bits
from ct_factory import Edit, Grid, assert_right, dicom_files, positions, setter
from pydicom.dataset import Dataset

from core.errors import UserFacingError
from core.intake.scan.checks.hounsfield_range import refuse_unless_hounsfield
from core.intake.scan.checks.neighbour_slices import refuse_outlier_slices
from core.intake.scan.hounsfield import extremes
from core.load import load_study

GRID = Grid((24, 20, 30), (1.5, 1.25, 2.0))
PAUSED, SKIPPED, COUNTED = "the scan paused for", "The image numbers leave out", "The positions count from"
CLIPPED, SCALE = "bits set above the declared ones", "above any organ"


def told(words: str, notes: list[str]) -> list[str]:
    return [note for note in notes if words in note]


def clock(seconds_of: Callable[[int], int], days: tuple[str, ...] = ("20190504",)) -> Edit:
    def edit(index: int, dataset: Dataset) -> None:
        time = seconds_of(index)
        dataset.AcquisitionDate = days[index * len(days) // GRID.shape[2]]
        dataset.AcquisitionTime = f"10{time // 60:02d}{time % 60:02d}"

    return edit


@pytest.mark.parametrize(
    ("edit", "pause"),
    [
        (clock(lambda i: 60 + (i >= 15) * 300 + i // 4), "paused for 5 min"),
        (clock(lambda i: 60 + i // 4), ""),
        (clock(lambda i: 60 + (i >= 15) * 45 + i // 4), ""),
        (clock(lambda i: 60 + (i >= 15) * 300 + i // 4, ("20190504", "20190505")), ""),
        (setter(AcquisitionTime=""), ""),
    ],
    ids=["five minutes", "none", "45 seconds", "another day", "no clock"],
)
def test_a_long_pause_between_slices_is_told(edit: Edit, pause: str) -> None:
    study = load_study(dicom_files(GRID, edit=edit))
    assert_right(study, tolerance=1.01)
    assert bool(told(PAUSED, study.notes)) == bool(pause)
    assert told(pause or "read as", study.notes) == told(PAUSED, study.notes)


@pytest.mark.parametrize(
    ("number", "skipped"),
    [
        (lambda i: i + 1 + (i >= 15), "leave out 1 image between"),
        (lambda i: i + 1 + 3 * (i >= 15) + 2 * (i >= 20), "leave out 5 images between"),
        (lambda i: 100 - i - (i >= 15), "leave out 1 image between"),
        (lambda i: i + 1, ""),
        (lambda i: 5 + 2 * i, ""),
        (lambda i: i * (i + 1), ""),
        (lambda i: 1 + i * 7 % 30, ""),
    ],
    ids=["one", "five in two places", "falling", "none", "every second", "ever wider steps", "no order"],
)
def test_skipped_image_numbers_are_told(number: Callable[[int], int], skipped: str) -> None:
    study = load_study(dicom_files(GRID, edit=lambda i, d: setattr(d, "InstanceNumber", number(i))))
    assert_right(study, tolerance=1.01)
    assert bool(told(SKIPPED, study.notes)) == bool(skipped)
    assert all(skipped in note for note in told(SKIPPED, study.notes))


def test_numbers_skipped_where_one_acquisition_follows_another_are_not_told() -> None:
    def edit(index: int, dataset: Dataset) -> None:
        dataset.AcquisitionNumber, dataset.InstanceNumber = 1 + index // 15, index + 1 + 40 * (index // 15)

    notes = load_study(dicom_files(GRID, edit=edit)).notes
    assert told("2 acquisitions", notes)
    assert not told(SKIPPED, notes)


@pytest.mark.parametrize(
    ("step_mm", "first_mm", "thickness", "expected"),
    [
        (1.0, 0.0, "5", True),
        (1.0, 1.0, "2.5", True),
        (1.0, 0.0, "1", False),
        (1.0, -0.5, "5", False),
        (1.0, 37.0, "5", False),
        (2.0, 0.0, "5", False),
    ],
)
def test_positions_that_count_as_slice_numbers_do_are_told(
    step_mm: float, first_mm: float, thickness: str, expected: bool
) -> None:
    def edit(index: int, dataset: Dataset) -> None:
        dataset.SliceThickness = thickness
        dataset.ImagePositionPatient = [*dataset.ImagePositionPatient[:2], first_mm + index * step_mm]

    notes = load_study(dicom_files(GRID, edit=edit)).notes
    assert bool(told(COUNTED, notes)) == expected


def test_bits_that_nothing_declares_are_told_and_those_of_an_overlay_are_not() -> None:
    assert told(CLIPPED, load_study(foreign_high_bits()).notes)
    assert not told(CLIPPED, load_study(overlay_bits()).notes)
    assert not told(CLIPPED, load_study(dicom_files(GRID)).notes)


def plain(change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return change(body(positions(BODY.affine_ras, BODY.shape))).astype(np.int16)


@pytest.mark.parametrize(("offset", "expected"), [(0, False), (60, False), (180, True)])
def test_tissue_that_is_brighter_than_any_organ_is_told(offset: int, expected: bool) -> None:
    voxels = plain(lambda hu: np.where(hu > -500, hu + offset, hu))
    notes = refuse_unless_hounsfield(voxels, extremes(voxels))
    assert bool(told(SCALE, notes)) == expected


def rows_lost(rows: slice, slices: slice | int, value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(hu: np.ndarray) -> np.ndarray:
        hu = hu.copy()
        hu[:, rows, slices] = value
        return hu

    return change


@pytest.mark.parametrize("value", [-1024, 0])
@pytest.mark.parametrize("rows", [slice(28, 32), slice(20, 21), slice(36, 39)], ids=["four", "one", "three"])
def test_rows_that_were_lost_within_the_body_are_refused(rows: slice, value: int) -> None:
    with pytest.raises(UserFacingError, match="between rows that show the body: 1 slice"):
        load_study(scan(rows_lost(rows, 11, value)))
    with pytest.raises(UserFacingError, match="between rows that show the body: 2 slices"):
        refuse_outlier_slices(np.asfortranarray(plain(rows_lost(rows, slice(11, 13), value))), 2)


def test_air_between_the_body_and_its_table_is_no_loss() -> None:
    """Air of one value, as of simulated scans, between two flat bodies that begin and end along the scan."""
    hu = np.full((40, 40, 20), -1000, np.int16)
    noise = np.random.default_rng(0)
    hu[6:34, 6:20, 4:16] = noise.integers(-60, 140, (28, 14, 12))
    hu[6:34, 26:30, :] = noise.integers(280, 320, (28, 4, 20))
    refuse_outlier_slices(np.asfortranarray(hu), 2)
    hu[:, 10, 9] = -1000
    with pytest.raises(UserFacingError, match="between rows that show the body: 1 slice"):
        refuse_outlier_slices(np.asfortranarray(hu), 2)
