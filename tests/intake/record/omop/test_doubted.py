"""OMOP tables that contradict themselves or come incomplete: told, or refused by what is missing."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from core.errors import UserFacingError
from core.records import Timeline
from core.timeline import load_timeline

PERSON = "person_id,gender_concept_id,year_of_birth,gender_source_value\n3,8532,1950,F\n"
HEAD = (
    "person_id,measurement_concept_id,measurement_date,measurement_datetime,measurement_time,value_as_number,"
    "unit_source_value,value_source_value\n"
)
GLUCOSE = "3,3004501,2020-01-02,2020-01-02 08:00:00,,5.5,mmol/L,5.50\n"


def loaded(**tables: str) -> Timeline:
    given = {"person": PERSON, "measurement": HEAD + GLUCOSE} | tables
    return load_timeline([(f"{name}.csv", text.encode()) for name, text in given.items() if text])


def said(timeline: Timeline) -> str:
    return " ".join(timeline.notes)


@pytest.mark.parametrize(
    ("number", "recorded", "words", "text"),
    [
        ("5.5", "55", "With another number in the text beside it", "55"),
        ("0", "NULL", "Zero, where the source has no value", None),
        ("0.0", "null", "Zero, where the source has no value", None),
    ],
)
def test_a_number_that_is_not_the_one_of_the_source_is_said(
    number: str, recorded: str, words: str, text: str | None
) -> None:
    timeline = loaded(measurement=HEAD + GLUCOSE.replace("5.5,mmol/L,5.50", f"{number},mmol/L,{recorded}"))
    assert f"{words}" in said(timeline)
    last = timeline.events.iloc[-1]
    assert (last["numeric_value"], last["text_value"]) == (pytest.approx(float(number)), text)


@pytest.mark.parametrize("concept", ["3004501.0", "3004501.000000000"])
def test_the_number_of_a_concept_may_have_decimals(concept: str) -> None:
    for measurement in (GLUCOSE, GLUCOSE.replace("3004501", concept)):
        assert loaded(measurement=HEAD + measurement).events["code"].iloc[-1] == "MEASUREMENT//3004501"


@pytest.mark.parametrize(("ids", "told"), [(("1", "1"), True), (("1", "2"), False), (("", ""), False)])
def test_two_rows_of_one_number_are_told(ids: tuple[str, str], told: bool) -> None:
    rows = [f"{number},{GLUCOSE.replace('5.5,mmol', f'{value},mmol')}" for number, value in zip(ids, ("5.5", "9"))]
    timeline = loaded(measurement=f"measurement_id,{HEAD}" + "".join(rows))
    assert ("With the number of another row of their table" in said(timeline)) == told


@pytest.mark.parametrize(("number", "recorded"), [("5.5", "5.50"), ("5.5", "5,5"), ("0", "0"), ("0", ""), ("5.5", "")])
def test_the_same_number_in_the_source_is_no_doubt(number: str, recorded: str) -> None:
    timeline = loaded(measurement=HEAD + GLUCOSE.replace("5.5,mmol/L,5.50", f'{number},mmol/L,"{recorded}"'))
    assert "beside it" not in said(timeline)
    assert "Zero" not in said(timeline)
    assert timeline.events["text_value"].iloc[-1] is None


SPANS = {
    "visit_occurrence": "person_id,visit_concept_id,visit_start_date,visit_end_date\n3,9201,{start},{end}\n",
    "drug_exposure": (
        "person_id,drug_source_value,drug_exposure_start_date,drug_exposure_end_date\n3,warfarin,{start},{end}\n"
    ),
    "device_exposure": (
        "person_id,device_source_value,device_exposure_start_date,device_exposure_end_datetime\n3,stent,{start},{end}\n"
    ),
    "condition_occurrence": (
        "person_id,condition_source_value,condition_start_date,condition_end_date\n3,I26.9,{start},{end}\n"
    ),
    "procedure_occurrence": (
        "person_id,procedure_source_value,procedure_date,procedure_end_date\n3,CTA,{start},{end}\n"
    ),
}


@pytest.mark.parametrize("table", SPANS)
def test_an_end_before_the_start_is_said(table: str) -> None:
    words = "With a start after their end, counted from the later of the two: 1 event."
    turned = loaded(**{table: SPANS[table].format(start="2020-01-03", end="2020-01-01")})
    assert words in said(turned)
    assert turned.events["time"].max() == pd.Timestamp("2020-01-03")
    for end in ("2020-01-03", "2020-02-01", ""):
        assert words not in said(loaded(**{table: SPANS[table].format(start="2020-01-03", end=end)}))


def test_a_sex_that_differs_from_that_of_the_source_is_said() -> None:
    words = "With a sex that differs from the one of the source"
    timeline = loaded(person=PERSON.replace(",F\n", ",male\n"))
    assert words in said(timeline)
    assert timeline.sex == "F"
    for recorded in ("F", "female", "W", "unknown", ""):
        assert words not in said(loaded(person=PERSON.replace(",F\n", f",{recorded}\n")))


@pytest.mark.parametrize(
    ("clock", "time"), [("8:30 PM", "20:30"), ("08:30 Uhr", "08:30"), ("14:30:10", "14:30:10"), ("", "00:00")]
)
def test_times_of_day_as_people_write_them_are_read(clock: str, time: str) -> None:
    timeline = loaded(measurement=HEAD + GLUCOSE.replace("2020-01-02 08:00:00,,", f",{clock},"))
    assert timeline.events["time"].iloc[-1] == pd.Timestamp(f"2020-01-02 {time}")


def test_a_time_of_day_that_cannot_be_read_is_refused_only_where_it_is_needed() -> None:
    with pytest.raises(UserFacingError, match="column beside the dates: 1 time of day"):
        loaded(measurement=HEAD + GLUCOSE.replace("2020-01-02 08:00:00,,", ",at noon,"))
    kept = loaded(measurement=HEAD + GLUCOSE.replace("08:00:00,,", "08:00:00,at noon,"))
    assert kept.events["time"].iloc[-1] == pd.Timestamp("2020-01-02 08:00")


CONCEPT = "concept_id,concept_name,vocabulary_id,concept_code\n3004501,Glucose,LOINC,2345-7\n"


def test_a_number_of_the_vocabulary_may_have_decimals() -> None:
    decimal = CONCEPT.replace("3004501,", "3004501.000000000,")
    assert loaded(concept=decimal).events["code"].iloc[-1] == "LOINC//2345-7"


@pytest.mark.parametrize(
    ("name", "words"),
    [("Ruled out", "a qualifier that is not read"), ("Refuted", "a qualifier"), ("Suspected", "Suspected only")],
)
def test_a_state_that_only_the_vocabulary_names_is_told(name: str, words: str) -> None:
    head = "person_id,condition_concept_id,condition_start_date,condition_status_concept_id\n"
    diagnosis = head + "3,440417,2020-01-02,32905\n"
    assert words in said(loaded(condition_occurrence=diagnosis, concept=CONCEPT + f"32905,{name},Condition Status,S\n"))
    final = CONCEPT + "32905,Final diagnosis,Condition Status,S\n"
    assert words not in said(loaded(condition_occurrence=diagnosis, concept=final))


def test_one_concept_with_two_codes_is_refused() -> None:
    assert loaded(concept=CONCEPT + "3004501,Glucose,LOINC,2345-7\n").events["code"].iloc[-1] == "LOINC//2345-7"
    with pytest.raises(UserFacingError, match="one number and different codes in the OMOP CONCEPT table: 1 concept"):
        loaded(concept=CONCEPT + "3004501,Sodium,LOINC,2951-2\n")


def _parquet(text: str) -> bytes:
    out = io.BytesIO()
    pd.read_csv(io.StringIO(text), dtype=str).to_parquet(out)
    return out.getvalue()


@pytest.mark.parametrize("as_parquet", [False, True])
def test_a_single_table_without_person_is_refused_by_what_is_missing(as_parquet: bool) -> None:
    table = HEAD + GLUCOSE
    source = ("measurement.parquet", _parquet(table)) if as_parquet else ("measurement.csv", table.encode())
    with pytest.raises(UserFacingError, match="without PERSON"):
        load_timeline([source])


def test_person_without_a_table_of_events_is_refused_by_what_is_missing() -> None:
    eras = "person_id,drug_concept_id,drug_era_start_date,drug_era_end_date\n3,1310149,2020-01-01,2020-01-09\n"
    for tables in ({}, {"drug_era": eras}, {"death": "person_id,death_date\n3,2021-01-01\n"}):
        with pytest.raises(UserFacingError, match="PERSON is there, but none of the tables"):
            loaded(measurement="", **tables)


def test_a_table_of_events_of_ones_own_may_be_called_person() -> None:
    own = "person_id,time,code\n3,2020-01-05,A\n"
    assert loaded(person=own, measurement="").events["code"].tolist() == ["A"]
