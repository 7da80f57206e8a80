"""Concordance against its definition, against three libraries, and its intervals against simulated truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lifelines.utils import concordance_index
from sksurv.metrics import concordance_index_censored, concordance_index_ipcw
from sksurv.util import Surv
from survive_support import cohort, outcomes, pairs, slow_censoring, slow_kaplan_meier, survival_curves, won
from torchsurv.metrics.cindex import ConcordanceIndex

from core.errors import UserFacingError
from core.survive import bootstrap_concordance, concordance, paired_bootstrap
from core.survive.metrics.concordance import bootstrap_values
from core.survive.metrics.pairs import patient_groups, plan_pairs, resample_counts

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "survival_numbers.json").read_text())


@given(outcomes())
@settings(max_examples=150, deadline=None)
def test_harrell_is_the_share_of_comparable_pairs_won(data):
    time, event, risk = data
    each = [won(risk, i, j) for i, j in pairs(time, event)]
    assume(each)
    found = concordance(time, event, risk)
    assert found.value == pytest.approx(np.mean(each), abs=1e-12)
    assert (found.comparable_pairs, found.events, found.n) == (len(each), event.sum(), len(time))
    assert float(found) == found.value


@given(outcomes(), st.floats(1, 9))
@settings(max_examples=100, deadline=None)
def test_uno_weights_each_pair_by_the_inverse_square_of_the_censoring_curve(data, tmax):
    time, event, risk = data
    chosen = list(pairs(time, event, tmax=tmax))
    free = {i: slow_censoring(time, event, time[i]) for i, _ in chosen}
    assume(chosen and min(free.values()) > 0)
    opened = [i for i in range(len(time)) if event[i] and time[i] < tmax]
    assume(all(slow_censoring(time, event, time[i]) > 0 for i in opened))
    weights = np.array([free[i] ** -2 for i, _ in chosen])
    expected = np.dot(weights, [won(risk, i, j) for i, j in chosen]) / weights.sum()
    assert concordance(time, event, risk, estimator="uno", tmax_days=tmax).value == pytest.approx(expected, abs=1e-9)


@given(outcomes())
@settings(max_examples=100, deadline=None)
def test_incident_dynamic_is_the_mean_of_each_times_auc_weighted_by_f_and_s(data):
    time, event, risk = data
    chosen = list(pairs(time, event, strict=True))
    assume(chosen)
    top = bottom = 0.0
    for t in sorted({time[i] for i, _ in chosen}):
        cases = [i for i in range(len(time)) if event[i] and time[i] == t]
        auc = np.mean([won(risk, i, j) for i in cases for j in range(len(time)) if time[j] > t])
        before = slow_kaplan_meier(time, event, t, inclusive=False)
        after = slow_kaplan_meier(time, event, t)
        weight = 2 * (before - after) * (before + after) / 2
        top, bottom = top + weight * auc, bottom + weight
    found = concordance(time, event, risk, estimator="incident_dynamic")
    assert found.value == pytest.approx(top / bottom, abs=1e-9)


@given(outcomes(smallest=3), st.integers(0, 2**31))
@settings(max_examples=100, deadline=None)
def test_weights_count_patients_as_if_they_were_repeated(data, seed):
    time, event, risk = data
    weights = np.random.default_rng(seed).integers(0, 4, len(time))
    plan = plan_pairs(time, event, risk)
    column = weights[:, None].astype(np.int32)
    opened = column[plan.events]
    repeated = np.repeat(np.arange(len(time)), weights)
    expected = list(pairs(time[repeated], event[repeated]))
    assert (opened * plan.comparable(column)).sum() == len(expected)
    wins = sum(won(risk[repeated], i, j) for i, j in expected)
    assert (opened * plan.twice_concordant(column)).sum() == 2 * wins


@pytest.mark.parametrize("tied_time", [False, True])
@pytest.mark.parametrize("tied_risk", [False, True])
def test_agrees_with_lifelines_scikit_survival_and_torchsurv(tied_time, tied_risk):
    rng = np.random.default_rng(5)
    time, event, truth = cohort(rng, 200, whole_days=tied_time)
    risk = truth + rng.normal(size=200)
    risk = np.round(risk, 1) if tied_risk else risk
    own, outcome, tmax = concordance(time, event, risk).value, Surv.from_arrays(event, time), np.quantile(time, 0.8)
    assert own == pytest.approx(concordance_index(time, -risk, event), abs=1e-12)
    assert own == pytest.approx(concordance_index_censored(event, time, risk)[0], abs=1e-12)
    other = ConcordanceIndex()(torch.tensor(risk), torch.tensor(event), torch.tensor(time))
    assert own == pytest.approx(float(other), abs=1e-6)
    uno = concordance(time, event, risk, estimator="uno", tmax_days=tmax).value
    assert uno == pytest.approx(concordance_index_ipcw(outcome, outcome, risk, tau=tmax)[0], abs=1e-9)


def test_golden_numbers():
    data, numbers = GOLDEN["cohort"], GOLDEN["numbers"]
    for value in numbers["harrell"].values():
        assert concordance(data["time"], data["event"], data["risk"]).value == pytest.approx(value, abs=1e-6)
    uno = concordance(data["time"], data["event"], data["risk"], estimator="uno", tmax_days=GOLDEN["tmax"])
    assert uno.value == pytest.approx(numbers["uno"], abs=1e-9)


def test_signs_ties_order_and_monotone_maps():
    rng = np.random.default_rng(2)
    time, event, risk = cohort(rng, 400)
    for estimator in ("harrell", "uno", "incident_dynamic"):
        tmax = 400.0 if estimator == "uno" else None

        def c(t, e, r, tmax=tmax, estimator=estimator):
            return concordance(t, e, r, estimator=estimator, tmax_days=tmax).value

        base, shuffled = c(time, event, risk), rng.permutation(400)
        assert c(time, event, np.zeros(400)) == 0.5
        assert c(time, event, -risk) == pytest.approx(1 - base)
        assert c(time[shuffled], event[shuffled], risk[shuffled]) == pytest.approx(base)
        assert c(time, event, np.exp(3 * risk) + 1) == pytest.approx(base)
        assert abs(c(time, ~event, risk) - base) > 0.02
        assert base > 0.7
    assert abs(concordance(*cohort(rng, 20_000)[:2], rng.normal(size=20_000)).value - 0.5) < 0.01


def test_without_censoring_uno_equals_harrell():
    time, event, risk = cohort(np.random.default_rng(3), 300, censor_days=np.inf)
    harrell = concordance(time, event, risk)
    assert concordance(time, event, risk, estimator="uno", tmax_days=time.max() + 1).value == pytest.approx(
        harrell.value
    )


def test_uno_withstands_censoring_and_harrell_drifts():
    """Early events follow one covariate and late ones another, so who is censored changes what Harrell sees."""
    rng, n = np.random.default_rng(4), 60_000
    risk, other = rng.normal(size=n), rng.normal(size=n)
    early = rng.exponential(np.exp(-2 * risk))
    happened = np.where(early < 0.5, early, 0.5 + rng.exponential(np.exp(-2 * other)))

    def both(rate):
        left = rng.exponential(1 / rate, n) if rate else np.full(n, np.inf)
        time, event = np.minimum(happened, left), happened <= left
        return [concordance(time, event, risk, estimator=name, tmax_days=3.0).value for name in ("uno", "harrell")]

    rows = np.array([both(rate) for rate in (0, 0.3, 1.5)])
    uno, harrell = rows.T
    assert np.ptp(uno) < 0.02
    assert abs(harrell[2] - harrell[0]) > 0.04


@pytest.mark.parametrize(
    ("time", "event", "risk", "words"),
    [
        ([5.0], [1], [0.3], "No pair"),
        ([5.0, 6.0], [0, 0], [0.3, 0.2], "No pair"),
        ([5.0, 5.0], [1, 1], [0.3, 0.2], "No pair"),
        ([5.0, np.nan], [1, 0], [0.3, 0.2], "missing"),
        ([5.0, 6.0], [1, 0], [0.3, np.inf], "missing"),
        ([5.0, 6.0], [1, 2], [0.3, 0.1], "besides 0 and 1"),
        ([5.0, 6.0], [1], [0.3, 0.1], "do not belong"),
        ([], [], [], "do not belong"),
    ],
)
def test_refusals_say_what_is_wrong(time, event, risk, words):
    with pytest.raises(UserFacingError, match=words):
        concordance(time, event, risk)


@pytest.mark.parametrize(("resamples", "level"), [(0, 0.95), (10, 95), (10, 0.0), (10, 1.0)])
def test_a_bootstrap_without_draws_or_with_a_level_in_percent_is_refused(resamples, level):
    with pytest.raises(UserFacingError, match="between 0 and 1"):
        bootstrap_concordance([1, 2, 3], [1, 1, 1], [3, 2, 1], resamples=resamples, level=level)
    with pytest.raises(UserFacingError, match="between 0 and 1"):
        paired_bootstrap([1, 2, 3], [1, 1, 1], {"a": [3, 2, 1]}, "a", resamples=resamples, level=level)


def test_words_in_place_of_numbers_are_refused():
    with pytest.raises(UserFacingError, match="not numbers"):
        concordance(["soon", "later"], [1, 1], [2, 1])


def test_censoring_weights_at_an_empty_tail_are_refused():
    with pytest.raises(UserFacingError, match="infinite"):
        concordance([1, 2, 3, 4], [1, 1, 1, 0], [4, 3, 2, 1], estimator="uno", censoring=([1, 2, 2], [1, 0, 0]))
    with pytest.raises(UserFacingError, match="no concordance estimator"):
        concordance([1, 2], [1, 0], [1, 2], estimator="gini")  # type: ignore[arg-type]


def test_bootstrap_repeats_and_names_itself():
    time, event, risk = cohort(np.random.default_rng(7), 300)
    first = bootstrap_concordance(time, event, risk, resamples=300, seed=3)
    again = bootstrap_concordance(time, event, risk, resamples=300, seed=3)
    other = bootstrap_concordance(time, event, risk, resamples=300, seed=4)
    assert (first.lower, first.upper) == (again.lower, again.upper) != (other.lower, other.upper)
    assert first.lower < first.value < first.upper
    assert (first.estimator, first.patients, first.resamples, first.dropped, first.warning) == (
        "harrell",
        300,
        300,
        0,
        None,
    )
    # More resamples continue the same draws.
    groups = np.arange(300)
    few, more = (bootstrap_values(time, event, [risk], groups, resamples=b, seed=3)[0] for b in (100, 300))
    assert (more[:100] == few).all()


def test_bootstrap_resamples_equal_a_plain_loop():
    time, event, risk = cohort(np.random.default_rng(8), 60, whole_days=True)
    groups = patient_groups(np.arange(60) // 2, 60)
    fast = bootstrap_values(time, event, [risk], groups, resamples=40, seed=1)[0]
    counts = np.concatenate(list(resample_counts(groups, 40, 1)), axis=1)
    assert (counts.sum(axis=0) == 60).all()
    assert (counts[::2] == counts[1::2]).all()
    slow = []
    for column in counts.T:
        rows = np.repeat(np.arange(60), column)
        slow.append(concordance(time[rows], event[rows], risk[rows]).value)
    assert fast == pytest.approx(np.array(slow), abs=1e-12)


def test_patients_not_rows_are_drawn():
    time, event, risk = cohort(np.random.default_rng(9), 150)
    copies = np.repeat(np.arange(150), 8)
    single = bootstrap_concordance(time, event, risk)
    by_patient = bootstrap_concordance(time[copies], event[copies], risk[copies], subject_id=copies)
    by_row = bootstrap_concordance(time[copies], event[copies], risk[copies])
    width = single.upper - single.lower
    assert (by_patient.upper - by_patient.lower) == pytest.approx(width, rel=0.01)
    assert (by_row.upper - by_row.lower) < 0.5 * width


def test_empty_resamples_are_dropped_and_few_events_warned_of():
    found = bootstrap_concordance([1, 2, 3], [1, 0, 0], [3, 2, 1], resamples=500)
    assert found.dropped > 50
    assert found.resamples + found.dropped == 500
    assert found.warning is not None
    assert "1 event" in found.warning


def test_the_interval_covers_the_true_concordance():
    """200 simulated test sets: the 95% interval holds the truth in 93 to 97% (within the error of 200 sets)."""
    rng = np.random.default_rng(10)

    def draw(n):
        time, event, truth = cohort(rng, n)
        return time, event, truth + rng.normal(size=n)

    true = concordance(*draw(400_000)).value
    hits = 0
    for seed in range(200):
        found = bootstrap_concordance(*draw(300), seed=seed)
        hits += found.lower <= true <= found.upper
    assert 0.93 <= hits / 200 <= 0.97


def hanley_mcneil_error(area: float, cases: int, controls: int) -> float:
    """Standard error of an area under the ROC curve (Hanley and McNeil 1982)."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (cases - 1) * (q1 - area**2) + (controls - 1) * (q2 - area**2)
    return float(np.sqrt(spread / (cases * controls)))


def test_hanley_mcneil_matches_the_bootstrap_of_an_auc():
    """Published plausibility: +-0.065 at 435 patients; without censoring concordance with one event time is an AUC."""
    assert 1.96 * hanley_mcneil_error(0.75, 50, 385) == pytest.approx(0.081, abs=5e-4)
    rng = np.random.default_rng(11)
    case = rng.random(600) < 0.2
    risk = rng.normal(size=600) + case
    found = bootstrap_concordance(np.where(case, 1.0, 2.0), case, risk)
    expected = 1.96 * hanley_mcneil_error(found.value, int(case.sum()), int((~case).sum()))
    assert (found.upper - found.lower) / 2 == pytest.approx(expected, rel=0.15)


def test_curves_of_the_support_module_order_as_their_log_hazard():
    time, event, risk = cohort(np.random.default_rng(12), 100)
    by_curve = concordance(time, event, 1 - survival_curves(risk, [365.0])[:, 0])
    assert by_curve.value == pytest.approx(concordance(time, event, risk).value)
