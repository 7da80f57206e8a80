"""FHIR R4 resources as rows of coded events (https://hl7.org/fhir/R4): what was coded, when, with which value.

Read: Patient, Condition, Observation (components too), Encounter, Procedure, MedicationRequest, -Administration and
-Statement, Immunization, DiagnosticReport, ImagingStudy. Bills, provenance and documents carry no events of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

Row = dict[str, str]

_SYSTEMS = (
    ("loinc", "LOINC"), ("snomed", "SNOMED"), ("rxnorm", "RxNorm"), ("cvx", "CVX"), ("icd-10-cm", "ICD10CM"),
    ("icd-10", "ICD10"), ("icd-9", "ICD9CM"), ("whocc", "ATC"), ("ama-assn", "CPT"), ("/ndc", "NDC"),
)  # fmt: skip
_VISITS = {"AMB": "OUTPATIENT", "EMER": "ED", "IMP": "INPATIENT", "ACUTE": "INPATIENT", "NONAC": "INPATIENT"}
_VOID = frozenset(("entered-in-error", "cancelled", "not-done"))
_TIMES = {
    "Condition": ("onsetDateTime", "onsetPeriod", "recordedDate"),
    "Observation": ("effectiveDateTime", "effectivePeriod", "effectiveInstant", "issued"),
    "Encounter": ("period",),
    "Procedure": ("performedDateTime", "performedPeriod"),
    "MedicationRequest": ("authoredOn",),
    "MedicationAdministration": ("effectiveDateTime", "effectivePeriod"),
    "MedicationStatement": ("effectiveDateTime", "effectivePeriod", "dateAsserted"),
    "Immunization": ("occurrenceDateTime",),
    "DiagnosticReport": ("effectiveDateTime", "effectivePeriod", "issued"),
    "ImagingStudy": ("started",),
}


def is_fhir(item: Any) -> bool:
    """Whether a parsed JSON object is a FHIR resource."""
    return isinstance(item, dict) and isinstance(item.get("resourceType"), str)


def fhir_rows(items: Iterable[dict[str, Any]]) -> list[Row]:
    """Rows (subject_id, time, code, numeric_value, text_value, unit, description) of bundles and single resources."""
    rows: list[Row] = []
    for item in items:
        if item.get("resourceType") == "Bundle":
            entries = item.get("entry") or []
            rows += fhir_rows(entry["resource"] for entry in entries if is_fhir(_dict(entry).get("resource")))
        else:
            rows += _rows_of(item)
    return rows


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _rows_of(resource: dict[str, Any]) -> Iterator[Row]:
    kind = str(resource["resourceType"])
    if kind == "Patient":
        yield from _patient(resource)
    elif kind in _TIMES and str(resource.get("status") or "") not in _VOID:
        base = {"subject_id": _subject(resource), "time": _time(resource, _TIMES[kind])}
        for code, words, value in _coded(kind, resource):
            yield {**base, "code": code, "description": words, **_value(value)}


def _patient(resource: dict[str, Any]) -> Iterator[Row]:
    subject = str(resource.get("id") or "patient")
    gender = {"female": "GENDER//F", "male": "GENDER//M"}.get(str(resource.get("gender")))
    if gender:
        yield {"subject_id": subject, "time": "", "code": gender, "description": "", **_value({})}
    for field, code in (("birthDate", "MEDS_BIRTH"), ("deceasedDateTime", "MEDS_DEATH")):
        if text := str(resource.get(field) or ""):
            yield {"subject_id": subject, "time": _whole_date(text), "code": code, "description": "", **_value({})}


def _subject(resource: dict[str, Any]) -> str:
    reference = str(_dict(resource.get("subject") or resource.get("patient")).get("reference") or "patient")
    return re.split(r"[/:]", reference)[-1]


def _time(resource: dict[str, Any], fields: Iterable[str]) -> str:
    for field in fields:
        value = resource.get(field)
        text = _dict(value).get("start") if isinstance(value, dict) else value
        if text:
            return _whole_date(str(text))
    return ""


def _whole_date(text: str) -> str:
    """FHIR allows a year or a month alone; it counts from its first day."""
    missing = {4: "-01-01", 7: "-01"}.get(len(text), "")
    return text + missing


def _coded(kind: str, resource: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(code, words, resource part that holds the value) of a resource; none where nothing is coded."""
    if kind == "Encounter":
        visit = str(_dict(resource.get("class")).get("code") or "").upper()
        yield f"VISIT//{_VISITS.get(visit, visit or 'OTHER')}", "", {}
        return
    if kind == "ImagingStudy":
        for modality in resource.get("modality") or []:
            yield f"IMAGING//{_dict(modality).get('code')}", str(_dict(modality).get("display") or ""), {}
        return
    concept = resource.get("code") or resource.get("medicationCodeableConcept") or resource.get("vaccineCode")
    yield from _concept(_dict(concept), resource)
    for component in resource.get("component") or []:
        yield from _concept(_dict(_dict(component).get("code")), _dict(component))


def _concept(concept: dict[str, Any], holder: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for coding in (concept.get("coding") or [])[:1]:
        code = str(_dict(coding).get("code") or "")
        if code:
            words = str(_dict(coding).get("display") or concept.get("text") or "")
            yield f"{_vocabulary(str(_dict(coding).get('system') or ''))}//{code}", words, holder


def _vocabulary(system: str) -> str:
    return next((name for part, name in _SYSTEMS if part in system.lower()), "FHIR")


def _value(holder: dict[str, Any]) -> Row:
    quantity, concept = _dict(holder.get("valueQuantity")), _dict(holder.get("valueCodeableConcept"))
    number = quantity.get("value")
    coding = _dict((concept.get("coding") or [{}])[0])
    text = concept.get("text") or coding.get("display") or holder.get("valueString") or ""
    if number is None:
        number = holder.get("valueInteger")
    return {
        "numeric_value": "" if number is None else repr(number),
        "text_value": str(text),
        "unit": str(quantity.get("unit") or quantity.get("code") or ""),
    }
