"""What a probe asks of an encoder: the inputs of patients read once, then tokens, with or without gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from core.cohort.encoded import read_scans
from core.cohort.folder import CohortFolder
from core.errors import UserFacingError
from core.progress import Progress
from core.records import FloatArray
from core.records.interfaces import CtEncoder, Encoder, RecordEncoder, Summarises, Trainable

_PATIENTS_A_STEP = 16


@dataclass(frozen=True, eq=False)
class ProbeInputs:
    """Inputs of patients, in the order of `labels`; None of one without. Only this file looks inside."""

    labels: pd.DataFrame
    inputs: Sequence[Any]

    def __len__(self) -> int:
        return len(self.labels)


def read_inputs(
    folder: CohortFolder, labels: pd.DataFrame, encoder: Encoder, progress: Progress | None = None
) -> ProbeInputs:
    """Read what the encoder reads of each labelled patient: sampled scans, or records prepared for it.

    Raises UserFacingError for an encoder whose tokens cannot be made anew by training.
    """
    if isinstance(encoder, CtEncoder):
        scans = read_scans(folder, labels, encoder, progress)
        return ProbeInputs(
            labels, [None if scan is None else torch.from_numpy(scan.voxels_hu.copy()) for scan in scans]
        )
    if isinstance(encoder, RecordEncoder) and isinstance(encoder, Trainable):
        return ProbeInputs(labels, encoder.prepared(folder.records(labels)))
    raise UserFacingError(
        "This encoder cannot be probed: its tokens are not made by a network that could be trained anew.",
        "an encoder that pretrain wrote, or a CT encoder",
        "Choose another encoder.",
    )


def features(encoder: Encoder, inputs: ProbeInputs, device: str = "cpu") -> FloatArray:
    """Frozen features of each patient, float32 (n, F)."""
    encoder = encoder.to(device).eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(inputs), _PATIENTS_A_STEP):
            chosen = inputs.inputs[start : start + _PATIENTS_A_STEP]
            parts.append(summary(encoder, chosen).float().cpu().numpy())
    return np.concatenate(parts)


def summary(encoder: Encoder, inputs: Sequence[Any]) -> Tensor:
    """One vector a patient, (B, F), differentiable: what the encoder itself sums its tokens up to, else mean and peak.

    Zeros stand for a patient without any token.
    """
    values, mask = _values(encoder, inputs)
    if isinstance(encoder, Summarises):
        summed = encoder.summed(values, mask)
    else:
        weight = mask.unsqueeze(-1).to(values.dtype)
        mean = (values * weight).sum(1) / weight.sum(1).clamp(min=1)
        peak = values.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(1)
        summed = torch.cat([mean, peak.masked_fill(~mask.any(1, keepdim=True), 0.0)], dim=1)
    return summed * mask.any(1, keepdim=True).to(summed.dtype)


def _values(encoder: Encoder, inputs: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """Tokens (B, L, D), padded with zeros, and which of them are there (B, L)."""
    device = next(encoder.parameters()).device
    if not isinstance(encoder, CtEncoder):
        assert isinstance(encoder, Trainable)
        return encoder.embedded(inputs)
    pieces = [scan for scan in inputs if scan is not None]
    if not pieces:
        empty = torch.zeros(len(inputs), 1, encoder.width, device=device)
        return empty, torch.zeros(len(inputs), 1, dtype=torch.bool, device=device)
    read = encoder(torch.cat(pieces).to(device))
    own = iter(read.split([len(scan) for scan in pieces]))
    none = read.new_zeros(0, encoder.width)
    tokens = [none if scan is None else next(own).flatten(0, -2) for scan in inputs]
    lengths = torch.tensor([len(one) for one in tokens], device=device)
    values = pad_sequence(tokens, batch_first=True)
    return values, torch.arange(values.shape[1], device=device) < lengths[:, None]
