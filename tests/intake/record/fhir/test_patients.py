"""FHIR: patients of several servers, or with other identifiers, are never merged; what the record lacks is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fhir_support import GLUCOSE, PATIENT, SUBJECT, Resource, bundle, dated, said

from core.errors import UserFacingError
from core.timeline import list_subjects, load_timeline

MRN = {"system": "urn:mrn", "value": "1"}
SECOND = dated(valueQuantity={"value": 9.0, "unit": "g/dL"})


def served(base: str, *resources: Resource) -> tuple[str, bytes]:
    """A bundle of one server, with full URLs."""
    entries = [{"fullUrl": f"{base}/{item['resourceType']}/{item.get('id', 'o')}", "resource": item}
               for item in resources]  # fmt: skip
    return f"{base[8:13]}.json", json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries}).encode()


A, B = "https://hospA.example/fhir", "https://hospB.example/fhir"
OTHERS = {
    "patients of two servers": [served(A, PATIENT, GLUCOSE), served(B, PATIENT, SECOND)],
    "the second server's patient is not here": [served(A, PATIENT, GLUCOSE), served(B, SECOND)],
    "no patient is here": [served(A, GLUCOSE), served(B, SECOND)],
    "an absolute reference to another server": [
        served(A, PATIENT, GLUCOSE, {**SECOND, "subject": {"reference": f"{B}/Patient/p"}})
    ],
    "inside a report": [
        served(A, PATIENT, GLUCOSE),
        served(B, {"resourceType": "DiagnosticReport", "code": {"text": "x"}, "subject": SUBJECT, "contained": [SECOND],
                   "issued": "2020-01-01"}),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_one_id_on_two_servers_is_two_patients(case: str) -> None:
    with pytest.raises(UserFacingError, match="2 patients"):
        load_timeline(OTHERS[case])
    assert len(list_subjects(OTHERS[case])) == 2


def test_one_server_however_it_is_referred_to_has_one_patient() -> None:
    named = {**SECOND, "subject": {"reference": "http://HOSPA.example/fhir/Patient/p/_history/2"}}
    for files in ([served(A, PATIENT, GLUCOSE, named)], [served(A, PATIENT, GLUCOSE), bundle(SECOND)]):
        assert sorted(load_timeline(files).events["code"]) == ["GENDER//F", "LOINC//2345-7", "LOINC//718-7"]


def two(first: dict[str, Any], second: dict[str, Any]) -> list[tuple[str, bytes]]:
    """The same id of one server twice, with other elements."""
    return [served(A, {**PATIENT, **first}, GLUCOSE), ("again.json", served(A, {**PATIENT, **second}, SECOND)[1])]


def test_one_id_with_two_identifiers_of_one_system_is_two_patients() -> None:
    with pytest.raises(UserFacingError, match="several patients") as refusal:
        load_timeline(two({"identifier": [MRN]}, {"identifier": [{**MRN, "value": "ZZ2"}]}))
    assert "ZZ2" not in str(refusal.value)
    third, visit = {**MRN, "value": "3"}, {"type": {"coding": [{"code": "VN"}]}}
    for others in ([{**MRN, "system": "urn:other"}], [MRN, third], [{**third, "use": "old"}], [third | visit]):
        assert len(load_timeline(two({"identifier": [MRN]}, {"identifier": others})).events)


def test_one_id_with_two_dates_of_birth_is_refused() -> None:
    with pytest.raises(UserFacingError, match="more than one date of birth"):
        load_timeline(two({"birthDate": "1950-01-02"}, {"birthDate": "1960-01-02"}))


OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}
WARNING = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "informational"}]}
SHORT = dated(valueQuantity={"value": 9.0}, meta={"tag": [{"code": "SUBSETTED"}]})
INCOMPLETE: dict[str, tuple[list[Resource], str]] = {
    "an error beside the matches": ([{"resource": OUTCOME}], "tells of 1 error"),
    "an answer of a batch": ([{"response": {"status": "404 Not Found", "outcome": OUTCOME}}], "tells of 1 error"),
    "an answer without its status": ([{"response": {"outcome": OUTCOME}}], "tells of 1 error"),
    "two answers": ([{"response": {"status": "500"}}, {"response": {"status": "403"}}], "tells of 2 errors"),
    "a summary": ([{"resource": SHORT}], "left out elements of 1 resource"),
}


def entered(*entries: Resource, kind: str) -> tuple[str, bytes]:
    """A bundle with a record and further entries."""
    held = [{"resource": PATIENT}, {"resource": GLUCOSE, "response": {"status": "200 OK"}}, *entries]
    return "bundle.json", json.dumps({"resourceType": "Bundle", "type": kind, "entry": held}).encode()


@pytest.mark.parametrize("kind", ["searchset", "batch-response"])
@pytest.mark.parametrize("case", INCOMPLETE)
def test_what_a_server_could_not_give_is_told(case: str, kind: str) -> None:
    entries, words = INCOMPLETE[case]
    notes = said(load_timeline(entered(*entries, kind=kind)))
    assert f"The record may be incomplete: the FHIR server {words}." in notes
    assert notes.count("may be incomplete") == 1


def test_warnings_of_a_server_are_no_errors() -> None:
    assert "incomplete" not in said(load_timeline(entered({"resource": WARNING}, kind="searchset")))


def test_errors_beside_a_bulk_export_are_told_and_the_rest_is_read() -> None:
    lines = {"Patient.ndjson": PATIENT, "Observation.ndjson": GLUCOSE, "error.ndjson": OUTCOME}
    files = [(name, json.dumps(item).encode() + b"\n") for name, item in lines.items()]
    timeline = load_timeline(files)
    assert timeline.events["code"].tolist() == ["GENDER//F", "LOINC//2345-7"]
    assert "may be incomplete: the FHIR server tells of 1 error." in said(timeline)
    with pytest.raises(UserFacingError, match="error message of a FHIR server"):
        load_timeline(files[2:])


def test_one_id_with_two_names_is_told() -> None:
    def name(given: str, family: str = "Smith") -> dict[str, Any]:
        return {"name": [{"family": family, "given": [given]}]}

    notes = said(load_timeline(two(name("Anna"), name("Berta"))))
    assert "more than one name or number of a person, so that events may be of several: 1 patient" in notes
    assert "Berta" not in notes
    for other in (name("ANNA"), {"name": [{"text": "Anna M. Smith"}]}, {}):
        assert "more than one name or number" not in said(load_timeline(two(name("Anna"), other)))


@pytest.mark.parametrize(
    ("first", "second"),
    [({"birthDate": "1950-01-02"}, {"birthDate": "1960-01-02"}), ({"identifier": [MRN]}, {"identifier": [
        {**MRN, "value": "2"}]}), ({"name": [{"family": "Smith"}]}, {"name": [{"family": "Jones"}]})],
)  # fmt: skip
def test_a_patient_whose_earlier_version_was_someone_else_is_told(first: Resource, second: Resource) -> None:
    older, newer = ({**PATIENT, "meta": {"versionId": number}} for number in "12")
    notes = said(load_timeline(two(older | first, newer | second)))
    assert "name or number of a person, so that events may be of several: 1 patient" in notes
    assert "may be of several" not in said(load_timeline(two(older | first, newer | first)))
