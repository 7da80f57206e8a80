"""The seven fusions of arXiv 2606.15038 over tokens, each also in the paper's literal pooled form.

All share one skeleton: project the tokens of each modality, pool them inside the patient, combine. They differ in
`combine`. With `pooled=True` each modality is first averaged to one token: then every attention has a single key, its
weight is the constant 1 for everybody, and the returned weights are the uniform weights of that average, so labelled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from core.fuse.batch import TokenBatch
from core.fuse.blocks import CrossAttention, Pooling, TokenProjection

ATTENTION_CAVEAT = "Attention shows what the model weighed, not what caused its answer."
POOLED_KIND = "uniform average (pooled mode: attention over a single key is the constant 1)"


@dataclass(frozen=True)
class FusionConfig:
    """Sizes of a fusion. ct_width, ehr_width: columns of the encoders' tokens; 0 where a modality is not read."""

    ct_width: int
    ehr_width: int
    hidden: int = 32
    heads: int = 2
    token_dropout: float = 0.1
    pooled: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain dict for config.json."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class FusedState:
    """What a fusion makes of a batch.

    features (B, F). ct_weights (B, S), ehr_weights (B, E): non-negative, exactly 0 on padding, each row summing to
    1, or to 0 where the patient lacks that modality; None where the fusion does not read it. kind: what the
    weights are.
    """

    features: Tensor
    ct_weights: Tensor | None
    ehr_weights: Tensor | None
    kind: str


class Side(NamedTuple):
    """One modality inside a fusion: tokens (B, L, H) with mask, their summary (B, H), pooling weights (B, L)."""

    hidden: Tensor
    mask: Tensor
    summary: Tensor
    weights: Tensor


Sides = Mapping[str, Side]


class ModalityPath(nn.Module):
    """Projection and pooling of one modality."""

    def __init__(self, width: int, config: FusionConfig, *, count: bool) -> None:
        super().__init__()
        self.project = TokenProjection(width, config.hidden, config.token_dropout)
        self.pool = Pooling(config.hidden, config.heads, count=count and not config.pooled)

    def forward(self, values: Tensor, mask: Tensor, position: Tensor) -> Side:
        """Tokens of one modality to its `Side`."""
        hidden, full_mask = self.project(values, mask, position)
        summary, weights = self.pool(hidden, full_mask)
        return Side(hidden, full_mask, summary, weights)


class Fusion(nn.Module):
    """Base: TokenBatch -> FusedState. Subclasses set `reads`, `kind`, `out_features` and define `combine`."""

    reads: tuple[str, ...] = ("image", "ehr")
    kind = "attention pooling"

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        self.out_features = config.hidden * len(self.reads)
        if "image" in self.reads:
            self.image = ModalityPath(config.ct_width, config, count=False)
        if "ehr" in self.reads:
            self.ehr = ModalityPath(config.ehr_width, config, count=True)

    def combine(self, sides: Sides) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """features (B, F), weights over image tokens (B, S), weights over EHR tokens (B, E)."""
        raise NotImplementedError

    def sides(self, batch: TokenBatch) -> Sides:
        """Projected and pooled modalities, those that this fusion reads, by name."""
        tokens = {
            "image": (batch.ct, batch.ct_mask, batch.ct_position),
            "ehr": (batch.ehr, batch.ehr_mask, batch.ehr_position),
        }
        return {name: getattr(self, name)(*tokens[name]) for name in self.reads}

    def forward(self, batch: TokenBatch) -> FusedState:
        """Fuse a batch; each row depends on that patient's tokens only."""
        if self.config.pooled:
            features, _, _ = self.combine(self.sides(average_tokens(batch)))
            ct_weights = _uniform(batch.ct_mask) if "image" in self.reads else None
            ehr_weights = _uniform(batch.ehr_mask) if "ehr" in self.reads else None
            return FusedState(features, ct_weights, ehr_weights, f"{POOLED_KIND}. {ATTENTION_CAVEAT}")
        features, ct, ehr = self.combine(self.sides(batch))
        return FusedState(
            features,
            None if ct is None else _real(ct, batch.ct_mask),
            None if ehr is None else _real(ehr, batch.ehr_mask),
            f"{self.kind}. {ATTENTION_CAVEAT}",
        )


class ImageOnly(Fusion):
    """h_i alone."""

    reads = ("image",)

    def combine(self, sides: Sides) -> tuple[Tensor, Tensor | None, Tensor | None]:
        image = sides["image"]
        return image.summary, image.weights, None


class EhrOnly(Fusion):
    """h_e alone."""

    reads = ("ehr",)

    def combine(self, sides: Sides) -> tuple[Tensor, Tensor | None, Tensor | None]:
        ehr = sides["ehr"]
        return ehr.summary, None, ehr.weights


class Concat(Fusion):
    """[h_i; h_e]."""

    def combine(self, sides: Sides) -> tuple[Tensor, Tensor | None, Tensor | None]:
        image, ehr = sides["image"], sides["ehr"]
        return torch.cat([image.summary, ehr.summary], 1), image.weights, ehr.weights


class Contrastive(Concat):
    """[p_i; p_e]: both summaries mapped into one shared space, aligned first by `core.fuse.info_nce.info_nce`."""

    kind = "attention pooling of contrastively aligned embeddings"

    def __init__(self, config: FusionConfig) -> None:
        super().__init__(config)
        self.align_image = nn.Linear(config.hidden, config.hidden)
        self.align_ehr = nn.Linear(config.hidden, config.hidden)

    def embeddings(self, batch: TokenBatch) -> tuple[Tensor, Tensor]:
        """p_i (B, H) and p_e (B, H): the pair that the contrastive step aligns."""
        return self._aligned(self.sides(average_tokens(batch) if self.config.pooled else batch))

    def _aligned(self, sides: Sides) -> tuple[Tensor, Tensor]:
        return self.align_image(sides["image"].summary), self.align_ehr(sides["ehr"].summary)

    def combine(self, sides: Sides) -> tuple[Tensor, Tensor | None, Tensor | None]:
        return torch.cat(self._aligned(sides), 1), sides["image"].weights, sides["ehr"].weights


class Cross(Fusion):
    """[h_e; A_e<-i; h_i; A_i<-e], each direction with its own W_Q, W_K, W_V."""

    kind = "cross-attention"

    def __init__(self, config: FusionConfig) -> None:
        super().__init__(config)
        self.out_features = 4 * config.hidden
        self.ehr_reads_image = CrossAttention(config.hidden, config.heads)
        self.image_reads_ehr = CrossAttention(config.hidden, config.heads)

    def combine(self, sides: Sides) -> tuple[Tensor, Tensor | None, Tensor | None]:
        image, ehr = sides["image"], sides["ehr"]
        from_image, ct_weights, _ = self.ehr_reads_image(ehr.summary, ehr.hidden, ehr.mask, image.hidden, image.mask)
        from_ehr, ehr_weights, _ = self.image_reads_ehr(image.summary, image.hidden, image.mask, ehr.hidden, ehr.mask)
        return torch.cat([ehr.summary, from_image, image.summary, from_ehr], 1), ct_weights, ehr_weights


class CoAttention(Fusion):
    """One-way attention: queries from the guide, keys and values from the other modality; fused [h_kv; A].

    Our reading of the paper, whose formula has the EHR as query and [h_i; A] as output: "EHR guide" means the EHR asks
    (Q) and the image answers (K, V); "image guide" swaps them. Over tokens, A is the output of an attention block
    with the usual residual, A = W h_guide + Attn(Q, K, V): without it the guide's own level would reach the head only
    through the weights. With `pooled=True` the formula is taken literally, without the residual.
    The weights over the guide's tokens say which of them asked; those over the other side, what was looked at.
    """

    guide: str = ""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__(config)
        self.attend = CrossAttention(config.hidden, config.heads)
        self.residual = None if config.pooled else nn.Linear(config.hidden, config.hidden)

    def combine(self, sides: Sides) -> tuple[Tensor, Tensor | None, Tensor | None]:
        other = "ehr" if self.guide == "image" else "image"
        asking, answering = sides[self.guide], sides[other]
        attended, key_weights, gate = self.attend(
            asking.summary, asking.hidden, asking.mask, answering.hidden, answering.mask
        )
        if self.residual is not None:
            attended = attended + self.residual(asking.summary)
        features = torch.cat([answering.summary, attended], 1)
        return (features, gate, key_weights) if self.guide == "image" else (features, key_weights, gate)


class ImageGuided(CoAttention):
    """Q from the image, K and V from the EHR: [h_e; A]."""

    guide = "image"
    kind = "co-attention, image guide"


class EhrGuided(CoAttention):
    """Q from the EHR, K and V from the image: [h_i; A]."""

    guide = "ehr"
    kind = "co-attention, EHR guide"


FUSIONS: dict[str, Callable[[FusionConfig], Fusion]] = {
    "image_only": ImageOnly,
    "ehr_only": EhrOnly,
    "concat": Concat,
    "contrastive": Contrastive,
    "cross_attention": Cross,
    "co_attention_image_guided": ImageGuided,
    "co_attention_ehr_guided": EhrGuided,
}


def average_tokens(batch: TokenBatch) -> TokenBatch:
    """Each modality as one token, the mean of the patient's tokens (the paper averages slices over z)."""

    def mean(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        present = mask.any(1, keepdim=True)
        average = (values * mask[..., None]).sum(1, keepdim=True) / mask.sum(1).clamp(min=1)[:, None, None]
        return average, present, torch.zeros_like(present, dtype=values.dtype)

    return TokenBatch(*mean(batch.ct, batch.ct_mask), *mean(batch.ehr, batch.ehr_mask))


def describe_weights(kind: str, tokens: int) -> str:
    """`kind` in words for a block of `tokens` tokens: one token always has weight 1, which explains nothing."""
    return f"{kind} Only one token: its weight is the constant 1 and explains nothing." if tokens == 1 else kind


def _real(weights: Tensor, mask: Tensor) -> Tensor:
    """Weights on real tokens only: what a missing modality's "none" token got is dropped."""
    return weights[:, : mask.shape[1]] * mask


def _uniform(mask: Tensor) -> Tensor:
    return mask / mask.sum(1, keepdim=True).clamp(min=1)
