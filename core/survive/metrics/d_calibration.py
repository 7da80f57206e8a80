"""D-calibration (Haider 2020) from predictions at a few horizons: do outcomes fall where the curves say?

The predicted S(T | x) at a patient's own event time is uniform on 0 to 1 under a right model. Where S is known at
horizons only, an event between two of them says that it lies between their two values of S, and is uniform there: each
bin gets its share. Reading S linearly between the horizons would call right models wrong in cohorts of some hundreds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from core.errors import UserFacingError
from core.records import Float64Array
from core.survive.metrics.concordance import checked
from core.survive.metrics.kaplan_meier import IntArray, censoring_survival
from core.survive.metrics.pairs import CountArray

BINS = 5
"""With ten, the test rejects too many right models in cohorts below some thousand patients."""


@dataclass(frozen=True, eq=False)
class DCalibration:
    """Share of patients in each bin of S(T | x), lowest bin first (b,); a right model has 1 / b in each.

    statistic: Wald's chi-square of the shares against equal ones, with its degrees of freedom and p_value; NaN where
    the predictions are too alike for the shares to vary on their own. n rows.
    """

    shares: Float64Array
    statistic: float
    degrees_of_freedom: int
    p_value: float
    n: int


def d_calibration(
    time_days: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    horizons_days: npt.ArrayLike,
    *,
    groups: IntArray | None = None,
    bins: int = BINS,
) -> DCalibration:
    """D-calibration up to the last horizon.

    survival (n, h): predicted S at horizons_days (h,), increasing. An event by the last horizon counts with weight
    1 / G(t_i), G the Kaplan-Meier estimate of censoring, a patient followed beyond it with 1 / G(horizon); these stand
    for whoever was censored before. groups (n,): number of the patient of each row, whose rows vary together.

    Raises UserFacingError where shapes differ, values are no probabilities, or G is 0.

    >>> d_calibration([5, 15, 25, 25, 25], [1, 1, 0, 0, 0], [[0.8, 0.6]] * 5, [10, 20]).shares.round(3).tolist()
    [0.2, 0.2, 0.2, 0.2, 0.2]
    """
    weights, parts = d_calibration_parts(time_days, event, survival, horizons_days, bins=bins)
    shares = weights @ parts / weights.sum()
    pull = weights[:, None] * (parts - shares) / weights.sum()
    if groups is not None:
        together = np.zeros((int(groups.max()) + 1, bins))
        np.add.at(together, groups, pull)
        pull = together
    # Shares sum to 1, so the last bin says nothing more than the others.
    off, spread = shares[:-1] - 1 / bins, (pull.T @ pull)[:-1, :-1]
    if np.linalg.matrix_rank(spread, hermitian=True) < bins - 1:
        return DCalibration(shares, np.nan, bins - 1, np.nan, len(weights))
    statistic = float(off @ np.linalg.solve(spread, off))
    return DCalibration(shares, statistic, bins - 1, float(chdtrc(bins - 1, statistic)), len(weights))


def d_calibration_shares(weights: Float64Array, parts: Float64Array, counts: Sequence[CountArray]) -> Float64Array:
    """Shares in each resample (bins, b); counts: how often each patient counts, blocks (n, b) side by side."""
    drawn = [block * weights[:, None] for block in counts]
    return np.concatenate([parts.T @ block / block.sum(axis=0) for block in drawn], axis=1)


def d_calibration_parts(
    time_days: npt.ArrayLike,
    event: npt.ArrayLike,
    survival: npt.ArrayLike,
    horizons_days: npt.ArrayLike,
    *,
    bins: int = BINS,
) -> tuple[Float64Array, Float64Array]:
    """Weight of each patient (n,), and how each is spread over the bins (n, bins). See `d_calibration`."""
    horizons, curves = np.asarray(horizons_days, np.float64), np.asarray(survival, np.float64)
    time, seen, _ = checked(time_days, event, np.zeros(len(np.atleast_1d(np.asarray(time_days)))))
    fits = curves.shape == (len(time), len(horizons)) and (np.diff(horizons) > 0).all()
    if not fits or not ((curves >= 0) & (curves <= 1)).all():
        raise UserFacingError(
            "The predicted survival does not fit the patients and horizons.",
            f"probabilities, one row for each of {len(time)} patients and one column for each increasing horizon",
            "Check the predicted table.",
        )
    last, free = horizons[-1], censoring_survival(time, seen)
    beyond, happened = time > last, seen & (time <= last)
    weights = np.zeros(len(time))
    weights[happened] = 1 / free.positive(time[happened])
    if beyond.any():
        weights[beyond] = 1 / free.positive([last])
    if not weights.any():
        raise UserFacingError(
            f"No event happened by day {last:g} and nobody is followed beyond it.",
            "an event or follow-up beyond the last horizon",
            "Choose earlier horizons.",
        )
    values = np.column_stack([np.ones(len(time)), curves, np.zeros(len(time))])
    after = np.searchsorted(horizons, time, side="left")
    rows = np.arange(len(time))
    return weights, _spread(values[rows, after + 1], values[rows, after], bins)


def _spread(low: Float64Array, high: Float64Array, bins: int) -> Float64Array:
    """Share of each interval from low to high (n,) in each bin (n, bins); an interval without width is in one bin."""
    edges = np.linspace(0, 1, bins + 1)
    inside = np.clip(np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1]), 0, None)
    wide = high - low > 1e-12
    parts: Float64Array = np.divide(inside, (high - low)[:, None], out=np.zeros_like(inside), where=wide[:, None])
    own = np.minimum((high * bins).astype(np.int64), bins - 1)
    parts[~wide, own[~wide]] = 1.0
    return parts
