"""Paired comparison of models on the same patients: one set of resamples for all, Holm's correction across models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.survive.metrics.concordance import (
    Estimator,
    bootstrap_values,
    check_bootstrap,
    concordance,
    few_events_warning,
    percentile_interval,
)
from core.survive.metrics.kaplan_meier import Outcomes
from core.survive.metrics.pairs import patient_groups


@dataclass(frozen=True)
class PairedDifference:
    """Concordance of `name` minus that of `reference` on the same patients.

    lower, upper: percentile interval of the difference over resamples. p_value: two-sided, from the share of resamples
    on the far side of 0; p_holm: corrected for all models compared with this reference. dropped: resamples left out.
    """

    name: str
    reference: str
    difference: float
    lower: float
    upper: float
    p_value: float
    p_holm: float
    estimator: str
    level: float
    resamples: int
    dropped: int
    warning: str | None = None


def paired_bootstrap(
    time_days: npt.ArrayLike,
    event: npt.ArrayLike,
    risks: Mapping[str, npt.ArrayLike],
    reference: str,
    *,
    subject_id: npt.ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    estimator: Estimator = "harrell",
    tmax_days: float | None = None,
    censoring: Outcomes | None = None,
) -> tuple[PairedDifference, ...]:
    """Difference in concordance of every other model against `reference`, in the order of `risks`.

    risks: name -> score (n,), all for the same patients in the same order. Other arguments as `bootstrap_concordance`.
    Raises UserFacingError for an unknown reference, and as `concordance`.
    """
    if reference not in risks:
        raise UserFacingError(
            "The reference is not among the models.",
            "one of " + ", ".join(risks),
            "Name one of these as the reference.",
        )
    check_bootstrap(resamples, level)
    names, scores = list(risks), list(risks.values())
    options = {"estimator": estimator, "tmax_days": tmax_days, "censoring": censoring}
    points = {name: concordance(time_days, event, risks[name], **options) for name in names}  # type: ignore[arg-type]
    groups = patient_groups(subject_id, points[reference].n)
    drawn = bootstrap_values(time_days, event, scores, groups, resamples=resamples, seed=seed, **options)  # type: ignore[arg-type]
    warning = few_events_warning(points[reference].events)
    values = {name: point.value for name, point in points.items()}
    return paired_differences(values, dict(zip(names, drawn, strict=True)), reference, estimator, level, warning)


def paired_differences(
    values: Mapping[str, float],
    drawn: Mapping[str, npt.NDArray[np.float64]],
    reference: str,
    estimator: str,
    level: float,
    warning: str | None,
) -> tuple[PairedDifference, ...]:
    """Differences from values and resampled values (b,) of each model, all from the same resamples."""
    others = [name for name in values if name != reference]
    gaps = [drawn[name] - drawn[reference] for name in others]
    kept = [gap[~np.isnan(gap)] for gap in gaps]
    p_values = [two_sided_p(gap) for gap in kept]
    corrected = holm(p_values)
    return tuple(
        PairedDifference(
            name,
            reference,
            values[name] - values[reference],
            *percentile_interval(gap, level),
            p,
            adjusted,
            estimator,
            level,
            len(gap),
            len(drawn[name]) - len(gap),
            warning,
        )
        for name, gap, p, adjusted in zip(others, kept, p_values, corrected, strict=True)
    )


def two_sided_p(differences: npt.NDArray[np.float64]) -> float:
    """Two-sided bootstrap p: twice the smaller share of differences at or beyond 0, counting the data themselves once.

    >>> two_sided_p(np.zeros(1000)), round(two_sided_p(np.ones(999)), 4)
    (1.0, 0.002)
    """
    count = len(differences) + 1
    below, above = (int((differences <= 0).sum()) + 1) / count, (int((differences >= 0).sum()) + 1) / count
    return min(1.0, 2 * min(below, above))


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction for the number of comparisons, in the order given.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    corrected, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = running
    return corrected
