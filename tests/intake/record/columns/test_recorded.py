"""When events were recorded, and sex and birth that stand beside them: what is used is right, and said."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from core.errors import UserFacingError
from core.records import Timeline
from core.timeline import list_subjects, load_timeline, suggest_mapping

HEADER = "subject_id,time,code,value,unit"
FIRST = "1,2020-01-01 08:00,LOINC//2160-0,1.1,mg/dL"
SECOND = "1,2020-01-02 08:00,LOINC//2160-0,1.2,mg/dL"
CUT = "2020-01-02T12:00"
FORMS = ("csv", "parquet")


def source(names: str, cells: tuple[str, str], form: str = "csv") -> tuple[str, bytes]:
    """Two results of one patient, with further columns; in parquet times are times."""
    text = "\n".join((f"{HEADER},{names}", f"{FIRST},{cells[0]}", f"{SECOND},{cells[1]}"))
    if form == "csv":
        return "t.csv", text.encode()
    frame, out = pd.read_csv(io.StringIO(text)), io.BytesIO()
    timed = [name for name in frame if str(frame[name].iloc[0]).startswith("20")]
    frame.assign(**{name: pd.to_datetime(frame[name]) for name in timed}).to_parquet(out)
    return "t.parquet", out.getvalue()


def said(timeline: Timeline) -> str:
    return " ".join(timeline.notes)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "name", ["entry_time", "filed_at", "Date entered", "storedate", "recorded", "Eingabezeit", "issued"]
)
def test_what_was_recorded_later_is_known_later(name: str, form: str) -> None:
    timeline = load_timeline(source(name, ("2020-01-03 08:00", "2020-01-02 09:00"), form), prediction_time=CUT)
    assert timeline.events["numeric_value"].tolist() == pytest.approx([1.2])
    assert timeline.events["time"].tolist() == [pd.Timestamp("2020-01-02 08:00")]
    assert "A column says when events were recorded" in said(timeline)
    assert "recorded after it" in said(timeline)


@pytest.mark.parametrize("form", FORMS)
def test_of_several_times_of_recording_the_latest_counts(form: str) -> None:
    cells = ("2020-01-01 09:00,2020-01-03 08:00", "2020-01-02 09:00,2020-01-02 08:30")
    timeline = load_timeline(source("entered_at,verified_at", cells, form), prediction_time=CUT)
    assert timeline.events["numeric_value"].tolist() == pytest.approx([1.2])
    assert "the latest of them" in said(timeline)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["updated_at", "collected_time", "end_time"])
def test_other_times_leave_the_events_where_they_are_and_are_said(name: str, form: str) -> None:
    timeline = load_timeline(source(name, ("2020-01-03 08:00", "2020-01-02 09:00"), form), prediction_time=CUT)
    assert len(timeline.events) == 2
    assert "With dates but not read, as they are neither mapped nor known by name: 1 column" in said(timeline)


def test_a_column_of_people_who_recorded_is_no_time() -> None:
    timeline = load_timeline(source("verified", ("yes", "no")), prediction_time=CUT)
    assert len(timeline.events) == 2
    assert "hold no dates" in said(timeline)


def test_what_was_recorded_before_it_happened_is_said() -> None:
    timeline = load_timeline(source("entry_time", ("2019-12-01 08:00", "2020-01-02 09:00")))
    assert "Recorded on a day before they happened, counted from when they happened: 1 event." in said(timeline)


@pytest.mark.parametrize("cells", [("08:00", "09:00"), ("2020-01-03", "soon"), ("soon", "2020-01-03")])
def test_recording_without_a_day_is_asked_about(cells: tuple[str, str]) -> None:
    with pytest.raises(UserFacingError, match="when events were recorded"):
        load_timeline(source("entry_time", cells))


def test_the_time_of_recording_alone_is_taken_only_on_request() -> None:
    table = ("t.csv", b"subject_id,entry_time,code\n1,2020-01-03 08:00,A\n1,2020-01-04 09:00,B\n")
    with pytest.raises(UserFacingError, match="only one for when events were recorded"):
        load_timeline(table)
    timeline = load_timeline(table, mapping={"time": "entry_time", "code": "code"})
    assert "they may have happened earlier" in said(timeline)


def test_any_column_can_be_named_as_that_of_recording() -> None:
    answer = {"time": "time", "code": "code", "known_from": "seen"}
    cells = ("2020-01-03 08:00", "2020-01-02 09:00")
    assert len(load_timeline(source("seen", cells), prediction_time=CUT, mapping=answer).events) == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_day_whose_time_stands_in_an_unknown_column_is_asked_about(form: str) -> None:
    text = "subject_id,date,code,collected\n1,2020-01-01,A,2020-01-01 09:00\n1,2020-01-02,B,2020-01-02 10:00\n"
    table = ("t.csv", text.encode())
    if form == "parquet":
        out, frame = io.BytesIO(), pd.read_csv(io.StringIO(text))
        days, moments = pd.to_datetime(frame["date"]).dt.date, pd.to_datetime(frame["collected"])
        frame.assign(date=days, collected=moments).to_parquet(out)
        table = ("t.parquet", out.getvalue())
    with pytest.raises(UserFacingError, match="times of day"):
        load_timeline(table)
    updated = (table[0], text.replace("collected", "updated_at").encode())
    assert form == "parquet" or len(load_timeline(updated).events) == 2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("names", "sex"), [("sex,birth_date", "female"), ("Geschlecht,Geburtsdatum", "w")])
def test_sex_and_birth_beside_the_events_are_facts_of_the_record(names: str, sex: str, form: str) -> None:
    given = source(names, (f"{sex},1950-02-03", f"{sex},1950-02-03"), form)
    timeline = load_timeline(given)
    assert timeline.events["code"].tolist() == ["GENDER//F", "MEDS_BIRTH", *["LOINC//2160-0"] * 2]
    assert timeline.sex == "F"
    assert timeline.age_years == pytest.approx(69.9, abs=0.1)
    assert list_subjects(given)["first"].tolist() == [pd.Timestamp("2020-01-01 08:00")]


@pytest.mark.parametrize(
    ("names", "cells", "words"),
    [
        ("sex", ("F", "M"), "the sex of 1 patient"),
        ("sex", ("2", "2"), "the sex of 1 patient"),
        ("dob", ("02/03/1950", "02/03/1950"), "the dates of birth of 1 patient"),
        ("age", ("69", "70"), "the column of ages"),
    ],
)
def test_what_does_not_say_one_thing_is_not_read_and_said(names: str, cells: tuple[str, str], words: str) -> None:
    timeline = load_timeline(source(names, cells))
    assert timeline.events["code"].tolist() == ["LOINC//2160-0"] * 2
    assert "Not read" in said(timeline)
    assert words in said(timeline)


def test_two_births_beside_the_events_are_refused() -> None:
    with pytest.raises(UserFacingError, match="more than one date of birth"):
        load_timeline(source("dob", ("1950-02-03", "1951-02-03")))


def test_what_the_events_say_of_the_sex_counts() -> None:
    table = b"subject_id,time,code,sex\n1,,GENDER//M,F\n1,2020-01-01,A,F\n"
    timeline = load_timeline(("t.csv", table))
    assert timeline.events["code"].tolist() == ["GENDER//M", "A"]
    assert "the sex of 1 patient" in said(timeline)


def test_each_patient_has_the_own_sex() -> None:
    table = b"subject_id,time,code,sex\n1,2020-01-01,A,F\n2,2020-01-01,A,M\n"
    assert load_timeline(("t.csv", table), subject_id=2).sex == "M"


def test_both_sexes_in_one_record_are_said() -> None:
    table = b"subject_id,time,code\n1,,GENDER//M\n1,,GENDER//F\n1,2020-01-01,A\n"
    assert "names both sexes" in said(load_timeline(("t.csv", table)))


def test_shards_of_which_one_has_withdrawn_rows_are_read_together() -> None:
    parts = []
    for number, state in enumerate(("final", "cancelled")):
        frame = pd.DataFrame({"subject_id": [1], "time": pd.to_datetime(["2020-01-01"]), "code": [state]})
        out = io.BytesIO()
        frame.assign(status=state).to_parquet(out)
        parts.append((f"{number}.parquet", out.getvalue()))
    assert load_timeline(parts).events["code"].tolist() == ["final"]


def test_a_table_of_patients_beside_the_events_tells_their_sex_and_birth() -> None:
    events = ("events.csv", f"{HEADER}\n{FIRST}\n".encode())
    people = ("patients.csv", b"subject_id,gender,dob,ward\n1,F,1950-02-03,A\n2,M,1960-02-03,B\n")
    timeline = load_timeline([events, people])
    assert timeline.events["code"].tolist() == ["GENDER//F", "MEDS_BIRTH", "LOINC//2160-0"]
    assert "Not read, of a table of patients: 1 column." in timeline.notes
    assert not suggest_mapping([events, people]).is_needed
    with pytest.raises(UserFacingError, match="names none of those"):
        load_timeline([events, ("patients.csv", b"subject_id,gender\n9,F\n")])
    with pytest.raises(UserFacingError, match="no column for the time"):
        load_timeline(people)


def test_a_single_date_of_recording_among_other_words_is_not_passed_over() -> None:
    rows = [f"1,2020-01-0{day} 08:00,A,{day},{'pending' if day > 1 else '2020-03-03'}" for day in range(1, 6)]
    text = "\n".join(("subject_id,time,code,value,result_time", *rows))
    with pytest.raises(UserFacingError, match="when events were recorded"):
        load_timeline(("t.csv", text.encode()))


def test_a_table_of_events_with_the_sex_is_no_table_of_patients() -> None:
    """Its events would be lost; with each patient in one row it is one, and what it says of a death is named."""
    events = ("events.csv", f"{HEADER}\n{FIRST}\n".encode())
    labs = ("labs.csv", b"patient_id;sex;wann;was;wert\n1;F;2020-01-02;BNP;5\n1;F;2020-01-03;BNP;6\n")
    with pytest.raises(UserFacingError, match=r"File [12] of 2, by name: the time and the code may stand in columns"):
        load_timeline([events, labs])
    question = suggest_mapping([events, labs])
    assert question.is_needed
    assert "wann" in question.layout
    people = ("patients.csv", b"subject_id,sex,dod\n1,F,2020-05-01\n1,F,2020-05-01\n")
    timeline = load_timeline([events, people])
    assert timeline.sex == "F"
    assert "tell whether the patient died: 1 column" in said(timeline)


REFUSALS = {
    "happened": ("2020-01-03,X,2020-01-04\n2020-01-05,X,\n", "All events lie after the prediction time."),
    "recorded": (
        "2020-01-01,X,2020-01-04\n",
        "No event was known at the prediction time: happened up to it, but recorded after it: 1 event.",
    ),
    "both": (
        "2020-01-01,X,2020-01-04\n2020-01-01,Y,2020-01-05\n2020-01-03,X,2020-01-04\n2020-01-06,Z,\n2020-01-07,Z,\n",
        "No event was known at the prediction time: happened after it: 3 events; "
        "happened up to it, but recorded after it: 2 events.",
    ),
    "deaths": (
        "2020-01-02,MEDS_DEATH,\n,Vital status,\n2020-01-03,X,\n",
        "No event was known at the prediction time: happened after it: 1 event; deaths dated by its day alone: "
        "1 event; deaths or vital status without a time: 1 event.",
    ),
}


@pytest.mark.parametrize("case", list(REFUSALS))
def test_a_cut_that_leaves_nothing_says_what_happened_later_and_what_was_recorded_later(case: str) -> None:
    rows, found = REFUSALS[case]
    with pytest.raises(UserFacingError) as refusal:
        load_timeline(("t.csv", f"time,code,recorded_time\n{rows}".encode()), prediction_time=CUT)
    assert refusal.value.found.rstrip(".") == found.rstrip(".")


def test_a_year_that_was_not_over_is_named_where_a_cut_leaves_nothing() -> None:
    condition = (
        b'{"resourceType": "Condition", "onsetDateTime": "2020", "subject": {"reference": "Patient/1"},'
        b' "code": {"coding": [{"system": "http://snomed.info/sct", "code": "59282003"}]}}'
    )
    with pytest.raises(UserFacingError, match="or dated by a year or month that was not over: 1 event"):
        load_timeline(("c.json", condition), prediction_time=CUT)
