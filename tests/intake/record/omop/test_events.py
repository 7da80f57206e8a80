"""OMOP: tables in parts, results and units known by source or concept only, visits, and tables that are not read."""

from __future__ import annotations

import pandas as pd
import pytest

from core.errors import UserFacingError
from core.records import Timeline
from core.timeline import load_timeline

PERSON = "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth\n3,8532,1950,5,6\n"
MEASUREMENT = (
    "person_id,measurement_concept_id,measurement_date,measurement_datetime,value_as_number,value_as_concept_id,"
    "unit_concept_id,measurement_source_value,unit_source_value,value_source_value\n"
)
GLUCOSE = "3,0,2020-01-01,2020-01-01 08:00:00,5.5,,,GLU,mmol/L,5.5\n"
LATER = "3,0,2020-02-01,2020-02-01 08:00:00,6.5,,,GLU,mmol/L,6.5\n"
CONCEPT = "concept_id,concept_name,vocabulary_id,concept_code\n32037,Intensive Care,Visit,ICU\n581476,Home,Visit,HV\n"


def loaded(**tables: str) -> Timeline:
    """A timeline of tables by path, "__" for a slash."""
    given = {"person": PERSON, "measurement": MEASUREMENT + GLUCOSE} | tables
    return load_timeline([(f"{name.replace('__', '/')}.csv", text.encode()) for name, text in given.items() if text])


@pytest.mark.parametrize("names", [("measurement_1", "measurement_2"), ("measurement__part-0", "measurement__part-1")])
def test_a_table_in_parts_is_joined(names: tuple[str, str]) -> None:
    parts = dict(zip(names, (MEASUREMENT + GLUCOSE, MEASUREMENT + LATER)))
    events = loaded(measurement="", **parts).events
    assert events["numeric_value"].dropna().tolist() == [5.5, 6.5]


def test_one_table_in_two_folders_is_refused() -> None:
    with pytest.raises(UserFacingError, match="Two folders"):
        loaded(b__measurement=MEASUREMENT + LATER)


def test_a_result_given_by_its_source_value_alone_is_kept() -> None:
    events = loaded(measurement=MEASUREMENT + "3,0,2020-01-01,,,0,,COVID,,Detected\n").events
    assert events["text_value"].tolist()[-1] == "Detected"


def test_results_and_units_known_by_number_only_are_kept_and_said() -> None:
    timeline = loaded(measurement=MEASUREMENT + GLUCOSE.replace(",,,GLU,mmol/L", ",,8840,GLU,") +
                      "3,0,2020-01-02,,,9191,,COVID,,\n")  # fmt: skip
    rows = timeline.events.tail(2)
    assert rows["unit"].tolist() == ["concept 8840", None]
    assert rows["text_value"].tolist() == [None, "concept 9191"]
    assert any("concept's number only" in note and "2 events" in note for note in timeline.notes)


def test_other_visits_keep_their_concept() -> None:
    visits = "person_id,visit_concept_id,visit_start_date,visit_source_value\n"
    rows = "3,32037,2020-01-02,x\n3,581476,2020-01-03,y\n3,0,2020-01-04,SPA\n3,9201,2020-01-05,z\n"
    timeline = loaded(visit_occurrence=visits + rows, CONCEPT=CONCEPT)
    codes = [code for code in timeline.events["code"] if code.startswith("VISIT")]
    assert codes == ["VISIT//32037", "VISIT//581476", "VISIT//SPA", "VISIT//INPATIENT"]
    assert timeline.code_descriptions["VISIT//32037"] == "Intensive Care"
    assert timeline.code_descriptions["VISIT//581476"] == "Home"


def test_a_birth_given_as_a_year_is_said() -> None:
    year_only = PERSON.replace("1950,5,6", "1950,,")
    assert any("year or month only" in note for note in loaded(person=year_only).notes)
    assert not any("year or month only" in note for note in loaded().notes)


def test_tables_that_are_not_read_are_counted_for_the_patient() -> None:
    timeline = loaded(visit_detail="person_id,x\n3,1\n3,2\n", specimen="person_id\n4\n", labs="a,b\n1,2\n")
    notes = " ".join(timeline.notes)
    assert "not read (visit_detail): 2 events" in notes
    assert "specimen" not in notes
    assert "1 file (1 .csv)" in notes


def test_events_without_a_date_are_left_out() -> None:
    timeline = loaded(
        measurement=MEASUREMENT + GLUCOSE + GLUCOSE.replace("2020-01-01,2020-01-01 08:00:00", ","),
        death="person_id,death_date\n3,\n",
    )
    assert timeline.events["code"].tolist() == ["GENDER//F", "MEDS_BIRTH", "MEASUREMENT//GLU"]
    assert any("without a time: 2 events" in note for note in timeline.notes)


@pytest.mark.parametrize("date", ["20200203", "2020/02/03", "03-Feb-2020", "2020-02-03 00:00:00"])
def test_dates_of_other_databases_are_read(date: str) -> None:
    events = loaded(measurement=MEASUREMENT + f"3,0,{date},,5.5,,,GLU,mmol/L,5.5\n").events
    assert events["time"].tolist()[-1] == pd.Timestamp("2020-02-03")


PARTS = {
    "CONCEPT": CONCEPT + "3004501,Glucose,LOINC,2345-7\n8753,millimole per liter,UCUM,mmol/L\n",
    "measurement": MEASUREMENT.replace("person_id,", "person_id,operator_concept_id,"),
}


def measured(row: str, **tables: str) -> Timeline:
    return loaded(**(PARTS | {"measurement": PARTS["measurement"] + row} | tables))


def test_ids_of_columns_with_gaps_are_read_as_whole_numbers() -> None:
    visit = "person_id,visit_concept_id,visit_start_date\n3.0,9201.0,2020-01-05\n"
    born = PERSON.replace("3,8532,1950,5,6", "3.0,8532.0,1950.0,5.0,6.0")
    row = "3.0,4171756.0,3004501.0,2020-01-01,2020-01-01 08:00:00,5.5,0.0,8753.0,GLU,,\n"
    events = measured(row, person=born, visit_occurrence=visit).events
    assert events["code"].tolist() == ["GENDER//F", "MEDS_BIRTH", "LOINC//2345-7", "VISIT//INPATIENT"]
    assert events.loc[2, ["text_value", "unit"]].tolist() == ["<5.5", "mmol/L"]
    assert events.loc[1, "time"] == pd.Timestamp("1950-05-06")


def test_what_has_neither_concept_nor_source_is_left_out_and_counted() -> None:
    for concept in ("0", "", "0.0"):
        timeline = measured(GLUCOSE.replace("3,0", "3,,0") + f"3,,{concept},2020-01-02,,7,,,,mmol/L,\n")
        assert timeline.events["numeric_value"].dropna().tolist() == [5.5]
        assert "Left out, without a code: 1 event." in timeline.notes


def test_a_bound_told_by_the_source_value_alone_is_no_number() -> None:
    events = measured("3,,3004501,2020-01-01,,5.5,,,GLU,mmol/L,<5.5\n").events
    assert events.iloc[-1][["numeric_value", "text_value"]].isna().tolist() == [True, False]
    assert measured("3,,3004501,2020-01-01,,5.5,,,GLU,mmol/L,5.50\n").events["numeric_value"].iloc[-1] == 5.5


DISAGREEING = {
    "different days": ("3,,3004501,2020-01-01,2020-02-01 08:00:00,5.5,,,GLU,mmol/L,\n", {}),
    "not the one of its concept": ("3,,3004501,2020-01-01,,5.5,,8753,GLU,mg/dL,\n", {}),
    "time of birth that differ": (
        "3,,3004501,2020-01-01,,5.5,,,GLU,mmol/L,\n",
        {"person": "person_id,gender_concept_id,year_of_birth,birth_datetime\n3,8532,1950,1960-05-06 00:00:00\n"},
    ),
    "With a qualifier": (
        "3,,3004501,2020-01-01,,5.5,,,GLU,mmol/L,\n",
        {"observation": "person_id,observation_date,observation_source_value,qualifier_source_value\n"
                        "3,2020-01-03,SMOKER,Absent\n"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", DISAGREEING)
def test_columns_that_disagree_are_said(words: str) -> None:
    row, tables = DISAGREEING[words]
    assert any(words in note and "1 event" in note for note in measured(row, **tables).notes)
    plain = measured("3,,3004501,2020-01-01,2020-01-01 08:00:00,5.5,,8753,GLU,MMOL/L,\n").notes
    assert not any(words in note for note in plain)


def test_a_vocabulary_may_be_separated_by_semicolons() -> None:
    concept = PARTS["CONCEPT"].replace(",", ";")
    assert "LOINC//2345-7" in set(measured("3,,3004501,2020-01-01,,5.5,,,G,mmol/L,\n", CONCEPT=concept).events["code"])


def test_omop_tables_without_person_are_refused_by_what_is_missing() -> None:
    visits = "person_id,visit_concept_id,visit_start_date\n3,9201,2020-01-05\n"
    with pytest.raises(UserFacingError, match="without PERSON"):
        loaded(person="", visit_occurrence=visits)
    assert len(loaded(visit_occurrence=visits).events) == 4
    own = "subject_id,time,code\n3,2020-01-05,A\n"
    assert len(loaded(person="", measurement=own, observation=own).events) == 2


def _with_state(state: str, concept: str = "0") -> str:
    person = "person_id,gender_concept_id,year_of_birth\n1,8532,1960\n"
    head = "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_status_concept_id"
    rows = (
        f"{head},condition_status_source_value,condition_source_value\n1,1,440417,2021-03-01,{concept},{state},I26.9\n"
    )
    files = [("person.csv", person.encode()), ("condition_occurrence.csv", rows.encode())]
    return " ".join(load_timeline(files).notes)


@pytest.mark.parametrize(
    ("state", "concept", "words"),
    [
        ("RULED OUT", "0", "With a qualifier that is not read"),
        ("preliminary", "0", "Suspected only"),
        ("", "32899", "Suspected only"),
    ],
)
def test_states_of_conditions_that_take_them_back_or_doubt_them_are_said(state: str, concept: str, words: str) -> None:
    assert f"{words}" in _with_state(state, concept)
    usual = _with_state("Primary", "32902")
    assert "qualifier" not in usual
    assert "Suspected" not in usual


def test_the_time_of_day_of_a_measurement_stands_in_a_column_of_its_own() -> None:
    person = "person_id,gender_concept_id,year_of_birth\n1,8532,1960\n"
    head = "measurement_id,person_id,measurement_concept_id,measurement_date,measurement_datetime,measurement_time"
    rows = f"{head},value_as_number\n1,1,3004501,2021-03-01,,14:30:00,105\n2,1,3004501,2021-03-02,,,106\n"
    events = load_timeline([("person.csv", person.encode()), ("measurement.csv", rows.encode())]).events
    assert events["time"].astype(str).tolist()[-2:] == ["2021-03-01 14:30:00", "2021-03-02 00:00:00"]


@pytest.mark.parametrize("null", ["NULL", r"\N", "(null)", "NA"])
def test_what_databases_write_for_nothing_is_nothing_in_omop(null: str) -> None:
    person = f"person_id,gender_concept_id,year_of_birth,birth_datetime\n1,8532,1960,{null}\n"
    head = "person_id,measurement_concept_id,measurement_date,measurement_datetime,operator_concept_id,value_as_number"
    source = "NULL" if null == "NA" else null
    rows = (
        f"{head},value_as_concept_id,unit_source_value,measurement_source_value,value_source_value\n"
        f"1,3004501,2021-03-01,{null},{null},105,{null},mg/dL,NA,{source}\n"
        f"1,3004502,2021-03-02,{null},{null},{null},{null},{source},{source},NEG\n"
    )
    timeline = load_timeline([("person.csv", person.encode()), ("measurement.csv", rows.encode())])
    last = timeline.events.tail(2)
    assert last["code"].tolist() == ["MEASUREMENT//NA", "MEASUREMENT//3004502"]
    assert last["time"].astype(str).tolist() == ["2021-03-01", "2021-03-02"]
    assert last["text_value"].tolist() == [None, "NEG"]
    assert last["unit"].tolist() == ["mg/dL", None]
    assert last["numeric_value"].tolist() == pytest.approx([105, float("nan")], nan_ok=True)
