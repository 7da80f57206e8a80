"""The ECG encoder `ecg_segments`: micro segments of a second, then the sequence of them (MedM2T, arXiv 2510.27321).

A residual network reads each second of twelve leads by itself; a second one reads the seconds in order. Tokens are the
seconds, each beside the sum of the whole recording. Leads that were not recorded are zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.records import Tokens
from core.records.ecg import STANDARD_LEADS, Ecg
from core.records.interfaces import RecordEncoder

RATE_HZ, SECONDS, HIDDEN = 128, 10, 48
_AT_ONCE = 64
Signal = npt.NDArray[np.float32]


class _Residual(nn.Module):
    """Two convolutions with group norm, and the input added."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        pad = kernel // 2
        self.first = nn.Conv1d(inputs, outputs, kernel, stride, pad)
        self.second = nn.Conv1d(outputs, outputs, kernel, 1, pad)
        self.norms = nn.ModuleList([nn.GroupNorm(4, outputs), nn.GroupNorm(4, outputs)])
        self.beside = nn.Conv1d(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, states: Tensor) -> Tensor:
        read = torch.relu(self.norms[0](self.first(states)))
        out: Tensor = torch.relu(self.norms[1](self.second(read)) + self.beside(states))
        return out


class EcgSegments(RecordEncoder):
    """The latest ECG of a patient to `SECONDS` tokens of 2 H numbers."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(config)
        hidden = int(config["hidden"])
        self.seconds, self.rate = int(config["seconds"]), int(config["rate_hz"])
        self.width = 2 * hidden
        self.micro = nn.Sequential(
            nn.Conv1d(len(STANDARD_LEADS), 24, 7, 2, 3), nn.ReLU(),
            _Residual(24, 32, 5, 2), _Residual(32, hidden, 5, 2), _Residual(hidden, hidden, 5),
        )  # fmt: skip
        self.segment = nn.Linear(2 * hidden, hidden)
        self.macro = nn.Sequential(_Residual(hidden, hidden, 3), _Residual(hidden, hidden, 3))
        self.whole = nn.Linear(2 * hidden, hidden)

    def prepared(self, records: Sequence[Sequence[Ecg]]) -> list[Signal | None]:
        """The latest ECG of each patient as (12, samples) at the encoder's rate; None without one."""
        return [self.read(latest(one)) if one else None for one in records]

    def read(self, ecg: Ecg) -> Signal:
        """Twelve leads (12, samples) in mV about each lead's own median; the middle of a longer recording."""
        from scipy.signal import resample_poly  # brings statistics that a review without an ECG need not wait for

        found = np.zeros((len(STANDARD_LEADS), self.seconds * self.rate), np.float32)
        for place, lead in enumerate(STANDARD_LEADS):
            values = ecg.lead_mv(lead)
            if values is None or not np.isfinite(values).any():
                continue
            known = np.where(np.isfinite(values), values, np.nanmedian(values)) - np.nanmedian(values)
            up, down = self.rate, round(ecg.rate_hz)
            shared = gcd(up, down)
            even = resample_poly(known, up // shared, down // shared)
            start = max(0, (len(even) - found.shape[1]) // 2)
            part = even[start : start + found.shape[1]]
            found[place, : len(part)] = np.clip(part, -5, 5)
        return found

    def forward(self, signals: Tensor) -> Tensor:
        """(B, 12, samples) -> tokens (B, seconds, 2 H)."""
        batch = len(signals)
        pieces = signals.view(batch, -1, self.seconds, self.rate).transpose(1, 2).flatten(0, 1)
        maps = self.micro(pieces)
        parts = self.segment(torch.cat([maps.mean(2), maps.amax(2)], 1)).view(batch, self.seconds, -1)
        states = self.macro(parts.transpose(1, 2))
        whole = self.whole(torch.cat([states.mean(2), states.amax(2)], 1))
        return torch.cat([states.transpose(1, 2), whole.unsqueeze(1).expand(-1, self.seconds, -1)], 2)

    def embedded(self, prepared: Sequence[Signal | None]) -> tuple[Tensor, Tensor]:
        """Tokens (B, seconds, 2 H), zero without an ECG, and which are there."""
        device = self.segment.weight.device
        empty = np.zeros((len(STANDARD_LEADS), self.seconds * self.rate), np.float32)
        signals = torch.from_numpy(np.stack([empty if one is None else one for one in prepared])).to(device)
        known = torch.tensor([one is not None for one in prepared], device=device)[:, None]
        values = self(signals) * known.unsqueeze(2)
        return values, known.expand(-1, self.seconds)

    def summed(self, values: Tensor, mask: Tensor) -> Tensor:
        """(B, H): the sum of the whole recording."""
        return values[:, 0, values.shape[2] // 2 :]

    @torch.no_grad()
    def encode(self, records: Sequence[Sequence[Ecg]]) -> list[Tokens]:
        """Tokens of each patient's latest ECG, in order; positions in seconds."""
        prepared = self.prepared(records)
        places = np.arange(self.seconds, dtype=np.float32) + np.float32(0.5)
        relative = (places / self.seconds).astype(np.float32)
        found: list[Tokens] = []
        for start in range(0, len(prepared), _AT_ONCE):
            part = prepared[start : start + _AT_ONCE]
            values = self.embedded(part)[0].float().cpu().numpy()
            for number, one in enumerate(part):
                kept = slice(0, 0) if one is None else slice(None)
                digest = "".join(ecg.digest for ecg in records[start + number])
                found.append(Tokens(values[number][kept], places[kept], relative[kept], "ecg_segments", digest))
        return found


def latest(ecgs: Sequence[Ecg]) -> Ecg:
    """The one that began last; of those without a time the last."""
    dated = [ecg for ecg in ecgs if ecg.start is not None]
    return max(dated, key=lambda ecg: ecg.start) if dated else ecgs[-1]  # type: ignore[arg-type, return-value]


def ecg_segments_config(hidden: int = HIDDEN) -> dict[str, Any]:
    """JSON-able configuration."""
    return {"name": "ecg_segments", "hidden": hidden, "rate_hz": RATE_HZ, "seconds": SECONDS}


def build_ecg_segments(config: Mapping[str, Any]) -> EcgSegments:
    """Untrained encoder of a configuration, in evaluation mode."""
    return EcgSegments(config).eval()
