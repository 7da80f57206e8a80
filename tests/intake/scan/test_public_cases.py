"""Situations of public bug reports: each scan is read right, or refused with what to do."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ct_factory import Grid, NamedBytes, assert_right, dicom_files, dicom_slices, enhanced_file, named, setter
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from core.errors import UserFacingError
from core.load import list_series, load_study

CASES = Path(__file__).resolve().parents[4] / "shared" / "data" / "public_cases"
needed = pytest.mark.skipif(not CASES.is_dir(), reason="the public situations are not beside the checkout")
GRID = Grid(shape=(24, 20, 16))
CAPTURES = {
    "single-frame": "1.2.840.10008.5.1.4.1.1.7",
    "multi-frame single bit": "1.2.840.10008.5.1.4.1.1.7.1",
    "multi-frame grey bytes": "1.2.840.10008.5.1.4.1.1.7.2",
    "multi-frame grey words": "1.2.840.10008.5.1.4.1.1.7.3",
    "multi-frame true colour": "1.2.840.10008.5.1.4.1.1.7.4",
    "angiography": "1.2.840.10008.5.1.4.1.1.12.1",
    "parametric map": "1.2.840.10008.5.1.4.1.1.30",
}


def slices_of(path: Path) -> list[Dataset]:
    with zipfile.ZipFile(path) as archive:
        found = [dcmread(io.BytesIO(archive.read(name))) for name in archive.namelist()]
    return sorted(found, key=lambda image: float(image.ImagePositionPatient[2]))


@needed
def test_straightened_slices_keep_all_of_their_tissue() -> None:
    study = load_study(CASES / "tilt.zip", repairs=["straighten_tilt"])
    slices = slices_of(CASES / "tilt.zip")
    shift = np.tan(np.radians(20)) * study.spacing_mm[2] * (len(slices) - 1) / study.spacing_mm[1]
    assert study.shape == (96, 96 + int(np.ceil(shift)), 64), "the grid grows by as much as the slices are shifted"
    assert any("Nothing was cut off" in note and "96 x 126" in note for note in study.notes)
    hu = np.stack([image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept) for image in slices])
    for height in (0, 31, 63):  # each slice holds as much tissue as before, the first and the last too
        before, after = hu[height], study.voxels_hu[:, :, height].astype(float)
        assert np.maximum(after + 1000, 0).sum() == pytest.approx(np.maximum(before + 1000, 0).sum(), rel=0.01)
        assert after.max() == pytest.approx(before.max(), abs=60)


@needed
def test_the_slices_of_a_straightened_stack_stay_where_they_were() -> None:
    study = load_study(CASES / "tilt.zip", repairs=["straighten_tilt"])
    slices = slices_of(CASES / "tilt.zip")
    for height in (0, 40, 63):
        image = slices[height]
        columns, rows = (np.array(image.ImageOrientationPatient[part], float) for part in (slice(3), slice(3, 6)))
        spacing = np.array(image.PixelSpacing, float)
        row, column = 48, 48
        lps = np.array(image.ImagePositionPatient, float) + columns * column * spacing[1] + rows * row * spacing[0]
        index = np.linalg.solve(study.affine_mm[:3, :3], lps * [-1, -1, 1] - study.affine_mm[:3, 3])
        low = np.floor(index[1] + 1e-6).astype(int)
        share = index[1] - low
        i, k = np.rint(index[[0, 2]]).astype(int)
        line = study.voxels_hu[i, low : low + 2, k].astype(float)
        stored = float(image.pixel_array[row, column]) * float(image.RescaleSlope) + float(image.RescaleIntercept)
        assert (1 - share) * line[0] + share * line[1] == pytest.approx(stored, abs=60)


@needed
def test_a_captured_screen_of_several_frames_is_passed_over() -> None:
    study = load_study(CASES / "capture_grey.zip")
    assert study.shape == (96, 96, 24)
    assert "Passed over, as not CT slices: 1 image (screen capture)." in study.notes
    assert [series.shape for series in list_series(CASES / "capture_grey.zip")] == [(96, 96, 24)]


def beside(*others: bytes) -> list[NamedBytes]:
    """A good series, and further files."""
    return [*dicom_files(GRID), *((f"zz{number}.dcm", data) for number, data in enumerate(others))]


def other(sop_class: str, frames: int | str | None = 4, **values: object) -> bytes:
    """An object of the same study and patient, of a class and a series of its own."""
    image = dicom_slices(GRID)[0]
    for name in ("ImagePositionPatient", "ImageOrientationPatient"):
        delattr(image, name)
    image.SOPClassUID, image.SOPInstanceUID, image.SeriesInstanceUID = sop_class, generate_uid(), generate_uid()
    if frames is not None:
        image.NumberOfFrames = frames
        image.PixelData = image.PixelData * int(frames or 1)
    setter(**values)(0, image)
    return named([image])[0][1]


def read_beside(source: Sequence[NamedBytes]) -> tuple[str, ...]:
    """The notes on a good series, which is the only one to choose; the voxels are right."""
    assert [series.slices for series in list_series(list(source))] == [16]
    study = load_study(list(source))
    assert_right(study)
    return study.notes


@pytest.mark.parametrize("kind", CAPTURES)
@pytest.mark.parametrize("modality", ["CT", "OT", "SC"])
def test_no_capture_ends_the_reading_of_the_series_beside(kind: str, modality: str) -> None:
    notes = read_beside(beside(other(CAPTURES[kind], None if kind == "single-frame" else 4, Modality=modality)))
    assert any(note.startswith("Passed over, as not CT slices: 1 image") for note in notes)


@pytest.mark.parametrize("frames", [0, 2_000_000])
def test_a_capture_that_miscounts_its_frames_is_passed_over(frames: int) -> None:
    capture = other(CAPTURES["multi-frame grey words"], 1)
    number = str(frames).encode().ljust(8 if frames else 2)
    mended = capture.replace(b"\x28\x00\x08\x00IS\x02\x001 ", b"\x28\x00\x08\x00IS" + bytes([len(number), 0]) + number)
    assert mended != capture
    assert any("Passed over" in note for note in read_beside(beside(mended)))


CT_IMAGE, ENHANCED = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"


@pytest.mark.parametrize("sop_class", [CT_IMAGE, ENHANCED, "1.3.6.1.4.1.9999.1"])
def test_a_file_of_frames_without_places_is_passed_over_beside_a_series_and_named(sop_class: str) -> None:
    notes = read_beside(beside(other(sop_class)))
    assert any(
        note.startswith("Passed over, as they cannot be read: 1 multi-frame file. File 17 of 17") for note in notes
    )


def test_a_file_of_frames_without_places_alone_or_within_the_series_is_refused() -> None:
    alone = [("a.dcm", other(CT_IMAGE))]
    for read in (load_study, list_series):
        with pytest.raises(UserFacingError, match=r"^A multi-frame image does not say where each frame lies"):
            read(alone)
    uid = dicom_slices(GRID)[0].SeriesInstanceUID
    within = beside(other(CT_IMAGE, SeriesInstanceUID=uid))
    with pytest.raises(UserFacingError, match=r"^File 17 of 17, by name: a multi-frame image"):
        load_study(within)
    assert len(list_series(within)) == 1, "the list goes on; loading says why"


def test_headers_without_pixels_of_another_series_leave_the_series_to_be_read() -> None:
    image = dicom_slices(GRID)[0]
    image.SOPInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    del image.PixelData
    assert any("Passed over" in note for note in read_beside(beside(named([image])[0][1])))
    image.SeriesInstanceUID = dicom_slices(GRID)[0].SeriesInstanceUID
    with pytest.raises(UserFacingError, match="Without pixel data: 1 CT file"):
        load_study(beside(named([image])[0][1]))


@pytest.mark.parametrize("modality", [None, ""])
def test_ct_images_that_name_no_modality_are_read_by_their_class(modality: str | None) -> None:
    def unnamed(index: int, image: Dataset) -> None:
        if modality is None:
            del image.Modality
        else:
            image.Modality = modality

    files = dicom_files(GRID, edit=unnamed)
    study = load_study(files)
    assert_right(study)
    words = "Naming no modality, and read as CT, as by their class they are CT images"
    assert f"{words}: 16 files." in study.notes
    assert [series.slices for series in list_series(files)] == [16]
    enhanced = enhanced_file(GRID, edit=lambda image: unnamed(0, image))
    assert f"{words}: 1 file." in load_study(("e.dcm", enhanced)).notes


def test_images_of_another_class_that_name_no_modality_are_not_taken_for_ct() -> None:
    files = dicom_files(GRID, edit=setter(Modality="", SOPClassUID="1.2.840.10008.5.1.4.1.1.4"))
    with pytest.raises(UserFacingError, match="only images of: an unnamed modality"):
        load_study(files)


def without(name: str) -> list[NamedBytes]:
    """A series whose fourth slice lacks an element."""
    return dicom_files(GRID, edit=lambda index, image: delattr(image, name) if index == 3 else None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ImagePositionPatient", "Not saying where in the patient they lie: 1 of 16 images, by name "),
        ("ImageOrientationPatient", "Not saying how they are oriented: 1 of 16 images, by name "),
        ("PixelSpacing", "Without a valid pixel spacing: 1 of 16 images, by name "),
    ],
)
def test_a_refusal_names_the_image_that_it_is_about(name: str, words: str) -> None:
    files = without(name)
    place = 1 + sorted(file for file, _ in files).index(files[3][0])
    with pytest.raises(UserFacingError, match=f"^{words}{place}[.]"):
        load_study(files)


def test_a_refusal_names_the_slice_that_was_damaged() -> None:
    slices = dicom_slices(GRID)
    slices[7].PixelData = bytes(len(slices[7].PixelData))
    with pytest.raises(UserFacingError, match=r"1 slice \(number 8, counted from the lowest\)"):
        load_study(named(slices))
    twice = dicom_files(GRID)
    other = dicom_files(GRID, edit=setter(RescaleIntercept=-1000))
    with pytest.raises(UserFacingError, match=r"claim to be the same one but differ: 2 of 17 images, by name "):
        load_study([*twice, ("zz.dcm", other[4][1])])
