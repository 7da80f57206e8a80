"""Next-event training of the compact timeline encoder: guess the next code together with its value bin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from core.encode.ehr.compact_sequence import CodedEvents, CompactSequence, Records

_BATCH_SIZE, _LEARNING_RATE = 32, 3e-3


@dataclass(frozen=True)
class NextCodeReport:
    """Mean cross-entropy in nats per event after each epoch, on the training and (where given) tuning records."""

    train_loss: tuple[float, ...]
    tuning_loss: tuple[float, ...]


def next_code_loss(encoder: CompactSequence, coded: Sequence[CodedEvents]) -> torch.Tensor:
    """Mean over events of -log p(next symbol | events so far); a scalar, 0 where no patient has two events."""
    batch = encoder.collate(coded)
    if batch.symbols.shape[1] < 2:
        return torch.zeros((), requires_grad=True)
    logits = encoder.next_symbol(encoder.hidden_states(batch)[:, :-1])
    target = batch.symbols[:, 1:].masked_fill(~batch.mask[:, 1:], -100)
    if not bool(batch.mask[:, 1:].any()):
        return torch.zeros((), requires_grad=True)
    flat = logits.flatten(0, 1).float()
    loss: torch.Tensor = nn.functional.cross_entropy(flat, target.flatten(), ignore_index=-100)
    return loss


def train_next_code(
    encoder: CompactSequence,
    records: Records,
    *,
    tuning: Records | None = None,
    epochs: int = 8,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> NextCodeReport:
    """Train in place, keep the epoch that is best on the tuning records (the last without any), then freeze.

    The encoder comes back on the CPU in evaluation mode with gradients off.
    """
    coded = [item for item in records.coded(encoder) if len(item) > 1]
    checked = [item for item in tuning.coded(encoder) if len(item) > 1] if tuning else []
    encoder.to(device).train().requires_grad_(True)
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=_LEARNING_RATE, weight_decay=0.01)
    steps = max(1, -(-len(coded) // _BATCH_SIZE)) * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, total_steps=steps, pct_start=0.2)
    rng = np.random.default_rng(seed)
    train_loss: list[float] = []
    tuning_loss: list[float] = []
    best = {name: value.detach().clone() for name, value in encoder.state_dict().items()}
    for _ in range(epochs if coded else 0):
        train_loss.append(_one_epoch(encoder, coded, optimiser, schedule, rng))
        if checked:
            tuning_loss.append(_mean_loss(encoder, checked))
        if not checked or tuning_loss[-1] == min(tuning_loss):
            best = {name: value.detach().clone() for name, value in encoder.state_dict().items()}
    encoder.load_state_dict(best)
    encoder.cpu().eval().requires_grad_(False)
    return NextCodeReport(tuple(train_loss), tuple(tuning_loss))


def _one_epoch(
    encoder: CompactSequence,
    coded: Sequence[CodedEvents],
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    rng: np.random.Generator,
) -> float:
    total = 0.0
    order = rng.permutation(len(coded))
    encoder.train()
    for start in range(0, len(order), _BATCH_SIZE):
        rows = order[start : start + _BATCH_SIZE]
        loss = next_code_loss(encoder, [coded[row] for row in rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += float(loss.detach()) * len(rows)
    return total / len(order)


@torch.no_grad()
def _mean_loss(encoder: CompactSequence, coded: Sequence[CodedEvents]) -> float:
    encoder.eval()
    parts = [coded[start : start + _BATCH_SIZE] for start in range(0, len(coded), _BATCH_SIZE)]
    return float(sum(float(next_code_loss(encoder, part)) * len(part) for part in parts) / len(coded))
