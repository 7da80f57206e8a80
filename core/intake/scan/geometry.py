"""Patient geometry: stacking slices along their normal, LPS to RAS, and the closest canonical axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError

SMALLEST_MM, LARGEST_MM = 0.02, 30.0
MAX_PIXEL_RATIO = 2.001
MAX_PIXEL_MM = 10.0
MAX_PIXELS_A_STEP = 50
"""Slices as close together as a fiftieth of their pixels: scanners reach a tenth."""


Matrix = npt.NDArray[np.float64]

LPS_TO_RAS: Matrix = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM world (x to the patient's left, y to the back) to NIfTI world (x to the right, y to the front); both in mm."""


@dataclass(frozen=True)
class Canonical:
    """How to reorder voxel axes so that they run closest to right, anterior, superior.

    order[a]: the source axis that becomes axis a. flipped[a]: whether it is then reversed.
    """

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def apply(self, voxels: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """A view of `voxels` (source axes) with canonical axes."""
        view = voxels.transpose(self.order)
        return view[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flipped)]


def lps_to_ras(affine_lps: Matrix) -> Matrix:
    """A voxel-to-LPS affine as a voxel-to-RAS affine (4, 4), mm.

    >>> lps_to_ras(np.eye(4)).diagonal()
    array([-1., -1.,  1.,  1.])
    """
    return LPS_TO_RAS @ affine_lps


def slice_affine_lps(
    orientation: npt.ArrayLike, spacing_mm: npt.ArrayLike, first_mm: npt.ArrayLike, step_mm: npt.ArrayLike
) -> Matrix:
    """Affine of (column, row, slice) indices to LPS mm (PS3.3 C.7.6.2.1.1).

    orientation: six cosines, along a row then along a column. spacing_mm: (between rows, between columns).
    first_mm: position of the first slice's first pixel. step_mm: vector from a slice to the next.
    """
    cosines = np.asarray(orientation, np.float64)
    between_rows, between_columns = np.asarray(spacing_mm, np.float64)
    affine = np.eye(4)
    affine[:3, 0] = cosines[:3] * between_columns
    affine[:3, 1] = cosines[3:] * between_rows
    affine[:3, 2] = step_mm
    affine[:3, 3] = first_mm
    return affine


def canonical_axes(affine_ras: Matrix, shape: tuple[int, int, int]) -> tuple[Canonical, Matrix]:
    """The reordering that brings voxel axes closest to RAS, and the affine after it.

    Axes are assigned by the permutation with the largest total alignment, so even a 45 degree volume gets each once.
    """
    directions = affine_ras[:3, :3] / np.linalg.norm(affine_ras[:3, :3], axis=0)
    order = max(_PERMUTATIONS, key=lambda axes: sum(abs(directions[a, axes[a]]) for a in range(3)))
    flipped = tuple(bool(directions[a, order[a]] < 0) for a in range(3))
    affine = affine_ras.copy()
    affine[:3, :3] = affine_ras[:3, order]
    for axis, flip in enumerate(flipped):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (shape[order[axis]] - 1)
            affine[:3, axis] *= -1
    return Canonical(order, (flipped[0], flipped[1], flipped[2])), affine


_PERMUTATIONS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def shear_degrees(affine: Matrix) -> float:
    """Largest departure from right angles between voxel axes, in degrees."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosines = np.abs([directions[:, a] @ directions[:, b] for a, b in ((0, 1), (0, 2), (1, 2))])
    return float(np.degrees(np.arcsin(np.clip(cosines.max(), 0, 1))))


def obliquity_degrees(affine: Matrix) -> float:
    """Largest angle between a voxel axis and its closest world axis, in degrees."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.degrees(np.arccos(np.clip(np.abs(directions).max(axis=0).min(), 0, 1))))


def plane_normal(orientation: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Unit normal of the image plane in LPS: row direction x column direction."""
    cosines = np.asarray(orientation, np.float64)
    normal = np.cross(cosines[:3], cosines[3:])
    return np.asarray(normal / np.linalg.norm(normal), np.float64)


def empty_volume(source_shape: tuple[int, int, int], axes: Canonical) -> npt.NDArray[np.int16]:
    """Memory for a volume with canonical axes, the first of them fastest (see `CtStudy.voxels_hu`)."""
    i, j, k = (source_shape[axis] for axis in axes.order)
    return np.empty((i, j, k), np.int16, order="F")


def source_view(volume: npt.NDArray[np.int16], axes: Canonical) -> npt.NDArray[np.int16]:
    """`volume` (canonical axes) seen with source axes, so that source slices can be written into it."""
    unflipped = volume[tuple(slice(None, None, -1) if flip else slice(None) for flip in axes.flipped)]
    return unflipped.transpose(np.argsort(axes.order))


def refuse_absurd_geometry(affine: Matrix) -> None:
    """Raise for voxels that no CT has: outside 0.02 to 30 mm, far from square, wide, flat, or 100 m from the origin.

    affine: its third column steps from slice to slice. Only axial pixels must be square: the rows of a sagittal or
    coronal reformat may lie as far apart as the slices it was made from.
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(sizes).all() or sizes.min() < SMALLEST_MM or sizes.max() > LARGEST_MM:
        shown = " x ".join(f"{size:.3g}" for size in sizes)
        raise UserFacingError(
            f"The voxel size would be {shown} mm.",
            f"voxels between {SMALLEST_MM:g} and {LARGEST_MM:g} mm",
            "Check the units and the header.",
        )
    axial = int(np.argmax(np.abs(affine[:3, 2]))) == 2
    if axial and (sizes[:2].max() > MAX_PIXEL_RATIO * sizes[:2].min() or sizes[:2].max() > MAX_PIXEL_MM):
        raise UserFacingError(
            f"The pixels of the slices would be {sizes[0]:.3g} x {sizes[1]:.3g} mm.",
            f"nearly square pixels of at most {MAX_PIXEL_MM:g} mm, as every CT scanner makes them",
            "Check the pixel spacing in the header, or resample the slices to square pixels first.",
        )
    if axial and sizes[:2].max() > MAX_PIXELS_A_STEP * sizes[2]:
        raise UserFacingError(
            f"The slices would lie {sizes[2]:.3g} mm apart, with pixels of {sizes[:2].max():.3g} mm.",
            f"slices at least 1/{MAX_PIXELS_A_STEP} of a pixel apart",
            "Check the positions of the slices and their unit.",
        )
    if np.abs(affine[:3, 3]).max() > 1e5:
        raise UserFacingError(
            "The volume lies more than 100 m from the origin.", "a place within the scanner", "Check the header."
        )
