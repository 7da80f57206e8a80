"""A NIfTI file rebuilt from its voxels and the numbers that place them; texts, extensions and gaps are not carried."""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Iterator
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from core.intake.files.limits import LIMITS, Limits, check_grid
from core.intake.identifiers.pictures.burned_in import displayed, find_all_text, reading_axes
from core.intake.identifiers.pictures.series import on_every_picture
from core.intake.scan.geometry import canonical_axes
from core.intake.scan.hounsfield import AIR_HU
from core.intake.scan.nifti.fields import layout

_NUMBERS = (
    "dim", "datatype", "bitpix", "pixdim", "scl_slope", "scl_inter", "xyzt_units", "qform_code", "sform_code",
    "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip


def open_nifti(data: memoryview | bytes, *, limits: Limits = LIMITS) -> tuple[Any, npt.NDArray[Any]]:
    """(header, stored voxels as a writable little-endian array) of a single NIfTI file.

    Raises ValueError for pairs of files, colours, complex numbers, files that end early or hold whole slices more than
    they declare, and voxels that begin within the header, UserFacingError beyond the limits.
    """
    kind: Any = nib.Nifti2Header if layout(data) in (("<", True), (">", True)) else nib.Nifti1Header
    header = kind.from_fileobj(io.BytesIO(bytes(data[:1024])), check=False)
    shape = tuple(int(edge) for edge in header.get_data_shape())
    dtype = header.get_data_dtype()
    if bytes(header["magic"])[:2] != b"n+" or dtype.kind not in "iuf" or len(shape) < 3 or min(shape) < 1:
        raise ValueError("not one volume of numbers")
    check_grid(shape, limits)
    offset = _offset(header)
    if len(data) - offset - math.prod(shape) * dtype.itemsize >= math.prod(shape[:2]) * dtype.itemsize:
        raise ValueError("whole slices more than declared")
    voxels = np.frombuffer(data, dtype, math.prod(shape), offset).reshape(shape, order="F")
    return header, voxels.astype(dtype.newbyteorder("<"), order="F")


def _offset(header: Any) -> int:
    """Where the voxels begin. Raises ValueError within the header, whose texts would come out as voxels."""
    offset = float(header["vox_offset"])
    if not math.isfinite(offset) or offset != int(offset) or offset < header.single_vox_offset:
        raise ValueError("voxels begin within the header")
    return int(offset)


def canonical_voxels(voxels: npt.NDArray[Any], header: Any) -> Iterator[tuple[npt.NDArray[Any], tuple[int, ...]]]:
    """Views of the volume, or of each volume of a series, on closest-canonical axes, with the axes to read them along.

    Writing to them writes through.
    """
    first, second, third = voxels.shape[:3]
    axes, affine = canonical_axes(np.asarray(header.get_best_affine(), np.float64), (first, second, third))
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0)
    along = reading_axes((float(x), float(y), float(z)), axes.order.index(2), stored_anew=True)
    flat = voxels.reshape(first, second, third, -1, order="F")
    for index in range(flat.shape[3]):
        yield axes.apply(flat[..., index]), along


def as_readable(view: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """The volume as whole numbers for reading text: as it is where it fits, else scaled to 0 to 4095."""
    if view.dtype.kind in "iu" and view.dtype.itemsize <= 2 and view.dtype != np.uint16:
        return np.asarray(view, np.int16)
    finite = np.nan_to_num(np.asarray(view, np.float32), posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    if high - low < 100 or low < -32768 or high > 32767:
        finite = (finite - low) * (4095.0 / max(high - low, 1e-30))
    return np.asarray(finite, np.int16)


def rebuild_nifti(data: memoryview | bytes) -> tuple[bytes, int]:
    """(a .nii.gz file with the same stored voxels and geometry, number of places blanked).

    A place where text was read on some slices is blanked on all. Kept: grid, number type, rescale, unit, a declared
    meaning of the values and both orientations, bit for bit; NIfTI-2 stays NIfTI-2. Sizes beyond the dimensions in use
    are not carried, since they may hold anything. Raises as `open_nifti`, and NoTextReader.
    """
    old, voxels = open_nifti(data)
    blanked = 0
    for view, along in canonical_voxels(voxels, old):
        air = _air(view, old)
        for axis in along:
            planes, readable = displayed(view, axis), displayed(as_readable(view), axis)
            boxes = find_all_text(readable, briefly=axis != along[0])
            places = on_every_picture(boxes, planes.shape[1:])
            for place in places:
                planes[:, place.top : place.bottom, place.left : place.right] = air
            blanked += len(places)
    header = type(old)(endianness="<")
    for name in _NUMBERS:
        header[name] = old[name]
    if int(old["intent_code"]) in nib.nifti1.intent_codes.value_set("code"):
        header["intent_code"] = old["intent_code"]  # labels and statistics must not become HU
    for name, unused in (("dim", 1), ("pixdim", 0)):
        header[name][voxels.ndim + 1 :] = unused
    header["vox_offset"] = header.single_vox_offset
    header["magic"] = header.single_magic
    gap = int(header["vox_offset"]) - len(header.binaryblock)
    plain = header.binaryblock + b"\0" * gap + voxels.tobytes(order="F")
    return gzip.compress(plain, 6, mtime=0), blanked


def _air(view: npt.NDArray[Any], header: Any) -> Any:
    """The stored value of -1024 HU, or the darkest one where that is brighter or the rescale is unusual."""
    slope, intercept = (float(header[name]) for name in ("scl_slope", "scl_inter"))
    if not math.isfinite(slope) or slope <= 0 or not math.isfinite(intercept):
        slope, intercept = 1.0, 0.0
    return max((AIR_HU - intercept) / slope, float(view.min()))
