"""Random patients as tokens, for the tests of fusion, survival model, training and bundles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.fuse import TokenBatch, TokenSet
from core.records import EHR, IMAGE, Tokens

CT_WIDTH, EHR_WIDTH = 6, 5


def random_tokens(rng: np.random.Generator, count: int, width: int) -> Tokens:
    """`count` random tokens of one patient."""
    places = np.sort(rng.uniform(0, 1, count))
    return Tokens(rng.normal(size=(count, width)), places * 300, places, "test", "digest", np.arange(count))


def random_patients(seed: int, count: int, *, missing: bool = False) -> tuple[list[Tokens | None], list[Tokens | None]]:
    """Image and record tokens of `count` patients of different lengths; with `missing`, one lacks each modality."""
    rng = np.random.default_rng(seed)
    ct: list[Tokens | None] = [random_tokens(rng, int(rng.integers(1, 9)), CT_WIDTH) for _ in range(count)]
    ehr: list[Tokens | None] = [random_tokens(rng, int(rng.integers(1, 12)), EHR_WIDTH) for _ in range(count)]
    if missing:
        ct[0], ehr[1] = None, None
    return ct, ehr


def batch_of(ct: Sequence[Tokens | None], ehr: Sequence[Tokens | None]) -> TokenBatch:
    """Patients with tokens of scan and record as one batch."""
    return TokenBatch.from_tokens({IMAGE: ct, EHR: ehr}, {IMAGE: CT_WIDTH, EHR: EHR_WIDTH})


def set_of(ct: Sequence[Tokens | None], ehr: Sequence[Tokens | None], *outcome: Any) -> TokenSet:
    """Patients with tokens of scan and record, and times, events and ids."""
    return TokenSet.from_tokens({IMAGE: ct, EHR: ehr}, *outcome)


def random_batch(seed: int, count: int, *, missing: bool = False) -> TokenBatch:
    """The same as one batch."""
    return batch_of(*random_patients(seed, count, missing=missing))


def planted_set(seed: int, count: int) -> tuple[TokenSet, np.ndarray]:
    """Patients whose first token columns carry the log hazard z_i + z_e; also that log hazard (n,)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(count, 2))
    cts, ehrs = [], []
    for row in range(count):
        ct = rng.normal(size=(int(rng.integers(4, 8)), CT_WIDTH))
        record = rng.normal(size=(int(rng.integers(3, 9)), EHR_WIDTH))
        ct[:, 0] = z[row, 0] + 0.3 * ct[:, 0]
        record[:, 0] = z[row, 1] + 0.3 * record[:, 0]
        cts.append(Tokens(ct, np.zeros(len(ct)), np.linspace(0, 1, len(ct)), "test", "d"))
        ehrs.append(Tokens(record, np.zeros(len(record)), np.linspace(0, 1, len(record)), "test", "d"))
    eta = z.sum(axis=1)
    event = 300 * rng.exponential(size=count) * np.exp(-eta)
    censored = rng.uniform(50, 900, count)
    return set_of(cts, ehrs, np.minimum(event, censored), event <= censored, np.arange(count)), eta
