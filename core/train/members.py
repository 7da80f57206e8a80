"""Training of one ensemble on encoded tokens: members, early stopping, calibration. `core.train.fit` composes it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.fuse import TokenBatch, TokenSet, batch_rows, info_nce
from core.fuse.fusions import Contrastive
from core.progress import Progress
from core.survive.likelihood import initial_log_hazards, mixture_nll
from core.survive.model import Member, SurvivalModel

POOL_BATCHES = 4


@dataclass(frozen=True)
class FitConfig:
    """How to train. Sizes and epochs come from a one-seed grid on the synthetic regimes of bench/fusion_regimes.py.

    hidden, heads, token_dropout, pooled: see `FusionConfig`. dropout: of fused features. modality_dropout: share of
    patients whose image or whose record is hidden in a training step (each), so that the "none" tokens are learned.
    thinned_share: of patients who are read with a thinned record in a step, where there are such records.
    least_steps: small cohorts get more epochs (and patience), so that training has at least this many steps.
    averaging: decay of the running average of the weights, which is what is kept; early on it forgets faster.
    """

    members: int = 5
    hidden: int = 32
    heads: int = 2
    head_hidden: int = 32
    pooled: bool = False
    epochs: int = 25
    patience: int = 6
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    dropout: float = 0.2
    token_dropout: float = 0.1
    modality_dropout: float = 0.05
    thinned_share: float = 0.35
    averaging: float = 0.98
    least_steps: int = 250
    contrastive_epochs: int = 15
    contrastive_rate: float = 1e-3
    pieces: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain dict for config.json."""
        return asdict(self)


@dataclass(frozen=True)
class MemberHistory:
    """One member's training: tuning NLL by epoch (index 0 = after the first) and the epoch whose weights were kept."""

    tuning_nll: tuple[float, ...]
    best_epoch: int


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A trained model in evaluation mode on the CPU, what it was trained with, and each member's tuning history."""

    model: SurvivalModel
    config: FitConfig
    seed: int
    histories: tuple[MemberHistory, ...]
    device: str
    notices: tuple[str, ...] = ()


def train_member(
    model: SurvivalModel,
    index: int,
    train: TokenSet,
    tuning: TokenSet,
    config: FitConfig,
    seed: int,
    progress: Progress,
) -> MemberHistory:
    """Train member `index` in place, keeping the averaged weights of the epoch with the lowest tuning NLL.

    train and tuning hold standardised tokens already; only their patients are used, tuning ones never for a gradient.
    """
    member: Member = model.members[index]  # type: ignore[assignment]
    draw = np.random.default_rng([seed, index])
    if isinstance(member.fusion, Contrastive) and config.contrastive_epochs:
        align(member.fusion, train, config, draw)
    optimiser = torch.optim.AdamW(_groups(member, config.weight_decay), lr=config.learning_rate)
    per_epoch = math.ceil(len(train) / config.batch_size)
    epochs = max(config.epochs, math.ceil(config.least_steps / per_epoch))
    patience = max(config.patience, config.patience * epochs // config.epochs)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=epochs * per_epoch, pct_start=0.15
    )
    average = {name: value.detach().clone() for name, value in member.named_parameters()}
    kept, best, history = dict(average), math.inf, list[float]()
    best_epoch = 0
    for epoch in range(epochs):
        _epoch(member, train, config, draw, optimiser, schedule, average, model.reads)
        with _weights(member, average):
            loss = tuning_nll(member, tuning)
        history.append(loss)
        if loss < best:
            best, best_epoch = loss, epoch
            kept = {name: value.clone() for name, value in average.items()}
        progress((epoch + 1) / epochs, f"epoch {epoch + 1}: tuning loss {loss:.4f}")
        if epoch - best_epoch >= patience:
            break
    _load(member, kept)
    return MemberHistory(tuple(history), best_epoch)


def align(fusion: Contrastive, train: TokenSet, config: FitConfig, draw: np.random.Generator) -> None:
    """First step of the contrastive fusion: symmetric InfoNCE over patients that have both modalities."""
    both = np.flatnonzero(np.all([_has(train[name].offsets) for name in fusion.reads], axis=0))
    if len(both) < 2:
        return
    lengths = token_counts(train)
    optimiser = torch.optim.AdamW(fusion.parameters(), lr=config.contrastive_rate, weight_decay=config.weight_decay)
    fusion.train()
    for _ in range(config.contrastive_epochs):
        for rows in batches(both, lengths[both], config.batch_size, draw):
            with _autocast(train.times.device):
                image, ehr = fusion.embeddings(train.batch(rows))
            loss = info_nce(image.float(), ehr.float())
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()


def _epoch(
    member: Member,
    train: TokenSet,
    config: FitConfig,
    draw: np.random.Generator,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    average: dict[str, Tensor],
    reads: tuple[str, ...],
) -> None:
    member.train()
    for rows in batches(np.arange(len(train)), token_counts(train), config.batch_size, draw):
        batch = hide_modalities(train.drawn(rows, config.thinned_share), config.modality_dropout, reads)
        with _autocast(train.times.device):
            features = member.fusion(batch).features
        loss = member.head.loss(features.float(), train.times[rows], train.events[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(member.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        step = schedule.last_epoch
        for name, value in member.named_parameters():
            average[name].lerp_(value.detach(), max(1.0 - config.averaging, 3.0 / (step + 3)))


def batches(
    rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], size: int, draw: np.random.Generator
) -> Iterator[Tensor]:
    """Shuffled mini-batches of about equal size. Within pools of four batches, patients of similar length sit together,
    which halves the padding; batch order is shuffled again."""
    shuffled = draw.permutation(len(rows))
    count = max(1, math.ceil(len(rows) / size))
    pools = np.array_split(shuffled, max(1, math.ceil(count / POOL_BATCHES)))
    ordered = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    parts = np.array_split(rows[ordered], count)
    for index in draw.permutation(count):
        yield torch.from_numpy(parts[index])


def token_counts(data: TokenSet) -> npt.NDArray[np.int64]:
    """Tokens of each patient, all modalities together (n,)."""
    counts = torch.stack([side.offsets.diff() for side in data.tokens.values()]).sum(0)
    return np.asarray(counts.cpu().numpy(), np.int64)


def hide_modalities(batch: TokenBatch, share: float, reads: tuple[str, ...]) -> TokenBatch:
    """Hide each modality of a random `share` of patients of its own; one at most, and only of who has all of them."""
    if not share or len(reads) < 2:
        return batch
    share = min(share, 1.0 / len(reads))
    lot = torch.rand(len(batch), 1, device=batch.device)
    complete = torch.cat([batch[name].mask.any(1, keepdim=True) for name in reads], 1).all(1, keepdim=True)
    for number, name in enumerate(reads):
        drawn = (lot >= number * share) & (lot < (number + 1) * share)
        if number == len(reads) - 1:
            drawn = lot > 1.0 - share
        batch = batch.with_changed(name, mask=batch[name].mask & ~(complete & drawn))
    return batch


@torch.no_grad()
def tuning_nll(member: Member, tuning: TokenSet) -> float:
    """Mean loss of the member on the tuning patients, whole set at once where the loss ranks patients (Cox)."""
    member.eval()
    features = torch.cat([member.fusion(tuning.batch(rows)).features for rows in batch_rows(len(tuning))])
    return float(member.head.loss(features, tuning.times, tuning.events))


@torch.no_grad()
def finish_member(member: Member, train: TokenSet) -> None:
    """Let the head store what it needs from all training patients (the Breslow baseline of a Cox head)."""
    member.eval()
    features = torch.cat([member.fusion(train.batch(rows)).features for rows in batch_rows(len(train))])
    member.head.finish(features, train.times, train.events)


def standardised(model: SurvivalModel, data: TokenSet) -> TokenSet:
    """The set with tokens as the members see them, computed once instead of in every step."""
    for name, standard in model.standard.items():
        data = data.with_changed(name, _standard(standard, data[name].values))
    thinned = {
        name: dataclasses.replace(ragged, values=_standard(model.standard[name], ragged.values))
        for name, ragged in data.thinned.items()
        if name in model.standard
    }
    return dataclasses.replace(data, thinned=thinned)


@torch.no_grad()
def ensemble_log_hazards(model: SurvivalModel, data: TokenSet) -> Tensor:
    """Uncalibrated log-hazards (M, n, K) of every patient of a standardised set."""
    model.eval()
    parts = [torch.stack([member(data.batch(rows))[0] for member in model.members]) for rows in batch_rows(len(data))]
    return torch.cat(parts, 1)


@torch.no_grad()
def fit_embedding(model: SurvivalModel, train: TokenSet) -> None:
    """Principal axes of the training patients' fused features (a standardised set)."""
    model.eval()
    parts = [
        torch.cat([member.fusion(batch).features for member in model.members], 1)  # type: ignore[operator]
        for batch in (train.batch(rows) for rows in batch_rows(len(train)))
    ]
    model.embedding.fit(torch.cat(parts))


def calibrate(model: SurvivalModel, train: TokenSet, tuning: TokenSet, *, ridge: float = 1.0) -> None:
    """Fit offset and slope of the log-hazards on tuning patients by the ensemble's own NLL, shrunk towards (0, 1).

    Small cohorts make networks too sure of themselves; the slope takes that back, the offset keeps the mean risk right.
    `ridge` is the weight of the prior, in events: with few tuning events little is changed.
    """
    model.base.copy_(initial_log_hazards(train.times, train.events, model.edges))
    model.calibration.copy_(fitted_calibration([Uncalibrated.of(model, tuning)], ridge=ridge))


@dataclass(frozen=True, eq=False)
class Uncalibrated:
    """What a model says of patients before its calibration: log-hazards raw (M, n, K), base (K,), edges (K + 1,) days;
    times and events (n,) of these patients."""

    raw: Tensor
    base: Tensor
    edges: Tensor
    times: Tensor
    events: Tensor

    @classmethod
    def of(cls, model: SurvivalModel, data: TokenSet) -> Uncalibrated:
        """Of every patient of a standardised set."""
        parts = ensemble_log_hazards(model, data), model.base, model.edges, data.times, data.events
        return cls(*(part.double() for part in parts))


def fitted_calibration(parts: Sequence[Uncalibrated], *, ridge: float = 1.0) -> Tensor:
    """Offset and slope (2,) that fit the patients of all parts best, shrunk towards (0, 1); (0, 1) if none is found."""
    device = parts[0].raw.device
    free = torch.zeros(2, dtype=torch.float64, device=device, requires_grad=True)
    optimiser = torch.optim.LBFGS([free], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = ridge * ((free[0] / 0.2) ** 2 + (free[1] / 0.2) ** 2) / 2
        for part in parts:
            hazards = part.base + free[0] + free[1].exp() * (part.raw - part.base)
            loss = loss + len(part.times) * mixture_nll(hazards, part.times, part.events, part.edges)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    offset, slope = free.detach()
    if not torch.isfinite(free).all():
        return torch.tensor([0.0, 1.0], device=device)
    return torch.stack([offset.clamp(-1.0, 1.0), slope.exp().clamp(0.3, 1.5)]).float()


def _standard(standardiser: nn.Module, values: Tensor) -> Tensor:
    mask = torch.ones(1, len(values), dtype=torch.bool, device=values.device)
    result: Tensor = standardiser(values[None], mask)[0]
    return result


def _has(offsets: Tensor) -> np.ndarray[Any, Any]:
    return (offsets.diff() > 0).cpu().numpy()


def _groups(member: nn.Module, decay: float) -> list[dict[str, Any]]:
    matrices = [value for value in member.parameters() if value.ndim > 1]
    others = [value for value in member.parameters() if value.ndim <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _autocast(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    if device.type != "cuda":
        return contextlib.nullcontext()
    return torch.autocast("cuda", torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)


def _load(member: nn.Module, weights: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, value in member.named_parameters():
            value.copy_(weights[name])


@contextlib.contextmanager
def _weights(member: nn.Module, weights: dict[str, Tensor]) -> Iterator[None]:
    saved = {name: value.detach().clone() for name, value in member.named_parameters()}
    _load(member, weights)
    try:
        yield
    finally:
        _load(member, saved)
