"""What pretraining asks of the slice encoder: finding maps, areas, measurements, time to event."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy import ndimage
from torch.nn import functional

from core.encode.ct.compact_slices import DENSE_CLASSES
from core.encode.ct.slice_grid import PIXEL_MM
from core.survive.likelihood import initial_log_hazards, piecewise_nll, time_edges

STRIDE = 4
ANATOMY = 4
"""The first classes are anatomy (learned as area share of a cell), the others findings (learned as presence)."""

ARTERY_VALUES = (3, 10)
RARE_VALUES = (8, 9, 10)

_INCLUDES = {0: (1, 5, 6, 8), 1: (2, 9), 2: ARTERY_VALUES, 3: (4,)}
"""Anatomy class -> label values that lie in it."""

_RARE_WEIGHT = 8.0


def cell_counts(labels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Label maps (S, 128, 144) -> pixels of each label value 1 to 10 in each 4 x 4 cell, float32 (S, 10, 32, 36).

    The 16 bytes of a cell are compared at once and added as two machine words; this runs in every training step.
    """
    slices, rows, columns = labels.shape
    cells = labels.reshape(slices, rows // STRIDE, STRIDE, columns // STRIDE, STRIDE).transpose(0, 1, 3, 2, 4)
    cells = np.ascontiguousarray(cells).reshape(-1, STRIDE**2)
    counts = np.empty((slices, len(DENSE_CLASSES), rows // STRIDE, columns // STRIDE), np.float32)
    ones = np.uint64(0x0101010101010101)
    for value in range(1, len(DENSE_CLASSES) + 1):
        words = (cells == value).view(np.uint64)
        counts[:, value - 1] = (((words[:, 0] + words[:, 1]) * ones) >> np.uint64(56)).reshape(counts[:, 0].shape)
    return torch.from_numpy(counts)


def dense_targets(counts: torch.Tensor) -> torch.Tensor:
    """`cell_counts` (S, 10, 32, 36) -> targets of the same shape: share of the cell (anatomy) or presence in it."""
    anatomy = [counts[:, [value - 1 for value in _INCLUDES[index]]].sum(dim=1) / STRIDE**2 for index in range(ANATOMY)]
    return torch.cat([torch.stack(anatomy, dim=1), (counts[:, ANATOMY:] > 0).float()], dim=1)


def area_targets(counts: torch.Tensor) -> torch.Tensor:
    """`cell_counts` (S, 10, 32, 36) -> log1p of the pixels of each label value 1 to 10, float32 (S, 10)."""
    return counts.sum(dim=(2, 3)).log1p()


def calibre_targets(labels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Label maps (S, 128, 144) -> artery calibre of each 4 x 4 cell in cm, float32 (S, 32, 36); 0 outside arteries.

    The diameter of the largest circle about one of the cell's pixels that stays inside the arteries of the slice.
    """
    radius = np.zeros(labels.shape, np.float32)
    for plane, inside in zip(radius, np.isin(labels, ARTERY_VALUES), strict=True):
        boxes = ndimage.find_objects(inside.view(np.uint8))
        if boxes:
            plane[boxes[0]] = ndimage.distance_transform_edt(np.pad(inside[boxes[0]], 1))[1:-1, 1:-1]
    slices, rows, columns = labels.shape
    cells = radius.reshape(slices, rows // STRIDE, STRIDE, columns // STRIDE, STRIDE).max(axis=(2, 4))
    return torch.from_numpy(2 * PIXEL_MM / 10 * cells)


class CalibreLoss:
    """How far an artery calibre map is from its target, cell by cell and at each slice's widest; about 1 for a guess.

    The widest counts on slices whose arteries are wide enough to be the trunk or a main artery.
    """

    _CENTRAL_CM = 1.5

    def __init__(self, targets_cm: torch.Tensor) -> None:
        widest = targets_cm.amax(dim=(1, 2))
        central = widest[widest >= self._CENTRAL_CM]
        self.spread_cm = max(float(central.std()), 0.1) if len(central) > 1 else 0.1
        self.mean_cm = float(targets_cm[targets_cm > 0].mean()) if (targets_cm > 0).any() else 1.0

    def __call__(self, calibre_cm: torch.Tensor, targets_cm: torch.Tensor) -> torch.Tensor:
        miss, inside = (calibre_cm - targets_cm).abs(), targets_cm > 0
        cells = (miss * inside).sum() / inside.sum().clamp_min(1) + (miss * ~inside).sum() / (~inside).sum().clamp_min(
            1
        )
        widest = targets_cm.amax(dim=(1, 2))
        central = widest >= self._CENTRAL_CM
        peak = functional.smooth_l1_loss(calibre_cm.amax(dim=(1, 2)), widest, reduction="none", beta=self.spread_cm)
        return cells / self.mean_cm + (peak * central).sum() / central.sum().clamp_min(1) / self.spread_cm


def slice_areas(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Label maps (S, 128, 144) -> pixels of each label value 0 to 10, (S, 11)."""
    keys = np.asarray(labels, np.int64).reshape(len(labels), -1) + 11 * np.arange(len(labels))[:, None]
    return np.bincount(keys.ravel(), minlength=11 * len(labels)).reshape(len(labels), 11)


def patient_facts(patients: pd.DataFrame) -> pd.DataFrame:
    """Measurements the encoder is asked for, one column each, transformed to be roughly linear in what is seen."""
    effusion = patients["effusion_left_ml"] + patients["effusion_right_ml"]
    zones = [f"interstitial_{zone}" for zone in range(4)]
    facts = {
        "trunk": patients["pulmonary_trunk_diameter_mm"],
        "heart": patients["heart_scale"],
        "clot": patients["clot_burden"] > 0,
        "clot_burden": patients["clot_burden"] ** 0.7,
        "calcium": patients["coronary_calcium"],
        "has_calcium": patients["coronary_calcium"] > 0,
        "effusion": np.log1p(effusion / 150.0),
        "emphysema": patients["emphysema_fraction"],
        "nodule": patients["nodule_diameter_mm"],
        "interstitial": patients[zones].mean(axis=1),
        **{zone: patients[zone] for zone in zones},
    }
    return pd.DataFrame(facts).astype(np.float32)


class Scaler:
    """Zero mean, unit variance per column; constant columns stay 0."""

    def __init__(self, values: torch.Tensor) -> None:
        self.mean = values.mean(dim=0)
        spread = values.std(dim=0)
        self.gain = torch.where(spread > 1e-6, 1.0 / spread.clamp_min(1e-6), torch.zeros_like(spread))

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        return (values - self.mean.to(values)) * self.gain.to(values)


class DenseLoss:
    """Cell-wise cross-entropy; rare findings weigh more, and each class is scaled by the loss of a constant guess."""

    def __init__(self, targets: torch.Tensor) -> None:
        share = targets.mean(dim=(0, 2, 3)).clamp(1e-5, 1 - 1e-5)
        self.present = targets.amax(dim=(0, 2, 3)) > 0
        weight = ((1 - share) / share).sqrt().clamp(1.0, _RARE_WEIGHT)
        weight[:ANATOMY] = 1.0
        guess = weight * share / (weight * share + 1 - share)
        self.weight = weight
        self.constant_loss = -(weight * share * guess.log() + (1 - share) * (1 - guess).log())
        self.bias = torch.logit(guess)

    def per_class(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(10,) loss of each class relative to a constant guess."""
        weight = self.weight.to(logits).view(1, -1, 1, 1)
        loss = functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=weight, reduction="none")
        return loss.mean(dim=(0, 2, 3)) / self.constant_loss.to(logits)

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.per_class(logits, targets)[self.present.to(logits.device)].mean()


class EventTargets:
    """Outcomes of the training patients for the piecewise-constant likelihood."""

    def __init__(self, patients: pd.DataFrame) -> None:
        days, event = (patients[name].to_numpy(np.float32) for name in ("time_to_event_days", "event"))
        self.days, self.event = torch.from_numpy(days), torch.from_numpy(event)
        self.edges = torch.from_numpy(time_edges(days, event, pieces=6)).float()
        self.baseline = initial_log_hazards(self.days, self.event, self.edges)
        self.event_share = max(float(event.mean()), 1e-3)

    def loss(self, rows: torch.Tensor, log_risk: torch.Tensor, baseline: torch.Tensor) -> torch.Tensor:
        """Negative log likelihood of patients `rows`, per event."""
        log_hazards = (self.baseline.to(log_risk) + baseline)[None] + log_risk[:, None]
        days, event = self.days[rows].to(log_risk), self.event[rows].to(log_risk)
        return piecewise_nll(log_hazards, days, event, self.edges.to(log_risk)) / self.event_share
