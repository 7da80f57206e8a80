"""Evaluation of prediction files: every number with its estimator, horizon, weights, interval method, n and events.

`evaluate` reads prediction tables of the same patients, compares the models on one set of patient resamples, and writes
report.json and a self-contained report.html. The files hold counts and estimates only, no patient and no identifier.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core import RESEARCH_NOTICE
from core.benchmark.intervals import LEVEL, interval
from core.benchmark.over_horizons import over_horizons
from core.benchmark.predictions import Predictions, check_table, read_predictions, reference_name
from core.benchmark.report_page import write_page
from core.benchmark.risk_groups import curve_entry, risk_groups
from core.bundle import amend_bundle, load_bundle, weights_digest
from core.errors import UserFacingError
from core.records import Float64Array
from core.survive.metrics.brier import brier_terms, cumulative_dynamic_auc, reference_survival
from core.survive.metrics.calibration import calibration_groups, observed_expected, smooth_calibration
from core.survive.metrics.compare import paired_differences
from core.survive.metrics.concordance import Concordance, bootstrap_values, concordance, few_events_warning
from core.survive.metrics.kaplan_meier import kaplan_meier
from core.survive.metrics.pairs import CountArray, resample_counts

RESAMPLES, SEED = 1000, 0


def evaluate(
    predictions: Sequence[Path | str],
    reference: str | Path | None,
    out: Path | str,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Any]:
    """Evaluate one or more prediction files of the same patients; writes out/report.json and out/report.html.

    predictions: parquet files with subject_id, prediction_time, time_to_event_days, event, risk (higher = earlier
    event) and survival_<h>d columns. reference: path or name (file name without ending) of the model that the
    others are compared with; None takes the first file. Returns the content of report.json.

    Raises UserFacingError on missing columns, missing values, repeated rows, or files that differ in patients,
    outcomes or horizons.
    """
    paths = [Path(path) for path in predictions]
    if not paths:
        raise UserFacingError(
            "No prediction file was given.", "one or more parquet files", "Name the files to evaluate."
        )
    tables = read_predictions(paths)
    chosen = reference_name(reference, list(tables), paths)
    report = evaluate_tables(tables, chosen, resamples=resamples, seed=seed)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    write_page(report, folder / "report.html")
    return report


def evaluate_bundle(bundle: Path | str, predictions: Sequence[Path | str], out: Path | str) -> dict[str, Any]:
    """`evaluate` one file of held-out predictions, and put the report into the bundle that made them.

    Raises UserFacingError where there are several files, or they are of another model or not of held-out patients.
    """
    if len(predictions) != 1:
        found = f"For one model there are {len(predictions)} files of predictions."
        raise UserFacingError(found, "the one that predict wrote with this bundle", "Name that file alone.")
    loaded = load_bundle(bundle)
    told = _made_by(predictions[0])
    if told.get("weights_sha256") != weights_digest(bundle):
        raise UserFacingError(
            "These predictions do not say that this model made them.",
            "the file that predict wrote with this bundle",
            "Predict with it again.",
        )
    if told.get("split") != "held_out":
        raise UserFacingError(
            "These predictions are of patients on whom the model was trained or tuned.",
            "the split held_out",
            "Predict that split.",
        )
    report = evaluate(predictions, None, out)
    amend_bundle(bundle, metrics={**report, "models": {loaded.fusion: next(iter(report["models"].values()))}})
    return report


def _made_by(path: Path | str) -> dict[str, Any]:
    """What `core.train.predict` wrote beside the table: weights_sha256 and split; {} where there is nothing."""
    try:
        return {str(key): value for key, value in pd.read_parquet(path, columns=["risk"]).attrs.items()}
    except (OSError, ValueError, KeyError):
        return {}


def evaluate_tables(
    tables: dict[str, pd.DataFrame], reference: str | None = None, *, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Any]:
    """The report of prediction tables already in memory: name -> table with the columns named in `evaluate`.

    All tables must hold the same patients and outcomes in the same order (`evaluate` sees to it).
    JSON-ready: NaN is None. Raises UserFacingError where their horizons differ.
    """
    models = [check_table(table, name) for name, table in tables.items()]
    first = models[0]
    if any(model.horizons_days != first.horizons_days for model in models):
        raise UserFacingError(
            "The prediction files have different horizons.",
            "the same survival_<days>d columns in every file",
            "Predict with models of one task.",
        )
    chosen, warning = reference or first.name, few_events_warning(int(first.event.sum()))
    risks: list[npt.ArrayLike] = [model.risk for model in models]
    rows = bootstrap_values(first.time_days, first.event, risks, first.groups, resamples=resamples, seed=seed)
    drawn = {model.name: row for model, row in zip(models, rows, strict=True)}
    points = {model.name: concordance(first.time_days, first.event, model.risk) for model in models}
    values = {name: point.value for name, point in points.items()}
    report = {
        "notice": RESEARCH_NOTICE,
        "patients": int(first.groups.max()) + 1,
        "rows": len(first.event),
        "events": int(first.event.sum()),
        "horizons_days": list(first.horizons_days),
        "methods": _methods(resamples, seed),
        "warning": warning,
        "cohort": _cohort(first),
        "models": {
            model.name: _model_report(model, points[model.name], drawn[model.name], resamples, seed) for model in models
        },
        "reference": chosen if len(models) > 1 else None,
        "differences": [asdict(item) for item in paired_differences(values, drawn, chosen, "harrell", LEVEL, warning)],
    }
    return _json_ready(report)  # type: ignore[no-any-return]


def _model_report(
    model: Predictions, harrell: Concordance, drawn: Float64Array, resamples: int, seed: int
) -> dict[str, Any]:
    counts = list(resample_counts(model.groups, resamples, seed))
    return {
        "concordance": [_concordance_entry(harrell, drawn), _uno(model, resamples, seed)],
        "horizons": {
            str(days): _horizon_report(model, column, days, counts) for column, days in enumerate(model.horizons_days)
        },
        "over_horizons": over_horizons(model, counts),
        "risk_groups": risk_groups(model),
    }


def _uno(model: Predictions, resamples: int, seed: int) -> dict[str, Any]:
    """Uno's concordance up to the last horizon, or the reason why there is none."""
    tmax = float(model.horizons_days[-1])
    options: dict[str, Any] = {"estimator": "uno", "tmax_days": tmax}
    outcome = (model.time_days, model.event)
    try:
        point = concordance(*outcome, model.risk, **options)
    except UserFacingError as error:
        return {**options, "value": None, "reason": error.found}
    drawn = bootstrap_values(*outcome, [model.risk], model.groups, resamples=resamples, seed=seed, **options)[0]
    return _concordance_entry(point, drawn)


def _concordance_entry(point: Concordance, drawn: Float64Array) -> dict[str, Any]:
    dropped = int(np.isnan(drawn).sum())
    return {
        "estimator": point.estimator,
        "tmax_days": point.tmax_days,
        "value": point.value,
        **interval(drawn),
        "comparable_pairs": point.comparable_pairs,
        "censoring": point.censoring,
        "resamples": len(drawn) - dropped,
        "dropped": dropped,
    }


def _horizon_report(model: Predictions, column: int, days: int, counts: list[CountArray]) -> dict[str, Any]:
    """Discrimination, accuracy and calibration at one horizon; a reason in place of numbers beyond follow-up."""
    outcome, survival = (model.time_days, model.event), model.survival[:, column]
    happened = int((model.event & (model.time_days <= days)).sum())
    entry: dict[str, Any] = {"horizon_days": days, "n": len(survival), "events_by_horizon": happened}
    if np.isnan(survival).any():
        return {**entry, "reason": "The model was not trained on follow-up that reaches this horizon."}
    if not (model.time_days > days).any() or happened == 0:
        return {**entry, "reason": "No patient is followed beyond this horizon, or no event happened by then."}
    try:
        entry["auc"] = _auc(outcome, 1 - survival, days, counts)
        entry["brier"] = _brier(outcome, survival, days, counts)
    except UserFacingError as error:
        entry["reason"] = error.found
    smooth = smooth_calibration(*outcome, 1 - survival, days)
    entry["calibration"] = {
        "observed_expected": asdict(observed_expected(*outcome, 1 - survival, days)),
        "ici": smooth.ici,
        "e50": smooth.e50,
        "e90": smooth.e90,
        "curve": {"predicted": smooth.predicted, "observed": smooth.observed},
        "groups": vars(calibration_groups(*outcome, 1 - survival, days)),
    }
    return entry


def _auc(
    outcome: tuple[Float64Array, npt.NDArray[np.bool_]],
    risk: Float64Array,
    days: int,
    counts: list[CountArray],
) -> dict[str, Any]:
    value = float(cumulative_dynamic_auc(*outcome, risk, days)[0])
    drawn = np.concatenate([cumulative_dynamic_auc(*outcome, risk, days, weights=block) for block in counts])
    return {"estimator": "cumulative/dynamic, IPCW", "value": value, **interval(drawn)}


def _brier(
    outcome: tuple[Float64Array, npt.NDArray[np.bool_]],
    survival: Float64Array,
    days: int,
    counts: list[CountArray],
) -> dict[str, Any]:
    """Brier score beside that of the cohort's own Kaplan-Meier, and the share of it that the model removes."""
    terms = brier_terms(*outcome, survival[:, None], [days])[:, 0]
    marginal = brier_terms(*outcome, reference_survival(len(terms), [days], *outcome), [days])[:, 0]
    drawn = np.concatenate([terms @ block / block.sum(axis=0) for block in counts])
    score, plain = float(terms.mean()), float(marginal.mean())
    return {
        "estimator": "Brier, IPCW",
        "value": score,
        **interval(drawn),
        "kaplan_meier_reference": plain,
        "scaled": 1 - score / plain if plain > 0 else None,
    }


def _cohort(model: Predictions) -> dict[str, Any]:
    """Kaplan-Meier of all evaluated patients, and how long they were followed."""
    curve = curve_entry(model.time_days, model.event, model.horizons_days)
    return {"median_follow_up_days": _median_follow_up(model), **curve}


def _median_follow_up(model: Predictions) -> float | None:
    """Median follow-up by the reverse Kaplan-Meier method, or None where fewer than half were censored by the end."""
    reverse = kaplan_meier(model.time_days, ~model.event)
    below = np.flatnonzero(reverse.survival <= 0.5)
    return float(reverse.times_days[below[0]]) if len(below) else None


def _methods(resamples: int, seed: int) -> dict[str, str]:
    return {
        "risk": "risk column as predicted; higher means an earlier event",
        "auc_brier_calibration": "use 1 - survival_<h>d of the same horizon, not the risk column",
        "harrell": "Harrell's C over the whole follow-up; a patient censored at an event's own time counts as later",
        "uno": "Uno's C up to the last horizon, weights 1/G^2",
        "censoring": "G is the Kaplan-Meier estimate of censoring in the evaluated patients",
        "interval": f"{LEVEL:.0%} percentile bootstrap of patients, {resamples} resamples, seed {seed}, weights G kept",
        "difference": "paired on the same resamples; two-sided bootstrap p, Holm-corrected over the models compared",
        "calibration": "groups of equal size by predicted risk against 1 - Kaplan-Meier; ICI by local linear "
        "smoothing of pseudo-observations; observed / expected at the horizon",
        "kaplan_meier": f"by lifelines, with pointwise {LEVEL:.0%} intervals: exponential Greenwood, log(-log) scale",
        "risk_groups": "thirds by the risk column, compared over the whole follow-up by lifelines' multivariate "
        "log-rank test, which takes predictions of one patient at two times for two patients",
        "over_horizons": "from survival_<h>d of the horizons named there, as the files hold no whole curves",
        "integrated_brier": "area under the Brier score from the first to the last of these horizons, by trapezoids, "
        "divided by their span",
        "antolini": "share of pairs in which the patient with the event had the lower predicted survival at the time "
        "of that event, up to the last of these horizons; survival read linearly between them, from 1 on day 0",
        "d_calibration": "share of patients in each fifth of the predicted survival at their own event time; an event "
        "between two horizons spreads evenly between their two values, weights 1/G; Wald chi-square against "
        "even shares",
    }


def _json_ready(value: Any) -> Any:
    """Plain JSON types; NaN and infinity become None."""
    if isinstance(value, dict):
        return {str(key): _json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_ready(item) for item in value]
    if isinstance(value, np.ndarray):
        return [_json_ready(item) for item in value.tolist()]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
