"""The ledger of modalities: what was there, and the risk with each taken away, by an independent batch without it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fuse_support import planted_set, random_patients

from core.explain.ledger import modality_ledger
from core.fuse import TokenBatch
from core.records import EHR, IMAGE
from core.train.fit import FitConfig, fit_fusion


def test_taking_a_modality_away_is_the_case_without_it() -> None:
    whole, _ = planted_set(5, 160)
    config = FitConfig(members=2, hidden=8, epochs=3, least_steps=0)
    model = fit_fusion(whole.subset(np.arange(120)), whole.subset(np.arange(120, 160)), "bimodal", config=config).model
    ct, ehr = random_patients(3, 1)
    batch = TokenBatch.from_tokens({IMAGE: ct, EHR: ehr})
    rows = {row.modality: row for row in modality_ledger(model, batch, 90.0)}
    assert list(rows) == list(model.reads)
    with torch.no_grad():
        alone = {
            IMAGE: float(model.risk(TokenBatch.from_tokens({IMAGE: [None], EHR: ehr}), 90.0)[0]),
            EHR: float(model.risk(TokenBatch.from_tokens({IMAGE: ct, EHR: [None]}), 90.0)[0]),
        }
    for name, risk in alone.items():
        assert rows[name].risk_without == pytest.approx(risk, abs=1e-6)
        assert rows[name].tokens == int(batch[name].mask.sum())
    assert (rows["signals"].tokens, rows["signals"].risk_without) == (0, None)
    assert rows[IMAGE].risk_without != pytest.approx(float(model.risk(batch, 90.0)[0]), abs=1e-4)
