"""Attention of one patient: the ensemble's mean weight of each slice and each event."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from core.fuse.fusions import describe_weights
from core.records import Attention, AttentionBlock, FloatArray, Tokens
from core.survive.model import ModelOutput


def case_attention(output: ModelOutput, tokens: Mapping[str, Tokens]) -> Attention | None:
    """Mean over the members of the weights on the first patient's own tokens; None where the model weighs none.

    tokens: those behind the batch's row, for positions and event ids. A missing modality has no block.
    """
    blocks = {}
    for name, weights in output.weights.items():
        if name in tokens and (own := _own(weights, tokens[name])) is not None:
            blocks[name] = AttentionBlock(own, tokens[name].positions, tokens[name].event_ids)
    if not blocks:
        return None
    return Attention(describe_weights(output.kind, min(len(block.weights) for block in blocks.values())), blocks)


def _own(weights: Tensor, tokens: Tokens) -> FloatArray | None:
    """(n,) weights of the first patient's real tokens, summing to 1."""
    if not len(tokens.values):
        return None
    own = weights[0, : len(tokens.values)].detach().double().cpu().numpy()
    return (own / own.sum()).astype(np.float32) if own.sum() > 0 else None
