"""Calibration measures: right models pass, wrong ones fail, and each number equals its slow restatement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from survive_support import cohort, outcomes, slow_kaplan_meier, survival_curves

from core.errors import UserFacingError
from core.survive import calibration_groups, d_calibration, observed_expected, smooth_calibration
from core.survive.metrics.calibration import pseudo_risks

HORIZON = 200.0


def own_survival(time, log_hazard, stretch=1.0):
    """True S(t_i | x_i) of `cohort` where times were stretched."""
    return np.exp(-time * stretch * np.exp(log_hazard) / 300)


def slow_bins(survival, event):
    counts = np.zeros(10)
    for s, seen in zip(survival, event, strict=True):
        own = min(int(s * 10), 9)
        if seen:
            counts[own] += 1
        else:
            counts[own] += (s - own / 10) / s if own else 1
            for lower in range(own):
                counts[lower] += 0.1 / s
    return counts


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_d_calibration_shares_follow_their_definition_and_sum_to_n(patients):
    survival, event = np.array([s for s, _ in patients]), np.array([e for _, e in patients])
    found = d_calibration(survival, event)
    assert found.counts == pytest.approx(slow_bins(survival, event), abs=1e-6)
    assert found.counts.sum() == pytest.approx(len(patients))


def test_patients_censored_at_time_zero_spread_evenly():
    assert d_calibration(np.ones(30), np.zeros(30)).counts == pytest.approx(np.full(10, 3.0))


def test_d_calibration_p_is_uniform_for_the_true_model_and_zero_for_stretched_times():
    rng, p_values = np.random.default_rng(1), []
    for _ in range(300):
        time, event, truth = cohort(rng, 500, censor_days=np.inf)
        p_values.append(d_calibration(own_survival(time, truth), event).p_value)
    assert kstest(p_values, "uniform").pvalue > 0.01
    time, event, truth = cohort(rng, 1500)
    right = d_calibration(own_survival(time, truth), event)
    assert right.p_value > 0.01
    assert d_calibration(own_survival(time, truth, 1.5), event).p_value < 1e-6
    assert d_calibration(own_survival(time, truth), ~event).p_value < 0.01


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
    with pytest.raises(UserFacingError, match="outside 0 to 1"):
        d_calibration([1.5], [1])
    with pytest.raises(UserFacingError, match="risk is 0"):
        observed_expected([1, 2], [1, 0], [0, 0], 1)
