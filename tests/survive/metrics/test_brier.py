"""Brier score, AUC and curve error against scikit-survival, definitions and simulated truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sksurv.metrics import brier_score as other_brier
from sksurv.metrics import cumulative_dynamic_auc as other_auc
from sksurv.metrics import integrated_brier_score as other_integrated
from sksurv.util import Surv
from survive_support import cohort, survival_curves, won

from core.errors import UserFacingError
from core.survive import (
    brier_score,
    cumulative_dynamic_auc,
    integrated_brier_score,
    reference_survival,
)
from core.survive.metrics.pairs import resample_counts

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "survival_numbers.json").read_text())
TIMES = np.array([30.0, 90.0, 300.0])


@pytest.mark.parametrize("whole_days", [False, True])
def test_agrees_with_scikit_survival_also_with_training_weights(whole_days):
    rng = np.random.default_rng(1)
    train_time, train_event, _ = cohort(rng, 400, censor_days=900, whole_days=whole_days)
    time, event, truth = cohort(rng, 250, whole_days=whole_days)
    times = TIMES / (20 if whole_days else 1)
    risk = np.round(truth + rng.normal(size=250), 1)
    curves, train = survival_curves(risk, TIMES), (train_time, train_event)
    y, yt = Surv.from_arrays(event, time), Surv.from_arrays(train_event, train_time)
    assert brier_score(time, event, curves, times, censoring=train) == pytest.approx(
        other_brier(yt, y, curves, times)[1]
    )
    own = integrated_brier_score(time, event, curves, times, censoring=train)
    assert own == pytest.approx(other_integrated(yt, y, curves, times))
    found = [cumulative_dynamic_auc(time, event, risk, t, censoring=train)[0] for t in times]
    assert found == pytest.approx(list(other_auc(yt, y, risk, times)[0]))


def test_golden_numbers():
    data, numbers, times = GOLDEN["cohort"], GOLDEN["numbers"], GOLDEN["times"]
    assert brier_score(data["time"], data["event"], data["survival"], times) == pytest.approx(numbers["brier"])
    integrated = integrated_brier_score(data["time"], data["event"], data["survival"], times)
    assert integrated == pytest.approx(numbers["integrated_brier"])
    found = [cumulative_dynamic_auc(data["time"], data["event"], data["risk"], t)[0] for t in times]
    assert found == pytest.approx(numbers["auc"])


def test_without_censoring_brier_is_the_plain_mean_square_and_auc_the_share_of_pairs():
    time, event, risk = cohort(np.random.default_rng(2), 60, censor_days=np.inf)
    curves, t = survival_curves(risk, TIMES), TIMES[1]
    plain = ((curves - (time[:, None] > TIMES)) ** 2).mean(axis=0)
    assert brier_score(time, event, curves, TIMES) == pytest.approx(plain)
    cases, controls = np.flatnonzero(time <= t), np.flatnonzero(time > t)
    pairs = [won(risk, i, j) for i in cases for j in controls]
    assert cumulative_dynamic_auc(time, event, risk, t)[0] == pytest.approx(np.mean(pairs))


def test_true_model_beats_kaplan_meier_beats_random_curves():
    rng = np.random.default_rng(3)
    time, event, truth = cohort(rng, 3000)
    grid = np.linspace(10, 400, 100)
    random = survival_curves(rng.normal(size=3000) * 2, grid)
    scores = [
        integrated_brier_score(time, event, curves, grid)
        for curves in (survival_curves(truth, grid), reference_survival(3000, grid, time, event), random)
    ]
    assert scores[0] < scores[1] - 0.02
    assert scores[1] < scores[2] - 0.02


def test_independent_censoring_leaves_the_brier_score_and_flipped_events_do_not():
    rng, n = np.random.default_rng(4), 20_000
    truth = rng.normal(size=n)
    happened, curves = rng.exponential(300 * np.exp(-truth)), survival_curves(truth, TIMES)
    scores, flipped = [], []
    for mean in (np.inf, 900.0, 300.0):
        left = rng.exponential(mean, n) if np.isfinite(mean) else np.full(n, np.inf)
        time, event = np.minimum(happened, left), happened <= left
        scores.append(brier_score(time, event, curves, TIMES))
        if np.isfinite(mean):
            flipped.append(brier_score(time, ~event, curves, TIMES))
    assert np.ptp(np.array(scores), axis=0).max() < 0.01
    assert np.abs(np.array(flipped) - scores[0]).max() > 0.03


def test_weighted_auc_is_the_auc_of_repeated_patients():
    rng = np.random.default_rng(5)
    time, event, risk = cohort(rng, 80)
    risk, train = np.round(risk, 1), (time, event)
    counts = next(iter(resample_counts(np.arange(80), 5, 0)))
    fast = cumulative_dynamic_auc(time, event, risk, 90.0, censoring=train, weights=counts)
    for column, value in zip(counts.T, fast, strict=True):
        rows = np.repeat(np.arange(80), column)
        slow = cumulative_dynamic_auc(time[rows], event[rows], risk[rows], 90.0, censoring=train)[0]
        assert value == pytest.approx(slow)


def test_refusals():
    time, event, risk = cohort(np.random.default_rng(6), 30)
    curves = survival_curves(risk, TIMES)
    for bad in (curves + 1, curves[:5], curves[:, :2], curves * np.nan):
        with pytest.raises(UserFacingError):
            brier_score(time, event, bad, TIMES)
    with pytest.raises(UserFacingError, match="time span"):
        integrated_brier_score(time, event, curves[:, :1], TIMES[:1])
    with pytest.raises(UserFacingError, match="infinite"):
        brier_score([1, 2, 3, 4], [1, 1, 1, 1], np.full((4, 1), 0.5), [3.5], censoring=([1, 2, 2], [1, 0, 0]))
    assert np.isnan(cumulative_dynamic_auc([1.0, 2.0], [1, 1], [0.2, 0.1], 5.0)[0])
