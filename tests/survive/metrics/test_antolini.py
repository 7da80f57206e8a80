"""Antolini's concordance against its definition, Harrell's for curves that do not cross, and its resamples."""

from __future__ import annotations

import numpy as np
import pytest
from survive_support import cohort, pairs, won

from core.errors import UserFacingError
from core.survive import antolini_concordance, concordance
from core.survive.metrics.antolini import antolini_values
from core.survive.metrics.pairs import resample_counts


def test_equals_harrell_for_proportional_hazards_and_its_definition_for_crossing_curves():
    rng = np.random.default_rng(6)
    time, event, risk = cohort(rng, 80, whole_days=True)
    grid = np.linspace(0, time.max(), 60)
    curves = np.exp(-np.outer(np.exp(risk), grid / 15))
    assert antolini_concordance(time, event, curves, grid).value == pytest.approx(concordance(time, event, risk).value)
    shape = rng.uniform(0.4, 3, 80)
    crossing = np.exp(-((grid / 15) ** shape[:, None]))
    each = [
        won([-np.interp(time[i], grid, crossing[i]), -np.interp(time[i], grid, crossing[j])], 0, 1)
        for i, j in pairs(time, event)
    ]
    assert antolini_concordance(time, event, crossing, grid).value == pytest.approx(np.mean(each))
    with pytest.raises(UserFacingError, match="outside the times"):
        antolini_concordance(time, event, curves[:, :20], grid[:20])


def test_equal_survival_counts_as_half_a_pair():
    curves = [[1.0, 0.5], [1.0, 0.5], [1.0, 0.9]]
    assert antolini_concordance([1, 2, 2], [1, 0, 0], curves, [0.0, 2.0]).value == 0.75


def test_resamples_are_the_concordance_of_the_drawn_patients():
    rng = np.random.default_rng(7)
    time, event, _ = cohort(rng, 300, whole_days=True)
    grid = np.linspace(0, time.max(), 5)
    crossing = np.exp(-((grid / 15) ** rng.uniform(0.4, 3, 300)[:, None]))
    counts = list(resample_counts(np.arange(300), 4, 0))
    found = antolini_values(time, event, crossing, grid, counts)
    for column, value in zip(counts[0].T, found, strict=True):
        rows = np.repeat(np.arange(300), column)
        assert value == pytest.approx(antolini_concordance(time[rows], event[rows], crossing[rows], grid).value)
    nobody = antolini_values([1.0, 2.0], [1, 0], [[1, 0.5], [1, 0.6]], [0, 2], [np.array([[2, 0], [0, 2]], np.int32)])
    assert np.isnan(nobody).all()
