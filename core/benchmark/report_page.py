"""The evaluation report as one HTML file: tables and inline SVG, no script and no network."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core import RESEARCH_NOTICE
from core.benchmark.report_parts import (
    COHORT_GREY,
    NONE,
    colour_of,
    inline,
    key_words,
    number,
    percent,
    percent_range,
    picture,
    table,
    with_interval,
)
from core.records import Float64Array

PANELS_IN_A_ROW = 3

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem }
.notice { border-left: 4px solid #D55E00; background: #fff4ec; padding: .5rem .8rem; font-weight: 600 }
.scroll { overflow-x: auto } table { border-collapse: collapse; margin: .5rem 0 1.2rem; font-size: .9rem }
caption { text-align: left; padding: .3rem 0; color: #444 } th, td { padding: .3rem .8rem .3rem 0; text-align: left;
       border-bottom: 1px solid #ddd; vertical-align: top; font-variant-numeric: tabular-nums }
svg { max-width: 100%; height: auto } h2 { margin-top: 2rem; font-size: 1.25rem } h3 { font-size: 1.05rem }
dt { font-weight: 600 } dd { margin: 0 0 .4rem } small { color: #555 }
"""


def write_page(report: dict[str, Any], path: Path) -> None:
    """Write the report of `core.benchmark.evaluate.evaluate` as a self-contained HTML page."""
    title = "Evaluation of survival predictions"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>',
        f"<h1>{title}</h1><p class=notice>{escape(RESEARCH_NOTICE)}</p>",
        *_cohort_section(report),
        *_ranking_section(report),
        *_difference_section(report),
        *_horizon_sections(report),
        *_over_horizons_section(report),
        *_risk_group_section(report),
        "<h2>How these numbers were made</h2><dl>",
        *(f"<dt>{escape(key_words(key))}</dt><dd>{escape(text)}</dd>" for key, text in report["methods"].items()),
        f"</dl><p class=notice>{escape(RESEARCH_NOTICE)}</p></body></html>",
    ]
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _cohort_section(report: dict[str, Any]) -> Iterable[str]:
    cohort = report["cohort"]
    at = cohort["at_horizons"]
    yield "<h2>Patients</h2>"
    yield (
        f"<p>{report['patients']} patients, {report['rows']} predictions, {report['events']} events; median follow-up "
        f"{number(cohort['median_follow_up_days'], 0)} days (reverse Kaplan-Meier).</p>"
    )
    if report["warning"]:
        yield f"<p class=notice>{escape(report['warning'])}</p>"
    rows = [
        [f"{days:g} d", percent(1 - s if s is not None else None), percent_range(upper, lower), str(risk)]
        for days, s, lower, upper, risk in zip(
            at["days"], at["survival"], at["lower"], at["upper"], at["at_risk"], strict=True
        )
    ]
    yield table("Observed risk by each horizon", ["Horizon", "1 - Kaplan-Meier", "95% interval", "At risk"], rows)
    yield picture(
        lambda axes: _draw_cohort(axes, cohort["kaplan_meier"]), "Kaplan-Meier curve of the evaluated patients"
    )


def _ranking_section(report: dict[str, Any]) -> Iterable[str]:
    yield "<h2>Does a higher risk mean an earlier event?</h2>"
    rows = [
        [
            escape(name),
            key_words(entry["estimator"]),
            "whole follow-up" if entry["tmax_days"] is None else f"to day {entry['tmax_days']:g}",
            with_interval(entry),
            escape(str(entry.get("comparable_pairs", entry.get("reason", NONE)))),
            str(entry.get("dropped", NONE)),
        ]
        for name, model in report["models"].items()
        for entry in model["concordance"]
    ]
    header = ["Model", "Estimator", "Time", "Concordance (95% interval)", "Comparable pairs", "Dropped resamples"]
    yield table(f"Concordance; {report['patients']} patients, {report['events']} events", header, rows)
    harrell = {name: model["concordance"][0] for name, model in report["models"].items()}
    yield picture(
        lambda axes: _draw_ranking(axes, harrell),
        "Harrell concordance of each model with 95% interval",
        height=1.1 + 0.35 * len(harrell),
    )


def _difference_section(report: dict[str, Any]) -> Iterable[str]:
    if not report["differences"]:
        return
    yield f"<h2>Differences from {escape(report['reference'])}</h2>"
    rows = [
        [
            escape(item["name"]),
            with_interval(item, "difference"),
            number(item["p_value"]),
            number(item["p_holm"]),
            str(item["dropped"]),
        ]
        for item in report["differences"]
    ]
    header = ["Model", "Difference in Harrell's C (95% interval)", "p", "p, Holm", "Dropped resamples"]
    yield table("Paired on the same patients and the same resamples", header, rows)


def _horizon_sections(report: dict[str, Any]) -> Iterable[str]:
    for days in report["horizons_days"]:
        entries = {name: model["horizons"][str(days)] for name, model in report["models"].items()}
        happened = next(iter(entries.values()))["events_by_horizon"]
        yield f"<h2>By day {days}</h2>"
        rows = [[escape(name), *_horizon_row(entry)] for name, entry in entries.items()]
        header = [
            "Model",
            "AUC cumulative/dynamic",
            "Brier score",
            "Brier, Kaplan-Meier only",
            "Observed / expected",
            "ICI",
        ]
        yield table(f"{report['rows']} predictions, {happened} events by then; 95% intervals", header, rows)
        for entry in entries.values():
            if entry.get("reason"):
                yield f"<p><small>{escape(entry['reason'])}</small></p>"
                break
        calibrated = {name: entry["calibration"] for name, entry in entries.items() if "calibration" in entry}
        if calibrated:
            yield _calibration_picture(calibrated, days)


def _horizon_row(entry: dict[str, Any]) -> list[str]:
    brier, calibration = entry.get("brier", {}), entry.get("calibration", {})
    return [
        with_interval(entry.get("auc", {})),
        with_interval(brier),
        number(brier.get("kaplan_meier_reference")),
        with_interval(calibration.get("observed_expected", {}), "ratio", 2),
        number(calibration.get("ici")),
    ]


def _calibration_picture(calibrated: dict[str, Any], days: int) -> str:
    """One panel a model, all on the same scale."""
    words = f"Calibration at day {days}: observed against predicted risk in groups of patients, with 95% intervals"
    columns = min(PANELS_IN_A_ROW, len(calibrated))
    lines = -(-len(calibrated) // columns)
    figure = Figure(figsize=(3.1 * columns, 3.1 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    most = min(1.0, 1.05 * max(_largest(entry["groups"]) for entry in calibrated.values()))
    for axes, (name, entry) in zip(panels, calibrated.items(), strict=False):
        _draw_calibration(axes, name, entry, most)
    for axes in panels[len(calibrated) :]:
        axes.set_visible(False)
    figure.supxlabel(f"Predicted risk by day {days}", fontsize=10)
    figure.supylabel("Observed risk (1 - Kaplan-Meier)", fontsize=10)
    return inline(figure, words)


def _over_horizons_section(report: dict[str, Any]) -> Iterable[str]:
    entries = {name: model["over_horizons"] for name, model in report["models"].items()}
    yield "<h2>Over all horizons</h2>"
    header = ["Model", "Integrated Brier", "Kaplan-Meier only", "Antolini's concordance", "D-calibration, p"]
    rows = [
        [
            escape(name),
            with_interval(entry.get("integrated_brier", {})),
            number(entry.get("integrated_brier", {}).get("kaplan_meier_reference")),
            with_interval(entry.get("antolini", {})),
            _p_value(entry.get("d_calibration", {}).get("p_value")),
        ]
        for name, entry in entries.items()
    ]
    yield table("Accuracy, ranking and calibration from the first to the last horizon; 95% intervals", header, rows)
    reasons = {
        part["reason"]: None
        for entry in entries.values()
        for part in (entry, *entry.values())
        if isinstance(part, dict) and part.get("reason")
    }
    yield from (f"<p><small>{escape(reason)}</small></p>" for reason in reasons)


def _risk_group_section(report: dict[str, Any]) -> Iterable[str]:
    entries = {name: model["risk_groups"] for name, model in report["models"].items()}
    yield "<h2>Thirds by predicted risk</h2>"
    header = ["Model", "Third", "Predictions", "Events", "At risk at the horizons", "Log-rank p"]
    rows = [
        [
            escape(name) if place == 0 else "",
            group["name"],
            str(group["n"]),
            str(group["events"]),
            ", ".join(f"{at_risk:g}" for at_risk in group["at_horizons"]["at_risk"]),
            _p_value(entry["log_rank"]["p_value"]) if place == 0 else "",
        ]
        for name, entry in entries.items()
        for place, group in enumerate(entry["groups"])
    ]
    yield table("Outcomes of patients whom a model gave low, middle and high risks", header, rows)
    said = "Kaplan-Meier curves of thirds by predicted risk, with 95% intervals: light lowest, dark highest"
    columns = min(PANELS_IN_A_ROW, len(entries))
    lines = -(-len(entries) // columns)
    figure = Figure(figsize=(3.1 * columns, 3.1 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (name, entry) in zip(panels, entries.items(), strict=False):
        _draw_thirds(axes, name, entry["groups"])
    for axes in panels[len(entries) :]:
        axes.set_visible(False)
    figure.supxlabel("Days from prediction", fontsize=10)
    figure.supylabel("Event-free share", fontsize=10)
    yield inline(figure, said)


def _p_value(value: float | None) -> str:
    return NONE if value is None else "below 0.001" if value < 0.001 else number(value)


def _draw_thirds(axes: Axes, name: str, groups: list[dict[str, Any]]) -> None:
    for place, group in enumerate(groups):
        km, share = group["kaplan_meier"], (place + 1) / len(groups)
        times, survival, lower, upper = (
            np.array(km[key], float) for key in ("times_days", "survival", "lower", "upper")
        )
        style: dict[str, Any] = {"color": colour_of(name), "alpha": 0.25 + 0.75 * share}
        axes.fill_between(times, lower, upper, step="post", color=colour_of(name), alpha=0.15, linewidth=0)
        axes.step(times, survival, where="post", linestyle=("-", "--", "-.")[-1 - place], **style)
    axes.set(ylim=(0, 1.02))
    axes.set_title(name, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _curve(km: dict[str, list[float]]) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """times, survival, lower and upper of a Kaplan-Meier entry."""
    times, survival, lower, upper = (np.array(km[key], float) for key in ("times_days", "survival", "lower", "upper"))
    return times, survival, lower, upper


def _draw_cohort(axes: Axes, km: dict[str, list[float]]) -> None:
    times, survival, lower, upper = _curve(km)
    axes.fill_between(times, lower, upper, step="post", color=COHORT_GREY, alpha=0.25, linewidth=0)
    axes.step(times, survival, where="post", color=COHORT_GREY)
    axes.set(xlabel="Days from prediction", ylabel="Event-free share", ylim=(0, 1.02), xlim=(0, times[-1]))


def _draw_ranking(axes: Axes, entries: dict[str, dict[str, Any]]) -> None:
    for row, (name, entry) in enumerate(entries.items()):
        colour = colour_of(name)
        axes.plot([entry["lower"], entry["upper"]], [row, row], color=colour, linewidth=2)
        axes.plot(entry["value"], row, "o", color=colour)
    axes.axvline(0.5, color=COHORT_GREY, linestyle=":")
    axes.set_yticks(range(len(entries)), list(entries))
    axes.set_ylim(len(entries) - 0.5, -0.5)
    axes.set_xlabel("Harrell's concordance (0.5: no information)")


def _draw_calibration(axes: Axes, name: str, entry: dict[str, Any], most: float) -> None:
    groups, colour = entry["groups"], colour_of(name)
    predicted, observed, low, high = (
        np.array(groups[key], np.float64) for key in ("predicted", "observed", "lower", "upper")
    )
    axes.plot([0, 1], [0, 1], color=COHORT_GREY, linestyle=":")
    axes.vlines(predicted, low, high, color=colour, alpha=0.5)
    axes.plot(predicted, observed, "o", color=colour, markersize=4)
    axes.plot(entry["curve"]["predicted"], entry["curve"]["observed"], color=colour, alpha=0.6, linewidth=1)
    axes.set(xlim=(0, most), ylim=(0, most))
    axes.set_title(name, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _largest(groups: dict[str, list[float]]) -> float:
    """Largest finite value of predicted and observed risk, intervals included."""
    return float(np.nanmax(np.array(groups["predicted"] + groups["upper"], np.float64)))
