"""Linear probes: lifelines as the oracle, a planted direction found, noise not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from core.benchmark import linear_probes
from core.benchmark.linear_probes import breslow_survival, cox_probe, logistic_probe
from core.survive import concordance


def planted(n: int, d: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, days, events and the true log hazard."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(n, d))
    eta = features[:, 0] - 0.7 * features[:, 1]
    days, follow_up = 300 * draw.exponential(size=n) * np.exp(-eta), draw.uniform(0, 600, n)
    return features, np.minimum(days, follow_up), days <= follow_up, eta


def test_without_a_penalty_it_is_the_cox_regression_of_lifelines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_probes, "PENALTIES", (1e-9,))
    features, days, events, _ = planted(300)
    days = np.ceil(days / 10) * 10  # with ties
    found = cox_probe(features, days, events)
    table = pd.DataFrame(features).assign(days=days, event=events)
    wanted = CoxPHFitter().fit(table, "days", "event").params_.to_numpy()
    np.testing.assert_allclose(found.weights, wanted, atol=2e-3)


def test_the_baseline_is_breslows() -> None:
    features, days, events, _ = planted(200)
    fitted = CoxPHFitter(baseline_estimation_method="breslow").fit(
        pd.DataFrame(features).assign(days=days, event=events), "days", "event"
    )
    score = features @ fitted.params_.to_numpy()
    at = np.sort(days[events])[[3, 20, 60]]  # between steps lifelines interpolates
    wanted = fitted.predict_survival_function(pd.DataFrame(features[:5]), times=at).to_numpy().T
    np.testing.assert_allclose(breslow_survival(days, events, score, score[:5], at), wanted, atol=2e-3)
    assert (np.diff(breslow_survival(days, events, score, score, np.arange(0, 600, 7.0)), axis=1) <= 0).all()


def test_more_directions_than_patients_still_find_the_planted_one_and_noise_stays_at_chance() -> None:
    features, days, events, _ = planted(120, d=200, seed=1)
    fresh, later, seen, _ = planted(800, d=200, seed=2)
    found = cox_probe(features, days, events)
    assert concordance(later, seen, found.score(fresh)) > 0.6
    noise = cox_probe(np.random.default_rng(3).normal(size=(120, 200)), days, events)
    assert abs(concordance(later, seen, noise.score(fresh)) - 0.5) < 0.06


def test_the_logistic_probe_finds_the_same_direction() -> None:
    features, *_, eta = planted(400, seed=4)
    labels = np.random.default_rng(5).random(400) < 1 / (1 + np.exp(-2 * eta))
    weights = logistic_probe(features, labels).weights
    np.testing.assert_allclose(weights[1] / weights[0], -0.7, atol=0.2)
    assert (np.abs(weights[2:]) < 0.25 * abs(weights[0])).all()


def test_one_class_alone_gives_no_direction() -> None:
    features, *_ = planted(40)
    assert np.isfinite(logistic_probe(features, np.zeros(40, bool)).weights).all()
    assert (cox_probe(features, np.arange(40.0) + 1, np.zeros(40, bool)).weights == 0).all()
