"""Simulated futures in words and figures: shares, days in hospital, how they end, agreement with a fusion model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.foresee.futures import Risk
from core.foresee.outcomes import TASK_CODES, task_query
from core.foresee.queries import Query
from core.view.futures import (
    agreement_words,
    ends_words,
    events_only,
    frequent_events,
    frequent_html,
    hospital_days,
    lanes_figure,
    risk_figure,
)
from core.virtual.catalogue import EVENT_CODES

ROWS = [
    (1, 10.0, "ICD10CM//I50.9"),
    (1, 30.0, "ICD10CM//I50.9"),
    (1, 40.0, "MEDS_DEATH"),
    (1, 40.0, "FUTURE_END//death"),
    (2, 5.0, "HOSPITAL_ADMISSION//EW"),
    (2, 6.0, "LOINC//718-7"),
    (2, 9.0, "HOSPITAL_DISCHARGE//HOME"),
    (2, 50.0, "ICD10CM//I50.9"),
    (2, 90.0, "FUTURE_END//horizon"),
    (3, 80.0, "HOSPITAL_ADMISSION//EW"),
    (3, 99.0, "HOSPITAL_DISCHARGE//HOME"),
    (3, 99.0, "FUTURE_END//horizon"),
    (4, 20.0, "FUTURE_END//token_limit"),
]
TABLE = pd.DataFrame(ROWS, columns=["future", "days", "code"]).assign(numeric_value=np.nan)
PAST = pd.DataFrame({"day": [-20.0, -3.0, -900.0], "lane": "diagnoses", "words": "known"})


def risk(share: float, error: float, days: int = 90) -> Risk:
    curve = np.linspace(0, share, days + 1)
    return Risk(Query(("X",)), days, "reach", curve, np.full(days + 1, error), 0.0, share)


def test_shares_count_futures_not_events_and_leave_out_what_every_visit_has() -> None:
    told = frequent_events(TABLE).set_index("code")
    assert set(told.index) == {"ICD10CM//I50.9", "MEDS_DEATH"}
    assert told.loc["ICD10CM//I50.9", "share"] == 0.5
    assert told.loc["ICD10CM//I50.9", "first_day"] == 30  # of days 10 and 50
    assert told.loc["ICD10CM//I50.9", "standard_error"] == pytest.approx(np.sqrt(0.25 / 4))
    assert "Heart failure" in told.loc["ICD10CM//I50.9", "words"]
    assert "50%" in frequent_html(frequent_events(TABLE))


def test_days_in_hospital_end_at_the_horizon() -> None:
    admissions, _, days, error = hospital_days(TABLE, 90)
    assert admissions == 0.5
    assert days == pytest.approx((0 + 4 + 10 + 0) / 4)
    assert error == pytest.approx(np.std([0, 4, 10, 0], ddof=1) / 2)


def test_ends_are_told_and_undetermined_ones_named() -> None:
    words = ends_words(TABLE, 90)
    assert words.startswith("4 futures; 1 end with death")
    assert "1 reached the limit of tokens" in words
    assert "undetermined" not in ends_words(TABLE[TABLE["future"] < 4], 90)


def test_the_lanes_hold_the_record_up_to_now_and_every_event_after_it() -> None:
    figure = lanes_figure(PAST, TABLE, 90, chosen=1)
    names = {trace.name: trace for trace in figure.data}
    assert list(names["the record"].x) == [-20, -3]
    assert len(names["all simulated futures"].x) == len(events_only(TABLE))
    assert list(names["future 1"].x) == [10, 30, 40]
    assert names["all simulated futures"].marker.opacity < 0.5 < names["future 1"].marker.opacity


def test_a_risk_has_its_band_within_the_possible() -> None:
    figure = risk_figure({"death": risk(0.02, 0.05)})
    band = np.array(figure.data[0].y)
    assert ((band >= 0) & (band <= 1)).all()
    assert figure.data[1].name == "death"


@pytest.mark.parametrize(
    ("fusion", "words"), [(0.31, "agree within"), (0.38, "less than 10 in 100"), (0.6, "disagree")]
)
def test_agreement_says_what_each_has_read(fusion: float, words: str) -> None:
    told = agreement_words(risk(0.3, 0.01), fusion, "CT and record")
    assert words in told
    assert "record alone" in told
    assert "CT and record" in told


def test_the_events_of_the_tasks_are_those_that_the_virtual_cohort_writes() -> None:
    assert TASK_CODES == EVENT_CODES
    assert task_query("unknown task").codes == ("MEDS_DEATH",)
