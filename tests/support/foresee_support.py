"""A process whose future is known, as MEDS events: visits with a severity that drives target and death."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from core.foresee.events import DEATH, PatientEvents

GAPS_DAYS, GAP_CHANCES = (1, 3, 7, 30, 90), (0.05, 0.1, 0.25, 0.4, 0.2)
TARGET = "TARGET"
SEVERITIES = tuple(f"SEVERITY//{level}" for level in range(5))
BENIGN = tuple(f"BENIGN//{letter}" for letter in "abcd")
VISITS = 23
TRUE_RISKS = (0.085, 0.176, 0.282, 0.361, 0.396)
"""Risk of the target within 180 days of a visit, by the severity then (../shared/methods/comet.md)."""
_START = np.datetime64("2020-01-01", "us")


@dataclass(frozen=True)
class Visits:
    """One patient: days and codes of visits."""

    days: tuple[int, ...]
    codes: tuple[str, ...]


def simulate_visits(rng: np.random.Generator, severity: int, visits: int = VISITS, until: float = np.inf) -> Visits:
    """Visits from day 0 on until death, so many visits, or a day."""
    day, days, codes = 0, [], []
    while len(days) < visits and DEATH not in codes:
        day += int(rng.choice(GAPS_DAYS, p=GAP_CHANCES))
        if day > until:
            break
        if rng.random() < 0.01 + 0.03 * severity:
            code = TARGET
        elif rng.random() < 0.02 + 0.02 * severity:
            code = DEATH
        elif rng.random() < 0.5:
            severity = int(np.clip(severity + rng.choice((-1, 0, 1), p=(0.2, 0.6, 0.2)), 0, 4))
            code = SEVERITIES[severity]
        else:
            code = BENIGN[rng.integers(4)]
        days.append(day)
        codes.append(code)
    return Visits(tuple(days), tuple(codes))


def simulate_process(patients: int, seed: int) -> list[Visits]:
    rng = np.random.default_rng(seed)
    return [simulate_visits(rng, int(rng.integers(5))) for _ in range(patients)]


def as_events(records: list[Visits]) -> PatientEvents:
    """Patients numbered from 0."""
    subjects = np.repeat(np.arange(len(records)), [len(record.days) for record in records])
    days = np.array([day for record in records for day in record.days], "timedelta64[D]")
    codes = [code for record in records for code in record.codes]
    numbers = pa.nulls(len(codes), pa.float32())
    return PatientEvents.from_table(
        pa.table({"subject_id": subjects, "time": _START + days, "code": codes, "numeric_value": numbers})
    )


def cut_at_severity(records: list[Visits], count: int, seed: int) -> tuple[list[Visits], npt.NDArray[np.int64]]:
    """Records with three severities or more, each cut right after a random one, and the severities there."""
    rng = np.random.default_rng(seed)
    cut, levels = [], []
    for record in records:
        places = [place for place, code in enumerate(record.codes) if code in SEVERITIES]
        if len(places) < 3 or len(cut) == count:
            continue
        place = int(rng.choice(places))
        cut.append(Visits(record.days[: place + 1], record.codes[: place + 1]))
        levels.append(SEVERITIES.index(record.codes[place]))
    return cut, np.array(levels)


def write_process_cohort(path: Path, train: int, tuning: int, asked: int, seed: int = 1) -> npt.NDArray[np.int64]:
    """A cohort folder of the process; the severity of each held-out patient at the prediction time, in their order.

    A held-out patient's record goes on behind the prediction time, which stands right after a random severity.
    """
    from core.cohort.folder import write_cohort_tables
    from core.records import Task

    learning = simulate_process(train + tuning, seed)
    rng = np.random.default_rng(seed + 1)
    held, levels, cuts = [], [], []
    for record in simulate_process(20 * asked, seed + 1):
        places = [place for place, code in enumerate(record.codes) if code in SEVERITIES]
        if len(places) >= 3 and len(held) < asked:
            place = int(rng.choice(places))
            held.append(record)
            cuts.append(record.days[place])
            levels.append(SEVERITIES.index(record.codes[place]))
    everybody = [*learning, *held]
    rows = [
        (subject + 1, pd.Timestamp(_START) + pd.Timedelta(days=day), code, np.nan)
        for subject, record in enumerate(everybody)
        for day, code in zip(record.days, record.codes)
    ]
    split = np.repeat(["train", "tuning", "held_out"], [train, tuning, len(held)])
    subjects = np.arange(len(everybody)) + 1
    labels = pd.DataFrame(
        {
            "subject_id": subjects[train + tuning :],
            "prediction_time": pd.Timestamp(_START) + pd.to_timedelta(cuts, unit="D"),
            "time_to_event_days": 180.0,
            "event": False,
        }
    )
    codes = (TARGET, DEATH, *SEVERITIES, *BENIGN)
    write_cohort_tables(
        path,
        events=pd.DataFrame(rows, columns=["subject_id", "time", "code", "numeric_value"]),
        splits=pd.DataFrame({"subject_id": subjects, "split": split}),
        codes=pd.DataFrame({"code": codes, "description": codes, "unit": None}),
        labels={"target": (Task("target", "Target", "the target", (180,), (-150, 250), "Made up", "A visit"), labels)},
        metadata={"dataset_name": "made up", "virtual": True},
    )
    return np.array(levels)
