"""The acceptance process of MedHMP as a cohort folder: one admission a patient, all parts of it show a hidden state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.cohort.folder import write_cohort_tables
from core.records import Task

HOURS, FEATURES, PERSON, FIRST_CODES, SECOND_CODES, NOTE_SIZE = 24, 40, 6, 60, 40, 32
LABEL_WEIGHTS = np.array([1.2, -1.0, 0.8, 0.0])
TASK = Task("made_up", "Made up", "the event", (30,), (-150, 250), "Made-up admissions", "Discharge")
_START = pd.Timestamp("2020-01-01")
_WORDS = [f"{first}{second}" for first in "abcdefgh" for second in ("alpha", "gamma", "delta", "sigma")]


@dataclass(frozen=True, eq=False)
class StaysTruth:
    """z (n, 4): hidden state of each admission. risk (n,): probability of the event."""

    z: npt.NDArray[np.float64]
    risk: npt.NDArray[np.float64]


def write_stays_cohort(path: Path, counts: tuple[int, int, int], seed: int = 0) -> StaysTruth:
    """Train, tuning and held-out patients, in this order of subjects from 1. Codes are made up."""
    rng = np.random.default_rng(seed)
    fixed = np.random.default_rng(12345)
    series, person = fixed.normal(size=(4, FEATURES)), fixed.normal(size=(4, PERSON))
    first, second = fixed.normal(size=(4, FIRST_CODES)), fixed.normal(size=(4, SECOND_CODES))
    text = fixed.normal(size=(4, NOTE_SIZE))
    count = sum(counts)
    z = rng.normal(size=(count, 4))
    path_of = z[:, None] + np.cumsum(0.15 * rng.normal(size=(count, HOURS, 4)), axis=1)
    seen = (path_of @ series + 0.7 * rng.normal(size=(count, HOURS, FEATURES)) > 1.2) & (
        rng.random((count, HOURS, FEATURES)) < 0.2
    )
    said = z @ person + 1.5 * rng.normal(size=(count, PERSON))
    has = [rng.random((count, size)) < 1 / (1 + np.exp(2.5 - z @ weights)) for size, weights in
           ((FIRST_CODES, first), (SECOND_CODES, second))]  # fmt: skip
    notes = z @ text + 2 * rng.normal(size=(count, NOTE_SIZE))
    risk = 1 / (1 + np.exp(1 - z @ LABEL_WEIGHTS))
    rows: list[tuple[int, pd.Timestamp | None, str, float, str | None]] = []
    end = _START + pd.Timedelta(hours=HOURS)
    for patient in range(count):
        subject = patient + 1
        rows += [(subject, None, f"PERSON//{number}", float(said[patient, number]), None) for number in range(PERSON)]
        rows.append((subject, _START, "HOSPITAL_ADMISSION//MADE UP", np.nan, None))
        rows += [
            (subject, _START + pd.Timedelta(minutes=60 * hour + 20), f"MADE//{feature}", np.nan, None)
            for hour, feature in np.argwhere(seen[patient]).tolist()
        ]
        for name, held in (("FIRST", has[0]), ("SECOND", has[1])):
            rows += [(subject, end, f"{name}//{code}", np.nan, None) for code in np.flatnonzero(held[patient]).tolist()]
        words = [
            _WORDS[number] for number, value in enumerate(notes[patient]) for _ in range(int(np.clip(value + 2, 0, 6)))
        ]
        rows.append((subject, end, "TEXT//1", np.nan, " ".join(words)))
        rows.append((subject, end, "HOSPITAL_DISCHARGE//HOME", np.nan, None))
    columns = ["subject_id", "time", "code", "numeric_value", "text_value"]
    events = pd.DataFrame(rows, columns=columns).astype({"time": "datetime64[us]"})
    subjects = np.arange(count) + 1
    happened = rng.random(count) < risk
    labels = pd.DataFrame(
        {
            "subject_id": subjects,
            "prediction_time": end,
            "time_to_event_days": np.where(happened, rng.uniform(1, 30, count), 30.0),
            "event": happened,
        }
    )
    names = sorted(set(events["code"]))
    write_cohort_tables(
        path,
        events=events,
        splits=pd.DataFrame({"subject_id": subjects, "split": np.repeat(["train", "tuning", "held_out"], counts)}),
        codes=pd.DataFrame({"code": names, "description": names, "unit": None}),
        labels={TASK.name: (TASK, labels)},
        metadata={"dataset_name": "made-up stays", "virtual": True},
    )
    return StaysTruth(z, risk)
