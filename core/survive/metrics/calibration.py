"""Do predicted risks mean what they say? Groups against Kaplan-Meier, and smoothed calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.records import Float64Array
from core.survive.metrics.concordance import checked
from core.survive.metrics.kaplan_meier import BoolArray, KaplanMeier, kaplan_meier, outcome_arrays

CURVE_POINTS = 100
SMOOTHER_SPAN = 0.75
"""Share of patients in each local fit (the default of R's loess, which Austin and Steyerberg 2019 use)."""


@dataclass(frozen=True, eq=False)
class CalibrationGroups:
    """Groups of rising predicted risk at one horizon, each against its own Kaplan-Meier estimate.

    predicted: mean predicted risk; observed, lower, upper: 1 - KM(horizon) with its interval (NaN where the group's
    follow-up ends earlier); n patients and events by the horizon. All (g,).
    """

    horizon_days: float
    predicted: Float64Array
    observed: Float64Array
    lower: Float64Array
    upper: Float64Array
    n: npt.NDArray[np.int64]
    events: npt.NDArray[np.int64]
    level: float = 0.95


@dataclass(frozen=True, eq=False)
class SmoothCalibration:
    """Smoothed observed risk over predicted risk, and its distance from the diagonal.

    ici, e50, e90: mean, median, 90th percentile of |predicted - smoothed observed| over patients.
    predicted, observed (p,): the curve without its outermost percent at either end, where a local fit means little.
    """

    horizon_days: float
    ici: float
    e50: float
    e90: float
    predicted: Float64Array
    observed: Float64Array


@dataclass(frozen=True)
class ObservedExpected:
    """Calibration in the large at one horizon: observed 1 - KM(horizon) over the mean predicted risk."""

    horizon_days: float
    ratio: float
    lower: float
    upper: float
    observed: float
    expected: float
    level: float = 0.95


def calibration_groups(
    time_days: npt.ArrayLike,
    event: npt.ArrayLike,
    predicted_risk: npt.ArrayLike,
    horizon_days: float,
    *,
    groups: int = 10,
) -> CalibrationGroups:
    """Mean predicted risk against 1 - KM(horizon) in groups of equal size by predicted risk ("KM in decile").

    predicted_risk (n,): 1 - S(horizon). Equal predictions stay together, so there may be fewer groups.
    """
    time, seen, risk = _checked_risk(time_days, event, predicted_risk)
    edges = np.unique(np.quantile(risk, np.linspace(0, 1, groups + 1)[1:-1]))
    which = np.searchsorted(edges, risk, side="left")
    rows = []
    for group in np.unique(which):
        inside = which == group
        km = kaplan_meier(time[inside], seen[inside])
        observed, lower, upper = _observed_risk(km, horizon_days)
        happened = seen & inside & (time <= horizon_days)
        rows.append((risk[inside].mean(), observed, lower, upper, inside.sum(), happened.sum()))
    mean, observed_risk, low, high, count, cases = np.array(rows, np.float64).T
    return CalibrationGroups(
        float(horizon_days), mean, observed_risk, low, high, count.astype(np.int64), cases.astype(np.int64)
    )


def observed_expected(
    time_days: npt.ArrayLike, event: npt.ArrayLike, predicted_risk: npt.ArrayLike, horizon_days: float
) -> ObservedExpected:
    """Observed over expected risk at the horizon; 1 is right, above 1 the model predicts too little risk.

    The interval is that of the Kaplan-Meier estimate; NaN where follow-up ends before the horizon. Raises
    UserFacingError where every predicted risk is 0, or one lies outside 0 to 1.
    """
    time, seen, risk = _checked_risk(time_days, event, predicted_risk)
    observed, lower, upper = _observed_risk(kaplan_meier(time, seen), horizon_days)
    expected = float(risk.mean())
    if expected == 0:
        raise UserFacingError("Every predicted risk is 0.", "some predicted risk above 0", "Check the predicted table.")
    return ObservedExpected(
        float(horizon_days), observed / expected, lower / expected, upper / expected, observed, expected
    )


def smooth_calibration(
    time_days: npt.ArrayLike, event: npt.ArrayLike, predicted_risk: npt.ArrayLike, horizon_days: float
) -> SmoothCalibration:
    """Integrated calibration index at the horizon (Austin, Harrell, van Klaveren 2020).

    Observed risk is a local linear fit (tricube weights, span 0.75) of pseudo-observations on predicted risk, which
    needs no model of the censoring beyond independence. The index of a perfect model is above 0 in a finite sample.
    """
    time, seen, risk = _checked_risk(time_days, event, predicted_risk)
    pseudo = pseudo_risks(time, seen, horizon_days)
    at = np.unique(np.quantile(risk, np.linspace(0, 1, CURVE_POINTS + 1)))
    observed = np.clip(_local_linear(risk, pseudo, at), 0, 1)
    gap = np.abs(risk - np.interp(risk, at, observed))
    e50, e90 = np.quantile(gap, [0.5, 0.9])
    shown = slice(1, -1) if len(at) > 2 else slice(None)
    return SmoothCalibration(float(horizon_days), float(gap.mean()), float(e50), float(e90), at[shown], observed[shown])


def pseudo_risks(time_days: npt.ArrayLike, event: npt.ArrayLike, horizon_days: float) -> Float64Array:
    """Jackknife pseudo-observations n F(H) - (n - 1) F_-i(H) of the risk at a horizon (Andersen 2003), (n,).

    F = 1 - Kaplan-Meier, F_-i without patient i. Without censoring they are the indicators 1(t_i <= H).
    Raises UserFacingError where nobody is followed to the horizon.
    """
    time, seen = outcome_arrays(time_days, event)
    n = len(time)
    if n < 2 or horizon_days > time.max():
        raise UserFacingError(
            f"No patient is followed to day {horizon_days:g}.",
            "follow-up that reaches the horizon",
            "Choose an earlier horizon.",
        )
    times, which = np.unique(time, return_inverse=True)
    happened = np.bincount(which, seen & (time <= horizon_days), len(times))
    at_risk = np.bincount(which, minlength=len(times))[::-1].cumsum()[::-1].astype(np.float64)
    fewer = np.maximum(at_risk - 1, 1)
    # Leaving i out changes the factors up to t_i only: product before it, its own factor, product after it.
    before = np.concatenate([[1.0], np.cumprod(1 - happened / fewer)[:-1]])
    after = np.concatenate([np.cumprod((1 - happened / at_risk)[::-1])[::-1][1:], [1.0]])
    own = 1 - (happened[which] - (seen & (time <= horizon_days))) / fewer[which]
    without = before[which] * own * after[which]
    overall = float(np.prod(1 - happened / at_risk))
    return np.asarray(n * (1 - overall) - (n - 1) * (1 - without), np.float64)


def _observed_risk(km: KaplanMeier, horizon_days: float) -> tuple[float, float, float]:
    """(1 - KM, lower, upper) at the horizon; NaN beyond follow-up."""
    low, high = km.interval_at(horizon_days)
    return 1 - float(km.survival_at(horizon_days)), 1 - float(high), 1 - float(low)


def _checked_risk(
    time_days: npt.ArrayLike, event: npt.ArrayLike, predicted_risk: npt.ArrayLike
) -> tuple[Float64Array, BoolArray, Float64Array]:
    """Outcome arrays and predicted risk in [0, 1], or a UserFacingError."""
    time, seen, risk = checked(time_days, event, predicted_risk)
    if risk.min() < 0 or risk.max() > 1:
        raise UserFacingError(
            "Some predicted risks lie outside 0 to 1.",
            "risks as probabilities at the horizon",
            "Pass 1 minus the predicted survival.",
        )
    return time, seen, risk


def _local_linear(x: Float64Array, y: Float64Array, at: Float64Array) -> Float64Array:
    """Local linear regression of y on x (n,) at points (p,), tricube weights over the nearest SMOOTHER_SPAN of x."""
    distance = np.abs(x - at[:, None])
    nearest = max(2, int(np.ceil(SMOOTHER_SPAN * len(x))))
    reach = np.partition(distance, nearest - 1, axis=1)[:, nearest - 1 : nearest] * (1 + 1e-9)
    scaled = np.divide(distance, reach, out=np.where(distance > 0, 1.0, 0.0), where=reach > 0)
    weight = np.clip(1 - scaled**3, 0, None) ** 3
    total = weight.sum(axis=1)
    centre, level = weight @ x / total, weight @ y / total
    moment = weight @ x**2 / total - centre**2
    slope = np.divide(weight @ (x * y) / total - centre * level, moment, out=np.zeros(len(at)), where=moment > 1e-12)
    return np.asarray(level + slope * (at - centre), np.float64)
