"""One axial slice of a study, and the encoder slices it reads."""

from __future__ import annotations

import numpy as np

from core.encode.ct.slice_grid import PLANE_STEP_MM, SliceGrid
from core.records import CtStudy


def axial_slice(study: CtStudy, k: int) -> CtStudy:
    """Axial slice `k` as a study of its own, shape (i, j, 1), at its place in the world."""
    if not 0 <= k < study.shape[2]:
        raise ValueError(f"slice {k} is not in 0 to {study.shape[2] - 1}")
    shift = np.eye(4)
    shift[2, 3] = k
    return CtStudy(study.voxels_hu[:, :, k : k + 1], study.affine_mm @ shift)


def planes_of_slice(study: CtStudy, grid: SliceGrid, k: int) -> tuple[int, ...]:
    """Encoder slices that any voxel of axial slice `k` reads; empty where the grid does not reach it."""
    i, j, _ = study.shape
    corners = np.array([[a, b, k, 1.0] for a in (0, i - 1) for b in (0, j - 1)])
    z_mm = corners @ study.affine_mm[2]
    near = (grid.z_mm > z_mm.min() - PLANE_STEP_MM + 1e-6) & (grid.z_mm < z_mm.max() + PLANE_STEP_MM - 1e-6)
    return tuple(int(s) for s in np.flatnonzero(near))
