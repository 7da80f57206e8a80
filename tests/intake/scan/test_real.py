"""Real scans open upright, in the right HU and mm, and agree with SimpleITK voxel by voxel."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from core.errors import UserFacingError
from core.load import list_series, load_study
from core.records import CtStudy

DEMO = Path(__file__).resolve().parents[3] / "assets/demo/lidc0001_2.0mm.nii.gz"
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real test files (../shared/data) are not on this machine"
)
ZIPS = {
    "lung-pet-ct-dx_A0001_dicom.zip": ((512, 512, 64), (0.841796875, 0.841796875, 5.0)),
    "lung-pet-ct-dx_A0002_dicom.zip": ((512, 512, 30), (0.646484375, 0.646484375, 8.0)),
    "nsclc_radiogenomics_R01-001_dicom_every3rd.zip": ((512, 512, 102), (0.693359375, 0.693359375, 3.0)),
}
NIFTIS = {
    "4d-lung_113_HM10395_2x2x3mm.nii.gz": ((250, 250, 99), (2.0, 2.0, 3.0)),
    "nsclc_radiogenomics_R01-001_2mm.nii.gz": ((178, 178, 152), (2.0, 2.0, 2.0)),
    "totalseg_pulmonary_crop/ct_cropped.nii.gz": ((122, 102, 112), (1.5, 1.5, 1.5)),
}


def assert_upright(study: CtStudy) -> None:
    """Air in front of the chest, couch and spine behind; lungs above, liver below on the patient's right."""
    voxels = study.voxels_hu
    middle = voxels[:, :, voxels.shape[2] // 2]
    bone = (middle > 300) & (middle < 2000)
    centre = voxels.shape[0] // 2
    band = slice(centre - voxels.shape[0] // 12, centre + voxels.shape[0] // 12)
    body_rows = np.flatnonzero((middle > -200).mean(axis=0) > 0.25)
    half = (body_rows[0] + body_rows[-1]) // 2
    assert bone[band, :half].sum() > 2 * bone[band, half:].sum(), "the spine is behind"
    assert np.diag(study.affine_mm)[:3].min() > 0


@needs_data
@pytest.mark.parametrize("name", ZIPS)
def test_real_series_agrees_with_simpleitk(name: str, tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    study = load_study(SHARED / "ct" / name)
    shape, spacing = ZIPS[name]
    assert study.shape == shape
    assert study.spacing_mm == pytest.approx(spacing, abs=1e-6)
    assert_upright(study)
    zipfile.ZipFile(SHARED / "ct" / name).extractall(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(next(p.parent for p in tmp_path.rglob("*.dcm")))))
    assert_same_as_itk(sitk, reader.Execute(), study)


@needs_data
@pytest.mark.parametrize("name", NIFTIS)
def test_real_nifti_agrees_with_simpleitk(name: str) -> None:
    sitk = pytest.importorskip("SimpleITK")
    study = load_study(SHARED / "ct" / name)
    shape, spacing = NIFTIS[name]
    assert study.shape == shape
    assert study.spacing_mm == pytest.approx(spacing, abs=1e-5)
    if "crop" not in name:
        assert_upright(study)
    assert_same_as_itk(sitk, sitk.ReadImage(str(SHARED / "ct" / name)), study)


def assert_same_as_itk(sitk, image, study: CtStudy) -> None:
    """Voxels and world positions of 400 random voxels equal SimpleITK's (LPS)."""
    values = sitk.GetArrayViewFromImage(image)
    rng = np.random.default_rng(0)
    index = np.stack([rng.integers(0, n, 400) for n in study.shape], -1)
    world = index @ study.affine_mm[:3, :3].T + study.affine_mm[:3, 3]
    direction = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    theirs = np.linalg.solve(direction, (world * [-1, -1, 1] - np.array(image.GetOrigin())).T).T
    rounded = np.rint(theirs).astype(int)
    assert np.abs(theirs - rounded).max() < 0.02
    assert np.array_equal(values[rounded[:, 2], rounded[:, 1], rounded[:, 0]], study.voxels_hu[tuple(index.T)])
    assert int(values.sum(dtype=np.int64)) == int(study.voxels_hu.sum(dtype=np.int64))


@needs_data
def test_tumours_lie_where_the_readers_drew_them() -> None:
    """Boxes of the annotation (pixel coordinates of single files) hold soft tissue at their world position."""
    archive = zipfile.ZipFile(SHARED / "ct" / "lung-pet-ct-dx_A0001_dicom.zip")
    study = load_study(SHARED / "ct" / "lung-pet-ct-dx_A0001_dicom.zip")
    inverse = np.linalg.inv(study.affine_mm)
    table = csv.DictReader((SHARED / "ct" / "lung-pet-ct-dx_boxes.csv").open())
    rows = [row for row in table if "A0001" in row["PatientID"]]
    assert rows
    for row in rows:
        header = pydicom.dcmread(io.BytesIO(archive.read(row["file"])), stop_before_pixels=True)
        column = (int(row["xmin"]) + int(row["xmax"])) / 2
        line = (int(row["ymin"]) + int(row["ymax"])) / 2
        x, y, z = (float(v) for v in header.ImagePositionPatient)
        place = [x + column * float(header.PixelSpacing[1]), y + line * float(header.PixelSpacing[0]), z]
        i, j, k = np.rint(inverse[:3, :3] @ (np.array(place) * [-1, -1, 1]) + inverse[:3, 3]).astype(int)
        around = study.voxels_hu[i - 4 : i + 5, j - 4 : j + 5, k]
        assert -100 < np.median(around) < 200


@needs_data
def test_two_real_patients_in_one_source_are_refused() -> None:
    files = []
    for name in list(ZIPS)[:2]:
        with zipfile.ZipFile(io.BytesIO((SHARED / "ct" / name).read_bytes())) as archive:
            files += [(info, archive.read(info)) for info in archive.namelist()[:3]]
    with pytest.raises(UserFacingError, match="different patient"):
        load_study(files)


@needs_data
def test_masks_and_labels_are_not_taken_for_a_ct() -> None:
    for name in ("ct/totalseg_pulmonary_crop/heart.nii.gz", "template/lidc0001_labels_2.0mm.nii.gz"):
        with pytest.raises(UserFacingError):
            load_study(SHARED / name)


@needs_data
def test_masks_beside_a_ct_are_passed_over() -> None:
    folder = SHARED / "ct" / "totalseg_pulmonary_crop"
    study = load_study(folder)
    alone = load_study(folder / "ct_cropped.nii.gz")
    assert study.shape == (122, 102, 112)
    assert study.digest == alone.digest
    assert any("as masks and no CT: 7 NIfTI files" in note for note in study.notes)
    assert [item.shape for item in list_series(folder)] == [(122, 102, 112)]


@needs_data
@pytest.mark.parametrize("path", sorted((SHARED / "dicom_odd").glob("*")), ids=lambda path: path.name)
def test_odd_dicom_files_are_refused(path: Path) -> None:
    with pytest.raises(UserFacingError) as caught:
        load_study(path)
    assert caught.value.next_step


@pytest.mark.parametrize(("low", "high"), [(-160, 240), (-1350, 150), (-1000, 400), (-150, 250)])
def test_a_display_window_stretched_over_twelve_bits_is_refused(low: int, high: int) -> None:
    """It has the range of a CT, but cuts off what is brightest; the scan itself, and with it metal, is read."""
    study = load_study(DEMO)
    stretched = np.clip((study.voxels_hu.astype(np.float32) - low) / (high - low), 0, 1) * 4095 - 1024
    with pytest.raises(UserFacingError, match="Hounsfield"):
        load_study(as_nifti(np.rint(stretched).astype(np.int16), study.affine_mm))
    metal = study.voxels_hu.copy()
    metal[60:72, 60:72, 20:60] = 3071
    assert np.mean(metal == 3071) > 0.001
    assert load_study(as_nifti(metal, study.affine_mm)).voxels_hu.max() == 3071


def as_nifti(voxels: np.ndarray, affine_mm: np.ndarray) -> tuple[str, bytes]:
    image = nib.Nifti1Image(voxels, affine_mm)
    image.header.set_xyzt_units("mm")
    return "scan.nii", image.to_bytes()
