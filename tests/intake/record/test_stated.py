"""What a record states in other ways: deaths as values, ICD-10 of other countries, deletions, and FHIR R5 elements."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from core.events.descriptions import describe
from core.intake.record.columns.dates import iso_times
from core.records import Timeline
from core.timeline import load_timeline

DIED = "The record says that the patient had died by the prediction time; set an earlier one to predict."
PERSON = {"resourceType": "Patient", "id": "1"}
BASE = {"subject": {"reference": "Patient/1"}, "status": "final"}
RESULT = {**BASE, "resourceType": "Observation", "id": "o1", "effectiveDateTime": "2020-01-01",
          "code": {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]}}  # fmt: skip


def bundled(*entries: dict[str, Any], kind: str = "collection") -> tuple[str, bytes]:
    """A bundle of resources, or of whole entries."""
    held = [{"resource": entry} if "resourceType" in entry else entry for entry in entries]
    return "b.json", json.dumps({"resourceType": "Bundle", "type": kind, "entry": held}).encode()


def stated(code: str, value: str, time: str = "2020-01-02 08:00") -> Timeline:
    """A record of one result and one further event."""
    rows = ("subject_id,time,code,value", "1,2020-01-01 08:00,LOINC//2160-0,1.2", f"1,{time},{code},{value}")
    return load_timeline(("t.csv", "\n".join(rows).encode()))


DEATHS = [
    ("vital status", "dead"), ("Vital_Status", "Deceased"), ("LOINC//67162-8", "patient died"), ("alive", "no"),
    ("Discharge disposition", "Expired in hospital"), ("DISCHARGE_DISPOSITION", "20"), ("DISCHARGE//EXPIRED", ""),
    ("hospital_expire_flag", "1"), ("Vitalstatus", "verstorben"), ("deceased", "true"), ("LOINC//81956-5", ""),
    ("SNOMED//371828006", ""), ("Discharge status code", "20"), ("outcome", "exp"), ("cause of death", "sepsis"),
]  # fmt: skip
LIVES = [
    ("vital status", "alive"), ("deceased", "false"), ("died", "0"), ("alive", "yes"), ("hospital_expire_flag", "0"),
    ("Discharge disposition", "Home"), ("Family history", "dead"), ("LAB//dead space", "20"), ("Outcome", "deadlift"),
    ("Outcome", "death of a spouse"), ("Discharge weight", "42"), ("discharge temperature", "41"), ("death", "unknown"),
    ("cause of death", "not applicable"), ("alive", "unknown"), ("Outcome", "exp. recovery in a week"),
    ("Outcome", "20"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "value"), DEATHS)
def test_a_death_stated_as_a_value_is_said_as_any_other(code: str, value: str) -> None:
    assert DIED in stated(code, value).notes


@pytest.mark.parametrize(("code", "value"), LIVES)
def test_what_says_that_the_patient_lives_is_no_death(code: str, value: str) -> None:
    assert DIED not in stated(code, value).notes


def test_a_death_stated_as_a_value_without_a_time_is_left_out() -> None:
    timeline = stated("status of patient", "deceased", time="")
    assert timeline.events["code"].tolist() == ["LOINC//2160-0"]
    assert "a death or vital status without a time" in " ".join(timeline.notes)


@pytest.mark.parametrize("stay", ["hospitalization", "admission"])
def test_a_death_at_discharge_counts_at_the_end_of_the_encounter(stay: str) -> None:
    died = {"dischargeDisposition": {"coding": [{"code": "exp"}]}}
    visit = {**BASE, "resourceType": "Encounter", "class": {"code": "IMP"}, stay: died}
    timed = {**visit, "period": {"start": "2020-01-02", "end": "2020-01-05"}}
    timeline = load_timeline(bundled(PERSON, timed, RESULT))
    assert timeline.events["code"].tolist() == ["LOINC//2160-0", "VISIT//INPATIENT", "DISCHARGE//EXPIRED"]
    assert DIED in timeline.notes
    before = load_timeline(bundled(PERSON, timed, RESULT), prediction_time="2020-01-03")
    assert DIED not in before.notes
    untimed = {**visit, "period": {"start": "2020-01-02"}}
    assert "a death without a time" in " ".join(load_timeline(bundled(PERSON, untimed, RESULT)).notes)


def test_a_death_at_the_end_of_an_omop_visit_counts() -> None:
    tables = {
        "person.csv": "person_id,gender_concept_id,year_of_birth\n1,8532,1950\n",
        "visit_occurrence.csv": "person_id,visit_concept_id,visit_start_date,visit_end_date,"
        "discharged_to_source_value\n1,9201,2020-01-01,2020-01-04,EXPIRED\n1,9202,2019-01-01,2019-01-01,HOME\n",
    }
    timeline = load_timeline([(name, text.encode()) for name, text in tables.items()])
    assert timeline.events["code"].tolist()[-1] == "DISCHARGE//EXPIRED"
    assert DIED in timeline.notes


def test_german_codes_are_not_described_as_american_ones() -> None:
    system = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
    illness = {"resourceType": "Condition", "onsetDateTime": "2020-01-01", "subject": BASE["subject"],
               "code": {"coding": [{"system": system, "code": "E11.90"}]}}  # fmt: skip
    assert load_timeline(bundled(PERSON, illness)).events["code"].tolist() == ["ICD10GM//E11.90"]
    assert describe("ICD10GM//E11.90") == "Type 2 diabetes mellitus (ICD-10 E11.90)"
    assert describe("ICD10//I50.1") == "Heart failure (ICD-10 I50.1)"
    assert "(ICD-10" not in describe("ICD10CM//I50.1")
    assert describe("ICD10//W00") == "ICD10 W00"


def test_what_a_transaction_deletes_does_not_count() -> None:
    second = {**RESULT, "id": "o2", "effectiveDateTime": "2020-02-01"}
    gone = {"request": {"method": "DELETE", "url": "Observation/o1"}}
    for entries in (({"resource": RESULT}, gone), ({"resource": RESULT, **gone},)):
        put = {"resource": second, "request": {"method": "PUT", "url": "Observation/o2"}}
        timeline = load_timeline(bundled({"resource": PERSON}, *entries, put, kind="transaction"))
        assert len(timeline.events) == 1
        assert "Left out, as deleted by a request of a transaction: 1 event." in timeline.notes


def test_requests_that_are_not_carried_out_are_said() -> None:
    odd = {"request": {"method": "DELETE", "url": "Observation?code=1"}}
    timeline = load_timeline(bundled({"resource": PERSON}, {"resource": RESULT}, odd, kind="transaction"))
    assert len(timeline.events) == 1
    assert "Not carried out, of a FHIR transaction: 1 request" in " ".join(timeline.notes)


DRUG = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "161"}]}
NEWER = {
    "RxNorm//161": {"resourceType": "MedicationRequest", "authoredOn": "2020-01-01", "medication": {"concept": DRUG}},
    "FHIR//X": {"resourceType": "Procedure", "occurrenceDateTime": "2020-01-01", "code": {"text": "X"}},
    "VISIT//ED": {"resourceType": "Encounter", "actualPeriod": {"start": "2020-01-01"}, "class": [
        {"coding": [{"code": "EMER"}]}]},
    "IMAGING//CT": {"resourceType": "ImagingStudy", "started": "2020-01-01", "modality": [
        {"coding": [{"code": "CT"}]}]},
}  # fmt: skip


@pytest.mark.parametrize("code", NEWER)
def test_elements_of_release_5_are_read(code: str) -> None:
    assert load_timeline(bundled(PERSON, {**BASE, **NEWER[code]})).events["code"].tolist() == [code]


def test_a_medication_that_release_5_refers_to_is_found() -> None:
    drug = {"resourceType": "Medication", "id": "m", "code": DRUG}
    given = {"medication": {"reference": {"reference": "Medication/m"}}, "occurenceDateTime": "2020-01-01"}
    timeline = load_timeline(bundled(PERSON, drug, {**BASE, "resourceType": "MedicationAdministration", **given}))
    assert timeline.events["code"].tolist() == ["RxNorm//161"]


@pytest.mark.parametrize("name", ["vital_status", "Hospital_expire_flag", "deceased"])
def test_a_column_of_deaths_that_is_not_read_is_said(name: str) -> None:
    text = f"subject_id,time,code,{name}\n1,2020-01-01,A,0\n"
    assert "tell whether the patient died: 1 column" in " ".join(load_timeline(("t.csv", text.encode())).notes)


@pytest.mark.parametrize(
    ("operator", "sign"), [("4171756", "<"), ("4171754", "<="), ("4172704", ">"), ("4171755", ">=")]
)
def test_each_operator_of_omop_is_the_sign_of_its_bound(operator: str, sign: str) -> None:
    tables = {
        "person.csv": "person_id,gender_concept_id,year_of_birth\n1,8507,1950\n",
        "measurement.csv": "person_id,measurement_concept_id,measurement_date,operator_concept_id,value_as_number,"
        f"measurement_source_value\n1,0,2020-01-01,{operator},5,GLU\n",
    }
    events = load_timeline([(name, text.encode()) for name, text in tables.items()]).events
    assert events["text_value"].tolist()[-1] == f"{sign}5"


@pytest.mark.parametrize(("after_days", "said"), [(1, False), (2, True)])
def test_what_follows_a_death_by_more_than_a_day_is_said(after_days: int, said: bool) -> None:
    rows = (
        "subject_id,time,code,value",
        "1,2020-01-10 08:00,MEDS_DEATH,",
        f"1,2020-01-{9 + after_days} 23:00,LOINC//2160-0,1",
    )
    notes = load_timeline(("t.csv", "\n".join(rows).encode())).notes
    assert any("After the recorded death: 1 event" in note for note in notes) == said


def test_clocks_of_twelve_hours_and_columns_that_contradict_each_other() -> None:
    written = pd.Series(["2020-01-03 12:30 PM", "2020-01-03 12:05 am", "2020-01-03 1:05 pm"])
    assert iso_times({"time": written}, None, [])["time"].str[11:].tolist() == ["12:30", "00:05", "13:05"]
    notes: list[str] = []
    contrary = {"one": pd.Series(["13/01/2020"]), "other": pd.Series(["01/13/2020"])}
    left = iso_times(contrary, None, notes)
    assert all(left[name].tolist() == contrary[name].tolist() for name in contrary)
    assert not notes
