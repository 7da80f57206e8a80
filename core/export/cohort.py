"""The training cohort behind a patient's curve, and the axis that both stand on: one for the screen and the figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.records import CaseReview, is_supported

Line = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Days and the share of patients free of the event, day by day."""


def cohort_risk(baseline: pd.DataFrame, day: float) -> float:
    """1 - Kaplan-Meier of the training cohort at `day`; NaN beyond its follow-up."""
    times = baseline["time_days"].to_numpy(np.float64)
    if not len(times) or day > times[-1]:
        return float("nan")
    row = int(np.searchsorted(times, day, side="right")) - 1
    return 1.0 - float(baseline["survival"].iloc[row]) if row >= 0 else 0.0


def at_risk_on(baseline: pd.DataFrame, day: float) -> int | None:
    """Patients of the training cohort at risk just before `day`; None beyond its last row.

    The table keeps some of the days on which somebody had the event, so a day between two rows is answered by the row
    after it: whoever is counted there was at risk on that day, and nobody is counted who had left before.
    """
    row = int(np.searchsorted(baseline["time_days"].to_numpy(np.float64), day, side="left"))
    return int(baseline["at_risk"].iloc[row]) if row < len(baseline) else None


def shown_days(review: CaseReview) -> float:
    """Where the time axis ends: the last horizon, or the end of the training follow-up where that comes first."""
    return min(float(review.curve.times_days[-1]), float(max(review.task.horizons_days)))


def curve_ticks(review: CaseReview) -> list[float]:
    """Days named on the time axis: 0, the horizons, and one or two between them."""
    end = shown_days(review)
    days = {0.0, *(float(day) for day in review.task.horizons_days)} | ({180.0} if end <= 400 else {730.0, 1460.0})
    return sorted(day for day in days if is_supported(day, end))


def free_place(
    lines: Sequence[Line], end_days: float, *, upright_day: float, wide: float, half: float
) -> tuple[float, float] | None:
    """Middle (x, y), as shares of the plot, of a place where no falling line comes near words of `wide` x 2 `half`;
    None where there is none, so that the words must stand outside the plot.

    upright_day: where an upright line stands; places beside it come first.
    """
    if wide > 1:
        return None

    def is_free(place: tuple[float, float]) -> bool:
        days = end_days * np.linspace(place[0] - wide / 2, place[0] + wide / 2, 41)
        apart = [np.interp(days, *line) - place[1] for line in lines if line[0].size]
        return all(bool((off >= half).all() or (off <= -half).all()) for off in apart)

    edge = wide / 2 + 0.01
    middles = [x for x in (0.5, 0.36, 0.64, edge, 1 - edge) if edge <= x <= 1 - edge]
    across = sorted(middles, key=lambda x: abs(x - upright_day / end_days) < wide / 2)
    heights = np.arange(half + 0.02, 1 - half, 0.02).tolist()
    return next(((x, y) for x in across for y in heights if is_free((x, y))), None)
