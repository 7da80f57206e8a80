"""The training cohort behind a patient's curve, and the axis that both stand on: one for the screen and the figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.records import CaseReview

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
    return sorted(day for day in days if day <= end + 1e-6)


def tick_label(day: float) -> str:
    """Axis label of a day: days up to a year, then years.

    >>> tick_label(0), tick_label(90), tick_label(365), tick_label(1826)
    ('day 0', '90 d', '1 y', '5 y')
    """
    if day == 0:
        return "day 0"
    return f"{day / 365.25:.0f} y" if day >= 365 else f"{day:.0f} d"


def free_place(
    lines: Sequence[Line], end_days: float, *, upright_day: float, wide: float, half: float
) -> tuple[float, float]:
    """Middle (x, y), as shares of the plot, of the first place where no line comes near words of `wide` x 2 `half`.

    upright_day: where an upright line stands; words beside it come first, but rather over it than over a curve.
    """

    def room(place: tuple[float, float]) -> float:
        days = end_days * np.linspace(place[0] - wide / 2, place[0] + wide / 2, 9)
        return min(float(np.abs(np.interp(days, *line) - place[1]).min()) for line in lines if line[0].size)

    across = sorted((0.5, 0.36, 0.64), key=lambda x: abs(x - upright_day / end_days) < wide / 2)
    places = [(x, y) for x in across for y in (half + 0.02, 0.3, 0.5, 0.7)]
    return next((place for place in places if room(place) >= half), max(places, key=room))
