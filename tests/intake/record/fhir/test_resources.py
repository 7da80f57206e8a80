"""FHIR: every resource becomes an event, or is left out and counted; times, codes and values as they were recorded."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from fhir_support import (
    DRUG,
    ENCOUNTER,
    GLUCOSE,
    LOINC,
    PATIENT,
    SUBJECT,
    Resource,
    added,
    bundle,
    dated,
    loaded,
    observation,
    request,
    said,
)

from core.errors import UserFacingError
from core.records import Timeline
from core.timeline import load_timeline

VACCINE = {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "140"}]}
LATE = {
    "period end": [observation(effectivePeriod={"end": "2021-06-01T08:00:00Z"})],
    "period across the cut": [observation(effectivePeriod={"start": "2020-05-30T08:00Z", "end": "2020-06-02T08:00Z"})],
    "timing": [observation(effectiveTiming={"event": ["2020-01-01T08:00:00Z", "2021-06-01T08:00:00Z"]})],
    "encounter": [
        {**ENCOUNTER, "period": {"start": "2020-05-30T08:00:00Z", "end": "2021-06-09T08:00:00Z"}, "status": "planned"},
        observation(encounter={"reference": "Encounter/e"}),
    ],
    "encounter under way": [observation(encounter={"reference": "Encounter/e"})],
    "words": [
        {"resourceType": "Immunization", "patient": SUBJECT, "vaccineCode": VACCINE, "occurrenceString": "autumn 2021"}
    ],
    "nothing": [observation()],
}


@pytest.mark.parametrize("case", LATE)
def test_no_event_after_the_cut_is_taken_for_a_static_fact(case: str) -> None:
    timeline = loaded(*LATE[case], prediction_time="2020-06-01T00:00Z")
    assert added(timeline) == []
    assert "Left out, without a time: 1 event" in said(timeline) or timeline.later_event_count == 1


def test_an_end_and_an_encounters_end_date_an_event_and_say_so() -> None:
    visit = {**ENCOUNTER, "period": {"start": "2020-02-01T08:00:00Z", "end": "2020-02-05T08:00:00Z"}}
    timeline = loaded(
        visit,
        observation(effectivePeriod={"end": "2020-03-01T08:00:00Z"}),
        observation(encounter={"reference": "Encounter/e"}),
    )
    times = timeline.events.loc[timeline.events["code"] == "LOINC//718-7", "time"].tolist()
    assert times == [pd.Timestamp("2020-02-05T08:00"), pd.Timestamp("2020-03-01T08:00")]
    assert "end of the time that they took: 1 event" in said(timeline)
    assert "end of their encounter: 1 event" in said(timeline)


CUT = "2020-06-01T00:00:00Z"
EARLY, BEFORE, AFTER = "2020-03-01T08:00:00Z", "2020-03-02T08:00:00Z", "2020-06-02T08:00:00Z"
CONDITION = {"resourceType": "Condition", "subject": SUBJECT, "code": {"text": "Embolism"}}
REPORT = {"resourceType": "DiagnosticReport", "subject": SUBJECT, "code": {"text": "Blood count"}}
STATEMENT = {
    "resourceType": "MedicationStatement",
    "subject": SUBJECT,
    "medicationCodeableConcept": {"text": "Heparin"},
}
SHOT = {"resourceType": "Immunization", "patient": SUBJECT, "vaccineCode": VACCINE}
RECORDED: dict[str, tuple[Resource, str]] = {
    "condition": ({**CONDITION, "onsetDateTime": EARLY}, "recordedDate"),
    "condition over a period": ({**CONDITION, "onsetPeriod": {"start": EARLY}}, "recordedDate"),
    "observation": (observation(effectiveDateTime=EARLY), "issued"),
    "report": ({**REPORT, "effectiveDateTime": EARLY}, "issued"),
    "statement": ({**STATEMENT, "effectiveDateTime": EARLY}, "dateAsserted"),
    "immunization": ({**SHOT, "occurrenceDateTime": EARLY}, "recorded"),
}


@pytest.mark.parametrize("case", RECORDED)
def test_what_was_recorded_after_the_cut_was_not_known_at_it(case: str) -> None:
    resource, field = RECORDED[case]
    timeline = loaded({**resource, field: AFTER}, prediction_time=CUT)
    assert added(timeline) == []
    assert timeline.later_event_count == 1
    assert "not yet known at the prediction time" in said(timeline)
    assert "after it, or dated by a year or month that was not over, or a death" in said(timeline)
    same_day = loaded({**resource, field: "2020-06-02"}, prediction_time=CUT)
    assert added(same_day) == []


@pytest.mark.parametrize("case", RECORDED)
def test_what_was_recorded_before_the_cut_keeps_its_own_time(case: str) -> None:
    resource, field = RECORDED[case]
    for recorded in (BEFORE, "2020-02-01", "2020-03"):
        timeline = loaded({**resource, field: recorded}, prediction_time=CUT)
        assert timeline.events["time"].tolist()[-1] == pd.Timestamp("2020-03-01T08:00")
        assert timeline.later_event_count == 0
        assert "not yet known" not in said(timeline)


def test_results_inside_a_report_are_known_once_it_is_issued() -> None:
    result = {name: value for name, value in observation(effectiveDateTime=EARLY).items() if name != "subject"}
    report = {**REPORT, "effectiveDateTime": EARLY, "issued": AFTER, "contained": [result]}
    timeline = loaded(report, prediction_time=CUT)
    assert added(timeline) == []
    assert timeline.later_event_count == 2


def test_without_a_prediction_time_the_last_recording_counts_and_is_said() -> None:
    timeline = loaded({**CONDITION, "onsetDateTime": EARLY, "recordedDate": AFTER})
    assert timeline.prediction_time == pd.Timestamp("2020-06-02T08:00")
    assert added(timeline) == ["FHIR//Embolism"]
    assert "the time at which the last event was known was taken" in said(timeline)
    wrong = loaded({**CONDITION, "onsetDateTime": EARLY, "recordedDate": "2098-01-01"})
    assert wrong.prediction_time == pd.Timestamp("2020-03-01T08:00")
    assert added(wrong) == []


PARTIAL = {
    "a year that is not over": ("2020", []),
    "a month that is not over": ("2020-06", []),
    "a month that is over": ("2020-05", ["2020-05-01"]),
    "a year that is over": ("2019", ["2019-01-01"]),
    "December": ("2019-12", ["2019-12-01"]),
    "a later year": ("2021", []),
}


@pytest.mark.parametrize("case", PARTIAL)
def test_a_year_or_a_month_counts_once_it_is_over(case: str) -> None:
    given, times = PARTIAL[case]
    timeline = loaded({**CONDITION, "onsetDateTime": given}, prediction_time=CUT)
    found = timeline.events.loc[timeline.events["code"] == "FHIR//Embolism", "time"]
    assert found.tolist() == [pd.Timestamp(time) for time in times]
    assert timeline.later_event_count == 1 - len(times)
    assert "Given as a year or month only, counted from its first day" in said(timeline)


def test_a_year_recorded_within_it_was_known_then() -> None:
    known = {**CONDITION, "onsetDateTime": "2020", "recordedDate": BEFORE}
    assert added(loaded(known, prediction_time=CUT)) == ["FHIR//Embolism"]
    assert added(loaded({**known, "recordedDate": "2020"}, prediction_time=CUT)) == []


def test_a_death_known_by_its_year_is_no_news_before_that_year_is_over() -> None:
    person = {**PATIENT, "deceasedDateTime": "2020", "birthDate": "1950"}
    timeline = load_timeline(bundle(person, GLUCOSE), prediction_time=CUT)
    assert "MEDS_DEATH" not in timeline.events["code"].tolist()
    assert timeline.later_event_count == 1
    late = load_timeline(bundle(person, GLUCOSE), prediction_time="2021-01-01")
    assert "MEDS_DEATH" in late.events["code"].tolist()


def test_a_birth_known_by_its_year_is_never_cut() -> None:
    timeline = load_timeline(bundle({**PATIENT, "birthDate": "2020"}, GLUCOSE), prediction_time=CUT)
    assert "MEDS_BIRTH" in timeline.events["code"].tolist()


def test_references_lead_from_file_to_file() -> None:
    """Bulk exports hold one kind of resource a file."""
    by_reference = {"medicationReference": {"reference": "Medication/m9"}}
    given = {"resourceType": "MedicationAdministration", "subject": SUBJECT, "effectivePeriod": {"start": "2020-01-03"}}
    kinds = [PATIENT, DRUG, request(**by_reference), {**given, **by_reference}]
    files = [(f"{kind['resourceType']}.ndjson", json.dumps(kind).encode()) for kind in kinds]
    assert added(load_timeline(files)) == ["RxNorm//5224", "RxNorm//5224"]


CODES: dict[str, tuple[Resource, str]] = {
    "words of an observation": (dated(code={"text": "Haemoglobin"}), "FHIR//Haemoglobin"),
    "words of a condition": (
        {"resourceType": "Condition", "subject": SUBJECT, "code": {"text": "Embolism"}, "onsetDateTime": "2020-01-01"},
        "FHIR//Embolism",
    ),
    "words of a component": (dated(code={}, component=[{"code": {"text": "Systolic"}}]), "FHIR//Systolic"),
    "second coding": (dated(code={"coding": [{"display": "Hb"}, {"system": LOINC, "code": "718-7"}]}), "LOINC//718-7"),
    "unresolved drug": (request(medicationReference={"reference": "Medication/x", "display": "Heparin"}),
        "FHIR//Heparin"),
    "list of classes": (
        {**ENCOUNTER, "class": [{"coding": [{"code": "EMER"}]}], "period": {"start": "2020-01-01"}}, "VISIT//ED"),
}  # fmt: skip


@pytest.mark.parametrize("case", CODES)
def test_what_is_coded_elsewhere_or_in_words_is_kept(case: str) -> None:
    resource, code = CODES[case]
    assert added(loaded(resource)) == [code]


VALUES: dict[str, tuple[Resource, str, str | None]] = {
    "code": ({"valueCodeableConcept": {"coding": [{"code": "10828004"}]}}, "10828004", None),
    "ratio": ({"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}}, "1:128", None),
    "range": ({"valueRange": {"low": {"value": 2, "unit": "mg"}, "high": {"value": 4}}}, "2-4", "mg"),
    "period": ({"valuePeriod": {"start": "2019-01-01", "end": "2019-02-01"}}, "2019-01-01/2019-02-01", None),
    "sampled": ({"valueSampledData": {"data": "1 2 E"}}, "1 2 E", None),
    "truth": ({"valueBoolean": True}, "true", None),
}


@pytest.mark.parametrize("case", VALUES)
def test_values_that_are_no_number_stay_as_text(case: str) -> None:
    fields, text, unit = VALUES[case]
    row = loaded(dated(**fields)).events.set_index("code").loc["LOINC//718-7"]
    assert (row["text_value"], row["unit"]) == (text, unit)
    assert pd.isna(row["numeric_value"])


DOSES: dict[str, tuple[Resource, float, str]] = {
    "dose": ({"dose": {"value": 5000, "unit": "[iU]"}}, 5000, "[iU]"),
    "rate": ({"rateQuantity": {"value": 18, "unit": "[iU]/kg/h"}}, 18, "[iU]/kg/h"),
    "dose and rate": ({"dose": {"value": 80, "code": "mg"}, "rateQuantity": {"value": 4, "unit": "mg/h"}}, 80, "mg"),
}


@pytest.mark.parametrize("case", DOSES)
@pytest.mark.parametrize(
    "drug", [{"medicationCodeableConcept": {"text": "Heparin"}}, {"medicationReference": {"display": "Heparin"}}]
)
def test_how_much_was_given_is_the_value(case: str, drug: Resource) -> None:
    dosage, number, unit = DOSES[case]
    given = {"resourceType": "MedicationAdministration", "subject": SUBJECT, "effectiveDateTime": EARLY}
    row = loaded({**given, **drug, "dosage": dosage}).events.set_index("code").loc["FHIR//Heparin"]
    assert (row["numeric_value"], row["unit"], row["text_value"]) == (number, unit, None)


def test_the_unit_one_is_a_unit() -> None:
    for number in (2.5, 3):
        timeline = loaded(dated(valueQuantity={"value": number, "unit": "1", "code": "1"}))
        assert timeline.events["unit"].tolist()[-1] == "1"


DROPPED: dict[str, tuple[Resource, str]] = {
    "error": (dated(status="entered-in-error"), "entered in error"),
    "kind": ({"resourceType": "AllergyIntolerance", "patient": SUBJECT}, "not read (AllergyIntolerance): 1 event"),
    "draft": (request(status="draft", medicationCodeableConcept={"text": "Heparin"}), "planned or proposed"),
    "proposal": (request(intent="proposal", medicationCodeableConcept={"text": "Heparin"}), "planned or proposed"),
    "planned": ({**ENCOUNTER, "status": "planned", "period": {"start": "2020-02-01"}}, "planned or proposed"),
    "drug": (request(medicationReference={"reference": "Medication/none"}), "the medication it refers to"),
    "code": (dated(code={}), "without a code"),
    "death": ({"resourceType": "Patient", "id": "p", "deceasedBoolean": True}, "a death without a time"),
}


@pytest.mark.parametrize("case", DROPPED)
def test_what_is_left_out_is_counted(case: str) -> None:
    resource, words = DROPPED[case]
    timeline = loaded(resource)
    assert added(timeline) == []
    assert words in said(timeline)


def test_a_value_of_another_kind_is_said() -> None:
    assert "not read: 1 event" in said(loaded(dated(valueAttachment={"title": "scan"})))


def test_left_out_resources_of_another_patient_are_not_counted() -> None:
    other = dated(status="entered-in-error", subject={"reference": "Patient/someone-else"})
    assert "Left out" not in said(loaded(other))


def test_results_inside_a_report_are_read() -> None:
    result = {name: value for name, value in dated().items() if name != "subject"}
    report = {"resourceType": "DiagnosticReport", "subject": SUBJECT, "effectiveDateTime": "2020-01-01T08:00:00Z"}
    timeline = loaded({**report, "code": {"text": "Blood count"}, "contained": [result]})
    assert sorted(added(timeline)) == ["FHIR//Blood count", "LOINC//718-7"]


@pytest.mark.parametrize("own_id", [{}, {"id": "p"}])
def test_references_may_lead_to_the_full_url_of_an_entry(own_id: Resource) -> None:
    patient = {"resourceType": "Patient", "gender": "female", **own_id}
    entries = [
        {"fullUrl": "urn:uuid:aaaa", "resource": patient},
        {"fullUrl": "urn:uuid:bbbb", "resource": {**GLUCOSE, "subject": {"reference": "urn:uuid:aaaa"}}},
    ]
    data = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()
    assert load_timeline(("bundle.json", data)).events["code"].tolist() == ["GENDER//F", "LOINC//2345-7"]


def test_a_name_of_two_patients_is_never_resolved() -> None:
    entries = [
        {"fullUrl": "http://one/Patient/a", "resource": {**PATIENT, "id": "p"}},
        {"fullUrl": "http://two/Patient/a", "resource": {**PATIENT, "id": "q"}},
        {"resource": {**GLUCOSE, "subject": {"reference": "Patient/a"}}},
    ]
    data = json.dumps({"resourceType": "Bundle", "entry": entries}).encode()
    with pytest.raises(UserFacingError, match="3 patients"):
        load_timeline(("bundle.json", data))


def test_rows_among_resources_are_refused() -> None:
    flat = {"subject_id": "p", "time": "2020-01-05", "code": "B"}
    data = "\n".join(json.dumps(item) for item in (PATIENT, GLUCOSE, flat)).encode()
    with pytest.raises(UserFacingError, match="other rows: 1"):
        load_timeline(("mixed.ndjson", data))


def page(number: int, count: int, *, following: bool, total: int | None = None, first: int = 0) -> tuple[str, bytes]:
    """A page of a search for observations, with links and an included patient that the total does not count."""
    entries = [{"resource": PATIENT, "search": {"mode": "include"}}]
    entries += [{"resource": dated(id=f"o{first + n}"), "search": {"mode": "match"}} for n in range(count)]
    links = [{"relation": "self", "url": f"http://x?page={number}"}]
    links += [{"relation": "next", "url": f"http://x?page={number + 1}"}] if following else []
    whole = {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}
    return f"{number}.json", json.dumps(whole if total is None else {**whole, "total": total}).encode()


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ([page(1, 3, following=True)], "not here, of a FHIR search: 1 further page"),
        (
            [page(1, 3, following=True), page(2, 2, following=True, first=3)],
            "not here, of a FHIR search: 1 further page",
        ),
        ([page(1, 3, following=False, total=300)], "found 300 resources, of which 3 are here"),
        ([page(1, 3, following=True, total=5), page(2, 1, following=False, total=5)], "found 5 resources, of which 4"),
        ([page(1, 3, following=True), page(2, 2, following=False, first=3)], ""),
        ([page(1, 3, following=True, total=5), page(7, 2, following=False, total=5, first=3)], ""),
        ([page(1, 3, following=False, total=3)], ""),
    ],
    ids=["next", "next-of-two", "total", "total-of-two", "two-linked", "two-by-total", "whole"],
)
def test_a_page_of_a_larger_search_is_not_taken_for_the_whole_record(
    pages: list[tuple[str, bytes]], words: str
) -> None:
    notes = said(load_timeline(pages))
    assert words in notes
    assert ("incomplete" in notes) == bool(words)


def versions(*entries: dict[str, Any]) -> Timeline:
    first = [{"resource": PATIENT}, {"resource": {**GLUCOSE, "id": "glucose"}}]
    history = {"resourceType": "Bundle", "type": "history", "entry": [*first, *entries]}
    return load_timeline(("history.json", json.dumps(history).encode()))


def version(value: float, **meta: str) -> dict[str, Any]:
    return {"resource": dated(id="o1", meta=meta, valueQuantity={"value": value}), "request": {"method": "PUT"}}


DELETED = {"request": {"method": "DELETE", "url": "Observation/o1"}, "fullUrl": "http://x/Observation/o1"}


@pytest.mark.parametrize(
    ("entries", "value"),
    [
        ([version(1, versionId="2"), version(2, versionId="10")], 2),
        ([version(1, versionId="b", lastUpdated="2020-02-01T00:00:00+02:00"),
          version(2, versionId="a", lastUpdated="2020-01-31T23:00:00Z")], 2),
        ([version(1), version(2)], 1),
        ([{**DELETED, "response": {"etag": 'W/"1"'}}, version(1, versionId="2")], 1),
    ],
    ids=["numbers", "times", "the-newest-first", "created-again"],
)  # fmt: skip
def test_only_the_newest_version_of_a_history_counts(entries: list[dict[str, Any]], value: float) -> None:
    timeline = versions(*entries)
    numbers = timeline.events.loc[timeline.events["code"] == "LOINC//718-7", "numeric_value"]
    assert numbers.tolist() == [value]
    replaced = "Left out, as replaced by a later version: 1 event." in timeline.notes
    assert replaced == all("resource" in entry for entry in entries)


@pytest.mark.parametrize(
    "entries",
    [
        [version(1, versionId="1"), version(2, versionId="2"), DELETED],
        [version(2, versionId="2"), {**DELETED, "response": {"etag": 'W/"3"'}}, version(1, versionId="1")],
    ],
    ids=["unnumbered", "numbered"],
)
def test_what_was_deleted_is_no_event(entries: list[dict[str, Any]]) -> None:
    timeline = versions(*entries)
    assert added(timeline) == []
    assert "Left out, as deleted later: 2 events." in timeline.notes


@pytest.mark.parametrize(("dosage", "is_said"), [({}, False), ({"dosage": {"rateQuantity": [5]}}, True)])
def test_a_medicine_without_a_dose_has_no_value_that_is_not_read(dosage: dict[str, Any], is_said: bool) -> None:
    given = {"resourceType": "MedicationAdministration", "subject": SUBJECT, "effectiveDateTime": EARLY}
    timeline = loaded(given | {"medicationCodeableConcept": {"text": "Heparin"}} | dosage)
    assert any("a value of a kind that is not read" in note for note in timeline.notes) == is_said


def test_events_without_a_time_are_told_apart_where_dates_are_counted() -> None:
    """The sex is an event of the record, and has no time: the counts of page and note differ by it."""
    timeline = load_timeline(bundle({**PATIENT, "birthDate": "1950-01-02"}, GLUCOSE))
    note = "A date without a time of day counts from 00:00 that day: {}"
    assert len(timeline.events) == 3
    assert note.format("1 of the 2 events that have a time.") in timeline.notes
    unknown = load_timeline(bundle({"resourceType": "Patient", "id": "p", "birthDate": "1950-01-02"}, GLUCOSE))
    assert note.format("1 of 2 events.") in unknown.notes
