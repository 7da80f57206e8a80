"""Calibration measures: right models pass, wrong ones fail, and each number equals its slow restatement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from survive_support import cohort, outcomes, slow_kaplan_meier, survival_curves

from core.errors import UserFacingError
from core.survive import calibration_groups, observed_expected, smooth_calibration
from core.survive.metrics.calibration import pseudo_risks

HORIZON = 200.0


@given(outcomes(smallest=3, largest=12), st.integers(1, 6))
@settings(max_examples=80, deadline=None)
def test_pseudo_observations_are_the_jackknife(data, horizon):
    time, event, _ = data
    if horizon > time.max():
        with pytest.raises(UserFacingError, match="followed to day"):
            pseudo_risks(time, event, horizon)
        return
    n, overall = len(time), 1 - slow_kaplan_meier(time, event, horizon)
    for i, value in enumerate(pseudo_risks(time, event, horizon)):
        rest = np.arange(n) != i
        without = 1 - slow_kaplan_meier(time[rest], event[rest], horizon)
        assert value == pytest.approx(n * overall - (n - 1) * without, abs=1e-9)


def test_without_censoring_pseudo_observations_are_the_outcomes():
    time, event, _ = cohort(np.random.default_rng(2), 50, censor_days=np.inf)
    assert pseudo_risks(time, event, HORIZON) == pytest.approx((time <= HORIZON).astype(float), abs=1e-9)


def test_groups_hold_their_kaplan_meier_and_the_true_model_lies_within():
    time, event, truth = cohort(np.random.default_rng(3), 2000)
    risk = 1 - survival_curves(truth, [HORIZON])[:, 0]
    found = calibration_groups(time, event, risk, HORIZON)
    assert found.n.tolist() == [200] * 10
    assert found.events.sum() == (event & (time <= HORIZON)).sum()
    assert (np.diff(found.predicted) > 0).all()
    inside = (found.lower <= found.predicted) & (found.predicted <= found.upper)
    assert inside.sum() >= 8
    lowest = risk <= np.sort(risk)[199]
    assert found.observed[0] == pytest.approx(1 - slow_kaplan_meier(time[lowest], event[lowest], HORIZON))
    wrong = calibration_groups(time, event, risk**2, HORIZON)
    assert ((wrong.lower <= wrong.predicted) & (wrong.predicted <= wrong.upper)).sum() <= 4


def test_equal_predictions_stay_in_one_group():
    time, event, _ = cohort(np.random.default_rng(4), 300)
    assert calibration_groups(time, event, np.full(300, 0.4), HORIZON).n.tolist() == [300]
    half = calibration_groups(time, event, np.repeat([0.2, 0.6], 150), HORIZON)
    assert half.n.tolist() == [150, 150]


def test_ici_is_small_for_the_truth_and_measures_a_known_error():
    time, event, truth = cohort(np.random.default_rng(5), 6000)
    risk = 1 - survival_curves(truth, [HORIZON])[:, 0]
    right = smooth_calibration(time, event, risk, HORIZON)
    assert right.ici < 0.02
    assert right.e50 <= right.e90
    wrong = risk**1.5
    known = np.abs(wrong - risk).mean()
    assert smooth_calibration(time, event, wrong, HORIZON).ici == pytest.approx(known, abs=0.02)
    constant = smooth_calibration(time, event, np.full(6000, 0.9), HORIZON)
    assert constant.ici == pytest.approx(0.9 - risk.mean(), abs=0.02)
    assert abs(smooth_calibration(time, ~event, risk, HORIZON).ici - right.ici) > 0.05


def test_observed_over_expected():
    time, event, truth = cohort(np.random.default_rng(6), 3000)
    risk = 1 - survival_curves(truth, [HORIZON])[:, 0]
    found = observed_expected(time, event, risk, HORIZON)
    assert found.lower < 1 < found.upper
    assert found.observed == pytest.approx(1 - slow_kaplan_meier(time, event, HORIZON))
    halved = observed_expected(time, event, risk / 2, HORIZON)
    assert halved.ratio == pytest.approx(2 * found.ratio)
    assert halved.lower > 1
    assert np.isnan(observed_expected(time, event, risk, time.max() + 1).ratio)


def test_refusals():
    with pytest.raises(UserFacingError, match="outside 0 to 1"):
        calibration_groups([1, 2], [1, 0], [0.2, 1.2], 1)
    with pytest.raises(UserFacingError, match="risk is 0"):
        observed_expected([1, 2], [1, 0], [0, 0], 1)
