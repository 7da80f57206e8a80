"""Attention of one patient: the ensemble's mean weight of each slice and each event."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from core.fuse.fusions import describe_weights
from core.records import Attention, FloatArray, Tokens
from core.survive.model import ModelOutput


def case_attention(output: ModelOutput, ct: Tokens | None, ehr: Tokens | None) -> Attention | None:
    """Mean over the members of the weights on the first patient's own tokens; None where the model weighs none.

    ct, ehr: the tokens behind the batch's row, for slice positions (mm) and event ids. A missing modality has no block.
    """
    ct_weights, ehr_weights = _own(output.ct_weights, ct), _own(output.ehr_weights, ehr)
    blocks = [weights for weights in (ct_weights, ehr_weights) if weights is not None]
    if not blocks:
        return None
    return Attention(
        kind=describe_weights(output.kind, min(len(weights) for weights in blocks)),
        ct_weights=ct_weights,
        ct_positions_mm=ct.positions if ct is not None and ct_weights is not None else None,
        ehr_weights=ehr_weights,
        ehr_event_ids=ehr.event_ids if ehr is not None and ehr_weights is not None else None,
    )


def _own(weights: Tensor | None, tokens: Tokens | None) -> FloatArray | None:
    """(n,) weights of the first patient's real tokens, summing to 1."""
    if weights is None or tokens is None or not len(tokens.values):
        return None
    own = weights[0, : len(tokens.values)].detach().double().cpu().numpy()
    return (own / own.sum()).astype(np.float32) if own.sum() > 0 else None
