"""The range around a curve: it holds what it says it holds, on patients whose truth is known, and only those."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines import KaplanMeierFitter

from core.records import SurvivalCurve
from core.survive.given_risk import (
    FEWEST,
    NEIGHBOURS,
    ReferenceOutcomes,
    log_hazard_at,
    near,
    outer_edges,
    score_interval,
    with_bands,
)
from core.survive.metrics.kaplan_meier import kaplan_meier

DAYS = np.geomspace(2, 400, 8)
HORIZON = 90.0


def hazard(eta: np.ndarray, days: np.ndarray) -> np.ndarray:
    """H(days) of patients (n,): a Weibull hazard, about a tenth at day 90 for eta 0."""
    return np.exp(eta)[:, None] * 0.1 * (days / 90) ** 0.8


def population(rng: np.random.Generator, count: int, noise: float = 0.6, shift: float = 0.0) -> ReferenceOutcomes:
    """Patients whose given log hazard misses the true one by `noise`; `shift`: how far all are misjudged."""
    known = rng.normal(0, 0.8, count)
    true = known + rng.normal(0, noise, count) - noise**2 / 2 + shift
    happened = 90 * (rng.exponential(size=count) / (0.1 * np.exp(true))) ** 1.25
    censored = rng.uniform(100, 500, count)
    given = np.exp(-hazard(known, DAYS))
    return ReferenceOutcomes(
        np.minimum(happened, censored), happened <= censored, DAYS, given, np.exp(-hazard(true, DAYS))
    )


def curve(eta: float) -> SurvivalCurve:
    days = np.linspace(0, 400, 101)
    values = np.exp(-hazard(np.array([eta]), days)[0])
    return SurvivalCurve(days, values)


@pytest.mark.parametrize("eta", [-1.5, 0.0, 1.2])
def test_the_inner_band_holds_the_mean_truth_of_those_given_about_this_risk(eta: float) -> None:
    held, missed = [], []
    for seed in range(120):
        rng = np.random.default_rng([seed, 7])
        for shift, results in ((0.0, held), (1.0, missed)):
            outcomes = population(rng, 900, shift=shift)
            _, given = with_bands(curve(eta), outcomes, HORIZON)
            assert given is not None
            truth = population(np.random.default_rng(99), 40_000)
            rows = (1 - log_risk(truth) <= 1) & inside(truth, given.given)
            mean = 1 - np.exp(-np.exp(log_hazard_at(DAYS, truth.true[rows], HORIZON))).mean()  # type: ignore[index]
            results.append(given.interval[0] <= mean <= given.interval[1])
    assert 0.9 <= np.mean(held) <= 0.99
    assert np.mean(missed) < 0.5, "outcomes of others do not hold it"


def log_risk(outcomes: ReferenceOutcomes) -> np.ndarray:
    return 1 - np.exp(-np.exp(log_hazard_at(DAYS, outcomes.given, HORIZON)))


def inside(outcomes: ReferenceOutcomes, given: tuple[float, float]) -> np.ndarray:
    risks = log_risk(outcomes)
    return (risks >= given[0]) & (risks <= given[1])


def test_the_outer_band_holds_nine_in_ten_single_truths() -> None:
    held = []
    for seed in range(200):
        rng = np.random.default_rng([seed, 3])
        outcomes = population(rng, 600)
        banded, _ = with_bands(curve(0.0), outcomes, HORIZON)
        one = population(rng, 400)
        rows = near(one, banded.survival_at(HORIZON), HORIZON)[:20]
        low, high = (np.interp(HORIZON, banded.times_days, edge) for edge in (banded.outer_lower, banded.outer_upper))
        truth = np.exp(-np.exp(log_hazard_at(DAYS, one.true[rows], HORIZON)))  # type: ignore[index]
        held.append(((low <= truth) & (truth <= high)).mean())
    assert 0.88 <= np.mean(held) <= 0.92


def test_outer_edges_are_ranks_of_further_patients() -> None:
    log_hazards = np.log(np.arange(1, 20, dtype=np.float64))[:, None] + np.zeros((1, 3))
    lower, upper = outer_edges(log_hazards)
    assert -np.log(lower[1]) == pytest.approx(19)
    assert -np.log(upper[1]) == pytest.approx(1)
    assert (lower[0], upper[0]) == (1, 1)


def test_the_score_interval_is_wilsons_without_censoring_and_never_degenerate() -> None:
    time = np.concatenate([np.full(12, 10.0), np.full(88, 400.0)])
    lower, upper = score_interval(kaplan_meier(time, time < 50), [5.0, 90.0])
    centre, half = (0.88 + 3.8415 / 200) / 1.038415, 1.96 / 1.038415 * np.sqrt(0.88 * 0.12 / 100 + 3.8415 / 40000)
    assert (lower[1], upper[1]) == pytest.approx((centre - half, centre + half), abs=1e-3)
    assert lower[0] == pytest.approx(100 / 103.8415, abs=1e-3)
    assert upper[0] == 1


def test_the_score_interval_is_close_to_greenwoods_where_many_had_the_event() -> None:
    rng = np.random.default_rng(0)
    outcomes = population(rng, 150, shift=1.0)
    fitted = KaplanMeierFitter().fit(outcomes.time_days, outcomes.event)
    lower, upper = score_interval(kaplan_meier(outcomes.time_days, outcomes.event), [90.0, 200.0])
    expected = fitted.confidence_interval_.reindex(index=[90.0, 200.0], method="ffill").to_numpy()
    np.testing.assert_allclose(np.column_stack([lower, upper]), expected, atol=0.02)


def test_the_nearest_are_taken_and_only_near_ones() -> None:
    outcomes = population(np.random.default_rng(1), 1000)
    rows = near(outcomes, curve(0.0).survival_at(HORIZON), HORIZON)
    apart = np.abs(log_hazard_at(DAYS, outcomes.given, HORIZON) - np.log(-np.log(curve(0.0).survival_at(HORIZON))))
    assert len(rows) == NEIGHBOURS
    assert apart[rows].max() <= np.sort(apart)[NEIGHBOURS - 1]
    assert len(near(outcomes, curve(5.0).survival_at(HORIZON), HORIZON)) < FEWEST
    banded, given = with_bands(curve(5.0), outcomes, HORIZON)
    assert (banded.lower, given) == (None, None)
    assert "were given about this risk" in banded.band


def test_what_is_withheld_says_why() -> None:
    outcomes = population(np.random.default_rng(2), 1000)
    banded, given = with_bands(curve(0.0), outcomes, HORIZON, "no range: outside")
    assert (banded.lower, given, banded.band) == (None, None, "no range: outside")


def test_outcomes_come_back_from_their_table() -> None:
    outcomes = population(np.random.default_rng(3), 50)
    found = ReferenceOutcomes.from_table(outcomes.to_table())
    np.testing.assert_allclose(found.days, outcomes.days, rtol=1e-5)
    np.testing.assert_allclose(found.given, outcomes.given, atol=1e-6)
    assert found.true is not None
    np.testing.assert_array_equal(found.event, outcomes.event)


def test_log_hazards_between_days_lie_on_a_power_of_time() -> None:
    outcomes = population(np.random.default_rng(4), 5)
    asked = np.array([1.0, 17.0, 390.0])
    exact = np.log(-np.log(outcomes.given[:, [0]])) + 0.8 * np.log(asked / DAYS[0])
    np.testing.assert_allclose(log_hazard_at(DAYS, outcomes.given, asked), exact, atol=1e-6)
