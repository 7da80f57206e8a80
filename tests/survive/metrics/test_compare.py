"""Paired comparison: uniform p under the null, exact answers for equal scores, Holm by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest
from survive_support import cohort

from core.errors import UserFacingError
from core.survive import bootstrap_concordance, concordance, holm, paired_bootstrap


def test_p_is_uniform_where_two_scores_are_equally_good():
    rng, p_values = np.random.default_rng(1), []
    for seed in range(200):
        time, event, truth = cohort(rng, 250)
        scores = {name: truth + rng.normal(size=250) for name in "ab"}
        p_values.append(paired_bootstrap(time, event, scores, "a", resamples=400, seed=seed)[0].p_value)
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.09


def test_identical_scores_differ_by_nothing():
    time, event, truth = cohort(np.random.default_rng(2), 200)
    found = paired_bootstrap(time, event, {"a": truth, "b": np.exp(truth)}, "a")[0]
    assert (found.difference, found.lower, found.upper, found.p_value, found.p_holm) == (0, 0, 0, 1, 1)


def test_a_real_difference_is_found_signed_and_narrower_than_unpaired():
    rng = np.random.default_rng(3)
    time, event, truth = cohort(rng, 800)
    noisy = truth + rng.normal(size=800)
    scores = {"good": truth, "noisy": noisy, "noisier": noisy + 0.3 * rng.normal(size=800)}
    worse, worst = paired_bootstrap(time, event, scores, "good")
    assert [worse.name, worst.name] == ["noisy", "noisier"]
    assert worse.difference == pytest.approx(concordance(time, event, noisy) - concordance(time, event, truth))
    assert worse.upper < 0
    assert worse.p_value < 0.01
    assert worse.p_holm >= worse.p_value
    swapped = {found.name: found for found in paired_bootstrap(time, event, scores, "noisy")}["good"]
    assert (swapped.difference, swapped.lower) == pytest.approx((-worse.difference, -worse.upper))
    small = {found.name: found for found in paired_bootstrap(time, event, scores, "noisy")}["noisier"]
    alone = bootstrap_concordance(time, event, noisy)
    assert small.upper - small.lower < 0.8 * (alone.upper - alone.lower)


def test_patients_are_drawn_with_all_their_rows():
    rng = np.random.default_rng(4)
    time, event, truth = cohort(rng, 120)
    scores = {"a": truth, "b": truth + rng.normal(size=120)}
    copies = np.repeat(np.arange(120), 6)
    once = paired_bootstrap(time, event, scores, "a")[0]
    repeated = {name: score[copies] for name, score in scores.items()}
    grouped = paired_bootstrap(time[copies], event[copies], repeated, "a", subject_id=copies)[0]
    assert (grouped.difference, grouped.lower, grouped.upper) == pytest.approx(
        (once.difference, once.lower, once.upper)
    )


def test_holm_steps_down_and_never_falls():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    p = np.random.default_rng(5).random(10).tolist()
    corrected = np.array(holm(p))
    assert (corrected >= p).all()
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()


def test_an_unknown_reference_is_refused_and_few_events_warned_of():
    time, event, truth = cohort(np.random.default_rng(6), 20)
    with pytest.raises(UserFacingError, match="reference"):
        paired_bootstrap(time, event, {"a": truth}, "z")
    found = paired_bootstrap(time, event, {"a": truth, "b": -truth}, "a", resamples=50)[0]
    assert found.warning is not None
    assert "interval is unreliable" in found.warning
