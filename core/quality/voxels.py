"""Measures of the picture itself: noise, HU peaks, steps between neighbours, copies, metal, blood, field of view."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from core.quality.limits import CLIPPED_VOXELS, DARK_HU, FILLED_CORNERS, LEAST_NEIGHBOURS, METAL_HU, PADDED_HU
from core.quality.thorax import Thorax
from core.records import CtStudy, FloatArray

# Facts name their source; of what was "chosen", docs/results/quality_constants.md says how verdicts depend on it.
_CELL_MM = 4.0
"""Cells that planes are averaged over: above the width of noise, as fine as the lattice of the lungs; chosen."""
_RANGE_HU = (-1100, 300)
"""Air to soft tissue with contrast, and room for noise: what is denser (bone, metal) would outweigh it; chosen."""
_AIR_HU = -1000
"""By definition; what is below is noise or fill."""
_STEPS_AROUND = 5
"""Steps on either side whose median is the usual one; chosen."""
_SAME_HU, _BETWEEN_HU = 0.3, 1.0
"""Mean differences below which a slice is another's copy, or lies between two up to rounding; scans: above 10 HU."""

_BLOCK_MM = 12.0
"""Side of the blocks that noise is measured in: small enough to lie within one organ; chosen."""
_UNIFORM_HU = (0, 120)
"""Mean of such a block: water is 0 HU by definition, muscle and liver 40 to 70, enhanced liver to 120."""
_NOISE_PERCENT, _NOISE_BLOCKS, _NOISE_PLANES = 10, 10, 16
"""Percentile of the blocks, as most hold an edge; fewest blocks, and planes looked at in a study; chosen."""

_PEAK_RANGES_HU = {"air": (-1100, -700), "fat": (-250, -40), "tissue": (-40, 250)}
"""Where peaks are sought: air -1000, fat -120 to -80, tissue 0 to 120 HU, with room for a wrong scale; chosen."""
_PEAK_SMOOTH_HU = 6.0
"""Width of the Gaussian over the histogram: below the noise of a scan, 10 to 30 HU; chosen."""
_LEAST_SHARE = {"air": 0.02, "fat": 0.002, "tissue": 0.002}
"""Points in a range, of all, below which it has no peak; the windpipe alone makes less than 2%; chosen."""
_NARROW_HU, _NARROW_SHARE = (20, 60), 0.55
"""A peak is narrow where this share of the points within the larger distance lies within the smaller; chosen."""
_CUT_AIR_HU = -900
"""A value of all corners below this may be air cut to a window and counts as scanned; chosen."""

_MANY_VOXELS = 100_000
"""So many voxels at the largest value are the end of the scale without a search for a piece; chosen for speed."""
_STREAK_PLANES = 8
"""Planes whose noise is compared, with and without metal; chosen for speed."""
_BLOOD_HEIGHTS = (0.2, 0.7)
"""Heights in the lungs at which heart and great vessels lie between them; chosen."""
_BLOOD_HU = (-50, 1200)
"""Around the heart lies fat (-120 to -80 HU); contrast as it enters reaches 1,000 HU and more; both chosen."""
_BLOOD_POINTS = 100
"""Fewest lattice points, 6 mL of a lattice of 4 mm; chosen."""


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
        total += np.clip(part, *_RANGE_HU)
    return np.asarray(total / len(offsets), np.float32)


def largest_step(planes: FloatArray) -> tuple[float, int]:
    """Largest change from a plane to the next over the median change of the ten steps around it, and that plane.

    planes: (I, J, slices). About 1 to 1.6 in an intact scan; a missing slice gives about 2. NaN below 8 slices, and
    where they are too small for a cell.
    """
    if planes.shape[2] < LEAST_NEIGHBOURS or not planes.size:
        return float("nan"), 0
    change = np.abs(np.diff(np.maximum(planes, _AIR_HU), axis=2)).mean((0, 1))
    ratios = []
    for k, value in enumerate(change):
        around = np.concatenate([change[max(0, k - _STEPS_AROUND) : k], change[k + 1 : k + 1 + _STEPS_AROUND]])
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
        spread.append(blocks[(mean > _UNIFORM_HU[0]) & (mean < _UNIFORM_HU[1])].std((1, 2)))
    found = np.concatenate(spread)
    return float(np.percentile(found, _NOISE_PERCENT)) if len(found) >= _NOISE_BLOCKS else float("nan")


def hu_peaks(planes: FloatArray) -> Mapping[str, float]:
    """HU of the commonest value of air, fat and soft tissue; NaN where there is no peak, or under 0.2% of the points.

    Air takes 2%, less is the windpipe's, and a narrow peak: that of lung is wide.

    What holds the fill value of the corners was not scanned and does not count, unless it may be air cut to a window.
    """
    fill = _fill_value(planes)
    scanned = planes.ravel() if PADDED_HU < fill < _CUT_AIR_HU else planes[planes != fill]
    centres = np.arange(float(_RANGE_HU[0]), _RANGE_HU[1] + 1)
    counts = np.bincount(np.rint(scanned - _RANGE_HU[0]).astype(np.int16), minlength=len(centres))
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), _PEAK_SMOOTH_HU)
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
    near, around = (int(counts[np.abs(distance_hu) <= reach].sum()) for reach in _NARROW_HU)
    return near > _NARROW_SHARE * around


def _fill_value(planes: FloatArray) -> float:
    """The value that nearly all corners of the planes share exactly; NaN where there is none."""
    corners = planes[[0, 0, -1, -1], [0, -1, 0, -1]] if planes.size else np.empty(0, np.float32)
    values, counts = np.unique(corners, return_counts=True)
    return (
        float(values[counts.argmax()])
        if len(values) and counts.max() >= FILLED_CORNERS * corners.size
        else float("nan")
    )


def metal(study: CtStudy, thorax: Thorax) -> tuple[float, float]:
    """(mL of the largest connected piece above METAL_HU inside the body, noise in its planes over noise elsewhere).

    NaN mL where the values end below METAL_HU, at a value that a piece of the body shares: then none can be told. NaN
    noise where it cannot be measured, or elsewhere is none.
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
    there, elsewhere = (
        noise_hu(study, planes[:: max(1, len(planes) // _STREAK_PLANES)]) for planes in (with_metal, without)
    )
    return largest * voxel_ml, there / elsewhere if elsewhere > 0 else float("nan")


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
    heart = (thorax.height > _BLOOD_HEIGHTS[0]) & (thorax.height < _BLOOD_HEIGHTS[1])
    tissue = thorax.between & (thorax.hu > _BLOOD_HU[0]) & (thorax.hu < _BLOOD_HU[1]) & heart[None, None]
    inner = ndimage.binary_erosion(tissue, np.ones((3, 3, 1), bool)) & (thorax.hu > 0)
    return float(np.median(thorax.hu[inner])) if int(inner.sum()) >= _BLOOD_POINTS else float("nan")


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
