"""D-calibration at horizons: a slow restatement, Haider's own bins where horizons lie dense, right and wrong models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from survive_support import cohort, outcomes, slow_censoring, survival_curves

from core.errors import UserFacingError
from core.survive import d_calibration
from core.survive.metrics.d_calibration import BINS, d_calibration_parts, d_calibration_shares
from core.survive.metrics.pairs import resample_counts

HORIZONS = [30, 90, 365]


def slow_shares(time, event, survival, horizons):
    """The definition, patient by patient and in tiny steps of S."""
    counts = np.zeros(BINS)
    for t, seen, curve in zip(time, event, survival, strict=True):
        if not seen and t <= horizons[-1]:
            continue
        before = [1.0, *(s for s, day in zip(curve, horizons, strict=True) if day < t)][-1]
        after = [*(s for s, day in zip(curve, horizons, strict=True) if day >= t), 0.0][0]
        weight = 1 / slow_censoring(time, event, min(t, horizons[-1]))
        steps = after + (before - after) * (np.arange(2000) + 0.5) / 2000
        counts += weight * np.bincount(np.minimum((steps * BINS).astype(int), BINS - 1), minlength=BINS) / 2000
    return counts / counts.sum()


@given(outcomes(smallest=4, largest=20))
@settings(max_examples=60, deadline=None)
def test_shares_follow_their_definition(data):
    time, event, risk = data
    horizons = [2.0, 5.0]
    survival = np.exp(-np.outer(np.exp(risk / 2), horizons) / 7)
    if time.max() <= horizons[-1]:
        return
    found = d_calibration(time, event, survival, horizons)
    assert found.shares == pytest.approx(slow_shares(time, event, survival, horizons), abs=2e-3)
    assert found.shares.sum() == pytest.approx(1)


def test_dense_horizons_without_censoring_give_the_bins_of_the_whole_curves():
    time, event, truth = cohort(np.random.default_rng(3), 400, censor_days=np.inf)
    grid = np.concatenate([[1e-3], np.geomspace(0.01, time.max() + 1, 4000)])
    own = np.exp(-time * np.exp(truth) / 300)
    whole = np.bincount(np.minimum((own * BINS).astype(int), BINS - 1), minlength=BINS) / 400
    assert d_calibration(time, event, survival_curves(truth, grid), grid).shares == pytest.approx(whole, abs=0.005)


def test_the_true_model_passes_as_often_as_it_should_and_wrong_ones_do_not():
    rng, right, wrong, shuffled = np.random.default_rng(1), [], [], []
    for _ in range(200):
        time, event, truth = cohort(rng, 500, censor_days=900)
        curves = survival_curves(truth, HORIZONS)
        right.append(d_calibration(time, event, curves, HORIZONS).p_value)
        wrong.append(d_calibration(time, event, curves**1.5, HORIZONS).p_value)
        shuffled.append(d_calibration(time, event, rng.permutation(curves), HORIZONS).p_value)
    assert 0.01 < np.mean(np.array(right) < 0.05) < 0.12
    assert np.mean(np.array(wrong) < 0.05) > 0.95
    assert np.mean(np.array(shuffled) < 0.05) > 0.95


def test_censoring_leaves_the_shares_of_the_true_model_even():
    time, event, truth = cohort(np.random.default_rng(2), 20000)
    found = d_calibration(time, event, survival_curves(truth, HORIZONS), HORIZONS)
    assert found.shares == pytest.approx(np.full(BINS, 1 / BINS), abs=0.01)


def test_resampled_shares_are_those_of_the_drawn_patients_with_weights_kept():
    time, event, truth = cohort(np.random.default_rng(4), 60)
    weights, parts = d_calibration_parts(time, event, survival_curves(truth, HORIZONS), HORIZONS)
    counts = list(resample_counts(np.arange(60), 5, 0))
    found = d_calibration_shares(weights, parts, counts)
    for column, share in zip(counts[0].T, found.T, strict=True):
        rows = np.repeat(np.arange(60), column)
        assert share == pytest.approx(weights[rows] @ parts[rows] / weights[rows].sum())


def test_rows_of_one_patient_do_not_count_as_more_evidence():
    time, event, truth = cohort(np.random.default_rng(5), 200)
    curves = survival_curves(truth, HORIZONS) ** 1.2
    once, copies = d_calibration(time, event, curves, HORIZONS), np.repeat(np.arange(200), 3)
    repeated = d_calibration(time[copies], event[copies], curves[copies], HORIZONS, groups=copies)
    assert repeated.shares == pytest.approx(once.shares, abs=1e-3)
    assert repeated.statistic == pytest.approx(once.statistic, rel=0.02)


def test_one_prediction_for_everybody_has_no_test_and_misfits_are_refused():
    time, event, _ = cohort(np.random.default_rng(6), 50)
    assert np.isnan(d_calibration(time, event, np.tile([0.9, 0.7, 0.4], (50, 1)), HORIZONS).p_value)
    for survival, horizons in (([[0.5]], [1, 2]), ([[1.5]], [1]), ([[np.nan]], [1]), ([[0.9, 0.8]], [2, 1])):
        with pytest.raises(UserFacingError, match="does not fit"):
            d_calibration([3.0], [1], survival, horizons)
    with pytest.raises(UserFacingError, match="nobody is followed"):
        d_calibration([1.0], [0], [[0.5]], [2])
