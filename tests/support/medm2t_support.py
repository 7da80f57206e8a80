"""Laboratory values in ten daily windows: the acceptance processes A and C of MedM2T as a cohort folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.cohort.folder import write_cohort_tables
from core.records import Task

LABS, DAYS = 20, 10
TASK = Task("made_up", "Made up", "the event", (90, 180, 365), (-150, 250), "Made-up patients", "Day 0")
_NOW = pd.Timestamp("2020-02-01")


def lab_values(
    patients: int, missing: float, errors: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Values (n, days, labs), NaN where missing, and log hazards (n,). errors: share of entries that are far off."""
    loadings = np.random.default_rng(7).normal(size=(LABS, 2))
    state = np.empty((patients, DAYS, 2))
    state[:, 0] = rng.normal(size=(patients, 2))
    for day in range(1, DAYS):
        state[:, day] = 0.9 * state[:, day - 1] + 0.35 * rng.normal(size=(patients, 2))
    values = state @ loadings.T + 0.5 * rng.normal(size=(patients, DAYS, LABS))
    eta = 0.9 * state[:, -1, 0] + 0.63 * (state[:, -1, 0] - state[:, 0, 0])
    wrong = rng.random(values.shape) < errors
    values = np.where(wrong, values * 10 ** (1 + 3 * rng.random(values.shape)), values)
    return np.where(rng.random(values.shape) < missing, np.nan, values), eta


def outcomes_of(
    eta: npt.NDArray[np.float64], rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Days and events."""
    days, follow_up = 365 * rng.exponential(size=len(eta)) * np.exp(-eta), rng.uniform(1, 900, len(eta))
    return np.minimum(days, follow_up), days <= follow_up


def write_labs_cohort(
    path: Path, counts: tuple[int, int, int], *, missing: float = 0.5, errors: float = 0.03, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Train, tuning and held-out patients, in this order of subjects from 1; their log hazards."""
    rng = np.random.default_rng(seed)
    values, eta = lab_values(sum(counts), missing, errors, rng)
    days, event = outcomes_of(eta, rng)
    subjects = np.arange(len(eta)) + 1
    patient, day, lab = np.nonzero(np.isfinite(values))
    hours = rng.integers(1, 23, len(patient))
    events = pd.DataFrame(
        {
            "subject_id": subjects[patient],
            "time": _NOW - pd.to_timedelta((DAYS - day) * 24 - hours, unit="h"),
            "code": [f"MADE//{number}" for number in lab],
            "numeric_value": values[patient, day, lab],
        }
    ).sort_values(["subject_id", "time"])
    labels = pd.DataFrame(
        {"subject_id": subjects, "prediction_time": _NOW, "time_to_event_days": days + 0.01, "event": event}
    )
    codes = [f"MADE//{number}" for number in range(LABS)]
    write_cohort_tables(
        path,
        events=events.astype({"time": "datetime64[us]"}),
        splits=pd.DataFrame({"subject_id": subjects, "split": np.repeat(["train", "tuning", "held_out"], counts)}),
        codes=pd.DataFrame({"code": codes, "description": codes, "unit": None}),
        labels={TASK.name: (TASK, labels)},
        metadata={"dataset_name": "made-up laboratory values", "virtual": True},
    )
    return eta
