"""Which inputs a model had of a patient, and its risk with each of them taken away."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from core.fuse import TokenBatch
from core.survive.model import SurvivalModel


@dataclass(frozen=True)
class LedgerRow:
    """One input that the model reads. tokens: how many there were, 0 where the patient lacks it. risk_without: by the
    horizon, with the learned stand-in in its place; None where it was not there."""

    modality: str
    tokens: int
    risk_without: float | None


@torch.no_grad()
def modality_ledger(model: SurvivalModel, batch: TokenBatch, horizon_days: float) -> tuple[LedgerRow, ...]:
    """A row for each modality of the model, in its order, for a batch of one. Whoever calls holds the model's lock."""
    rows = []
    for name in model.reads:
        mask = batch[name].mask
        count = int(mask.sum())
        without = batch.with_changed(name, mask=torch.zeros_like(mask)) if count else None
        risk = None if without is None else float(model.risk(without, horizon_days)[0])
        rows.append(LedgerRow(name, count, risk))
    return tuple(rows)
