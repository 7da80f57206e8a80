"""Kaplan-Meier estimates against a loop, lifelines, scikit-survival, golden numbers and the shipped curves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from lifelines import KaplanMeierFitter
from sksurv.nonparametric import CensoringDistributionEstimator
from sksurv.util import Surv
from survive_support import cohort, outcomes, slow_censoring, slow_kaplan_meier

from core.bundle import shipped_bundles
from core.errors import UserFacingError
from core.survive import censoring_survival, event_survival, kaplan_meier

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "survival_numbers.json").read_text())


@given(outcomes())
@settings(max_examples=100, deadline=None)
def test_both_curves_follow_their_definition(data):
    time, event, _ = data
    days = np.unique(np.concatenate([time, time + 0.5]))
    assert event_survival(time, event)(days) == pytest.approx([slow_kaplan_meier(time, event, day) for day in days])
    assert censoring_survival(time, event)(days) == pytest.approx([slow_censoring(time, event, day) for day in days])
    before = [slow_kaplan_meier(time, event, day, inclusive=False) for day in days]
    assert event_survival(time, event).before(days) == pytest.approx(before)


@given(outcomes())
@settings(max_examples=20, deadline=None)
def test_the_shown_curve_is_the_same_with_an_interval_that_holds_it(data):
    time, event, _ = data
    km = kaplan_meier(time, event)
    assert km.times_days[0] == 0
    assert km.survival == pytest.approx(event_survival(time, event)(km.times_days))
    assert (np.diff(km.survival) <= 0).all()
    assert (km.lower <= km.survival + 1e-12).all()
    assert (km.upper >= km.survival - 1e-12).all()
    for day in range(10):
        assert km.at_risk(day) == np.sum(time >= day)


@pytest.mark.parametrize("whole_days", [False, True])
def test_the_censoring_curve_is_lifelines_where_no_event_ties_with_a_censoring(whole_days):
    time, event, _ = cohort(np.random.default_rng(4), 300, whole_days=whole_days)
    time = time + 0.25 * ~event  # lifelines lets events and censorings of one time leave together
    other = KaplanMeierFitter().fit(time, ~event).survival_function_.iloc[:, 0]
    assert censoring_survival(time, event)(other.index) == pytest.approx(other.to_numpy())
    assert kaplan_meier(time, ~event).survival == pytest.approx(other.to_numpy())


@pytest.mark.parametrize("name", shipped_bundles())
def test_shipped_baselines_are_the_curves_of_their_training_patients(name):
    folder = shipped_bundles()[name]
    baseline, patients = (pd.read_parquet(folder / f"{part}.parquet") for part in ("baseline", "reference"))
    fitted = KaplanMeierFitter().fit(patients["time_to_event_days"], patients["event"])
    rows = fitted.survival_function_.index.get_indexer(baseline["time_days"], method="nearest")
    assert fitted.survival_function_.index.to_numpy()[rows] == pytest.approx(baseline["time_days"].to_numpy(), abs=1e-3)
    assert baseline["survival"].to_numpy() == pytest.approx(fitted.survival_function_.iloc[rows, 0], abs=1e-6)
    interval = fitted.confidence_interval_.to_numpy()[rows]
    assert baseline[["lower", "upper"]].to_numpy() == pytest.approx(interval, abs=1e-6)
    assert (baseline["at_risk"].to_numpy() == fitted.event_table["at_risk"].to_numpy()[rows]).all()


def test_interval_is_greenwood_on_the_log_minus_log_scale():
    time, event, _ = cohort(np.random.default_rng(1), 200)
    km, day = kaplan_meier(time, event), 150.0
    terms = [
        1 / np.sum(time >= t) / (np.sum(time >= t) - 1)
        for t, seen in zip(time, event, strict=True)
        if seen and t <= day
    ]
    s = float(km.survival_at(day))
    spread = 1.959964 * np.sqrt(sum(terms)) / np.log(s)
    expected = sorted([s ** np.exp(spread), s ** np.exp(-spread)])
    assert np.array(km.interval_at(day)) == pytest.approx(np.array(expected), abs=1e-6)


def test_golden_numbers_and_censoring_curve_of_scikit_survival():
    data, numbers, times = GOLDEN["cohort"], GOLDEN["numbers"], GOLDEN["times"]
    km = kaplan_meier(data["time"], data["event"])
    assert km.survival_at(times) == pytest.approx(numbers["kaplan_meier"]["scikit-survival"])
    assert km.survival_at(times) == pytest.approx(numbers["kaplan_meier"]["lifelines"])
    assert np.stack(km.interval_at(times), axis=1) == pytest.approx(
        np.array(numbers["kaplan_meier"]["lifelines_interval"])
    )
    assert censoring_survival(data["time"], data["event"])(times) == pytest.approx(numbers["censoring"])
    time, event, _ = cohort(np.random.default_rng(2), 300, whole_days=True)
    other = CensoringDistributionEstimator().fit(Surv.from_arrays(event, time))
    days = np.arange(0, time.max())
    assert censoring_survival(time, event)(days) == pytest.approx(other.predict_proba(days))


def test_nothing_is_said_beyond_the_last_follow_up():
    km = kaplan_meier([10, 20, 30], [1, 1, 0])
    assert np.isnan(km.survival_at([31, 400])).all()
    assert km.survival_at(30) == pytest.approx(1 / 3)
    ended = kaplan_meier([10, 20], [1, 1])
    assert ended.survival_at(400) == 0


def test_without_censoring_nobody_is_weighted_and_flipping_events_swaps_the_curves():
    time, event, _ = cohort(np.random.default_rng(3), 100)
    always = np.ones(100, bool)
    assert (censoring_survival(time, always)(time) == 1).all()
    days = np.linspace(0, 300, 50)
    assert censoring_survival(time, event)(days) == pytest.approx(event_survival(time, ~event)(days))


def test_one_patient_and_refusals():
    assert kaplan_meier([7], [0]).survival_at(7) == 1
    with pytest.raises(UserFacingError, match="infinite"):
        censoring_survival([1, 2], [1, 0]).positive([2.0])
    for time, event in (([], []), ([-1.0], [1]), ([np.nan], [1]), ([1.0], [3]), ([1.0, 2.0], [1])):
        with pytest.raises(UserFacingError):
            kaplan_meier(time, event)
