"""What a probe found, as probe.json and as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from core import RESEARCH_NOTICE
from core.benchmark.probe import ProbeResult
from core.benchmark.report_page import STYLE
from core.benchmark.report_parts import COHORT_GREY, number, picture, table, with_interval
from core.records import Float64Array
from core.survive.metrics.concordance import bootstrap_values, percentile_interval

RESAMPLES, LEVEL = 400, 0.95
ARM_WORDS = {
    "frozen": "frozen: the pretrained encoder, linear probe",
    "random": "random: the same network untrained, linear probe",
    "scratch": "scratch: the same network trained on these labels alone",
}
_COLOURS = {"frozen": "#0072B2", "random": COHORT_GREY, "scratch": "#D55E00"}
_MARKS = {"frozen": "o", "random": "x", "scratch": "s"}
METHODS = (
    "Linear probes: ridge Cox regression (Efron ties) and ridge logistic regression of the event by the horizon, "
    "penalty by five-fold cross-validated likelihood, features standardised over the training patients drawn. Scratch: "
    "AdamW, Cox likelihood within batches of 50, 25 epochs, best epoch on a fifth of the labels. Concordance: Harrell; "
    "incident/dynamic beside it. AUROC: cumulative/dynamic at the horizon, weighted by the inverse probability of "
    "censoring. Intervals: percentiles over draws of labels and patients together."
)


def probe_report(result: ProbeResult, described: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """JSON-ready: rows of every draw, means with intervals, and differences of frozen from the other arms."""
    drawn = _resampled(result, seed)
    arms = list(dict.fromkeys(row["arm"] for row in result.rows))
    labels = sorted({row["labels"] for row in result.rows})
    means = [_mean(result, arm, count, drawn[arm, count]) for count in labels for arm in arms]
    differences = [
        _difference(result, other, count, drawn["frozen", count] - drawn[other, count])
        for count in labels
        for other in arms
        if other != "frozen" and "frozen" in arms
    ]
    head = {"notice": RESEARCH_NOTICE, **described, "methods": METHODS}
    return {**head, "rows": list(result.rows), "means": means, "differences": differences}


def write_probe(report: Mapping[str, Any], out: Path) -> None:
    """Write probe.json and report.html into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "probe.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (out / "report.html").write_text(_page(report), encoding="utf-8")


def _resampled(result: ProbeResult, seed: int) -> dict[tuple[str, int], Float64Array]:
    """(arm, labels) -> mean concordance over draws in each resample of draws and patients, the same for all."""
    days, events = result.outcomes
    keys = list(result.scores)
    rows = bootstrap_values(
        days, events, [result.scores[key] for key in keys], np.arange(len(days)), resamples=RESAMPLES, seed=seed
    )
    values = dict(zip(keys, rows))
    draws = 1 + max(number for _, _, number in keys)
    chosen = np.random.default_rng(seed).integers(draws, size=(RESAMPLES, draws))
    found = {}
    for arm, count in dict.fromkeys((arm, count) for arm, count, _ in keys):
        of_draw = np.stack([values[arm, count, number] for number in range(draws)])
        found[arm, count] = of_draw[chosen, np.arange(RESAMPLES)[:, None]].mean(1)
    return found


def _mean(result: ProbeResult, arm: str, count: int, drawn: Float64Array) -> dict[str, Any]:
    rows = [row for row in result.rows if (row["arm"], row["labels"]) == (arm, count)]
    lower, upper = _interval(drawn)
    told = {key: _average(rows, key) for key in ("concordance_incident_dynamic", "auroc", "integrated_brier")}
    named = {"arm": arm, "labels": count, "draws": len(rows)}
    return {**named, "concordance": _average(rows, "concordance"), "lower": lower, "upper": upper, **told}


def _difference(result: ProbeResult, other: str, count: int, drawn: Float64Array) -> dict[str, Any]:
    frozen, rest = (_mean(result, arm, count, drawn)["concordance"] for arm in ("frozen", other))
    lower, upper = _interval(drawn)
    value = None if frozen is None or rest is None else frozen - rest
    return {"from": other, "labels": count, "value": value, "lower": lower, "upper": upper}


def _interval(drawn: Float64Array) -> tuple[float | None, float | None]:
    lower, upper = percentile_interval(drawn[~np.isnan(drawn)], LEVEL)
    return (None, None) if np.isnan(lower) else (lower, upper)


def _average(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [row[key] for row in rows if row[key] is not None]
    return float(np.mean(values)) if values else None


def _page(report: Mapping[str, Any]) -> str:
    title = "How much the encoder knows"
    first = report["rows"][0]
    rows = [
        [
            str(row["labels"]),
            escape(ARM_WORDS[row["arm"]]),
            with_interval(row, "concordance"),
            *(number(row[key]) for key in ("concordance_incident_dynamic", "auroc", "integrated_brier")),
        ]
        for row in report["means"]
    ]
    header = ["Labels", "Arm", "Concordance, Harrell (95%)", "incident/dynamic", "AUROC", "Integrated Brier"]
    differences = [[str(row["labels"]), f"frozen - {row['from']}", with_interval(row)] for row in report["differences"]]
    said = (
        f"{first['n_test']:,} held-out patients, {first['events_test']:,} events; horizon day {first['horizon_days']:g}"
    )
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>',
        f"<h1>{title}</h1><p class=notice>{escape(RESEARCH_NOTICE)}</p>",
        f"<p>{escape(str(report['encoder']))}. Task {escape(str(report['task']))}.</p>",
        picture(lambda axes: _draw(axes, report["means"]), "Concordance of each arm by number of labels"),
        table(said, header, rows),
        table("Differences on the same draws and patients", ["Labels", "Difference", "Harrell's C (95%)"], differences),
        f"<h2>How these numbers were made</h2><p>{escape(report['methods'])}</p></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _draw(axes: Axes, means: Sequence[Mapping[str, Any]]) -> None:
    for place, arm in enumerate(dict.fromkeys(row["arm"] for row in means)):
        rows = [row for row in means if row["arm"] == arm and row["concordance"] is not None]
        at = [row["labels"] * 1.04 ** (place - 1) for row in rows]
        colour = _COLOURS[arm]
        axes.plot(at, [row["concordance"] for row in rows], _MARKS[arm] + "-", color=colour, label=arm)
        kept = [(x, row) for x, row in zip(at, rows) if row["lower"] is not None]
        axes.vlines([x for x, _ in kept], [r["lower"] for _, r in kept], [r["upper"] for _, r in kept], color=colour)
    labels = sorted({row["labels"] for row in means})
    axes.axhline(0.5, color=COHORT_GREY, linestyle=":")
    axes.set_xscale("log")
    axes.set_xticks(labels, [str(count) for count in labels])
    axes.minorticks_off()
    axes.set(xlabel="Training patients with a label", ylabel="Harrell's concordance")
    axes.legend(frameon=False)
