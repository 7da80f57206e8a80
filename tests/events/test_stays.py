"""Admissions and intensive-care stays: one stated rule for each doubt; real records against independent pandas code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.events.stays import admissions_of, is_stay_code

DEMO = Path(__file__).resolve().parents[3] / "shared" / "data" / "ehr" / "mimic_iv_demo_meds_events.parquet"
IN, OUT, ICU, LEFT = "HOSPITAL_ADMISSION//EW", "HOSPITAL_DISCHARGE//HOME", "ICU_ADMISSION//MICU", "ICU_DISCHARGE//MICU"


def spans(*events: tuple[float, str]) -> list[tuple[float, float, bool]]:
    days, codes = zip(*events)
    return [(one.stay.start_days, one.stay.end_days, one.stay.ended) for one in admissions_of(codes, days)]


def test_an_admission_lasts_from_admission_to_discharge() -> None:
    assert spans((-9, IN), (-8, "LAB"), (-5, OUT), (-2, IN), (-1, OUT)) == [(-9, -5, True), (-2, -1, True)]


def test_the_order_of_rows_does_not_matter_and_static_facts_are_none() -> None:
    codes, days = (OUT, "GENDER//F", IN, "LAB"), (-5.0, np.nan, -9.0, -7.0)
    assert [one.stay.start_days for one in admissions_of(codes, days)] == [-9]


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ([(-9, IN), (-8, "LAB"), (-3, IN), (-1, OUT)], [(-9, -8, False), (-3, -1, True)]),  # ended by silence
        ([(-4, IN), (-3.5, "LAB"), (-3, IN), (-1, OUT)], [(-4, -3.5, False), (-3, -1, True)]),  # by the next one
        ([(-4, IN), (-3, "LAB"), (-2, "LAB")], [(-4, -2, False)]),  # still going on
        ([(-9, IN), (-8.5, "LAB"), (-1, "LAB")], [(-9, -8.5, False)]),
        ([(-4, OUT), (-3, "LAB")], []),
        ([(-9, IN), (-8, IN), (-7, OUT), (-6, OUT)], [(-9, -9, False), (-8, -6, True)]),  # overlapping
        ([(-9, IN), (-8, IN), (-8, OUT), (-6, OUT)], [(-9, -8, True), (-8, -6, True)]),  # at one moment
        ([(-4, IN), (-4, IN), (-1, OUT)], [(-4, -1, True)]),
        ([(-4, "VISIT//INPATIENT"), (-3, "LAB")], [(-4, -3, False)]),
    ],
)
def test_each_doubt_has_its_rule(events: list[tuple[float, str]], wanted: list[tuple[float, float, bool]]) -> None:
    assert spans(*events) == wanted


def test_intensive_care_belongs_to_its_admission_and_ends_with_it() -> None:
    codes, days = (IN, ICU, "TRANSFER_TO//transfer//Medicine", LEFT, OUT), (-9.0, -8.0, -7.5, -4.0, -5.0)
    (one,) = admissions_of(codes, days)
    assert [(stay.start_days, stay.end_days, stay.where) for stay in one.intensive] == [(-8, -5, "MICU")]
    assert one.moves == ((-7.5, "transfer//Medicine"),)


def test_intensive_care_outside_any_admission_is_one_of_its_own() -> None:
    (one,) = admissions_of((ICU, LEFT), (-8.0, -6.0))
    assert (one.stay.start_days, one.stay.end_days, len(one.intensive)) == (-8, -6, 1)


def test_what_only_marks_a_stay_is_told_from_what_happens_in_it() -> None:
    assert is_stay_code("TRANSFER_TO//discharge//UNK")
    assert not is_stay_code("HOSPITAL_ADMISSIONS_COUNT//3")


@pytest.mark.skipif(not DEMO.is_file(), reason="the MIMIC-IV demo is not beside the project")
def test_the_mimic_demo_has_the_stays_that_pandas_counts() -> None:
    table = pd.read_parquet(DEMO).sort_values(["subject_id", "time"], kind="stable")
    first = table["code"].str.split("//").str[0]
    counted = {name: int((first == name).sum()) for name in ("HOSPITAL_ADMISSION", "ICU_ADMISSION")}
    assert counted == {"HOSPITAL_ADMISSION": 275, "ICU_ADMISSION": 140}
    spans = pd.DataFrame(
        {
            name: table[first == code].sort_values(["subject_id", "time"]).reset_index(drop=True)[column]
            for name, code, column in (
                ("subject_id", "HOSPITAL_ADMISSION", "subject_id"),
                ("begin", "HOSPITAL_ADMISSION", "time"),
                ("end", "HOSPITAL_DISCHARGE", "time"),
            )
        }
    )
    units = table[first == "ICU_ADMISSION"].reset_index().merge(spans, on="subject_id")
    inside = units[(units["time"] >= units["begin"]) & (units["time"] <= units["end"])].drop_duplicates("index")
    outside = counted["ICU_ADMISSION"] - len(inside)
    day = pd.Timedelta(days=1)
    found = {
        subject: admissions_of(own["code"].tolist(), ((own["time"] - pd.Timestamp("2100-01-01")) / day).to_numpy())
        for subject, own in table.groupby("subject_id")
    }
    assert sum(len(own) for own in found.values()) == 275 + outside
    assert sum(len(one.intensive) for own in found.values() for one in own) == 140
    hours = sorted(24 * one.stay.length_days for own in found.values() for one in own if one.stay.where)
    wanted = sorted((spans["end"] - spans["begin"]) / pd.Timedelta(hours=1))
    assert len(hours) == len(wanted)
    assert np.allclose(hours, wanted, atol=1e-3)
