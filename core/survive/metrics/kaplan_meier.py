"""Kaplan-Meier estimates: of the event, by lifelines, and of censoring, whose weights are needed often and fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.records import Float64Array

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
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
    """Kaplan-Meier estimate of one group, by lifelines.

    times_days, survival, lower, upper, still: (k,), first row at day 0, last row at the end of follow-up. still:
    patients followed and free of the event just before each time. level of the pointwise interval (exponential
    Greenwood, log(-log) scale). n patients, events among them.
    """

    times_days: Float64Array
    survival: Float64Array
    lower: Float64Array
    upper: Float64Array
    still: IntArray
    n: int
    events: int
    level: float = 0.95

    @property
    def last_day(self) -> float:
        """End of the follow-up, days."""
        return float(self.times_days[-1])

    def survival_at(self, days: npt.ArrayLike) -> Float64Array:
        """S at each day; NaN beyond the last follow-up, where nothing is known (unless S has reached 0)."""
        return self._at(self.survival, days)

    def interval_at(self, days: npt.ArrayLike) -> tuple[Float64Array, Float64Array]:
        """(lower, upper) of S at each day; NaN beyond the last follow-up."""
        return self._at(self.lower, days), self._at(self.upper, days)

    def at_risk(self, days: npt.ArrayLike) -> IntArray:
        """Patients still followed and free of the event just before each day."""
        row = np.searchsorted(self.times_days, np.asarray(days, np.float64), side="left")
        return np.asarray(np.concatenate([self.still, [0]])[row], np.int64)

    def _at(self, values: Float64Array, days: npt.ArrayLike) -> Float64Array:
        asked = np.asarray(days, np.float64)
        row = np.searchsorted(self.times_days, asked, side="right") - 1
        known = (asked >= 0) & ((asked <= self.last_day) | (self.survival[-1] == 0))
        return np.where(known, values[np.maximum(row, 0)], np.nan)


def kaplan_meier(time_days: npt.ArrayLike, event: npt.ArrayLike, *, level: float = 0.95) -> KaplanMeier:
    """Kaplan-Meier estimate of S(t) with a pointwise interval, by lifelines: every curve that people are shown.

    The interval is exponential Greenwood on the log(-log) scale (Kalbfleisch and Prentice 1980), the estimate itself
    where it is 1 or 0. time_days (n,) >= 0, event (n,) true where the event was seen.

    >>> km = kaplan_meier([1, 2, 3], [1, 0, 1])
    >>> [round(float(s), 3) for s in km.survival], km.at_risk([0, 2, 3]).tolist()
    ([1.0, 0.667, 0.667, 0.0], [3, 2, 1])
    """
    from lifelines import KaplanMeierFitter  # here, as it takes a second and brings scipy.stats and matplotlib

    time, seen = outcome_arrays(time_days, event)
    fitted = KaplanMeierFitter(alpha=1 - level).fit(time, seen)
    lower, upper = fitted.confidence_interval_.to_numpy(np.float64).T
    return KaplanMeier(
        times_days=fitted.survival_function_.index.to_numpy(np.float64),
        survival=fitted.survival_function_.iloc[:, 0].to_numpy(np.float64),
        lower=lower,
        upper=upper,
        still=fitted.event_table["at_risk"].to_numpy(np.int64),
        n=len(time),
        events=int(seen.sum()),
        level=level,
    )


def event_survival(time_days: npt.ArrayLike, event: npt.ArrayLike) -> StepFunction:
    """The curve of `kaplan_meier` as a step function, which also tells left limits and goes on beyond follow-up."""
    estimate = kaplan_meier(time_days, event)
    return StepFunction(estimate.times_days, estimate.survival)


def censoring_survival(time_days: npt.ArrayLike, event: npt.ArrayLike) -> StepFunction:
    """Kaplan-Meier estimate G of remaining uncensored, in O(n log n); at tied times events leave first (as in
    scikit-survival, which lifelines cannot be told).
    """
    time, seen = outcome_arrays(time_days, event)
    times, which = np.unique(time, return_inverse=True)
    happened = np.bincount(which, seen, len(times))
    total = np.bincount(which, minlength=len(times)).astype(np.float64)
    still = np.maximum(total[::-1].cumsum()[::-1] - happened, 1)
    return StepFunction(times, np.cumprod(1 - (total - happened) / still, dtype=np.float64))


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
