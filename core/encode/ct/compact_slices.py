"""The CT slice encoder `compact_slices`: one token an axial slice, each slice read by itself.

A small convolutional network sees a slice through several Hounsfield windows. Its features at 8 mm cells (stride 4)
feed a per-cell finding map (`DENSE_CLASSES`), and the token joins mean and maximum over the slice: sums tell sizes,
maxima keep lesions of a few millimetres; a second map measures how wide the pulmonary arteries are, and its peak is the
last number of a token. Tokens are (S, 85) float32.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from core.encode.ct.slice_grid import sample_slices, slice_grid, volume_from_slices
from core.records import CtStudy, FloatArray
from core.records.interfaces import CtEncoder, SampledScan

DENSE_CLASSES = (
    "lung",
    "heart",
    "pulmonary_artery",
    "aorta",
    "emphysema",
    "interstitial",
    "effusion",
    "nodule",
    "coronary_calcium",
    "clot",
)
"""Findings and anatomy of the per-cell map, in the order of the virtual cohort's label values 1 to 10."""

COMMON_WINDOWS_HU = ((-50, 450), (-1000, -600), (100, 900))
"""Mediastinal and angiographic, lung parenchyma, calcium; the task's own window comes first."""

_PROJECTED = 64
_READINGS = 2 * len(DENSE_CLASSES) + 1
_PEAK_LIMIT = 12.0


def compact_slices_config(
    task_window_hu: Sequence[int], *, widths: Sequence[int] = (16, 48, 64), norm: str = "batch"
) -> dict[str, Any]:
    """JSON-able configuration. `widths`: channels at stride 2, 4, 8. `norm`: "batch" to train, "none" once folded."""
    windows = [list(map(int, task_window_hu)), *map(list, COMMON_WINDOWS_HU)]
    return {"name": "compact_slices", "windows_hu": windows, "widths": list(map(int, widths)), "norm": norm}


def _unit(inputs: int, outputs: int, norm: str, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3 x 3 convolution, batch norm (or the bias it folds into), ReLU."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=norm == "none")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs) if norm == "batch" else nn.Identity(), nn.ReLU())


class CompactSlices(CtEncoder):
    """HU (S, 128, 144) -> tokens (S, 85); slices never see each other (batch norm uses stored statistics in eval).

    A token holds 64 projected features, the mean and the peak of each of the 10 finding maps, and the peak of the
    artery calibre map (cm). A Grad-CAM weighs the output of `gradcam_layer`, (S, C, 32, 36), or of `gradcam_cells`, the
    same values with a row a cell, (S * 32 * 36, C).
    """

    width = _PROJECTED + _READINGS
    finding_names = tuple(name.replace("_", " ") for name in DENSE_CLASSES)
    window_gain: torch.Tensor
    window_shift: torch.Tensor
    token_shift: torch.Tensor
    token_scale: torch.Tensor

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config: dict[str, Any] = copy.deepcopy(dict(config))
        norm, (a, b, c) = str(config["norm"]), config["widths"]
        windows = torch.tensor(config["windows_hu"], dtype=torch.float32)
        low, high = windows.T
        self.register_buffer("window_gain", 2.0 / (high - low), persistent=False)
        self.register_buffer("window_shift", -(high + low) / (high - low), persistent=False)
        self.fine = nn.Sequential(_unit(len(windows), a, norm, stride=2), _unit(a, a, norm))
        self.middle = nn.Sequential(_unit(a, b, norm, stride=2), _unit(b, b, norm))
        self.wide = nn.Sequential(
            _unit(b, c, norm, stride=2),
            _unit(c, c, norm),
            _unit(c, c, norm, dilation=2),
            _unit(c, c, norm, dilation=4),
            nn.Conv2d(c, b, 1),
        )
        self.fuse = nn.Sequential(nn.Conv2d(b, _PROJECTED, 1), nn.ReLU())
        self.cells = nn.Identity()
        self.dense = nn.Conv2d(_PROJECTED, len(DENSE_CLASSES), 1)
        self.calibre = nn.Conv2d(_PROJECTED, 1, 1)
        self.project = nn.Sequential(nn.Linear(self.pooled_dim, _PROJECTED), nn.ReLU())
        self.register_buffer("token_shift", torch.zeros(self.width))
        self.register_buffer("token_scale", torch.ones(self.width))

    @property
    def pooled_dim(self) -> int:
        """Numbers pooled from one slice, before the projection."""
        return 2 * _PROJECTED + _READINGS

    @property
    def gradcam_layer(self) -> nn.Module:
        """Layer for Captum's LayerGradCam: features at 8 mm cells, the last before pooling."""
        return self.fuse

    @property
    def gradcam_cells(self) -> nn.Module:
        """The same for a LayerGradCam that averages over no neighbours, since every cell is a row of its own."""
        return self.cells

    def windowed(self, hu: torch.Tensor) -> torch.Tensor:
        """(S, 128, 144) HU -> (S, windows, 128, 144) in [-1, 1], laid out channels last."""
        scaled = torch.addcmul(self.window_shift, hu.float().unsqueeze(3), self.window_gain)
        return scaled.clamp(-1.0, 1.0).permute(0, 3, 1, 2)

    def features(self, hu: torch.Tensor) -> torch.Tensor:
        """(S, 128, 144) HU -> (S, 64, 32, 36)."""
        middle = self.middle(self.fine(self.windowed(hu)))
        wide = functional.interpolate(self.wide(middle), size=middle.shape[-2:], mode="bilinear", align_corners=False)
        fused = self.fuse(middle + wide).permute(0, 2, 3, 1)
        rows: torch.Tensor = self.cells(fused.flatten(0, 2))
        return rows.view(fused.shape).permute(0, 3, 1, 2)

    def pooled_and_maps(self, hu: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(S, 128, 144) HU -> pooled features (S, 149), finding logits (S, 10, 32, 36), artery calibre (S, 32, 36) cm.

        Pooled: mean and maximum of the 64 features, mean of the finding maps (an area), their peaks, largest calibre.
        """
        features = self.features(hu)
        maps, calibre_cm = self.dense(features), self.calibre(features).squeeze(1)
        areas = 10.0 * maps.float().sigmoid().mean(dim=(2, 3))
        peaks = maps.float().amax(dim=(2, 3)).clamp(-_PEAK_LIMIT, _PEAK_LIMIT)
        wide, widest = features.float(), calibre_cm.float().amax(dim=(1, 2)).unsqueeze(1)
        pooled = torch.cat([wide.mean(dim=(2, 3)), wide.amax(dim=(2, 3)), areas, peaks, widest], dim=1)
        return pooled, maps, calibre_cm

    def tokens_from_pooled(self, pooled: torch.Tensor) -> torch.Tensor:
        """Pooled features (..., 149) -> tokens (..., 85): projection beside the readings of the maps, standardised."""
        tokens = torch.cat([self.project(pooled), pooled[..., -_READINGS:]], dim=-1)
        return (tokens - self.token_shift) / self.token_scale

    def forward(self, voxels_hu: torch.Tensor) -> torch.Tensor:
        """(S, 128, 144) HU -> tokens (S, 85)."""
        return self.tokens_from_pooled(self.pooled_and_maps(voxels_hu)[0])

    def findings(self, voxels_hu: torch.Tensor) -> torch.Tensor:
        """(S, 128, 144) HU -> probabilities (S, 10, 32, 36) of `DENSE_CLASSES` at 8 mm cells."""
        likely: torch.Tensor = self.dense(self.features(voxels_hu)).float().sigmoid()
        return likely

    def sample(self, study: CtStudy) -> SampledScan:
        """The study's slices on its `slice_grid`, int16 (S, 128, 144); a token each."""
        grid = slice_grid(study)
        voxels_hu = sample_slices(study, grid)
        z_mm, relative = grid.z_mm.astype(np.float32), grid.relative.astype(np.float32)
        return SampledScan(voxels_hu, z_mm, relative, study.digest, grid.coverage, grid)

    def to_study(self, maps: FloatArray, sampled: SampledScan, study: CtStudy) -> FloatArray:
        """Maps (S, 128, 144) spread linearly over the study's voxels; 0 beyond the slices."""
        return volume_from_slices(maps, study, sampled.grid)


def channels_last(model: CompactSlices) -> CompactSlices:
    """The model with weights laid out channels last, which halves the cost of its convolutions on a CPU."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return model


def build_compact_slices(config: Mapping[str, Any]) -> CompactSlices:
    """Untrained encoder of a configuration, in eval mode; load its state next."""
    return channels_last(CompactSlices(config)).eval()


def fold_batch_norm(model: CompactSlices) -> CompactSlices:
    """The same function without batch norm: statistics folded into convolution weights and biases, eval mode."""
    folded = build_compact_slices({**model.config, "norm": "none"})
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for name, module in model.named_modules():
        if isinstance(module, nn.Sequential) and len(module) == 3 and isinstance(module[1], nn.BatchNorm2d):
            prefix = f"{name}.1"
            gain = state[f"{prefix}.weight"] / torch.sqrt(state[f"{prefix}.running_var"] + module[1].eps)
            state[f"{name}.0.weight"] = state[f"{name}.0.weight"] * gain.view(-1, 1, 1, 1)
            state[f"{name}.0.bias"] = state[f"{prefix}.bias"] - state[f"{prefix}.running_mean"] * gain
    wanted = folded.state_dict()
    folded.load_state_dict({name: state[name] for name in wanted})
    return folded
