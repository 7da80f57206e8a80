"""The CT encoders by name, and how each is used: pieces of a study in, tokens out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from core.compute.model_lock import MODEL_LOCK
from core.encode.ct.compact_slices import build_compact_slices
from core.encode.ct.volume import build_volume
from core.records import CtStudy, Tokens
from core.records.interfaces import CtEncoder, SampledScan

CT_ENCODERS: dict[str, Callable[[Mapping[str, Any]], CtEncoder]] = {
    "compact_slices": build_compact_slices,
    "volume": build_volume,
}
"""Name -> the untrained encoder of a configuration, in evaluation mode."""


def encode_pieces(voxels_hu: torch.Tensor, encoder: CtEncoder, device: str = "cpu", *, batch: int = 16) -> torch.Tensor:
    """HU (pieces, ...) int16 or float -> tokens (n, D) float32 on the CPU; mixed precision on CUDA."""
    # Moved before: what inference mode moves can never take part in a gradient again.
    encoder = encoder.to(device).eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(voxels_hu), batch):
            part = voxels_hu[start : start + batch].to(device)
            with torch.autocast("cuda", enabled=device.startswith("cuda")):
                parts.append(encoder(part).float().cpu().flatten(0, -2))
        return torch.cat(parts)


def encode_sampled(sampled: SampledScan, encoder: CtEncoder, device: str = "cpu") -> Tokens:
    """Tokens of what `encoder.sample` read of a study."""
    return Tokens(
        values=encode_pieces(torch.from_numpy(sampled.voxels_hu.copy()), encoder, device).numpy(),
        positions=sampled.positions,
        relative_positions=sampled.relative_positions,
        encoder=str(encoder.config["name"]),
        source_digest=sampled.source_digest,
        coverage=sampled.coverage,
    )


def encode_study(study: CtStudy, encoder: CtEncoder, device: str = "cpu") -> Tokens:
    """Tokens of a study: of slices, positions in world z mm, relative 0 lung base to 1 apex."""
    with MODEL_LOCK:
        return encode_sampled(encoder.sample(study), encoder, device)
