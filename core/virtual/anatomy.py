"""The template patient: LIDC-IDRI-0001 (TCIA, CC BY 3.0) taken apart into what virtual patients are built from.

Everything is done once per process at 2 mm, closest-canonical RAS+ axes (i right, j anterior, k superior): the table is
removed, the template's own nodule is inpainted, and the scan is split into an unenhanced part and two enhancement parts
(right and left circulation), so that any contrast timing, or none, is a weighted sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

DEMO_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "demo"
CT_FILE = "lidc0001_2.0mm.nii.gz"
LABELS_FILE = "lidc0001_labels_2.0mm.nii.gz"
VESSELS_FILE = "lidc0001_vessels_2.0mm.nii.gz"

VOXEL_MM = 2.0
AIR_HU = -1000.0
BLOOD_HU = 40.0
TEMPLATE_ARTERY_HU = 326.0
NODULE_CENTRE_MM = (-56.3, -86.2, -115.8)
NODULE_RADIUS_MM = (20.0, 22.0, 16.0)

LOBES_LEFT, LOBES_RIGHT = (10, 11), (12, 13, 14)
HEART, AORTA = 51, 52
LEFT_CIRCULATION = (1, 2, 3, 5, 6, 7, 52, 53, 54, 55, 56, 57, 58, 61)
BONES = (*range(25, 51), *range(69, 79), *range(91, 119))
BREAST_BONES_AND_RIBS = (*range(29, 44), *range(92, 119))

LUNG, HEART_LABEL, ARTERY, AORTA_LABEL = 1, 2, 3, 4
EMPHYSEMA, INTERSTITIAL, EFFUSION, NODULE, CALCIUM, CLOT = 5, 6, 7, 8, 9, 10

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LungVoxels:
    """The lungs as sparse lists, one entry per voxel.

    flat:        flat index into the template volume. ijk: (n, 3) voxel indices.
    side:        0 left, 1 right. depth_mm: distance to the nearest non-lung voxel.
    wall_mm:     distance to the chest wall or diaphragm (the mediastinal face left out).
    height_mm:   fluid order: dependent (posterior, basal, near the wall) first.
    parenchyma:  True where the voxel is air-bearing lung rather than vessel or airway wall.
    apex_to_base: 0 at the apex to 1 at the base.
    rim_*: the same for the shell of voxels just outside the lungs, which fluid must close.
    """

    flat: IntArray
    ijk: IntArray
    side: npt.NDArray[np.uint8]
    depth_mm: Floats
    wall_mm: Floats
    height_mm: Floats
    parenchyma: BoolArray
    apex_to_base: Floats
    rim_flat: IntArray
    rim_side: npt.NDArray[np.uint8]
    rim_height_mm: Floats


@dataclass(frozen=True, eq=False)
class Template:
    """The prepared template; arrays (I, J, K) at 2 mm, RAS+.

    unenhanced, right_enhancement, left_enhancement: float32 HU; CT = unenhanced + r * right + l * left.
    codes: uint8 label codes (1 lung, 2 heart, 3 artery, 4 aorta).
    vessels: uint8 1 lung artery, 2 lung vein, 3 trunk and main arteries, 4 left atrium.
    body: inside the skin. skeleton: bones. labels: the 89 anatomical labels.
    origin_mm: RAS world of voxel (0, 0, 0).
    """

    unenhanced: torch.Tensor
    right_enhancement: torch.Tensor
    left_enhancement: torch.Tensor
    codes: npt.NDArray[np.uint8]
    vessels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    body: BoolArray
    skeleton: BoolArray
    lungs: LungVoxels
    origin_mm: npt.NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        i, j, k = self.codes.shape
        return i, j, k


def _load_ras(name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Array of a demo file in RAS+ order and the RAS world of its first voxel."""
    image = nib.as_closest_canonical(nib.load(DEMO_FOLDER / name))  # type: ignore[no-untyped-call]
    return np.asarray(image.dataobj), np.asarray(image.affine)[:3, 3]


def _largest(mask: BoolArray) -> BoolArray:
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def _body_mask(ct: Floats) -> BoolArray:
    """Inside the skin, without the table: opened threshold, largest part, holes filled plane by plane."""
    solid = ndimage.binary_opening(ct > -350, iterations=2)
    body = ndimage.binary_dilation(_largest(solid), iterations=1) & (ct > -600)
    filled = np.empty_like(body)
    for k in range(body.shape[2]):
        filled[:, :, k] = ndimage.binary_fill_holes(body[:, :, k])
    return ndimage.binary_opening(filled, iterations=1)


def _inpaint_nodule(ct: Floats, lung: BoolArray, origin_mm: npt.NDArray[np.float64]) -> Floats:
    """Replace the template's own nodule by lung from 46 mm further up, blended over its rim."""
    centre = (np.array(NODULE_CENTRE_MM) - origin_mm) / VOXEL_MM
    axes = [np.arange(n, dtype=np.float32) for n in ct.shape]
    radius = np.array(NODULE_RADIUS_MM) / VOXEL_MM
    squared = sum(
        (((axis - c) / r) ** 2).reshape([-1 if d == n else 1 for n in range(3)])
        for d, (axis, c, r) in enumerate(zip(axes, centre, radius, strict=True))
    )
    weight = np.clip((1.3 - np.sqrt(np.asarray(squared))) / 0.3, 0, 1) * ndimage.binary_dilation(lung, iterations=2)
    donor = np.roll(ct, -23, axis=2)
    donor = np.where(donor > -500, -870, donor)
    return np.asarray(ct * (1 - weight) + donor * weight, np.float32)


def _lung_mask(labels: npt.NDArray[np.uint8]) -> tuple[BoolArray, BoolArray]:
    """Closed left and right lungs, vessels and the nodule included."""
    solid = (labels == HEART) | np.isin(labels, BONES) | (labels == AORTA) | (labels == 53) | (labels == 61)
    sides = []
    for lobes in (LOBES_LEFT, LOBES_RIGHT):
        closed = ndimage.binary_closing(np.isin(labels, lobes), iterations=4)
        for k in range(closed.shape[2]):
            closed[:, :, k] = ndimage.binary_fill_holes(closed[:, :, k])
        sides.append(closed & ~solid)
    return sides[0], sides[1] & ~sides[0]


def _smooth_keeping_edges(ct: Floats) -> Floats:
    """Bilateral mean (range 60 HU) over the 6 face neighbours: takes the template's own noise down, leaves edges."""
    total, weights = ct.copy(), np.ones_like(ct)
    for axis in range(3):
        for step in (-1, 1):
            other = np.roll(ct, step, axis=axis)
            weight = np.exp(-(((other - ct) / 60.0) ** 2))
            total += weight * other
            weights += weight
    return np.asarray(total / weights, np.float32)


def _unenhanced(ct: Floats, bone: BoolArray, lobes: BoolArray) -> Floats:
    """The scan as it would look without contrast.

    Vessels in the lung keep their partial volume (linear between lung and blood); elsewhere everything above blood
    saturates at 40 to 50 HU, highest where the enhanced scan says muscle.
    """
    soft = BLOOD_HU + 10 * np.exp(-(((ct - 110) / 55) ** 2)) * np.clip((ct - BLOOD_HU) / 20, 0, 1)
    plain = np.where(ct > BLOOD_HU, soft, ct)
    in_lung = -860 + (ct + 860) * (BLOOD_HU + 860) / (TEMPLATE_ARTERY_HU + 14 + 860)
    plain = np.where(lobes & (ct > -860), np.minimum(in_lung, plain), plain)
    return np.asarray(np.where(bone, ct, plain), np.float32)


def _left_circulation(labels: npt.NDArray[np.uint8], vessels: npt.NDArray[np.uint8]) -> Floats:
    """Soft 0..1 share of the left circulation (left heart, aorta, veins of the lung, organs)."""
    left = np.isin(labels, LEFT_CIRCULATION) | (vessels == 2) | (vessels == 4)
    i, j, k = np.ogrid[: labels.shape[0], : labels.shape[1], : labels.shape[2]]
    behind_septum = ((k < 79) & (i + j < 180)) | ((k >= 79) & ((j < 97) | ((i < 93) & (j < 110))))
    left |= (labels == HEART) & (vessels != 3) & behind_septum
    right = ((labels == HEART) & ~left) | np.isin(labels, (59, 60, 62, 63)) | np.isin(vessels, (1, 3))
    blurred_left = ndimage.gaussian_filter(left.astype(np.float32), 1.5)
    blurred_right = ndimage.gaussian_filter(right.astype(np.float32), 1.5)
    return np.asarray((blurred_left + 0.02) / (blurred_left + blurred_right + 0.04), np.float32)


def _codes(labels: npt.NDArray[np.uint8], vessels: npt.NDArray[np.uint8], lung: BoolArray) -> npt.NDArray[np.uint8]:
    codes = np.zeros(labels.shape, np.uint8)
    codes[lung] = LUNG
    codes[(labels == HEART) & (vessels != 3)] = HEART_LABEL
    codes[(vessels == 1) | (vessels == 3)] = ARTERY
    codes[labels == AORTA] = AORTA_LABEL
    return codes


def _lung_voxels(ct: Floats, left: BoolArray, right: BoolArray, labels: npt.NDArray[np.uint8]) -> LungVoxels:
    lung = left | right
    depth = ndimage.distance_transform_edt(lung) * VOXEL_MM
    middle = np.isin(labels, (HEART, AORTA, 15, 16, 53, 61, 62)) | np.isin(labels, range(29, 46))
    near_middle = ndimage.distance_transform_edt(~middle) * VOXEL_MM
    hull = lung | (near_middle < 16)
    wall = ndimage.gaussian_filter(ndimage.distance_transform_edt(hull).astype(np.float32), 1.5) * VOXEL_MM
    ijk = np.argwhere(lung)
    flat = np.flatnonzero(lung)
    top, bottom = ijk[:, 2].max(), ijk[:, 2].min()
    wall_at = wall.ravel()[flat]
    rim = ndimage.binary_dilation(lung, iterations=1) & ~lung & (ct < 20)
    rim_ijk = np.argwhere(rim)
    right_rim = ndimage.binary_dilation(right, iterations=1)
    return LungVoxels(
        flat=flat,
        ijk=ijk,
        side=right.ravel()[flat].astype(np.uint8),
        depth_mm=depth.ravel()[flat].astype(np.float32),
        wall_mm=wall_at.astype(np.float32),
        height_mm=_fluid_height(ijk, wall_at),
        parenchyma=ct.ravel()[flat] < -700,
        apex_to_base=((top - ijk[:, 2]) / (top - bottom)).astype(np.float32),
        rim_flat=np.flatnonzero(rim),
        rim_side=right_rim[rim].astype(np.uint8),
        rim_height_mm=_fluid_height(rim_ijk, np.zeros(len(rim_ijk))),
    )


def _fluid_height(ijk: IntArray, wall_mm: npt.NDArray[Any]) -> Floats:
    """Order in which free fluid fills the supine chest: posterior first, basal before apical, up along the wall."""
    return np.asarray(VOXEL_MM * (ijk[:, 1] + 0.22 * ijk[:, 2]) + 14 * np.log1p(wall_mm / 6), np.float32)


@lru_cache(maxsize=1)
def load_template() -> Template:
    """The prepared template (about two seconds once per process; read-only afterwards)."""
    ct, origin_mm = _load_ras(CT_FILE)
    labels, vessels = (_load_ras(name)[0].astype(np.uint8) for name in (LABELS_FILE, VESSELS_FILE))
    ct = np.maximum(ct.astype(np.float32), -1024)
    body = _body_mask(ct)
    ct[~body] = np.minimum(ct[~body], AIR_HU)
    left, right = _lung_mask(labels)
    ct = _smooth_keeping_edges(_inpaint_nodule(ct, left | right, origin_mm))
    cardiovascular = np.isin(labels, range(51, 65)) | (vessels > 0)
    bone = np.isin(labels, BONES)
    bone_rim = ndimage.binary_dilation(bone, iterations=2) & ~ndimage.binary_dilation(cardiovascular, iterations=2)
    plain = _unenhanced(ct, bone | bone_rim, np.isin(labels, (*LOBES_LEFT, *LOBES_RIGHT)))
    enhancement, share = ct - plain, _left_circulation(labels, vessels)
    return Template(
        unenhanced=torch.from_numpy(plain),
        right_enhancement=torch.from_numpy(enhancement * (1 - share)),
        left_enhancement=torch.from_numpy(enhancement * share),
        codes=_codes(labels, vessels, left | right),
        vessels=vessels,
        labels=labels,
        body=body,
        skeleton=bone,
        lungs=_lung_voxels(ct, left, right, labels),
        origin_mm=origin_mm,
    )
