"""A network trained on few labels alone: what a pretrained one is compared with."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.benchmark.probe_inputs import summary
from core.records import Float64Array
from core.records.interfaces import Encoder

_HELD_BACK = 0.2
_SCORED_AT_ONCE = 32


@dataclass(frozen=True)
class ScratchOptions:
    """AdamW, the Cox likelihood within a batch, best epoch on a fifth of the patients."""

    epochs: int = 25
    batch: int = 50
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    seed: int = 0
    device: str = "cpu"


class _Scorer(nn.Module):
    """Encoder, its tokens summed up, and one linear layer: a log hazard a patient."""

    def __init__(self, encoder: Encoder, inputs: Sequence[Any], device: str) -> None:
        super().__init__()
        self.encoder = encoder.to(device).requires_grad_(True)
        with torch.no_grad():
            width = summary(self.encoder.eval(), inputs[:2]).shape[1]
        self.out = nn.Linear(width, 1).to(device)
        nn.init.zeros_(self.out.weight)

    def forward(self, inputs: Sequence[Any]) -> Tensor:
        score: Tensor = self.out(summary(self.encoder, inputs)).float()[:, 0]
        return score


def train_from_scratch(
    encoder: Encoder,
    inputs: Sequence[Any],
    outcomes: tuple[Float64Array, np.ndarray[Any, np.dtype[np.bool_]]],
    options: ScratchOptions,
) -> Callable[[Sequence[Any]], Float64Array]:
    """Train an untrained encoder with a linear Cox head on these patients; the way from inputs to log hazards.

    outcomes: days and event of each. A fifth of the patients, with events in the same share, chooses the epoch.
    """
    days, events = torch.as_tensor(outcomes[0]), torch.as_tensor(outcomes[1])
    draw = np.random.default_rng(options.seed)
    held = np.concatenate([_some(draw, np.flatnonzero(events.numpy() == value)) for value in (True, False)])
    rest = np.setdiff1d(np.arange(len(inputs)), held)
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        scorer = _Scorer(encoder, inputs, options.device)
        optimiser = torch.optim.AdamW(scorer.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
        best, least = copy.deepcopy(scorer.state_dict()), np.inf
        for _ in range(options.epochs):
            scorer.train()
            order = draw.permutation(rest)
            for rows in np.array_split(order, max(1, round(len(order) / options.batch))):
                loss = _cox(scorer([inputs[row] for row in rows]), days[rows], events[rows])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(scorer.parameters(), 5.0)
                optimiser.step()
            scores = torch.as_tensor(_scores(scorer, [inputs[row] for row in held]))
            cost = float(_cox(scores, days[held], events[held]))
            if cost < least:
                best, least = copy.deepcopy(scorer.state_dict()), cost
    scorer.load_state_dict(best)
    return lambda asked: _scores(scorer, asked)


def _scores(scorer: _Scorer, inputs: Sequence[Any]) -> Float64Array:
    scorer.eval()
    with torch.inference_mode():
        parts = [
            scorer(inputs[at : at + _SCORED_AT_ONCE]).cpu().numpy() for at in range(0, len(inputs), _SCORED_AT_ONCE)
        ]
    return np.concatenate(parts).astype(np.float64)


def _cox(scores: Tensor, days: Tensor, events: Tensor) -> Tensor:
    """Negative log partial likelihood; 0 where a batch has no event or one patient."""
    from torchsurv.loss.cox import neg_partial_log_likelihood

    if len(scores) < 2 or not bool(events.any()):
        return scores.sum() * 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss: Tensor = neg_partial_log_likelihood(scores, events.to(scores.device), days.to(scores.device))
    return loss


def _some(draw: np.random.Generator, rows: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return draw.permutation(rows)[: max(1, round(_HELD_BACK * len(rows)))] if len(rows) > 1 else rows[:0]
