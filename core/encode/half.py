"""Weights that are stored as float16 without a change."""

from __future__ import annotations

import torch
from torch import nn


def round_to_half(model: nn.Module) -> nn.Module:
    """Round floating weights and buffers to float16 precision (kept as float32), so that storing halves is exact."""
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(tensor.half().float())
    return model
