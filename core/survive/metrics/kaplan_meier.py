"""Kaplan-Meier estimates: of the event (for people, with interval and numbers at risk) and of censoring (weights)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from core.errors import UserFacingError
from core.records import Float64Array

BoolArray = npt.NDArray[np.bool_]
Outcomes = tuple[npt.ArrayLike, npt.ArrayLike]
"""Times in days, and 1 where the event was seen."""


@dataclass(frozen=True, eq=False)
class StepFunction:
    """A right-continuous step function that is 1 before its first jump. times_days (k,) increasing, values (k,)."""

    times_days: Float64Array
    values: Float64Array

    def __call__(self, days: npt.ArrayLike) -> Float64Array:
        """Value at each day, jumps included."""
        return self._padded()[np.searchsorted(self.times_days, np.asarray(days, np.float64), side="right")]

    def before(self, days: npt.ArrayLike) -> Float64Array:
        """Left limit at each day."""
        return self._padded()[np.searchsorted(self.times_days, np.asarray(days, np.float64), side="left")]

    def positive(self, days: npt.ArrayLike) -> Float64Array:
        """Value at each day; raises where it is 0, because a weight 1 / G would be infinite."""
        values = self(days)
        if (values <= 0).any():
            raise UserFacingError(
                "No patient is still followed at the end of the evaluation time, so censoring weights are infinite.",
                f"times before day {float(self.times_days[self.values <= 0][0]):g}",
                "Choose an earlier horizon or tmax.",
            )
        return values

    def _padded(self) -> Float64Array:
        return np.concatenate([[1.0], self.values])


@dataclass(frozen=True, eq=False)
class KaplanMeier:
    """Kaplan-Meier estimate of one group.

    times_days, survival, lower, upper: (k,), first row at day 0. level of the pointwise interval (exponential
    Greenwood, log(-log) scale). n patients, events among them.
    """

    times_days: Float64Array
    survival: Float64Array
    lower: Float64Array
    upper: Float64Array
    followed_days: Float64Array
    n: int
    events: int
    level: float = 0.95

    def survival_at(self, days: npt.ArrayLike) -> Float64Array:
        """S at each day; NaN beyond the last follow-up, where nothing is known (unless S has reached 0)."""
        return self._at(self.survival, days)

    def interval_at(self, days: npt.ArrayLike) -> tuple[Float64Array, Float64Array]:
        """(lower, upper) of S at each day; NaN beyond the last follow-up."""
        return self._at(self.lower, days), self._at(self.upper, days)

    def at_risk(self, days: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Patients still followed and free of the event just before each day."""
        return self.n - np.searchsorted(self.followed_days, np.asarray(days, np.float64), side="left")

    def _at(self, values: Float64Array, days: npt.ArrayLike) -> Float64Array:
        asked = np.asarray(days, np.float64)
        row = np.searchsorted(self.times_days, asked, side="right") - 1
        known = (asked >= 0) & ((asked <= self.followed_days[-1]) | (self.survival[-1] == 0))
        return np.where(known, values[np.maximum(row, 0)], np.nan)


def kaplan_meier(time_days: npt.ArrayLike, event: npt.ArrayLike, *, level: float = 0.95) -> KaplanMeier:
    """Kaplan-Meier estimate of S(t) with a pointwise interval (exponential Greenwood, Kalbfleisch and Prentice 1980).

    time_days (n,) >= 0, event (n,) true where the event was seen.

    >>> km = kaplan_meier([1, 2, 3], [1, 0, 1])
    >>> [round(float(s), 3) for s in km.survival], km.at_risk([0, 2, 3]).tolist()
    ([1.0, 0.667, 0.667, 0.0], [3, 2, 1])
    """
    time, seen = outcome_arrays(time_days, event)
    times, happened, _, at_risk = _table(time, seen)
    survival = np.cumprod(1 - happened / at_risk, dtype=np.float64)
    # Greenwood's sum is infinite where the curve reaches 0: there the interval is the estimate itself, as at day 0.
    alive = np.maximum(at_risk - happened, 1)
    spread = np.sqrt(np.cumsum(happened / (at_risk * alive)))
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.exp(float(ndtri(0.5 + level / 2)) * spread / np.log(survival))
        lower, upper = survival ** (1 / reach), survival**reach
    known = (survival > 0) & (survival < 1)
    lower, upper = np.where(known, lower, survival), np.where(known, upper, survival)
    if times[0] > 0:
        times = np.concatenate([[0.0], times])
        survival, lower, upper = (np.concatenate([[1.0], values]) for values in (survival, lower, upper))
    return KaplanMeier(times, survival, lower, upper, np.sort(time), len(time), int(seen.sum()), level)


def event_survival(time_days: npt.ArrayLike, event: npt.ArrayLike) -> StepFunction:
    """Kaplan-Meier estimate of the event-free probability, without interval, in O(n log n)."""
    time, seen = outcome_arrays(time_days, event)
    times, happened, _, at_risk = _table(time, seen)
    return StepFunction(times, np.cumprod(1 - happened / at_risk, dtype=np.float64))


def censoring_survival(time_days: npt.ArrayLike, event: npt.ArrayLike) -> StepFunction:
    """Kaplan-Meier estimate G of remaining uncensored; at tied times events leave first (as in scikit-survival)."""
    time, seen = outcome_arrays(time_days, event)
    times, happened, left, at_risk = _table(time, seen)
    still = np.maximum(at_risk - happened, 1)
    return StepFunction(times, np.cumprod(1 - left / still, dtype=np.float64))


def outcome_arrays(time_days: npt.ArrayLike, event: npt.ArrayLike) -> tuple[Float64Array, BoolArray]:
    """Outcome columns as (n,) float and bool arrays, or a UserFacingError."""
    time, flag = np.asarray(time_days, np.float64), np.asarray(event, np.float64)
    if time.ndim != 1 or time.shape != flag.shape or not len(time):
        raise UserFacingError(
            "Times and events do not belong together.",
            "two columns of the same, non-zero length",
            "Pass one row for each patient.",
        )
    if not np.isfinite(time).all() or (time < 0).any() or not np.isin(flag, (0.0, 1.0)).all():
        raise UserFacingError(
            "Some times or events are missing or out of range.",
            "times of 0 days or more, events coded 0 or 1",
            "Remove or complete the affected rows.",
        )
    return time, flag.astype(bool)


def _table(time: Float64Array, event: BoolArray) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Distinct times with events, censorings and numbers at risk at each."""
    times, which = np.unique(time, return_inverse=True)
    happened = np.bincount(which, event, len(times)).astype(np.float64)
    total = np.bincount(which, minlength=len(times)).astype(np.float64)
    at_risk = total[::-1].cumsum()[::-1]
    return times, happened, total - happened, at_risk
