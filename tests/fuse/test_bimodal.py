"""Every pair of modalities: any number, any missing, both branches live, the order of no account."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from fuse_support import random_tokens

from core.fuse import FusionConfig, TokenBatch
from core.fuse.fusions import Bimodal
from core.records import EHR, IMAGE, SIGNALS, Tokens

WIDTHS = {IMAGE: 6, EHR: 5, SIGNALS: 4}


def patients(seed: int, count: int) -> dict[str, list[Tokens | None]]:
    rng = np.random.default_rng(seed)
    return {
        name: [random_tokens(rng, int(rng.integers(1, 9)), width) for _ in range(count)]
        for name, width in WIDTHS.items()
    }


def build(names: tuple[str, ...] = (IMAGE, EHR, SIGNALS)) -> Bimodal:
    torch.manual_seed(0)
    return Bimodal(FusionConfig({name: WIDTHS[name] for name in names}, hidden=8, heads=2)).eval()


def batch(tokens: dict[str, list[Tokens | None]], *rows: int) -> TokenBatch:
    chosen = {name: [own[row] for row in rows] if rows else own for name, own in tokens.items()}
    return TokenBatch.from_tokens(chosen, WIDTHS)


def test_features_are_modalities_and_pairs() -> None:
    for names in ((IMAGE,), (IMAGE, EHR), (IMAGE, EHR, SIGNALS)):
        fusion = build(names)
        state = fusion(batch(patients(1, 3)))
        assert state.features.shape == (3, 8 * (len(names) + len(names) * (len(names) - 1) // 2))
        assert state.features.shape[1] == fusion.out_features
        assert set(state.weights) == set(names)


def test_a_patient_alone_and_among_others_is_the_same() -> None:
    tokens = patients(2, 8)
    tokens[IMAGE][0], tokens[EHR][1], tokens[SIGNALS][2] = None, None, None
    tokens[IMAGE][3] = tokens[EHR][3] = tokens[SIGNALS][3] = None
    fusion = build()
    together = fusion(batch(tokens))
    assert torch.isfinite(together.features).all()
    for row in range(8):
        alone = fusion(batch(tokens, row))
        torch.testing.assert_close(alone.features[0], together.features[row], atol=1e-5, rtol=0)


def test_every_direction_of_every_pair_changes_the_features() -> None:
    tokens = batch(patients(3, 4))
    whole = build()(tokens).features
    for one, other in combinations(WIDTHS, 2):
        for asks, answers in ((one, other), (other, one)):
            fusion = build()
            with torch.no_grad():
                for weight in fusion.attend[f"{asks}_reads_{answers}"].out.parameters():
                    weight.zero_()
            assert (fusion(tokens).features - whole).abs().max() > 1e-3, (asks, answers)


def test_a_change_of_one_modality_reaches_its_own_parts_and_its_pairs_alone() -> None:
    tokens = patients(4, 1)
    changed = {**tokens, SIGNALS: [random_tokens(np.random.default_rng(9), 5, WIDTHS[SIGNALS])]}
    fusion = build()
    one, other = fusion(batch(tokens)).features[0].view(-1, 8), fusion(batch(changed)).features[0].view(-1, 8)
    moved = [not torch.equal(a, b) for a, b in zip(one, other)]
    assert moved == [
        False,
        False,
        True,
        False,
        True,
        True,
    ]  # CT, record, ECG; CT and record, CT and ECG, record and ECG


@pytest.mark.parametrize("gone", [IMAGE, EHR, SIGNALS])
def test_a_modality_that_is_missing_is_finite_and_has_no_weight(gone: str) -> None:
    tokens = patients(5, 2)
    tokens[gone][0] = None
    state = build()(batch(tokens))
    assert torch.isfinite(state.features).all()
    assert float(state.weights[gone][0].sum()) == 0
    assert float(state.weights[gone][1].sum()) == pytest.approx(1, abs=1e-5)
