"""`python -m core cohort`: discharges, labels and splits from a MEDS file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.__main__ import main
from core.cohort.folder import CohortFolder
from core.cohort.from_events import LABELS
from core.learning_commands import COHORT_LABELS

DEMO = Path(__file__).resolve().parents[3] / "shared" / "data" / "ehr"
START = pd.Timestamp("2100-03-01")


def meds(path: Path, *people: list[tuple[float, str]]) -> Path:
    rows = [
        (number + 1, START + pd.Timedelta(days=day), code, np.nan)
        for number, events in enumerate(people)
        for day, code in events
    ]
    table = pd.DataFrame(rows, columns=["subject_id", "time", "code", "numeric_value"])
    table.astype({"time": "datetime64[us]", "numeric_value": "float32"}).to_parquet(path, index=False)
    return path


IN, OUT = "HOSPITAL_ADMISSION//EW", "HOSPITAL_DISCHARGE//HOME"
BACK = [(0.0, IN), (2.0, OUT), (12.0, IN), (15.0, OUT)]
LATE = [(0.0, IN), (2.0, OUT), (90.0, IN), (95.0, OUT)]
DEAD = [(0.0, IN), (2.0, OUT), (9.0, "MEDS_DEATH")]
DIED_INSIDE = [(0.0, IN), (2.0, "HOSPITAL_DISCHARGE//DIED"), (2.1, "MEDS_DEATH")]
NEVER = [(0.0, "LAB//1"), (5.0, "LAB//1")]
PEOPLE = [BACK, LATE, DEAD, DIED_INSIDE, NEVER] * 8


def made(tmp_path: Path, label: str) -> tuple[CohortFolder, pd.DataFrame]:
    file = meds(tmp_path / "events.parquet", *PEOPLE)
    out = tmp_path / "cohort"
    assert main(["cohort", "--events", str(file), "--label", label, "--within-days", "30", "--out", str(out)]) == 0
    folder = CohortFolder(out)
    return folder, folder.labels(f"{label}_30d")


def of(labels: pd.DataFrame, subject: int) -> list[tuple[float, bool]]:
    own = labels[labels["subject_id"] == subject].sort_values("prediction_time")
    return [(round(days, 3), bool(event)) for days, event in zip(own["time_to_event_days"], own["event"])]


def test_the_names_of_the_command_line_are_those_that_are_known() -> None:
    assert tuple(LABELS) == COHORT_LABELS


def test_readmission(tmp_path: Path) -> None:
    _, labels = made(tmp_path, "readmission")
    assert of(labels, 1) == [(10.0, True), (30.0, False)]
    assert of(labels, 2) == [(30.0, False), (30.0, False)]
    assert of(labels, 3) == [(7.0, False)]  # death ends the watch
    assert of(labels, 4) == of(labels, 5) == []


def test_death(tmp_path: Path) -> None:
    folder, labels = made(tmp_path, "death")
    assert of(labels, 1) == [(30.0, False), (30.0, False)]
    assert of(labels, 3) == [(7.0, True)]
    assert folder.task("death_30d").horizons_days == (30,)


def test_nothing_behind_a_discharge_is_known_at_it_and_splits_are_by_patient(tmp_path: Path) -> None:
    folder, labels = made(tmp_path, "readmission")
    first = labels[labels["subject_id"] == 1].sort_values("prediction_time").iloc[:1]
    (columns,) = folder.records(first).columns()
    assert columns.codes.tolist() == ["VISIT//INPATIENT", OUT]
    assert (columns.days <= 0).all()
    assert not folder.splits["subject_id"].duplicated().any()
    assert set(folder.splits["split"]) == {"train", "tuning", "held_out"}
    again = folder.splits.set_index("subject_id")["split"]
    (tmp_path / "other").mkdir()
    other, _ = made(tmp_path / "other", "readmission")
    assert again.equals(other.splits.set_index("subject_id")["split"])


def test_records_without_admissions_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = meds(tmp_path / "events.parquet", NEVER, NEVER)
    command = ["cohort", "--events", str(file), "--label", "death", "--within-days", "30"]
    assert main([*command, "--out", str(tmp_path / "cohort")]) == 2
    assert "HOSPITAL_ADMISSION" in capsys.readouterr().err


@pytest.mark.skipif(not DEMO.is_dir(), reason="the MIMIC-IV demo is not beside the project")
def test_the_mimic_demo_becomes_a_cohort(tmp_path: Path) -> None:
    files = [
        "--events",
        str(DEMO / "mimic_iv_demo_meds_events.parquet"),
        "--codes",
        str(DEMO / "mimic_iv_demo_codes.parquet"),
    ]
    out = tmp_path / "cohort"
    assert main(["cohort", *files, "--label", "readmission", "--within-days", "30", "--out", str(out)]) == 0
    folder = CohortFolder(out)
    labels = folder.labels("readmission_30d")
    table = pd.read_parquet(files[1])
    left = table[table["code"].str.startswith("HOSPITAL_DISCHARGE//") & ~table["code"].str.endswith("DIED")]
    assert abs(len(labels) - len(left)) <= 8  # those on the day of a death
    assert len(folder.splits) == 100
    assert 20 < labels["event"].sum() < 100
    assert sum(one[0].startswith("LOINC") for one in folder.events.parents.values()) > 50
