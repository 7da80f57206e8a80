"""Training of the concept encoder: its summary of a record foretells the time to the event, of full and thin records.

Piecewise-constant hazards (`core.survive.likelihood`) with one log-hazard ratio a patient, read linearly off the
summary. Only training patients are learned from; tuning patients choose the epoch, the untrained encoder among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.encode.ehr.compact_sequence import Records
from core.encode.ehr.concepts import ConceptEncoder, ConceptRows
from core.encode.ehr.thinning import ThinnedRecords
from core.survive.likelihood import initial_log_hazards, piecewise_nll, time_edges

_BATCH_SIZE, _LEARNING_RATE, _WEIGHT_DECAY, _DROPOUT = 256, 3e-3, 0.02, 0.1
_LEAST_STEPS = 400
_SHORTENED = 0.15
"""Share of concepts that a training step reads by their category or wider only, as a code that it never saw."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What happened to patients: times (n,) in days to the event or the end of follow-up, > 0; events (n,) bool."""

    times_days: npt.NDArray[np.float64]
    events: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class OutcomeReport:
    """Mean loss after each epoch on tuning records, full and thinned; the first entry is of the untrained encoder."""

    tuning_loss: tuple[float, ...]


def train_on_outcomes(
    encoder: ConceptEncoder,
    records: Records,
    outcomes: Outcomes,
    *,
    tuning: Records | None = None,
    tuning_outcomes: Outcomes | None = None,
    epochs: int = 20,
    copies: int = 2,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> OutcomeReport:
    """Train in place, keep the epoch that is best on tuning records (the last without any), then freeze.

    copies: thinned copies of each record beside the whole one. The encoder comes back on the CPU, gradients off.
    """
    rows, times, events = _with_thinned(encoder, records, outcomes, copies, seed)
    edges = torch.as_tensor(time_edges(outcomes.times_days, outcomes.events), dtype=torch.float32)
    base = initial_log_hazards(times, events, edges)
    checked = None
    if tuning is not None and tuning_outcomes is not None and len(tuning):
        checked = _with_thinned(encoder, tuning, tuning_outcomes, 1, seed + 1)
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = _Head(int(encoder.config["summary"]), base, edges).to(device)
        encoder.to(device).train().requires_grad_(True)
        steps = -(-len(rows) // _BATCH_SIZE)
        epochs = max(epochs, -(-_LEAST_STEPS // steps))
        optimiser = torch.optim.AdamW(
            [*encoder.parameters(), *head.parameters()], lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, total_steps=steps * epochs)
        losses = [_loss(encoder, head, *checked)] if checked else []
        best = _copied(encoder)
        for _ in range(epochs):
            for part in np.array_split(rng.permutation(len(rows)), steps):
                loss = head.loss(_summary(encoder, _shortened(rows.patients(part), rng)), times[part], events[part])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
                optimiser.step()
                schedule.step()
            if checked:
                losses.append(_loss(encoder, head, *checked))
            if not checked or losses[-1] == min(losses):
                best = _copied(encoder)
    encoder.load_state_dict(best)
    encoder.cpu().eval().requires_grad_(False)
    return OutcomeReport(tuple(losses))


class _Head(nn.Module):
    """log-hazard of each piece: the population's, and one ratio a patient."""

    def __init__(self, summary: int, base: Tensor, edges: Tensor) -> None:
        super().__init__()
        self.ratio = nn.Linear(summary, 1)
        self.base = nn.Parameter(base.clone())
        self.register_buffer("edges", edges)
        self.edges: Tensor

    def loss(self, summary: Tensor, times: Tensor, events: Tensor) -> Tensor:
        """Mean negative log likelihood of these patients."""
        log_hazards = self.base + self.ratio(summary)
        return piecewise_nll(log_hazards, times.to(summary.device), events.to(summary.device), self.edges)


def _with_thinned(
    encoder: ConceptEncoder, records: Records, outcomes: Outcomes, copies: int, seed: int
) -> tuple[ConceptRows, Tensor, Tensor]:
    """Rows of the whole records and of `copies` thinned ones of each, with their outcomes repeated."""
    versions: Sequence[Records] = [records, *(ThinnedRecords(records, seed + number) for number in range(copies))]
    rows = encoder.read_all(table for version in versions for table in version.columns())
    times = torch.as_tensor(np.tile(outcomes.times_days, len(versions)), dtype=torch.float32)
    events = torch.as_tensor(np.tile(outcomes.events, len(versions)), dtype=torch.float32)
    return ConceptRows.joined(rows), times, events


def _summary(encoder: ConceptEncoder, rows: ConceptRows) -> Tensor:
    own = nn.functional.dropout(encoder.own(rows), _DROPOUT, encoder.training)
    return encoder.summary(rows, own)


def _shortened(rows: ConceptRows, rng: np.random.Generator) -> ConceptRows:
    """Some concepts by their wider groups only; the last node of each stays."""
    some = rng.random(len(rows.nodes)) < _SHORTENED
    length = (rows.nodes >= 0).sum(1)
    dropped = np.where(some, (rng.random(len(some)) * length).astype(np.int64), 0)
    rows.nodes[np.arange(rows.nodes.shape[1]) < dropped[:, None]] = -1
    return rows


@torch.no_grad()
def _loss(encoder: ConceptEncoder, head: _Head, rows: ConceptRows, times: Tensor, events: Tensor) -> float:
    encoder.eval()
    found = float(head.loss(_summary(encoder, rows), times, events))
    encoder.train()
    return found


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
