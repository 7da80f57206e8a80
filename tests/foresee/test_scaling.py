"""Loss against compute: a planted power law comes back, and each patient is scored by their own tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from foresee_support import as_events, simulate_process

from bench.scaling import Corpus, Run, advice, corpus, patient_losses, slope_with_interval
from core.foresee.model import EventModel, ModelConfig
from core.foresee.packing import as_documents
from core.foresee.tokens import tokenise

FLOPS = [1e9, 1e10, 1e11, 1e12]
RUNS = [Run("0.1m", 1.0, 1, 1, 1.0, 1.0, 1.0), Run("0.4m", 1.0, 1, 1, 1.0, 1.0, 1.0)]


def planted(losses: list[float], patients: int = 200, noise: float = 0.0) -> np.ndarray:
    """(runs, p, 2): 50 tokens a patient, whose mean loss is this; patients differ alike in all runs."""
    rng = np.random.default_rng(0)
    own = 1 + noise * rng.normal(size=patients)
    return np.stack([np.stack([50 * loss * own, np.full(patients, 50.0)], axis=1) for loss in losses])


def corpus_of(patients: int) -> Corpus:
    return corpus(as_events(simulate_process(patients, 0)), 0)


@pytest.mark.parametrize("exponent", [-0.07, 0.0])
def test_a_power_law_comes_back(exponent: float) -> None:
    losses = [3.0 * (flops / FLOPS[0]) ** exponent for flops in FLOPS]
    slope = slope_with_interval(FLOPS, planted(losses, noise=0.2), 0)
    assert slope.value == pytest.approx(exponent, abs=1e-9)
    assert slope.lower - 1e-9 <= exponent <= slope.upper + 1e-9


def test_the_interval_is_as_wide_as_patients_disagree() -> None:
    rng = np.random.default_rng(1)
    scores = planted([3.0, 2.8, 2.6, 2.4])
    disagreeing = scores.copy()
    disagreeing[:, :, 0] *= 1 + 0.3 * rng.normal(size=disagreeing.shape[:2])
    widths = [
        slope.upper - slope.lower for slope in (slope_with_interval(FLOPS, one, 0) for one in (scores, disagreeing))
    ]
    assert widths[0] < 1e-9
    assert widths[1] > 1e-3


def test_a_larger_size_is_advised_only_where_the_last_step_gained() -> None:
    assert "may gain more" in advice(RUNS, planted([3.0, 2.9], noise=0.2), 0)
    assert "no reason" in advice(RUNS, planted([3.0, 3.0], noise=0.2), 0)
    assert "no reason" in advice(RUNS, planted([2.9, 3.0], noise=0.2), 0)


def test_each_patient_is_scored_by_their_own_tokens() -> None:
    data = corpus_of(60)
    torch.manual_seed(0)
    model = EventModel(ModelConfig.of_size("0.1m", len(data.vocabulary))).eval()
    found = patient_losses(model, data.held_back)
    assert len(found) == 6
    assert found[:, 1].sum() == data.held_back.targets
    ends = data.held_back.offsets
    for place in range(len(found)):
        own = torch.from_numpy(data.held_back.tokens[ends[place] : ends[place + 1]].astype(np.int64))
        given = int(data.held_back.given[place])
        logs = model.logits(model(own[None]))[0].log_softmax(-1).detach()
        expected = -sum(float(logs[at - 1, own[at]]) for at in range(given, len(own)))
        assert found[place, 0] == pytest.approx(expected, rel=1e-4)


def test_a_smaller_share_is_a_part_of_a_larger_one_and_nobody_is_held_back_twice() -> None:
    data = corpus_of(100)
    small, whole = data.train(0.25), data.train(1.0)
    assert (len(set(small.owners)), len(set(whole.owners))) == (20, 80)
    assert set(data.order[:20]) < set(data.order)
    assert small.targets < whole.targets
    own = as_documents(tokenise(data.events.of(data.order[:20].tolist()), data.vocabulary), 512)
    assert np.array_equal(small.tokens, own.tokens)
    assert len(data.order) + len(set(data.tuning.owners)) + len(set(data.held_back.owners)) == 100
