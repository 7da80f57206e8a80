"""A decoder of the next token: pre-norm RMSNorm, rotary positions, grouped-query attention, SwiGLU, tied weights.

Weights are laid out as in Llama and Qwen2 (arXiv 2302.13971, 2407.10671), without biases. A simulation reads a
patient's history once (`EventModel.read`); all futures share its keys and values and keep only their own (`Futures`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Size(NamedTuple):
    """width of the residual stream, layers, heads that ask, heads of keys and values."""

    width: int
    layers: int
    heads: int
    key_heads: int


SIZES: dict[str, Size] = {
    "0.1m": Size(64, 2, 4, 2),
    "0.4m": Size(96, 4, 4, 2),
    "1m": Size(128, 6, 4, 2),
    "3m": Size(192, 8, 6, 3),
    "13m": Size(384, 8, 6, 3),
}
"""Name, which is the number of weights without the token table, -> size."""


@dataclass(frozen=True)
class ModelConfig:
    """vocabulary: tokens. context: the longest sequence it is trained on. dropout: of each branch, in training."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    key_heads: int
    context: int = 1024
    dropout: float = 0.0
    rope_base: float = 10_000.0

    @classmethod
    def of_size(cls, size: str, vocabulary: int, **options: Any) -> ModelConfig:
        """One of `SIZES`."""
        return cls(vocabulary, *SIZES[size], **options)

    @property
    def head(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    @property
    def hidden(self) -> int:
        """Width inside the feed-forward branch: 8/3 of the residual stream, a multiple of 8."""
        return 8 * math.ceil(self.width / 3)

    def to_json(self) -> dict[str, Any]:
        """Plain dict for config.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelConfig:
        """Inverse of `to_json`."""
        return cls(**data)


class KeysValues(NamedTuple):
    """Of one layer: keys and values (rows, key heads, length, head)."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True, eq=False)
class History:
    """What a patient's history leaves for futures: keys and values of each layer (key heads, length, head), and the
    logits (v,) of what comes next."""

    layers: tuple[KeysValues, ...]
    logits: Tensor

    @property
    def length(self) -> int:
        """Tokens read."""
        return self.layers[0].keys.shape[1]


class Futures:
    """Keys and values that futures of one history have added of their own, in room that is taken beforehand."""

    def __init__(self, config: ModelConfig, rows: int, room: int, like: Tensor) -> None:
        shape = (rows, config.key_heads, room, config.head)
        self.layers = [KeysValues(like.new_empty(shape), like.new_empty(shape)) for _ in range(config.layers)]
        self.length = 0

    def keep(self, rows: Tensor) -> None:
        """Go on with these futures alone (indices)."""
        self.layers = [KeysValues(layer.keys[rows], layer.values[rows]) for layer in self.layers]


class EventModel(nn.Module):
    """Logits of the next token at every place of a sequence."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=1e-6)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, tokens: Tensor, documents: Tensor | None = None, positions: Tensor | None = None) -> Tensor:
        """tokens (B, L) -> states (B, L, width), each of a token and those before it; `logits` turns them to logits.

        documents (B, L): which patient's sequence each token is of, where a row holds several: none looks at another.
        positions (B, L): places in their own sequence; from 0 on where not given.
        """
        length = tokens.shape[1]
        places = torch.arange(length, device=tokens.device)
        mask = None
        if documents is not None:
            mask = (documents[:, None, :, None] == documents[:, None, None, :]) & (places[:, None] >= places)
        turn = rotation(self.config, places.expand(1, -1) if positions is None else positions)
        states = self.embedding(tokens)
        for block in self.blocks:
            states = block(states, turn, mask)
        normed: Tensor = self.norm(states)
        return normed

    def logits(self, states: Tensor) -> Tensor:
        """(..., width) -> (..., v); the token table serves both ways."""
        return F.linear(states, self.embedding.weight)

    @torch.no_grad()
    def read(self, tokens: Tensor) -> History:
        """Read a history (L,) once."""
        turn = rotation(self.config, torch.arange(len(tokens), device=tokens.device)[None])
        states = self.embedding(tokens[None])
        layers = []
        for number, block in enumerate(self.blocks, 1):
            states, kept = block.read(states, turn, last=number == len(self.blocks))  # type: ignore[operator]
            layers.append(KeysValues(kept.keys[0], kept.values[0]))
        return History(tuple(layers), self.logits(self.norm(states[0, -1])))

    @torch.no_grad()
    def step(self, tokens: Tensor, history: History, futures: Futures) -> Tensor:
        """Append one token to each future (n,) -> logits (n, v) of what comes next."""
        place = history.length + futures.length
        turn = rotation(self.config, torch.full((1, 1), place, device=tokens.device))
        states = self.embedding(tokens)[:, None]
        for block, shared, own in zip(self.blocks, history.layers, futures.layers, strict=True):
            states = block.step(states, turn, shared, own, futures.length)  # type: ignore[operator]
        futures.length += 1
        return self.logits(self.norm(states[:, 0]))


class Block(nn.Module):
    """Attention and feed-forward, each on normalised states and added to the stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        both = config.heads + 2 * config.key_heads
        self.attention_norm = nn.RMSNorm(config.width, eps=1e-6)
        self.ask_key_value = nn.Linear(config.width, both * config.head, bias=False)
        self.attention_out = nn.Linear(config.heads * config.head, config.width, bias=False)
        self.feed_norm = nn.RMSNorm(config.width, eps=1e-6)
        self.gate_up = nn.Linear(config.width, 2 * config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        for linear in (self.ask_key_value, self.gate_up):
            nn.init.normal_(linear.weight, std=0.02)
        for linear in (self.attention_out, self.down):  # both add to the stream, 2 x layers times in all
            nn.init.normal_(linear.weight, std=0.02 / math.sqrt(2 * config.layers))

    def forward(self, states: Tensor, turn: Tensor, mask: Tensor | None) -> Tensor:
        """states (B, L, width) -> the same shape; mask (B, 1, L, L) True = may look, None = at all before."""
        return self._attend_all(states, turn, mask)[0]

    def read(self, states: Tensor, turn: Tensor, *, last: bool) -> tuple[Tensor, KeysValues]:
        """As `forward`, and the keys and values. last: of the states only that of the last place, all that is needed
        after the last block."""
        return self._attend_all(states, turn, None, last=last)

    def step(self, states: Tensor, turn: Tensor, shared: KeysValues, own: KeysValues, length: int) -> Tensor:
        """states (n, 1, width) of the newest tokens; shared: of the history; own: of the futures, `length` so far.

        The history is not repeated for each future: all their questions are put to it in one product.
        """
        ask, key, value = self._parts(self.attention_norm(states), turn)
        own.keys[:, :, length], own.values[:, :, length] = key[:, :, 0], value[:, :, 0]
        rows, groups = len(states), self.config.key_heads
        asked = ask.reshape(rows, groups, -1, self.config.head) / math.sqrt(self.config.head)
        folded = asked.transpose(0, 1).reshape(groups, -1, self.config.head)
        to_shared = (folded @ shared.keys.transpose(1, 2)).view(groups, rows, -1, shared.keys.shape[1])
        to_own = (asked @ own.keys[:, :, : length + 1].transpose(2, 3)).transpose(0, 1)
        weights = torch.cat([to_shared, to_own], -1).softmax(-1)
        of_shared, of_own = weights[..., : -length - 1], weights[..., -length - 1 :]
        from_shared = of_shared.reshape(groups, -1, of_shared.shape[-1]) @ shared.values
        from_own = of_own.transpose(0, 1) @ own.values[:, :, : length + 1]
        found = from_shared.view(groups, rows, -1, self.config.head).transpose(0, 1) + from_own
        return self._feed(states + self.attention_out(found.reshape(rows, 1, -1)))

    def _attend_all(
        self, states: Tensor, turn: Tensor, mask: Tensor | None, *, last: bool = False
    ) -> tuple[Tensor, KeysValues]:
        ask, key, value = self._parts(self.attention_norm(states), turn)
        if last:
            ask, states = ask[:, :, -1:], states[:, -1:]
        grouped = self.config.heads > self.config.key_heads
        found = F.scaled_dot_product_attention(
            ask, key, value, attn_mask=mask, is_causal=mask is None and not last, enable_gqa=grouped
        )
        attended = self.attention_out(found.transpose(1, 2).flatten(2))
        return self._feed(states + self.dropout(attended)), KeysValues(key, value)

    def _parts(self, states: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Questions (B, heads, L, head), keys and values (B, key heads, L, head); the first two turned by position."""
        config = self.config
        split = self.ask_key_value(states).unflatten(-1, (-1, config.head)).transpose(1, 2)
        turned = rotated(split[:, : -config.key_heads], turn)
        return turned[:, : config.heads], turned[:, config.heads :], split[:, -config.key_heads :]

    def _feed(self, states: Tensor) -> Tensor:
        gate, up = self.gate_up(self.feed_norm(states)).chunk(2, -1)
        fed: Tensor = self.down(F.silu(gate) * up)
        added: Tensor = states + self.dropout(fed)
        return added


def rotation(config: ModelConfig, positions: Tensor) -> Tensor:
    """Cosines and sines (2, B, 1, L, head / 2) of positions (B, L), as in RoFormer (arXiv 2104.09864)."""
    half = config.head // 2
    speed = config.rope_base ** (-torch.arange(half, device=positions.device, dtype=torch.float32) / half)
    angle = (positions.float()[..., None] * speed)[:, None]
    return torch.stack([angle.cos(), angle.sin()])


def rotated(vectors: Tensor, turn: Tensor) -> Tensor:
    """Vectors (B, heads, L, head) turned by their positions, the first half against the second."""
    cosine, sine = turn.to(vectors.dtype)
    first, second = vectors.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)
