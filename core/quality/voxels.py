"""Measures of the picture itself: noise, HU peaks, steps between neighbours, metal, blood, field of view."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from core.quality.limits import METAL_HU
from core.quality.thorax import Thorax
from core.records import CtStudy, FloatArray

_BLOCK_MM = 12.0
_NOISE_PLANES = 16
_PEAK_RANGES_HU = {"air": (-1100, -850), "fat": (-250, -40), "tissue": (-40, 250)}


def planes_mm(study: CtStudy, cell_mm: float = 4.0) -> FloatArray:
    """Every plane of a study averaged over cells of about 4 mm, float32 (I, J, slices), clipped to -1100..300 HU.

    I or J is 0 where the planes are smaller than a cell.
    """
    strides = [max(1, round(cell_mm / step)) for step in study.spacing_mm[:2]]
    sizes = [count // stride for count, stride in zip(study.shape[:2], strides, strict=True)]
    offsets = [(a, b) for a in {0, strides[0] // 2} for b in {0, strides[1] // 2}]
    total = np.zeros((*sizes, study.shape[2]), np.float32, order="F")
    for a, b in offsets:
        part = study.voxels_hu[a :: strides[0], b :: strides[1]][: sizes[0], : sizes[1]]
        total += np.clip(part, -1100, 300)
    return np.asarray(total / len(offsets), np.float32)


def largest_step(planes: FloatArray) -> tuple[float, int]:
    """Largest change from a plane to the next over the median change of the ten steps around it, and that plane.

    planes: (I, J, slices). About 1 to 1.6 in an intact scan; a missing slice gives about 2. NaN below 8 slices, and
    where they are too small for a cell.
    """
    if planes.shape[2] < 8 or not planes.size:
        return float("nan"), 0
    change = np.abs(np.diff(np.maximum(planes, -1000), axis=2)).mean((0, 1))
    ratios = []
    for k, value in enumerate(change):
        around = np.concatenate([change[max(0, k - 5) : k], change[k + 1 : k + 6]])
        ratios.append(float(value / max(float(np.median(around)), 1e-3)))
    worst = int(np.argmax(ratios))
    return ratios[worst], worst


def noise_hu(study: CtStudy, planes: npt.NDArray[np.int64] | None = None) -> float:
    """Standard deviation in soft tissue, HU: the 10th percentile over blocks of 12 mm with a mean of 0 to 120 HU.

    planes: indices of axial planes; default 16 spread over the study. NaN where there is no such tissue, or no plane.
    """
    if planes is None:
        planes = np.unique(np.linspace(0, study.shape[2] - 1, _NOISE_PLANES).astype(np.int64))
    edges = [max(3, round(_BLOCK_MM / step)) for step in study.spacing_mm[:2]]
    counts = [size // edge for size, edge in zip(study.shape[:2], edges, strict=True)]
    spread = [np.empty(0, np.float32)]
    for k in planes:
        plane = study.voxels_hu[: counts[0] * edges[0], : counts[1] * edges[1], k].astype(np.float32)
        blocks = plane.reshape(counts[0], edges[0], counts[1], edges[1]).swapaxes(1, 2)
        mean = blocks.mean((2, 3))
        spread.append(blocks[(mean > 0) & (mean < 120)].std((1, 2)))
    found = np.concatenate(spread)
    return float(np.percentile(found, 10)) if len(found) >= 10 else float("nan")


def hu_peaks(planes: FloatArray) -> Mapping[str, float]:
    """HU of the commonest value of air, fat and soft tissue; NaN where there is no peak or 0.2% of the points."""
    counts = np.bincount(np.rint(planes + 1100).astype(np.int16).ravel(), minlength=1401)
    centres = np.arange(-1100.0, 301.0)
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 6.0)
    peaks = {}
    for name, (low, high) in _PEAK_RANGES_HU.items():
        inside = (centres > low) & (centres < high)
        at = int(smooth[inside].argmax())
        is_peak = counts[inside].sum() > 0.002 * planes.size and 0 < at < int(inside.sum()) - 1
        peaks[name] = float(centres[inside][at]) if is_peak else float("nan")
    return peaks


def metal(study: CtStudy, thorax: Thorax) -> tuple[float, float]:
    """(mL of the largest connected piece above METAL_HU inside the body, noise in its planes over noise elsewhere)."""
    bright = np.flatnonzero((study.voxels_hu > METAL_HU).ravel(order="F"))
    dense = np.stack(np.unravel_index(bright, study.shape, order="F"), axis=1)
    if not len(dense):
        return 0.0, 1.0
    strides = np.maximum(np.round(np.array(thorax.step_mm) / np.array(study.spacing_mm)), 1).astype(np.int64)
    inner = ndimage.binary_erosion(thorax.body, np.ones((3, 3, 1), bool))
    at = np.minimum(dense // strides, np.array(inner.shape) - 1)
    dense = dense[inner[tuple(at.T)]]
    if not len(dense):
        return 0.0, 1.0
    box = np.zeros(np.ptp(dense, axis=0) + 1, bool)
    box[tuple((dense - dense.min(axis=0)).T)] = True
    labels, _ = ndimage.label(box, np.ones((3, 3, 3), bool))
    largest = int(np.bincount(labels.ravel())[1:].max())
    voxel_ml = abs(float(np.linalg.det(study.affine_mm[:3, :3]))) / 1000
    with_metal = np.unique(dense[:, 2])
    without = np.setdiff1d(np.arange(study.shape[2]), with_metal)
    ratio = noise_hu(study, with_metal[:: max(1, len(with_metal) // 8)]) / noise_hu(
        study, without[:: max(1, len(without) // 8)]
    )
    return largest * voxel_ml, float(ratio)


def blood_hu(thorax: Thorax) -> float:
    """Median HU of heart and great vessels, found as the inner part of what lies between the lungs; NaN if too little.

    Heights 20% to 70% of the lungs; the rim (one lattice step) and whatever is fat or air is left out.
    """
    heart = (thorax.height > 0.2) & (thorax.height < 0.7)
    tissue = thorax.between & (thorax.hu > -50) & (thorax.hu < 1200) & heart[None, None]
    inner = ndimage.binary_erosion(tissue, np.ones((3, 3, 1), bool)) & (thorax.hu > 0)
    return float(np.median(thorax.hu[inner])) if int(inner.sum()) >= 100 else float("nan")


def lung_cuts(thorax: Thorax) -> Mapping[str, float]:
    """Lung on each face of the volume, as a share of the largest lung section parallel to that face."""
    names = (("left", "right"), ("back", "front"), ("bottom", "top"))
    cuts = {}
    for axis, (low, high) in enumerate(names):
        area = thorax.lungs.sum(axis=tuple(other for other in range(3) if other != axis))
        cuts[low], cuts[high] = float(area[0] / area.max()), float(area[-1] / area.max())
    return cuts
