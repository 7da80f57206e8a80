"""CT files whose voxels are a known function of world position: order, flips, spacing and rescale judge themselves."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filewriter import dcmwrite, write_file_meta_info
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from core.records import CtStudy

NamedBytes = tuple[str, bytes]
Edit = Callable[[int, Dataset], None]
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
IDENTIFIERS = ("Quillon", "Zyxwv", "774411", "19420317")
"""Planted in headers and file names; no message, note or description may hold one."""


def world_hu(ras_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """HU at RAS positions (..., 3): a ramp from air to bone without any symmetry."""
    x, y, z = ras_mm[..., 0], ras_mm[..., 1], ras_mm[..., 2]
    return np.clip(np.rint(-180.0 + 11.0 * x + 17.0 * y - 13.0 * z), -1000, 1500)


@dataclass(frozen=True)
class Grid:
    """Slices to be written: (columns, rows, slices) and the affine of these indices to LPS mm."""

    shape: tuple[int, int, int] = (24, 20, 16)
    spacing_mm: tuple[float, float, float] = (1.5, 1.25, 2.0)
    rotation: tuple[tuple[float, float, float], ...] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    centre_mm: tuple[float, float, float] = (4.0, -3.0, 5.0)

    @property
    def affine_lps(self) -> npt.NDArray[np.float64]:
        affine = np.eye(4)
        affine[:3, :3] = np.array(self.rotation, float).T * np.array(self.spacing_mm)
        middle = affine[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        affine[:3, 3] = np.array(self.centre_mm) - middle
        return affine

    @property
    def affine_ras(self) -> npt.NDArray[np.float64]:
        return FLIP @ self.affine_lps

    def hu(self) -> npt.NDArray[np.float64]:
        """(columns, rows, slices) HU by world position."""
        return world_hu(positions(self.affine_ras, self.shape))


def positions(affine: npt.NDArray[np.float64], shape: Sequence[int]) -> npt.NDArray[np.float64]:
    """World position of every voxel, (*shape, 3)."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def rotated(degrees: tuple[float, float, float]) -> tuple[tuple[float, float, float], ...]:
    """Row, column and slice directions after rotations about x, y and z."""
    a, b, c = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return tuple(map(tuple, (about_z @ about_y @ about_x).T))


def assert_right(study: CtStudy, tolerance: float = 0.51) -> None:
    """Every voxel holds the HU of its world position, on axes closest to right, anterior, superior."""
    wanted = world_hu(positions(study.affine_mm, study.shape))
    difference = np.abs(wanted - study.voxels_hu)
    assert difference.max() <= tolerance, f"{(difference > tolerance).mean():.1%} of voxels wrong"
    directions = study.affine_mm[:3, :3] / np.linalg.norm(study.affine_mm[:3, :3], axis=0)
    assert (np.diag(directions) > 0.5).all()


def base_dataset(grid: Grid, seed: int = 0) -> Dataset:
    """Everything the slices share."""
    prefix = f"1.2.826.0.1.3680043.9.{seed + 1}."
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Modality, dataset.Manufacturer = "CT", "Factory"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Quillon^Zyxwv", "PID774411", "19420317"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = prefix + "1", prefix + "2"
    dataset.FrameOfReferenceUID = prefix + "3"
    dataset.SeriesDescription, dataset.ConvolutionKernel = "Thorax 2.0 B40f", "B40f"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Columns, dataset.Rows = grid.shape[:2]
    dataset.PixelSpacing = [grid.spacing_mm[1], grid.spacing_mm[0]]
    dataset.SliceThickness = grid.spacing_mm[2]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, -1024, "HU"
    return dataset


def slice_dataset(grid: Grid, index: int, seed: int = 0) -> Dataset:
    """Header of one slice (no pixels); names and numbers run against the positions on purpose."""
    dataset = base_dataset(grid, seed)
    affine = grid.affine_lps
    directions = affine[:3, :3] / np.array(grid.spacing_mm)
    dataset.SOPInstanceUID = f"1.2.826.0.1.3680043.9.{seed + 1}.4.{index + 1}"
    dataset.ImageOrientationPatient = [round(v, 12) for v in (*directions[:, 0], *directions[:, 1])]
    dataset.ImagePositionPatient = [round(v, 9) for v in affine[:3, 2] * index + affine[:3, 3]]
    dataset.InstanceNumber = (index * 7) % grid.shape[2] + 1
    return dataset


def setter(**values: object) -> Edit:
    """An edit that sets (or, with None, deletes) attributes of every slice."""

    def edit(index: int, dataset: Dataset) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    return edit


def at(position: int, **values: object) -> Edit:
    """An edit of one slice only."""
    change = setter(**values)
    return lambda index, dataset: change(index, dataset) if index == position else None


def put_pixels(dataset: Dataset, hu: npt.NDArray[np.float64]) -> None:
    """Store HU (rows, columns) by the dataset's own rescale and pixel format."""
    slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    stored = np.rint((hu - intercept) / slope)
    kind = "<i2" if dataset.PixelRepresentation else "<u2"
    if dataset.PixelRepresentation == 0:
        assert stored.min() >= 0, "unsigned storage needs a low enough intercept"
    dataset.PixelData = stored.astype(np.int64).astype(kind).tobytes()


def dicom_slices(grid: Grid = Grid(), *, edit: Edit | None = None, seed: int = 0) -> list[Dataset]:
    """One dataset a slice; `edit(index, dataset)` changes its header before the pixels are stored."""
    hu = grid.hu()
    found = []
    for index in range(grid.shape[2]):
        dataset = slice_dataset(grid, index, seed)
        if edit:
            edit(index, dataset)
        put_pixels(dataset, hu[:, :, index].T)
        found.append(dataset)
    return found


def to_bytes(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A DICOM file in memory."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    if syntax == DeflatedExplicitVRLittleEndian:
        return _deflated(dataset, meta)
    big, implicit = syntax == ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    file = FileDataset(
        "", dataset, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=implicit, is_little_endian=not big
    )
    if big:
        file.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        file["PixelData"].VR = "OW"
    dcmwrite(out, file, implicit_vr=implicit, little_endian=not big, enforce_file_format=True)
    return out.getvalue()


def _deflated(dataset: Dataset, meta: FileMetaDataset) -> bytes:
    plain = to_bytes(dataset)
    meta.ImplementationClassUID = generate_uid()
    head = io.BytesIO()
    write_file_meta_info(head, meta)
    start = 132 + 12 + struct.unpack_from("<I", plain, 140)[0]
    stream = zlib.compressobj(wbits=-15)
    return b"\0" * 128 + b"DICM" + head.getvalue() + stream.compress(plain[start:]) + stream.flush()


def named(datasets: Sequence[Dataset], syntax: str = ExplicitVRLittleEndian) -> list[NamedBytes]:
    """(name, bytes) pairs; the names' order is not the slices' order."""
    return [
        (f"Quillon{(number * 5) % 97:03d}_{number}.dcm", to_bytes(dataset, syntax))
        for number, dataset in enumerate(datasets)
    ]


def dicom_files(
    grid: Grid = Grid(), *, edit: Edit | None = None, seed: int = 0, syntax: str = ExplicitVRLittleEndian
) -> list[NamedBytes]:
    """A series as uploaded files."""
    return named(dicom_slices(grid, edit=edit, seed=seed), syntax)


def enhanced_file(grid: Grid = Grid(), edit: Callable[[Dataset], None] | None = None) -> bytes:
    """The same volume as one enhanced multi-frame file, frames shuffled."""
    slices = dicom_slices(grid)
    order = np.random.default_rng(3).permutation(len(slices))
    dataset = base_dataset(grid)
    dataset.SOPClassUID, dataset.SOPInstanceUID = EnhancedCTImageStorage, "1.2.826.0.1.3680043.9.1.5"
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType", "PixelSpacing", "SliceThickness"):
        delattr(dataset, keyword)
    dataset.NumberOfFrames = len(slices)
    shared = Dataset()
    shared.PixelMeasuresSequence = _item(PixelSpacing=slices[0].PixelSpacing, SliceThickness=slices[0].SliceThickness)
    shared.PlaneOrientationSequence = _item(ImageOrientationPatient=slices[0].ImageOrientationPatient)
    shared.PixelValueTransformationSequence = _item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")
    dataset.SharedFunctionalGroupsSequence = DicomSequence([shared])
    frames = []
    for index in order:
        frame = Dataset()
        frame.PlanePositionSequence = _item(ImagePositionPatient=slices[index].ImagePositionPatient)
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    dataset.PixelData = b"".join(slices[index].PixelData for index in order)
    if edit:
        edit(dataset)
    return to_bytes(dataset)


def _item(**values: object) -> DicomSequence:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return DicomSequence([item])


def nifti_file(
    grid: Grid = Grid(),
    *,
    dtype: str = "<i2",
    version: int = 1,
    qform: int = 1,
    sform: int = 1,
    units: str = "mm",
    data: npt.NDArray[np.generic] | None = None,
    patch: Sequence[tuple[int, str, object]] = (),
) -> bytes:
    """The volume as .nii bytes on the grid's own (col, row, slice) axes.

    patch: (offset, struct code, value) written over the header afterwards.
    """
    voxels = grid.hu() if data is None else data
    kind = nib.Nifti1Image if version == 1 else nib.Nifti2Image
    header = kind.header_class(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(np.dtype(dtype))
    image = kind(voxels.astype(np.dtype(dtype)), grid.affine_ras, header)
    image.set_qform(grid.affine_ras, qform)
    image.set_sform(grid.affine_ras, sform)
    image.header.set_xyzt_units(units)
    data_bytes = bytearray(image.to_bytes())
    order = ">" if dtype.startswith(">") else "<"
    for offset, code, value in patch:
        struct.pack_into(order + code, data_bytes, offset, *(value if isinstance(value, tuple) else (value,)))
    return bytes(data_bytes)


IMPLICIT = str(ImplicitVRLittleEndian)
BIG_ENDIAN = str(ExplicitVRBigEndian)
DEFLATED = str(DeflatedExplicitVRLittleEndian)
