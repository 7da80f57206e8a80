"""The chest on a coarse lattice of about 4 mm: lungs, body, spine, and what lies between the lungs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from core.encode.ct.lungs import find_lungs
from core.quality import anatomy
from core.quality.limits import FILLED_CORNERS
from core.records import CtStudy

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Thorax:
    """hu int16 and lungs bool (I, J, K) on every n-th voxel, axes RAS+; step_mm: lattice spacing along i, j, k."""

    hu: npt.NDArray[np.int16]
    lungs: Bools
    step_mm: tuple[float, float, float]

    def flipped(self, axes: tuple[int, ...]) -> Thorax:
        """The same chest with these lattice axes reversed."""
        return Thorax(np.flip(self.hu, axes), np.flip(self.lungs, axes), self.step_mm)

    @cached_property
    def height(self) -> Floats:
        """(K,) relative height of each plane in the lungs: 0 at their lower, 1 at their upper end."""
        share = np.cumsum(self.lungs.sum((0, 1))) / self.lungs.sum()
        low, high = (
            int(np.searchsorted(share, edge)) for edge in (anatomy.LUNG_EDGE_SHARE, 1 - anatomy.LUNG_EDGE_SHARE)
        )
        return (np.arange(self.lungs.shape[2]) - low) / max(high - low, 1)

    @cached_property
    def range_ij(self) -> Floats:
        """(2, 2) lattice index of the 2nd and 98th percentile of the lungs along i and j."""
        ends = (anatomy.LUNG_RANGE_PERCENT, 100 - anatomy.LUNG_RANGE_PERCENT)
        return np.stack([np.percentile(index, ends) for index in np.nonzero(self.lungs)[:2]], axis=1)

    @cached_property
    def between(self) -> Bools:
        """Lattice points that have lung on both sides along i, within the lungs' height, and are not lung."""
        inside = (self.height >= 0) & (self.height <= 1)
        return np.asarray(_spanned(self.lungs, 0) & ~self.lungs & inside[None, None], bool)

    @cached_property
    def bone(self) -> Bools:
        """Lattice points as dense as bone (contrast may be as dense; ask only where there is none)."""
        return np.asarray((self.hu > anatomy.BONE_HU[0]) & (self.hu < anatomy.BONE_HU[1]), bool)

    @cached_property
    def separation(self) -> Floats:
        """(3,) tissue between lung and lung along i, j, k over the lungs' own volume; largest from right to left."""
        gaps = [(_spanned(self.lungs, axis) & ~self.lungs).sum() for axis in range(3)]
        return np.asarray(np.array(gaps, np.float64) / self.lungs.sum(), np.float64)

    @property
    def lung_height_mm(self) -> float:
        """Craniocaudal extent of the lungs."""
        return float(np.ptp(np.flatnonzero(self.lungs.any((0, 1)))) + 1) * self.step_mm[2]

    @cached_property
    def not_scanned(self) -> Bools:
        """Lattice points of the fill value around a scanned circle: what equals the corners and hangs together with
        them. None where the corners are scanned air."""
        corners = self.hu[[0, 0, -1, -1], [0, -1, 0, -1]]
        fill = np.bincount(corners.ravel().astype(np.int64) + 32768).argmax() - 32768
        if (corners == fill).mean() < FILLED_CORNERS:
            return np.zeros(self.hu.shape, bool)
        labels = ndimage.label(self.hu == fill)[0]
        found = np.setdiff1d(labels[[0, 0, -1, -1], [0, -1, 0, -1]], 0)
        return np.isin(labels, found)

    @cached_property
    def body(self) -> Bools:
        """The patient without couch and clothes: the largest dense component and the lungs, which a thin wall may leave
        open, with holes between their edges filled."""
        patient = self.body_tissue | self.lungs
        return _spanned(patient, 0) & _spanned(patient, 1)

    @cached_property
    def body_tissue(self) -> Bools:
        """The largest dense component, without the air in it."""
        dense = ndimage.binary_opening(self.hu > anatomy.BODY_HU, np.ones((3, 3, 1), bool))
        labels, count = ndimage.label(dense)
        return np.asarray(labels == (np.bincount(labels.ravel())[1:].argmax() + 1 if count else -1), bool)

    def spine_ij(self) -> tuple[float, float]:
        """Lattice (i, j) of the spine: medians of bone in the midline, in the third of the chest at low j."""
        (low_i, low_j), (high_i, high_j) = self.range_ij
        offset = np.abs(np.arange(self.hu.shape[0]) - (low_i + high_i) / 2) * self.step_mm[0]
        behind = np.arange(self.hu.shape[1]) < low_j + anatomy.SPINE_SEARCH_DEPTH * (high_j - low_j)
        inside = (self.height >= 0) & (self.height <= 1)
        near = offset < anatomy.SPINE_SEARCH_MM
        spine = self.bone & near[:, None, None] & behind[None, :, None] & inside[None, None]
        if not spine.any():
            return float((low_i + high_i) / 2), float(low_j)
        return _median_index(spine.sum((1, 2))), _median_index(spine.sum((0, 2)))


def _spanned(mask: Bools, axis: int) -> Bools:
    """Everything between the first and the last point of the mask along an axis."""
    before = np.logical_or.accumulate(mask, axis=axis)
    after = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis=axis), axis)
    return np.asarray(before & after, bool)


def _median_index(weights: npt.NDArray[np.int64]) -> float:
    """Index that halves the weights, the same from either end."""
    share = (np.cumsum(weights) - weights / 2) / weights.sum()
    return float(np.interp(0.5, share, np.arange(len(weights))))


def thorax_of(study: CtStudy) -> Thorax | None:
    """The chest of a study (`without_pockets`), None where no lungs were found."""
    lungs, strides, anchor = find_lungs(study)
    if anchor != "lungs":
        return None
    i, j, k = strides
    x, y, z = study.spacing_mm
    return without_pockets(Thorax(study.voxels_hu[::i, ::j, ::k], lungs, (x * i, y * j, z * k)))


def without_pockets(found: Thorax) -> Thorax | None:
    """The chest with pockets of air outside the body taken from its lungs, None where nothing is left of these."""
    inside = found.lungs & ~_pockets(found)
    return Thorax(found.hu, inside, found.step_mm) if inside.any() else None


def _pockets(thorax: Thorax) -> Bools:
    """What was taken for lung, has no body on both its sides, and is as thin as air: corners beside the patient."""
    body = thorax.body_tissue
    labels, count = ndimage.label(thorax.lungs & ~_spanned(body, 0) & ~_spanned(body, 1))
    if not count:
        return np.zeros(labels.shape, bool)
    medians = ndimage.median(thorax.hu, labels, np.arange(1, count + 1))
    return np.isin(labels, 1 + np.flatnonzero(np.asarray(medians) < anatomy.PLAIN_AIR_HU))
