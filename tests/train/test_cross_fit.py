"""Out-of-fold risks: each patient's comes from models that have not seen that patient."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from fuse_support import planted_set

from core.cohort.tasks import TASKS
from core.fuse import TokenSet
from core.survive import concordance
from core.train.cross_fit import cross_fit, grid_days, spread_evenly
from core.train.fit import fit_fusion
from core.train.members import FitConfig, FittedModel

TASK = TASKS["pe_mortality"]
SMALL = FitConfig(members=1, hidden=16, epochs=10, least_steps=120)


def test_no_patient_is_predicted_by_a_model_that_saw_it() -> None:
    whole, eta = planted_set(11, 200)
    seen: list[tuple[set[int], set[int]]] = []

    def fit(train: TokenSet, tuning: TokenSet, seed: int) -> FittedModel:
        seen.append((set(train.ids.tolist()), set(tuning.ids.tolist())))
        return fit_fusion(train, tuning, "concat", config=SMALL, seed=seed, device="cpu")

    train, tuning = whole.subset(np.arange(160)), whole.subset(np.arange(160, 200))
    crossed = cross_fit(train, tuning, TASK, fit, seed=3, folds=4)
    assert crossed is not None
    outcomes = crossed.outcomes
    left_out = [set(range(200)) - train_ids - tuning_ids for train_ids, tuning_ids in seen]
    assert sorted(one for part in left_out for one in part) == list(range(200))
    assert all(not (train_ids & tuning_ids) for train_ids, tuning_ids in seen)
    np.testing.assert_array_equal(outcomes.time_days, whole.times.numpy())
    assert (np.diff(outcomes.given, axis=1) <= 0).all()
    assert concordance(outcomes.time_days, outcomes.event, -outcomes.given[:, -1]) > 0.6
    assert np.corrcoef(-outcomes.given[:, -1], eta)[0, 1] > 0.4


def test_of_noise_nothing_is_learned_unseen() -> None:
    """The negative control: in-sample risks of a model of noise look informative, out-of-fold ones do not."""
    whole, _ = planted_set(12, 200)
    draw = np.random.default_rng(0).permutation(200)
    shuffled = TokenSet(whole.tokens, whole.times[draw], whole.events[draw], whole.ids)

    def fit(train: TokenSet, tuning: TokenSet, seed: int) -> FittedModel:
        return fit_fusion(train, tuning, "concat", config=SMALL, seed=seed, device="cpu")

    crossed = cross_fit(shuffled.subset(np.arange(160)), shuffled.subset(np.arange(160, 200)), TASK, fit, folds=4)
    assert crossed is not None
    outcomes = crossed.outcomes
    assert concordance(outcomes.time_days, outcomes.event, -outcomes.given[:, -1]) < 0.6


def test_the_calibration_of_all_patients_takes_back_a_wrong_offset() -> None:
    """Folds whose models all overstate the hazard by half come back to what those without the error say."""
    whole, _ = planted_set(14, 400)
    train, tuning = whole.subset(np.arange(320)), whole.subset(np.arange(320, 400))

    def fit(some: TokenSet, others: TokenSet, seed: int, shift: float = 0.0) -> FittedModel:
        found = fit_fusion(some, others, "concat", config=SMALL, seed=seed, device="cpu")
        for member in found.model.members:
            member.head.base += shift
        return found

    right = cross_fit(train, tuning, TASK, fit, seed=3, folds=4)
    wrong = cross_fit(train, tuning, TASK, partial(fit, shift=0.4), seed=3, folds=4)
    assert right is not None
    assert wrong is not None
    assert float(right.calibration[0] - wrong.calibration[0]) == pytest.approx(0.4, abs=0.08)
    np.testing.assert_allclose(wrong.outcomes.given, right.outcomes.given, atol=0.04)  # the prior holds a little back
    model = fit(train, tuning, 9)
    wrong.calibrate(model)
    assert torch.equal(model.model.calibration, wrong.calibration)


def test_a_cohort_too_small_to_cut_has_no_outcomes() -> None:
    whole, _ = planted_set(13, 30)
    train, tuning = whole.subset(np.arange(24)), whole.subset(np.arange(24, 30))
    assert cross_fit(train, tuning, TASK, lambda a, b, s: fit_fusion(a.subset([0]), b, "concat"), folds=4) is None


def test_folds_are_even_and_the_days_hold_the_horizons() -> None:
    events = np.arange(101) < 30
    parts = spread_evenly(events, 5, 0)
    assert np.ptp(np.bincount(parts)) <= 2
    assert np.bincount(parts[events]).tolist() == [6] * 5
    days = grid_days(1500.0, TASK)
    assert {30.0, 90.0, 365.0} <= set(days.tolist())
    assert (np.diff(days) > 0).all()
    assert days[-1] == 1500
