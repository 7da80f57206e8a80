"""Measures of the picture itself: noise, HU peaks, steps between neighbours, copies, metal, blood, field of view."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from core.quality.limits import CLIPPED_VOXELS, DARK_HU, METAL_HU, PADDED_HU
from core.quality.thorax import Thorax
from core.records import CtStudy, FloatArray

_BLOCK_MM = 12.0
_LEAST_SHARE = {"air": 0.02, "fat": 0.002, "tissue": 0.002}
_CUT_AIR_HU = -900
_NARROW_SHARE = 0.55
_NOISE_PLANES = 16
_MANY_VOXELS = 100_000
_CELL_MM = 4.0
_SAME_HU, _BETWEEN_HU = 0.3, 1.0
"""Mean differences below which a slice is another's copy, or lies between two up to rounding; scans: above 10 HU."""
_PEAK_RANGES_HU = {"air": (-1100, -700), "fat": (-250, -40), "tissue": (-40, 250)}


def cell_strides(study: CtStudy) -> tuple[int, int]:
    """Voxels of a cell of about 4 mm along i and j."""
    i, j = (max(1, round(_CELL_MM / step)) for step in study.spacing_mm[:2])
    return i, j


def planes_mm(study: CtStudy) -> FloatArray:
    """Every plane averaged over its cells (`cell_strides`), float32 (I, J, slices), clipped to -1100..300 HU.

    I or J is 0 where the planes are smaller than a cell.
    """
    strides = cell_strides(study)
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


def made_up_slices(study: CtStudy) -> int:
    """How many slices repeat a neighbour or lie exactly between both: copied or interpolated, not scanned.

    Judged on single voxels every 4 mm, where a scanned slice has its own noise; in the body for what lies between.
    """
    i, j = cell_strides(study)
    points = study.voxels_hu[::i, ::j].astype(np.int32)
    made_up = np.zeros(study.shape[2], bool)
    made_up[1:] |= np.abs(np.diff(points, axis=2)).mean((0, 1)) < _SAME_HU
    bend = np.abs(np.diff(points, 2, axis=2))
    body = points[:, :, 1:-1] > DARK_HU
    made_up[1:-1] |= (bend * body).sum((0, 1)) < _BETWEEN_HU * body.sum((0, 1))
    return int(made_up.sum())


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
    """HU of the commonest value of air, fat and soft tissue; NaN where there is no peak, or under 0.2% of the points.

    Air takes 2%, less is the windpipe's, and a narrow peak: that of lung is wide.

    What holds the fill value of the corners was not scanned and does not count, unless it may be air cut to a window.
    """
    fill = _fill_value(planes)
    scanned = planes.ravel() if PADDED_HU < fill < _CUT_AIR_HU else planes[planes != fill]
    counts = np.bincount(np.rint(scanned + 1100).astype(np.int16), minlength=1401)
    centres = np.arange(-1100.0, 301.0)
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 6.0)
    peaks = {}
    for name, (low, high) in _PEAK_RANGES_HU.items():
        inside = (centres > low) & (centres < high)
        at = int(smooth[inside].argmax())
        is_peak = counts[inside].sum() > _LEAST_SHARE[name] * planes.size and 0 < at < int(inside.sum()) - 1
        found = float(centres[inside][at])
        is_peak &= name != "air" or _is_narrow(counts, centres - found)
        peaks[name] = found if is_peak else float("nan")
    return peaks


def _is_narrow(counts: npt.NDArray[np.int64], distance_hu: npt.NDArray[np.float64]) -> bool:
    """Whether most of what lies within 60 HU of a peak lies within 20 HU."""
    near, around = (int(counts[np.abs(distance_hu) <= reach].sum()) for reach in (20, 60))
    return near > _NARROW_SHARE * around


def _fill_value(planes: FloatArray) -> float:
    """The value that nearly all corners of the planes share exactly; NaN where there is none."""
    corners = planes[[0, 0, -1, -1], [0, -1, 0, -1]] if planes.size else np.empty(0, np.float32)
    values, counts = np.unique(corners, return_counts=True)
    return float(values[counts.argmax()]) if len(values) and counts.max() >= 0.9 * corners.size else float("nan")


def metal(study: CtStudy, thorax: Thorax) -> tuple[float, float]:
    """(mL of the largest connected piece above METAL_HU inside the body, noise in its planes over noise elsewhere).

    NaN mL where the values end below METAL_HU, at a value that a piece of the body shares: then none can be told.
    """
    ceiling = int(study.voxels_hu.max())
    if ceiling <= METAL_HU:
        return (float("nan") if _ends_at(study, thorax, ceiling) else 0.0), 1.0
    largest, dense = _largest_piece(study, thorax, METAL_HU)
    if not largest:
        return 0.0, 1.0
    voxel_ml = abs(float(np.linalg.det(study.affine_mm[:3, :3]))) / 1000
    with_metal = np.unique(dense[:, 2])
    without = np.setdiff1d(np.arange(study.shape[2]), with_metal)
    ratio = noise_hu(study, with_metal[:: max(1, len(with_metal) // 8)]) / noise_hu(
        study, without[:: max(1, len(without) // 8)]
    )
    return largest * voxel_ml, float(ratio)


def _ends_at(study: CtStudy, thorax: Thorax, ceiling: int) -> bool:
    """Whether the scale was cut off at its largest value: a piece of the body holds it, not a voxel here and there."""
    count = int(np.count_nonzero(study.voxels_hu == ceiling))
    if not CLIPPED_VOXELS <= count <= _MANY_VOXELS:
        return count > _MANY_VOXELS
    return _largest_piece(study, thorax, ceiling - 1)[0] >= CLIPPED_VOXELS


def _largest_piece(study: CtStudy, thorax: Thorax, above_hu: int) -> tuple[int, npt.NDArray[np.int64]]:
    """(voxels of the largest connected piece above a value inside the body, indices (n, 3) of all such voxels)."""
    bright = np.flatnonzero((study.voxels_hu > above_hu).ravel(order="F"))
    dense = np.stack(np.unravel_index(bright, study.shape, order="F"), axis=1)
    strides = np.maximum(np.round(np.array(thorax.step_mm) / np.array(study.spacing_mm)), 1).astype(np.int64)
    inner = ndimage.binary_erosion(thorax.body, np.ones((3, 3, 1), bool))
    at = np.minimum(dense // strides, np.array(inner.shape) - 1)
    dense = dense[inner[tuple(at.T)]]
    if not len(dense):
        return 0, dense
    box = np.zeros(np.ptp(dense, axis=0) + 1, bool)
    box[tuple((dense - dense.min(axis=0)).T)] = True
    labels, _ = ndimage.label(box, np.ones((3, 3, 3), bool))
    return int(np.bincount(labels.ravel())[1:].max()), dense


def blood_hu(thorax: Thorax) -> float:
    """Median HU of heart and great vessels, found as the inner part of what lies between the lungs; NaN if too little.

    Heights 20% to 70% of the lungs; the rim (one lattice step) and whatever is fat or air is left out.
    """
    heart = (thorax.height > 0.2) & (thorax.height < 0.7)
    tissue = thorax.between & (thorax.hu > -50) & (thorax.hu < 1200) & heart[None, None]
    inner = ndimage.binary_erosion(tissue, np.ones((3, 3, 1), bool)) & (thorax.hu > 0)
    return float(np.median(thorax.hu[inner])) if int(inner.sum()) >= 100 else float("nan")


def lung_cuts(thorax: Thorax) -> Mapping[str, float]:
    """Lung on each face of the volume, as a share of the largest lung section parallel to that face.

    "edge of the scanned circle": lung beside what was not scanned, as a share of the largest section from side to side.
    """
    names = (("left", "right"), ("back", "front"), ("bottom", "top"))
    cuts = {}
    for axis, (low, high) in enumerate(names):
        area = thorax.lungs.sum(axis=tuple(other for other in range(3) if other != axis))
        cuts[low], cuts[high] = float(area[0] / area.max()), float(area[-1] / area.max())
    beside = ndimage.binary_dilation(thorax.not_scanned, np.ones((3, 3, 1), bool))
    section = thorax.lungs.sum((1, 2)).max()
    cuts["edge of the scanned circle"] = float((thorax.lungs & beside).sum() / section)
    return cuts
