"""What predictions at several horizons say together: accuracy, ranking and calibration over time.

A prediction file holds S at the task's horizons and no whole curve. What is read between them, and how, stands with
each number; fewer than two usable horizons give a reason in place of numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from core.benchmark.intervals import LEVEL, interval
from core.benchmark.predictions import Predictions
from core.errors import UserFacingError
from core.survive.metrics.antolini import antolini_concordance, antolini_values
from core.survive.metrics.brier import integrated_brier_terms, reference_survival
from core.survive.metrics.d_calibration import BINS, d_calibration, d_calibration_parts, d_calibration_shares
from core.survive.metrics.pairs import CountArray

MOST_PAIRS = 100_000_000_000
"""Pairs times resamples that Antolini's interval may cost: about 20 seconds on two cores."""


def over_horizons(model: Predictions, counts: list[CountArray]) -> dict[str, Any]:
    """Integrated Brier score, Antolini's concordance and D-calibration over the horizons, or why there is none.

    counts: patient resamples (n, b) side by side. A horizon is used where the model predicts and somebody is followed
    beyond it.
    """
    used = [
        column
        for column, days in enumerate(model.horizons_days)
        if not np.isnan(model.survival[:, column]).any() and (model.time_days > days).any()
    ]
    days = tuple(model.horizons_days[column] for column in used)
    entry: dict[str, Any] = {"horizons_days": list(days)}
    if len(used) < 2:
        why = "Fewer than two horizons have predictions and patients followed beyond them: nothing to look over."
        return {**entry, "reason": why}
    chosen = replace(model, survival=model.survival[:, used], horizons_days=days)
    for name, measure in {"integrated_brier": _brier, "antolini": _antolini, "d_calibration": _d_calibration}.items():
        try:
            entry[name] = measure(chosen, counts)
        except UserFacingError as error:
            entry[name] = {"value": None, "reason": error.found}
    return entry


def _brier(model: Predictions, counts: list[CountArray]) -> dict[str, Any]:
    """Integrated Brier score beside that of the cohort's own Kaplan-Meier, and the share that the model removes."""
    outcome, days = (model.time_days, model.event), model.horizons_days
    terms = integrated_brier_terms(*outcome, model.survival, days)
    marginal = reference_survival(len(terms), days, *outcome)
    score, plain = float(terms.mean()), float(integrated_brier_terms(*outcome, marginal, days).mean())
    drawn = np.concatenate([terms @ block / block.sum(axis=0) for block in counts])
    return {
        "estimator": "integrated Brier, IPCW, trapezoid between horizons",
        "value": score,
        **interval(drawn),
        "kaplan_meier_reference": plain,
        "scaled": 1 - score / plain if plain > 0 else None,
    }


def _antolini(model: Predictions, counts: list[CountArray]) -> dict[str, Any]:
    """Antolini's concordance of events by the last horizon, S read linearly between the horizons from 1 on day 0."""
    grid = [0.0, *map(float, model.horizons_days)]
    curves = np.column_stack([np.ones(len(model.event)), model.survival])
    time, event = np.minimum(model.time_days, grid[-1]), model.event & (model.time_days <= grid[-1])
    point = antolini_concordance(time, event, curves, grid)
    entry: dict[str, Any] = {"estimator": point.estimator, "tmax_days": grid[-1], "value": point.value}
    told = {"comparable_pairs": point.comparable_pairs, "events": point.events}
    resamples = sum(block.shape[1] for block in counts)
    if len(time) * point.events * resamples > MOST_PAIRS:
        why = "Too many pairs for an interval by resampling."
        return {**entry, "lower": None, "upper": None, "level": LEVEL, **told, "reason": why}
    drawn = antolini_values(time, event, curves, grid, counts)
    dropped = int(np.isnan(drawn).sum())
    return {**entry, **interval(drawn), **told, "resamples": resamples - dropped, "dropped": dropped}


def _d_calibration(model: Predictions, counts: list[CountArray]) -> dict[str, Any]:
    """Share of patients in each fifth of their predicted S(T), with intervals, and the test against even shares."""
    asked = (model.time_days, model.event, model.survival, model.horizons_days)
    found = d_calibration(*asked, groups=model.groups)
    drawn = d_calibration_shares(*d_calibration_parts(*asked), counts)
    edges = np.linspace(0, 1, BINS + 1)
    return {
        "estimator": "D-calibration at horizons, IPCW",
        "bins": [
            {"from": low, "to": high, "value": share, **interval(values)}
            for low, high, share, values in zip(edges[:-1], edges[1:], found.shares, drawn, strict=True)
        ],
        "expected": 1 / BINS,
        "statistic": found.statistic,
        "degrees_of_freedom": found.degrees_of_freedom,
        "p_value": found.p_value,
    }
