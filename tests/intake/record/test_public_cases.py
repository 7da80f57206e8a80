"""Situations of public bug reports: each record is read right, or refused with what to do."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fhir_support import GLUCOSE, PATIENT, SUBJECT, added, bundle, dated, loaded, observation

from core.errors import UserFacingError
from core.intake.record.columns.roles import NO_COLUMN
from core.records import Timeline
from core.timeline import list_subjects, load_timeline, suggest_mapping

CASES = Path(__file__).resolve().parents[4] / "shared" / "data" / "public_cases"
needed = pytest.mark.skipif(not CASES.is_dir(), reason="the public situations are not beside the checkout")


def values(timeline: Timeline) -> list[tuple[str, float | None, str | None]]:
    """(code, number, text) of the events with a value."""
    rows = timeline.events[["code", "numeric_value", "text_value"]].itertuples(index=False)
    told = [(code, None if pd.isna(number) else float(number), text or None) for code, number, text in rows]
    return [row for row in told if row[1:] != (None, None)]


def said(timeline: Timeline, words: str) -> bool:
    return any(words in note for note in timeline.notes)


def written(form: str, **columns: list[Any]) -> tuple[str, bytes]:
    """A table of these columns as a file."""
    table, out = pd.DataFrame(columns), io.BytesIO()
    table.to_csv(out, index=False) if form == "csv" else table.to_parquet(out)
    return f"table.{form}", out.getvalue()


TWO = CASES / "two_people_mapped"
PART = {"time": "LBDTC", "code": "LBTESTCD"}


@needed
def test_two_people_are_not_merged_by_an_answer_on_other_columns() -> None:
    for read in (load_timeline, list_subjects):
        with pytest.raises(UserFacingError, match="told apart by a column whose name is not recognised"):
            read(TWO, mapping=PART)
    question = suggest_mapping(TWO, mapping=PART)
    assert question.is_needed
    assert question.guesses["subject_id"].column == "USUBJID", "asked with the answer that fits"
    assert {role: question.guesses[role].column for role in PART} == PART, "what was answered stays"
    named = {**PART, "subject_id": "USUBJID"}
    assert list_subjects(TWO, mapping=named)["events"].tolist() == [2, 2]
    with pytest.raises(UserFacingError, match="events of 2 patients"):
        load_timeline(TWO, mapping=named)
    full = {**named, "value": "LBORRES", "unit": "LBORRESU"}
    assert values(load_timeline(TWO, mapping=full, subject_id=1)) == [
        ("HGB", pytest.approx(13.2), None),
        ("HGB", pytest.approx(13.1), None),
    ]


@needed
def test_an_answer_on_the_value_leaves_its_unit_to_be_asked() -> None:
    answer = {**PART, "subject_id": "USUBJID", "value": "LBORRES"}
    with pytest.raises(UserFacingError, match="units seem to stand"):
        load_timeline(TWO, mapping=answer, subject_id=1)
    assert suggest_mapping(TWO, mapping=answer).guesses["unit"].column == "LBORRESU"
    one = load_timeline(TWO, mapping={**answer, "unit": NO_COLUMN}, subject_id=1)
    assert one.events["unit"].isna().all()


CLOCKED = {"pid": ["1", "1"], "tag": ["2020-03-01", "2020-03-02"], "uhr": ["08:30", "09:15"], "was": ["BNP", "BNP"],
           "laborwert": ["12.5", "13.5"], "dimension": ["ng/L", "ng/L"]}  # fmt: skip
FULL = {"subject_id": "pid", "time": "tag", "code": "was", "value": "laborwert", "unit": "dimension"}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("left", "words"), [("clock", "times of day seem"), ("unit", "units seem"), ("value", "numbers seem")]
)
def test_each_question_on_columns_is_asked_until_it_is_answered(left: str, words: str, form: str) -> None:
    source = [written(form, **CLOCKED)]
    clocked = {**FULL, "date": "tag", "time": "uhr"}
    answer = {role: name for role, name in (FULL if left == "clock" else clocked).items() if role != left}
    with pytest.raises(UserFacingError, match=words):
        load_timeline(source, mapping=answer)
    question = suggest_mapping(source, mapping=answer)
    assert question.is_needed
    assert any(words in doubt for doubt in question.doubts)
    assert load_timeline(source, mapping=clocked).events["time"].tolist() == [
        pd.Timestamp("2020-03-01 08:30"),
        pd.Timestamp("2020-03-02 09:15"),
    ]
    none = {**answer, left: NO_COLUMN} if left != "clock" else {**answer, "date": NO_COLUMN}
    assert len(load_timeline(source, mapping=none).events) == 2


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_page_offers_day_and_time_of_day_of_two_columns(form: str) -> None:
    question = suggest_mapping([written(form, **CLOCKED)])
    guessed = {role: guess.column for role, guess in question.guesses.items()}
    assert guessed == {**FULL, "date": "tag", "time": "uhr"}
    timeline = load_timeline([written(form, **CLOCKED)], mapping=guessed)
    assert timeline.events["time"].tolist()[0] == pd.Timestamp("2020-03-01 08:30")


def test_people_told_apart_by_their_names_are_guessed_to_be_the_patients() -> None:
    source = [written("csv", **{**CLOCKED, "patient_name": ["Roe, A", "Doe, B"], "pid": ["", ""]})]
    assert suggest_mapping(source).guesses["subject_id"].column == "patient_name"


@needed
def test_bounds_in_a_column_of_their_own_are_texts_whatever_else_stands_there() -> None:
    timeline = load_timeline(CASES / "modifier")
    assert timeline.events["numeric_value"].iloc[0] == pytest.approx(13.2)
    assert timeline.events["numeric_value"].iloc[1:].isna().all()
    assert timeline.events["text_value"].tolist()[:3] == [None, "<6", ">5000"]
    assert len(timeline.events) == 4
    assert said(timeline, "holds a sign such as <: 2 values")


DAYS = [f"2020-01-0{day}" for day in range(1, 5)]
LABS = {"subject_id": [7] * 4, "time": DAYS, "code": ["LOINC//2157-6"] * 4, "numeric_value": [13, 6, 5000, 4]}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    "column", ["RESULT_MODIFIER", "value_qualifier", "lab_result_modifier", "comparator", "Value-Prefix"]
)
def test_a_column_that_compares_makes_bounds_though_it_holds_other_words(column: str, form: str) -> None:
    labs = {**LABS, column: ["EQ", "LT", "GE", "see note"]}
    events = load_timeline([written(form, **labs)]).events
    assert events["text_value"].tolist() == [None, "<6", ">=5000", None]
    assert events["numeric_value"].notna().tolist() == [True, False, False, True]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("column", ["NORM_MODIFIER_LOW", "norm_modifier_high", "ref_range_operator", "CPT_modifier"])
def test_signs_of_normal_limits_leave_the_values_as_they_are(column: str, form: str) -> None:
    events = load_timeline([written(form, **LABS, **{column: ["GE", "LT", "GE", "LE"]})]).events
    assert events["numeric_value"].tolist() == [13, 6, 5000, 4]


@needed
def test_the_focus_on_the_patients_own_condition_or_body_leaves_an_event_the_patients() -> None:
    timeline = load_timeline(CASES / "focus")
    told = [("LOINC//21908-9", None, "Stage IIIB"), ("LOINC//97509-4", None, "Worse"), ("LOINC//33728-7", 2.5, None)]
    assert values(timeline) == told
    assert said(timeline, "someone or something else than the patient: 1 event")


def of_p(*resources: Any) -> Timeline:
    """The record of the patient p beside those of others, whose ids come before."""
    source = bundle(PATIENT, GLUCOSE, *resources)
    return load_timeline(source, subject_id=int(list_subjects(source)["subject_id"].max()))


STAGE = "LOINC//718-7"
CONDITION = {"resourceType": "Condition", "id": "c1", "subject": SUBJECT, "code": {"text": "x"}, "recordedDate": "2020"}


@pytest.mark.parametrize(
    ("reference", "others", "kept"),
    [
        ("Condition/c1", [CONDITION], True),
        ("https://server.example/fhir/Condition/c1", [CONDITION], True),
        ("Condition/c1", [{**CONDITION, "subject": {"reference": "Patient/mother"}}], False),
        ("Condition/c9", [], True),
        ("#inside", [], True),
        ("urn:uuid:unknown", [], False),
        ("Device/d1", [{"resourceType": "Device", "id": "d1", "patient": SUBJECT}], False),
        ("FamilyMemberHistory/f1", [{"resourceType": "FamilyMemberHistory", "id": "f1", "patient": SUBJECT}], False),
        ("RelatedPerson/r1", [{"resourceType": "RelatedPerson", "id": "r1", "patient": SUBJECT}], False),
        ("Patient/p", [], True),
        ("Patient/donor", [], False),
        ("Observation/o9", [dated(id="o9", focus=[{"reference": "RelatedPerson/r1"}])], False),
    ],
)
def test_a_focus_counts_by_what_it_leads_to(reference: str, others: list[Any], *, kept: bool) -> None:
    held = [{"resourceType": "BodyStructure", "id": "inside", "patient": SUBJECT}]
    about = dated(id="about", valueString="seen", contained=held, focus=[{"reference": reference}])
    assert [row for row in values(of_p(*others, about)) if row[0] == STAGE] == [(STAGE, None, "seen")] * kept


@needed
def test_results_without_a_time_have_that_of_their_report_and_are_known_when_it_was_issued() -> None:
    timeline = load_timeline(CASES / "report_time")
    assert values(timeline) == [("LOINC//2093-3", 240.0, None), ("LOINC//2085-9", 40.0, None)]
    results = timeline.events[timeline.events["numeric_value"].notna()]
    assert results["time"].tolist() == [pd.Timestamp("2020-01-02 07:30")] * 2
    assert timeline.prediction_time == pd.Timestamp("2020-01-02 11:00")
    assert said(timeline, "counted from the time of their report: 2 events")
    before = load_timeline(CASES / "report_time", prediction_time="2020-01-02T10:00")
    assert values(before) == [], "not known before the report was issued"
    assert before.later_event_count == 3


REPORT = {"resourceType": "DiagnosticReport", "id": "d", "status": "final", "subject": SUBJECT, "code": {"text": "Lab"},
          "effectiveDateTime": "2020-01-03T08:00:00Z", "issued": "2020-01-03T12:00:00Z"}  # fmt: skip
UNTIMED = observation(id="r", valueQuantity={"value": 13, "unit": "g/dL"})


def results(*resources: Any) -> list[tuple[pd.Timestamp, float]]:
    rows = of_p(*resources).events
    rows = rows[(rows["code"] == STAGE) & rows["numeric_value"].notna()]
    return list(zip(rows["time"], rows["numeric_value"].astype(float), strict=True))


def nobodys(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "subject"}


AT_REPORT = [(pd.Timestamp("2020-01-03 08:00"), 13.0)]


def test_a_result_inside_a_report_is_at_the_reports_time() -> None:
    assert results({**REPORT, "contained": [UNTIMED], "result": [{"reference": "#r"}]}) == AT_REPORT


@pytest.mark.parametrize("reference", ["Observation/r", "https://server.example/fhir/Observation/r/_history/2"])
def test_a_panel_and_its_results_have_patient_and_time_of_the_report_that_names_them(reference: str) -> None:
    named = {**REPORT, "result": [{"reference": reference}]}
    assert results(named, nobodys(UNTIMED)) == AT_REPORT
    members = {"hasMember": [{"reference": reference}]}
    panel = nobodys(observation(id="panel", code={"text": "Panel"}, **members))
    asked = {**REPORT, "result": [{"reference": "Observation/panel"}]}
    assert results(asked, panel, nobodys(UNTIMED)) == AT_REPORT
    before_r4 = {"related": [{"type": "has-member", "target": {"reference": reference}}]}
    panel = nobodys(observation(id="panel", code={"text": "Panel"}, **before_r4))
    assert results(asked, panel, nobodys(UNTIMED)) == AT_REPORT


def test_a_panel_contained_in_a_report_without_a_subject_is_the_reports_patients() -> None:
    panel = nobodys(observation(id="panel", code={"text": "Panel"}, hasMember=[{"reference": "#r"}]))
    held = {**REPORT, "contained": [panel, nobodys(UNTIMED)], "result": [{"reference": "#panel"}]}
    assert results(held) == AT_REPORT


def test_a_results_own_time_and_patient_stay() -> None:
    named = {**REPORT, "result": [{"reference": "Observation/r"}]}
    own = {**UNTIMED, "effectiveDateTime": "2020-01-01T09:00:00Z"}
    assert results(named, own) == [(pd.Timestamp("2020-01-01 09:00"), 13.0)]
    later = {**named, "id": "d2", "effectiveDateTime": "2020-01-05T08:00:00Z", "issued": "2020-01-05T09:00:00Z"}
    assert results(named, later, UNTIMED) == [(pd.Timestamp("2020-01-05 08:00"), 13.0)], "the later of two reports"
    assert results({**named, "status": "entered-in-error"}, UNTIMED) == [], "no time from a withdrawn report"
    assert results({**named, "subject": {"reference": "Patient/other"}}, UNTIMED) == []


@pytest.mark.parametrize(
    "said_no",
    [
        {"notPerformed": True},
        {"notPerformed": "true"},
        {"notDone": True},
        {"status": "aborted", "notPerformed": True, "reasonNotPerformed": [{"text": "refused"}]},
        {"reasonNotPerformed": [{"text": "refused"}]},
        {"notDoneReason": {"text": "refused"}},
    ],
)
def test_a_procedure_that_earlier_versions_mark_as_not_performed_is_left_out(said_no: dict[str, Any]) -> None:
    done = {"resourceType": "Procedure", "id": "x", "status": "completed", "subject": SUBJECT,
            "code": {"text": "Lobectomy"}, "performedDateTime": "2020-01-01T09:00:00Z"}  # fmt: skip
    assert added(loaded(done, {**done, "id": "y", "notPerformed": False})) == ["FHIR//Lobectomy"] * 2
    timeline = loaded({**done, **said_no})
    assert added(timeline) == []
    assert said(timeline, "not done: 1 event")


@needed
@pytest.mark.parametrize("form", ["folder", "archive", "files"])
def test_the_log_of_a_bulk_export_is_passed_over(form: str, tmp_path: Path) -> None:
    folder, source = CASES / "bulk_with_log", CASES / "bulk_with_log"
    if form == "archive":
        source = tmp_path / "bulk.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
    given = [(path.name, path.read_bytes()) for path in folder.iterdir()] if form == "files" else source
    timeline = load_timeline(given)
    assert values(timeline) == [("LOINC//2093-3", 240.0, None), ("LOINC//2085-9", 40.0, None)]
    assert "Not read, as not among the tables of events: 1 file (1 .ndjson)." in timeline.notes
    assert list_subjects(given)["events"].tolist() == [4]


PLAIN = ("labs.csv", b"subject_id,time,code,value\n7,2020-01-01,K,4.1\n7,2020-01-02,K,4.3\n")
LOG = b'{"exportId":"e1","timestamp":"2020-01-03","eventId":"kickoff","eventDetail":%s}\n'
NO_EVENTS = {
    "log.ndjson": LOG % b'{"files": 2}',
    "flat_log.ndjson": LOG % b'"started"',
    "job.json": b'{"jobId": "x", "status": "done", "errors": []}',
    "pages.json": b'[{"page": 1, "url": "https://ehr.example/1"}]',
    "report.txt": b"Report of the export\nIt went well, all rows, all tables, were written.\nNothing is missing.\n",
    "note.txt": b"Exported by the study office.\n",
}


@pytest.mark.parametrize("name", NO_EVENTS)
@pytest.mark.parametrize("form", ["csv", "parquet", "fhir"])
def test_a_file_without_events_ends_no_reading_of_those_beside(form: str, name: str) -> None:
    rows = {"subject_id": [7, 7], "time": pd.to_datetime(["2020-01-01", "2020-01-02"]), "code": ["K", "K"]}
    record = {"csv": PLAIN, "parquet": written("parquet", **rows), "fhir": bundle(PATIENT, GLUCOSE)}[form]
    source = [record, (name, NO_EVENTS[name])]
    timeline = load_timeline(source)
    assert len(timeline.events) == 2
    assert said(timeline, "Not read, as not among the tables of events: 1 file")
    suggest_mapping(source)
    with pytest.raises(UserFacingError):
        load_timeline([(name, NO_EVENTS[name])])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Observation.ndjson", b'{"resourceType": "Observation", "status": "fin'),
        ("events.jsonl", b'{"patient_id": 7, "time": "2020-01-05", "code": {"loinc": "2823-3"}}\n'),
        ("strange.jsonl", b'{"wann": "2020-01-05", "was": "K"}\n'),
        ("labs2.txt", b"subject_id,time,code,value\n7,2020-01-01,K\n"),
    ],
)
def test_what_may_hold_events_is_never_passed_over(name: str, content: bytes) -> None:
    with pytest.raises(UserFacingError, match=r"File [12] of 2, by name: "):
        load_timeline([PLAIN, (name, content)])


def test_a_refusal_names_the_file_that_it_is_about() -> None:
    odd = ("zz.csv", b"subject_id,time,code,value\n7,2020-01-01,K,4.1\n7,2020-01-32,K,4.3\n")
    with pytest.raises(UserFacingError, match="in line 3 of file 2, by name"):
        load_timeline([odd, PLAIN])
    nameless = ("zz.csv", b"time,code,value\n2020-01-01,K,4.1\n")
    with pytest.raises(UserFacingError, match="Naming no patient: 1 of 2 tables, file 2 by name"):
        load_timeline([nameless, PLAIN])
    strange = ("zz.csv", b"subject_id,time,thing\n7,2020-01-01,K\n")
    with pytest.raises(UserFacingError, match="File 2 of 2, by name: the table has no column for the code"):
        load_timeline([strange, PLAIN])
    person = ("person.csv", b"person_id,gender_concept_id,year_of_birth\n7,8507,1950\n")
    broken = ("measurement.csv", b"measurement_id,measurement_concept_id,measurement_date\n1,3016723,2020-01-01\n")
    with pytest.raises(UserFacingError, match="The OMOP table MEASUREMENT has no person_id column"):
        load_timeline([person, broken])
