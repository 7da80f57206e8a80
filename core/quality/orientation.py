"""Is the scan the way its header says? Judged from anatomy: lungs' tops, spine, the heart's side, couch.

Each score runs from -1 (reversed) to 1 (as the header says) and changes sign when the voxels are flipped along its
axis. The order is up-down, front-back, left-right: each later question is asked after undoing what the earlier found,
so that a volume turned by 180 degrees is told from a mirrored one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from core.quality import anatomy
from core.quality.limits import TURNED, TURNED_LUNGS, TWO_LUNGS
from core.quality.thorax import Thorax

Couch = Literal["behind", "in front", "not seen"]


@dataclass(frozen=True)
class Orientation:
    """Scores in [-1, 1]; up: lungs' tops at high k. front: spine at low j. side: heart and aorta left, liver right.

    couch: where a support outside the body lies, as the voxels are given. lungs_mm: their height. one_lung: whether
    only one was found, and with it no side. turned: which axes are exchanged, in words; "" where none is.
    """

    up: float
    front: float
    side: float
    couch: Couch
    lungs_mm: float
    one_lung: bool
    turned: str


def judge_orientation(thorax: Thorax) -> Orientation:
    """Scores of a chest."""
    up = up_score(thorax)
    upright = thorax.flipped((2,)) if up < 0 else thorax
    front = front_score(upright)
    facing = upright.flipped((1,)) if front < 0 else upright
    one_lung = has_one_lung(thorax)
    turned = "" if one_lung else exchanged_axes(thorax)
    return Orientation(up, front, side_score(facing), _couch(thorax), thorax.lung_height_mm, one_lung, turned)


def has_one_lung(thorax: Thorax) -> bool:
    """Whether no tissue worth the name lies between lung and lung, along no axis as a chest has it."""
    return bool(thorax.separation[0] < TWO_LUNGS and thorax.separation.max() < TURNED_LUNGS)


def exchanged_axes(thorax: Thorax) -> str:
    """Which axes lie exchanged, in words: what lies between two lungs is largest from right to left, then from front to
    back; and only from head to feet does the body go through both faces of the volume."""
    right, front, up = thorax.separation
    if front > TURNED * right and front >= up:
        return "turned by a quarter: one lung lies in front of the other"
    if up > TURNED * right:
        return "turned on its side: one lung lies above the other"
    through = [_through_both_faces(thorax.hu > anatomy.TISSUE_HU, axis) for axis in (1, 2)]
    if up > TURNED * front and through[0] > through[1]:
        return "head and feet lie in front and behind"
    return ""


def _through_both_faces(dense: npt.NDArray[np.bool_], axis: int) -> float:
    """The smaller of the two faces' sections across an axis, over the largest section."""
    area = dense.sum(axis=tuple(other for other in range(3) if other != axis))
    return float(min(area[0], area[-1]) / max(area.max(), 1))


def _mean_of(scores: list[tuple[float, float]]) -> float:
    """Weighted mean of (score, weight), each score first clipped to [-1, 1]."""
    total = sum(weight for _, weight in scores)
    return float(sum(float(np.clip(score, -1, 1)) * weight for score, weight in scores) / total)


def up_score(thorax: Thorax) -> float:
    """The gap between the lungs widens toward the diaphragm; the windpipe runs at the other end."""
    gap, height = thorax.between.sum((0, 1)), thorax.height
    low, high = (height >= 0) & (height < anatomy.GAP_HEIGHT), (height > 1 - anatomy.GAP_HEIGHT) & (height <= 1)
    widening = (gap[low].sum() - gap[high].sum()) / max(gap.sum(), 1)
    upper, lower = height > 1 - anatomy.WINDPIPE_HEIGHT, height < anatomy.WINDPIPE_HEIGHT
    pipe = _windpipe_share(thorax, upper) - _windpipe_share(thorax, lower)
    return _mean_of(
        [
            (widening / anatomy.GAP_SCALE, anatomy.GAP_WEIGHT),
            (pipe / anatomy.WINDPIPE_SCALE, anatomy.WINDPIPE_WEIGHT),
        ]
    )


def _windpipe_share(thorax: Thorax, planes: npt.NDArray[np.bool_]) -> float:
    """Share of planes with a hole of air of a windpipe's area near the midline."""
    x, y, _ = thorax.step_mm
    (low_i, low_j), (high_i, high_j) = thorax.range_ij
    least, most = anatomy.WINDPIPE_MM2
    rows, columns = np.indices(thorax.hu.shape[:2])
    found = 0
    for plane in np.moveaxis(thorax.hu[:, :, planes], 2, 0):
        labels = ndimage.label(plane < anatomy.WINDPIPE_HU)[0].ravel()
        areas = np.bincount(labels)
        i, j = (np.bincount(labels, index.ravel()) / np.maximum(areas, 1) for index in (rows, columns))
        hole = (areas * x * y > least) & (areas * x * y < most) & (j > low_j) & (j < high_j)
        hole &= np.abs(i - (low_i + high_i) / 2) * x < anatomy.WINDPIPE_REACH_MM
        found += bool(hole[1:].any())
    return found / max(int(planes.sum()), 1)


def front_score(thorax: Thorax) -> float:
    """The spine is the dense bone of the midline; behind the diaphragm the lungs reach lower than in front of it."""
    (low_i, low_j), (high_i, high_j) = thorax.range_ij
    aside_mm = np.abs(np.arange(thorax.hu.shape[0]) - (low_i + high_i) / 2) * thorax.step_mm[0]
    inside = (thorax.height >= 0) & (thorax.height <= 1)
    bone = thorax.bone[aside_mm < anatomy.SPINE_REACH_MM][:, :, inside].sum((0, 2))
    rows = (np.arange(len(bone)) - low_j) / max(high_j - low_j, 1)
    behind = float(bone[rows < anatomy.SPINE_DEPTH].sum())
    before = float(bone[rows > 1 - anatomy.SPINE_DEPTH].sum())
    spine = (behind - before) / (behind + before + 1)
    return _mean_of(
        [
            (spine / anatomy.SPINE_SCALE, anatomy.SPINE_WEIGHT),
            (_recess_mm(thorax) / anatomy.RECESS_SCALE_MM, anatomy.RECESS_WEIGHT),
        ]
    )


def _recess_mm(thorax: Thorax) -> float:
    """How far behind the rest of the lungs their base lies."""
    area, height = thorax.lungs.sum(0), thorax.height
    base, top = (height >= 0) & (height < anatomy.RECESS_BASE), _within(height, anatomy.RECESS_TOP)
    return (_mean_row(area[:, top]) - _mean_row(area[:, base])) * thorax.step_mm[1]


def _within(values: npt.NDArray[np.float64], ends: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """Which values lie between two ends, neither included."""
    return np.asarray((values > ends[0]) & (values < ends[1]), bool)


def _mean_row(area: npt.NDArray[np.int64]) -> float:
    """Mean row of lung in planes (J, planes)."""
    return float((area.sum(1) * np.arange(len(area))).sum() / max(area.sum(), 1))


def side_score(thorax: Thorax) -> float:
    """Heart and descending aorta lie left (low i) of the spine; liver fills the right below the diaphragm.

    The liver counts most: a patient turned by 20 degrees, scoliosis, or a shifted mediastinum move the others.
    """
    spine_i, spine_j = thorax.spine_ij()
    right_mm = np.asarray((np.arange(thorax.hu.shape[0]) - spine_i) * thorax.step_mm[0], np.float64)
    front_mm = np.asarray((np.arange(thorax.hu.shape[1]) - spine_j) * thorax.step_mm[1], np.float64)
    return _mean_of(
        [
            (_heart_shift_mm(thorax, right_mm) / anatomy.HEART_SCALE_MM, anatomy.HEART_WEIGHT),
            (_aorta_excess(thorax, right_mm, front_mm) / anatomy.AORTA_SCALE, anatomy.AORTA_WEIGHT),
            (_liver_excess(thorax, right_mm, front_mm) / anatomy.LIVER_SCALE, anatomy.LIVER_WEIGHT),
        ]
    )


def _heart_shift_mm(thorax: Thorax, right_mm: npt.NDArray[np.float64]) -> float:
    """How far left of the spine the tissue between the lungs lies, in the front half at the heart's height."""
    low_j, high_j = thorax.range_ij[:, 1]
    front = np.arange(thorax.hu.shape[1]) > (low_j + high_j) / 2
    planes, near = _within(thorax.height, anatomy.HEART_HEIGHTS), np.abs(right_mm) < anatomy.HEART_REACH_MM
    heart = (thorax.between & (thorax.hu > anatomy.TISSUE_HU))[near][:, front][:, :, planes].sum((1, 2))
    return float(-(heart * right_mm[near]).sum() / max(heart.sum(), 1))


def _aorta_excess(thorax: Thorax, right_mm: npt.NDArray[np.float64], front_mm: npt.NDArray[np.float64]) -> float:
    """Share of tissue left of and in front of the spine, less the share right of it, at mid-height."""
    rows, planes = _within(front_mm, anatomy.AORTA_BEFORE_MM), _within(thorax.height, anatomy.AORTA_HEIGHTS)
    return _left_less_right(thorax.hu > anatomy.TISSUE_HU, right_mm, anatomy.AORTA_ASIDE_MM, rows, planes)


def _liver_excess(thorax: Thorax, right_mm: npt.NDArray[np.float64], front_mm: npt.NDArray[np.float64]) -> float:
    """Solid tissue right less left, plus fat and gas left less right, in front at the diaphragm."""
    rows, aside_mm = front_mm > anatomy.LIVER_BEFORE_MM, anatomy.LIVER_ASIDE_MM
    size = [max(3, round(anatomy.LIVER_LUMP_MM / step) | 1) for step in thorax.step_mm]
    like_liver = (thorax.hu > anatomy.SOLID_HU[0]) & (thorax.hu < anatomy.SOLID_HU[1])
    solid = ndimage.uniform_filter(like_liver.astype(np.float32), size) > anatomy.LIVER_FILLED
    loose = (thorax.hu < anatomy.LOOSE_HU) & ~thorax.lungs
    far, near = _within(thorax.height, anatomy.LIVER_HEIGHTS), _within(thorax.height, anatomy.LOOSE_HEIGHTS)
    right = -_left_less_right(solid, right_mm, aside_mm, rows, far)
    return _left_less_right(loose, right_mm, aside_mm, rows, near) + right


def _left_less_right(
    mask: npt.NDArray[np.bool_],
    right_mm: npt.NDArray[np.float64],
    reach_mm: tuple[float, float],
    rows: npt.NDArray[np.bool_],
    planes: npt.NDArray[np.bool_],
) -> float:
    """Share of a mask in the box left of the spine less its share in the mirrored box."""
    shares = []
    for side in (-right_mm, right_mm):
        box = mask[(side > reach_mm[0]) & (side < reach_mm[1])][:, rows][:, :, planes]
        shares.append(float(box.mean()) if box.size else 0.0)
    return shares[0] - shares[1]


def _couch(thorax: Thorax) -> Couch:
    """Where dense points outside the body lie; a couch is wide, so it makes a good share of the plane's points."""
    body = thorax.body
    patient = ndimage.binary_dilation(body, np.ones((3, 3, 1), bool), iterations=anatomy.CLEARANCE_STEPS)
    outside = (thorax.hu > anatomy.COUCH_HU) & ~patient
    rows = np.flatnonzero(body.any((0, 2)))
    middle = (rows[0] + rows[-1]) // 2 if len(rows) else thorax.hu.shape[1] // 2
    behind, before = int(outside[:, :middle].sum()), int(outside[:, middle:].sum())
    least = anatomy.COUCH_LEAST_SHARE * thorax.hu.shape[0] * thorax.hu.shape[2]
    if max(behind, before) < max(least, anatomy.COUCH_RATIO * min(behind, before)):
        return "not seen"
    return "behind" if behind > before else "in front"
