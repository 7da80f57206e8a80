"""FHIR: what does not tell of something that happened to the patient is left out and counted; the rest is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fhir_support import GLUCOSE, LOINC, PATIENT, SUBJECT, Resource, added, bundle, dated, loaded, request, said

from core.errors import UserFacingError
from core.events.descriptions import describe
from core.timeline import load_timeline

ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
VALUE = {"value": 7.5, "unit": "g/dL"}
NEGATED = [{"url": "http://example.org/negated", "valueBoolean": True}]


def condition(**fields: Any) -> Resource:
    code = {"coding": [{"system": ICD10, "code": "J18.9"}]}
    return {"resourceType": "Condition", "subject": SUBJECT, "code": code, "onsetDateTime": "2020-01-03", **fields}


LEFT_OUT = {
    "modifier": (condition(modifierExtension=NEGATED), "may change the meaning"),
    "rules": (condition(implicitRules="http://example.org/rules"), "may change the meaning"),
    "refuted in words": (condition(verificationStatus={"text": "Refuted"}), "refuted"),
    "refuted, an older release": (condition(verificationStatus="refuted"), "refuted"),
    "registered": (dated(status="registered"), "registered only"),
    "absent": (dated(dataAbsentReason={"coding": [{"code": "not-performed"}]}), "without a result"),
    "absent, said in its place": (
        dated(
            valueQuantity={
                "unit": "g/dL",
                "extension": [
                    {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
                ],
            }
        ),
        "without a result",
    ),
    "in other letters": (dated(valueQuantity=VALUE, status="Entered-In-Error"), "entered in error"),
    "fetus": (dated(valueQuantity=VALUE, focus=[{"reference": "RelatedPerson/b"}]), "else than the patient"),
    "device": (dated(valueQuantity=VALUE, subject={"reference": "Device/d"}), "else than the patient"),
    "group": (
        dated(valueQuantity=VALUE, subject={"reference": "http://h.org/Group/g/_history/2"}),
        "else than the patient",
    ),
    "status of nobody": (dated(valueQuantity=VALUE, status="zzz"), "neither FHIR nor other records know"),
    "status of other records": (dated(valueQuantity=VALUE, status="wrong-patient"), "entered in error"),
    "deleted": (dated(valueQuantity=VALUE, status="deleted"), "entered in error"),
    "medicine contained, modified": (
        request(
            medicationReference={"reference": "#m"},
            contained=[
                {"resourceType": "Medication", "id": "m", "code": {"text": "Heparin"}, "modifierExtension": NEGATED}
            ],
        ),
        "may change the meaning",
    ),
    "medicine contained, withdrawn": (
        request(
            medicationReference={"reference": "#m"},
            contained=[
                {"resourceType": "Medication", "id": "m", "code": {"text": "Heparin"}, "status": "entered-in-error"}
            ],
        ),
        "entered in error",
    ),
    "option": (request(intent="option", medicationCodeableConcept={"text": "Heparin"}), "planned or proposed"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_no_event_of_the_patient_is_left_out_and_counted(name: str) -> None:
    resource, words = LEFT_OUT[name]
    timeline = loaded(resource)
    assert added(timeline) == []
    assert words in said(timeline)
    assert ": 1 event." in said(timeline)


KEPT = {
    "no modifier": condition(modifierExtension=[]),
    "confirmed": condition(verificationStatus={"coding": [{"code": "confirmed"}], "text": "Confirmed"}),
    "focus on the patient": dated(valueQuantity=VALUE, focus=[SUBJECT]),
    "versioned patient": dated(valueQuantity=VALUE, subject={"reference": "http://h.org/Patient/p/_history/2"}),
    "absent, but in words": dated(dataAbsentReason={"coding": [{"code": "as-text"}]}, valueString="trace"),
    "extended": dated(valueQuantity={**VALUE, "extension": [{"url": "http://example.org/data-absent-reason"}]}),
    "status of other records": dated(valueQuantity=VALUE, status="Resulted"),
    "no status": {name: part for name, part in dated(valueQuantity=VALUE).items() if name != "status"},
    "panel": dated(component=[{"code": {"coding": [{"system": LOINC, "code": "1-1"}]}, "valueQuantity": VALUE}]),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_happened_to_the_patient_is_kept(name: str) -> None:
    timeline = loaded(KEPT[name])
    assert len(added(timeline)) == (2 if name == "panel" else 1)
    assert "Left out" not in said(timeline)


@pytest.mark.parametrize("state", ["unconfirmed", "provisional", "differential"])
def test_a_suspicion_is_kept_and_said(state: str) -> None:
    timeline = loaded(condition(verificationStatus={"coding": [{"code": state}]}))
    assert added(timeline) == ["ICD10CM//J18.9"]
    assert "Suspected only" in said(timeline)


@pytest.mark.parametrize("part", [{"modifierExtension": NEGATED}, {"dataAbsentReason": {"text": "clotted"}}])
def test_a_component_without_a_result_is_left_out(part: Resource) -> None:
    codes = [{"coding": [{"system": LOINC, "code": code}]} for code in ("8480-6", "8462-4")]
    whole = {"code": codes[0], "valueQuantity": {"value": 120, "unit": "mmHg"}}
    timeline = loaded(dated(component=[whole, {"code": codes[1], **part}]))
    assert added(timeline) == ["LOINC//718-7", "LOINC//8480-6"]
    assert ": 1 event." in said(timeline)


def test_a_component_within_a_component_is_read() -> None:
    codes = [{"coding": [{"system": LOINC, "code": code}]} for code in ("8480-6", "8462-4")]
    inner = {"code": codes[1], "valueQuantity": {"value": 80, "unit": "mmHg"}}
    assert added(loaded(dated(component=[{"code": codes[0], "component": [inner]}])))[-1] == "LOINC//8462-4"


def test_a_patient_whose_meaning_is_changed_is_not_read() -> None:
    events = load_timeline(bundle({**PATIENT, "birthDate": "1950-01-01", "modifierExtension": NEGATED}, GLUCOSE))
    assert events.events["code"].tolist() == ["LOINC//2345-7"]
    assert "may change the meaning: 1 event" in said(events)


def test_a_dosage_whose_meaning_is_changed_is_no_value() -> None:
    given = {"resourceType": "MedicationAdministration", "subject": SUBJECT, "effectiveDateTime": "2020-01-01",
             "medicationCodeableConcept": {"text": "Heparin"}}  # fmt: skip
    dosage = {"dose": {"value": 5000, "unit": "[iU]"}}
    changed = loaded({**given, "dosage": {**dosage, "modifierExtension": NEGATED}})
    assert 5000 not in changed.events["numeric_value"].tolist()
    assert "a kind that is not read: 1 event" in said(changed)
    assert 5000 in loaded({**given, "dosage": dosage}).events["numeric_value"].tolist()


def test_the_results_of_a_withdrawn_report_are_withdrawn() -> None:
    report = {"resourceType": "DiagnosticReport", "subject": SUBJECT, "code": {"text": "Panel"},
              "effectiveDateTime": "2020-01-01", "contained": [dated(id="r", valueQuantity=VALUE)]}  # fmt: skip
    assert len(added(loaded({**report, "status": "final"}))) == 2
    for status in ("entered-in-error", "deleted", "wrong-patient"):
        assert added(loaded({**report, "status": status})) == []


@pytest.mark.parametrize(
    ("value", "text", "unit"),
    [
        ({"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}}, "1:128", None),
        ({"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 640, "comparator": ">"}}}, "1:>640", None),
        ({"valueRatio": {"numerator": {"value": 5, "unit": "mg"}, "denominator": {"value": 10, "unit": "mL"}}},
         "5 mg:10 mL", None),
        ({"valueRange": {"low": {"value": 1, "unit": "mg"}, "high": {"value": 5, "unit": "mg"}}}, "1-5", "mg"),
        ({"valueRange": {"high": {"value": 5, "unit": "mg"}}}, "<=5", "mg"),
        ({"valueRange": {"low": {"value": 5, "unit": "mg"}}}, ">=5", "mg"),
        ({"valueRange": {"low": {"value": 500, "unit": "mg"}, "high": {"value": 1, "unit": "g"}}}, "500 mg-1 g", None),
    ],
)  # fmt: skip
def test_ratios_and_ranges_keep_bounds_and_units(value: Resource, text: str, unit: str | None) -> None:
    row = loaded(dated(**value)).events.query("code == 'LOINC//718-7'").iloc[0]
    assert (row["text_value"], row["unit"]) == (text, unit)


def versions(*metas: Resource) -> list[Resource]:
    return [dated(id="o", valueQuantity={**VALUE, "value": n + 1}, meta=meta) for n, meta in enumerate(metas)]


@pytest.mark.parametrize("metas", [
    ({"versionId": "1"}, {"versionId": "2"}),
    ({"lastUpdated": "2020-01-02T10:00:00Z"}, {"lastUpdated": "2020-01-02T10:00:00-05:00"}),
])  # fmt: skip
def test_of_versions_in_one_bundle_the_newest_counts(metas: tuple[Resource, Resource]) -> None:
    for given in (versions(*metas), versions(*metas)[::-1]):
        timeline = loaded(*given)
        newest = given[0 if given[0]["meta"] == metas[1] else 1]["valueQuantity"]["value"]
        assert timeline.events.query("code == 'LOINC//718-7'")["numeric_value"].tolist() == [newest]
        assert "as replaced by a later version: 1 event" in said(timeline)


def test_copies_of_a_resource_count_once() -> None:
    twice = loaded(PATIENT, dated(id="o", valueQuantity=VALUE), dated(id="o", valueQuantity=VALUE))
    assert added(twice) == ["LOINC//718-7"]
    assert twice.events["code"].tolist().count("GENDER//F") == 1
    assert "as given more than once: 1 event" in said(twice)


def test_resources_that_only_share_an_id_are_all_kept() -> None:
    unranked = loaded(*versions({}, {}))
    assert added(unranked) == ["LOINC//718-7"] * 2
    assert "different values at the same time" in said(unranked)
    assert "different contents, all of which count: 1 FHIR id" in said(unranked)
    entries = [{"resource": PATIENT}, *({"fullUrl": f"http://{host}/fhir/Observation/o", "resource": item}
               for host, item in zip("ab", versions({"versionId": "1"}, {"versionId": "2"})))]  # fmt: skip
    events = load_timeline(("b.json", json.dumps({"resourceType": "Bundle", "entry": entries}).encode())).events
    assert events["numeric_value"].dropna().tolist() == [1.0, 2.0]


def held(birth: str) -> Resource:
    patient = {"resourceType": "Patient", "id": "own", "gender": "female", "birthDate": birth}
    return dated(valueQuantity=VALUE, subject={"reference": "#own"}, contained=[patient])


def test_contained_patients_are_one_only_where_all_that_is_told_of_them_is_the_same() -> None:
    events = load_timeline(bundle(held("1950-05-01"), held("1950-05-01"))).events
    assert sorted(events["code"].unique()) == ["GENDER//F", "LOINC//718-7", "MEDS_BIRTH"]
    with pytest.raises(UserFacingError, match="2 patients"):
        load_timeline(bundle(held("1950-05-01"), held("1960-05-01")))


@pytest.mark.parametrize("written", ["http://h|7", "http%3A%2F%2Fh%7C7"])
def test_a_conditional_reference_leads_to_the_patient_with_that_identifier(written: str) -> None:
    person = {**PATIENT, "identifier": [{"system": "http://h", "value": "7"}]}
    named = dated(valueQuantity=VALUE, subject={"reference": f"Patient?identifier={written}"})
    assert load_timeline(bundle(person, named, GLUCOSE)).subject_id == load_timeline(bundle(person, GLUCOSE)).subject_id
    other = dated(valueQuantity=VALUE, subject={"reference": f"Patient?identifier={written}8"})
    with pytest.raises(UserFacingError, match="2 patients"):
        load_timeline(bundle(person, other, GLUCOSE))


def test_a_patient_may_be_named_by_an_identifier() -> None:
    number = {"system": "http://h.org/numbers", "value": "Q77"}
    named = dated(valueQuantity=VALUE, subject={"identifier": number})
    assert "LOINC//718-7" in set(
        load_timeline(bundle({**PATIENT, "identifier": [number]}, named, GLUCOSE)).events["code"]
    )
    with pytest.raises(UserFacingError, match="2 patients"):
        load_timeline(bundle({**PATIENT, "identifier": [{**number, "value": "Q78"}]}, named, GLUCOSE))


@pytest.mark.parametrize(
    ("codings", "code"),
    [
        ([("urn:oid:1.2.3", "KREA"), (LOINC, "2160-0")], "LOINC//2160-0"),
        ([("urn:oid:1.2.3", "KREA")], "FHIR//KREA"),
        ([("http://snomed.info/sct", "70901006"), (LOINC, "2160-0")], "SNOMED//70901006"),
        ([("urn:oid:2.16.840.1.113883.6.1", "2160-0")], "LOINC//2160-0"),
        ([("urn:oid:2.16.840.1.113883.6.90", "I26.99")], "ICD10CM//I26.99"),
        ([("http://hl7.org/fhir/sid/icd-10-pcs", "B2000ZZ")], "ICD10PCS//B2000ZZ"),
        ([("http://www.cms.gov/Medicare/Coding/ICD10", "B2000ZZ")], "ICD10PCS//B2000ZZ"),
    ],
)
def test_the_coding_of_a_public_vocabulary_counts(codings: list[tuple[str, str]], code: str) -> None:
    concept = {"coding": [{"system": system, "code": text} for system, text in codings]}
    assert added(loaded(dated(code=concept))) == [code]


def test_a_procedure_is_not_described_as_a_diagnosis() -> None:
    assert "immunodeficiency" not in describe("ICD10PCS//B2000ZZ")


def test_the_list_of_files_and_empty_files_of_a_bulk_export_are_no_tables() -> None:
    manifest = {"transactionTime": "2021-01-01T00:00:00Z", "request": "http://h.org/$export", "output": []}
    files = [
        ("Patient.ndjson", json.dumps(PATIENT).encode()),
        ("Observation.ndjson", json.dumps(GLUCOSE).encode() + b"\n\n"),
        ("Procedure.ndjson", b""),
        ("manifest.json", json.dumps(manifest).encode()),
    ]
    timeline = load_timeline(files)
    assert timeline.events["code"].tolist() == ["GENDER//F", "LOINC//2345-7"]
    assert "2 files (1 .json, 1 .ndjson)" in said(timeline)


@pytest.mark.parametrize("name", ["notDone", "notGiven", "wasNotGiven"])
def test_what_did_not_happen_by_an_earlier_version_is_left_out(name: str) -> None:
    done = {"resourceType": "Procedure", "id": "x", "subject": SUBJECT, "status": "completed"}
    done |= {"performedDateTime": "2020-01-03", "code": {"text": "Lysis"}}
    assert added(loaded(done | {name: False})) == ["FHIR//Lysis"]
    timeline = loaded(done | {name: True})
    assert added(timeline) == []
    assert "refuted or not done: 1 event" in said(timeline)


def test_a_quantity_without_a_number_is_no_result() -> None:
    empty = {"resourceType": "Observation", "id": "x", "subject": SUBJECT, "status": "final"}
    empty |= {"effectiveDateTime": "2020-01-03", "code": {"text": "Mood"}}
    without = loaded(empty | {"valueQuantity": {"unit": "mg/dL"}})
    assert added(without) == []
    assert "Left out, without a result: 1 event" in said(without)
    for value in ({"valueQuantity": {"value": 0}}, {"valueCodeableConcept": {"text": "low"}}, {}):
        assert added(loaded(empty | value)) == ["FHIR//Mood"]
