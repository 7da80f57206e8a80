"""The survival model: a small deep ensemble of (fusion + head) over standardised tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.fuse import FUSIONS, FusedState, FusionConfig, TokenBatch
from core.survive.heads import HEADS, Head
from core.survive.likelihood import cumulative_hazard, survival

TOKEN_LIMIT = 10.0
EMBEDDING_AXES = 16


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """What the ensemble says of a batch.

    log_hazards (M, B, K) per day; edges (K + 1,) days; states: each member's `FusedState`, in member order;
    embedding (B, d): all members' fused features on the training patients' principal axes, for neighbours and the gate.
    """

    log_hazards: Tensor
    states: tuple[FusedState, ...]
    edges: Tensor
    embedding: Tensor

    def survival(self, times_days: Tensor) -> Tensor:
        """Mean of the members' S(t): (B, T) at times (T,) days; differentiable."""
        return survival(self.log_hazards, self.edges, times_days).mean(0)

    def risk(self, horizon_days: float) -> Tensor:
        """1 - S(horizon) (B,) of the ensemble; differentiable, so it is what saliency explains."""
        horizon = torch.tensor([horizon_days], dtype=self.edges.dtype, device=self.edges.device)
        return 1.0 - self.survival(horizon)[:, 0]

    def log_cumulative_hazard(self, horizon_days: float) -> Tensor:
        """log(-log S(horizon)) (B,) of the mean curve S, of which `risk` is 1 - S; factors of the hazard add up here.

        By way of 1 - S(t) of each member, which keeps its digits where the risk is small.
        """
        horizon = torch.tensor([horizon_days], dtype=self.edges.dtype, device=self.edges.device)
        risks = -torch.expm1(-cumulative_hazard(self.log_hazards, self.edges, horizon)[..., 0])
        return (-torch.log1p(-risks.mean(0))).log()

    @property
    def weights(self) -> dict[str, Tensor]:
        """Mean over members of the weights per token (B, L), of each modality that is weighed."""
        return {
            name: torch.stack([state.weights[name] for state in self.states]).mean(0) for name in self.states[0].weights
        }

    @property
    def kind(self) -> str:
        """What the weights are, with its caveat."""
        return self.states[0].kind


class Member(nn.Module):
    """One member of the ensemble: a fusion and a head."""

    def __init__(self, fusion: str, head: str, config: FusionConfig, pieces: int, head_options: dict[str, Any]) -> None:
        super().__init__()
        self.fusion = FUSIONS[fusion].build(config)
        self.head: Head = HEADS[head](self.fusion.out_features, pieces, **head_options)

    def forward(self, batch: TokenBatch) -> tuple[Tensor, FusedState]:
        """Log-hazards (B, K) and the fused state."""
        state: FusedState = self.fusion(batch)
        return self.head(state.features), state


class Standardiser(nn.Module):
    """Token columns centred and scaled with training statistics, bounded to +-10 training standard deviations."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.mean: Tensor
        self.scale: Tensor

    def fit(self, values: Tensor) -> None:
        """Statistics of training tokens (n, D); a column that hardly varies is not blown up."""
        if len(values) < 2:
            return
        spread = values.std(0)
        self.mean.copy_(values.mean(0))
        self.scale.copy_(torch.maximum(spread, 0.5 * spread.mean()).clamp(min=1e-6))

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Standardised tokens (B, L, D), 0 on padding; a modality that no patient of the batch has stays empty."""
        if not values.shape[1]:
            return values
        standard = ((values - self.mean) / self.scale).clamp(-TOKEN_LIMIT, TOKEN_LIMIT)
        return standard.masked_fill(~mask[..., None], 0.0)


class Embedding(nn.Module):
    """Fused features (B, M * F) -> (B, d): principal axes of the training patients, at most 16 of them."""

    def __init__(self, features: int, axes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("axes", torch.zeros(axes, features))
        self.mean: Tensor
        self.axes: Tensor

    def fit(self, features: Tensor) -> None:
        """Principal axes of training features (n, F); fewer patients than axes leave the rest 0."""
        centred = features.double() - features.double().mean(0)
        _, _, axes = torch.linalg.svd(centred, full_matrices=False)
        found = min(len(axes), len(self.axes))
        largest = axes[:found].gather(1, axes[:found].abs().argmax(1, keepdim=True))
        self.mean.copy_(features.mean(0))
        self.axes.zero_()
        self.axes[:found].copy_(axes[:found] * largest.sign())

    def forward(self, features: Tensor) -> Tensor:
        """Coordinates (B, d)."""
        return (features.float() - self.mean) @ self.axes.T


class SurvivalModel(nn.Module):
    """Ensemble of M members with shared standardisation, edges and a calibration fitted on tuning patients.

    calibration (2,): offset c and slope s; the handed-on log-hazards are base + c + s (g - base), where base is the
    training population's log-hazard. (0, 1) changes nothing.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        sizes = FusionConfig(**config["sizes"])
        self.standard = nn.ModuleDict({name: Standardiser(width) for name, width in sizes.widths.items()})
        self.members = nn.ModuleList(
            Member(config["fusion"], config["head"], sizes, config["pieces"], config["head_options"])
            for _ in range(config["members"])
        )
        width = sum(member.fusion.out_features for member in self.members)  # type: ignore[union-attr, misc]
        self.embedding = Embedding(width, min(EMBEDDING_AXES, width))
        self.register_buffer("calibration", torch.tensor([0.0, 1.0]))
        self.register_buffer("base", torch.zeros(config["pieces"]))
        self.calibration: Tensor
        self.base: Tensor

    @property
    def edges(self) -> Tensor:
        """Edges of the hazard's pieces (K + 1,), days; the last one is the last supported time."""
        edges: Tensor = self.members[0].head.edges  # type: ignore[union-attr, assignment]
        return edges

    @property
    def last_supported_days(self) -> float:
        """End of the training follow-up that supports a prediction."""
        return float(self.edges[-1])

    @property
    def reads(self) -> tuple[str, ...]:
        """Modalities the fusion reads, such as "image" and "ehr"."""
        return tuple(self.config["sizes"]["widths"])

    def standardise(self, batch: TokenBatch) -> TokenBatch:
        """The batch as the members see it."""
        for name, standard in self.standard.items():
            side = batch[name]
            batch = batch.with_changed(name, values=standard(side.values, side.mask))
        return batch

    def forward(self, batch: TokenBatch) -> ModelOutput:
        """Score every patient of the batch alone: no row depends on another row."""
        standard = self.standardise(batch)
        parts = [member(standard) for member in self.members]
        raw = torch.stack([part[0] for part in parts])
        offset, slope = self.calibration
        calibrated = self.base + offset + slope * (raw - self.base)
        states = tuple(part[1] for part in parts)
        embedding = self.embedding(torch.cat([state.features for state in states], 1))
        return ModelOutput(calibrated, states, self.edges, embedding)

    def risk(self, batch: TokenBatch, horizon_days: float) -> Tensor:
        """Risk (B,) of the event by `horizon_days`; differentiable in the tokens."""
        output: ModelOutput = self(batch)
        return output.risk(horizon_days)


def build_model(config: dict[str, Any]) -> SurvivalModel:
    """A model of the right shapes from its JSON config (weights still random): members, fusion, head, sizes, pieces."""
    return SurvivalModel(config)
