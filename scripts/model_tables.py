"""The published table: every fusion against truth, with patient-level bootstrap, from prediction files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from core.survive import bootstrap_concordance, concordance, paired_bootstrap

SEED = 0
LEAST_TO_SHARE = 0.1
"""How far above chance the true part must be for a share of it to mean anything."""
HEAD = """# Fusions on held-out virtual patients

Made by `make models` (`python -m scripts.make_models`); the numbers with all their digits are in fusion_table.json.
C: Harrell concordance of the cumulative hazard at the longest horizon; interval: 95% percentile bootstrap over
patients. Differences are paired on the same resamples, p values corrected after Holm. "Share" is (C - 0.5) / (C of the
true part - 0.5), left out where the true part is within 0.1 of chance. MAE: mean absolute difference between predicted
and true S(t), day 0 to the longest horizon.
"""


def write_tables(build: Path, out: Path, resamples: int) -> None:
    """docs/results/fusion_table.json and .md from every folder of build/predictions."""
    results = {}
    for folder in sorted((build / "predictions").iterdir()):
        truth = pd.read_parquet(build / "tokens" / f"{folder.name}.parquet").set_index("subject_id")
        results[folder.name] = one_setting(folder, truth, resamples)
    out.mkdir(parents=True, exist_ok=True)
    (out / "fusion_table.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = HEAD + "".join(markdown(name, result) for name, result in results.items())
    (out / "fusion_table.md").write_text(text, encoding="utf-8")


def one_setting(folder: Path, truth: pd.DataFrame, resamples: int) -> dict[str, Any]:
    """Results of one task, regime and site."""
    tables = {file.stem: pd.read_parquet(file) for file in sorted(folder.glob("*.parquet"))}
    first = next(iter(tables.values()))
    times, events = first["time_to_event_days"].to_numpy(), first["event"].to_numpy()
    parts = truth.loc[first["subject_id"]]
    risks = {name: table["risk"].to_numpy() for name, table in tables.items()}
    ceilings = {name: float(concordance(times, events, parts[name])) for name in ("eta", "eta_image", "eta_ehr")}
    models = {}
    for name, risk in risks.items():
        found = bootstrap_concordance(times, events, risk, resamples=resamples, seed=SEED)
        interval = {"value": float(found.value), "lower": float(found.lower), "upper": float(found.upper)}
        models[name] = {**interval, "mean_curve_error": float(tables[name]["mean_curve_error"].mean())}
    references = [name for name in ("image_only", "ehr_only", "concat", "concat_pooled") if name in risks]
    differences = {
        reference: [
            asdict(item)
            for item in paired_bootstrap(times, events, risks, reference, resamples=resamples, seed=SEED)
        ]
        for reference in references
    }  # fmt: skip
    counts = {"patients": len(first), "events": int(events.sum())}
    return {**counts, "true_concordance": ceilings, "models": models, "differences": differences}


def markdown(name: str, result: dict[str, Any]) -> str:
    """One setting as a section: ceilings, models, differences from image_only and concat."""
    true = result["true_concordance"]
    lines = [
        f"\n## {name.replace('_', ' ')}: {result['patients']} patients, {result['events']} events\n",
        f"True hazard C {true['eta']:.3f}; image part {true['eta_image']:.3f}; record part {true['eta_ehr']:.3f}.\n",
        "| model | C (95% interval) | share of the true part | MAE of S(t) | minus image only | minus concat |",
        "|---|---|---|---|---|---|",
    ]
    for model, entry in result["models"].items():
        ceiling = true[{"image_only": "eta_image", "ehr_only": "eta_ehr"}.get(model, "eta")]
        share = f"{(entry['value'] - 0.5) / (ceiling - 0.5):.0%}" if ceiling - 0.5 >= LEAST_TO_SHARE else "-"
        gaps = " | ".join(gap(result["differences"], reference, model) for reference in ("image_only", "concat"))
        interval = f"{entry['value']:.3f} ({entry['lower']:.3f} to {entry['upper']:.3f})"
        lines.append(f"| {model} | {interval} | {share} | {entry['mean_curve_error']:.3f} | {gaps} |")
    if "concat_pooled" in result["models"]:
        lines.append("")
    for item in result["differences"].get("concat_pooled", []):
        interval = f"{item['lower']:+.3f} to {item['upper']:+.3f}"
        lines.append(f"{item['name']} minus concat_pooled: {item['difference']:+.3f} ({interval}).")
    return "\n".join(lines) + "\n"


def gap(differences: dict[str, list[dict[str, Any]]], reference: str, model: str) -> str:
    """Paired difference of a model from a reference in words, or a dash."""
    found = [item for item in differences.get(reference, []) if item["name"] == model]
    if not found:
        return "-"
    item = found[0]
    return f"{item['difference']:+.3f} ({item['lower']:+.3f} to {item['upper']:+.3f}), p {item['p_holm']:.3f}"
