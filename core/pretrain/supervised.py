"""An encoder trained on its patients' own outcomes, then frozen: stage 1 of MedM2T (arXiv 2510.27321)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.pretrain.record_outcomes.train import Outcomes
from core.records.interfaces import Summarises, Trainable
from core.survive.likelihood import initial_log_hazards, piecewise_nll, time_edges


@dataclass(frozen=True)
class SupervisedOptions:
    """patience: epochs without a better tuning loss before it stops, which it never does in the first half, while the
    learning rate rises."""

    epochs: int = 25
    batch: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    dropout: float = 0.1
    patience: int = 6
    least_steps: int = 300
    seed: int = 0
    device: torch.device | str = "cpu"


class _Hazards(nn.Module):
    """A summary to log hazards: the population's, one ratio a patient and a smaller departure in each piece."""

    edges: Tensor

    def __init__(self, width: int, times: Tensor, events: Tensor, dropout: float) -> None:
        super().__init__()
        edges = torch.as_tensor(time_edges(times.numpy(), events.numpy()), dtype=torch.float32)
        self.register_buffer("edges", edges)
        self.base = nn.Parameter(initial_log_hazards(times, events, edges))
        self.drop, self.out = nn.Dropout(dropout), nn.Linear(width, len(edges))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def loss(self, summary: Tensor, times: Tensor, events: Tensor) -> Tensor:
        """Mean negative log likelihood."""
        told = self.out(self.drop(summary))
        return piecewise_nll(self.base + told[:, :1] + 0.3 * told[:, 1:], times, events, self.edges)


def train_supervised(
    encoder: nn.Module,
    inputs: Sequence[Any],
    outcomes: Outcomes,
    tuning: tuple[Sequence[Any], Outcomes] | None,
    options: SupervisedOptions,
) -> None:
    """Train in place on prepared inputs, keep the epoch that is best on tuning patients, freeze, back on the CPU.

    The encoder is `Trainable` and `Summarises`. Patients without any input are left out.
    """
    assert isinstance(encoder, Trainable)
    assert isinstance(encoder, Summarises)
    times = torch.as_tensor(outcomes.times_days, dtype=torch.float32)
    events = torch.as_tensor(outcomes.events, dtype=torch.float32)
    draw = np.random.default_rng(options.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        encoder.to(options.device)
        with torch.no_grad():
            width = _summary(encoder, inputs[:2]).shape[1]
        head = _Hazards(width, times, events, options.dropout).to(options.device)
        both = nn.ModuleDict({"encoder": encoder, "head": head})
        encoder.requires_grad_(True)
        optimiser = torch.optim.AdamW(both.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
        steps = max(1, round(len(inputs) / options.batch))
        epochs = max(options.epochs, -(-options.least_steps // steps)) if options.epochs > 1 else options.epochs
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, options.learning_rate, total_steps=steps * epochs)
        best, least, since = copy.deepcopy(encoder.state_dict()), np.inf, 0
        for epoch in range(epochs):
            both.train()
            for rows in np.array_split(draw.permutation(len(inputs)), steps):
                told = _summary(encoder, [inputs[row] for row in rows.tolist()])
                loss = head.loss(told, times[rows].to(told.device), events[rows].to(told.device))
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(both.parameters(), 1.0)
                optimiser.step()
                schedule.step()
            cost = _tuning_loss(both, encoder, head, tuning) if tuning else -np.inf
            since = 0 if cost < least else since + 1
            if cost <= least or not tuning:
                best, least = copy.deepcopy(encoder.state_dict()), cost
            if tuning and since >= options.patience and 2 * epoch >= epochs:
                break
    encoder.load_state_dict(best)
    encoder.cpu().eval().requires_grad_(False)


def _summary(encoder: Any, inputs: Sequence[Any]) -> Tensor:
    summed: Tensor = encoder.summed(*encoder.embedded(inputs))
    return summed


@torch.no_grad()
def _tuning_loss(both: nn.Module, encoder: nn.Module, head: _Hazards, tuning: tuple[Sequence[Any], Outcomes]) -> float:
    both.eval()
    inputs, outcomes = tuning
    told = torch.cat([_summary(encoder, inputs[start : start + 256]) for start in range(0, len(inputs), 256)])
    times = torch.as_tensor(outcomes.times_days, dtype=torch.float32, device=told.device)
    events = torch.as_tensor(outcomes.events, dtype=torch.float32, device=told.device)
    return float(head.loss(told, times, events))
