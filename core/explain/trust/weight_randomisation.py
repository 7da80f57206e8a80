"""Does the map depend on the model at all? The weight-randomisation check (Adebayo 2018)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage, stats
from torch import nn

from core.compute.model_lock import MODEL_LOCK
from core.encode.ct.encoders import encode_pieces
from core.explain.map_trust import RandomisationVerdict
from core.explain.risk import RiskReadout
from core.explain.saliency import piece_maps
from core.records import IMAGE, FloatArray

DRAWS = 10
MOST_COMPARED = 100_000
"""Pixels whose ranks are compared, evenly among those inside the body."""
BODY_HU = -300
"""Between fat and lung; holes in what lies above it, lungs and airways, belong to the body."""


def ranks_with_random_weights(
    readout: RiskReadout, methods: Sequence[str], pieces: Sequence[int], *, draws: int = DRAWS, seed: int = 0
) -> dict[str, npt.NDArray[np.float64]]:
    """Of each method (draws, 2): rank correlation of values, and of magnitudes, inside the body, with the maps of the
    same network with the weights of encoder, fusion and head drawn anew. Works on copies.
    """
    inside = np.flatnonzero(np.stack([inside_body(readout.sampled.voxels_hu[piece]) for piece in pieces]))
    inside = inside[:: -(-len(inside) // MOST_COMPARED)]
    trained = {name: piece_maps(readout, name, pieces, seed=seed)[0].ravel()[inside] for name in methods}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    for draw in range(draws):
        other = randomised(readout, seed + draw)
        for name in methods:
            values = piece_maps(other, name, pieces, seed=seed)[0].ravel()[inside]
            signed = rank_correlation(trained[name], values)
            found[name].append((signed, rank_correlation(np.abs(trained[name]), np.abs(values))))
    return {name: np.array(pairs) for name, pairs in found.items()}


def verdict(ranks: Sequence[npt.NDArray[np.float64]]) -> RandomisationVerdict:
    """Over patients, each (draws, 2): medians of each draw, and the draw that speaks most against the method."""
    medians = np.median(np.stack(ranks), axis=0)
    worst = medians[np.abs(medians).argmax(axis=0), [0, 1]]
    return RandomisationVerdict(float(worst[0]), float(worst[1]), len(ranks), len(medians))


def inside_body(voxels_hu: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
    """Of one piece: the largest part above fat, holes filled; everything where nothing is."""
    parts, count = ndimage.label(voxels_hu > BODY_HU)
    if not count:
        return np.ones(voxels_hu.shape, bool)
    largest = 1 + int(np.bincount(parts.ravel())[1:].argmax())
    return np.asarray(ndimage.binary_fill_holes(parts == largest), bool)


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
