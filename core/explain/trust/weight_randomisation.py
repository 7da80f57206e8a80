"""Does the map depend on the model at all? The weight-randomisation check (Adebayo 2018)."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import stats
from torch import nn

from core.compute.model_lock import MODEL_LOCK
from core.encode.ct.encoders import encode_pieces
from core.explain.risk import RiskReadout
from core.explain.saliency import piece_maps
from core.records import IMAGE, FloatArray

PASS_BELOW = 0.3


@dataclass(frozen=True)
class RandomisationCheck:
    """spearman: median over the draws of the rank correlation with the map of the same network with random weights.

    passed: below .3 in size, as a map that reads the trained weights should be.
    """

    method: str
    spearman: float
    passed: bool


def weight_randomisation(
    readout: RiskReadout,
    method: str = "gradcam",
    *,
    pieces: tuple[int, ...] | None = None,
    draws: int = 3,
    seed: int = 0,
) -> RandomisationCheck:
    """Explain again with the weights of encoder, fusion and head drawn anew, and compare the maps' ranks.

    Values are compared with their sign where the method has one, else their magnitudes. Works on copies; the shared
    model is not touched. pieces: those of the encoder to compare (default: all).
    """
    chosen = pieces or tuple(range(len(readout.sampled.voxels_hu)))
    trained, _ = piece_maps(readout, method, chosen, seed=seed)
    random = [piece_maps(randomised(readout, seed + draw), method, chosen, seed=seed)[0] for draw in range(draws)]
    spearman = float(np.median([rank_correlation(trained, values) for values in random]))
    return RandomisationCheck(method, spearman, abs(spearman) < PASS_BELOW)


def rank_correlation(one: FloatArray, other: FloatArray) -> float:
    """Spearman rank correlation of two maps; 0 where either is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(stats.spearmanr(one.ravel(), other.ravel()).statistic)


def randomised(readout: RiskReadout, seed: int = 0) -> RiskReadout:
    """The same question to a copy with random weights; its tokens are what the random encoder makes of the slices."""
    with MODEL_LOCK:
        encoder, model = copy.deepcopy(readout.encoder), copy.deepcopy(readout.model)
    generator = torch.Generator().manual_seed(seed)
    for module in (encoder, model):
        _redraw(module, generator)
    voxels_hu = torch.from_numpy(np.asarray(readout.sampled.voxels_hu, dtype=np.float32))
    tokens = encode_pieces(voxels_hu, encoder, readout.device.type)
    return replace(readout, encoder=encoder, model=model, batch=readout.batch.with_changed(IMAGE, values=tokens[None]))


def _redraw(module: nn.Module, generator: torch.Generator) -> None:
    """Shuffle the values of each weight tensor: random, yet of the scale that training gave it."""
    with torch.no_grad():
        for parameter in module.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
