"""A planted case: scans whose risk depends on one bright block, and a small real encoder and model that see it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from fuse_support import batch_of, set_of
from torch import nn

from core.encode.ct.compact_slices import CompactSlices, build_compact_slices, compact_slices_config
from core.encode.ct.encoders import encode_pieces
from core.encode.ct.slice_grid import COLUMNS, PIXEL_MM, PLANE_STEP_MM, ROWS, SliceGrid
from core.explain.risk import RiskReadout
from core.records import CtStudy, Tokens
from core.records.interfaces import SampledScan
from core.survive.model import SurvivalModel
from core.train.fit import fit_fusion
from core.train.members import FitConfig

PLANES, BLOCK_PX = 6, 14
BLOCK_PLANE, BLOCK_ROW, BLOCK_COLUMN = 3, 70, 40
HORIZON = 200.0


@dataclass(frozen=True)
class Planted:
    """Encoder and model, both in evaluation mode."""

    encoder: CompactSlices
    model: SurvivalModel


def background(rng: np.random.Generator, count: int = PLANES) -> np.ndarray:
    """int16 (count, H, W): a body of soft tissue with two lungs, noise, and even air around."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    body = ((row - 64) / 52) ** 2 + ((column - 72) / 64) ** 2 < 1
    lungs = np.zeros_like(body)
    for centre in (44, 100):
        lungs |= ((row - 62) / 34) ** 2 + ((column - centre) / 20) ** 2 < 1
    plane = np.where(lungs, -820.0, np.where(body, 40.0, -1000.0))
    return (plane + rng.normal(0, 25, (count, ROWS, COLUMNS))).astype(np.int16)


def with_block(slices: np.ndarray, plane: int, row: int, column: int) -> np.ndarray:
    """A copy with a square of 320 HU, BLOCK_PX wide, centred at (row, column) of `plane`."""
    changed, half = slices.copy(), BLOCK_PX // 2
    changed[plane, row - half : row + half, column - half : column + half] = 320
    return changed


def grid(planes: int = PLANES) -> SliceGrid:
    """Planes every 5 mm from z = 0, pixels from (0, 0)."""
    return SliceGrid(
        x_mm=PIXEL_MM * np.arange(COLUMNS),
        y_mm=PIXEL_MM * np.arange(ROWS),
        z_mm=PLANE_STEP_MM * np.arange(planes),
        relative=np.linspace(0, 1, planes),
        anchor="lungs",
        coverage=1.0,
    )


def study_on_grid(slices: np.ndarray) -> CtStudy:
    """The slices as a study whose voxels are the encoder's pixels, (i, j, k) = (column, row, slice)."""
    affine = np.diag([PIXEL_MM, PIXEL_MM, PLANE_STEP_MM, 1.0])
    return CtStudy(np.ascontiguousarray(slices.transpose(2, 1, 0)), affine, origin="virtual")


def sampled_of(slices: np.ndarray) -> SampledScan:
    """Slices (S, H, W) as an encoder keeps them, `PLANE_STEP_MM` apart."""
    places = PLANE_STEP_MM * np.arange(len(slices)), np.linspace(0, 1, len(slices))
    return SampledScan(slices, *places, "planted", 1.0, grid(len(slices)))


def tokens_of(encoder: CompactSlices, slices: np.ndarray) -> Tokens:
    """Tokens of slices (S, H, W)."""
    values, sampled = encode_pieces(torch.from_numpy(slices), encoder), sampled_of(slices)
    return Tokens(values.numpy(), sampled.positions, sampled.relative_positions, "compact_slices", "planted")


def readout_of(planted: Planted, slices: np.ndarray) -> RiskReadout:
    """The question "risk by `HORIZON`" for these slices."""
    tokens = tokens_of(planted.encoder, slices)
    return RiskReadout(
        planted.model, planted.encoder, batch_of([tokens], [None]), sampled_of(slices), HORIZON, torch.device("cpu")
    )


@lru_cache(maxsize=1)
def planted() -> Planted:
    """Trained within seconds: the encoder to tell slices with a block, the model to die early with one."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    encoder = _train_encoder(rng)
    ct, times = [], []
    for _ in range(160):
        slices = background(rng, 4)
        block = rng.random() < 0.5
        if block:
            slices = with_block(slices, int(rng.integers(4)), int(rng.integers(30, 100)), int(rng.integers(30, 110)))
        ct.append(tokens_of(encoder, slices))
        times.append(rng.exponential(120.0 if block else 1200.0))
    days = np.minimum(times, 500.0)
    cohort = set_of(ct, [None] * len(ct), days, np.asarray(times) < 500)
    config = FitConfig(members=2, hidden=16, heads=2, epochs=20, batch_size=32, token_dropout=0.0, modality_dropout=0.0)
    rows = np.arange(len(ct))
    fitted = fit_fusion(cohort.subset(rows[:120]), cohort.subset(rows[120:]), "image_only", config=config, device="cpu")
    return Planted(encoder, fitted.model)


def module_state(module: nn.Module) -> tuple[object, ...]:
    """What `explaining` must restore, as a comparable value: training flags, requires_grad, hook ids by submodule."""
    parts = list(module.modules())
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    hooks = tuple(tuple(getattr(part, name)) for part in parts for name in names)
    return tuple(part.training for part in parts), tuple(p.requires_grad for p in module.parameters()), hooks


def _train_encoder(rng: np.random.Generator) -> CompactSlices:
    encoder = build_compact_slices(compact_slices_config((-160, 240), widths=(6, 8, 8), norm="none"))
    head = nn.Linear(encoder.width, 1)
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=4e-3)
    for _ in range(90):
        slices = background(rng, 12)
        labels = rng.random(12) < 0.5
        for plane in np.flatnonzero(labels):
            slices = with_block(slices, int(plane), int(rng.integers(30, 100)), int(rng.integers(30, 110)))
        logits = head(encoder(torch.from_numpy(slices)))[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels).float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return encoder.eval().requires_grad_(False)
