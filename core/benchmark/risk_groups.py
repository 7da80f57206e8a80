"""Kaplan-Meier curves of the evaluated patients, all together and in thirds by predicted risk, with a log-rank test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from core.benchmark.predictions import Predictions
from core.records import Float64Array
from core.survive.metrics.kaplan_meier import kaplan_meier

THIRDS = ("lowest risk", "middle risk", "highest risk")
STEPS = 200


def curve_entry(
    time_days: Float64Array, event: npt.NDArray[np.bool_], horizons_days: Sequence[float]
) -> dict[str, Any]:
    """Kaplan-Meier with 95% interval up to the last horizon, as a curve of at most 200 steps and at each horizon;
    numbers at risk at the horizons. Shares 0 to 1, times in days.
    """
    km = kaplan_meier(time_days, event)
    grid = np.linspace(0, min(float(horizons_days[-1]), km.last_day), STEPS + 1)
    at = np.array(horizons_days, np.float64)
    return {
        "kaplan_meier": {"times_days": grid, "survival": km.survival_at(grid), **_named(km.interval_at(grid))},
        "at_horizons": {
            "days": at,
            "survival": km.survival_at(at),
            **_named(km.interval_at(at)),
            "at_risk": km.at_risk(at),
        },
    }


def risk_groups(model: Predictions) -> dict[str, Any]:
    """Thirds of the patients by predicted risk: each third's curve, and lifelines' log-rank test that all are one.

    Equal risks stay together, so thirds may differ in size or be fewer; a reason stands in place of the test where
    there is one group or no event. Rows count as independent.
    """
    edges = np.unique(np.quantile(model.risk, [1 / 3, 2 / 3]))
    which = np.unique(np.searchsorted(edges, model.risk, side="left"), return_inverse=True)[1]
    present = int(which.max()) + 1
    names = THIRDS if present == len(THIRDS) else (THIRDS[0], THIRDS[-1])[:present]
    groups = []
    for group, name in enumerate(names):
        inside = which == group
        told = {"name": name, "n": int(inside.sum()), "events": int(model.event[inside].sum())}
        groups.append({**told, **curve_entry(model.time_days[inside], model.event[inside], model.horizons_days)})
    return {"groups": groups, "log_rank": _log_rank(model, which)}


def _log_rank(model: Predictions, which: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Statistic, degrees of freedom and p over the whole follow-up."""
    if not which.any() or not model.event.any():
        return {"p_value": None, "reason": "One group or no event: nothing to compare."}
    from lifelines.statistics import multivariate_logrank_test  # here, as it takes a second

    found = multivariate_logrank_test(model.time_days, which, model.event)
    return {
        "estimator": "multivariate log-rank, lifelines",
        "statistic": float(found.test_statistic),
        "degrees_of_freedom": int(which.max()),
        "p_value": float(found.p_value),
    }


def _named(bounds: tuple[Float64Array, Float64Array]) -> dict[str, Float64Array]:
    return {"lower": bounds[0], "upper": bounds[1]}
