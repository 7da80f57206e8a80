"""Tasks from the record: the next occurrence after the scan, ancestors, what is left out, and the ranking."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.cohort.folder import CohortFolder, write_cohort_tables
from core.errors import UserFacingError
from core.pretrain.tte.tasks import FutureEvents, choose_tasks, future_events, piece_edges
from core.records import Task

SCAN = pd.Timestamp("2020-01-01 12:00")
ROWS = [
    (1, -400, "ICD10CM//I26.99"),
    (1, 0, "ICD10CM//I26.99"),  # at the scan itself: no future event
    (1, 30, "ICD10CM//I26.99"),
    (1, 10, "ICD10CM//I26.02"),
    (1, 90, "ICD10CM//I26.99"),
    (2, -5, "MADE//A"),
    (2, 200, "MADE//B"),
    (3, -5, "MADE//A"),
    (4, 40, "MEDS_DEATH"),
    (4, 20, "MADE//A"),
]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> CohortFolder:
    path = tmp_path_factory.mktemp("tasks") / "cohort"
    rows = [(subject, SCAN + pd.Timedelta(days=day), code) for subject, day, code in ROWS]
    events = pd.DataFrame(rows, columns=["subject_id", "time", "code"]).assign(numeric_value=np.nan)
    labels = pd.DataFrame(
        {"subject_id": [1, 2, 3, 4], "prediction_time": SCAN, "time_to_event_days": 5.0, "event": False}
    )
    codes = pd.DataFrame({"code": sorted({row[2] for row in ROWS}), "description": "x", "unit": None})
    task = Task("made", "Made", "it", (100,), (-150, 250), "Nobody", "Then")
    write_cohort_tables(
        path, events=events, splits=pd.DataFrame({"subject_id": [1, 2, 3, 4], "split": "train"}), codes=codes,
        labels={"made": (task, labels)}, metadata={},
    )  # fmt: skip
    return CohortFolder(path)


def found(cohort: CohortFolder, *excluded: str) -> dict[tuple[int, str], float]:
    events = future_events(cohort.events, [1, 2, 3, 4], [SCAN] * 4, excluded)
    return {
        (int(patient), events.codes[code]): float(day)
        for patient, code, day in zip(events.patients, events.code_ids, events.days)
    }


def test_the_next_occurrence_after_the_scan_counts_for_a_code_and_all_above_it(cohort: CohortFolder) -> None:
    events = found(cohort)
    assert events[0, "ICD10CM//I26.99"] == 30
    assert events[0, "ICD10CM//I26.02"] == 10
    for above in ("ICD10CM//I26.9", "ICD10CM//I26.0"):
        assert events[0, above] == (30 if above.endswith("9") else 10)
    assert events[0, "ICD10CM//I26"] == 10
    assert events[0, "ICD10CM//chapter 9"] == 10
    assert events[3, "MEDS_DEATH"] == 40
    assert (1, "MADE//A") not in events  # only before the scan
    assert not any(patient == 2 for patient, _ in events)


def test_follow_up_ends_with_the_record(cohort: CohortFolder) -> None:
    events = future_events(cohort.events, [1, 2, 3, 4], [SCAN] * 4)
    assert events.follow_up_days.tolist() == [90, 200, 0, 40]


def test_what_is_excluded_goes_with_everything_below_it(cohort: CohortFolder) -> None:
    names = {name for _, name in found(cohort, "ICD10CM//I26", "MEDS_DEATH")}
    assert names == {"MADE//A", "MADE//B"}


def test_tasks_are_ranked_by_what_they_add_to_their_parent() -> None:
    """Everyone with the category has its one code, which adds nothing to it; a rare code adds less than a common."""
    codes = ("ICD10CM//I26", "ICD10CM//I26.9", "MADE//COMMON", "MADE//RARE")
    patients = np.array([*range(40), *range(40), *range(50), *range(3)])
    ids = np.repeat([0, 1, 2, 3], [40, 40, 50, 3])
    order = np.lexsort((ids, patients))
    events = FutureEvents(codes, patients[order], ids[order], np.ones(len(ids)), np.full(100, 9.0))
    table = choose_tasks(events, 10)
    assert table["code"].tolist() == ["MADE//COMMON", "ICD10CM//I26", "MADE//RARE"]
    assert table["events"].tolist() == [50, 40, 3]
    assert table.loc[0, "entropy"] == pytest.approx(np.log(2))
    assert choose_tasks(events, 1)["code"].tolist() == ["MADE//COMMON"]


def test_codes_of_hardly_anybody_are_no_tasks() -> None:
    events = FutureEvents(("MADE//A",), np.array([0]), np.array([0]), np.ones(1), np.full(5000, 9.0))
    with pytest.raises(UserFacingError, match="often enough"):
        choose_tasks(events, 10)


def test_pieces_hold_equal_shares_of_the_events() -> None:
    days = np.random.default_rng(0).exponential(200, 4000)
    events = FutureEvents(("A",), np.arange(4000), np.zeros(4000, int), days, np.full(4000, 1e4))
    edges = piece_edges(events, 8)
    assert edges[0] == 0
    assert edges[-1] == np.inf
    counts = np.histogram(days, edges)[0]
    assert (np.abs(counts - 500) <= 1).all()
