"""FHIR R4 resources as rows of coded events (https://hl7.org/fhir/R4): what was coded, when, with which value.

Read: Patient, Condition, Observation (components too), Encounter, Procedure, MedicationRequest, -Administration and
-Statement, Immunization, DiagnosticReport, ImagingStudy. Bills, provenance and people carry no events of their own.
What is left out becomes a row that says why, so that it is counted for its patient. An event that was recorded later
than it happened is known from then on; what is dated by a year or a month alone, from its end on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from core.events.death import EXPIRED_ON_BILLS
from core.intake.record.fhir.bundles import UNTYPED, failures, is_fhir, missing_pages, taken_apart
from core.intake.record.fhir.codes import coded, drug_of, uncoded
from core.intake.record.fhir.datatypes import (
    Resource,
    Row,
    as_dict,
    as_list,
    code_of,
    is_after,
    is_reversed,
    is_true,
    known_by,
    last_part,
    moments,
    value_of,
    whole_date,
)
from core.intake.record.fhir.focus import Index, index_of, is_own_focus
from core.intake.record.fhir.patients import doubt_people, person_of, told_apart
from core.intake.record.fhir.reports import FROM_REPORT, time_of_report, told_by_reports
from core.intake.record.fhir.resource_types import NO_EVENTS, unread_kind
from core.intake.record.fhir.status import (
    MODIFIED,
    is_modified,
    is_unconfirmed,
    is_unsound,
    is_void,
    names_patient,
    why_no_drug,
    why_no_part,
    why_not,
)
from core.records import BIRTH
from core.wording import count_of

FHIR_FIELDS = ("subject_id", "time", "known_from", "code", "numeric_value", "text_value", "unit", "description",
               "table", "remarks", "left_out")  # fmt: skip

_NAMELESS = "patient"
"""The id of a patient without one, and of the only patient of a record that names none."""
_TIMES: Mapping[str, Sequence[str]] = {
    "Condition": ("onsetDateTime", "onsetPeriod", "recordedDate"),
    "Observation": ("effectiveDateTime", "effectivePeriod", "effectiveInstant", "effectiveTiming", "issued"),
    "Encounter": ("period", "actualPeriod"),
    "Procedure": ("performedDateTime", "performedPeriod", "occurrenceDateTime", "occurrencePeriod"),
    "MedicationRequest": ("authoredOn",),
    "MedicationAdministration": ("effectiveDateTime", "effectivePeriod", "occurenceDateTime", "occurencePeriod"),
    "MedicationStatement": ("effectiveDateTime", "effectivePeriod", "dateAsserted"),
    "Immunization": ("occurrenceDateTime",),
    "DiagnosticReport": ("effectiveDateTime", "effectivePeriod", "issued"),
    "ImagingStudy": ("started",),
}
_DIED = EXPIRED_ON_BILLS | {"exp", "371828006"}
"""Codes of discharge dispositions that say that the patient died: of American bills, of HL7, of SNOMED."""
_RECORDED = ("recordedDate", "recorded", "issued", "dateAsserted")
"""When a resource of whatever kind came into the record; `meta.lastUpdated` only says when a server copied it."""
_CHOICE = re.compile("(?<=.)(?:DateTime|Period|Instant|Timing)$")
"""How the name of an element ends of which a resource has one type at most."""
_KNOWN_AT_END = frozenset(("Observation", "DiagnosticReport"))
"""What is measured over a period is known at its end."""


def fhir_rows(items: Iterable[Resource], notes: list[str]) -> list[Row]:
    """Rows (`FHIR_FIELDS`) of the bundles and resources of a whole source: references lead from file to file.

    notes: what bundles say is not here, and what is in doubt of the patients, is added. Raises UserFacingError where
    one id is that of several patients.
    """
    contents = taken_apart(items)
    notes += [*missing_pages(contents.bundles), *failures(contents)]
    resources = told_apart(contents.resources)
    doubt_people(resources, [item for item, _ in contents.outdated], notes)
    unsound = [item for _, item in resources if is_unsound(item)]
    resources = told_by_reports(resources, unsound)
    found = [pair for url, item in resources for pair in _with_contained(url, item)]
    known = _Known(
        _patients(found),
        _by_identifier(found),
        _by_id(found, "Medication"),
        _by_id(found, "Encounter"),
        index_of(found),
    )
    rows = [row for url, item in found for row in _rows_of(url, item, known)]
    outdated = [pair for pair in contents.outdated if pair[1] == UNTYPED or pair[0]["resourceType"] in _TIMES]
    rows += [_left_out(known.subject(item), reason) for item, reason in outdated]
    return _of_patients(rows, notes)


@dataclass(frozen=True, eq=False)
class _Known:
    """What references lead to. patients: last part of a reference -> the patient's id. numbers: a patient's identifier
    -> the patient's id."""

    patients: Mapping[str, str]
    numbers: Mapping[str, str]
    drugs: Mapping[str, Resource]
    encounters: Mapping[str, Resource]
    all: Index

    def has_own_focus(self, resource: Resource) -> bool:
        """Whether what a resource is about is its patient's own."""
        return is_own_focus(resource, self.subject, self.all)

    def subject(self, resource: Resource) -> str:
        """The patient whom a resource names, or beside whose record it stands where it is of something else; "" where
        it names none."""
        if not names_patient(resource) and len(everyone := set(self.patients.values())) == 1:
            return everyone.pop()
        person = person_of(resource)
        if number := _identifier_of(person):
            return self.numbers.get(number, number)
        named = last_part(person.get("reference"))
        return self.patients.get(named, named)


def _with_contained(url: str, resource: Resource) -> Iterator[tuple[str, Resource]]:
    yield url, resource
    for part in _contained(resource):
        yield from _with_contained("", part)


def _contained(item: Resource) -> Iterator[Resource]:
    """Events inside another resource, such as the results of a report; they are of its patient, came with it, and are
    withdrawn with it."""
    own = {"status": item.get("status")} if is_void(item) else {}
    for part in as_list(item.get("contained")):
        if is_fhir(part) and part["resourceType"] in _TIMES:
            person = {"subject": item.get("subject") or item.get("patient"), "issued": item.get("issued")}
            yield {**person, **time_of_report(item, part), **part, **own}


def _identifier_of(person: Resource) -> str:
    """The system|value by which a reference names a patient: R4 conditional (http.html#trules) and logical ones
    (references.html#logical)."""
    reference = str(person.get("reference") or "")
    if reference.startswith("Patient?"):
        return "".join(parse_qs(reference.partition("?")[2]).get("identifier", [])[:1])
    return "" if reference else _number_of(person.get("identifier"))


def _number_of(identifier: Any) -> str:
    given = as_dict(identifier)
    return f"{given.get('system') or ''}|{given['value']}" if given.get("value") else ""


def _by_identifier(found: Sequence[tuple[str, Resource]]) -> dict[str, str]:
    """Patients by their identifiers; one that several have is left out."""
    people = [(url, item) for url, item in found if item["resourceType"] == "Patient"]
    pairs = {(_number_of(n), _patient_id(url, item)) for url, item in people for n in as_list(item.get("identifier"))}
    counts = Counter(number for number, _ in pairs)
    return {number: patient for number, patient in pairs if counts[number] == 1}


def _names(url: str, resource: Resource) -> set[str]:
    """What a reference to the resource may end with."""
    return {str(resource.get("id") or ""), last_part(url)} - {""}


def _patient_id(url: str, resource: Resource) -> str:
    return str(resource.get("id") or last_part(url) or _NAMELESS)


def _patients(found: Sequence[tuple[str, Resource]]) -> dict[str, str]:
    """Names of patients; one that could mean two patients is left out, so that they are never merged."""
    ids: dict[str, set[str]] = {}
    for url, resource in found:
        for name in _names(url, resource) if resource["resourceType"] == "Patient" else ():
            ids.setdefault(name, set()).add(_patient_id(url, resource))
    return {name: patients.pop() for name, patients in ids.items() if len(patients) == 1}


def _by_id(found: Sequence[tuple[str, Resource]], kind: str) -> dict[str, Resource]:
    """Resources of a kind by what references to them end with; a name of two different ones is left out."""
    named: dict[str, list[Resource]] = {}
    for url, resource in found:
        for name in _names(url, resource) if resource["resourceType"] == kind else ():
            named.setdefault(name, []).append(resource)
    return {name: same[0] for name, same in named.items() if all(other == same[0] for other in same)}


def _rows_of(url: str, resource: Resource, known: _Known) -> Iterator[Row]:
    kind = str(resource["resourceType"])
    if kind == "Patient":
        yield from _patient(url, resource)
    elif kind not in NO_EVENTS:
        reason = why_not(resource, own_focus=known.has_own_focus(resource)) if kind in _TIMES else unread_kind(kind)
        rows = [] if reason else [*_events(resource, known), *_death_at_discharge(resource, known)]
        yield from rows or [_left_out(known.subject(resource), reason or "without a code")]


def _of_patients(rows: Sequence[Row], notes: list[str]) -> list[Row]:
    """The rows, of which those that name no patient are of the only one where all do; else they are refused where they
    are events, and counted for the only patient, or a note, where they are left out."""
    people = {row["subject_id"] for row in rows if "left_out" not in row} or {row["subject_id"] for row in rows}
    if people <= {"", _NAMELESS}:
        return [{**row, "subject_id": row["subject_id"] or _NAMELESS} for row in rows]
    only = next(iter(people - {""})) if len(people - {""}) == 1 else ""
    own = [row | {"subject_id": only} if "left_out" in row and not row["subject_id"] else row for row in rows]
    lost = Counter(row["left_out"] for row in own if "left_out" in row and not row["subject_id"])
    notes += [f"Left out, naming no patient and {reason}: {count_of(n, 'event')}." for reason, n in lost.items()]
    return [row for row in own if row["subject_id"] or "left_out" not in row]


def _left_out(subject: str, reason: str) -> Row:
    return {"subject_id": subject, "left_out": reason}


def _events(resource: Resource, known: _Known) -> Iterator[Row]:
    subject = known.subject(resource)
    when = _time(resource, known.encounters)
    for code, words, value in coded(resource, known.drugs):
        reason = why_no_part(value) if value is not resource else ""
        if reason := reason or why_no_drug(drug_of(resource, known.drugs)):
            yield _left_out(subject, reason)
        elif not code:
            yield _left_out(subject, "without the medication it refers to")
        elif when is None:
            yield _left_out(subject, "without a time")
        else:
            row = {"subject_id": subject, "table": _table(resource), "code": code, "description": words}
            yield row | _joined(when, value_of(value))
    for _ in range(uncoded(resource)):
        yield _left_out(subject, "without a code")


def _death_at_discharge(resource: Resource, known: _Known) -> Iterator[Row]:
    """The death with which an encounter ended, at its end, in R4 or in R5."""
    stay = as_dict(resource.get("hospitalization") or resource.get("admission"))
    codings = as_list(as_dict(stay.get("dischargeDisposition")).get("coding"))
    if resource["resourceType"] != "Encounter" or not _DIED.intersection(map(code_of, codings)):
        return
    subject, end = known.subject(resource), moments(_period(resource))[1]
    if is_modified(stay):
        yield _left_out(subject, MODIFIED)
        return
    if not end:
        yield _left_out(subject, "a death without a time")
        return
    yield {"subject_id": subject, "table": "Encounter", "code": "DISCHARGE//EXPIRED", **whole_date(end)}


def _joined(when: Row, value: Row) -> Row:
    remarks = ";".join(filter(None, (when["remarks"], value["remarks"])))
    return {**when, **value, "remarks": remarks}


def _table(resource: Resource) -> str:
    """Resource type, with the category of an observation."""
    for category in as_list(resource.get("category")):
        for coding in as_list(as_dict(category).get("coding"))[:1]:
            if resource["resourceType"] == "Observation":
                return f"Observation/{code_of(coding)}"
    return str(resource["resourceType"])


def _patient(url: str, resource: Resource) -> Iterator[Row]:
    subject = _patient_id(url, resource)
    if is_modified(resource) or resource.get("implicitRules"):
        yield _left_out(subject, MODIFIED)
        return
    base = {"subject_id": subject, "table": "Patient"}
    gender = {"female": "GENDER//F", "male": "GENDER//M"}.get(str(resource.get("gender")))
    if gender:
        yield {**base, "time": "", "code": gender}
    if text := str(resource.get("birthDate") or ""):
        yield {**base, "code": BIRTH, **whole_date(text), "known_from": ""}
    if text := str(resource.get("deceasedDateTime") or ""):
        yield {**base, "code": "MEDS_DEATH", **whole_date(text)}
    if is_true(resource.get("deceasedBoolean")):
        yield _left_out(subject, "a death without a time")


def _time(resource: Resource, encounters: Mapping[str, Resource]) -> Row | None:
    """When it happened, and from when on it is known where it was recorded later."""
    when = _happened(resource, encounters)
    if when and is_unconfirmed(resource):
        when["remarks"] = ";".join(filter(None, (when["remarks"], "unconfirmed")))
    recorded = next((known_by(text) for field in _RECORDED if (text := moments(resource.get(field))[0])), "")
    return when | {"known_from": recorded} if when and recorded else when


def _happened(resource: Resource, encounters: Mapping[str, Resource]) -> Row | None:
    """By its own start or end, else the end of its encounter, as it was known by then."""
    fields = [field for field in _TIMES[resource["resourceType"]] if moments(resource.get(field)) != ("", "")]
    if fields and resource.get(FROM_REPORT):
        return _remarked(_own_time(resource, fields[0])[0], "report time")
    if fields:
        choice = _CHOICE.sub("", fields[0])
        given = [_own_time(resource, field) for field in fields if _CHOICE.sub("", field) == choice]
        first, remark = next((one for one in given if not any(is_after(other[0], one[0]) for other in given)), given[0])
        return _remarked(first, "two times" if len({moment for moment, _ in given}) > 1 else remark)
    visit = as_dict(resource.get("encounter") or resource.get("context")).get("reference")
    end = moments(_period(as_dict(encounters.get(last_part(visit)))))[1]
    return _remarked(end, "encounter end") if end else None


def _own_time(resource: Resource, field: str) -> tuple[str, str]:
    """A time that a resource gives, and what must be said of it."""
    start, end = moments(resource[field])
    first = (end or start) if resource["resourceType"] in _KNOWN_AT_END else (start or end)
    if is_reversed(resource[field]) or _is_over_before(resource, first):
        return first, "reversed"
    return first, "period end" if first != start else ""


def _is_over_before(resource: Resource, onset: str) -> bool:
    """Whether a condition ended before it began."""
    ends = (moments(resource.get(name))[1] for name in ("abatementDateTime", "abatementPeriod"))
    return any(is_after(onset, end) for end in ends)


def _period(encounter: Resource) -> Any:
    """When an encounter took place, in R4 or in R5."""
    return encounter.get("period") or encounter.get("actualPeriod")


def _remarked(text: str, remark: str) -> Row:
    row = whole_date(text)
    return {**row, "remarks": ";".join(filter(None, (row["remarks"], remark)))}
