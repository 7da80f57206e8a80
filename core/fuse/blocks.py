"""Parts every fusion is built from: token projection, pooling inside one patient, attention between modalities."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

POSITION_FEATURES = 9
TYPICAL_TOKENS = 64.0
MASKED_LOGIT = -1e4


def position_features(position: Tensor) -> Tensor:
    """(B, L) relative positions -> (B, L, 9): the value and sine and cosine of 1, 2, 4 and 8 half turns.

    Points (B, L, 3) -> (B, L, 27): the same of each axis.
    """
    place = position.clamp(-0.5, 1.5)[..., None]
    angles = place * (math.pi * torch.tensor([1.0, 2.0, 4.0, 8.0], device=position.device, dtype=position.dtype))
    return torch.cat([place, angles.sin(), angles.cos()], -1).flatten(2)


def masked_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis; a masked entry gets weight exactly 0. Every row needs one unmasked entry."""
    return logits.float().masked_fill(~mask, float("-inf")).softmax(-1).to(logits.dtype)


class TokenProjection(nn.Module):
    """(B, L, D) tokens -> (B, L, H) hidden tokens; a patient without any token gets one learned "none" token in slot 0.

    In training a share `token_dropout` of the tokens is hidden (never all of one patient's).
    """

    def __init__(self, width: int, hidden: int, token_dropout: float, axes: int = 1) -> None:
        super().__init__()
        self.value = nn.Linear(width, hidden)
        self.place = nn.Linear(axes * POSITION_FEATURES, hidden, bias=False)
        self.none = nn.Parameter(torch.randn(hidden) * 0.1)
        self.token_dropout = token_dropout

    def forward(self, values: Tensor, mask: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden tokens (B, max(L, 1), H) and their mask, the none tokens included."""
        if not mask.shape[1]:
            return self.none.expand(len(mask), 1, -1), mask.new_ones(len(mask), 1)
        if self.training and self.token_dropout:
            kept = mask & (torch.rand(mask.shape, device=mask.device) >= self.token_dropout)
            mask = torch.where(kept.any(1, keepdim=True), kept, mask)
        hidden = torch.nn.functional.gelu(self.value(values) + self.place(position_features(position)))
        absent = ~mask.any(1)
        if bool(absent.any()):
            hidden, mask = hidden.clone(), mask.clone()
            hidden[absent, 0] = self.none.to(hidden.dtype)
            mask[absent, 0] = True
        return hidden, mask


class Pooling(nn.Module):
    """Hidden tokens (B, L, H) -> one vector (B, H) and weights (B, L).

    Three summaries side by side, then one linear map: attention pooling (learned query), the mean (how much), the
    maximum (is there any, however small) and the number of tokens (log, capped), so that a single small lesion and a
    count of events both survive. The weights are those of the attention pooling, averaged over its heads.
    """

    def __init__(self, hidden: int, heads: int, *, count: bool) -> None:
        super().__init__()
        self.score = nn.Linear(hidden, heads)
        self.mix = nn.Linear(hidden * (heads + 2) + int(count), hidden)
        self.count = count

    def forward(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Summary (B, H) and attention-pooling weights (B, L), 0 where masked, rows summing to 1."""
        weights = masked_softmax(self.score(hidden).transpose(1, 2), mask[:, None])
        number = mask.sum(1, keepdim=True).to(hidden.dtype)
        even = (mask / number)[:, None].to(weights.dtype)
        means = (torch.cat([weights, even], 1) @ hidden).flatten(1)
        largest = hidden.masked_fill(~mask[..., None], -1e4).amax(1)
        parts = [means, largest]
        if self.count:
            parts.append(((number + 1.0).log() - math.log(TYPICAL_TOKENS)).clamp(-3.0, 3.0))
        return self.mix(torch.cat(parts, 1)), weights.mean(1)


class CrossAttention(nn.Module):
    """A_q<-kv = softmax(W_Q q (W_K kv)^T / sqrt(d_k)) W_V kv, multi-head, over the tokens of one patient.

    The queries are every token of the querying modality and, in front of them, that modality's pooled summary. The
    attended rows are then gathered by a learned gate over the queries, because one record entry among a hundred may be
    the one that says where to look. Source: arXiv 2606.15038, cross-attention; tokens in place of pooled vectors.
    """

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        if hidden % heads:
            raise ValueError("hidden must be a multiple of heads")
        self.heads = heads
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.gate = nn.Linear(hidden, heads)
        self.out = nn.Linear(2 * hidden, hidden)

    def forward(
        self, summary: Tensor, queries: Tensor, query_mask: Tensor, keys: Tensor, key_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Attended summary (B, H), weights over keys (B, K), weights over query tokens (B, Q)."""
        asked = torch.cat([summary[:, None], queries], 1)
        weights = self._weights(self._split(self.query(asked)), self._split(self.key(keys)), key_mask)
        gate = masked_softmax(self.gate(queries).transpose(1, 2), query_mask[:, None])
        per_head = torch.stack([weights[:, :, 0], (gate[:, :, None] @ weights[:, :, 1:])[:, :, 0]], 2)
        attended = (per_head @ self._split(self.value(keys))).transpose(1, 2).flatten(1)
        return self.out(attended), per_head.mean((1, 2)), gate.mean(1)

    def _weights(self, q: Tensor, k: Tensor, key_mask: Tensor) -> Tensor:
        """softmax(q k^T / sqrt(d)) (B, heads, Q, K). The mask rides along as one more column of q and k: a masked key's
        logit is lowered by 1e4, which makes its weight exactly 0 without another pass over the Q x K table."""
        bias = torch.where(key_mask, 0.0, MASKED_LOGIT).to(k.dtype)[:, None, :, None].expand(*k.shape[:-1], 1)
        scaled = torch.cat([q / math.sqrt(q.shape[-1]), torch.ones_like(q[..., :1])], -1)
        return (scaled @ torch.cat([k, bias], -1).transpose(-1, -2)).float().softmax(-1).to(q.dtype)

    def _split(self, rows: Tensor) -> Tensor:
        batch, length, hidden = rows.shape
        return rows.view(batch, length, self.heads, hidden // self.heads).transpose(1, 2)
