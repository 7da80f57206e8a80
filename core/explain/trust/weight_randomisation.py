"""Does the map depend on the model at all? The weight-randomisation check (Adebayo 2018)."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import stats
from torch import nn

from core.compute.model_lock import MODEL_LOCK
from core.explain.risk import RiskReadout
from core.explain.saliency import slice_maps
from core.records import FloatArray

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
    planes: tuple[int, ...] | None = None,
    draws: int = 3,
    seed: int = 0,
) -> RandomisationCheck:
    """Explain again with the weights of encoder, fusion and head drawn anew, and compare the maps' ranks.

    Values are compared with their sign where the method has one, else their magnitudes. Works on copies; the shared
    model is not touched. planes: encoder slices to compare (default: all).
    """
    chosen = planes or tuple(range(len(readout.slices_hu)))
    trained, _ = slice_maps(readout, method, chosen, seed=seed)
    random = [slice_maps(randomised(readout, seed + draw), method, chosen, seed=seed)[0] for draw in range(draws)]
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
    encoder.eval().to(readout.device)
    with torch.no_grad():
        slices = torch.from_numpy(np.asarray(readout.slices_hu, dtype=np.float32)).to(readout.device)
        tokens = torch.cat([encoder(slices[start : start + 16]).float() for start in range(0, len(slices), 16)]).cpu()
    return replace(readout, encoder=encoder, model=model, batch=replace(readout.batch, ct=tokens[None]))


def _redraw(module: nn.Module, generator: torch.Generator) -> None:
    """Shuffle the values of each weight tensor: random, yet of the scale that training gave it."""
    with torch.no_grad():
        for parameter in module.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
