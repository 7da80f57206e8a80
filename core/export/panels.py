"""The plots beside the scan: survival, attention per slice, strongest events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from core.encode.ct.slice_grid import PLANE_STEP_MM
from core.export.cohort import at_risk_on, cohort_risk, curve_ticks, free_place, shown_days
from core.export.events import NONE_STRONG, entry_name, hazard_factor, strongest_entries
from core.export.style import COHORT, EHR_COLOUR, IMAGE_COLOUR, WARNING, curve_marks, fusion_colour, percent
from core.records import CaseReview, EventAttribution, FloatArray, Timeline
from core.wording import duration, tick_label

_LETTER_WIDE, _LINE, _LINE_POINTS = 0.0178, 0.045, 12
"""Share of the time axis that a letter of the words in the plot takes, of its height that half a line of them takes,
and a line's height."""


def draw_curve(axes: Axes, review: CaseReview, baseline: pd.DataFrame, watermark: bool) -> None:
    """The patient's curve with its band over the training cohort's Kaplan-Meier, numbers at risk underneath."""
    colour, curve, end = fusion_colour(review.fusion), review.curve, shown_days(review)
    cohort: dict[str, Any] = {"color": COHORT, "lw": 1.1, "label": "training cohort"}
    axes.step(baseline["time_days"], 100 * baseline["survival"], where="post", **cohort)
    outer: dict[str, Any] = {"color": colour, "alpha": 0.1, "lw": 0, "label": "90% of single true curves"}
    if curve.outer_lower is not None and curve.outer_upper is not None:
        axes.fill_between(curve.times_days, 100 * curve.outer_lower, 100 * curve.outer_upper, **outer)
    band: dict[str, Any] = {"color": colour, "alpha": 0.25, "lw": 0.4, "label": "observed, given about this risk"}
    if curve.lower is not None and curve.upper is not None:
        axes.fill_between(curve.times_days, 100 * curve.lower, 100 * curve.upper, **band)
    style: dict[str, Any] = {"lw": 1.8, "ls": (0, (5, 2)) if review.doubts else "-", "label": "this patient"}
    axes.plot(curve.times_days, 100 * curve.survival, color=colour, **style)
    axes.set(xlim=(0, end), ylim=(0, 101), ylabel=f"% free of {review.task.event_words}")
    axes.set_xlabel("time after day 0", labelpad=14)
    axes.set_title(risk_sentence(review, baseline))
    ticks = curve_ticks(review)
    axes.set_xticks(ticks, [tick_label(day) for day in ticks])
    horizon: dict[str, Any] = {"color": WARNING, "lw": 0.9, "ls": "--"}
    axes.axvline(review.horizon_days, label=f"horizon, {duration(review.horizon_days)}", **horizon)
    _numbers_at_risk(axes, baseline, ticks)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.185), ncols=4, columnspacing=1.4, handlelength=1.6)
    if marks := curve_marks(review.notices, watermark):
        _write_mark(axes, review, baseline, marks)


def risk_sentence(review: CaseReview, baseline: pd.DataFrame) -> str:
    """Risk by the horizon with what was observed and the cohort's risk; why it does not apply, where it does not."""
    risk, given = review.curve.risk_at(review.horizon_days), review.given.get(review.horizon_days)
    head = f"Risk by {duration(review.horizon_days)}"
    if np.isnan(risk):
        return f"{head}: not given, beyond training follow-up"
    reference = cohort_risk(baseline, review.horizon_days)
    words = f"{head}: {percent(risk)}"
    if review.doubts:
        words += f", does not apply ({review.doubts[0]})"
    elif given is not None:
        low, high = (percent(share) for share in given.interval)
        words += f"; observed in {given.patients} given about this risk {low} to {high}"
    return words if np.isnan(reference) else f"{words}; training cohort {percent(reference)}"


def _write_mark(axes: Axes, review: CaseReview, baseline: pd.DataFrame, marks: list[str]) -> None:
    """The watermark where no line runs through it, above the plot where there is no such place."""
    curve = review.curve
    edges = (curve.survival, curve.lower, curve.upper, curve.outer_lower, curve.outer_upper)
    drawn = [(curve.times_days, shares) for shares in edges if shares is not None]
    drawn.append((baseline["time_days"].to_numpy(np.float64), baseline["survival"].to_numpy(np.float64)))
    lines = [(np.asarray(days, np.float64), np.asarray(shares, np.float64)) for days, shares in drawn]
    wide, half = _LETTER_WIDE * max(map(len, marks)), _LINE * len(marks)
    place = free_place(lines, shown_days(review), upright_day=review.horizon_days, wide=wide, half=half)
    look: dict[str, Any] = {"ha": "center", "va": "center" if place else "bottom", "fontsize": 10, "color": COHORT}
    axes.text(*(place or (0.5, 1.01)), "\n".join(marks), transform=axes.transAxes, **look)
    if place is None:
        axes.set_title(axes.get_title(), pad=6 + _LINE_POINTS * len(marks))


def draw_attention(axes: Axes, weights: FloatArray, positions_mm: FloatArray, shown_mm: float) -> None:
    """Weight of each slice against its position; the slice shown above is marked."""
    width_mm = float(np.median(np.diff(positions_mm))) if len(positions_mm) > 1 else PLANE_STEP_MM
    axes.bar(positions_mm, weights, width=0.85 * width_mm, color=IMAGE_COLOUR)
    axes.axvline(shown_mm, color=WARNING, lw=0.9, ls="--")
    axes.set(xlabel="slice position z (mm, feet to head)", ylim=(0, None))
    axes.set_ylabel("weight", labelpad=5)
    axes.set_title("Attention over slices (what was weighed, not why)")


def draw_events(axes: Axes, attribution: EventAttribution, timeline: Timeline) -> None:
    """What moved the risk most, by the factors that the screen tells; time relative to the prediction, no dates."""
    entries = strongest_entries(attribution)
    axes.set_title(f"Events that moved the risk by {duration(attribution.horizon_days)} most", loc="right")
    if not entries:
        axes.set_axis_off()
        axes.text(0.5, 0.5, f"{NONE_STRONG}.", transform=axes.transAxes, ha="center", va="center", color=COHORT)
        return
    changes = [entry.change for entry in entries]
    rows, reach = np.arange(len(changes)), 1.2 * max(map(abs, changes))
    axes.barh(rows, changes, color=[EHR_COLOUR if change > 0 else COHORT for change in changes])
    axes.axvline(0, color="black", lw=0.6)
    for row, change in enumerate(changes):
        # On the side of the line where the bar is not.
        side: dict[str, Any] = {"ha": "right" if change > 0 else "left", "va": "center", "fontsize": 6.5}
        axes.annotate(
            hazard_factor(change), (0, row), xytext=(-3 * np.sign(change), 0), textcoords="offset points", **side
        )
    axes.set_yticks(rows, [entry_name(timeline, entry) for entry in entries])
    axes.invert_yaxis()
    axes.set_xlim(-reach, reach)
    ticks = factor_ticks(reach)
    axes.set_xticks(np.log(ticks), [f"{tick:.3g}" for tick in ticks])
    axes.set_xlabel("factor of the hazard added up to the horizon (above 1 raises the risk)", loc="right")


def factor_ticks(reach: float) -> list[float]:
    """Round factors on both sides of 1, none beyond `reach` on the scale of logarithms.

    >>> factor_ticks(0.8), factor_ticks(0.03)
    ([0.5, 1.0, 2.0], [0.98, 1.0, 1.02])
    """
    steps = (1.01, 1.02, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 100.0, 1e4, 1e8)
    most = max((step for step in steps if np.log(step) <= reach), default=1.01)
    return [round(1 / most, 2) if most < 10 else 1 / most, 1.0, most]


def _numbers_at_risk(axes: Axes, baseline: pd.DataFrame, ticks: list[float]) -> None:
    """The cohort's numbers under the ticks, as on screen."""
    look: dict[str, Any] = {"textcoords": "offset points", "color": COHORT, "fontsize": 6.5}
    place = axes.get_xaxis_transform()
    counts = {day: count for day in ticks if (count := at_risk_on(baseline, day)) is not None}
    for day, count in counts.items():
        axes.annotate(f"{count:,}", (day, 0), xycoords=place, xytext=(0, -23), ha="center", **look)
    if counts:
        axes.annotate("at risk", (0, 0), xycoords=place, xytext=(-17, -23), ha="right", **look)
