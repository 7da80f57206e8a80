"""Text read on some pictures of a series is blanked at that place on all of them, and nowhere else."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from ct_factory import to_bytes
from privacy_support import BURNED, ct_plane, ct_slice, draw
from pydicom.uid import SecondaryCaptureImageStorage
from sampling import WHOLE

from core.case.strip import strip
from core.intake.identifiers.clean.nifti import rebuild_nifti
from core.intake.identifiers.deidentify import SCREEN, deidentify
from core.intake.identifiers.pictures.burned_in import TextBox, find_burned_in_text, on_every_slice
from core.intake.identifiers.pictures.line_extent import PlaneBox
from core.intake.identifiers.pictures.series import on_every_picture
from core.load import load_study
from core.privacy import find_identifiers
from core.records import CtStudy

COUNT = 8


def cleaned(folder: Path, slices: list[pydicom.Dataset]) -> tuple[dict[int, np.ndarray], dict[str, int]]:
    """(HU by instance number of what was written, what was left out)."""
    (folder / "in").mkdir()
    for index, dataset in enumerate(slices):
        dataset.InstanceNumber = index + 1
        (folder / "in" / f"{index}").write_bytes(to_bytes(dataset))
    report = deidentify(folder / "in", folder / "out")
    written = [pydicom.dcmread(path) for path in (folder / "out").rglob("*.dcm")]
    return {int(item.InstanceNumber) - 1: item.pixel_array.astype(int) - 1024 for item in written}, report.left_out


@pytest.mark.parametrize("on", [range(COUNT), range(3, 5), range(0)], ids=["all", "two", "none"])
def test_a_place_with_text_is_air_on_every_slice_and_the_rest_is_unchanged(tmp_path: Path, on: range) -> None:
    slices = [ct_slice(index, text=BURNED if index in on else "") for index in range(COUNT)]
    before = [np.frombuffer(item.PixelData, "<u2").reshape(160, 160).astype(int) - 1024 for item in slices]
    after, left_out = cleaned(tmp_path, slices)
    assert not left_out
    changed = np.any([after[index] != before[index] for index in range(COUNT)], axis=0)
    assert changed.any() == bool(on)
    for index in range(COUNT):
        assert (after[index][changed] == -1024).all()
        assert after[index].max() < 1500, "letters at 2000 HU are gone"
    rows = np.flatnonzero(changed.any(axis=1))
    assert not len(rows) or rows[-1] < 40, "only the line of text changed"


def test_a_document_among_the_slices_goes_and_its_text_blanks_nothing(tmp_path: Path) -> None:
    slices = [ct_slice(index) for index in range(COUNT)]
    before = [np.frombuffer(item.PixelData, "<u2").reshape(160, 160).astype(int) - 1024 for item in slices]
    page = np.full((160, 160), -1000.0)
    for row in range(4, 150, 18):
        draw(page, BURNED, row, 8, 14, 2000)
    slices[3].PixelData = (page + 1024).astype("<u2").tobytes()
    after, left_out = cleaned(tmp_path, slices)
    assert left_out == {SCREEN: 1}
    assert 3 not in after
    assert all((after[index] == before[index]).all() for index in after)


def test_a_place_grows_along_its_line_and_stays_in_the_picture() -> None:
    line, column = PlaneBox(2, 4, 10, 20, 20, 100, 0.9, ""), PlaneBox(0, 0, 40, 150, 120, 158, 0.9, "")
    found = {(box.top, box.left, box.bottom, box.right) for box in on_every_picture([line, column], (160, 160))}
    assert found == {(10, 10, 20, 110), (32, 150, 128, 158)}


@pytest.mark.parametrize("along", [0, 1, 2])
def test_a_box_in_a_volume_grows_like_a_place_in_a_picture_and_through_all_slices(along: int) -> None:
    spacing, shape = np.ones(3), [160, 160, 160]
    spacing[along], shape[along] = 3, 12
    study = CtStudy(np.zeros(shape, np.int16), np.diag([*spacing, 1]), (), "", "virtual")
    start, stop = [10, 20], [20, 100]
    start.insert(along, 4)
    stop.insert(along, 6)
    (box,) = on_every_slice(study, [TextBox((*start,), (*stop,), 0.9, "", along)])
    assert [*np.delete(box.start, along), *np.delete(box.stop, along)] == [10, 10, 20, 110]
    assert (box.start[along], box.stop[along]) == (0, 12)


def test_text_on_two_slices_of_a_nifti_volume_is_blanked_on_all() -> None:
    planes = [ct_plane(index, 192) for index in range(COUNT)]
    for index in (3, 4):
        draw(planes[index], BURNED, 8, 20, 14, 2500)
    volume = np.stack([plane[::-1, ::-1].T for plane in planes], -1).astype(np.int16)
    image, out = nib.Nifti1Image(volume, np.diag([0.7, 0.7, 1.0, 1.0])), io.BytesIO()
    image.to_file_map({"image": nib.FileHolder(fileobj=out), "header": nib.FileHolder(fileobj=out)})
    data, blanked = rebuild_nifti(out.getvalue())
    after = np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(data)).dataobj)
    changed = (after != volume).any(axis=2)
    assert blanked
    assert after.max() < 1500
    assert 0 < changed.mean() < 0.15
    assert (after[changed] == after.min()).all()


@pytest.mark.parametrize("along", [0, pytest.param(1, marks=WHOLE)])
def test_text_in_coronal_and_sagittal_slices_of_a_nifti_volume_is_blanked(along: int) -> None:
    """Voxels of equal size: the order in the file says along which axis the slices lie."""
    stack = np.stack([ct_plane(index, 192) for index in range(COUNT)])
    for plane in stack:
        draw(plane, BURNED, 8, 20, 14, 2500)
    volume = np.moveaxis(stack[:, ::-1, ::-1].transpose(0, 2, 1), 0, along).astype(np.int16)
    stored, affine = np.moveaxis(volume, along, 2), np.zeros((4, 4))
    affine[[*np.delete(range(3), along), along, 3], range(4)] = 1
    data = nib.Nifti1Image(stored, affine).to_bytes()
    study = load_study(("volume.nii", data))
    assert study.facts.slice_axis == along
    np.testing.assert_array_equal(study.voxels_hu, volume)
    assert any(item.category == "burned-in text" for item in find_identifiers(("volume.nii", data)))
    rebuilt, blanked = rebuild_nifti(data)
    assert blanked
    assert np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(rebuilt)).dataobj).max() < 1500
    shown, _ = strip(study, None, find_burned_in_text(study))
    assert shown is not None
    assert shown.voxels_hu.max() < 1500


@pytest.mark.parametrize("along", [pytest.param(0, marks=WHOLE), 1])
def test_text_across_other_planes_than_those_of_the_file_is_blanked_in_voxels_of_one_size(along: int) -> None:
    """A volume acquired in coronal or sagittal slices and stored anew: the order in the file says axial."""
    stack = np.stack([ct_plane(index, 192) for index in range(COUNT)])
    clean = np.moveaxis(stack[:, ::-1, ::-1].transpose(0, 2, 1), 0, along).astype(np.int16)
    for plane in stack:
        draw(plane, BURNED, 8, 20, 14, 2500)
    volume = np.moveaxis(stack[:, ::-1, ::-1].transpose(0, 2, 1), 0, along).astype(np.int16)
    data, plain = (nib.Nifti1Image(voxels, np.eye(4)).to_bytes() for voxels in (volume, clean))
    assert any(item.category == "burned-in text" for item in find_identifiers(("volume.nii", data)))
    assert not any(item.category == "burned-in text" for item in find_identifiers(("volume.nii", plain)))
    rebuilt, blanked = rebuild_nifti(data)
    assert blanked
    assert np.asarray(nib.Nifti1Image.from_bytes(gzip.decompress(rebuilt)).dataobj).max() < 1500
    study = CtStudy(volume, np.eye(4), (), "", "virtual")
    assert study.facts.slice_axis == 2
    boxes = find_burned_in_text(study)
    assert {box.axis for box in boxes} == {along}
    shown, _ = strip(study, None, boxes)
    assert shown is not None
    assert shown.voxels_hu.max() < 1500


COLOURS = {
    "blue on red": ("RGB", (200, 0, 0), (0, 0, 200)),
    "green on magenta": ("RGB", (120, 0, 120), (0, 240, 0)),
    "equal brightness": ("YBR_FULL", (120, 90, 90), (120, 200, 200)),
}


@pytest.mark.parametrize("name", COLOURS)
def test_text_that_differs_in_colour_only_is_blanked(name: str, tmp_path: Path) -> None:
    photometric, background, ink = COLOURS[name]
    plane = np.zeros((400, 400))
    draw(plane, BURNED, 30, 20, 18, 255)
    picture = np.where(plane[..., None] > 127, np.uint8(ink), np.uint8(background)).astype(np.uint8)
    dataset = ct_slice(0)
    dataset.SOPClassUID, dataset.Modality, dataset.Rows, dataset.Columns = SecondaryCaptureImageStorage, "OT", 400, 400
    dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PhotometricInterpretation = 3, 0, photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = picture.tobytes()
    (tmp_path / "in").write_bytes(to_bytes(dataset))
    assert deidentify(tmp_path / "in", tmp_path / "out").blanked
    after = pydicom.dcmread(next((tmp_path / "out").rglob("*.dcm")))
    same = np.frombuffer(after.PixelData, np.uint8).reshape(picture.shape) == picture
    assert not same.all(axis=-1)[plane > 127].any()
