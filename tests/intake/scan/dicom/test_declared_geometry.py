"""The stated width of the reconstructed field against that of the pixels: told where they contradict each other."""

from __future__ import annotations

import pytest
from corpus_enhanced import file, item, shared
from ct_factory import Grid, assert_right, dicom_files, setter
from pydicom.dataset import Dataset

from core.errors import UserFacingError
from core.load import load_study

GRID = Grid((48, 40, 16), (0.75, 0.625, 2.0))
CORONAL = Grid((48, 40, 16), (0.75, 0.625, 2.0), rotation=((1, 0, 0), (0, 0, -1), (0, 1, 0)))
WORDS = "The header states a reconstructed field of 72 mm, but the slices are 36 mm wide"


@pytest.mark.parametrize(
    ("grid", "stated", "told"),
    [(GRID, "72", True), (GRID, "36", False), (GRID, "37.5", False), (GRID, "", False), (CORONAL, "72", False)],
    ids=["halved", "as stated", "nearly", "not stated", "reformat"],
)
def test_pixels_that_do_not_fill_the_stated_field_are_told(grid: Grid, stated: str, told: bool) -> None:
    """As after halving the matrix and leaving the pixel spacing. Reformats keep the field of what they were made of."""
    study = load_study(dicom_files(grid, edit=setter(ReconstructionDiameter=stated)))
    assert_right(study, tolerance=1.01)
    assert any(note.startswith(WORDS) for note in study.notes) == told


@pytest.mark.parametrize(("columns", "refused"), [(120, True), (48, False)])
def test_many_pixels_that_fill_a_tenth_of_the_field_are_in_centimetres(columns: int, refused: bool) -> None:
    """A nodule cut out of a scan leaves few pixels of the same size."""
    grid = Grid((columns, 40, 16), (0.3, 0.3, 2.0))
    files = dicom_files(grid, edit=setter(ReconstructionDiameter=f"{3 * columns}"))
    if refused:
        with pytest.raises(UserFacingError, match="a tenth as wide: the pixel spacing seems to be in centimetres"):
            load_study(files)
    else:
        assert_right(load_study(files), tolerance=1.01)


@pytest.mark.parametrize(("thickness", "told"), [("20", True), ("5", False), ("2", False)])
def test_slices_that_overlap_by_far_are_told(thickness: str, told: bool) -> None:
    """As where positions were written in centimetres; a scanner's slices overlap by half or a little more."""
    notes = load_study(dicom_files(GRID, edit=setter(SliceThickness=thickness))).notes
    assert any(note.startswith(f"Slices are {thickness} mm thick but only 2.00 mm apart") for note in notes) == told


@pytest.mark.parametrize(("stated", "told"), [(72.0, True), (36.0, False)])
def test_frames_that_do_not_fill_the_stated_field_are_told(stated: float, told: bool) -> None:
    def edit(dataset) -> None:
        shared(dataset).CTReconstructionSequence = item(ReconstructionDiameter=stated)

    notes = load_study(file(edit)).notes
    assert any(note.startswith(WORDS) for note in notes) == told


@pytest.mark.parametrize(("stated", "told"), [("20", True), ("16", False), ("10", False), ("-1", False), ("", False)])
def test_fewer_images_than_the_acquisition_has_are_told(stated: str, told: bool) -> None:
    """As after a transfer that lost the last slices; a series may also hold several acquisitions or a part of one."""
    study = load_study(dicom_files(GRID, edit=setter(ImagesInAcquisition=stated)))
    assert_right(study, tolerance=1.01)
    note = "The header counts 20 images of this acquisition, and 16 are here"
    assert any(one.startswith(note) for one in study.notes) == told


@pytest.mark.parametrize(
    ("grid", "told"), [(GRID, True), (Grid((48, 40, 16), (0.7, 0.7, 2.0)), False), (CORONAL, False)]
)
def test_pixels_that_are_no_squares_are_told(grid: Grid, told: bool) -> None:
    """As after their width and height were exchanged; those of a reformat may lie apart as the slices do."""
    study = load_study(dicom_files(grid))
    assert_right(study, tolerance=1.01)
    note = "The pixels are 0.75 mm wide and 0.625 mm high"
    assert any(one.startswith(note) for one in study.notes) == told


def test_images_that_are_left_out_belong_to_the_acquisition_all_the_same() -> None:
    def edit(index: int, dataset: Dataset) -> None:
        dataset.ImagesInAcquisition = 16
        if index == 0:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    notes = load_study(dicom_files(GRID, edit=edit)).notes
    assert "Left out: 1 localizer image." in notes
    assert not any("of this acquisition" in note for note in notes)
