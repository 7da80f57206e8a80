"""A CT study from whatever was handed over: files sorted into series, one chosen, read, checked and described."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.load.continuity import refuse_outlier_slices
from core.load.dicom_enhanced import ENHANCED_CT, split_frames
from core.load.dicom_header import HEAD_BYTES, HeaderReader, ImageHeader
from core.load.dicom_pixels import NATIVE, read_stack, rescale_notes
from core.load.dicom_scan import Malformed, looks_like_dicom
from core.load.dicom_series import Stack, group_series, stack_series
from core.load.entries import Source, absent_words, open_entries
from core.load.entry import Entry
from core.load.geometry import Matrix, canonical_axes, lps_to_ras, obliquity_degrees, source_view
from core.load.hounsfield import PADDING_BELOW_HU, Volume, extremes, refuse_unless_hounsfield, replace_padding
from core.load.limits import LIMITS, Limits, Progress, check_volume_beside
from core.load.nifti import NiftiHeader, looks_like_nifti, read_nifti_header, readable_in_order
from core.load.nifti_volume import read_nifti_volume
from core.load.one_scan import refuse_two_patients
from core.load.preview import nifti_thumbnail, thumbnail
from core.load.repairs import Repair, check_repairs, resample_heights, straighten
from core.load.words import count_of
from core.records import AcquisitionFacts, CtStudy, Origin

CT_IMAGES = ("1.2.840.10008.5.1.4.1.1.2", *ENHANCED_CT)
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_MODALITIES = {
    "MR": "magnetic resonance", "PT": "positron emission", "US": "ultrasound", "NM": "nuclear medicine",
    "CR": "radiography", "DX": "radiography", "XA": "angiography", "MG": "mammography", "SEG": "segmentation",
    "RTDOSE": "radiotherapy dose", "OT": "other", "SC": "screen capture", "": "an unnamed modality",
}  # fmt: skip

_FOREIGN_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"\x28\xb5\x2f\xfd": "a zst file",
}
_NO_NIFTI = "a file named .nii without the header of NIfTI-1 or NIfTI-2"
UNSTATED = AcquisitionFacts()
_SMALL_MM = 20.0


@dataclass(frozen=True)
class SeriesSummary:
    """One CT series that can be chosen; everything in it is safe to show.

    key: opaque, given to `load_study(series=key)`. shape: (columns, rows, slices). spacing_mm: the same order, None
    where the geometry is in doubt (loading will say why). kernel: reconstruction kernel or "".
    study: 1, 2, ... in the order met, so that series of several studies can be told apart.
    thumbnail: uint8 (rows, columns) of the middle slice as stored, where asked for and readable.
    """

    key: str
    description: str
    modality: str
    slices: int
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None
    kernel: str
    study: int = 1
    thumbnail: npt.NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)


@dataclass(eq=False)
class _Contents:
    """What a source holds, sorted."""

    series: dict[str, list[ImageHeader]] = field(default_factory=dict)
    niftis: dict[str, Entry] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    without_pixels: list[ImageHeader] = field(default_factory=list)
    held: int = 0
    stray: int = 0
    damaged: int = 0
    imageless: int = 0
    foreign: set[str] = field(default_factory=set)
    absent: str = ""
    notes: list[str] = field(default_factory=list)


def list_series(source: Source, *, thumbnails: bool = False, limits: Limits = LIMITS) -> tuple[SeriesSummary, ...]:
    """CT series in `source` (see `load_study`), largest first; on request with a picture of the middle slice.

    Raises UserFacingError where the source cannot be read or holds two patients.
    """
    contents = _sort_entries(source, limits)
    studies = list(dict.fromkeys(images[0].study_uid for images in contents.series.values()))
    found = []
    for key, images in contents.series.items():
        number, picture = studies.index(images[0].study_uid) + 1, thumbnail(images, limits) if thumbnails else None
        found.append(replace(_summarise_dicom(key, images), study=number, thumbnail=picture))
    for number, (key, entry) in enumerate(contents.niftis.items(), len(studies) + 1):
        picture = nifti_thumbnail(entry, limits) if thumbnails else None
        found.append(replace(_summarise_nifti(key, entry, limits), study=number, thumbnail=picture))
    return tuple(sorted(found, key=lambda summary: (-summary.slices, summary.key)))


def load_study(
    source: Source,
    *,
    series: str | None = None,
    repairs: Collection[Repair] = (),
    progress: Progress | None = None,
    limits: Limits = LIMITS,
) -> CtStudy:
    """Read one CT volume as int16 HU on closest-canonical RAS+ axes, or refuse in words.

    source:   folder, DICOM or NIfTI file (.nii, .nii.gz), .zip or .tar(.gz|.bz2|.xz) of either, (name, bytes), or list.
    series:   key of a `SeriesSummary` where the source holds several series.
    repairs:  names of `core.load.REPAIRS` to apply; a refusal that one would lift is a `RepairableError` naming it. One
              that the source does not need changes nothing.
    progress: called with (share done, words) while slices are read.
    Order and geometry come from position and orientation only. Raises UserFacingError whenever identity, order,
    geometry or intensity is in doubt; lesser doubts stand in `CtStudy.notes`.
    """
    check_repairs(repairs)
    contents = _sort_entries(source, limits)
    if contents.damaged:
        raise UserFacingError(
            f"Damaged and unreadable: {count_of(contents.damaged, 'DICOM file')}.{_not_followed(contents)}",
            "intact files",
            "Copy or export them again.",
        )
    if contents.imageless:
        raise UserFacingError(
            f"Without pixel data: {count_of(contents.imageless, 'CT file')}.",
            "files that hold their images",
            "Export the series again, with images and not headers only.",
        )
    key = _choose(contents, series)
    if key in contents.niftis:
        return _load_nifti(contents, key, repairs, progress, limits)
    return _load_dicom(contents, key, repairs, progress, limits)


def _sort_entries(source: Source, limits: Limits) -> _Contents:
    limits = replace(limits, held=min(limits.held, 2 * limits.voxels))
    entries = open_entries(source, limits=limits, leave_packed=readable_in_order)
    contents, images, headers = _Contents(absent=absent_words(entries)), [], HeaderReader(limits)
    for entry in entries:
        contents.held += entry.held
        head = entry.read(0, HEAD_BYTES)
        if looks_like_nifti(head):
            contents.niftis[f"nifti-{len(contents.niftis) + 1}"] = entry
        elif looks_like_dicom(head):
            images += _read_images(headers, entry, head, contents)
        elif _named_dicom(entry.name):
            contents.damaged += 1
        elif not entry.absent:
            contents.stray += 1
            contents.foreign.update(_foreign_kind(entry))
    refuse_two_patients([*images, *contents.without_pixels])
    contents.series = group_series(_keep_ct(images, contents))
    _drop_scouts(contents)
    if contents.stray:
        contents.notes.append(f"Passed over, as not CT images: {count_of(contents.stray, 'file')}.")
    if contents.absent:
        contents.notes.append(_not_followed(contents).strip())
    return contents


def _not_followed(contents: _Contents) -> str:
    """A sentence on what stands in place of files, behind a space; "" where nothing does."""
    return f" Never followed or opened: {contents.absent}." if contents.absent else ""


def _foreign_kind(entry: Entry) -> list[str]:
    """What a file that is no CT seems to be, where the reader can do something about it."""
    head = bytes(entry.read(0, 8))
    kinds = [kind for mark, kind in _FOREIGN_ARCHIVES.items() if head.startswith(mark)]
    if bytes(entry.read(0x8001, 0x8006)) == b"CD001":
        kinds.append("a disc image")
    name = entry.name.lower()
    if not kinds and name.endswith((".nii", ".nii.gz")) and not name.rsplit("/", 1)[-1].startswith("."):
        kinds.append(_NO_NIFTI)
    return kinds


def _named_dicom(name: str) -> bool:
    """Whether a name promises a DICOM file (and is not a hidden companion of one)."""
    *folders, last = name.replace("\\", "/").lower().split("/")
    return last.endswith((".dcm", ".dicom", ".ima")) and not last.startswith(".") and "__macosx" not in folders


def _read_images(headers: HeaderReader, entry: Entry, head: memoryview, contents: _Contents) -> list[ImageHeader]:
    """Headers in one DICOM file: none, one, or one a frame."""
    try:
        header = headers.read(entry, head)
        if not header.has_pixels:
            contents.imageless += header.sop_class in CT_IMAGES
            contents.without_pixels.append(header)
            contents.stray += 1
            return []
        in_frames = header.frames > 1 or header.sop_class in ENHANCED_CT
        return split_frames(header) if in_frames and header.modality == "CT" else [header]
    except Malformed:
        if entry.name.replace("\\", "/").rsplit("/", 1)[-1].upper() == "DICOMDIR":
            contents.stray += 1
        else:
            contents.damaged += 1
        return []


def _keep_ct(images: Sequence[ImageHeader], contents: _Contents) -> list[ImageHeader]:
    """CT images; others are counted by modality, captured screens as stray."""
    kept = []
    for image in images:
        if image.modality != "CT":
            contents.others[image.modality] = contents.others.get(image.modality, 0) + 1
        elif image.sop_class.startswith(SECONDARY_CAPTURE):
            contents.others["SC"] = contents.others.get("SC", 0) + 1
        elif image.sop_class.startswith(_STORAGE) and image.sop_class not in CT_IMAGES:
            contents.others["another"] = contents.others.get("another", 0) + 1
        else:
            kept.append(image)
    series = {(image.study_uid, image.series_uid) for image in kept}
    if any(image.modality != "CT" and (image.study_uid, image.series_uid) in series for image in images):
        raise UserFacingError(
            "One series mixes CT slices with images of another modality.",
            "slices of one scan, all alike",
            "Keep the slices of one scan only, or export the series again.",
        )
    for modality, count in contents.others.items():
        what = _MODALITIES.get(modality, "another modality")
        contents.notes.append(f"Passed over, as not CT slices: {count_of(count, 'image')} ({what}).")
    return kept


def _drop_scouts(contents: _Contents) -> None:
    """Take localizer-only series out of the choice when there is a real one."""
    scouts = [key for key, images in contents.series.items() if all(image.is_localizer for image in images)]
    if len(scouts) == len(contents.series):
        return
    for key in scouts:
        count = len(contents.series.pop(key))
        contents.notes.append(f"Passed over: a series of {count_of(count, 'localizer image')}.")


def _choose(contents: _Contents, series: str | None) -> str:
    keys = [*contents.series, *contents.niftis]
    if series is not None:
        if series not in keys:
            raise UserFacingError(
                "The chosen series is not in this source.", "a series of the list", "List the series again."
            )
        return series
    if not keys:
        raise _nothing(contents)
    if len(keys) > 1:
        raise UserFacingError(
            f"The source holds {len(keys)} CT series.", "one series", "Choose one of them from the list of series."
        )
    return keys[0]


def _nothing(contents: _Contents) -> UserFacingError:
    if contents.foreign:
        found = f"The source holds no CT that this app can open, but {', '.join(sorted(contents.foreign))}."
        step = "Unpack it" if contents.foreign - {_NO_NIFTI} else "Convert the original CT again"
        return UserFacingError(
            found, "a DICOM folder, a .zip or .tar archive of one, or a NIfTI file", f"{step} and choose the result."
        )
    known = sorted({_MODALITIES.get(modality, "another modality") for modality in contents.others})
    found = (
        f"The source holds no CT slices, only images of: {', '.join(known)}."
        if known
        else "The source holds no CT image."
    ) + _not_followed(contents)
    return UserFacingError(
        found, "a DICOM CT series or a CT volume as NIfTI", "Choose another folder, file or archive."
    )


def _summarise_dicom(key: str, images: Sequence[ImageHeader]) -> SeriesSummary:
    first = images[0]
    shape = (first.pixels.columns, first.pixels.rows, len(images))
    try:
        stack = stack_series(images)
        x, y, z = np.linalg.norm(stack.affine_lps[:3, :3], axis=0)
        shape, spacing = (*shape[:2], len(stack.images)), (float(x), float(y), float(z))
        return SeriesSummary(key, first.description, "CT", len(stack.images), shape, spacing, first.kernel)
    except UserFacingError:
        return SeriesSummary(key, first.description, "CT", len(images), shape, None, first.kernel)


def _summarise_nifti(key: str, entry: Entry, limits: Limits) -> SeriesSummary:
    try:
        header = read_nifti_header(entry, limits=limits)
    except UserFacingError:
        return SeriesSummary(key, "NIfTI file", "unknown", 0, (0, 0, 0), None, "")
    x, y, z = np.linalg.norm(header.affine_mm[:3, :3], axis=0)
    return SeriesSummary(
        key, "NIfTI volume", "unknown", header.shape[2], header.shape, (float(x), float(y), float(z)), ""
    )


def _load_dicom(
    contents: _Contents, key: str, repairs: Collection[Repair], progress: Progress | None, limits: Limits
) -> CtStudy:
    stack = stack_series(contents.series[key], repairs)
    first = stack.images[0]
    shape = (first.pixels.columns, first.pixels.rows, len(stack.images))
    axes, affine = canonical_axes(lps_to_ras(stack.affine_lps), shape)
    check_volume_beside(contents.held, shape, limits)
    compressed = any(image.pixels.transfer_syntax not in NATIVE for image in stack.images)
    read = partial(read_stack, stack.images, axes, progress=progress, limits=limits)
    check = partial(refuse_outlier_slices, compressed=compressed)
    doubts: list[str] = []
    continuity: Callable[[], list[str]] | None = None
    if stack.heights_mm is not None or stack.slanted:
        voxels, affine, doubts = _regridded(stack, lambda: source_view(read(), axes), check)
    else:
        voxels = read()
        continuity = partial(check, voxels, axes.order.index(2))
    notes = [*contents.notes, *stack.notes, *rescale_notes(stack.images), *doubts]
    facts = AcquisitionFacts(first.tube_voltage_kv, first.kernel, first.contrast_agent, first.thickness_mm)
    virtual = any(image.virtual for image in stack.images)
    return _finish(voxels, affine, notes, first.description, virtual, facts, continuity)


def _regridded(
    stack: Stack, read: Callable[[], Volume], check: Callable[[Volume, int], list[str]]
) -> tuple[Volume, Matrix, list[str]]:
    """The chosen resampling of a stack, on canonical axes again, and what `check` says of the slices as measured.

    read: gives the volume (column, row, slice). One name holds it and each step after it, so that two exist at most.
    """
    voxels, affine = read(), stack.affine_lps
    doubts = check(voxels, 2)
    if stack.heights_mm is not None:
        voxels, _ = resample_heights(voxels, stack.heights_mm)
    if stack.slanted:
        voxels, affine = straighten(voxels, affine)
    i, j, k = voxels.shape
    axes, affine_ras = canonical_axes(lps_to_ras(affine), (i, j, k))
    return np.asfortranarray(axes.apply(voxels)), affine_ras, doubts


def _load_nifti(
    contents: _Contents, key: str, repairs: Collection[Repair], progress: Progress | None, limits: Limits
) -> CtStudy:
    header: NiftiHeader = read_nifti_header(contents.niftis[key], repairs=repairs, limits=limits)
    check_volume_beside(contents.held, header.shape, limits)
    voxels, affine, doubts = read_nifti_volume(header, progress=progress)
    notes = [*contents.notes, *header.notes, *doubts]
    return _finish(voxels, affine, notes, "CT volume (NIfTI)", header.virtual, UNSTATED)


def _finish(
    voxels: np.ndarray,
    affine: np.ndarray,
    notes: list[str],
    description: str,
    virtual: bool,
    facts: AcquisitionFacts,
    continuity: Callable[[], list[str]] | None = None,
) -> CtStudy:
    """The checked study. continuity: the check of neighbouring slices, for a volume straight from a scanner."""
    low, high = extremes(voxels)
    with ThreadPoolExecutor(1) as pool:
        values = pool.submit(refuse_unless_hounsfield, voxels, low, high, resampled=continuity is None)
        notes += continuity() if continuity else []
        notes += values.result()
    if low < PADDING_BELOW_HU:
        replace_padding(voxels, notes)
    extent = np.linalg.norm(affine[:3, :3], axis=0) * voxels.shape
    if extent.max() < _SMALL_MM:
        notes.append(f"The whole volume is only {extent[0]:.3g} x {extent[1]:.3g} x {extent[2]:.3g} mm.")
    if (angle := obliquity_degrees(affine)) > 1:
        notes.append(f"The volume lies up to {angle:.1f} degrees away from the body axes (oblique acquisition).")
    origin: Origin = "virtual" if virtual else "real"
    return CtStudy(voxels, affine, tuple(notes), description, origin, facts)
