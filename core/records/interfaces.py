"""What the stages ask of encoders and predictors: whoever keeps these interfaces fits in everywhere."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from core.records.arrays import FloatArray, freeze
from core.records.curve import SurvivalCurve
from core.records.scan import CtStudy
from core.records.timeline import Timeline
from core.records.tokens import Tokens


@dataclass(frozen=True, eq=False)
class SampledScan:
    """A study as a CT encoder reads it.

    voxels_hu: int16 (pieces, ...): slices (S, H, W), a volume (1, D, H, W), windows (W, D, H, W).
    positions, relative_positions: of each token, as in `Tokens`. coverage: share of the study that is read.
    grid: where the voxels lie; only the encoder that made it looks inside.
    """

    voxels_hu: npt.NDArray[np.int16]
    positions: FloatArray
    relative_positions: FloatArray
    source_digest: str
    coverage: float
    grid: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "voxels_hu", freeze(self.voxels_hu, np.int16))
        for name in ("positions", "relative_positions"):
            object.__setattr__(self, name, freeze(getattr(self, name), np.float32))


class Encoder(nn.Module):
    """An input of one modality to tokens.

    config: JSON-able; config["name"] is its entry in `core.encode.ENCODERS` of the modality. width: numbers in a token.
    axes: 1 where positions are numbers, 3 where they are points.
    """

    config: dict[str, Any]
    width: int
    axes: int = 1


class CtEncoder(Encoder):
    """A scan to tokens, and a map over what it read back to the scan's grid.

    Each piece of a `SampledScan` is read by itself: its tokens depend on no other piece, and stand in the order of the
    pieces. An encoder of slices has a piece a slice; one of whole volumes has one piece. piece: what one is called.
    gradcam_layer: what Grad-CAM reads, maps (pieces, C, ...). gradcam_cells: the same values with a row a cell
    (cells, C), for a Grad-CAM that averages over no neighbours; None where there is no such layer.
    """

    piece: str = "slice"
    finding_names: tuple[str, ...] = ()
    """What `findings` tells of each cell, in words; empty where the encoder reads no findings."""

    def findings(self, voxels_hu: torch.Tensor) -> torch.Tensor | None:
        """HU (pieces, ...) -> how likely each of `finding_names` is in each cell, (pieces, names, ...), or None."""
        return None

    @property
    def gradcam_cells(self) -> nn.Module | None:
        """The layer with a row a cell; none where an encoder does not override this."""
        return None

    @property
    @abstractmethod
    def gradcam_layer(self) -> nn.Module:
        """The layer whose maps Grad-CAM weighs."""

    @abstractmethod
    def sample(self, study: CtStudy) -> SampledScan:
        """What is read of a study; never fails on a valid one."""

    @abstractmethod
    def forward(self, voxels_hu: torch.Tensor) -> torch.Tensor:
        """HU (pieces, ...) -> tokens (pieces, D) or, of several tokens a piece, (pieces, t, D); differentiable."""

    @abstractmethod
    def to_study(self, maps: FloatArray, sampled: SampledScan, study: CtStudy) -> FloatArray:
        """Maps over the sampled voxels, float32 (pieces, ...) -> the study's voxel grid, float32 (i, j, k)."""


class RecordEncoder(Encoder):
    """Records to tokens. Encoders of further modalities do the same with what they read in place of records."""

    @abstractmethod
    def encode(self, records: Any) -> list[Tokens]:
        """Tokens of each record, in order; each patient's tokens do not depend on the others."""


@runtime_checkable
class Trainable(Protocol):
    """A record encoder whose tokens can be differentiated, so that it can be trained on labels from the start."""

    def prepared(self, records: Any) -> Sequence[Any]:
        """What each patient's tokens are made of, read once."""

    def embedded(self, prepared: Sequence[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens (B, L, D) of these patients, zeros behind the last, and which are there (B, L); differentiable."""


@runtime_checkable
class Summarises(Protocol):
    """An encoder that sums its tokens up to one vector as it did when it was pretrained."""

    def summed(self, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Tokens (B, L, D) and which are there (B, L) -> (B, F); differentiable."""


class Predictor(Protocol):
    """A case to a survival curve, whatever stands behind it."""

    def curve(
        self, study: CtStudy | None, timeline: Timeline | None, signals: Sequence[Any] = ()
    ) -> SurvivalCurve | None:
        """The curve, or None where nothing of this case is read."""
