"""What a record writes in an unusual but certain way is read so: empty tables, codes, bounds, answers, sexes."""

from __future__ import annotations

import io
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import UserFacingError
from core.intake.record.omop.tables import EVENT_TABLES
from core.privacy import find_identifiers
from core.records import Timeline
from core.timeline import list_subjects, load_timeline, suggest_mapping

PERSON = "person_id,gender_concept_id,gender_source_value,year_of_birth\n4,8507,M,1961\n"
POTASSIUM = (
    "person_id,measurement_concept_id,measurement_date,operator_concept_id,value_as_number,measurement_source_value,"
    "unit_source_value\n4,0,2021-03-04,{operator},3.9,K,mmol/L\n"
)


def omop(**tables: str) -> list[tuple[str, bytes]]:
    given = {"person": PERSON, "measurement": POTASSIUM.format(operator="")} | tables
    return [(f"{name}.csv", text.encode()) for name, text in given.items()]


def shard(**columns: list[object] | pa.Array) -> tuple[str, bytes]:
    """One MEDS shard of a patient 4, an event a day."""
    count = len(next(iter(columns.values())))
    days = pd.date_range("2021-03-04", periods=count).astype("datetime64[us]")
    out = io.BytesIO()
    pq.write_table(pa.table({"subject_id": pa.array([4] * count, pa.int64()), "time": days, **columns}), out)
    return "data.parquet", out.getvalue()


def said(timeline: Timeline) -> str:
    return " ".join(timeline.notes)


# ------------------------------------------------------------------------------------------------ OMOP


@pytest.mark.parametrize("table", [name for name in EVENT_TABLES if name != "measurement"])
@pytest.mark.parametrize("is_parquet", [False, True])
def test_a_table_without_rows_is_no_fault(table: str, is_parquet: bool) -> None:
    layout = EVENT_TABLES[table]
    names = ["person_id", f"{layout.subject}_concept_id", f"{layout.start}_date", f"{layout.start}_datetime"]
    files = omop()
    if is_parquet:
        out = io.BytesIO()
        pq.write_table(pa.table({name: pa.array([], pa.int64()) for name in names}), out)
        files.append((f"{table}.parquet", out.getvalue()))
    else:
        files.append((f"{table}.csv", (",".join(names) + "\n").encode()))
    events = load_timeline(files).events
    assert events["numeric_value"].dropna().tolist() == pytest.approx([3.9])
    assert list_subjects(files)["events"].tolist() == [3]
    assert not suggest_mapping(files).refused


@pytest.mark.parametrize(
    ("operator", "concept", "text"),
    [
        ("4171756", "", "<3.9"),
        ("2000000007", "2000000007,Less than or equal to,Local,LE", "<=3.9"),
        ("2000000007", "2000000007,>,Local,GT", ">3.9"),
        ("4172703", "", None),
        ("2000000007", "2000000007,=,Local,EQ", None),
        ("0", "", None),
    ],
)
def test_an_operator_bounds_its_number_by_whatever_concept(operator: str, concept: str, text: str | None) -> None:
    tables = {"measurement": POTASSIUM.format(operator=operator)}
    if concept:
        tables["concept"] = f"concept_id,concept_name,vocabulary_id,concept_code\n{concept}\n"
    timeline = load_timeline(omop(**tables))
    row = timeline.events[timeline.events["code"] == "MEASUREMENT//K"].iloc[0]
    assert row["text_value"] == text
    assert pd.isna(row["numeric_value"]) == (text is not None)
    assert "qualifier" not in said(timeline)


def test_an_operator_that_nobody_explains_is_said() -> None:
    timeline = load_timeline(omop(measurement=POTASSIUM.format(operator="2000000007")))
    assert "With a qualifier that is not read" in said(timeline)


@pytest.mark.parametrize(
    ("concept", "recorded", "sex"),
    [("0", "F", "F"), ("", "male", "M"), ("8532", "", "F"), ("8521", "F", None), ("0", "?", None)],
)
def test_the_sex_of_the_source_counts_where_no_concept_is_given(concept: str, recorded: str, sex: str | None) -> None:
    person = f"person_id,gender_concept_id,gender_source_value,year_of_birth\n4,{concept},{recorded},1961\n"
    codes = load_timeline(omop(person=person)).events["code"]
    assert [code for code in codes if code.startswith("GENDER")] == ([f"GENDER//{sex}"] if sex else [])


@pytest.mark.parametrize("keyed", [False, True])
def test_answers_on_dates_and_decimals_count_for_omop_too(keyed: bool) -> None:
    table = POTASSIUM.format(operator="").replace("2021-03-04", "04/03/2021").replace("3.9", '"3,9"')
    files = omop(measurement=table)
    question = suggest_mapping(files)
    assert set(question.ways) == {"dates", "decimals"}
    given = {"dates": "day first", "decimals": "comma"}
    answers = {question.layout: given} if keyed else given
    assert not suggest_mapping(files, mapping=answers).refused
    row = load_timeline(files, mapping=answers).events.iloc[-1]
    assert (str(row["time"].date()), row["numeric_value"]) == ("2021-03-04", pytest.approx(3.9))
    assert list_subjects(files, mapping=answers)["last"].tolist() == [pd.Timestamp("2021-03-04")]
    with pytest.raises(UserFacingError):
        load_timeline(files)


# ------------------------------------------------------------------------------------------------ codes, numbers, flags


@pytest.mark.parametrize("code", ["413.90", "071.00", "2E4", "7e1"])
def test_a_code_that_json_writes_as_a_number_is_read_as_written(code: str) -> None:
    code = code.lstrip("0")
    lines = f'{{"subject_id": 4, "time": "2021-03-04", "code": {code}, "value": 2.50}}\n'
    row = load_timeline(("a.jsonl", lines.encode())).events.iloc[0]
    assert (row["code"], row["numeric_value"]) == (code, 2.5)


def test_codes_kept_as_decimals_are_said() -> None:
    assert "zeros at their beginning or end" in said(load_timeline(shard(code=[413.9, 71.0])))
    assert "zeros at their beginning or end" not in said(load_timeline(shard(code=["413.90", "071.00"])))


def test_whole_numbers_in_place_of_words_stay_whole_beside_a_gap() -> None:
    most = 2**53 + 1
    words = pa.array([3, None, most], pa.int64())
    events = load_timeline(shard(code=["A", "B", "C"], text_value=words, unit=words)).events
    assert events["text_value"].tolist() == events["unit"].tolist() == ["3", None, str(most)]


@pytest.mark.parametrize("codes", [pa.array([17, 18]), pa.array([1.5, 2.0]), pa.array([17, 18]).dictionary_encode()])
def test_patients_are_listed_whatever_their_codes_are_stored_as(codes: pa.Array) -> None:
    assert list_subjects(shard(code=codes))["events"].tolist() == [2]


@pytest.mark.parametrize(("written", "value"), [("1.234", 1234), ("12,5e3", 12500), ("1.234,5", 1234.5), ("5e2", 500)])
def test_numbers_with_a_decimal_comma(written: str, value: float) -> None:
    table = f"subject_id;time;code;value\n4;2021-03-04;A;{written}\n4;2021-03-05;B;1,5\n"
    events = load_timeline(("a.csv", table.encode()), mapping={"decimals": "comma"}).events
    assert events["numeric_value"].tolist() == [value, 1.5]


@pytest.mark.parametrize("written", ["1.234e5", "12.345E-2", "1.5e3"])
def test_a_point_in_scientific_notation_parts_no_thousands(written: str) -> None:
    table = f"subject_id;time;code;value\n4;2021-03-04;A;{written}\n4;2021-03-05;B;1,5\n"
    with pytest.raises(UserFacingError, match="With a decimal point, though the decimal sign is the comma: 1 value"):
        load_timeline(("a.csv", table.encode()), mapping={"decimals": "comma"})


@pytest.mark.parametrize(("mark", "kept"), [("-1", 1), ("WAHR", 1), ("on", 1), ("0", 2), ("FALSCH", 2), ("off", 2)])
def test_flags_as_other_programs_write_them(mark: str, kept: int) -> None:
    table = f"subject_id,time,code,value,deleted\n4,2021-03-04,A,5,0\n4,2021-03-05,A,6,{mark}\n"
    assert len(load_timeline(("a.csv", table.encode())).events) == kept


@pytest.mark.parametrize(
    "code", ["time_to_death_days", "death_flag", "mortality_30d", "Patient died", "Exitus letalis"]
)
def test_an_outcome_without_a_time_is_left_out(code: str) -> None:
    table = f"subject_id,time,code,value\n4,2021-03-04,A,5\n4,,{code},1\n"
    timeline = load_timeline(("a.csv", table.encode()))
    assert timeline.events["code"].tolist() == ["A"]
    assert "a death or vital status without a time" in said(timeline)


def test_a_table_without_rows_beside_a_full_one_is_said() -> None:
    full, empty = b"subject_id,time,code\n4,2021-03-04,A\n", b"subject_id,time,code\n"
    timeline = load_timeline([("a.csv", full), ("b.csv", empty)])
    assert len(timeline.events) == 1
    assert "Without rows: 1 table." in timeline.notes
    with pytest.raises(UserFacingError, match="no event"):
        load_timeline(("b.csv", empty))
    with pytest.raises(UserFacingError, match="no table of events"):
        load_timeline([("a.csv", empty), ("b.csv", empty)])


# ------------------------------------------------------------------------------------------------ FHIR


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"status": "recorded", "adherence": {"code": {"coding": [{"code": "not-taking"}]}}}, False),
        ({"status": "active", "taken": "n"}, False),
        ({"status": "recorded", "adherence": {"code": {"coding": [{"code": "taking"}]}}}, True),
        ({"status": "active", "taken": "y"}, True),
    ],
)
def test_a_medicine_that_is_not_taken_is_no_event(fields: dict[str, object], kept: bool) -> None:
    statement = {
        "resourceType": "MedicationStatement",
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": "2021-03-04",
        "medicationCodeableConcept": {"coding": [{"system": "http://www.whocc.no/atc", "code": "B01AF01"}]},
        **fields,
    }
    patient = {"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1961-05-06"}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in (patient, statement)]}
    timeline = load_timeline(("b.json", json.dumps(bundle).encode()), prediction_time="2022-01-01")
    assert any("B01AF01" in code for code in timeline.events["code"]) == kept


@pytest.mark.parametrize("sign", ["^", "~", "\x01", "\x1f", "\xa6"])
def test_a_seldom_used_delimiter_is_read(sign: str) -> None:
    lines = ["subject_id,time,code,value", '4,2021-03-04,"A, or B",1.5']
    text = "\n".join(line.replace(",", sign) for line in lines).replace(f"A{sign} or", "A, or")
    events = load_timeline(("events.csv", text.encode())).events
    assert (events["code"].tolist(), events["numeric_value"].tolist()) == (["A, or B"], [1.5])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_read_and_searched(encoding: str) -> None:
    text = "subject_id,time,code,text_value\n4,2021-03-04,Gr\u00f6\u00dfe,seen by Dr. Jane Doe\n"
    source = ("events.csv", text.encode(encoding))
    assert load_timeline(source).events["code"].tolist() == ["Gr\u00f6\u00dfe"]
    assert "name" in {finding.category for finding in find_identifiers(source)}
    with pytest.raises(UserFacingError, match="NUL bytes"):
        load_timeline(("events.csv", text.encode().replace(b"seen", b"se\0n")))


def test_a_day_in_a_time_zone_without_a_time_of_day_is_refused_as_such() -> None:
    rows = "4,2021-03-04Z,A\n4,2021-03-05,B\n4,2021-03-06+02:00,C\n"
    with pytest.raises(UserFacingError, match="A day in a time zone but without a time of day: 2 times") as refusal:
        load_timeline(("events.csv", f"subject_id,time,code\n{rows}".encode()))
    assert "Leave the zone out" in refusal.value.next_step


def test_parts_of_an_omop_table_are_known_by_their_names() -> None:
    one, two = (POTASSIUM.format(operator="").replace("3.9", value) for value in ("3.9", "4.2"))
    files = [("person.csv", PERSON), ("measurement_part1.csv", one), ("measurement_part2.csv", two)]
    timeline = load_timeline([(name, text.encode()) for name, text in files])
    assert sorted(timeline.events["numeric_value"].dropna()) == pytest.approx([3.9, 4.2])


@pytest.mark.parametrize("when", ["1000-01-01", "1849-12-31", "1677-01-01"])
def test_a_prediction_time_before_every_patient_is_refused(when: str) -> None:
    with pytest.raises(UserFacingError, match="lies before 1850"):
        load_timeline(("events.csv", b"subject_id,time,code\n1,,GENDER//F\n"), prediction_time=when)


def test_ages_of_a_parquet_file_with_times_as_text_are_searched() -> None:
    def found(last: str) -> set[str]:
        of_one, codes = pa.array([7, 7], pa.int64()), ["MEDS_BIRTH", "A"]
        out = io.BytesIO()
        pq.write_table(pa.table({"subject_id": of_one, "time": ["1930-01-01", last], "code": codes}), out)
        return {finding.category for finding in find_identifiers(("events.parquet", out.getvalue()))}

    assert "age over 89" in found("2024-01-02")
    assert not {"age over 89", "unreadable"} & found("2004-01-02")


WIDE = [*("subject_id", "time", "code", "value"), *(f"c{number}" for number in range(1000))]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_table_of_a_thousand_columns_is_refused_before_they_are_looked_at(form: str) -> None:
    row = ["7", "2020-01-01", "A", *("1" for _ in WIDE[3:])]
    shard = io.BytesIO()
    pd.DataFrame([row], columns=WIDE).to_parquet(shard)
    data = {
        "csv": f"{','.join(WIDE)}\n{','.join(row)}\n".encode(),
        "jsonl": json.dumps(dict(zip(WIDE, row))).encode(),
        "parquet": shard.getvalue(),
    }[form]
    with pytest.raises(UserFacingError, match=r"1,004 columns, more than 1,000"):
        load_timeline((f"a.{form}", data))


def test_what_r_writes_for_nothing_is_no_text() -> None:
    rows = "subject_id,time,code,value,text,description\n7,2020-01-01,NA,NA,NA,NA\n"
    timeline = load_timeline(("a.csv", rows.encode()))
    assert timeline.events[["code", "text_value"]].to_numpy().tolist() == [["NA", None]]
    assert not timeline.code_descriptions
