"""Voxels of a NIfTI file as int16 HU; of a packed one while it is unpacked, so that only a few slabs of it are held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry, InOrder
from core.intake.files.limits import MIB, Limits, workers
from core.intake.scan.checks.hounsfield_range import refuse_narrow
from core.intake.scan.checks.neighbour_slices import refuse_outlier_slices, refuse_wrong_width
from core.intake.scan.geometry import Matrix, canonical_axes, empty_volume, source_view
from core.intake.scan.hounsfield import joined, rescale_into
from core.intake.scan.nifti.header import NiftiHeader, read_nifti_header, too_long, too_short
from core.progress import Progress

Planes = npt.NDArray[np.int16]
Stored = npt.NDArray[Any]
Ends = tuple[float, float]
"""Lowest and highest value, rescaled but not rounded."""

_SLAB = 2 * MIB
_AHEAD, _TOLD_EVERY, _MOST_LABELS = 4, 64, 255
"""Slabs unpacked while one is rescaled; planes between two words of progress."""


def read_nifti_volume(
    header: NiftiHeader, *, progress: Progress | None = None
) -> tuple[npt.NDArray[np.int16], Matrix, list[str]]:
    """Voxels as int16 HU with canonical axes (i, j, k), their affine (RAS, mm), and doubts.

    Raises UserFacingError where the file is damaged or its values cannot be a CT's.
    """
    axes, affine = canonical_axes(header.affine_mm, header.shape)
    volume = empty_volume(header.shape, axes)
    planes = source_view(volume, axes).transpose(2, 1, 0)
    tell = partial(_tell, progress, len(planes))
    if header.entry.pieces:
        ends = _fill_in_order(header, planes, InOrder(header.entry.pieces()), tell)
    else:
        ends = _fill(header, planes, tell)
    refuse_narrow(*ends)  # before slices are compared: of a map of shares, rounded, most slices are blank
    notes = refuse_outlier_slices(volume, axes.order.index(2), measured=False)
    return volume, affine, notes


def stored_plane(header: NiftiHeader, number: int) -> Stored:
    """Plane `number` along the third axis as stored, (rows, columns).

    Raises UserFacingError where the file ends early.
    """
    columns, rows, _ = header.shape
    size = columns * rows * header.dtype.itemsize
    start = header.offset + number * size
    if header.entry.pieces:
        stream = InOrder(header.entry.pieces())
        stream.skip(start)
        data = stream.take(size)
    else:
        data = header.entry.read(start, start + size)
    if len(data) < size:
        raise too_short()
    return np.frombuffer(data, header.dtype).reshape(rows, columns)


def is_mask(entry: Entry, limits: Limits) -> bool:
    """Whether a NIfTI file holds labels: whole numbers, 0 to 255, all over its middle plane, unscaled or of 8 bits."""
    try:
        header = read_nifti_header(entry, limits=limits)
        plane = stored_plane(header, header.shape[2] // 2)
    except UserFacingError:
        return False
    plain = header.dtype.itemsize == 1 or (header.slope == 1 and header.intercept == 0)
    return plain and bool((plane >= 0).all() and (plane <= _MOST_LABELS).all() and (plane == np.rint(plane)).all())


def _tell(progress: Progress | None, planes: int, done: int) -> None:
    if progress and (done == planes or done % _TOLD_EVERY == 0):
        progress(done / planes, f"Reading slice {done} of {planes}")


def _fill(header: NiftiHeader, planes: Planes, tell: Callable[[int], None]) -> Ends:
    """Planes (plane, row, column) read side by side; returns their extremes."""
    refuse_wrong_width(stored_plane(header, len(planes) // 2), len(planes))
    with ThreadPoolExecutor(workers()) as pool:
        filled = pool.map(
            lambda number: _rescale(header, stored_plane(header, number), planes[number]), range(len(planes))
        )
        ends = []
        for done, found in enumerate(filled, 1):
            ends.append(found)
            tell(done)
    return joined(ends)


def _fill_in_order(header: NiftiHeader, planes: Planes, stream: InOrder, tell: Callable[[int], None]) -> Ends:
    """Planes rescaled while the file is unpacked to its end; returns their extremes.

    A fault of values is kept until the file itself is known to be whole: it may come from damage.
    """
    middle: list[Stored] = []
    rescaled: list[Future[Ends]] = []
    stream.skip(header.offset)
    with ThreadPoolExecutor(workers()) as pool:
        for number, slab in _slabs(planes, header.dtype.itemsize):
            size = slab.size * header.dtype.itemsize
            data = stream.take(size)
            if len(data) < size:
                raise too_short()
            stored = np.frombuffer(data, header.dtype).reshape(slab.shape)
            middle += [stored] if number == len(planes) // 2 else []
            rescaled.append(pool.submit(_rescale, header, stored, slab))
            tell(number + 1)
            if len(rescaled) > _AHEAD:
                rescaled[-1 - _AHEAD].exception()  # waits
    if stream.finish():
        raise too_long()
    refuse_wrong_width(np.concatenate(middle), len(planes))
    return joined([future.result() for future in rescaled])


def _slabs(planes: Planes, itemsize: int) -> Iterator[tuple[int, Planes]]:
    """Runs of rows that fill at most one slab as stored, each with the number of its plane."""
    rows = max(1, _SLAB // (planes.shape[2] * itemsize))
    for number, plane in enumerate(planes):
        for start in range(0, len(plane), rows):
            yield number, plane[start : start + rows]


def _rescale(header: NiftiHeader, stored: Stored, out: Planes) -> Ends:
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        raise UserFacingError(
            "The NIfTI file holds voxels that are not numbers",
            "a finite value in every voxel",
            "Convert the original CT again.",
        )
    ends = stored.min(), stored.max()
    rescale_into(stored, header.slope, header.intercept, out, stored_ends=ends)
    low, high = sorted(float(end) * header.slope + header.intercept for end in ends)
    return low, high
