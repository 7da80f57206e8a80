"""The plots beside the scan: survival, attention per slice, strongest events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from core.export.style import COHORT, EHR, IMAGE, WARNING, curve_marks, duration, fusion_colour, percent
from core.records import Attention, CaseReview, EventAttribution, Timeline
from core.timeline.describe import describe

TOP_EVENTS = 8


def draw_curve(axes: Axes, review: CaseReview, baseline: pd.DataFrame, watermark: bool) -> None:
    """The patient's curve with its band over the training cohort's Kaplan-Meier, numbers at risk underneath."""
    colour, curve = fusion_colour(review.fusion), review.curve
    end = float(curve.times_days[-1])
    unit, scale = ("years", 365.25) if end > 2 * 365.25 else ("days", 1.0)
    shown = baseline[baseline["time_days"] <= end]
    times = curve.times_days / scale
    cohort: dict[str, Any] = {"color": COHORT, "lw": 1.1, "label": "training cohort (Kaplan-Meier)"}
    axes.step(shown["time_days"] / scale, shown["survival"], where="post", **cohort)
    band: dict[str, Any] = {"color": colour, "alpha": 0.2, "lw": 0, "label": "its band (see caption)"}
    axes.fill_between(times, curve.lower, curve.upper, **band)
    axes.plot(times, curve.survival, color=colour, lw=1.8, label="this patient")
    axes.axvline(review.horizon_days / scale, color=WARNING, lw=0.9, ls="--")
    axes.set(xlim=(0, end / scale), ylim=(0, 1.02), ylabel=f"free of {review.task.event_words}")
    axes.set_xlabel(f"{unit} after {_time_zero(review)}")
    axes.set_title(risk_sentence(review, baseline))
    axes.legend(loc="best")
    _numbers_at_risk(axes, shown, end, scale)
    if marks := curve_marks(review.notices, watermark):
        look: dict[str, Any] = {"rotation": 18, "ha": "center", "va": "center", "fontsize": 11, "alpha": 0.16}
        axes.text(0.5, 0.55, "\n".join(marks), transform=axes.transAxes, **look)


def risk_sentence(review: CaseReview, baseline: pd.DataFrame) -> str:
    """Risk by the horizon with its band and the cohort's risk."""
    low, high = review.curve.risk_interval_at(review.horizon_days)
    risk = percent(review.curve.risk_at(review.horizon_days))
    reference = cohort_risk(baseline, review.horizon_days)
    words = f"Risk by {duration(review.horizon_days)}: {risk} ({percent(low)} to {percent(high)})"
    return words if np.isnan(reference) else f"{words}; training cohort {percent(reference)}"


def cohort_risk(baseline: pd.DataFrame, days: float) -> float:
    """1 - Kaplan-Meier of the training cohort at `days`; NaN beyond its follow-up."""
    times = baseline["time_days"].to_numpy(np.float64)
    if not len(times) or days > times[-1]:
        return float("nan")
    row = int(np.searchsorted(times, days, side="right")) - 1
    return 1 - float(baseline["survival"].iloc[row]) if row >= 0 else 0.0


def draw_attention(axes: Axes, attention: Attention, shown_mm: float | None) -> None:
    """Weight of each slice against its position; the slice shown above is marked."""
    assert attention.ct_weights is not None
    assert attention.ct_positions_mm is not None
    positions = attention.ct_positions_mm
    width = float(np.median(np.diff(positions))) if len(positions) > 1 else 5.0
    axes.bar(positions, attention.ct_weights, width=0.85 * width, color=IMAGE)
    if shown_mm is not None:
        axes.axvline(shown_mm, color=WARNING, lw=0.9, ls="--")
    axes.set(xlabel="slice position z (mm, feet to head)", ylabel="weight", ylim=(0, None))
    axes.set_title("Attention over slices (what was weighed, not why)")


def draw_events(axes: Axes, attribution: EventAttribution, timeline: Timeline) -> None:
    """The strongest events, signed; time relative to the prediction time, no dates."""
    names, values = strongest_events(attribution, timeline, TOP_EVENTS)
    rows = np.arange(len(values))
    axes.barh(rows, values, color=[EHR if value > 0 else COHORT for value in values])
    axes.axvline(0, color="black", lw=0.6)
    axes.set_yticks(rows, names)
    axes.invert_yaxis()
    axes.set_xlabel("change of log cumulative hazard (right raises the risk)", loc="right")
    axes.set_title(f"Events that moved the risk by {duration(attribution.horizon_days)} most", loc="right")


def strongest_events(attribution: EventAttribution, timeline: Timeline, count: int) -> tuple[list[str], list[float]]:
    """Names and values of the `count` events of largest magnitude, largest first."""
    order = np.argsort(-np.abs(attribution.values), kind="stable")
    kept = [int(row) for row in order if attribution.event_ids[row] >= 0][:count]
    names = [event_name(timeline, int(attribution.event_ids[row])) for row in kept]
    return names, [float(attribution.values[row]) for row in kept]


def event_name(timeline: Timeline, event_id: int) -> str:
    """What an event is, its value with unit, and its day: "NT-proBNP 2310 pg/mL, day -1"."""
    event = timeline.events.iloc[event_id]
    if event["code"] == "MEDS_BIRTH" and timeline.age_years is not None:
        return f"Age {min(timeline.age_years, 90):.0f}"
    name = describe(event["code"], timeline.code_descriptions)
    name = name if len(name) <= 34 else name[:33] + "…"
    if pd.notna(event["numeric_value"]):
        unit = event["unit"] if isinstance(event["unit"], str) else ""
        name += f" {event['numeric_value']:.4g} {unit}".rstrip()
    if pd.isna(event["time"]):
        return name
    days = (event["time"] - timeline.prediction_time) / pd.Timedelta(days=1)
    return f"{name}, day {days:.0f}" if days <= -1 else f"{name}, day 0"


def _numbers_at_risk(axes: Axes, baseline: pd.DataFrame, end: float, scale: float) -> None:
    if "at_risk" not in baseline or baseline.empty:
        return
    times = baseline["time_days"].to_numpy(np.float64)
    for tick in [day for day in axes.get_xticks() * scale if 0 <= day <= end * 1.001]:
        row = min(int(np.searchsorted(times, tick, side="left")), len(times) - 1)
        words = f"{int(baseline['at_risk'].iloc[row]):,}" + (" at risk" if tick == 0 else "")
        axes.annotate(
            words,
            (tick / scale, 0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, -32),
            textcoords="offset points",
            color=COHORT,
            fontsize=6.5,
            ha="center",
        )


def _time_zero(review: CaseReview) -> str:
    words = review.task.time_zero.strip().rstrip(".").removeprefix("Time of ").removeprefix("time of ")
    return words if 0 < len(words) <= 40 else "day 0"
