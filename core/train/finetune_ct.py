"""Train the CT encoder together with a fitted ensemble, starting from its frozen state."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.fuse import TokenBatch, TokenSet
from core.records import IMAGE
from core.records.interfaces import CtEncoder, SampledScan
from core.survive.model import SurvivalModel

PATIENTS_A_STEP = 4
RATE = 5e-5


@dataclass(frozen=True)
class FineTuned:
    """Tuning NLL before and after each epoch; improved = a later epoch was kept, else everything is as it was."""

    tuning_nll: tuple[float, ...]
    improved: bool


def fine_tune_ct(
    model: SurvivalModel,
    encoder: CtEncoder,
    train: tuple[TokenSet, Sequence[SampledScan | None]],
    tuning: tuple[TokenSet, Sequence[SampledScan | None]],
    *,
    epochs: int = 2,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable[[float, str], None] | None = None,
) -> FineTuned:
    """Train encoder and ensemble in place on what it read of each patient (None without a scan).

    Small steps, four patients each; the state with the lowest tuning NLL is kept, the starting one included. The
    encoder stays in evaluation mode throughout (stored normalisation statistics do not move).
    """
    modules = nn.ModuleDict({"model": model, "encoder": encoder}).to(device)
    modules.requires_grad_(True)
    optimiser = torch.optim.AdamW(modules.parameters(), lr=RATE, weight_decay=0.01)
    draw = np.random.default_rng(seed)
    losses = [_tuning_loss(model, encoder, *tuning)]
    best = copy.deepcopy(modules.state_dict())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for epoch in range(epochs):
            model.train()
            encoder.eval()
            _one_epoch(optimiser, lambda rows: _loss(model, encoder, *train, rows), draw.permutation(len(train[0])))
            losses.append(_tuning_loss(model, encoder, *tuning))
            if losses[-1] == min(losses):
                best = copy.deepcopy(modules.state_dict())
            if progress:
                progress((epoch + 1) / epochs, f"CT encoder, epoch {epoch + 1}: tuning loss {losses[-1]:.4f}")
    modules.load_state_dict(best)
    modules.cpu().eval().requires_grad_(False)
    return FineTuned(tuple(losses), min(losses) < losses[0])


def _one_epoch(
    optimiser: torch.optim.Optimizer, loss_of: Callable[[npt.NDArray[np.int64]], Tensor], order: npt.NDArray[np.int64]
) -> None:
    weights = [value for group in optimiser.param_groups for value in group["params"]]
    for rows in np.array_split(order, max(1, len(order) // PATIENTS_A_STEP)):
        loss = loss_of(rows)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, 5.0)
        optimiser.step()


def _batch(encoder: CtEncoder, data: TokenSet, scans: Sequence[SampledScan | None], rows: Sequence[int]) -> TokenBatch:
    """Tokens of some patients with the image tokens computed from their scans, gradients on."""
    device = next(encoder.parameters()).device
    batch = data.batch(np.asarray(rows)).to(device)
    present = [scans[row] for row in rows]
    whole = [torch.from_numpy(np.array(item.voxels_hu)) for item in present if item is not None]
    if not whole:
        return batch
    tokens = encoder(torch.cat(whole).to(device).float()).flatten(0, -2)
    values = torch.zeros_like(batch[IMAGE].values, dtype=tokens.dtype)
    values[batch[IMAGE].mask] = tokens
    return batch.with_changed(IMAGE, values=values)


def _loss(
    model: SurvivalModel,
    encoder: CtEncoder,
    data: TokenSet,
    scans: Sequence[SampledScan | None],
    rows: npt.NDArray[np.int64],
) -> Tensor:
    batch = model.standardise(_batch(encoder, data, scans, rows.tolist()))
    times, events = data.times[rows].to(batch.device), data.events[rows].to(batch.device)
    losses = [member.head.loss(member.fusion(batch).features, times, events) for member in model.members]  # type: ignore[union-attr, operator]
    return torch.stack(losses).mean()


@torch.no_grad()
def _tuning_loss(
    model: SurvivalModel, encoder: CtEncoder, data: TokenSet, scans: Sequence[SampledScan | None]
) -> float:
    model.eval()
    encoder.eval()
    parts = np.array_split(np.arange(len(data)), max(1, len(data) // 16))
    losses = [float(_loss(model, encoder, data, scans, rows)) * len(rows) for rows in parts]
    return sum(losses) / len(data)
