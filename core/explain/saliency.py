"""Saliency of the risk at one horizon, for a whole study or for one shown slice."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from core.compute.model_lock import MODEL_LOCK
from core.encode.ct.slice_grid import SliceGrid, volume_from_slices
from core.errors import UserFacingError
from core.explain.frozen import explaining
from core.explain.methods import CARDS, METHODS, MethodCard, SliceMaps, SliceQuestion
from core.explain.risk import QUANTITY, RiskReadout
from core.explain.volume import axial_slice, planes_of_slice
from core.progress import Share
from core.records import Attribution, CtStudy, FloatArray

NOT_CONVERGED = 0.05
"""Relative completeness error above which a path method's map is called not converged."""


@dataclass(frozen=True)
class Completeness:
    """How well the sums of a path method's maps match what they explain.

    relative_error: sum |attributed - change of risk| / sum |change of risk| over slices.
    risk_change:    sum |change of risk| over slices, from the method's baseline to the slice; as a share of patients.
    """

    relative_error: float
    risk_change: float


def study_saliency(
    study: CtStudy,
    grid: SliceGrid,
    readout: RiskReadout,
    method: str = "gradcam",
    *,
    seed: int = 0,
    progress: Share | None = None,
) -> Attribution:
    """Saliency on every voxel of `study`, float32 (i, j, k), of the risk at `readout.horizon_days`.

    Costs one forward and backward pass of the encoder for Grad-CAM, as many as steps or samples for the others.
    `progress` is told the share done and may raise to cancel; the model is then as it was.
    Raises UserFacingError for an unknown method.
    """
    card = _card(method)
    planes = range(len(grid.z_mm))
    values, completeness = slice_maps(readout, method, planes, seed=seed, progress=progress)
    volume = volume_from_slices(values, study, grid)
    return Attribution(
        values=volume,
        method=method,
        horizon_days=readout.horizon_days,
        signed=card.signed,
        unit=card.unit,
        parameters={**card.parameters, "seed": seed, "encoder_slices": len(planes), "quantity": QUANTITY},
        convergence_delta=completeness.relative_error if completeness else None,
        risk_change=completeness.risk_change if completeness else None,
    )


def slice_saliency(
    study: CtStudy, grid: SliceGrid, readout: RiskReadout, k: int, method: str = "gradcam", *, seed: int = 0
) -> FloatArray:
    """Axial slice `k` of what `study_saliency` gives, float32 (i, j), from the one or two encoder slices it reads."""
    _card(method)
    planes = planes_of_slice(study, grid, k)
    if not planes:
        return np.zeros(study.shape[:2], np.float32)
    values, _ = slice_maps(readout, method, planes, seed=seed)
    near = replace(grid, z_mm=grid.z_mm[list(planes)], relative=grid.relative[list(planes)])
    return volume_from_slices(values, axial_slice(study, k), near)[:, :, 0]


def slice_maps(
    readout: RiskReadout,
    method: str,
    planes: Sequence[int],
    *,
    seed: int = 0,
    progress: Share | None = None,
) -> tuple[FloatArray, Completeness | None]:
    """Maps on the encoder's own pixels, float32 (len(planes), H, W), and how complete they are (path methods).

    The model is free between the chunks of slices, for whoever else asks something. Raises FloatingPointError where a
    map is not finite.
    """
    card, explain = CARDS[method], METHODS[method]
    parts: list[SliceMaps] = []
    gradients: torch.Tensor | None = None
    for start in range(0, len(planes), card.chunk):
        chosen = list(planes[start : start + card.chunk])
        with MODEL_LOCK, explaining(readout.encoder, readout.model, device=readout.device):
            gradients = readout.token_gradients() if gradients is None else gradients
            with readout.autocast():
                maps = explain(_question(readout, gradients, chosen, seed))
        parts.append(_to_cpu(maps))
        if progress is not None:
            progress((start + len(chosen)) / len(planes))
    values = torch.cat([part.values for part in parts]).numpy()
    if not np.isfinite(values).all():
        raise FloatingPointError("the saliency is not finite")
    return values, _completeness(parts)


def _card(method: str) -> MethodCard:
    if method not in METHODS:
        raise UserFacingError(
            f"There is no explanation method called {method!r}.", "one of " + ", ".join(METHODS), "Choose one of these."
        )
    return CARDS[method]


def _question(readout: RiskReadout, gradients: torch.Tensor, planes: list[int], seed: int) -> SliceQuestion:
    slices = torch.from_numpy(np.asarray(readout.slices_hu[planes], dtype=np.float32)).to(readout.device)
    return SliceQuestion(
        encoder=readout.encoder,
        slices_hu=slices,
        gradients=gradients[planes],
        risk_with=lambda row, tokens: readout.risk_with(planes[row], tokens),
        seeds=tuple(zlib.crc32(f"{seed}/{plane}".encode()) for plane in planes),
    )


def _to_cpu(maps: SliceMaps) -> SliceMaps:
    error = None if maps.error is None else maps.error.cpu()
    change = None if maps.change is None else maps.change.cpu()
    return SliceMaps(maps.values.float().cpu(), error, change)


def _completeness(parts: list[SliceMaps]) -> Completeness | None:
    errors = [part.error for part in parts if part.error is not None]
    changes = [part.change for part in parts if part.change is not None]
    if not errors or not changes:
        return None
    total = float(torch.cat(changes).abs().sum())
    return Completeness(float(torch.cat(errors).abs().sum()) / max(total, 1e-12), total)
