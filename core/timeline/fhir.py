"""FHIR R4 resources as rows of coded events (https://hl7.org/fhir/R4): what was coded, when, with which value.

Read: Patient, Condition, Observation (components too), Encounter, Procedure, MedicationRequest, -Administration and
-Statement, Immunization, DiagnosticReport, ImagingStudy. Bills, provenance and documents carry no events of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Row = dict[str, str]

_SYSTEMS = (
    ("loinc", "LOINC"), ("snomed", "SNOMED"), ("rxnorm", "RxNorm"), ("cvx", "CVX"), ("icd-10-cm", "ICD10CM"),
    ("icd-10", "ICD10"), ("icd-9", "ICD9CM"), ("whocc", "ATC"), ("ama-assn", "CPT"), ("/ndc", "NDC"),
)  # fmt: skip
_VISITS = {"AMB": "OUTPATIENT", "EMER": "ED", "IMP": "INPATIENT", "ACUTE": "INPATIENT", "NONAC": "INPATIENT"}
_VOID = frozenset(("entered-in-error", "cancelled", "not-done", "refuted"))
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
    """Rows (subject_id, time, code, numeric_value, text_value, unit, description, table) of bundles and resources."""
    resources = list(_resources(items))
    drugs = {str(item.get("id")): _dict(item.get("code")) for item in resources if item["resourceType"] == "Medication"}
    return [row for item in resources for row in _rows_of(item, drugs)]


def _resources(items: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Single resources, those of bundles among them; a bundle inside a bundle's entry counts too."""
    waiting = list(items)[::-1]
    while waiting:
        item = waiting.pop()
        if item.get("resourceType") != "Bundle":
            yield item
            continue
        entries = [_dict(_dict(entry).get("resource")) for entry in _list(item.get("entry"))]
        waiting += [resource for resource in entries[::-1] if is_fhir(resource)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _rows_of(resource: dict[str, Any], drugs: Mapping[str, dict[str, Any]]) -> Iterator[Row]:
    kind = str(resource["resourceType"])
    if kind == "Patient":
        yield from _patient(resource)
    elif kind in _TIMES and not _is_void(resource):
        base = {"subject_id": _subject(resource), "table": _table(resource), **_time(resource, _TIMES[kind])}
        for code, words, value in _coded(kind, resource, drugs):
            yield {**base, "code": code, "description": words, **_value(value)}


def _is_void(resource: dict[str, Any]) -> bool:
    """Whether the resource says that what it describes did not happen or was an error."""
    checked = _list(_dict(resource.get("verificationStatus")).get("coding"))
    states = {str(resource.get("status") or ""), *(str(_dict(coding).get("code")) for coding in checked)}
    return bool(states & _VOID) or resource.get("doNotPerform") is True


def _table(resource: dict[str, Any]) -> str:
    """Resource type, with the category of an observation."""
    for category in _list(resource.get("category")):
        for coding in _list(_dict(category).get("coding"))[:1]:
            if resource["resourceType"] == "Observation":
                return f"Observation/{_dict(coding).get('code')}"
    return str(resource["resourceType"])


def _patient(resource: dict[str, Any]) -> Iterator[Row]:
    base = {"subject_id": str(resource.get("id") or "patient"), "description": "", "table": "Patient", **_value({})}
    gender = {"female": "GENDER//F", "male": "GENDER//M"}.get(str(resource.get("gender")))
    if gender:
        yield {**base, "time": "", "code": gender}
    for field, code in (("birthDate", "MEDS_BIRTH"), ("deceasedDateTime", "MEDS_DEATH")):
        if text := str(resource.get(field) or ""):
            yield {**base, "code": code, **_whole_date(text)}


def _subject(resource: dict[str, Any]) -> str:
    return _last(_dict(resource.get("subject") or resource.get("patient")).get("reference") or "patient")


def _last(reference: Any) -> str:
    """The id that a reference ends with: of Patient/x, urn:uuid:x, #x."""
    return re.split(r"[/:#]", str(reference or "").split("/_history/")[0])[-1]


def _time(resource: dict[str, Any], fields: Iterable[str]) -> Row:
    for field in fields:
        value = resource.get(field)
        text = _dict(value).get("start") if isinstance(value, dict) else value
        if text:
            return _whole_date(str(text))
    return {"time": ""}


def _whole_date(text: str) -> Row:
    """FHIR allows a year or a month alone; it counts from its first day and is marked."""
    missing = {4: "-01-01", 7: "-01"}.get(len(text), "")
    return {"time": text + missing, "imprecise": "yes" if missing else ""}


def _coded(
    kind: str, resource: dict[str, Any], drugs: Mapping[str, dict[str, Any]]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(code, words, resource part that holds the value) of a resource; none where nothing is coded."""
    if kind == "Encounter":
        visit = str(_dict(resource.get("class")).get("code") or "").upper()
        yield f"VISIT//{_VISITS.get(visit, visit or 'OTHER')}", "", {}
        return
    if kind == "ImagingStudy":
        for modality in _list(resource.get("modality")):
            yield f"IMAGING//{_dict(modality).get('code')}", str(_dict(modality).get("display") or ""), {}
        return
    held = {str(_dict(item).get("id")): _dict(_dict(item).get("code")) for item in _list(resource.get("contained"))}
    drug = {**drugs, **held}.get(_last(_dict(resource.get("medicationReference")).get("reference")))
    given = (resource.get("code"), resource.get("medicationCodeableConcept"), resource.get("vaccineCode"), drug)
    yield from _concept(_dict(next((concept for concept in given if concept), None)), resource)
    for component in _list(resource.get("component")):
        yield from _concept(_dict(_dict(component).get("code")), _dict(component))


def _concept(concept: dict[str, Any], holder: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for coding in _list(concept.get("coding"))[:1]:
        code = str(_dict(coding).get("code") or "")
        if code:
            words = str(_dict(coding).get("display") or concept.get("text") or "")
            yield f"{_vocabulary(str(_dict(coding).get('system') or ''))}//{code}", words, holder


def _vocabulary(system: str) -> str:
    return next((name for part, name in _SYSTEMS if part in system.lower()), "FHIR")


def _value(holder: dict[str, Any]) -> Row:
    """Number, text and unit; a number with a comparator ("<5") is a bound and stays text."""
    quantity, concept = _dict(holder.get("valueQuantity")), _dict(holder.get("valueCodeableConcept"))
    number = quantity.get("value", holder.get("valueInteger"))
    shown = "" if number is None or isinstance(number, (bool, dict, list)) else str(number)
    coding = _dict(next(iter(_list(concept.get("coding"))), None))
    simple = (holder.get(name) for name in ("valueString", "valueBoolean", "valueDateTime", "valueTime"))
    said = next((str(value) for value in simple if value is not None), "")
    bound = f"{quantity.get('comparator')}{shown}" if quantity.get("comparator") and shown else ""
    return {
        "numeric_value": "" if bound else shown,
        "text_value": bound or str(concept.get("text") or coding.get("display") or said),
        "unit": str(quantity.get("unit") or quantity.get("code") or ""),
    }
