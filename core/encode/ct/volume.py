"""The CT encoder `volume`: a 3D network reads the whole chest at once; a token for each cell of its last maps.

Behind the cells of a window stands one more token: the window summed up, by a learned weight for each place, which is
what time-to-event pretraining (arXiv 2411.09361) reads. Voxels are windowed at fixed Hounsfield values, never scaled by
the scan itself, and three more channels tell the network where in the window a voxel lies.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.encode.ct.backbones import BACKBONES
from core.encode.ct.volume_grid import sample_volumes, volume_grid, volumes_to_study
from core.records import CtStudy, FloatArray
from core.records.interfaces import CtEncoder, SampledScan

WINDOWS_HU = ((-150, 450), (-1000, -200), (100, 900))
"""Mediastinal and angiographic, lung parenchyma, calcium."""
SPACING_MM, SIZE = (5.0, 5.0, 5.0), (64, 64, 64)
WIDTH = 64
_NARROW = 8


def volume_config(
    backbone: str = "small",
    *,
    spacing_mm: Sequence[float] = SPACING_MM,
    size: Sequence[int] = SIZE,
    windows_hu: Sequence[Sequence[int]] = WINDOWS_HU,
    width: int = WIDTH,
) -> dict[str, Any]:
    """JSON-able configuration. backbone: of `BACKBONES`. spacing_mm, size: of a window's voxels."""
    return {
        "name": "volume",
        "backbone": backbone,
        "spacing_mm": [float(one) for one in spacing_mm],
        "size": [int(one) for one in size],
        "windows_hu": [[int(low), int(high)] for low, high in windows_hu],
        "width": int(width),
    }


class VolumeEncoder(CtEncoder):
    """HU (W, X, Y, Z) -> tokens (W, cells + 1, width); windows never see each other."""

    axes, piece = 3, "volume"
    low: Tensor
    high: Tensor
    places: Tensor

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config: dict[str, Any] = copy.deepcopy(dict(config))
        self.width = int(config["width"])
        x, y, z = (int(one) for one in config["size"])
        self.size = (x, y, z)
        windows = torch.tensor(config["windows_hu"], dtype=torch.float32)
        self.register_buffer("low", windows[:, 0].view(1, -1, 1, 1, 1), persistent=False)
        self.register_buffer("high", windows[:, 1].view(1, -1, 1, 1, 1), persistent=False)
        self.register_buffer("places", _places(self.size), persistent=False)
        net = BACKBONES[str(config["backbone"])](len(windows) + 3)
        self.fine, self.coarse = net.fine, net.coarse
        self.cells = (-(-x // net.stride), -(-y // net.stride), -(-z // net.stride))
        count = int(np.prod(self.cells))
        self.project = nn.Linear(net.channels, self.width)
        self.narrow = nn.Linear(net.channels, _NARROW)
        self.whole = nn.Sequential(nn.LayerNorm(_NARROW * count), nn.Linear(_NARROW * count, self.width))

    @property
    def gradcam_layer(self) -> nn.Module:
        """The fine maps."""
        return self.fine

    def forward(self, voxels_hu: Tensor) -> Tensor:
        """HU (W, X, Y, Z) -> tokens (W, cells + 1, width), the window summed up behind its cells."""
        scaled = (voxels_hu.float().unsqueeze(1) - self.low) / (self.high - self.low)
        inputs = torch.cat([scaled.clamp(0, 1) * 2 - 1, self.places.expand(len(scaled), -1, -1, -1, -1)], 1)
        maps = self.coarse(self.fine(inputs)).flatten(2).transpose(1, 2)
        summed = self.whole(torch.relu(self.narrow(maps)).flatten(1))
        return torch.cat([torch.relu(self.project(maps)), summed.unsqueeze(1)], 1)

    def summed(self, values: Tensor, mask: Tensor) -> Tensor:
        """Tokens (B, L, D) -> (B, D): mean over each patient's windows of the token that sums a window up."""
        step = int(np.prod(self.cells)) + 1
        last, there = values[:, step - 1 :: step], mask[:, step - 1 :: step].unsqueeze(-1).to(values.dtype)
        summed: Tensor = (last * there).sum(1) / there.sum(1).clamp(min=1)
        return summed

    def sample(self, study: CtStudy) -> SampledScan:
        """The study's windows, int16 (W, X, Y, Z); a token a cell and one a window, at its middle."""
        grid = volume_grid(study, self.config["spacing_mm"], self.size)
        world, relative = grid.points(self.cells)
        positions, places = (np.concatenate([one, one.mean(1, keepdims=True)], 1) for one in (world, relative))
        return SampledScan(
            sample_volumes(study, grid), positions.reshape(-1, 3), places.reshape(-1, 3), study.digest, grid.coverage,
            grid,
        )  # fmt: skip

    def to_study(self, maps: FloatArray, sampled: SampledScan, study: CtStudy) -> FloatArray:
        """Maps (W, X, Y, Z) spread linearly over the study's voxels."""
        return volumes_to_study(maps, sampled.grid, study)


def build_volume(config: Mapping[str, Any]) -> VolumeEncoder:
    """Untrained encoder of a configuration, in eval mode; load its state next."""
    return VolumeEncoder(config).eval()


def _places(size: tuple[int, int, int]) -> Tensor:
    """(1, 3, X, Y, Z): where a voxel lies in its window, -1 to 1 along each axis."""
    axes = [torch.linspace(-1, 1, count) for count in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).unsqueeze(0)
