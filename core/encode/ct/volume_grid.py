"""Volumes of one physical size from any CT: fixed spacing, centred on the lungs, overlapping windows for long scans.

All geometry is in world millimetres (RAS+), through the study's affine; resampling is MONAI's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from core.encode.ct.slice_grid import AIR_HU, locate, world_extent
from core.records import CtStudy, Float64Array, FloatArray

OVERLAP = 0.25
"""Of neighbouring windows, along the body."""


@dataclass(frozen=True, eq=False)
class VolumeGrid:
    """Windows of a study. affines (W, 4, 4): voxel index -> RAS mm. size: voxels of each window. z_low_mm, z_high_mm:
    of the lungs (or what stands for them). coverage: share of the study that lies in a window."""

    affines: Float64Array
    size: tuple[int, int, int]
    z_low_mm: float
    z_high_mm: float
    coverage: float

    def points(self, cells: tuple[int, int, int]) -> tuple[FloatArray, FloatArray]:
        """World mm (W, x * y * z, 3) of the middles of evenly spread cells, and relative: x and y within the window,
        0 to 1, z within the lungs, 0 base to 1 apex."""
        ranges = [(np.arange(count) + 0.5) * size / count - 0.5 for count, size in zip(cells, self.size)]
        index = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
        world = np.stack([index @ affine[:3, :3].T + affine[:3, 3] for affine in self.affines])
        relative = np.broadcast_to((index + 0.5) / np.array(self.size), world.shape).copy()
        relative[..., 2] = (world[..., 2] - self.z_low_mm) / max(self.z_high_mm - self.z_low_mm, 1.0)
        return world.astype(np.float32), relative.astype(np.float32)


def volume_grid(study: CtStudy, spacing_mm: Sequence[float], size: Sequence[int]) -> VolumeGrid:
    """Place windows on a study; never raises on a valid `CtStudy`."""
    spacing, shape = np.asarray(spacing_mm, np.float64), np.asarray(size)
    target = locate(study)
    length = (shape[2] - 1) * spacing[2]
    extent = target.z_high - target.z_low
    count = 1 if extent <= length + spacing[2] else 1 + int(np.ceil((extent - length) / ((1 - OVERLAP) * length)))
    middle = (target.z_low + target.z_high) / 2
    reach = max(extent - length, 0.0) / 2
    middles = np.array([middle]) if count == 1 else np.linspace(middle - reach, middle + reach, count)
    affines = np.tile(np.diag([*spacing, 1.0]), (count, 1, 1))
    for place, z in enumerate(middles):
        affines[place, :3, 3] = np.array([target.x, target.y, z]) - spacing * (shape - 1) / 2
    low, high = world_extent(study)
    seen = min(high[2], middles[-1] + length / 2) - max(low[2], middles[0] - length / 2)
    coverage = float(np.clip(seen / max(high[2] - low[2], 1e-6), 0.0, 1.0))
    x, y, z = (int(one) for one in shape)
    return VolumeGrid(affines, (x, y, z), target.z_low, target.z_high, coverage)


def sample_volumes(study: CtStudy, grid: VolumeGrid) -> npt.NDArray[np.int16]:
    """HU int16 (W, X, Y, Z) of each window; air beyond the study. Finer voxels are averaged first."""
    voxels = torch.from_numpy(np.ascontiguousarray(study.voxels_hu)).float()[None]
    affine = np.array(study.affine_mm, np.float64)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    wanted = np.linalg.norm(grid.affines[0][:3, :3], axis=0).min()
    factors = [max(1, min(int(wanted / one + 0.25), count)) for one, count in zip(spacing, study.voxels_hu.shape)]
    if max(factors) > 1:
        voxels = functional.avg_pool3d(voxels, factors, factors)
        shift = np.eye(4)
        shift[:3, :3] = np.diag(factors)
        shift[:3, 3] = (np.array(factors) - 1) / 2
        affine = affine @ shift
    # Shifted so that what lies beyond the study, which resampling fills with zeros, is air.
    found = [_resampled(voxels - AIR_HU, affine, window, grid.size) + AIR_HU for window in grid.affines]
    return np.stack([np.clip(np.rint(one), -32768, 32767).astype(np.int16) for one in found])


def volumes_to_study(maps: FloatArray, grid: VolumeGrid, study: CtStudy) -> FloatArray:
    """Maps (W, X, Y, Z) spread linearly over the study's voxels, the mean where windows overlap; 0 beyond them."""
    total, weight = np.zeros(study.shape, np.float32), np.zeros(study.shape, np.float32)
    for window, affine in zip(maps, grid.affines):
        both = torch.stack([torch.from_numpy(np.ascontiguousarray(window, np.float32)), torch.ones(grid.size)])
        own = _resampled(both, affine, np.asarray(study.affine_mm, np.float64), study.shape, every=True)
        total += own[0]
        weight += own[1]
    return np.asarray(np.where(weight > 1e-3, total / np.maximum(weight, 1e-3), 0.0), np.float32)


def _resampled(
    values: torch.Tensor, affine: Float64Array, wanted: Float64Array, size: Sequence[int], *, every: bool = False
) -> FloatArray:
    from monai.data.meta_tensor import MetaTensor
    from monai.transforms.spatial.array import SpatialResample

    given = MetaTensor(values, affine=torch.from_numpy(affine.copy()))
    resample = SpatialResample(mode="bilinear", padding_mode="zeros", align_corners=True, dtype=np.float32)
    out = resample(given, dst_affine=torch.from_numpy(wanted.copy()), spatial_size=tuple(size))
    array = np.asarray(out)
    return np.asarray(array if every else array[0], np.float32)
