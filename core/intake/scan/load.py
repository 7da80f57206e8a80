"""A CT study from whatever was handed over: files sorted into series, one chosen, read, checked and described."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry
from core.intake.files.limits import LIMITS, Limits, check_grid, check_volume_beside
from core.intake.files.sources import Source
from core.intake.scan.checks.hounsfield_range import refuse_unless_hounsfield
from core.intake.scan.checks.neighbour_slices import refuse_outlier_slices
from core.intake.scan.checks.rescale import refuse_misfit_rescale
from core.intake.scan.dicom.frames import NATIVE, lossy_note
from core.intake.scan.dicom.header import ImageHeader
from core.intake.scan.dicom.patient import time_taken
from core.intake.scan.dicom.pixels import Decoded, read_stack, rescale_notes
from core.intake.scan.dicom.series import Stack, stack_series
from core.intake.scan.geometry import Canonical, Matrix, canonical_axes, lps_to_ras, obliquity_degrees, source_view
from core.intake.scan.hounsfield import PADDING_BELOW_HU, Ends, Volume, extremes, replace_padding
from core.intake.scan.nifti.header import NiftiHeader, read_nifti_header
from core.intake.scan.nifti.voxels import read_nifti_volume
from core.intake.scan.overflow import count_lost, count_spots, note_lost_bits, note_spots_in_metal
from core.intake.scan.repairs import Repair, check_repairs, grown_by, resample_heights, straighten
from core.intake.scan.sorting import (
    Contents,
    choose_series,
    refuse_damaged,
    refuse_flat,
    refuse_incomplete,
    sort_entries,
)
from core.intake.scan.thumbnail import nifti_thumbnail, thumbnail
from core.progress import Progress
from core.records import AcquisitionFacts, CtStudy, Origin
from core.wording import count_of

_NARROW_MM = 48.0
"""Ears are shown in 50 mm, nothing in less; a trunk of up to 480 mm has this width where centimetres are read as mm."""
_FEW_SLICES = 3


@dataclass(frozen=True)
class SeriesSummary:
    """One CT series that can be chosen; everything in it is safe to show.

    key: opaque, given to `load_study(series=key)`. shape: (columns, rows, slices). spacing_mm: the same order, None
    where the geometry is in doubt (loading will say why). kernel: reconstruction kernel or "".
    study: 1, 2, ... in the order met, so that series of several studies can be told apart.
    series_number: as the scanner or archive numbers it in its study; None where the header does not.
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
    series_number: int | None = None
    thumbnail: npt.NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)


def list_series(
    source: Source, *, thumbnails: bool = False, progress: Progress | None = None, limits: Limits = LIMITS
) -> tuple[SeriesSummary, ...]:
    """CT series in `source` (see `load_study`), largest first; on request with a picture of the middle slice.

    progress: called with (share done, words) while headers are read.
    Raises UserFacingError where the source cannot be read, holds two patients, or several series and no volume.
    """
    contents = sort_entries(source, limits, progress)
    if not contents.damaged and not contents.unopened:
        refuse_flat(contents)
    studies = list(dict.fromkeys(images[0].study_uid for images in contents.series.values()))
    found = []
    for key, images in contents.series.items():
        number, picture = studies.index(images[0].study_uid) + 1, thumbnail(images, limits) if thumbnails else None
        stated = images[0].series_number
        summary = _summarise_dicom(key, images)
        found.append(replace(summary, study=number, series_number=stated, thumbnail=picture))
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
    contents = sort_entries(source, limits, progress and (lambda share, words: progress(0.0, words)))
    refuse_damaged(contents, repairs)
    if contents.unopened:
        raise UserFacingError(
            f"Named as DICOM files, but never followed or opened: {contents.absent}.",
            "the files themselves, since links lead out of the folder",
            "Copy the folder with its links replaced by the files, or choose the folder that holds them.",
        )
    refuse_incomplete(contents)
    key = choose_series(contents, series)
    refuse_incomplete(contents, key)
    if key in contents.niftis:
        return _load_nifti(contents, key, repairs, progress, limits)
    return _load_dicom(contents, key, repairs, progress, limits)


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
    contents: Contents, key: str, repairs: Collection[Repair], progress: Progress | None, limits: Limits
) -> CtStudy:
    stack = stack_series(contents.series[key], repairs)
    first = stack.images[0]
    shape = (first.pixels.columns, first.pixels.rows, len(stack.images))
    axes, affine = canonical_axes(lps_to_ras(stack.affine_lps), shape)
    check_volume_beside(contents.held, shape, limits)
    compressed = any(image.pixels.transfer_syntax not in NATIVE for image in stack.images)
    doubts: list[str] = []
    read: Callable[[], Decoded] = partial(_read_checked, stack.images, axes, progress, limits, doubts)
    check = partial(refuse_outlier_slices, compressed=compressed)
    continuity: Callable[[], list[str]] | None = None
    spots: int | None = None
    lost: int | None = None
    if stack.heights_mm is not None or stack.slanted:
        room = partial(_check_room, held=contents.held, limits=limits)
        voxels, affine, on_slices = _regridded(stack, lambda: source_view(read().voxels, axes), check, room)
        doubts += on_slices
        ends = extremes(voxels)
    else:
        decoded = read()
        voxels, ends, spots, lost = decoded.voxels, decoded.ends, decoded.spots, decoded.lost
        continuity = partial(check, voxels, axes.order.index(2), stack=decoded.stack)
    notes = [*contents.notes, *stack.notes, *lossy_note(stack.images), *rescale_notes(stack.images), *doubts]
    facts = _facts(first, axes.order.index(2))
    virtual = any(image.virtual for image in stack.images)
    return _finish(voxels, ends, affine, notes, first.description, virtual, facts, continuity, spots, lost)


def _read_checked(
    images: Sequence[ImageHeader], axes: Canonical, progress: Progress | None, limits: Limits, doubts: list[str]
) -> Decoded:
    """`read_stack`, once each slice is shown to fit its own rescale. doubts: what was cut off is added."""
    decoded = read_stack(images, axes, progress=progress, limits=limits)
    if decoded.clipped:
        doubts.append(
            f"With bits set above the declared ones, which were cut off: {count_of(decoded.clipped, 'slice')}. They "
            "may be an overlay's, or the data damaged."
        )
    in_order = slice(None, None, -1 if axes.flipped[axes.order.index(2)] else 1)
    refuse_misfit_rescale(decoded.stack[in_order], [(image.slope, image.intercept) for image in images])
    return decoded


def _facts(image: ImageHeader, slice_axis: int) -> AcquisitionFacts:
    return AcquisitionFacts(
        tube_voltage_kv=image.tube_voltage_kv,
        kernel=image.kernel,
        contrast_agent=image.contrast_agent,
        thickness_mm=image.thickness_mm,
        slice_axis=slice_axis,
        taken=time_taken(image.day, image.taken),
        dates_shifted=image.dates_shifted,
        sex=image.sex,
        age_years=image.age_years,
    )


def _check_room(shape: tuple[int, int, int], held: int, limits: Limits) -> None:
    """Raise where the grid of a repair does not fit into memory beside `held` bytes of files."""
    try:
        check_grid(shape, limits)
        check_volume_beside(held, shape, limits)
    except UserFacingError as error:
        raise error.where("Once it is straightened") from error


def _regridded(
    stack: Stack,
    read: Callable[[], Volume],
    check: Callable[[Volume, int], list[str]],
    check_room: Callable[[tuple[int, int, int]], None],
) -> tuple[Volume, Matrix, list[str]]:
    """The chosen resampling of a stack, on canonical axes again, and what `check` says of the slices as measured.

    read: gives the volume (column, row, slice). One name holds it and each step after it, so that two exist at most.
    check_room: raises where a larger grid does not fit.
    """
    voxels, affine = read(), stack.affine_lps
    doubts = check(voxels, 2)
    if stack.heights_mm is not None:
        voxels = resample_heights(voxels, stack.heights_mm)
    if stack.slanted:
        width, height, count = voxels.shape
        across, down = grown_by(voxels.shape, affine)
        columns, rows = width + sum(across), height + sum(down)
        check_room((columns, rows, count))
        voxels, affine = straighten(voxels, affine)
        doubts.append(
            f"Nothing was cut off: straightened, the slices take a grid of {columns} x {rows} pixels in place of "
            f"{width} x {height}, with air where none of them reaches."
        )
    i, j, k = voxels.shape
    axes, affine_ras = canonical_axes(lps_to_ras(affine), (i, j, k))
    return np.asfortranarray(axes.apply(voxels)), affine_ras, doubts


def _load_nifti(
    contents: Contents, key: str, repairs: Collection[Repair], progress: Progress | None, limits: Limits
) -> CtStudy:
    header: NiftiHeader = read_nifti_header(contents.niftis[key], repairs=repairs, limits=limits)
    check_volume_beside(contents.held, header.shape, limits)
    voxels, affine, doubts = read_nifti_volume(header, progress=progress)
    notes = [*contents.notes, *header.notes, *doubts]
    axes, _ = canonical_axes(header.affine_mm, header.shape)
    facts = AcquisitionFacts(slice_axis=axes.order.index(2))
    return _finish(voxels, extremes(voxels), affine, notes, "CT volume (NIfTI)", header.virtual, facts)


def _finish(
    voxels: Volume,
    ends: Ends,
    affine: Matrix,
    notes: list[str],
    description: str,
    virtual: bool,
    facts: AcquisitionFacts,
    continuity: Callable[[], list[str]] | None = None,
    spots: int | None = None,
    lost: int | None = None,
) -> CtStudy:
    """The checked study. ends: `extremes` of the voxels. continuity: the check of neighbouring slices, for a volume
    straight from a scanner. spots, lost: `count_spots` and `count_lost`, where they are known."""
    with ThreadPoolExecutor(1) as pool:
        values = pool.submit(refuse_unless_hounsfield, voxels, ends, resampled=continuity is None)
        notes += continuity() if continuity else []
        notes += values.result()
    notes += note_spots_in_metal(count_spots(voxels, ends[1]) if spots is None else spots)
    notes += note_lost_bits(count_lost(voxels, ends[1]) if lost is None else lost, ends[1])
    if ends[0] < PADDING_BELOW_HU:
        replace_padding(voxels, notes)
    if min(voxels.shape) <= _FEW_SLICES:
        notes.append(f"Only {min(voxels.shape)} slices: hardly anything can be checked in so thin a part of the body.")
    extent = np.linalg.norm(affine[:3, :3], axis=0) * voxels.shape
    width, height = np.delete(extent, facts.slice_axis)
    if max(width, height) < _NARROW_MM:
        notes.append(
            f"The slices are only {width:.3g} x {height:.3g} mm in size; the unit of the pixel spacing may be wrong."
        )
    if (angle := obliquity_degrees(affine)) > 1:
        notes.append(f"The volume lies up to {angle:.1f} degrees away from the body axes (oblique acquisition).")
    origin: Origin = "virtual" if virtual else "real"
    return CtStudy(voxels, affine, tuple(notes), description, origin, facts)
