"""Score the patients of a cohort folder with a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from core.bundle import Bundle, load_bundle, longest_horizon, weights_digest
from core.cohort.encoded import encode_cohort
from core.cohort.folder import CohortFolder
from core.compute.device import resolve_device
from core.compute.model_lock import MODEL_LOCK
from core.fuse import TokenSet, batch_rows
from core.records import Task, is_supported
from core.survive.model import SurvivalModel


def predict_cohort(
    cohort: CohortFolder | Path | str,
    bundle: Bundle | Path | str,
    out: Path | str | None = None,
    *,
    split: str = "held_out",
    device: str = "auto",
) -> pd.DataFrame:
    """Predictions of every labelled patient of a split, also written to the parquet file `out` where given.

    Columns: subject_id, prediction_time, time_to_event_days, event, risk (cumulative hazard at the task's longest
    supported horizon; higher = earlier event), survival_<h>d for each task horizon (empty beyond supported follow-up).
    A patient without scan or record is scored with the learned stand-in. The file tells by which weights.
    """
    folder = cohort if isinstance(cohort, CohortFolder) else CohortFolder(cohort)
    model = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
    where, _ = resolve_device(device)
    with model.lock:
        encoded = encode_cohort(folder, model.task.name, split, model.encoders, device=where.type)
        for encoder in model.encoders.values():
            encoder.cpu()
        scores = predict_tokens(model.model, model.task, encoded.tokens)
    columns = ["subject_id", "prediction_time", "time_to_event_days", "event"]
    table = pd.concat([encoded.labels[columns].reset_index(drop=True), scores], axis=1)
    table.attrs = {"weights_sha256": weights_digest(model.path), "split": split}
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(out, index=False)
    return table


def predict_tokens(model: SurvivalModel, task: Task, tokens: TokenSet) -> pd.DataFrame:
    """Columns risk and survival_<h>d for encoded patients, in their order."""
    horizon = longest_horizon(model, task)
    grid = torch.tensor([horizon, *map(float, task.horizons_days)])
    parts = []
    with torch.no_grad(), MODEL_LOCK:
        for rows in batch_rows(len(tokens)):
            parts.append(model(tokens.batch(rows)).survival(grid).double().numpy())
    survival = np.concatenate(parts)
    table = pd.DataFrame({"risk": -np.log(np.maximum(survival[:, 0], 1e-12))})
    for column, days in enumerate(task.horizons_days, start=1):
        supported = is_supported(days, model.last_supported_days)
        table[f"survival_{days}d"] = survival[:, column] if supported else np.nan
    return table
