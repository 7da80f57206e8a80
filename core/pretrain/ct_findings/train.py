"""Pretraining of `compact_slices` on training patients: findings drawn on slices, measurements, then time to event.

Stage 1 teaches each 8 mm cell which finding or organ it holds (the patients' masks are their annotation), each slice
its areas, each cell how wide its artery is (on magnified copies too, so that a width is measured and not a patient
recognised), and each patient the measurements. Stage 2 (`core.pretrain.ct_findings.refine`) trains the tokens'
projection on whole
patients with the likelihood of the outcome. The encoder is then frozen: batch norm folded, tokens standardised, weights
rounded to float16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from core.encode.ct.compact_slices import (
    DENSE_CLASSES,
    CompactSlices,
    channels_last,
    compact_slices_config,
    fold_batch_norm,
)
from core.encode.ct.encoders import encode_pieces
from core.encode.half import round_to_half
from core.pretrain.ct_findings.cache import PatientSlices, SliceCache
from core.pretrain.ct_findings.refine import RefineSettings, pool_tokens, refine_projection
from core.pretrain.ct_findings.targets import (
    ARTERY_VALUES,
    RARE_VALUES,
    CalibreLoss,
    DenseLoss,
    Scaler,
    area_targets,
    calibre_targets,
    cell_counts,
    dense_targets,
    patient_facts,
    slice_areas,
)

_Pixel = TypeVar("_Pixel", np.int16, np.uint8)
_Hu = npt.NDArray[np.int16]
_Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PretrainSettings:
    """How long and how the encoder is trained. A step reads `patients` x (`spread` + `lesion` + `trunk`) slices.

    mixed_precision: convolutions in bfloat16, as the shipped encoders were trained, on the CPU too; a processor without
    it takes three times as long as in full precision.
    """

    epochs: int = 12
    patients: int = 8
    spread: int = 6
    lesion: int = 2
    trunk: int = 2
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    area_weight: float = 0.3
    calibre_weight: float = 0.5
    fact_weight: float = 0.3
    widths: tuple[int, int, int] = (16, 48, 64)
    augment: bool = True
    mixed_precision: bool = True
    seed: int = 0
    refine: RefineSettings = field(default_factory=RefineSettings)


@dataclass(frozen=True)
class StepLosses:
    """Mean losses of one epoch (each about 1 for a constant guess); classes: dense loss of each finding or organ."""

    epoch: int
    dense: float
    slice_areas: float
    calibre: float
    patient_facts: float
    classes: dict[str, float]


Report = Callable[[StepLosses], None]


class _Heads(nn.Module):
    """Linear heads of stage 1: areas from a token, facts from tokens pooled over slices."""

    def __init__(self, token_dim: int, facts: int) -> None:
        super().__init__()
        self.areas = nn.Linear(token_dim, len(DENSE_CLASSES))
        self.facts = nn.Linear(2 * token_dim, facts)


@dataclass(frozen=True, eq=False)
class _Places:
    """Slices of one patient that show a rare finding, and those that show the pulmonary trunk at half size or more."""

    lesion: npt.NDArray[np.int64]
    trunk: npt.NDArray[np.int64]


def _find_places(volume: PatientSlices) -> _Places:
    assert volume.labels is not None
    areas = slice_areas(volume.labels)
    rare = np.flatnonzero(areas[:, list(RARE_VALUES)].sum(axis=1) > 0)
    artery = areas[:, list(ARTERY_VALUES)].sum(axis=1)
    every = np.arange(len(areas))
    return _Places(rare if len(rare) else every, np.flatnonzero(artery >= 0.5 * artery.max()))


def _pick_slices(
    count: int, places: _Places, settings: PretrainSettings, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Evenly spread slices with random offsets, then slices with rare findings, then slices through the trunk."""
    edges = np.linspace(0, count, settings.spread + 1)
    spread = np.minimum(rng.uniform(edges[:-1], edges[1:]).astype(np.int64), count - 1)
    lesion, trunk = rng.choice(places.lesion, settings.lesion), rng.choice(places.trunk, settings.trunk)
    return np.concatenate([spread, lesion, trunk])


def _shift(image: npt.NDArray[_Pixel], rows: int, columns: int, fill: int) -> npt.NDArray[_Pixel]:
    """Move slices by whole pixels; what comes in is `fill`."""
    moved = np.full_like(image, fill)
    height, width = image.shape[1:]
    part = image[:, max(-rows, 0) : height - max(rows, 0), max(-columns, 0) : width - max(columns, 0)]
    top, left = max(rows, 0), max(columns, 0)
    moved[:, top : top + part.shape[1], left : left + part.shape[2]] = part
    return moved


def _magnify(image: _Hu, labels: _Labels, gain: float) -> tuple[_Hu, _Labels]:
    """Slices (n, 128, 144) and their labels, magnified about the middle of the plane; what comes in is air."""
    planes = torch.from_numpy(np.stack([image + 1024.0, labels], axis=1)).float()
    grid = functional.affine_grid(torch.eye(2, 3).mul(1 / gain).expand(len(planes), 2, 3), list(planes.shape), False)
    smooth = functional.grid_sample(planes[:, :1], grid, align_corners=False)[:, 0] - 1024.0
    nearest = functional.grid_sample(planes[:, 1:], grid, mode="nearest", align_corners=False)[:, 0]
    return smooth.round().numpy().astype(np.int16), nearest.numpy().astype(np.uint8)


def _scanner_variation(hu: torch.Tensor, patients: int, generator: torch.Generator) -> torch.Tensor:
    """Other kernels, noise levels and HU offsets, one draw a patient; hu float32 (patients x n, 128, 144)."""
    draws = torch.rand(4, patients, 1, 1, 1, generator=generator)
    stack = hu.view(patients, -1, *hu.shape[1:])
    smooth = functional.avg_pool2d(hu.unsqueeze(1), 3, 1, 1, count_include_pad=False).view_as(stack)
    sharpness = torch.where(draws[0] < 0.5, torch.zeros(()), draws[1] * 1.1 - 0.4)
    noise = torch.randn(stack.shape, generator=generator) * (20.0 * draws[2] ** 2)
    varied = stack + sharpness * (smooth - stack) + noise + 16.0 * (draws[3] - 0.5)
    return varied.clamp_min(-1024.0).view_as(hu)


@dataclass(frozen=True, eq=False)
class _Batch:
    """rows (P,) patients; hu (P x n, 128, 144); counts (P x n, 10, 32, 36); calibre_cm (P x n, 32, 36)."""

    rows: torch.Tensor
    hu: torch.Tensor
    counts: torch.Tensor
    calibre_cm: torch.Tensor


class _Trainer:
    """Model, heads, targets and optimiser of stage 1."""

    def __init__(self, cache: SliceCache, window_hu: tuple[int, int], settings: PretrainSettings, device: str) -> None:
        torch.manual_seed(settings.seed)
        self.cache, self.settings, self.device = cache, settings, device
        self.rng = np.random.default_rng(settings.seed)
        self.places = [_find_places(volume) for volume in cache.volumes]
        self.model = CompactSlices(compact_slices_config(window_hu, widths=settings.widths))
        facts = torch.tensor(patient_facts(cache.patients).to_numpy())
        self.facts = Scaler(facts)(facts)
        self._calibrate()
        self.heads = _Heads(self.model.width, self.facts.shape[1])
        channels_last(self.model.to(device))
        self.heads.to(device)
        groups = [*self.model.parameters(), *self.heads.parameters()]
        self.optimiser = torch.optim.AdamW(groups, settings.learning_rate, weight_decay=settings.weight_decay)
        self.steps = max(len(cache) // settings.patients, 1)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, settings.learning_rate, total_steps=self.steps * settings.epochs, pct_start=0.15
        )

    def _batch(self, rows: npt.NDArray[np.int64]) -> _Batch:
        """Slices of some patients; moved, magnified through the trunk and varied like scanners where `augment`."""
        images, maps = [], []
        for row in rows:
            volume, places = self.cache.volumes[int(row)], self.places[int(row)]
            assert volume.labels is not None
            chosen = _pick_slices(len(volume.slices), places, self.settings, self.rng)
            image, labels = volume.slices[chosen], volume.labels[chosen]
            if self.settings.augment:
                image, labels = self._moved(image, labels)
            images.append(image)
            maps.append(labels)
        hu = torch.from_numpy(np.concatenate(images)).float()
        if self.settings.augment:
            generator = torch.Generator().manual_seed(int(self.rng.integers(2**31)))
            hu = _scanner_variation(hu, len(rows), generator)
        drawn = np.concatenate(maps)
        return _Batch(torch.from_numpy(rows), hu, cell_counts(drawn), calibre_targets(drawn))

    def _moved(self, image: _Hu, labels: _Labels) -> tuple[_Hu, _Labels]:
        """Slices of one patient moved by up to 8 mm; the last ones, through the trunk, magnified by up to an eighth."""
        down, right = (int(value) for value in self.rng.integers(-4, 5, size=2))
        image, labels = _shift(image, down, right, -1024), _shift(labels, down, right, 0)
        gain, first = float(self.rng.uniform(0.88, 1.12)), len(image) - self.settings.trunk
        image[first:], labels[first:] = _magnify(image[first:], labels[first:], gain)
        return image, labels

    def _calibrate(self) -> None:
        """Class shares and area scales from one sample of the training slices; finding maps start at their shares."""
        rows = self.rng.choice(len(self.cache), min(len(self.cache), 150), replace=False)
        batch = self._batch(rows)
        self.dense_loss = DenseLoss(dense_targets(batch.counts))
        self.area_scale = Scaler(area_targets(batch.counts))
        self.calibre_loss = CalibreLoss(batch.calibre_cm)
        with torch.no_grad():
            assert self.model.dense.bias is not None
            self.model.dense.bias.copy_(self.dense_loss.bias)

    def _losses(self, batch: _Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(4,) dense, slice areas, calibre, patient facts; and (10,) dense loss of each class."""
        counts, facts = batch.counts.to(self.device), self.facts[batch.rows].to(self.device)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.settings.mixed_precision):
            pooled, logits, calibre_cm = self.model.pooled_and_maps(batch.hu.to(self.device))
        tokens = self.model.tokens_from_pooled(pooled.float())
        classes = self.dense_loss.per_class(logits.float(), dense_targets(counts))
        areas = functional.mse_loss(self.heads.areas(tokens), self.area_scale(area_targets(counts)))
        per_patient = len(tokens) // len(batch.rows)
        calibre = self.calibre_loss(calibre_cm.float(), batch.calibre_cm.to(self.device))
        spread = tokens.view(len(batch.rows), per_patient, -1)[:, : self.settings.spread]
        known = functional.mse_loss(self.heads.facts(pool_tokens(spread)), facts)
        dense = classes[self.dense_loss.present.to(self.device)].mean()
        return torch.stack([dense, areas, calibre, known]), classes.detach()

    def epoch(self, number: int) -> StepLosses:
        """One pass over the patients."""
        s = self.settings
        weights = torch.tensor([1.0, s.area_weight, s.calibre_weight, s.fact_weight], device=self.device)
        total, per_class = torch.zeros(4), torch.zeros(len(DENSE_CLASSES))
        order = self.rng.permutation(len(self.cache))
        self.model.train()
        for rows in np.array_split(order[: self.steps * s.patients], self.steps):
            losses, classes = self._losses(self._batch(rows))
            self.optimiser.zero_grad()
            (losses * weights).sum().backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            self.optimiser.step()
            self.schedule.step()
            total += losses.detach().cpu() / self.steps
            per_class += classes.cpu() / self.steps
        named = {name: round(float(value), 3) for name, value in zip(DENSE_CLASSES, per_class, strict=True)}
        dense, areas, calibre, facts = (round(float(value), 3) for value in total)
        return StepLosses(number, dense, areas, calibre, facts, named)


def _standardise_tokens(model: CompactSlices, cache: SliceCache, device: str) -> None:
    """Give tokens zero mean and unit variance over a sample of training slices."""
    sample = [torch.from_numpy(cache.volumes[row].slices[::4].copy()) for row in range(min(len(cache), 200))]
    tokens = encode_pieces(torch.cat(sample), model, device, batch=32)
    with torch.no_grad():
        model.token_shift.copy_(tokens.mean(dim=0))
        model.token_scale.copy_(tokens.std(dim=0).clamp_min(0.02))


def pretrain_encoder(
    cache: SliceCache,
    window_hu: tuple[int, int],
    settings: PretrainSettings | None = None,
    *,
    device: str = "cpu",
    report: Report | None = None,
) -> CompactSlices:
    """Train `compact_slices` on the training patients of a cache (labels needed) and return it frozen.

    The result has batch norm folded, standardised tokens and weights exact in float16. Deterministic by
    `settings.seed` on one machine and thread count. Raises ValueError where the cache holds no label maps.
    """
    settings = settings or PretrainSettings()
    if not len(cache) or any(volume.labels is None for volume in cache.volumes):
        raise ValueError("pretraining needs patients with label maps")
    trainer = _Trainer(cache, window_hu, settings, device)
    for number in range(settings.epochs):
        losses = trainer.epoch(number)
        if report is not None:
            report(losses)
    model = fold_batch_norm(trainer.model.cpu()).to(device)
    refine_projection(model, cache, settings.refine, device)
    _standardise_tokens(model, cache, device)
    round_to_half(model.cpu())
    return model.eval().requires_grad_(False)
