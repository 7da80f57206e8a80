"""Axial slices of one physical size from any CT: planes every 5 mm, 2 mm pixels, centred on the lungs.

All geometry is in world millimetres (RAS+), through the study's affine; nothing depends on voxel size or orientation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from core.encode.ct.lungs import find_lungs
from core.records import CtStudy, FloatArray

ROWS, COLUMNS = 128, 144
PIXEL_MM = 2.0
PLANE_STEP_MM = 5.0
LUNG_MARGIN_MM = 25.0
MAX_PLANES = 80
AIR_HU = -1024
_SLAB_MM = 2.5
_ALIGNED_MM = 0.5


@dataclass(frozen=True, eq=False)
class SliceGrid:
    """Where the encoder samples a study; all in world mm (RAS+).

    x_mm (144,): column centres, increasing to the patient's right. y_mm (128,): row centres, increasing to anterior.
    z_mm (S,): planes, increasing to superior. relative (S,): z in the lungs, 0 base to 1 apex (may leave the range).
    anchor: what the grid is centred on. coverage: planes kept over the planes the whole study would hold.
    """

    x_mm: npt.NDArray[np.float64]
    y_mm: npt.NDArray[np.float64]
    z_mm: npt.NDArray[np.float64]
    relative: npt.NDArray[np.float64]
    anchor: str
    coverage: float


@dataclass(frozen=True)
class ScanTarget:
    """Centre in the plane and craniocaudal range of what the grid is placed on, world mm."""

    x: float
    y: float
    z_low: float
    z_high: float
    anchor: str


def world_extent(study: CtStudy) -> npt.NDArray[np.float64]:
    """(2, 3) smallest and largest world coordinate of the voxel centres."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in study.shape], indexing="ij")).reshape(3, -1)
    world = study.affine_mm[:3, :3] @ corners + study.affine_mm[:3, 3:]
    return np.stack([world.min(axis=1), world.max(axis=1)])


def locate(study: CtStudy) -> ScanTarget:
    """What to centre on; never fails: lungs, else body, else the volume."""
    mask, strides, anchor = find_lungs(study)
    low, high = world_extent(study)
    if anchor == "volume":
        centre = (low + high) / 2
        return ScanTarget(float(centre[0]), float(centre[1]), float(low[2]), float(high[2]), anchor)
    voxels = np.argwhere(mask) * np.array(strides)
    world = voxels @ study.affine_mm[:3, :3].T + study.affine_mm[:3, 3]
    edges = np.percentile(world, (1, 99), axis=0)
    z_range = np.percentile(world[:, 2], (0.5, 99.5)) if anchor == "lungs" else np.array([low[2], high[2]])
    centre = edges.mean(axis=0)
    return ScanTarget(float(centre[0]), float(centre[1]), float(z_range[0]), float(z_range[1]), anchor)


def _planes(study: CtStudy, low: float, high: float) -> npt.NDArray[np.float64]:
    """Planes every 5 mm within [low, high], at least one; the first lies on one of the study's own planes.

    A study with 5 mm slices is thus read as it is, not blurred by interpolation half way between its slices.
    """
    step, origin = float(study.affine_mm[2, 2]), float(study.affine_mm[2, 3])
    if abs(step) > 1e-3 and _aligned_axes(study):
        low = min(origin + abs(step) * np.ceil((low - origin) / abs(step) - 1e-6), high)
    count = int(np.floor(max(high - low, 0.0) / PLANE_STEP_MM + 1e-6)) + 1
    return np.asarray(low + PLANE_STEP_MM * np.arange(count), np.float64)


def _centred(middle: float, count: int) -> npt.NDArray[np.float64]:
    """Pixel centres 2 mm apart about a middle."""
    return np.asarray(middle + PIXEL_MM * (np.arange(count) - (count - 1) / 2), np.float64)


def slice_grid(study: CtStudy) -> SliceGrid:
    """Place the encoder's slices on a study.

    Planes lie within 25 mm of the lungs, at most 80 of them; without lungs the whole study (its middle where it is
    longer) is covered, centred on the body or, without a body, on the volume. Never raises on a valid `CtStudy`.
    """
    target = locate(study)
    extent = world_extent(study)
    low = max(extent[0, 2], target.z_low - LUNG_MARGIN_MM)
    high = min(extent[1, 2], target.z_high + LUNG_MARGIN_MM)
    z_mm = _planes(study, float(low), float(high))
    spare = max(len(z_mm) - MAX_PLANES, 0)
    z_mm = z_mm[spare // 2 : len(z_mm) - (spare - spare // 2)]
    height = max(target.z_high - target.z_low, PLANE_STEP_MM)
    return SliceGrid(
        x_mm=_centred(target.x, COLUMNS),
        y_mm=_centred(target.y, ROWS),
        z_mm=z_mm,
        relative=(z_mm - target.z_low) / height,
        anchor=target.anchor,
        coverage=min(1.0, len(z_mm) / len(_planes(study, float(extent[0, 2]), float(extent[1, 2])))),
    )


def _offsets(footprint_mm: float, spacing_mm: float, most: int = 3) -> npt.NDArray[np.float64]:
    """Sample positions inside one output cell, so that fine voxels are averaged instead of skipped (no aliasing)."""
    count = int(np.clip(round(footprint_mm / spacing_mm), 1, most))
    return footprint_mm * ((np.arange(count) + 0.5) / count - 0.5)


def _axis_weights(index: npt.NDArray[np.float64], size: int, *, nearest: bool) -> npt.NDArray[np.float32]:
    """(points, size) weights that interpolate at fractional voxel indices (points, samples); rows outside are 0.

    Within half a voxel beyond the border the border voxel holds.
    """
    points = len(index)
    weights = np.zeros((points, size), np.float32)
    inside = (index >= -0.5 - 1e-6) & (index <= size - 0.5 + 1e-6)
    held = np.clip(index, 0, size - 1)
    left = np.rint(held).astype(int) if nearest else np.floor(held).astype(int)
    right = np.minimum(left + 1, size - 1)
    fraction = np.zeros_like(held) if nearest else held - left
    rows = np.broadcast_to(np.arange(points)[:, None], index.shape)
    np.add.at(weights, (rows[inside], left[inside]), (1 - fraction)[inside])
    np.add.at(weights, (rows[inside], right[inside]), fraction[inside])
    used = inside.sum(axis=1, keepdims=True)
    return np.asarray(weights / np.maximum(used, 1), np.float32)


def _aligned_axes(study: CtStudy) -> bool:
    """True where voxel axes follow world axes to within half a millimetre over the whole volume."""
    matrix = study.affine_mm[:3, :3]
    skew = np.abs(matrix - np.diag(np.diag(matrix))) * np.array(study.shape)
    return bool(skew.sum(axis=1).max() < _ALIGNED_MM)


def _sample_aligned(study: CtStudy, grid: SliceGrid, *, nearest: bool, fill: float) -> npt.NDArray[np.float32]:
    """Separable interpolation as three small matrix products, (S, 128, 144)."""
    matrices, outside = [], []
    footprints = (PIXEL_MM, PIXEL_MM, _SLAB_MM)
    for axis, centres in enumerate((grid.x_mm, grid.y_mm, grid.z_mm)):
        step, origin = study.affine_mm[axis, axis], study.affine_mm[axis, 3]
        offsets = np.zeros(1) if nearest else _offsets(footprints[axis], abs(step))
        index = (centres[:, None] + offsets - origin) / step
        weights = _axis_weights(index, study.shape[axis], nearest=nearest)
        matrices.append(weights)
        outside.append(weights.sum(axis=1) < 0.5)
    used = [np.flatnonzero(w.any(axis=0)) for w in matrices]
    if min(len(u) for u in used) == 0:
        return np.full((len(grid.z_mm), ROWS, COLUMNS), fill, np.float32)
    lows, highs = [u[0] for u in used], [u[-1] + 1 for u in used]
    crop = study.voxels_hu[lows[0] : highs[0], lows[1] : highs[1], lows[2] : highs[2]]
    wx, wy, wz = (torch.from_numpy(m[:, a:b].copy()) for m, a, b in zip(matrices, lows, highs, strict=True))
    planes = torch.stack([wy @ _raise_padding(plane, fill) @ wx.T for plane in crop.T])
    sampled = torch.einsum("sk,krc->src", wz, planes).numpy()
    sampled[outside[2]] = fill
    sampled[:, outside[1]] = fill
    sampled[:, :, outside[0]] = fill
    return np.asarray(sampled, np.float32)


def _raise_padding(plane: npt.NDArray[np.int16], fill: float) -> torch.Tensor:
    """Float plane; scanner padding below air would otherwise bleed into its neighbours."""
    return torch.from_numpy(np.maximum(plane, fill).astype(np.float32))


def _sample_oblique(study: CtStudy, grid: SliceGrid, *, nearest: bool, fill: float) -> npt.NDArray[np.float32]:
    """General trilinear (or nearest) sampling through the inverse affine, plane by plane, (S, 128, 144)."""
    inverse = np.linalg.inv(study.affine_mm)
    voxels = np.maximum(study.voxels_hu, np.int16(fill))
    order: Literal[0, 1] = 0 if nearest else 1
    single = np.dtype(np.float32)
    footprints = (PIXEL_MM, PIXEL_MM, _SLAB_MM)
    samples = [np.zeros(1) if nearest else _offsets(f, s, 2) for f, s in zip(footprints, study.spacing_mm, strict=True)]
    shifts = np.array(np.meshgrid(*samples, indexing="ij")).reshape(3, -1).T
    y, x = np.meshgrid(grid.y_mm, grid.x_mm, indexing="ij")
    sampled = np.empty((len(grid.z_mm), ROWS, COLUMNS), np.float32)
    for s, z in enumerate(grid.z_mm):
        world = np.stack([x, y, np.full_like(x, z)]).reshape(3, -1)
        total = np.zeros(world.shape[1], np.float32)
        for shift in shifts:
            index = inverse[:3, :3] @ (world + shift[:, None]) + inverse[:3, 3:]
            total += ndimage.map_coordinates(voxels, index, single, order=order, mode="constant", cval=fill)
        sampled[s] = (total / len(shifts)).reshape(ROWS, COLUMNS)
    return sampled


def _sample(study: CtStudy, grid: SliceGrid, *, nearest: bool, fill: float) -> npt.NDArray[np.float32]:
    sampler = _sample_aligned if _aligned_axes(study) else _sample_oblique
    return sampler(study, grid, nearest=nearest, fill=fill)


def sample_slices(study: CtStudy, grid: SliceGrid) -> npt.NDArray[np.int16]:
    """HU on the grid, int16 (S, 128 rows anterior-posterior, 144 columns left-right); -1024 outside the study.

    Linear interpolation in world mm; voxels finer than the output are averaged over the output's 2 x 2 x 2.5 mm cell.
    """
    return np.rint(_sample(study, grid, nearest=False, fill=AIR_HU)).clip(AIR_HU, 32767).astype(np.int16)


def sample_labels(study: CtStudy, labels: npt.NDArray[np.uint8], grid: SliceGrid) -> npt.NDArray[np.uint8]:
    """Label map (i, j, k) of the study on the grid by nearest neighbour, uint8 (S, 128, 144); 0 outside."""
    carrier = CtStudy(labels.astype(np.int16), study.affine_mm)
    return np.rint(_sample(carrier, grid, nearest=True, fill=0)).astype(np.uint8)


def volume_from_slices(values: FloatArray, study: CtStudy, grid: SliceGrid) -> FloatArray:
    """Spread values on the slices (S, 128, 144) over the study's voxels, float32 (i, j, k); 0 beyond the grid.

    Linear in the plane and between planes; a voxel more than one plane step or one pixel beyond the grid gets 0.
    Oblique studies are handled through the full affine.
    """
    if _aligned_axes(study):
        return _spread_aligned(values, study, grid)
    inverse_steps = np.array([1 / PLANE_STEP_MM, 1 / PIXEL_MM, 1 / PIXEL_MM])
    first = np.array([grid.z_mm[0], grid.y_mm[0], grid.x_mm[0]])
    i, j = np.meshgrid(np.arange(study.shape[0]), np.arange(study.shape[1]), indexing="ij")
    spread = np.empty(study.shape, np.float32)
    for k in range(study.shape[2]):
        voxel = np.stack([i, j, np.full_like(i, k)]).reshape(3, -1)
        world = (study.affine_mm[:3, :3] @ voxel + study.affine_mm[:3, 3:])[::-1]
        index = (world - first[:, None]) * inverse_steps[:, None]
        plane = ndimage.map_coordinates(values, index, np.dtype(np.float32), order=1, mode="grid-constant", cval=0.0)
        spread[:, :, k] = plane.reshape(i.shape)
    return spread


def _spread_aligned(values: FloatArray, study: CtStudy, grid: SliceGrid) -> FloatArray:
    """Separable counterpart of `_sample_aligned`, from the slices to the voxels."""
    axes = []
    steps = (PIXEL_MM, PIXEL_MM, PLANE_STEP_MM)
    for axis, centres in enumerate((grid.x_mm, grid.y_mm, grid.z_mm)):
        world = study.affine_mm[axis, 3] + study.affine_mm[axis, axis] * np.arange(study.shape[axis])
        distance = np.abs(world[:, None] - centres[None]) / steps[axis]
        axes.append(torch.from_numpy(np.maximum(1 - distance, 0).astype(np.float32)))
    wx, wy, wz = axes
    planes = torch.einsum("jr,src->scj", wy, torch.from_numpy(np.ascontiguousarray(values, np.float32)))
    columns = torch.einsum("ic,scj->ijs", wx, planes)
    return np.asarray((columns @ wz.T).numpy(), np.float32)
