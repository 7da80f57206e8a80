"""Times of day in a column beside the dates: one that cannot be read never takes the others with it."""

from __future__ import annotations

import pytest

from core.errors import UserFacingError
from core.records import Timeline
from core.timeline import load_timeline

HEADER = "Patienten-ID;Datum;Uhrzeit;Code;Wert;Einheit\n"
MORNING = "7;2020-01-01;06:00;K;4.0;mmol/l\n"


def loaded(cell: str, before: str = MORNING, prediction_time: str | None = "2020-01-03") -> Timeline:
    rows = f"{HEADER}{before}7;2020-01-02;{cell};TROP;99;ng/l\n"
    return load_timeline([("a.csv", rows.encode())], prediction_time=prediction_time)


@pytest.mark.parametrize("before", [MORNING, ""])
@pytest.mark.parametrize(
    ("cell", "clock"),
    [
        ("20:00", "20:00"), ("08:30 Uhr", "08:30"), ("08.30 Uhr", "08:30"), ("8h30", "08:30"), ("8 h", "08:00"),
        ("T08:30", "08:30"), ("8 pm", "20:00"), ("12 am", "00:00"), ("-", "00:00"), ("--:--", "00:00"), ("", "00:00"),
    ],
)  # fmt: skip
def test_times_of_day_as_people_write_them(cell: str, clock: str, before: str) -> None:
    times = [f"{time:%Y-%m-%d %H:%M}" for time in loaded(cell, before).events["time"]]
    assert times == ["2020-01-01 06:00", f"2020-01-02 {clock}"][-len(times) :]
    assert len(times) == 1 + bool(before)


@pytest.mark.parametrize("before", [MORNING, MORNING * 999, ""])
@pytest.mark.parametrize("cell", ["unbekannt", "08.30", "0830", "0.354166", "ca. 08:30", "13 pm", "morning"])
def test_a_time_of_day_that_cannot_be_read_is_asked_about(cell: str, before: str) -> None:
    """It used to put every event of the table at 00:00, those of the evening before a prediction at noon."""
    with pytest.raises(UserFacingError, match="beside the dates: 1 time of day") as refusal:
        loaded(cell, before, "2020-01-02T12:00")
    assert cell not in str(refusal.value)


def test_a_second_column_that_repeats_the_days_with_times_of_day_counts() -> None:
    assert [f"{time:%d %H:%M}" for time in loaded("2020-01-02 08:30", "").events["time"]] == ["02 08:30"]


def test_a_clock_column_that_also_holds_dates_is_asked_about() -> None:
    with pytest.raises(UserFacingError, match="1 time of day"):
        loaded("2020-01-02 08:30")


def test_a_column_of_clocks_under_an_unknown_name_is_asked_about_though_one_cell_is_none() -> None:
    rows = "patient_id,date,time_of_day,code,value\n7,2020-01-01,06:00,K,4\n7,2020-01-02,8pm,TROP,99\n"
    with pytest.raises(UserFacingError, match="times of day seem to stand in a column"):
        load_timeline([("a.csv", rows.encode())])


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("2019", "Years alone"),
        ("2020-01-02 08:30 CEST", "not written as a difference to UTC"),
        ("2020-01-02T08:30+01:00[Europe/Berlin]", "not written as a difference to UTC"),
        ("2020-01-02 25:10", "25:10"),
        ("43831", "count of days"),
    ],
)
def test_what_is_wrong_with_a_time_is_said(time: str, words: str) -> None:
    with pytest.raises(UserFacingError, match=words):
        load_timeline([("a.csv", f"patient_id,time,code,value\n7,{time},K,4\n".encode())])
