"""Headers of NIfTI-1 and NIfTI-2 single files, checked before any voxel is touched."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry
from core.intake.files.limits import LIMITS, Limits, check_grid, too_many_bytes
from core.intake.scan.geometry import LARGEST_MM, SMALLEST_MM, Matrix, refuse_absurd_geometry, shear_degrees
from core.intake.scan.hounsfield import bad_rescale
from core.intake.scan.nifti.fields import RawHeader, layout, parse
from core.intake.scan.repairs import Repair, RepairableError

_NUMBERS = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_COLOURS_AND_COMPLEX = {32: "complex", 128: "colour", 1792: "complex", 2304: "colour", 1536: "extended-precision",
                        2048: "complex", 1: "one-bit"}  # fmt: skip
_ALIKE_HU, _PROBED, _TINY_64, _JUNK_MM, _HALF_TURN = 100.0, 32 * 8, 1e-100, 1e-6, 1e-7
_SCANNER, _SCANNER_CODES, _LAST_CODE, _ROUNDED = 1, 2, 5, 1.2e-7
_UNITS = {0: ("", 1.0), 1: ("metres", 1000.0), 2: ("mm", 1.0), 3: ("micrometres", 0.001)}


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """What a NIfTI header declares (nifti1.h, nifti2.h), checked.

    shape: voxels (three axes). dtype: stored numbers. offset: first voxel byte. affine_mm: voxel to RAS, mm.
    """

    entry: Entry
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    affine_mm: Matrix
    virtual: bool
    notes: tuple[str, ...]


def looks_like_nifti(head: memoryview) -> bool:
    """Whether the first bytes are a NIfTI-1 or NIfTI-2 header of a single file or of a pair."""
    return layout(head) is not None


def readable_in_order(beginning: memoryview) -> bool:
    """Whether all that a NIfTI file says before its voxels lies within its `beginning`."""
    return looks_like_nifti(beginning) and parse(beginning)[0].vox_offset + _PROBED <= len(beginning)


def read_nifti_header(entry: Entry, *, repairs: Collection[Repair] = (), limits: Limits = LIMITS) -> NiftiHeader:
    """Header of a NIfTI file.

    Raises UserFacingError on anything that leaves grid, geometry or values in doubt and that `repairs` does not lift.
    """
    head = entry.read(0, 544)
    try:
        raw, order = parse(head)
    except struct.error as error:
        raise _refuse("The NIfTI header ends too early", "a complete file") from error
    if raw.magic[2:3] == b"2" and bytes(head[8:12]) != b"\r\n\x1a\n":
        raise _refuse(
            "The NIfTI file was changed on its way, as by a transfer as text", "an intact file", "Copy it again."
        )
    _refuse_tiny_numbers(raw)
    notes: list[str] = []
    shape = _shape(raw, notes)
    check_grid(shape, limits)
    dtype = _dtype(raw, order)
    _check_intent(raw.intent, notes)
    offset = _offset(raw)
    _check_length(entry, offset + math.prod(shape) * dtype.itemsize, limits)
    slope, intercept = _rescale(raw)
    if slope < 0:
        notes.append(
            "The NIfTI header reverses the sign of the stored values (negative slope), which hardly any program does."
        )
    _refuse_moved_voxels(entry, offset, dtype, slope)
    affine = _affine(raw, shape, repairs, notes)
    virtual = b"virtual patient" in raw.description.lower()
    return NiftiHeader(entry, shape, dtype, offset, slope, intercept, affine, virtual, tuple(notes))


def _refuse_tiny_numbers(raw: RawHeader) -> None:
    """Raise for a length or scale that no program writes and moved bytes give: below what 32 bits hold in full, or so
    small that no rounding in 64 bits leaves it.

    Directions are left out: a turn by next to nothing has such numbers.
    """
    written = [*raw.pixdim[1:4], raw.slope, raw.intercept]
    written += raw.q_offset if raw.qform > 0 else ()
    written += raw.s_rows[3::4] if raw.sform > 0 else ()
    tiny = _TINY_64 if raw.magic[2:3] == b"2" else np.finfo(np.float32).tiny
    if any(0 < abs(number) < tiny for number in written):
        raise _refuse(
            "A number of the NIfTI header is too small to mean anything; its bytes were probably moved",
            "an intact header",
            "Copy or convert the file again.",
        )


def _refuse(found: str, expected: str, next_step: str = "Convert the original CT again.") -> UserFacingError:
    return UserFacingError(found, expected, next_step)


def _shape(raw: RawHeader, notes: list[str]) -> tuple[int, int, int]:
    count = raw.dims[0]
    if not 1 <= count <= 7 or any(edge < 1 for edge in raw.dims[1 : count + 1]):
        raise _refuse("The NIfTI header declares an impossible size", "a volume of three axes")
    edges = list(raw.dims[1 : count + 1])
    if len(edges) < 3 or any(edge > 1 for edge in edges[3:]):
        raise _refuse(
            f"The NIfTI file has {len(edges)} axes ({' x '.join(str(edge) for edge in edges)}), not one volume",
            "a single three-dimensional volume", "Extract one volume and choose that file.",
        )  # fmt: skip
    if len(edges) > 3:
        notes.append("Empty extra axes of the NIfTI file were dropped.")
    if min(edges[:3]) < 2:
        raise _refuse("The NIfTI file holds a single slice", "at least two slices, so that there is a volume")
    return edges[0], edges[1], edges[2]


def _dtype(raw: RawHeader, order: str) -> np.dtype[Any]:
    if raw.datatype in _COLOURS_AND_COMPLEX:
        raise _refuse(f"The NIfTI file holds {_COLOURS_AND_COMPLEX[raw.datatype]} values", "a CT in Hounsfield units")
    if raw.datatype not in _NUMBERS:
        raise _refuse("The NIfTI header declares an unknown kind of number", "16-bit integers or floating point values")
    dtype = np.dtype(order + _NUMBERS[raw.datatype])
    if raw.bitpix != dtype.itemsize * 8:
        raise _refuse("The NIfTI header contradicts itself about the size of a value", "a consistent header")
    return dtype


def _check_intent(code: int, notes: list[str]) -> None:
    """Raise for a volume declared to hold something else than measured values (nifti1.h, intent codes)."""
    if 2 <= code <= 24 or 1002 <= code <= 1010 or 2002 <= code <= 2018:
        raise _refuse(
            "The NIfTI header declares statistics, labels, vectors or colours, not an image", "a CT in Hounsfield units"
        )
    if code:
        notes.append("The NIfTI header declares a special meaning of its values; they were read as Hounsfield units.")


def _offset(raw: RawHeader) -> int:
    if raw.magic[:2] == b"ni":
        raise _refuse(
            "The NIfTI header belongs to a pair of files",
            "a single .nii or .nii.gz file",
            "Convert the pair to one file.",
        )
    least = 544 if raw.magic[2:3] == b"2" else 352
    if (
        not math.isfinite(raw.vox_offset)
        or raw.vox_offset != int(raw.vox_offset)
        or not least <= raw.vox_offset <= 1 << 28
    ):
        raise _refuse("The NIfTI header does not say where the voxels begin", "a valid voxel offset")
    return int(raw.vox_offset)


def _check_length(entry: Entry, declared: int, limits: Limits) -> None:
    """Raise where the file is not as long as declared, or, left packed, would unpack to more than allowed."""
    if entry.pieces:
        if declared > limits.bytes_total:
            raise too_many_bytes(limits)
    elif entry.size != declared:
        raise too_short() if entry.size < declared else too_long()


def too_short() -> UserFacingError:
    """The refusal for a file without all of its voxels."""
    return _refuse("The NIfTI file ends before its last voxel", "a complete file", "Copy or convert the file again.")


def too_long() -> UserFacingError:
    """The refusal for a file with something behind its voxels."""
    return _refuse("The NIfTI file holds more data than its header declares", "exactly the declared voxels")


def _refuse_moved_voxels(entry: Entry, offset: int, dtype: np.dtype[Any], slope: float) -> None:
    """Raise where the bytes before the first voxel are voxels too, so that the declared offset comes too late."""
    before = entry.read(0, offset)
    start = 544 if layout(before) in (("<", True), (">", True)) else 352
    gap, number = before[start:], min(8, (offset - start) // dtype.itemsize)
    if before[start - 4] or not number or not any(gap):
        return
    around = entry.read(offset - number * dtype.itemsize, offset + 32 * dtype.itemsize)
    steps = np.abs(np.diff(np.frombuffer(around, dtype).astype(np.float64))) * abs(slope)
    if steps[:number].max() <= 2 * steps[number:].max() + _ALIKE_HU:
        raise _refuse("Voxels seem to begin before the place that the NIfTI header states", "a valid voxel offset")


def _rescale(raw: RawHeader) -> tuple[float, float]:
    """(slope, intercept); a slope of 0 means unscaled (nifti1.h)."""
    if raw.slope == 0:
        return 1.0, 0.0
    if not (math.isfinite(raw.slope) and math.isfinite(raw.intercept)):
        raise bad_rescale()
    return float(raw.slope), float(raw.intercept)


def _affine(raw: RawHeader, shape: tuple[int, int, int], repairs: Collection[Repair], notes: list[str]) -> Matrix:
    """Voxel to RAS mm, from the sform or the qform."""
    scale = _millimetres(raw, repairs, notes)
    if max(raw.sform, raw.qform) > _LAST_CODE:
        raise _refuse("The NIfTI header's orientation has a code that does not exist", "a code of the standard, 0 to 5")
    sform, qform = _sform(raw), _qform(raw)
    forms = [form for form in (sform, qform) if form is not None]
    if not forms:
        raise _refuse(
            "The NIfTI header does not say how the volume lies in the patient (no qform, no sform), so left and right "
            "are unknown", "a header with an orientation",
        )  # fmt: skip
    chosen = forms[0]
    if sform is not None and qform is not None:
        allowed_mm = _tolerance(sform) + _rounding_mm(raw.quaternion, sform, shape)
        if _corner_distance(sform, qform, shape) > allowed_mm:
            if raw.sform == _SCANNER:  # a tilted gantry, which a qform cannot express: it would be wrong
                _check_right_angles(sform)
            chosen = _chosen_form(sform, qform, repairs, notes)
    if (raw.sform if chosen is sform else raw.qform) > _SCANNER_CODES:
        notes.append("The orientation in the NIfTI header is that of a template, not of the scanner.")
    if sform is None and _leaves_another(raw, chosen, shape):
        notes.append("The NIfTI header also holds another orientation, marked as unused (sform); the qform was taken.")
    _check_affine(chosen, raw, scale, repairs)
    _doubt_made_up(chosen, notes)
    return np.asarray(np.diag([scale, scale, scale, 1.0]) @ chosen, np.float64)


def _doubt_made_up(affine: Matrix, notes: list[str]) -> None:
    """A doubt for the orientation that programs write where they know none, or the voxel size alone.

    An array without geometry becomes voxels of 1 mm along the axes of the world, the first at its origin.
    """
    sizes = np.diag(affine)[:3]
    if affine[:3, 3].any() or (affine[:3, :3] != np.diag(sizes)).any():
        return
    made_up = bool((np.abs(sizes) == 1).all())
    where = (
        "voxels of 1 mm, the first at the origin and the axes" if made_up else "the first voxel at the origin, the axes"
    )
    wrong = "the size of the voxels may be wrong, and left and right" if made_up else "left and right may be"
    notes.append(
        f"The NIfTI header states {where} along the body, as programs do that know no orientation: {wrong} exchanged."
    )


def _leaves_another(raw: RawHeader, qform: Matrix, shape: tuple[int, int, int]) -> bool:
    """Whether the unused rows of the sform hold something, and something else than the qform says."""
    held = max(map(abs, raw.s_rows)) > _JUNK_MM
    return held and not _corner_distance(_rows(raw), qform, shape) <= _tolerance(qform)


def _millimetres(raw: RawHeader, repairs: Collection[Repair], notes: list[str]) -> float:
    """Factor from the header's unit of length to mm."""
    unit, scale = _UNITS.get(raw.units & 7, ("an unknown unit", 0.0))
    if not unit:
        notes.append("The NIfTI header names no unit of length; millimetres were assumed.")
    if scale == 1.0:
        return scale
    if scale and "convert_units" in repairs:
        notes.append(f"Repaired: lengths were converted from {unit} to millimetres.")
        return scale
    lifted = all(SMALLEST_MM <= abs(edge) * scale <= LARGEST_MM for edge in raw.pixdim[1:4])
    raise RepairableError(
        f"The NIfTI header measures space in {unit}.", "millimetres",
        "Correct the unit in the header.", ("convert_units",) if lifted else (),
    )  # fmt: skip


def _check_right_angles(affine: Matrix) -> None:
    if (shear := shear_degrees(affine)) > 0.5:
        raise _refuse(
            f"The volume's axes are {shear:.1f} degrees away from right angles (tilted gantry or skewed registration)",
            "axes at right angles",
            "Resample the volume to a regular grid first; a converter may have written one beside it. The DICOM files "
            "themselves can be straightened here.",
        )


def _chosen_form(sform: Matrix, qform: Matrix, repairs: Collection[Repair], notes: list[str]) -> Matrix:
    """The form the user chose where the two contradict each other."""
    for name, form in (("sform", sform), ("qform", qform)):
        if f"use_{name}" in repairs:
            notes.append(f"Repaired: of two contradicting orientations the {name} was taken.")
            return form
    usable: tuple[tuple[Repair, Matrix], ...] = (("use_sform", sform), ("use_qform", qform))
    raise RepairableError(
        "The two orientations in the NIfTI header (qform and sform) contradict each other.", "one orientation",
        "Convert the original CT again.", tuple(name for name, form in usable if _holds_volume(form)),
    )  # fmt: skip


def _holds_volume(affine: Matrix) -> bool:
    """Whether three axes of an orientation point in three directions."""
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.isfinite(affine).all() and sizes.min() > 0 and abs(np.linalg.det(affine[:3, :3] / sizes)) >= 0.1)


def _tolerance(affine: Matrix) -> float:
    return 0.1 * float(np.linalg.norm(affine[:3, :3], axis=0).min())


def _rounding_mm(quaternion: tuple[float, ...], affine: Matrix, shape: tuple[int, int, int]) -> float:
    """How far the rounding of a quaternion to 32 bits may move the far corner.

    Its real part follows from the others; near half turns, where it is small, it comes out wrong by up to 5e-4.
    """
    square = 1.0 - sum(part * part for part in quaternion)
    near = square < _HALF_TURN
    angle = 2 * math.sqrt(_HALF_TURN + _ROUNDED) if near else _ROUNDED / math.sqrt(square)
    return angle * float(np.linalg.norm(affine[:3, :3] @ (np.array(shape) - 1)))


def _corner_distance(one: Matrix, other: Matrix, shape: tuple[int, int, int]) -> float:
    """Largest distance (mm) between where two affines put a corner voxel."""
    corners = np.array([[x, y, z, 1] for x in (0, shape[0] - 1) for y in (0, shape[1] - 1) for z in (0, shape[2] - 1)])
    return float(np.linalg.norm(corners @ (one - other).T, axis=1).max())


def _sform(raw: RawHeader) -> Matrix | None:
    return _rows(raw) if raw.sform > 0 else None


def _rows(raw: RawHeader) -> Matrix:
    """The matrix of the sform, whether its code says that it counts or not."""
    affine = np.eye(4)
    affine[:3] = np.array(raw.s_rows, np.float64).reshape(3, 4)
    return affine


def _qform(raw: RawHeader) -> Matrix | None:
    """Affine of the quaternion form (nifti1.h, METHOD 2).

    A half turn's quaternion has no real part, but one of some 1e-4 is left where its others were rounded to 32 bits.
    nifti1_io takes that for zero; the far corner of a wide volume lies .3 mm off otherwise.
    """
    if raw.qform <= 0:
        return None
    b, c, d = raw.quaternion
    square = 1.0 - (b * b + c * c + d * d)
    if not math.isfinite(square) or square < -1e-4 or raw.pixdim[0] not in (1.0, -1.0, 0.0):
        raise _refuse("The NIfTI header's rotation (qform) is not a rotation", "a valid orientation")
    a = math.sqrt(square) if square >= _HALF_TURN else 0.0
    length = math.sqrt(a * a + b * b + c * c + d * d)
    a, b, c, d = a / length, b / length, c / length, d / length
    rotation = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ])  # fmt: skip
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.array(raw.pixdim[1:4])
    if raw.pixdim[0] == -1.0:
        affine[:3, 2] *= -1
    affine[:3, 3] = raw.q_offset
    return affine


def _check_affine(affine: Matrix, raw: RawHeader, scale: float, repairs: Collection[Repair]) -> None:
    if not np.isfinite(affine).all():
        raise _refuse("The NIfTI header's orientation holds values that are not numbers", "a valid orientation")
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not _holds_volume(affine):
        raise _refuse("The NIfTI header's orientation is singular: it holds no volume", "a valid orientation")
    refuse_absurd_geometry(np.diag([scale, scale, scale, 1.0]) @ affine)
    declared = np.array(raw.pixdim[1:4], np.float64)
    if "use_sform" not in repairs and not (np.abs(declared - sizes) <= 0.01 * sizes).all():
        raise _refuse("The NIfTI header contradicts itself about the voxel size", "one voxel size")
    _check_right_angles(affine)
