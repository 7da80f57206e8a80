"""The seven fusions of arXiv 2606.15038 over tokens, each also in the paper's literal pooled form.

All share one skeleton: project the tokens of each modality, pool them inside the patient, combine. They differ in
`combine`. With `pooled=True` each modality is first averaged to one token: then every attention has a single key, its
weight is the constant 1 for everybody, and the returned weights are the uniform weights of that average, so labelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from core.fuse.batch import Padded, TokenBatch
from core.fuse.blocks import CrossAttention, Pooling, TokenProjection
from core.records.modalities import EHR, FUSED_COLOUR, IMAGE, MODALITIES, SIGNALS

ATTENTION_CAVEAT = "Attention shows what the model weighed, not what caused its answer."
POOLED_KIND = "uniform average (pooled mode: attention over a single key is the constant 1)"


@dataclass(frozen=True)
class FusionConfig:
    """Sizes of a fusion. widths: columns of the tokens of each modality that is read, in the order of fusing.

    axes: 3 for each modality whose tokens lie in space; the others' lie on a line.
    """

    widths: Mapping[str, int]
    axes: Mapping[str, int] = field(default_factory=dict)
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

    features (B, F). weights: of each modality that is read (B, L), non-negative, exactly 0 on padding, each row summing
    to 1, or to 0 where the patient lacks that modality. kind: what the weights are.
    """

    features: Tensor
    weights: Mapping[str, Tensor]
    kind: str


class Side(NamedTuple):
    """One modality inside a fusion: tokens (B, L, H) with mask, their summary (B, H), pooling weights (B, L)."""

    hidden: Tensor
    mask: Tensor
    summary: Tensor
    weights: Tensor


Sides = Mapping[str, Side]
Combined = tuple[Tensor, Mapping[str, Tensor]]
"""features (B, F), and the weights over each modality's tokens (B, L), none tokens included."""


class ModalityPath(nn.Module):
    """Projection and pooling of one modality."""

    def __init__(self, name: str, config: FusionConfig) -> None:
        super().__init__()
        axes, counted = config.axes.get(name, 1), MODALITIES[name].counted
        self.project = TokenProjection(config.widths[name], config.hidden, config.token_dropout, axes)
        self.pool = Pooling(config.hidden, config.heads, count=counted and not config.pooled)

    def forward(self, tokens: Padded) -> Side:
        """Tokens of one modality to its `Side`."""
        hidden, full_mask = self.project(*tokens)
        summary, weights = self.pool(hidden, full_mask)
        return Side(hidden, full_mask, summary, weights)


class Fusion(nn.Module):
    """Base: TokenBatch -> FusedState. Subclasses set `kind` and `out_features` and define `combine`."""

    kind = "attention pooling"

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        self.reads = tuple(config.widths)
        self.out_features = config.hidden * len(self.reads)
        self.paths = nn.ModuleDict({name: ModalityPath(name, config) for name in self.reads})

    def combine(self, sides: Sides) -> Combined:
        """Features, and the weights over the tokens of each modality."""
        raise NotImplementedError

    def sides(self, batch: TokenBatch) -> Sides:
        """Projected and pooled modalities, those that this fusion reads, by name."""
        return {name: path(batch[name]) for name, path in self.paths.items()}

    def forward(self, batch: TokenBatch) -> FusedState:
        """Fuse a batch; each row depends on that patient's tokens only."""
        if self.config.pooled:
            features, _ = self.combine(self.sides(average_tokens(batch, self.reads)))
            even = {name: _uniform(batch[name].mask) for name in self.reads}
            return FusedState(features, even, f"{POOLED_KIND}. {ATTENTION_CAVEAT}")
        features, weights = self.combine(self.sides(batch))
        real = {name: _real(each, batch[name].mask) for name, each in weights.items()}
        return FusedState(features, real, f"{self.kind}. {ATTENTION_CAVEAT}")


class Concat(Fusion):
    """[h_1; h_2; ...], of any number of modalities; of one, h alone."""

    def combine(self, sides: Sides) -> Combined:
        return torch.cat([side.summary for side in sides.values()], 1), _pooling_weights(sides)


class Contrastive(Fusion):
    """[p_i; p_e]: both summaries mapped into one shared space, aligned first by `core.fuse.info_nce.info_nce`."""

    kind = "attention pooling of contrastively aligned embeddings"

    def __init__(self, config: FusionConfig) -> None:
        super().__init__(config)
        self.align = nn.ModuleDict({name: nn.Linear(config.hidden, config.hidden) for name in self.reads})

    def embeddings(self, batch: TokenBatch) -> tuple[Tensor, Tensor]:
        """p_i (B, H) and p_e (B, H): the pair that the contrastive step aligns."""
        sides = self.sides(average_tokens(batch, self.reads) if self.config.pooled else batch)
        first, second = self._aligned(sides)
        return first, second

    def _aligned(self, sides: Sides) -> list[Tensor]:
        return [align(sides[name].summary) for name, align in self.align.items()]

    def combine(self, sides: Sides) -> Combined:
        return torch.cat(self._aligned(sides), 1), _pooling_weights(sides)


class Cross(Fusion):
    """[h_e; A_e<-i; h_i; A_i<-e], each direction with its own W_Q, W_K, W_V."""

    kind = "cross-attention"

    def __init__(self, config: FusionConfig) -> None:
        super().__init__(config)
        self.out_features = 4 * config.hidden
        self.ehr_reads_image = CrossAttention(config.hidden, config.heads)
        self.image_reads_ehr = CrossAttention(config.hidden, config.heads)

    def combine(self, sides: Sides) -> Combined:
        image, ehr = sides[IMAGE], sides[EHR]
        from_image, on_image, _ = self.ehr_reads_image(ehr.summary, ehr.hidden, ehr.mask, image.hidden, image.mask)
        from_ehr, on_ehr, _ = self.image_reads_ehr(image.summary, image.hidden, image.mask, ehr.hidden, ehr.mask)
        features = torch.cat([ehr.summary, from_image, image.summary, from_ehr], 1)
        return features, {IMAGE: on_image, EHR: on_ehr}


class CoAttention(Fusion):
    """One-way attention: queries from the guide, keys and values from the other modality; fused [h_kv; A].

    Our reading of the paper, whose formula has the EHR as query and [h_i; A] as output: "EHR guide" means the EHR asks
    (Q) and the image answers (K, V); "image guide" swaps them. Over tokens, A is the output of an attention block
    with the usual residual, A = W h_guide + Attn(Q, K, V): without it the guide's own level would reach the head only
    through the weights. With `pooled=True` the formula is taken literally, without the residual.
    The weights over the guide's tokens say which of them asked; those over the other side, what was looked at.
    """

    guide: str = ""
    answers: str = ""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__(config)
        self.attend = CrossAttention(config.hidden, config.heads)
        self.residual = None if config.pooled else nn.Linear(config.hidden, config.hidden)

    def combine(self, sides: Sides) -> Combined:
        asking, answering = sides[self.guide], sides[self.answers]
        attended, key_weights, gate = self.attend(
            asking.summary, asking.hidden, asking.mask, answering.hidden, answering.mask
        )
        if self.residual is not None:
            attended = attended + self.residual(asking.summary)
        return torch.cat([answering.summary, attended], 1), {self.guide: gate, self.answers: key_weights}


class ImageGuided(CoAttention):
    """Q from the image, K and V from the EHR: [h_e; A]."""

    guide, answers = IMAGE, EHR
    kind = "co-attention, image guide"


class EhrGuided(CoAttention):
    """Q from the EHR, K and V from the image: [h_i; A]."""

    guide, answers = EHR, IMAGE
    kind = "co-attention, EHR guide"


class Bimodal(Fusion):
    """Every pair of modalities looks at each other over tokens (MedM2T, arXiv 2510.27321), for any number of them.

    [h_1; ...; h_M; pairs], a pair being a linear map of both directions side by side, so that both branches are live.
    The weights over a modality's tokens are the mean of what the others looked at.
    """

    kind = "cross-attention of every pair"

    def __init__(self, config: FusionConfig) -> None:
        super().__init__(config)
        self.pairs = tuple(combinations(self.reads, 2))
        ways = [way for pair in self.pairs for way in (pair, pair[::-1])]
        self.attend = nn.ModuleDict(
            {f"{asks}_reads_{answers}": CrossAttention(config.hidden, config.heads) for asks, answers in ways}
        )
        self.join = nn.ModuleDict(
            {"_and_".join(pair): nn.Linear(2 * config.hidden, config.hidden) for pair in self.pairs}
        )
        self.out_features = config.hidden * (len(self.reads) + len(self.pairs))

    def combine(self, sides: Sides) -> Combined:
        features = [side.summary for side in sides.values()]
        seen: dict[str, list[Tensor]] = {name: [] for name in sides}
        for one, other in self.pairs:
            told = []
            for asks, answers in ((one, other), (other, one)):
                asking, answering = sides[asks], sides[answers]
                attended, weights, _ = self.attend[f"{asks}_reads_{answers}"](
                    asking.summary, asking.hidden, asking.mask, answering.hidden, answering.mask
                )
                told.append(attended)
                seen[answers].append(weights)
            features.append(self.join[f"{one}_and_{other}"](torch.cat(told, 1)))
        weights_of = {name: torch.stack(own).mean(0) if own else sides[name].weights for name, own in seen.items()}
        return torch.cat(features, 1), weights_of


@dataclass(frozen=True)
class FusionCard:
    """A fusion as everything outside this folder knows it.

    title, line: what it is called, and how it puts its inputs together. reads: modalities, in the order in which they
    are fused. colour: of its curves.
    """

    title: str
    build: Callable[[FusionConfig], Fusion]
    reads: tuple[str, ...]
    colour: str
    line: str

    @property
    def single(self) -> bool:
        """Whether it reads one modality alone."""
        return len(self.reads) == 1


def _single(name: str, title: str, line: str) -> FusionCard:
    return FusionCard(title, Concat, (name,), MODALITIES[name].colour, line)


def _both(title: str, build: Callable[[FusionConfig], Fusion], line: str) -> FusionCard:
    return FusionCard(title, build, (IMAGE, EHR), FUSED_COLOUR, line)


FUSIONS: dict[str, FusionCard] = {
    "cross_attention": _both("Cross-attention", Cross, "CT and record each look at the other for what matters."),
    "co_attention_ehr_guided": _both(
        "Co-attention, EHR guide", EhrGuided, "the record decides where to look in the CT."
    ),
    "co_attention_image_guided": _both(
        "Co-attention, image guide", ImageGuided, "the CT decides where to look in the record."
    ),
    "contrastive": _both(
        "Contrastive", Contrastive, "CT and record were first taught to agree about a patient, then put side by side."
    ),
    "concat": _both("Concatenation", Concat, "summaries of CT and record side by side."),
    "bimodal": FusionCard(
        "Every pair",
        Bimodal,
        (IMAGE, EHR, SIGNALS),
        FUSED_COLOUR,
        "CT, record and ECG each look at each of the others for what matters.",
    ),
    "image_only": _single(IMAGE, "CT only", "the record is not read."),
    "ehr_only": _single(EHR, "Record only", "the CT is not read, so there is no saliency."),
}
"""Name -> card, in the order in which they are offered."""


def reads_of(fusion: str) -> tuple[str, ...]:
    """Modalities that a fusion reads; every one where this version does not have it."""
    return FUSIONS[fusion].reads if fusion in FUSIONS else tuple(MODALITIES)


def average_tokens(batch: TokenBatch, names: Iterable[str]) -> TokenBatch:
    """Each modality as one token, the mean of the patient's tokens (the paper averages slices over z)."""

    def mean(tokens: Padded) -> Padded:
        values, mask, position = tokens
        if not mask.shape[1]:
            return tokens
        present = mask.any(1, keepdim=True)
        average = (values * mask[..., None]).sum(1, keepdim=True) / mask.sum(1).clamp(min=1)[:, None, None]
        return Padded(average, present, values.new_zeros(len(values), 1, *position.shape[2:]))

    return TokenBatch({name: mean(batch[name]) for name in names})


def describe_weights(kind: str, tokens: int) -> str:
    """`kind` in words for a block of `tokens` tokens: one token always has weight 1, which explains nothing."""
    return f"{kind} Only one token: its weight is the constant 1 and explains nothing." if tokens == 1 else kind


def _pooling_weights(sides: Sides) -> dict[str, Tensor]:
    return {name: side.weights for name, side in sides.items()}


def _real(weights: Tensor, mask: Tensor) -> Tensor:
    """Weights on real tokens only: what a missing modality's "none" token got is dropped."""
    return weights[:, : mask.shape[1]] * mask


def _uniform(mask: Tensor) -> Tensor:
    return mask / mask.sum(1, keepdim=True).clamp(min=1)
