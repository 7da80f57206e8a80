"""A small cohort folder of made-up codes, of which two tell the hazard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from core.cohort.folder import write_cohort_tables
from core.records import Task

CODES = tuple(f"MADE//{number}" for number in range(30))
TASK = Task("made", "Made up", "the event", (100, 400), (-150, 250), "Nobody", "The prediction")


def write_made_cohort(path: Path, patients: int = 400, seed: int = 0) -> Path:
    """Each patient has about six of thirty codes; the first two raise the hazard, the next two lower it."""
    draw = np.random.default_rng(seed)
    start = pd.Timestamp("2020-01-01")
    has = draw.random((patients, len(CODES))) < 0.2
    eta = 1.6 * has[:, :2].sum(1) - 1.6 * has[:, 2:4].sum(1)
    days, follow_up = 200 * draw.exponential(size=patients) * np.exp(-eta), draw.uniform(30, 700, patients)
    rows = [
        (subject + 1, start - pd.Timedelta(days=float(draw.integers(1, 300))), CODES[code])
        for subject, code in np.argwhere(has).tolist()
    ]
    events = pd.DataFrame(rows, columns=["subject_id", "time", "code"]).assign(numeric_value=np.nan)
    labels = pd.DataFrame(
        {
            "subject_id": np.arange(patients) + 1,
            "prediction_time": start,
            "time_to_event_days": np.minimum(days, follow_up) + 0.01,
            "event": days <= follow_up,
        }
    )
    split = draw.choice(["train", "tuning", "held_out"], patients, p=[0.5, 0.15, 0.35])
    splits = pd.DataFrame({"subject_id": labels["subject_id"], "split": split})
    codes = pd.DataFrame({"code": CODES, "description": CODES, "unit": None})
    write_cohort_tables(
        path, events=events, splits=splits, codes=codes, labels={TASK.name: (TASK, labels)}, metadata={"virtual": True}
    )
    return path
