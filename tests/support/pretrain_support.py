"""Planted findings in small slices, for the pretraining of the CT encoder."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from core.encode.ct.compact_slices import CompactSlices
from core.encode.ct.encoders import encode_pieces
from core.pretrain.ct_findings.cache import PatientSlices, SliceCache
from core.pretrain.ct_findings.train import PretrainSettings

CLOT, EFFUSION = 10, 7


def planted_patient(rng: np.random.Generator, index: int) -> tuple[PatientSlices, dict[str, float]]:
    """Noise with a bright artery of varied width; clots are dark 3 x 3 pixel squares in it, effusion a grey band."""
    hu = rng.normal(-850, 40, (10, 128, 144))
    labels = np.zeros(hu.shape, np.uint8)
    width = int(rng.integers(16, 45))
    hu[:, 40 : 40 + width, 40:100] = 330 + rng.normal(0, 20, (10, width, 60))
    labels[:, 40 : 40 + width, 40:100] = 3
    has_clot, has_effusion = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    for z in range(2, 7):
        if has_clot:
            row, column = rng.integers(42, 36 + width), rng.integers(42, 94)
            hu[z, row : row + 3, column : column + 3], labels[z, row : row + 3, column : column + 3] = 50, CLOT
        if has_effusion:
            hu[z, 100:112, 20:120], labels[z, 100:112, 20:120] = 10, EFFUSION
    z_mm = np.arange(10, dtype=np.float32) * 5
    facts = {
        "index": index,
        "clot_burden": 0.4 * has_clot,
        "pulmonary_trunk_diameter_mm": 2.0 * width,
        "heart_scale": 1.0,
        "coronary_calcium": 0.0,
        "effusion_left_ml": 300.0 * has_effusion,
        "effusion_right_ml": 0.0,
        "emphysema_fraction": 0.0,
        "nodule_diameter_mm": 0.0,
        **{f"interstitial_{zone}": 0.0 for zone in range(4)},
        "time_to_event_days": float(rng.exponential(400 * np.exp(-has_clot)) + 1),
        "event": bool(rng.random() < 0.7),
    }
    return PatientSlices(hu.astype(np.int16), labels, z_mm, z_mm / 45), facts


def planted_cache(count: int, seed: int) -> SliceCache:
    rng = np.random.default_rng(seed)
    volumes, facts = zip(*(planted_patient(rng, index) for index in range(count)), strict=True)
    return SliceCache(pd.DataFrame(list(facts)), list(volumes))


SMALL = PretrainSettings(
    epochs=14,
    patients=6,
    spread=3,
    lesion=2,
    widths=(8, 16, 16),
    augment=False,
    mixed_precision=False,
    learning_rate=6e-3,
)


def encoded(cache: SliceCache, encoder: CompactSlices, device: str = "cpu") -> list[np.ndarray]:
    """Tokens (slices, D) of every patient."""
    return [encode_pieces(torch.from_numpy(volume.slices), encoder, device).numpy() for volume in cache.volumes]
