"""One small picture of a series, so that it can be recognised in a list before it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry, memory_entry
from core.intake.files.limits import Limits
from core.intake.scan.dicom.header import ImageHeader
from core.intake.scan.dicom.pixels import read_stack
from core.intake.scan.geometry import Matrix, canonical_axes, plane_normal
from core.intake.scan.hounsfield import Volume
from core.intake.scan.nifti.header import NiftiHeader, read_nifti_header
from core.intake.scan.nifti.voxels import read_nifti_volume, stored_plane
from core.records import CtStudy

LONGEST_EDGE = 160
WINDOW_HU = (-1000, 400)


def thumbnail(images: Sequence[ImageHeader], limits: Limits) -> npt.NDArray[np.uint8] | None:
    """Grey values uint8 (rows, columns) of the slice in the middle, as stored; None where it cannot be read."""
    slices = [image for image in images if not image.is_localizer] or list(images)
    middle = sorted(slices, key=_height)[len(slices) // 2]
    shape = (middle.pixels.columns, middle.pixels.rows, 1)
    try:
        axes, _ = canonical_axes(np.eye(4), shape)
        return _grey(read_stack([middle], axes, limits=limits).voxels[:, :, 0].T, middle.spacing_mm or (1.0, 1.0))
    except (UserFacingError, ValueError):
        return None


def _height(image: ImageHeader) -> float:
    if image.position_mm is None or image.orientation is None:
        return 0.0
    return float(np.dot(plane_normal(image.orientation), image.position_mm))


def nifti_thumbnail(entry: Entry, limits: Limits) -> npt.NDArray[np.uint8] | None:
    """The same for a NIfTI file: its middle axial plane, patient's right on the left; None where it is refused."""
    try:
        header = read_nifti_header(entry, limits=limits)
        voxels, affine, _ = read_nifti_volume(_middle(header))
    except UserFacingError:
        return None
    return _axial(voxels, affine)


def study_thumbnail(study: CtStudy) -> npt.NDArray[np.uint8]:
    """The same for a study that was read."""
    return _axial(study.voxels_hu, study.affine_mm)


def _axial(voxels: Volume, affine: Matrix) -> npt.NDArray[np.uint8]:
    plane = voxels[:, :, voxels.shape[2] // 2]
    across, down = np.linalg.norm(affine[:3, :2], axis=0)
    return _grey(plane[::-1, ::-1].T, (float(down), float(across)))


def _middle(header: NiftiHeader) -> NiftiHeader:
    """A volume of the middle plane only, where planes are axial; else the whole, whose middle is taken later."""
    if int(np.argmax(np.abs(header.affine_mm[2, :3]))) != 2:
        return header
    columns, rows, planes = header.shape
    plane = memory_entry(header.entry.name, stored_plane(header, planes // 2).tobytes())
    return replace(header, entry=plane, shape=(columns, rows, 1), offset=0)


def _grey(hu: npt.NDArray[np.int16], spacing_mm: tuple[float, ...]) -> npt.NDArray[np.uint8]:
    """Nearest pixels of `hu` (rows, columns) in square proportion, windowed; spacing_mm: (between rows, columns)."""
    high, wide = (max(count * mm, 1e-6) for count, mm in zip(hu.shape, spacing_mm, strict=False))
    scale = LONGEST_EDGE / max(high, wide)
    rows = np.linspace(0, hu.shape[0] - 1, max(1, round(high * scale))).round().astype(int)
    columns = np.linspace(0, hu.shape[1] - 1, max(1, round(wide * scale))).round().astype(int)
    low, top = WINDOW_HU
    shown = hu[np.ix_(rows, columns)].astype(np.float32)
    return np.asarray(np.clip((shown - low) * 255 / (top - low), 0, 255), np.uint8)
