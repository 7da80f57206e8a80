"""FHIR that breaks its own rules: what contradicts itself or has the wrong type is told, and never read as valid."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pandas as pd
import pytest
from fhir_support import ENCOUNTER, GLUCOSE, PATIENT, SUBJECT, Resource, added, bundle, dated, loaded, observation, said

from core.errors import UserFacingError
from core.intake.record.column_questions import suggest_mapping
from core.timeline import list_subjects, load_timeline

VALUE = {"value": 7.5, "unit": "g/dL"}
REASON = {"dataAbsentReason": {"coding": [{"code": "error"}]}}


def value_of(*resources: Resource) -> tuple[float | None, str | None, str]:
    """(number, text, notes) of the one event with the code of `dated`."""
    timeline = loaded(*resources)
    row = timeline.events.query("code == 'LOINC//718-7'").iloc[0]
    number = None if pd.isna(row["numeric_value"]) else float(row["numeric_value"])
    return number, row["text_value"], said(timeline)


@pytest.mark.parametrize(
    ("given", "kept"),
    [({"valueQuantity": VALUE}, None), ({"valueInteger": 7}, None), ({"valueRange": {"low": VALUE}}, None),
     ({"valueQuantity": VALUE, "valueString": "clotted"}, "clotted")],
)  # fmt: skip
def test_an_amount_beside_a_reason_for_none_is_not_read(given: dict[str, Any], kept: str | None) -> None:
    number, text, notes = value_of(dated(**given, **REASON))
    assert (number, text) == (None, kept)
    assert "beside a reason why there is no value, of which the amount is not read: 1 event" in notes
    assert value_of(dated(valueString="clotted", **REASON))[:2] == (None, "clotted")


def test_a_component_may_state_a_reason_beside_its_amount_too() -> None:
    part = {"code": dated()["code"], "valueQuantity": VALUE, **REASON}
    number, _, notes = value_of(dated(code={"text": "panel"}, component=[part]))
    assert number is None
    assert "why there is no value" in notes


@pytest.mark.parametrize("sign", ["<", ">"])
def test_a_number_off_the_scale_is_a_bound(sign: str) -> None:
    coded = {"coding": [{"code": sign}]}
    for given in ([coded], coded, [{"text": sign}], [{"coding": [{"code": "N"}]}, coded]):
        assert value_of(dated(valueQuantity=VALUE, interpretation=given))[:2] == (None, f"{sign}7.5")
    assert value_of(dated(valueQuantity=VALUE, interpretation=[{"coding": [{"code": "L"}]}]))[:2] == (7.5, None)


@pytest.mark.parametrize("odd", [True, {"a": 1}, [7.5]])
def test_a_number_of_the_wrong_type_is_told(odd: Any) -> None:
    for given in ({"valueQuantity": {"value": odd}}, {"valueInteger": odd}):
        number, _, notes = value_of(dated(**given))
        assert number is None
        assert "With a value of a kind that is not read: 1 event" in notes


REVERSED = [
    ("2020-01-03T00:00:00Z", "2020-01-01T00:00:00Z", "2020-01-03"),
    ("2020-01-03", "2020-01-01", "2020-01-03"),
    ("2020-01-03T01:00:00+01:00", "2020-01-02T23:59:59Z", "2020-01-03"),
]


@pytest.mark.parametrize(("start", "end", "time"), REVERSED)
def test_a_start_after_its_end_is_told_and_the_later_counts(start: str, end: str, time: str) -> None:
    period = {"start": start, "end": end}
    for resource in (observation(effectivePeriod=period), {**ENCOUNTER, "period": period}):
        timeline = loaded(resource)
        assert timeline.events["time"].max() == pd.Timestamp(time)
        assert "start after their end, counted from the later of the two: 1 event" in said(timeline)
        assert "end of the time that they took" not in said(timeline)
    later = loaded({**ENCOUNTER, "period": period}, observation(encounter={"reference": "Encounter/e"}))
    assert later.events.query("code == 'LOINC//718-7'")["time"].tolist() == [pd.Timestamp(time)]


def test_of_two_times_the_later_counts_and_is_told() -> None:
    twice = loaded(observation(effectiveDateTime="2020-01-01", effectiveInstant="2020-01-04T00:00:00Z"))
    assert twice.events["time"].max() == pd.Timestamp("2020-01-04")
    assert "two times in place of one, counted from the later: 1 event" in said(twice)
    same = loaded(observation(effectiveDateTime="2020-01-01", effectivePeriod={"end": "2020-01-01"}))
    assert "two times" not in said(same)


def test_what_was_measured_at_several_times_is_known_at_the_last() -> None:
    timeline = loaded(observation(effectiveTiming={"event": ["2020-01-03", "2020-01-01"]}))
    assert timeline.events["time"].max() == pd.Timestamp("2020-01-03")
    assert "end of the time that they took: 1 event" in said(timeline)


def test_a_condition_that_ended_before_it_began_is_told() -> None:
    condition = {"resourceType": "Condition", "subject": SUBJECT, "code": {"text": "Embolism"}}
    dates = {"onsetDateTime": "2020-01-03", "abatementDateTime": "2020-01-01"}
    assert "start after their end, counted from the later of the two: 1 event" in said(loaded({**condition, **dates}))
    dates = {"onsetDateTime": "2020-01-01", "abatementDateTime": "2020-01-03"}
    assert "start after their end" not in said(loaded({**condition, **dates}))


def test_a_day_that_holds_the_start_is_no_end_before_it() -> None:
    period = {"start": "2020-01-03T08:00:00Z", "end": "2020-01-03"}
    assert "start after their end" not in said(loaded(observation(effectivePeriod=period)))


def test_true_as_text_is_true() -> None:
    died = load_timeline(bundle({**PATIENT, "deceasedBoolean": "true"}, GLUCOSE))
    assert "Left out, a death without a time: 1 event" in said(died)
    refused = loaded(dated(doNotPerform="True"))
    assert added(refused) == []
    assert added(loaded(dated(doNotPerform="false"))) == ["LOINC//718-7"]


def test_an_error_file_is_not_what_is_asked_about() -> None:
    outcome = b'{"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}'
    assert not suggest_mapping([("a.json", outcome), bundle(PATIENT, GLUCOSE)]).is_needed


@pytest.mark.parametrize(
    "status", ["entered in error", "Entered In Error", " entered-in-error ", "Cancelled", "canceled"]
)
def test_a_status_in_words_takes_an_event_back(status: str) -> None:
    timeline = loaded(dated(valueQuantity=VALUE, status=status))
    assert added(timeline) == []
    assert "refuted or not done: 1 event" in said(timeline)


def test_spaces_around_a_code_are_no_part_of_it() -> None:
    loinc = {"coding": [{"system": " http://loinc.org ", "code": " 718-7 "}]}
    assert added(loaded(dated(code=loinc))) == ["LOINC//718-7"]
    assert added(loaded(dated(code={"coding": [{"code": " "}], "text": "Hb"}))) == ["FHIR//Hb"]
    period = {"start": "2020-01-01T08:00:00Z"}
    assert added(loaded({**ENCOUNTER, "class": {"code": " EMER"}, "period": period})) == ["VISIT//ED"]


def test_values_without_a_code_are_counted() -> None:
    coded = {"code": {"text": "systolic"}, "valueQuantity": VALUE}
    timeline = loaded(dated(code={"text": "panel"}, component=[{"valueQuantity": VALUE}, coded]))
    assert added(timeline) == ["FHIR//panel", "FHIR//systolic"]
    assert "Left out, without a code: 1 event" in said(timeline)
    own = loaded(dated(code=None, valueQuantity=VALUE, component=[coded]))
    assert "Left out, without a code: 1 event" in said(own)
    grouped = loaded(dated(code=None, component=[coded]))
    assert "without a code" not in said(grouped)
    assert "Left out, without a code: 1 event" in said(loaded(dated(code=None, valueQuantity=VALUE)))


@pytest.mark.parametrize("kind", ["collection", "searchset", "history"])
def test_a_resource_without_its_type_is_counted(kind: str) -> None:
    untyped = {name: value for name, value in dated().items() if name != "resourceType"}
    entries = [{"resource": item} for item in (PATIENT, GLUCOSE, untyped, "text")]
    data = json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}).encode()
    timeline = load_timeline(("bundle.json", data))
    assert timeline.events["code"].tolist() == ["GENDER//F", "LOINC//2345-7"]
    assert "Left out, without the type of resource that it is: 2 events" in said(timeline)


NAMELESS = [None, {"type": "Patient", "display": "ZZMARK"}, {}]


@pytest.mark.parametrize("subject", NAMELESS)
def test_an_event_that_names_no_patient_is_none_of_another(subject: Any) -> None:
    with pytest.raises(UserFacingError, match="Naming no patient: 1 event"):
        loaded(dated(subject=subject))
    with pytest.raises(UserFacingError, match="Naming no patient: 1 event"):
        list_subjects(bundle(PATIENT, GLUCOSE, dated(subject=subject)))
    assert added(load_timeline(bundle(dated(subject=subject)))) == ["LOINC//718-7"]


def test_what_is_left_out_and_names_no_patient_refuses_nothing() -> None:
    void = dated(subject=None, status="cancelled")
    assert "refuted or not done: 1 event" in said(loaded(void))
    files = bundle(PATIENT, GLUCOSE, {**GLUCOSE, "subject": {"reference": "Patient/q"}}, void)
    number = int(list_subjects(files)["subject_id"].iloc[0])
    assert "naming no patient and as entered in error" in said(load_timeline(files, subject_id=number))


def test_only_real_types_of_resources_are_named() -> None:
    notes = said(
        loaded({"resourceType": "ZZMARKSmith", "subject": SUBJECT}, {"resourceType": "Goal", "subject": SUBJECT})
    )
    assert "ZZMARK" not in notes
    assert "of a kind that is not read (unknown): 1 event" in notes
    assert "of a kind that is not read (Goal): 1 event" in notes


def test_an_appointment_is_counted_for_the_patient_who_takes_part() -> None:
    meeting = {"resourceType": "Appointment", "start": "2031-02-01T10:00:00Z", "participant": [
        {"actor": {"reference": "Practitioner/x"}}, {"actor": SUBJECT}]}  # fmt: skip
    files = bundle({**PATIENT, "id": "1"}, {**GLUCOSE, "subject": {"reference": "Patient/1"}},
                   {**GLUCOSE, "subject": {"reference": "Patient/2"}},
                   {**meeting, "participant": [{"actor": {"reference": "Patient/2"}}]})  # fmt: skip
    assert "not read (Appointment): 1 event" in said(loaded(meeting))
    assert "Appointment" in said(load_timeline(files, subject_id=2))
    assert "Appointment" not in said(load_timeline(files, subject_id=1))


@pytest.mark.parametrize("code", [[], {}, ["MR"], {"value": "VN"}])
def test_a_code_that_is_no_text_is_none(code: object) -> None:
    coding = {"coding": [{"code": code}]}
    numbered = {**PATIENT, "identifier": [{"type": coding, "system": "urn:a", "value": "1"}]}
    taken = {"resourceType": "MedicationStatement", "subject": SUBJECT, "adherence": {"code": coding}}
    taken |= {"medicationCodeableConcept": {"text": "Aspirin"}, "effectiveDateTime": "2020-01-02"}
    source = bundle(numbered, GLUCOSE, taken)
    assert "LOINC//2345-7" in load_timeline(source).events["code"].tolist()
    assert len(list_subjects(source)) == 1


def test_an_id_that_is_no_text_is_never_a_crash() -> None:
    ids = (([1], "a"), ("1", "b"))
    entries = [{"resource": {**PATIENT, "id": own}, "fullUrl": f"http://{server}/Patient/1"} for own, server in ids]
    source = ("b.json", json.dumps({"resourceType": "Bundle", "entry": [*entries, {"resource": GLUCOSE}]}).encode())
    for read in (load_timeline, list_subjects):
        with contextlib.suppress(UserFacingError):
            assert len(read(source).events if read is load_timeline else read(source))  # type: ignore[union-attr]
