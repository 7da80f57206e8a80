"""Saliency of the risk at one horizon on every voxel of a study."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from core.compute.model_lock import MODEL_LOCK
from core.errors import UserFacingError
from core.explain.frozen import explaining
from core.explain.map_trust import MapTrust, map_size
from core.explain.methods import CARDS, HELD, METHODS, MethodCard, PieceMaps, PieceQuestion
from core.explain.risk import QUANTITY, RiskReadout
from core.progress import Share
from core.records import Attribution, CtStudy, FloatArray
from core.records.interfaces import CtEncoder, SampledScan

NOT_CONVERGED = 0.05
"""Relative completeness error above which a path method's map is called not converged."""


LIKELY = 0.5
"""From which probability on a finding of the encoder is told."""


@dataclass(frozen=True)
class Completeness:
    """How well the sums of a path method's maps match what they explain.

    relative_error: sum |attributed - change of risk| / sum |change of risk| over pieces.
    risk_change:    sum |change of risk| over pieces, from the method's baseline to the piece; as a share of patients.
    """

    relative_error: float
    risk_change: float


def study_saliency(
    study: CtStudy,
    readout: RiskReadout,
    method: str = "gradcam",
    *,
    seed: int = 0,
    progress: Share | None = None,
    trust: MapTrust | None = None,
    slice_mm: float | None = None,
) -> Attribution:
    """Saliency on every voxel of `study`, float32 (i, j, k), of the risk at `readout.horizon_days`.

    Costs one forward and backward pass of the encoder for Grad-CAM, as many as steps or samples for the others.
    `progress` is told the share done and may raise to cancel; the model is then as it was. trust: of the model, to say
    how strong the map is. slice_mm: world z of the only slice to explain; the map is 0 away from it.
    Raises UserFacingError for an unknown method.
    """
    card = _card(method)
    every = range(len(readout.sampled.voxels_hu))
    pieces = every if slice_mm is None else pieces_near(readout.sampled, slice_mm)
    values = np.zeros(readout.sampled.voxels_hu.shape, np.float32)
    values[list(pieces)], completeness = piece_maps(readout, method, pieces, seed=seed, progress=progress)
    volume = readout.encoder.to_study(values, readout.sampled, study)
    return Attribution(
        values=volume,
        method=method,
        horizon_days=readout.horizon_days,
        signed=card.signed,
        unit=card.unit,
        parameters={**_parameters(card, readout.encoder, len(every), pieces), "seed": seed},
        convergence_delta=completeness.relative_error if completeness else None,
        risk_change=completeness.risk_change if completeness else None,
        strength=None if trust is None else trust.strength(method, readout.horizon_days, map_size(values)),
        strongest=strongest_findings(readout, values),
        depends=None if trust is None else trust.depends(method),
    )


def strongest_findings(readout: RiskReadout, values: FloatArray) -> tuple[str, ...] | None:
    """What the encoder reads where maps (pieces, ...) are largest, likeliest first; None where it reads no findings.

    A cell holds what it is likely to hold by itself or beside it.
    """
    encoder, (piece, *at) = readout.encoder, np.unravel_index(int(values.argmax()), values.shape)
    voxels_hu = torch.from_numpy(np.asarray(readout.sampled.voxels_hu[piece : piece + 1], np.float32))
    with MODEL_LOCK, explaining(encoder, device=readout.device), torch.no_grad():
        read = encoder.findings(voxels_hu.to(readout.device))
    if read is None or values[(piece, *at)] <= 0:
        return None
    likely = read[0].float().cpu().numpy()
    cell = [place * cells // size for place, cells, size in zip(at, likely.shape[1:], values.shape[1:], strict=True)]
    near = likely[(slice(None), *(slice(max(0, index - 1), index + 2) for index in cell))]
    found = near.reshape(len(likely), -1).max(axis=1)
    order = [place for place in np.argsort(-found, kind="stable") if found[place] >= LIKELY]
    return tuple(encoder.finding_names[place] for place in order[:2])


def piece_maps(
    readout: RiskReadout,
    method: str,
    pieces: Sequence[int],
    *,
    seed: int = 0,
    progress: Share | None = None,
) -> tuple[FloatArray, Completeness | None]:
    """Maps on the encoder's own voxels, float32 (len(pieces), ...), and how complete they are (path methods).

    The model is free between the chunks of pieces, for whoever else asks something. Raises FloatingPointError where a
    map is not finite.
    """
    card, explain = CARDS[method], METHODS[method]
    parts: list[PieceMaps] = []
    gradients: torch.Tensor | None = None
    for start in range(0, len(pieces), card.chunk):
        chosen = list(pieces[start : start + card.chunk])
        with MODEL_LOCK, explaining(readout.encoder, readout.model, device=readout.device):
            gradients = readout.token_gradients() if gradients is None else gradients
            with readout.autocast():
                maps = explain(_question(readout, gradients, chosen, seed))
        parts.append(_to_cpu(maps))
        if progress is not None:
            progress((start + len(chosen)) / len(pieces))
    values = torch.cat([part.values for part in parts]).numpy()
    if not np.isfinite(values).all():
        raise FloatingPointError("the saliency is not finite")
    return values, _completeness(parts)


def pieces_near(sampled: SampledScan, slice_mm: float) -> tuple[int, ...]:
    """The pieces on both sides of a height, which a map on the scan's own slices lies between."""
    pieces = len(sampled.voxels_hu)
    heights = sampled.positions if sampled.positions.ndim == 1 else sampled.positions[:, 2]
    apart = np.abs(heights.reshape(pieces, -1).mean(axis=1) - slice_mm)
    return tuple(sorted(np.argsort(apart, kind="stable")[:2].tolist()))


def seconds_of_pass(readout: RiskReadout) -> float:
    """How long one pass of one piece through the encoder takes here, forward and back, as the stepwise methods take
    many: measured on the middle piece."""
    started = time.perf_counter()
    piece_maps(readout, "smoothgrad", [len(readout.sampled.voxels_hu) // 2])
    return (time.perf_counter() - started) / CARDS["smoothgrad"].passes


def _parameters(
    card: MethodCard, encoder: CtEncoder, pieces: int, explained: Sequence[int]
) -> dict[str, float | int | str]:
    """The method's parameters in this encoder's words; where there is one piece, nothing else is held."""
    words = {
        key: value.format(piece=encoder.piece) if isinstance(value, str) else value
        for key, value in card.parameters.items()
        if pieces > 1 or value != HELD
    }
    some = {} if len(explained) == pieces else {f"encoder_{encoder.piece}s_explained": len(explained)}
    return {**words, f"encoder_{encoder.piece}s": pieces, **some, "quantity": QUANTITY}


def _card(method: str) -> MethodCard:
    if method not in METHODS:
        raise UserFacingError(
            f"There is no explanation method called {method!r}.", "one of " + ", ".join(METHODS), "Choose one of these."
        )
    return CARDS[method]


def _question(readout: RiskReadout, gradients: torch.Tensor, pieces: list[int], seed: int) -> PieceQuestion:
    voxels_hu = torch.from_numpy(np.asarray(readout.sampled.voxels_hu[pieces], dtype=np.float32)).to(readout.device)
    return PieceQuestion(
        encoder=readout.encoder,
        voxels_hu=voxels_hu,
        gradients=gradients[pieces],
        risk_with=lambda row, tokens: readout.risk_with(pieces[row], tokens),
        seeds=tuple(zlib.crc32(f"{seed}/{piece}".encode()) for piece in pieces),
    )


def _to_cpu(maps: PieceMaps) -> PieceMaps:
    error = None if maps.error is None else maps.error.cpu()
    change = None if maps.change is None else maps.change.cpu()
    return PieceMaps(maps.values.float().cpu(), error, change)


def _completeness(parts: list[PieceMaps]) -> Completeness | None:
    errors = [part.error for part in parts if part.error is not None]
    changes = [part.change for part in parts if part.change is not None]
    if not errors or not changes:
        return None
    total = float(torch.cat(changes).abs().sum())
    return Completeness(float(torch.cat(errors).abs().sum()) / max(total, 1e-12), total)
