"""The head of time-to-event pretraining and its loss: piecewise-exponential likelihood of many sparse tasks.

Most codes never happen to a patient: the time at risk is then the patient's follow-up for every one of them, and only
the few events differ. So neither exposures nor events are ever written out, and the hazards of all tasks are made, used
and dropped a block of tasks at a time; the gradient is ready when the loss is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.pretrain.tte.tasks import FutureEvents
from core.records import Float64Array

BLOCK = 1024
"""Tasks whose hazards exist at a time; chosen: those of a batch stay near the processor."""


@dataclass(frozen=True, eq=False)
class Risks:
    """Time at risk of a batch. exposure (B, P): of tasks that did not happen.

    Of the n pairs of an event and a piece: rows int64 (n,) = patient * P + piece, tasks int64 (n,) ascending, at_risk
    (n,): of that task in that piece, days, happened (n,): 1 in the piece of the event."""

    exposure: Tensor
    rows: Tensor
    tasks: Tensor
    at_risk: Tensor
    happened: Tensor
    task_count: int

    def to(self, device: torch.device | str) -> Risks:
        """The same on a device."""
        tensors = (self.exposure, self.rows, self.tasks, self.at_risk, self.happened)
        exposure, rows, tasks, at_risk, happened = (tensor.to(device) for tensor in tensors)
        return Risks(exposure, rows, tasks, at_risk, happened, self.task_count)


def risks_of(events: FutureEvents, chosen: np.ndarray[Any, np.dtype[np.int64]], edges: Float64Array) -> Risks:
    """Time at risk of these patients, in their order. An event on an edge belongs to the piece that it ends."""
    follow_up = events.follow_up_days[chosen]
    exposure = _time_in_pieces(follow_up, edges)
    first, last = (np.searchsorted(events.patients, chosen, side=side) for side in ("left", "right"))
    lengths = last - first
    places = np.repeat(first - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
    whose, tasks, days = np.repeat(np.arange(len(chosen)), lengths), events.code_ids[places], events.days[places]
    pieces = len(edges) - 1
    at_risk = _time_in_pieces(days, edges)
    piece = np.clip(np.searchsorted(edges, days, side="left") - 1, 0, pieces - 1)
    happened = np.zeros_like(at_risk)
    happened[np.arange(len(days)), piece] = 1.0
    touched = (exposure[whose] > 0) | (happened > 0)
    event, own = np.nonzero(touched)
    order = np.argsort(tasks[event], kind="stable")
    event, own = event[order], own[order]
    return Risks(
        torch.from_numpy(exposure).float(),
        torch.from_numpy(whose[event] * pieces + own),
        torch.from_numpy(tasks[event]),
        torch.from_numpy(at_risk[event, own]).float(),
        torch.from_numpy(happened[event, own]).float(),
        len(events.codes),
    )


def _time_in_pieces(days: Float64Array, edges: Float64Array) -> Float64Array:
    """(n, P): how long of the first `days` lies in each piece."""
    return np.asarray(np.clip(days[:, None] - edges[:-1], 0, np.diff(edges)), np.float64)


class _SparseLoss(torch.autograd.Function):
    """sum of exp(l) u - happened l over patients, pieces and tasks, l = states @ weight + bias, block by block."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor, risks: Risks, block: int) -> Tensor:
        wants = any(ctx.needs_input_grad)
        exposure = risks.exposure.reshape(-1, 1).to(states.dtype)
        of_states = torch.zeros_like(states) if wants else None
        of_weight = torch.empty_like(weight) if wants else None
        of_bias = torch.empty_like(bias) if wants else None
        total = states.new_zeros(())
        starts = range(0, weight.shape[1], block)
        marks = torch.searchsorted(risks.tasks, torch.tensor([*starts, weight.shape[1]], device=risks.tasks.device))
        for number, start in enumerate(starts):
            own = weight[:, start : start + block]
            hazards = torch.addmm(bias[start : start + block], states, own)
            pairs = slice(int(marks[number]), int(marks[number + 1]))
            flat = hazards.view(-1)
            places = risks.rows[pairs] * own.shape[1] + risks.tasks[pairs] - start
            happened = risks.happened[pairs].to(states.dtype)
            total -= (flat[places] * happened).sum()
            hazards.exp_()
            seen = flat[places] * risks.at_risk[pairs].to(states.dtype)
            hazards.mul_(exposure)
            flat[places] = seen
            total += hazards.sum()
            if of_states is not None and of_weight is not None and of_bias is not None:
                flat[places] = seen - happened
                torch.mm(states.T, hazards, out=of_weight[:, start : start + block])
                of_states.addmm_(hazards, own.T)
                torch.sum(hazards, 0, out=of_bias[start : start + block])
        if wants:
            ctx.save_for_backward(of_states, of_weight, of_bias)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        of_states, of_weight, of_bias = ctx.saved_tensors
        return of_states * grads[0], of_weight * grads[0], of_bias * grads[0], None, None


def sparse_nll(states: Tensor, weight: Tensor, bias: Tensor, risks: Risks, *, block: int = BLOCK) -> Tensor:
    """Negative log likelihood a patient and task: states (B * P, r), weight (r, K), bias (K,) -> a number.

    Log hazards a day l = states @ weight + bias. Finite for patients without events and with no time at risk.
    """
    total: Tensor = _SparseLoss.apply(states, weight, bias, risks, block)  # type: ignore[no-untyped-call]
    return total / max(1, len(risks.exposure) * risks.task_count)


class TteHead(nn.Module):
    """Features (B, D) -> log hazards a day, (B, P, K) or a loss: linear D -> P * r, then one r -> K for all pieces."""

    def __init__(self, width: int, pieces: int, inner: int, log_rates: Tensor) -> None:
        super().__init__()
        self.pieces, self.inner = pieces, inner
        self.widen = nn.Linear(width, pieces * inner)
        self.norm = nn.LayerNorm(inner)
        self.weight = nn.Parameter(torch.randn(inner, len(log_rates)) * 0.02 / inner**0.5)
        self.bias = nn.Parameter(log_rates.clone())

    def states(self, features: Tensor) -> Tensor:
        """(B * P, r)."""
        states: Tensor = self.norm(self.widen(features).view(-1, self.inner))
        return states

    def forward(self, features: Tensor) -> Tensor:
        """Log hazards a day (B, P, K)."""
        return (self.states(features) @ self.weight + self.bias).view(len(features), self.pieces, -1)

    def loss(self, features: Tensor, risks: Risks) -> Tensor:
        """`sparse_nll` of the features' hazards."""
        return sparse_nll(self.states(features), self.weight, self.bias, risks)


def log_rates(events: FutureEvents) -> Tensor:
    """(K,): of each task the log of events a day at risk, where the bias starts (without it training collapses)."""
    count = len(events.codes)
    happened = np.bincount(events.code_ids, minlength=count)
    saved = np.bincount(events.code_ids, events.follow_up_days[events.patients] - events.days, minlength=count)
    exposure = np.maximum(events.follow_up_days.sum() - saved, 1.0)
    return torch.from_numpy(np.log(np.maximum(happened, 0.5) / exposure)).float()
