"""Prediction times, identifiers and rows that are easily mistaken: read, or refused and doubted in words."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest

from core.errors import UserFacingError
from core.records import Timeline
from core.timeline import load_timeline

HEADER = "subject_id,time,code,value\n"
FIRST, SECOND = "7,2020-01-01T10:00:00,A,1\n", "7,2020-01-02T10:00:00,B,2\n"
IN_FUTURE = "The prediction time lies in the future"


def loaded(rows: str, prediction_time: str | None = None) -> Timeline:
    return load_timeline([("events.csv", (HEADER + rows).encode())], prediction_time=prediction_time)


@pytest.mark.parametrize("given", ["2500-01-01", "3000-01-01T10:00"])
def test_a_prediction_time_beyond_all_records_is_refused(given: str) -> None:
    with pytest.raises(UserFacingError, match="after 2261"):
        loaded(FIRST, given)


def test_a_prediction_time_in_the_future_of_a_record_of_the_past_is_doubted() -> None:
    assert any(note.startswith(IN_FUTURE) for note in loaded(FIRST, "2202-01-02").notes)
    assert not any(note.startswith(IN_FUTURE) for note in loaded(FIRST, "2021-01-02").notes)
    shifted = loaded(FIRST.replace("2020", "2180"), "2180-01-02")
    assert not any(note.startswith(IN_FUTURE) for note in shifted.notes)


def test_a_prediction_time_with_a_zone_says_what_events_without_one_count_as() -> None:
    timeline = loaded(FIRST + SECOND, "2020-01-02T12:00:00+05:00")
    assert timeline.events["code"].tolist() == ["A"]
    assert any("name no time zone and count as UTC" in note for note in timeline.notes)
    zoned = loaded(FIRST.replace(",A", "Z,A") + SECOND.replace(",B", "Z,B"), "2020-01-02T12:00:00+05:00")
    assert not any("name no time zone" in note for note in zoned.notes)


def test_blank_rows_below_a_table_are_no_events() -> None:
    assert loaded(FIRST + SECOND + ",,,\n , ,,\n,\n").events["code"].tolist() == ["A", "B"]
    with pytest.raises(UserFacingError, match="no patient"):
        loaded(FIRST + ",2020-01-02T10:00:00,B,2\n")


SWALLOWED = [
    '7,2020-01-01,A,"clot\n7,2020-01-02,B,none"\n',
    '7,2020-01-01,A,"clot, old\n7,2020-01-02,B,none\n7,2020-01-03,C,end"\n7,2020-01-04,D,x\n',
]


@pytest.mark.parametrize("rows", SWALLOWED)
def test_rows_between_two_stray_quotes_are_refused(rows: str) -> None:
    with pytest.raises(UserFacingError, match=r"further rows within a text.*: 1 row"):
        loaded(rows)


@pytest.mark.parametrize("text", ["clot\nold, small, left, lower", "clot\nseen 2020-01-02", "a\n\nb,c,d,e\n"])
def test_a_text_of_several_lines_is_read(text: str) -> None:
    assert loaded(f'7,2020-01-01,A,"{text}"\n').events["text_value"].tolist() == [text.strip()]


def test_a_table_whose_first_row_is_an_event_is_refused() -> None:
    with pytest.raises(UserFacingError, match="first row of the table holds a date"):
        load_timeline(("a.csv", b"7,2020-01-01 08:00,A,1\n7,2020-01-02 08:00,B,2\n"))


def test_two_dates_of_death_are_said() -> None:
    deaths = "7,2020-02-01,MEDS_DEATH,\n7,2020-03-01,MEDS_DEATH,\n"
    note = "The record holds more than one date of death."
    assert note in loaded(FIRST + deaths).notes
    assert note not in loaded(FIRST + deaths.replace("2020-03-01", "2020-02-01T08:00")).notes


@pytest.mark.parametrize("largest", [2**63 + 5, 2**63 - 1, 7])
def test_identifiers_of_64_unsigned_bits_are_read(largest: int) -> None:
    times = pd.to_datetime(["2020-01-01", "2020-01-02"])
    table = pd.DataFrame({"subject_id": np.array([largest] * 2, np.uint64), "time": times, "code": ["A", "B"]})
    out = io.BytesIO()
    table.to_parquet(out)
    timeline = load_timeline([("0.parquet", out.getvalue())])
    assert timeline.events["code"].tolist() == ["A", "B"]
    assert timeline.subject_id == (largest if largest < 2**63 else 1)


TELLING = {
    "participant_id": True, "USUBJID": True, "nhs_number": True, "Patient Name": True, "Nachname": True, "id": True,
    "study_id": True, "hospital_name": False, "order_id": False, "name": False,
}  # fmt: skip


@pytest.mark.parametrize("column", TELLING)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_that_tells_patients_apart_is_asked_about(column: str, kind: str) -> None:
    table = pd.DataFrame({column: ["p", "q"] * 3, "time": pd.Timestamp("2020-01-01"), "code": "A"})
    out = io.BytesIO()
    table.to_parquet(out)
    data = table.to_csv(index=False).encode() if kind == "csv" else out.getvalue()
    if not TELLING[column]:
        assert len(load_timeline([(f"t.{kind}", data)]).events) == 6
        return
    with pytest.raises(UserFacingError, match="Several patients"):
        load_timeline([(f"t.{kind}", data)])


@pytest.mark.parametrize("column", ["id", "study_id"])
def test_a_number_of_each_row_or_of_few_rows_is_no_patient(column: str) -> None:
    table = pd.DataFrame({column: range(6), "time": "2020-01-01", "code": "A"})
    assert len(load_timeline([("t.csv", table.to_csv(index=False).encode())]).events) == 6


@pytest.mark.parametrize(
    ("zone", "said"), [("Europe/Paris", True), ("UTC+1", True), ("EST", True), ("lung base", False), ("3", False)]
)
def test_a_column_of_time_zones_that_is_not_read_is_said(zone: str, said: bool) -> None:
    table = f"subject_id,time,time_zone,code\n7,2020-01-01T10:00:00,{zone},A\n"
    notes = load_timeline([("t.csv", table.encode())]).notes
    assert any("column of time zones" in note for note in notes) == said


MARKED = {
    "5.5*": True, "4.1 +": True, "4.1-": True, "~5": True, "ca. 5": True, "H 5.5": True, "7!": True,
    "2+": False, "++": False, "positive": False, "1:80": False, "5-10": False, "5.5": False,
}  # fmt: skip


@pytest.mark.parametrize("text", MARKED)
def test_a_number_with_a_mark_stays_text_and_is_said(text: str) -> None:
    timeline = loaded(f"7,2020-01-01T10:00:00,A,{text}\n")
    assert any("a mark stands beside the number" in note for note in timeline.notes) == MARKED[text]
    if MARKED[text]:
        assert timeline.events["text_value"].tolist() == [text]


@pytest.mark.parametrize(
    ("death", "kept"),
    [("2020-02-01", False), ("2020-02-01T06:00", True), ("2020-01-31", True), ("2020-02-01T18:00", False)],
)
def test_a_death_dated_by_the_day_of_the_prediction_is_not_known_at_it(death: str, kept: bool) -> None:
    timeline = loaded(FIRST + f"7,{death},MEDS_DEATH,\n7,2020-02-01,LAB//1,3\n", "2020-02-01T12:00")
    assert ("MEDS_DEATH" in timeline.events["code"].tolist()) == kept
    assert timeline.later_event_count == (not kept)
    assert "LAB//1" in timeline.events["code"].tolist()


@pytest.mark.parametrize("code", ["days_to_death", "OS_MONTHS", "Overall Survival (Days)"])
def test_a_time_to_death_without_a_time_is_never_known(code: str) -> None:
    with_one = loaded(FIRST + f"7,,{code},210\n7,,LOINC//2160-0,1\n")
    assert code not in with_one.events["code"].tolist()
    assert "LOINC//2160-0" in with_one.events["code"].tolist()


UNITS = {("mg/dL", "umol/L"): True, ("µmol/L", "umol/L"): False, ("mcg/mL", "ug/mL"): False, ("mmHg", "mm[Hg]"): False}


@pytest.mark.parametrize("pair", UNITS)
def test_a_unit_in_words_that_differs_from_the_coded_one_is_said(pair: tuple[str, str]) -> None:
    quantity = {"value": 88, "unit": pair[0], "code": pair[1]}
    assert any("unit in words that differs" in note for note in observed(quantity).notes) == UNITS[pair]


def test_a_value_of_an_odd_shape_is_said() -> None:
    said = "With a value of a kind that is not read: 1 event."
    assert said in observed([{"value": 88}]).notes
    assert said not in observed({"value": 88}).notes


def observed(quantity: object) -> Timeline:
    code = {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]}
    resource = {
        "resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/1"}, "code": code,
        "effectiveDateTime": "2020-01-01T10:00:00Z", "valueQuantity": quantity,
    }  # fmt: skip
    return load_timeline([("o.json", json.dumps(resource).encode())])


WORDED = "Words where other rows have numbers"
COLUMNS = ("numeric_value", "value")


def worded(column: str, values: list[str], code: str = "LAB//{}", form: str = "csv") -> str:
    """The notes on a table of one patient's values, of three codes in turn."""
    days = pd.date_range("2020-01-01 08:00", periods=len(values), freq="h").astype(str)
    codes = [code.format(row % 3) for row in range(len(values))]
    table, out = pd.DataFrame({"subject_id": 7, "time": days, "code": codes, column: values}), io.BytesIO()
    table.to_csv(out, index=False) if form == "csv" else table.to_parquet(out)
    return " ".join(load_timeline([(f"t.{form}", out.getvalue())]).notes)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("word", ["high", "positive", "see note 5", "haemolysed", "12 foo"])
def test_a_word_in_a_column_of_numbers_is_counted(column: str, word: str, form: str) -> None:
    values = [word if row == 250 else f"{row}.5" for row in range(500)]
    assert f"{WORDED}: 1 of 500 values; kept as text." in worded(column, values, form=form)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("word", ["", "n/a", "NULL", "None", "<5", "≤ 5", "less than 5", "5.5*", "5 mg", "-", "1:40"])
def test_null_words_bounds_and_what_is_said_otherwise_are_no_words(column: str, word: str) -> None:
    assert WORDED not in worded(column, [word if row == 25 else f"{row}.5" for row in range(50)])


@pytest.mark.parametrize("column", COLUMNS)
def test_where_most_values_are_words_none_is_odd(column: str) -> None:
    assert WORDED not in worded(column, ["positive", "negative", "4.1", "negative"] * 9)
    assert WORDED not in worded(column, ["positive"] * 9)


def test_results_in_words_are_usual_for_their_own_code() -> None:
    """Every third value is of a code that is told in words; a word of another code is odd."""
    usual = ["4.1", "3.9", "negative"] * 20
    assert WORDED not in worded("value", usual)
    assert f"{WORDED}: 1 of 60 values" in worded("value", ["4.1", "high", "negative", *usual[3:]])
    assert f"{WORDED}: 20 of 60 values" in worded("numeric_value", usual)


def test_the_sex_is_a_word_in_any_column() -> None:
    assert WORDED not in worded("value", ["F", *(f"{row}.5" for row in range(40))], code="GENDER//{}")


@pytest.mark.parametrize(("when", "is_refused"), [("1950-01-01", True), ("1980-06-01", False)])
def test_a_prediction_time_before_the_birth_is_refused(when: str, is_refused: bool) -> None:
    rows = "7,,GENDER//M,\n7,1970-06-01,MEDS_BIRTH,\n7,1980-01-01,A,1\n"
    if is_refused:
        with pytest.raises(UserFacingError, match="lies before the patient's birth"):
            loaded(rows, when)
    else:
        assert len(loaded(rows, when).events) == 3
