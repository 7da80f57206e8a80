"""Accuracy of predicted survival at stated times: Brier score, cumulative/dynamic AUC, distance to a known truth.

Censoring is handled by inverse weights 1 / G, G the Kaplan-Meier estimate of staying uncensored, from the training
patients where given, else from the evaluated ones. G = 0 within the evaluation time raises instead of giving infinity.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.records import Float64Array
from core.survive.metrics.concordance import checked
from core.survive.metrics.kaplan_meier import BoolArray, Outcomes, censoring_survival, event_survival, outcome_arrays


def brier_score(
    time_days: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times_days: npt.ArrayLike,
    *,
    censoring: Outcomes | None = None,
) -> Float64Array:
    """Brier score at each time, (t,); 0 is perfect (Graf 1999).

    survival (n, t): predicted S at times_days (t,).
    Mean over patients of S^2 1(t_i <= t, event) / G(t_i) + (1 - S)^2 1(t_i > t) / G(t).

    >>> brier_score([1, 3], [1, 1], [[0.2], [0.9]], [2.0]).round(3).tolist()
    [0.025]
    """
    terms = brier_terms(time_days, event, survival, times_days, censoring=censoring)
    return np.asarray(terms.mean(axis=0), np.float64)


def brier_terms(
    time_days: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times_days: npt.ArrayLike,
    *,
    censoring: Outcomes | None = None,
) -> Float64Array:
    """Each patient's term of the Brier score, (n, t); its mean over patients is the score. See `brier_score`."""
    time, seen = outcome_arrays(time_days, event)
    at = np.asarray(times_days, np.float64)
    predicted = _probabilities(survival, len(time), len(at))
    case_weight, control_weight = _weights(time, seen, at, censoring)
    return predicted**2 * case_weight + (1 - predicted) ** 2 * control_weight


def integrated_brier_score(
    time_days: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times_days: npt.ArrayLike,
    *,
    censoring: Outcomes | None = None,
) -> float:
    """Area under the Brier score over times_days (trapezoid), divided by their span. See `brier_score`.

    Raises UserFacingError for fewer than two times, or times that do not increase.
    """
    return float(integrated_brier_terms(time_days, event, survival, times_days, censoring=censoring).mean())


def integrated_brier_terms(
    time_days: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    times_days: npt.ArrayLike,
    *,
    censoring: Outcomes | None = None,
) -> Float64Array:
    """Each patient's term of the integrated Brier score, (n,); its mean over patients is the score."""
    at = np.asarray(times_days, np.float64)
    if len(at) < 2 or (np.diff(at) <= 0).any():
        raise UserFacingError(
            "The integrated Brier score got no time span.", "at least two increasing times", "Pass a grid of times."
        )
    terms = brier_terms(time_days, event, survival, at, censoring=censoring)
    return np.asarray(np.trapezoid(terms, at, axis=1) / (at[-1] - at[0]), np.float64)


def reference_survival(
    rows: int, times_days: npt.ArrayLike, time_days: npt.ArrayLike, event: npt.ArrayLike
) -> Float64Array:
    """The same Kaplan-Meier S of (time_days, event) at times_days for each of `rows` patients, (rows, t).

    The prediction that knows nobody: what a useful model must beat.
    """
    marginal = event_survival(time_days, event)(times_days)
    return np.broadcast_to(marginal, (rows, len(marginal)))


def cumulative_dynamic_auc(
    time_days: npt.ArrayLike,
    event: npt.ArrayLike,
    risk: npt.ArrayLike,
    horizon_days: float,
    *,
    censoring: Outcomes | None = None,
    weights: npt.NDArray[np.int32] | None = None,
) -> Float64Array:
    """AUC at a horizon: cases had the event by then (weight 1 / G(t_i)), controls were followed beyond it (Uno 2007).

    weights (n, b): how often each patient counts, one column for each resample; without them one column of ones.
    Returns (b,), NaN where a column lacks cases or controls.
    """
    time, seen, score = checked(time_days, event, risk)
    drawn = np.ones((len(time), 1), np.int32) if weights is None else weights
    case_weight, control_weight = _weights(time, seen, np.array([horizon_days]), censoring)
    cases, order = np.flatnonzero(case_weight[:, 0]), np.argsort(score, kind="stable")
    controls = drawn[order] * (control_weight[order] > 0)
    running = np.vstack([np.zeros((1, drawn.shape[1])), np.cumsum(controls, axis=0)])
    below = running[np.searchsorted(score[order], score[cases], side="left")]
    below_or_tied = running[np.searchsorted(score[order], score[cases], side="right")]
    opened = drawn[cases] * case_weight[cases]
    top = (opened * (below + below_or_tied)).sum(axis=0) / 2
    bottom = opened.sum(axis=0) * running[-1]
    return np.asarray(np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0), np.float64)


def _weights(
    time: Float64Array, event: BoolArray, at: Float64Array, censoring: Outcomes | None
) -> tuple[Float64Array, Float64Array]:
    """Weights (n, t) of patients as cases (event by t) and as controls (followed beyond t)."""
    free = censoring_survival(time, event) if censoring is None else censoring_survival(*censoring)
    is_case = (time[:, None] <= at) & event[:, None]
    cases = is_case.any(axis=1)
    own = np.ones(len(time))
    own[cases] = free.positive(time[cases])
    is_control = time[:, None] > at
    followed = is_control.any(axis=0)
    horizon = np.ones(len(at))
    horizon[followed] = free.positive(at[followed])
    return is_case / own[:, None], is_control / horizon


def _probabilities(values: npt.ArrayLike, rows: int, columns: int) -> Float64Array:
    """Predicted survival as (rows, columns) in [0, 1], or a UserFacingError."""
    survival = np.asarray(values, np.float64)
    if survival.shape != (rows, columns) or not ((survival >= 0) & (survival <= 1)).all():
        raise UserFacingError(
            "The predicted survival does not fit the patients and times.",
            f"probabilities between 0 and 1, {rows} rows (patients) by {columns} columns (times)",
            "Check the predicted table.",
        )
    return survival
