"""The risk at a horizon as a function of one patient's tokens, differentiable."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from core.fuse.batch import TokenBatch
from core.records import IMAGE
from core.records.interfaces import CtEncoder, SampledScan
from core.survive.model import ModelOutput, SurvivalModel

QUANTITY = "risk = 1 - S(horizon), S the mean curve of the ensemble"
ON_EVENTS = "log cumulative hazard = log(-log S(horizon)), S the mean curve of the ensemble"
"""The same curve at the same horizon on the scale on which factors of the hazard add up: log(-log(1 - risk))."""


@dataclass(frozen=True, eq=False)
class RiskReadout:
    """What explanation asks of a model for one patient.

    model:     the survival model; its ensemble's mean curve is the one explained.
    encoder:   CT encoder.
    batch:     the patient's cached tokens, one row.
    sampled:   what the encoder read of the scan, behind the image tokens of `batch`.
    The caller holds `MODEL_LOCK` and has frozen the weights (`core.explain.frozen.explaining`).
    """

    model: SurvivalModel
    encoder: CtEncoder
    batch: TokenBatch
    sampled: SampledScan
    horizon_days: float
    device: torch.device

    def risk_of(self, batch: TokenBatch) -> Tensor:
        """(B,) risk by the horizon of the patients in `batch`, in float32."""
        return risk_at(self.model, batch, self.horizon_days)

    def token_gradients(self) -> Tensor:
        """(pieces, t, d) d risk / d CT token at this patient's tokens: head and fusion only, no encoder."""
        batch = self.batch.to(self.device)
        tokens = batch[IMAGE].values.detach().clone().requires_grad_(True)
        with torch.enable_grad():
            risk = self.risk_of(batch.with_changed(IMAGE, values=tokens)).sum()
            (gradient,) = torch.autograd.grad(risk, tokens)
        return torch.as_tensor(gradient[0]).view(len(self.sampled.voxels_hu), -1, gradient.shape[-1])

    def risk_with(self, piece: int, tokens: Tensor) -> Tensor:
        """(p, t, d) stand-ins for the tokens of one piece -> risk (p,)."""
        batch = self.batch.to(self.device).rows(torch.zeros(len(tokens), dtype=torch.int64))
        values, each = batch[IMAGE].values, tokens.shape[1]
        before, after = values[:, : piece * each], values[:, (piece + 1) * each :]
        changed = torch.cat([before, tokens.to(values.dtype), after], dim=1)
        return self.risk_of(batch.with_changed(IMAGE, values=changed))

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision for the encoder on a CUDA device; nothing elsewhere."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")


def risk_at(model: SurvivalModel, batch: TokenBatch, horizon_days: float) -> Tensor:
    """(B,) 1 - S(horizon) of the ensemble's mean curve, float32, differentiable in the tokens."""
    with torch.autocast(batch.device.type, enabled=False):
        return model.risk(batch, horizon_days)


def log_cumulative_hazard_at(model: SurvivalModel, batch: TokenBatch, horizon_days: float) -> Tensor:
    """(B,) log(-log S(horizon)) of the ensemble's mean curve, float32: `risk_at` on the scale of `ON_EVENTS`."""
    with torch.autocast(batch.device.type, enabled=False):
        output: ModelOutput = model(batch)
        return output.log_cumulative_hazard(horizon_days)
