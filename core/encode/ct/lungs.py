"""Where the lungs of a scan lie, by their density."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from core.records import CtStudy

_SEARCH_MM = 4.0
_LUNG_HU = -400
_OUTSIDE_AIR_HU = -945
_MIN_LUNG_ML = 150.0
_MIN_LUNG_SHARE = 0.08


def _coarse(study: CtStudy) -> tuple[npt.NDArray[np.int16], tuple[int, int, int]]:
    """Every n-th voxel so that voxels are about 4 mm, and the strides."""
    strides = [max(1, round(_SEARCH_MM / spacing)) for spacing in study.spacing_mm]
    i, j, k = strides
    return study.voxels_hu[::i, ::j, ::k], (i, j, k)


def _lung_mask(coarse: npt.NDArray[np.int16], voxel_ml: float) -> npt.NDArray[np.bool_]:
    """Connected air that is not outside air: tissue in it keeps the median of lung above that of plain air."""
    labels, count = ndimage.label(coarse < _LUNG_HU)
    if count == 0:
        return np.zeros(coarse.shape, bool)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * voxel_ml
    candidates = [c for c in np.argsort(sizes[1:])[::-1][:12] + 1 if sizes[c] >= 0.2 * _MIN_LUNG_ML]
    lungs = [c for c in candidates if np.median(coarse[labels == c]) > _OUTSIDE_AIR_HU]
    if not lungs:
        return np.zeros(coarse.shape, bool)
    kept = [c for c in lungs if sizes[c] >= _MIN_LUNG_SHARE * sizes[lungs[0]]]
    return np.isin(labels, kept)


def _parenchyma_mask(coarse: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
    """Lung by its own density, for scans in which the airway joins lung and outside air."""
    inside = ndimage.binary_opening((coarse > -940) & (coarse < -500))
    labels, count = ndimage.label(inside)
    if count == 0:
        return inside
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.isin(labels, np.flatnonzero(sizes >= max(0.3 * sizes.max(), 1)))


def find_lungs(study: CtStudy) -> tuple[npt.NDArray[np.bool_], tuple[int, int, int], str]:
    """Mask of the lungs on every n-th voxel (about 4 mm), the strides, and what was found: lungs, body or volume."""
    coarse, strides = _coarse(study)
    voxel_ml = abs(float(np.linalg.det(study.affine_mm[:3, :3]))) * float(np.prod(strides)) / 1000
    mask = _lung_mask(coarse, voxel_ml)
    if mask.sum() * voxel_ml < _MIN_LUNG_ML:
        mask = _parenchyma_mask(coarse)
    if mask.sum() * voxel_ml >= _MIN_LUNG_ML:
        return mask, strides, "lungs"
    body = coarse > -300
    return (body, strides, "body") if body.any() else (np.zeros(coarse.shape, bool), strides, "volume")
