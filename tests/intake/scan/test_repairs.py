"""Repairs: offered by name, applied only when asked for, noted, and right by world position."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ct_factory import Grid, assert_right, dicom_slices, named, nifti_file, positions, put_pixels, setter, world_hu
from pydicom.dataset import Dataset

from core.errors import UserFacingError
from core.load import REPAIRS, RepairableError, load_study
from core.records import CtStudy

GRID = Grid(shape=(24, 20, 16), spacing_mm=(1.5, 1.25, 2.0))


def at_positions(change) -> list[tuple[str, bytes]]:
    """A series whose slices lie where `change(index, position)` says, with the voxels that belong there."""
    affine = GRID.affine_lps
    slices = dicom_slices(GRID)
    for index, dataset in enumerate(slices):
        place = np.array(change(index, np.array(dataset.ImagePositionPatient, float)))
        moved = affine.copy()
        moved[:3, 3] = place
        ras = np.diag([-1, -1, 1, 1]) @ moved
        put_pixels(dataset, world_hu(positions(ras, (*GRID.shape[:2], 1)))[:, :, 0].T)
        dataset.ImagePositionPatient = [round(float(v), 6) for v in place]
    return named(slices)


def offered(files) -> tuple[str, ...]:
    with pytest.raises(RepairableError) as caught:
        load_study(files)
    assert set(caught.value.repairs) <= set(REPAIRS)
    return caught.value.repairs


def error_inside(study: CtStudy) -> float:
    """Largest departure from the known field, away from the edges (where straightening fills air)."""
    wanted = world_hu(positions(study.affine_mm, study.shape))
    unclipped = (wanted > -990) & (study.voxels_hu > -1000)
    return float(np.abs(wanted - study.voxels_hu)[unclipped].max())


def noted(study: CtStudy) -> bool:
    return any(note.startswith("Repaired") for note in study.notes)


def test_gantry_tilt_is_straightened_on_request() -> None:
    files = at_positions(lambda index, place: place + [0, 0.65 * index, 0])
    assert offered(files) == ("straighten_tilt",)
    study = load_study(files, repairs=["straighten_tilt"])
    assert noted(study)
    assert error_inside(study) <= 21.3  # a line at the edge stands up to a pixel out; inside, a ramp is exact
    assert study.shape == (24, 28, 16), "the last slice lies 0.65 mm x 15 beside the first: 8 lines"
    directions = study.affine_mm[:3, :3] / np.linalg.norm(study.affine_mm[:3, :3], axis=0)
    assert np.allclose(directions.T @ directions, np.eye(3), atol=1e-6)


def test_uneven_slices_are_interpolated_on_request() -> None:
    files = at_positions(lambda index, place: place + [0, 0, 0.5 * (index % 3 == 1)])
    assert offered(files) == ("longest_run", "resample_evenly")
    study = load_study(files, repairs=["resample_evenly"])
    assert noted(study)
    assert error_inside(study) <= 1.6
    assert not any("left out" in note for note in study.notes)


def test_interpolation_says_how_much_lies_beyond_the_last_even_step() -> None:
    files = at_positions(lambda index, place: place - [0, 0, 0.7 * (index == 15)])
    study = load_study(files, repairs=["resample_evenly"])
    assert study.shape[2] == 15
    assert any("the last 1.3 mm, beyond the last even step, were left out" in note for note in study.notes)


def test_the_longest_run_is_kept_on_request() -> None:
    files = [item for index, item in enumerate(named(dicom_slices(GRID))) if index != 4]
    assert "longest_run" in offered(files)
    study = load_study(files, repairs=["longest_run"])
    assert study.shape[2] == 11
    assert noted(study)
    assert_right(study)


def test_the_first_acquisition_is_kept_on_request() -> None:
    first = dicom_slices(GRID)
    second = dicom_slices(GRID)
    for dataset in first:
        dataset.AcquisitionNumber = 1
    for index, dataset in enumerate(second):
        dataset.AcquisitionNumber = 2
        dataset.SOPInstanceUID += ".2"
        put_pixels(dataset, np.clip(GRID.hu()[:, :, index].T + 90, -1000, 1500))
    files = named([*second, *first])
    assert offered(files) == ("first_of_repeats",)
    study = load_study(files, repairs=["first_of_repeats"])
    assert noted(study)
    assert_right(study)


@pytest.mark.parametrize("keyword", ["TemporalPositionIdentifier", "NominalPercentageOfCardiacPhase", "InstanceNumber"])
def test_the_first_phase_is_kept_whole_whatever_the_names(keyword: str) -> None:
    """Identities that alternate between the phases must not mix them."""
    first, second = dicom_slices(GRID), dicom_slices(GRID)
    for index, (one, other) in enumerate(zip(first, second)):
        one.SOPInstanceUID, other.SOPInstanceUID = f"1.2.{5 + index % 2}.{index}", f"1.2.{6 - index % 2}.{index}"
        setattr(one, keyword, index + 1 if keyword == "InstanceNumber" else 1)
        setattr(other, keyword, index + 101 if keyword == "InstanceNumber" else 2)
        put_pixels(other, np.clip(GRID.hu()[:, :, index].T + 90, -1000, 1500))
    study = load_study(named([*second, *first]), repairs=["first_of_repeats"])
    assert noted(study)
    assert_right(study)


def test_phases_that_only_their_times_tell_apart_are_not_mixed() -> None:
    first, second = dicom_slices(GRID), dicom_slices(GRID)
    for index, (one, other) in enumerate(zip(first, second)):
        one.SOPInstanceUID, other.SOPInstanceUID = f"1.2.{5 + index % 2}.{index}", f"1.2.{6 - index % 2}.{index}"
        one.InstanceNumber, other.InstanceNumber = (index * 7) % 32 + 1, (index * 11) % 32 + 1
        one.AcquisitionTime, other.AcquisitionTime = f"1200{index:02d}.50", f"1201{index:02d}.50"
        put_pixels(other, np.clip(GRID.hu()[:, :, index].T + 90, -1000, 1500))
    assert_right(load_study(named([*second, *first]), repairs=["first_of_repeats"]))


def test_the_first_acquisition_is_kept_whole_where_places_differ_by_less_than_is_measured() -> None:
    first, second = dicom_slices(GRID), dicom_slices(GRID)
    for index, (one, other) in enumerate(zip(first, second)):
        one.AcquisitionNumber, other.AcquisitionNumber = 1, 2
        other.SOPInstanceUID = f"1.2.9.{index}"
        x, y, z = one.ImagePositionPatient
        one.ImagePositionPatient, other.ImagePositionPatient = [x, y, z + 0.0051], [x, y, z + 0.0049]
        put_pixels(other, np.clip(GRID.hu()[:, :, index].T + 20, -1000, 1500))
    assert_right(load_study(named([*second, *first]), repairs=["first_of_repeats"]))


def test_no_volume_is_invented_across_a_huge_gap() -> None:
    for far, lifted in ((40.0, False), (6.0, True)):
        files = at_positions(lambda index, place, far=far: place + [0, 0, far * (index == GRID.shape[2] - 1)])
        if lifted:
            assert noted(load_study(files, repairs=["resample_evenly"]))
            continue
        with pytest.raises(UserFacingError, match="invented"):
            load_study(files, repairs=["resample_evenly"])
        assert offered(files) == ("longest_run",)


@pytest.mark.parametrize(
    ("step_mm", "missing", "bridged"),
    [
        (8, 1, True),
        (8, 2, False),
        (5, 1, True),
        (5, 2, False),
        (4, 2, False),
        (3, 2, True),
        (2, 3, True),
        (2, 5, False),
    ],
)
def test_a_hole_is_filled_only_where_little_is_lost_in_it(step_mm: float, missing: int, bridged: bool) -> None:
    grid = replace(GRID, spacing_mm=(*GRID.spacing_mm[:2], step_mm), shape=(*GRID.shape[:2], 32))
    files = [item for index, item in enumerate(named(dicom_slices(grid))) if not 10 <= index < 10 + missing]
    assert ("resample_evenly" in offered(files)) == bridged
    if bridged:
        notes = load_study(files, repairs=["resample_evenly"]).notes
        assert any(
            f"; {missing} of 32 slices {'is' if missing == 1 else 'are'} not as scanned" in note for note in notes
        )
    else:
        with pytest.raises(UserFacingError, match="invented"):
            load_study(files, repairs=["resample_evenly"])


def test_a_gap_in_the_middle_is_not_bridged_by_half_a_volume() -> None:
    files = at_positions(lambda index, place: place + [0, 0, 22.0 * (index >= GRID.shape[2] // 2)])
    assert offered(files) == ("longest_run",)


def test_a_form_is_chosen_on_request() -> None:
    affine = GRID.affine_ras.copy()
    affine[0] *= -1
    data = ("a.nii", nifti_file(GRID, patch=[(280, "12f", tuple(affine[:3].ravel()))]))
    assert offered(data) == ("use_sform", "use_qform")
    assert_right(load_study(data, repairs=["use_qform"]))
    other = load_study(data, repairs=["use_sform"])
    assert noted(other)
    assert not np.allclose(other.affine_mm, load_study(data, repairs=["use_qform"]).affine_mm)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 0.001), ("micron", 1000.0)])
def test_units_are_converted_on_request(unit: str, factor: float) -> None:
    scaled = Grid(
        GRID.shape, tuple(v * factor for v in GRID.spacing_mm), centre_mm=tuple(v * factor for v in GRID.centre_mm)
    )
    data = ("a.nii", nifti_file(scaled, units=unit, data=GRID.hu()))
    assert offered(data) == ("convert_units",)
    study = load_study(data, repairs=["convert_units"])
    assert noted(study)
    assert study.spacing_mm == pytest.approx(GRID.spacing_mm, rel=1e-5)


def odd_one(**changed: object) -> Dataset:
    """One more image of the series, with elements changed (None: absent)."""
    return dicom_slices(GRID, edit=setter(SOPInstanceUID="1.2.3.99", **changed))[3]


def cut_to(dataset: Dataset, rows: int) -> Dataset:
    put_pixels(dataset, np.zeros((rows, GRID.shape[0]), np.int16))
    dataset.Rows = rows
    return dataset


ODD_ONES = {
    "a scout that does not say so": lambda: cut_to(odd_one(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), 40),
    "another direction": lambda: odd_one(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]),
    "a page without a place": lambda: odd_one(ImagePositionPatient=None, ImageOrientationPatient=None),
    "another pixel size": lambda: odd_one(PixelSpacing=[0.3, 0.3]),
    "another frame of reference": lambda: odd_one(FrameOfReferenceUID="1.2.3.77"),
    "another modality": lambda: odd_one(Modality="OT"),
    "another kernel": lambda: odd_one(ConvolutionKernel="B80f"),
    "a projection": lambda: odd_one(ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"]),
}


@pytest.mark.parametrize("odd", ODD_ONES)
def test_an_image_that_does_not_belong_is_left_out_on_request(odd: str) -> None:
    files = named([ODD_ONES[odd](), *dicom_slices(GRID, edit=with_kernel)])
    assert offered(files) == ("largest_group",)
    study = load_study(files, repairs=["largest_group"])
    assert "Repaired: of 17 images the 16 that are alike were kept" in " ".join(study.notes)
    assert_right(study)


def with_kernel(index: int, dataset: Dataset) -> None:
    dataset.ConvolutionKernel = "B30f"


def test_a_slice_left_out_leaves_its_gap() -> None:
    def edit(index: int, dataset: Dataset) -> None:
        dataset.ConvolutionKernel = "B80f" if index == 7 else "B30f"

    with pytest.raises(UserFacingError, match="1 slice is missing"):
        load_study(named(dicom_slices(GRID, edit=edit)), repairs=["largest_group"])


def test_of_two_halves_none_is_the_larger() -> None:
    def edit(index: int, dataset: Dataset) -> None:
        dataset.ConvolutionKernel = "B80f" if index < 8 else "B30f"

    for repairs in ([], ["largest_group"]):
        with pytest.raises(UserFacingError, match="2 reconstruction kernels") as caught:
            load_study(named(dicom_slices(GRID, edit=edit)), repairs=repairs)
        assert not isinstance(caught.value, RepairableError)


def test_projections_with_a_few_slices_are_no_choice() -> None:
    def edit(index: int, dataset: Dataset) -> None:
        dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL", "MIP"] if index < 12 else ["ORIGINAL", "PRIMARY", "AXIAL"]

    with pytest.raises(UserFacingError, match="12 images") as caught:
        load_study(named(dicom_slices(GRID, edit=edit)))
    assert not isinstance(caught.value, RepairableError)


@pytest.mark.parametrize("keyword", ["ConvolutionKernel", "KVP", "Manufacturer", "PatientPosition", "StudyDate"])
def test_images_that_do_not_state_what_others_do_are_kept_on_request(keyword: str) -> None:
    stated = {"ConvolutionKernel": "B30f", "KVP": "120", "PatientPosition": "HFS", "StudyDate": "20240102"}

    def edit(index: int, dataset: Dataset) -> None:
        setattr(dataset, keyword, stated.get(keyword, "Scanner") if index > 8 else None)

    files = named(dicom_slices(GRID, edit=edit))
    with pytest.raises(UserFacingError, match=r"Not stating what the others do .*: 9 of 16 images"):
        load_study(files)
    assert offered(files) == ("largest_group",)
    study = load_study(files, repairs=["largest_group"])
    assert noted(study)
    assert_right(study)


def test_repairs_leave_sound_series_alone() -> None:
    plain = load_study(named(dicom_slices(GRID)))
    repaired = load_study(named(dicom_slices(GRID)), repairs=list(REPAIRS))
    assert repaired.digest == plain.digest
    assert not noted(repaired)


def test_unknown_repairs_are_refused() -> None:
    with pytest.raises(UserFacingError, match="unknown repair"):
        load_study(named(dicom_slices(GRID)), repairs=["guess"])  # type: ignore[list-item]


def test_a_repair_does_not_lift_another_refusal() -> None:
    def edit(index: int, dataset: Dataset) -> None:
        dataset.PatientID = f"P{index % 2}"

    with pytest.raises(UserFacingError, match="different patient"):
        load_study(named(dicom_slices(GRID, edit=edit)), repairs=list(REPAIRS))


def test_two_acquisitions_at_almost_the_same_places_are_called_so() -> None:
    """Every second slice 0.1 mm behind the one before, as of two phases whose positions were rounded apart."""

    files = at_positions(lambda index, place: place - [0, 0, 1.9 * (index % 2)])
    with pytest.raises(UserFacingError, match=r"lie in pairs, 0\.10 mm apart and 3\.90 mm to the next pair") as caught:
        load_study(files)
    assert not getattr(caught.value, "repairs", ())
