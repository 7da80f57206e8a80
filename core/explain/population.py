"""Is this case like those the model learned from? In, at the edge, or outside, with the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage
from scipy.spatial import cKDTree

from core.encode.slices import PIXEL_MM, PLANE_STEP_MM, SliceGrid
from core.records import CtStudy

Status = Literal["in", "edge", "outside"]
NEIGHBOURS = 5
EDGE_SHARE, OUTSIDE_SHARE = 0.95, 0.995
"""Shares of training patients whose own neighbours are nearer than the limit of "in" and of "edge"."""

CONTRAST_EXPECTED = {"pe_mortality": True, "mace": False}
THICK_SLICE_MM = 6.0
FEW_SLICES = 20
_BLOOD_HU = (130, 700)
_CONTRAST_ML = 120.0


@dataclass(frozen=True)
class PopulationVerdict:
    """status; share of training patients that lie nearer to their neighbours than this case does; reasons in words."""

    status: Status
    nearer_share: float
    reasons: tuple[str, ...]


def embedding_verdict(embedding: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> PopulationVerdict:
    """Distance of one case (d,) to its nearest training patients (n, d), among the distances that these have.

    Distance: mean Euclidean to the 5 nearest, columns scaled by their training standard deviation; a training patient's
    own distance leaves itself out. Fewer than 20 training patients decide nothing ("in", no reason).
    """
    if len(reference) < 4 * NEIGHBOURS:
        return PopulationVerdict("in", float("nan"), ())
    spread = reference.std(axis=0)
    scale = np.where(spread > 1e-6 * max(float(spread.max()), 1e-12), spread, np.inf)
    tree = cKDTree(reference / scale)
    own = np.asarray(tree.query(reference / scale, NEIGHBOURS + 1)[0])[:, 1:].mean(axis=1)
    distance = float(np.mean(tree.query(embedding / scale, NEIGHBOURS)[0]))
    share = float((own < distance).mean())
    if share < EDGE_SHARE:
        return PopulationVerdict("in", share, ())
    status: Status = "outside" if share >= OUTSIDE_SHARE else "edge"
    words = "its encoding lies farther from its training neighbours than that of "
    return PopulationVerdict(status, share, (words + f"{min(100 * share, 99.9):.3g}% of training patients",))


def reference_embeddings(reference: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Columns embedding_0, embedding_1, ... of a bundle's reference table, float32 (n, d)."""
    names = sorted((c for c in reference.columns if c.startswith("embedding_")), key=lambda c: int(c.split("_")[1]))
    return reference[names].to_numpy(np.float32)


def scan_reasons(
    study: CtStudy, grid: SliceGrid, slices_hu: npt.NDArray[np.int16], task_name: str, virtual_model: bool
) -> tuple[str, ...]:
    """Plain reasons why a scan is unlike the training scans: contrast, field, slices, origin."""
    reasons = []
    if virtual_model and study.origin != "virtual":
        reasons.append("the model has only seen virtual patients, and this scan is not one of them")
    expected = CONTRAST_EXPECTED.get(task_name)
    if expected is not None and grid.anchor == "lungs":
        contrast = has_contrast(slices_hu)
        if expected and not contrast:
            reasons.append("the task expects contrast in heart and great vessels, and none is seen")
        if contrast and not expected:
            reasons.append("the task expects a scan without contrast, and contrast is seen")
    if grid.anchor != "lungs":
        reasons.append("no lungs were found in the field of view")
    elif grid.relative.min() > 0.1 or grid.relative.max() < 0.9:
        reasons.append("the scan does not cover the lungs from base to apex")
    if study.spacing_mm[2] > THICK_SLICE_MM:
        reasons.append(f"slices are {study.spacing_mm[2]:.1f} mm apart")
    if study.shape[2] < FEW_SLICES:
        reasons.append(f"the scan has only {study.shape[2]} slices")
    return tuple(reasons)


def has_contrast(slices_hu: npt.NDArray[np.int16]) -> bool:
    """True where blood is brightened: one connected region of 130 to 700 HU, wider than 10 mm, holds over 120 mL.

    slices_hu: int16 (S, H, W) on the encoder's grid. Bone is thin after the erosion, calcium small.
    """
    bright = (slices_hu > _BLOOD_HU[0]) & (slices_hu < _BLOOD_HU[1])
    labels, count = ndimage.label(ndimage.binary_erosion(bright, np.ones((1, 5, 5), bool)))
    if count == 0:
        return False
    largest = int(np.bincount(labels.ravel())[1:].max())
    return largest * PIXEL_MM**2 * PLANE_STEP_MM / 1000 > _CONTRAST_ML
