"""Stage 2 of pretraining: the tokens' projection learns on whole patients, measurements and time to event together.

The convolutions stay as they are, so each training slice is pooled once; what is trained is small and sees all slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from core.encode.ct.compact_slices import CompactSlices
from core.pretrain.ct_findings.cache import SliceCache
from core.pretrain.ct_findings.targets import EventTargets, Scaler, patient_facts


@dataclass(frozen=True)
class RefineSettings:
    """How long and how stage 2 runs."""

    epochs: int = 60
    patients: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    dropout: float = 0.1
    event_weight: float = 0.1
    seed: int = 0


class _PatientHeads(nn.Module):
    """Facts and log hazard from tokens pooled over slices."""

    def __init__(self, token_dim: int, facts: int, pieces: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.facts = nn.Linear(2 * token_dim, facts)
        self.risk = nn.Linear(2 * token_dim, 1)
        self.baseline = nn.Parameter(torch.zeros(pieces))
        nn.init.zeros_(self.risk.weight)
        nn.init.zeros_(self.risk.bias)

    def forward(self, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        kept = self.dropout(pooled)
        return self.facts(kept), self.risk(kept).squeeze(-1).clamp(-6.0, 6.0)


def pool_tokens(tokens: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """(..., S, D) -> (..., 2 D): mean and maximum over slices; `mask` (..., S) is True for real slices."""
    if mask is None:
        return torch.cat([tokens.mean(dim=-2), tokens.amax(dim=-2)], dim=-1)
    real = mask.unsqueeze(-1)
    mean = (tokens * real).sum(dim=-2) / real.sum(dim=-2).clamp_min(1)
    return torch.cat([mean, tokens.masked_fill(~real, -1e4).amax(dim=-2)], dim=-1)


@torch.no_grad()
def _pool_slices(model: CompactSlices, cache: SliceCache, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Pooled features of all slices, padded (P, S, 149), and which are real (P, S)."""
    longest = max(len(volume.slices) for volume in cache.volumes)
    features = torch.zeros(len(cache), longest, model.pooled_dim)
    mask = torch.zeros(len(cache), longest, dtype=torch.bool)
    for row, volume in enumerate(cache.volumes):
        hu = torch.from_numpy(np.array(volume.slices)).to(device)
        pooled = torch.cat([model.pooled_and_maps(part)[0].cpu() for part in torch.split(hu, 32)])
        features[row, : len(pooled)], mask[row, : len(pooled)] = pooled, True
    return features, mask


def refine_projection(model: CompactSlices, cache: SliceCache, settings: RefineSettings, device: str = "cpu") -> None:
    """Train `model.project` in place on whole training patients; the convolutions do not change."""
    if settings.epochs == 0:
        return
    model.eval()
    features, mask = _pool_slices(model, cache, device)
    torch.manual_seed(settings.seed)
    facts = torch.tensor(patient_facts(cache.patients).to_numpy())
    facts, events = Scaler(facts)(facts), EventTargets(cache.patients)
    heads = _PatientHeads(model.width, facts.shape[1], len(events.edges) - 1, settings.dropout).to(device)
    groups = [*model.project.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(groups, settings.learning_rate, weight_decay=settings.weight_decay)
    steps = max(len(cache) // settings.patients, 1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps * settings.epochs)
    generator = torch.Generator().manual_seed(settings.seed)
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(cache), generator=generator).tensor_split(steps):
            tokens = model.tokens_from_pooled(features[rows].to(device))
            known, log_risk = heads(pool_tokens(tokens, mask[rows].to(device)))
            loss = functional.mse_loss(known, facts[rows].to(device))
            loss = loss + settings.event_weight * events.loss(rows, log_risk, heads.baseline)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
