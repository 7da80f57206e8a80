"""What the model card shows of a model's evaluation: Plotly figures and plain table rows, for light and dark themes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from core.benchmark.report_parts import COHORT_GREY, NONE, colour_of, number, with_interval
from core.wording import duration, span_words, tick_label, time_ticks

Percent = npt.NDArray[np.float64]
GRID = "rgba(118, 118, 118, 0.25)"


def calibration_figure(horizon: Mapping[str, Any], *, fusion: str = "fused") -> go.Figure | None:
    """Observed against predicted risk at one horizon, or None where the report has no calibration for it.

    horizon: the entry `models[name]["horizons"][days]` of a report. Points are groups of patients by predicted risk
    with the 95% interval of 1 - Kaplan-Meier; the line is the smoothed relation, the dotted diagonal
    perfect agreement. Backgrounds are transparent and text takes the theme's colour.
    """
    calibration = horizon.get("calibration")
    if not calibration:
        return None
    groups, curve, colour = calibration["groups"], calibration["curve"], colour_of(fusion)
    predicted, observed, lower, upper = (
        100 * np.array(groups[key], np.float64) for key in ("predicted", "observed", "lower", "upper")
    )
    most = float(min(100.0, 1.08 * max(predicted.max(), np.nanmax(upper))))
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        name="perfect agreement",
        hoverinfo="skip",
        line={"color": COHORT_GREY, "dash": "dot", "width": 1.5},
    )
    figure.add_scatter(
        x=100 * np.array(curve["predicted"]),
        y=100 * np.array(curve["observed"]),
        mode="lines",
        name="smoothed",
        line={"color": colour, "width": 1.5},
        opacity=0.8,
        hoverinfo="skip",
    )
    figure.add_trace(_group_points(groups, predicted, observed, lower, upper, colour))
    by = f"risk by {duration(horizon['horizon_days'])}"
    figure.update_layout(**_layout(f"Predicted and observed {by}"))
    figure.update_xaxes(title=f"Predicted {by} (%)", range=[0, most], gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title="Observed risk, 1 - Kaplan-Meier (%)", range=[0, most], gridcolor=GRID, zeroline=False)
    return figure


def _group_points(
    groups: Mapping[str, Any], predicted: Percent, observed: Percent, lower: Percent, upper: Percent, colour: str
) -> go.Scatter:
    """Groups of patients with their intervals; all in percent."""
    return go.Scatter(
        x=predicted,
        y=observed,
        mode="markers",
        name="groups of patients",
        marker={"color": colour, "size": 8},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": upper - observed,
            "arrayminus": observed - lower,
            "color": colour,
            "thickness": 1.2,
            "width": 0,
        },
        customdata=np.column_stack([groups["n"], groups["events"], lower, upper]),
        hovertemplate="predicted %{x:.1f}%<br>observed %{y:.1f}% (%{customdata[2]:.1f} to %{customdata[3]:.1f})"
        "<br>%{customdata[0]} patients, %{customdata[1]} events<extra></extra>",
    )


def calibration_words(horizon: Mapping[str, Any], who: str = "held-out patients") -> str:
    """The calibration of one horizon in a sentence, also the figure's alternative text; who: on whom it is told."""
    calibration = horizon.get("calibration")
    if not calibration:
        return str(horizon.get("reason", "No calibration was computed for this horizon."))
    ratio = calibration["observed_expected"]
    return (
        f"By {duration(horizon['horizon_days'])}, {_percent(ratio['observed'])} of {horizon['n']:,} {who} "
        f"had the event (Kaplan-Meier) and {_percent(ratio['expected'])} were predicted to: observed / expected "
        f"{with_interval(ratio, 'ratio', 2)}; mean absolute error of the predicted risk (ICI) "
        f"{_percent(calibration['ici'])}."
    )


def training_rows(model: Mapping[str, Any], *, events: int) -> list[dict[str, str]]:
    """Table rows of one model's entry `models[name]` of a report, as words: measure, time, value, events by then."""
    rows = []
    for entry in model["concordance"]:
        when = "whole follow-up" if entry["tmax_days"] is None else f"to {duration(entry['tmax_days'])}"
        label = {"harrell": "Concordance, Harrell", "uno": "Concordance, Uno (IPCW)"}[entry["estimator"]]
        by_then = model["horizons"].get(f"{entry['tmax_days'] or 0:.0f}", {}).get("events_by_horizon", events)
        rows.append(_row(label, when, with_interval(entry), by_then))
    for days, entry in model["horizons"].items():
        happened, when = entry["events_by_horizon"], duration(float(days))
        brier, calibration = entry.get("brier", {}), entry.get("calibration", {})
        plain = number(brier.get("kaplan_meier_reference"))
        rows.append(_row("AUC, cumulative/dynamic (IPCW)", when, with_interval(entry.get("auc", {})), happened))
        rows.append(_row(f"Brier score (Kaplan-Meier alone: {plain})", when, with_interval(brier), happened))
        ratio = with_interval(calibration.get("observed_expected", {}), "ratio", 2)
        rows.append(_row("Observed / expected", when, ratio, happened))
        rows.append(_row("Calibration error (ICI)", when, _percent(calibration.get("ici")), happened))
    return rows


def baseline_figure(
    times_days: Sequence[float], survival: Sequence[float], lower: Sequence[float], upper: Sequence[float]
) -> go.Figure:
    """Kaplan-Meier curve of the training patients with its 95% band; times in days, shares 0 to 1."""
    colour, times = COHORT_GREY, np.asarray(times_days, np.float64)
    figure = go.Figure()
    figure.add_scatter(
        x=np.concatenate([times, times[::-1]]),
        y=100 * np.concatenate([upper, np.asarray(lower)[::-1]]),
        fill="toself",
        fillcolor="rgba(118, 118, 118, 0.2)",
        line={"width": 0},
        hoverinfo="skip",
        name="95% interval",
    )
    figure.add_scatter(
        x=times,
        y=100 * np.asarray(survival, np.float64),
        mode="lines",
        name="training patients (Kaplan-Meier)",
        line={"color": colour, "shape": "hv"},
        text=[span_words(day) for day in times.tolist()],
        hovertemplate="%{text}: %{y:.1f}% event-free<extra></extra>",
    )
    figure.update_layout(**_layout("Event-free share of the training patients"))
    ticks = time_ticks(float(times[-1]))
    named = {"tickvals": ticks, "ticktext": [tick_label(day) for day in ticks], "gridcolor": GRID, "zeroline": False}
    figure.update_xaxes(title="Time after day 0", **named)
    figure.update_yaxes(title="Event-free (%)", range=[0, 101], gridcolor=GRID, zeroline=False)
    return figure


def _layout(title: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "font": {"size": 15}},
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "margin": {"l": 60, "r": 12, "t": 48, "b": 48},
        "height": 380,
        "legend": {"orientation": "h", "y": -0.22},
    }


def _row(measure: str, when: str, value: str, events: int) -> dict[str, str]:
    return {"Measure": measure, "Time": when, "Value (95% interval)": value, "Events": str(events)}


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.2g}%"
