"""The risk at a horizon as a function of one patient's tokens, differentiable."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.fuse.batch import TokenBatch
from core.survive.model import SurvivalModel

QUANTITY = "risk = 1 - S(horizon), S the mean curve of the ensemble"


@dataclass(frozen=True, eq=False)
class RiskReadout:
    """What explanation asks of a model for one patient.

    model:     the survival model; its ensemble's mean curve is the one explained.
    encoder:   CT encoder, (n, H, W) HU -> tokens (n, D).
    batch:     the patient's cached tokens, one row.
    slices_hu: int16 (S, H, W) behind `batch.ct`.
    The caller holds `MODEL_LOCK` and has frozen the weights (`core.explain.frozen.explaining`).
    """

    model: SurvivalModel
    encoder: nn.Module
    batch: TokenBatch
    slices_hu: npt.NDArray[np.int16]
    horizon_days: float
    device: torch.device

    def risk_of(self, batch: TokenBatch) -> Tensor:
        """(B,) risk by the horizon of the patients in `batch`, in float32."""
        return risk_at(self.model, batch, self.horizon_days)

    def token_gradients(self) -> Tensor:
        """(S, D) d risk / d CT token at this patient's tokens: head and fusion only, no encoder."""
        batch = self.batch.to(self.device)
        tokens = batch.ct.detach().clone().requires_grad_(True)
        with torch.enable_grad():
            risk = self.risk_of(replace(batch, ct=tokens)).sum()
            (gradient,) = torch.autograd.grad(risk, tokens)
        return gradient[0]

    def risk_with(self, plane: int, tokens: Tensor) -> Tensor:
        """(p, D) stand-ins for the token of slice `plane` -> risk (p,)."""
        batch = self.batch.to(self.device).rows(torch.zeros(len(tokens), dtype=torch.int64))
        before, after = batch.ct[:, :plane], batch.ct[:, plane + 1 :]
        changed = torch.cat([before, tokens[:, None].to(before.dtype), after], dim=1)
        return self.risk_of(replace(batch, ct=changed))

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision for the encoder on a CUDA device; nothing elsewhere."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")


def risk_at(model: SurvivalModel, batch: TokenBatch, horizon_days: float) -> Tensor:
    """(B,) 1 - S(horizon) of the ensemble's mean curve, float32, differentiable in the tokens."""
    with torch.autocast(batch.ct.device.type, enabled=False):
        return model.risk(batch, horizon_days)
