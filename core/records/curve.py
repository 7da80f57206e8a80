"""A predicted survival curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.records.arrays import freeze

_ROUNDING_DAYS = 1e-3
"""How far single precision may round a time of years."""


def is_supported(days: float, last_days: float) -> bool:
    """Whether a time lies within the follow-up that ends at `last_days`, which single precision may have rounded down.

    >>> is_supported(365, 364.9999999), is_supported(366, 365.0)
    (True, False)
    """
    return days <= last_days + _ROUNDING_DAYS


_EDGES = ("lower", "upper", "outer_lower", "outer_upper")


@dataclass(frozen=True)
class GivenRisk:
    """What happened to the reference patients to whom a model gave about the risk that it gives this one.

    given: (lowest, highest) risk given to them by `horizon_days`. observed: their risk by Kaplan-Meier, with its 95%
    interval. true: their mean true risk, where that is known (virtual patients).
    """

    horizon_days: float
    patients: int
    given: tuple[float, float]
    observed: float
    interval: tuple[float, float]
    true: float | None = None


@dataclass(frozen=True, eq=False)
class SurvivalCurve:
    """A predicted S(t): starts at 1, never rises, stays in [0, 1].

    times_days: float64 (t,), increasing, first 0. survival: float64 (t,).
    lower, upper: float64 (t,), what was observed in patients given about this risk; None where they are too few. They
    need not contain the curve. band: what they are, or why there are none, in words.
    outer_lower, outer_upper, outer_band: the same of what holds 90 of 100 single true curves, where truth is known.
    The curve ends at the last supported time of training follow-up; beyond it no number is given.
    """

    times_days: npt.NDArray[np.float64]
    survival: npt.NDArray[np.float64]
    lower: npt.NDArray[np.float64] | None = None
    upper: npt.NDArray[np.float64] | None = None
    band: str = "no range"
    outer_lower: npt.NDArray[np.float64] | None = None
    outer_upper: npt.NDArray[np.float64] | None = None
    outer_band: str = ""

    def __post_init__(self) -> None:
        for name in ("times_days", "survival", *_EDGES):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, freeze(getattr(self, name), np.float64))
        times = self.times_days
        if times.ndim != 1 or len(times) < 2 or times[0] != 0 or not (np.diff(times) > 0).all():
            raise ValueError("times_days must increase from 0")
        edges = [getattr(self, name) for name in _EDGES]
        for values in (self.survival, *(edge for edge in edges if edge is not None)):
            if values.shape != times.shape or not np.isfinite(values).all():
                raise ValueError("curve values must be finite and match times_days")
            if values[0] != 1 or (np.diff(values) > 0).any() or values.min() < 0 or values.max() > 1:
                raise ValueError("a survival curve starts at 1, never rises and stays in [0, 1]")
        for low, high in (edges[:2], edges[2:]):
            if (low is None) != (high is None) or (low is not None and (low > high).any()):
                raise ValueError("a band has a lower and an upper edge, in that order")

    def survival_at(self, days: float) -> float:
        """S(days), linear between grid times; NaN beyond the last supported time."""
        if days < 0 or not is_supported(days, self.times_days[-1]):
            return float("nan")
        return float(np.interp(days, self.times_days, self.survival))

    def risk_at(self, days: float) -> float:
        """1 - S(days); NaN beyond the last supported time."""
        return 1.0 - self.survival_at(days)

    def risk_interval_at(self, days: float) -> tuple[float, float]:
        """(low, high) of the risk at `days` from the band; NaN without one and beyond the last supported time."""
        if self.lower is None or self.upper is None or days < 0 or not is_supported(days, self.times_days[-1]):
            return float("nan"), float("nan")
        low, high = (float(np.interp(days, self.times_days, edge)) for edge in (self.upper, self.lower))
        return 1.0 - low, 1.0 - high

    @property
    def median_days(self) -> float | None:
        """First time with S <= 0.5, linear between grid times; None where it is not reached."""
        below = np.flatnonzero(self.survival <= 0.5)
        if not len(below):
            return None
        right = int(below[0])
        t0, t1, s0, s1 = *self.times_days[right - 1 : right + 1], *self.survival[right - 1 : right + 1]
        return float(t0 + (s0 - 0.5) / (s0 - s1) * (t1 - t0))

    def rmst_days(self, horizon: float) -> float:
        """Restricted mean survival time: area under S from 0 to `horizon` days; NaN below 0 and beyond support."""
        if horizon < 0 or not is_supported(horizon, self.times_days[-1]):
            return float("nan")
        inside = self.times_days < horizon
        times = np.append(self.times_days[inside], horizon)
        return float(np.trapezoid(np.append(self.survival[inside], self.survival_at(horizon)), times))
