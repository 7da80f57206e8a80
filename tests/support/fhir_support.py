"""FHIR resources of one patient, put into a bundle and read."""

from __future__ import annotations

import json
from typing import Any

from core.records import Timeline
from core.timeline import load_timeline

LOINC, RXNORM = "http://loinc.org", "http://www.nlm.nih.gov/research/umls/rxnorm"
SUBJECT = {"reference": "Patient/p"}
PATIENT = {"resourceType": "Patient", "id": "p", "gender": "female"}
DRUG = {
    "resourceType": "Medication",
    "id": "m9",
    "code": {"coding": [{"system": RXNORM, "code": "5224", "display": "Heparin"}]},
}
Resource = dict[str, Any]


def observation(**fields: Any) -> Resource:
    code = {"coding": [{"system": LOINC, "code": "718-7"}]}
    return {"resourceType": "Observation", "status": "final", "subject": SUBJECT, "code": code, **fields}


def dated(**fields: Any) -> Resource:
    return observation(effectiveDateTime="2020-01-01T08:00:00Z", **fields)


GLUCOSE = dated(code={"coding": [{"system": LOINC, "code": "2345-7"}]}, valueQuantity={"value": 5.5, "unit": "mmol/L"})


def request(**fields: Any) -> Resource:
    kind = {"resourceType": "MedicationRequest", "status": "active", "intent": "order"}
    return {**kind, "subject": SUBJECT, "authoredOn": "2020-01-02T08:00:00Z", **fields}


def bundle(*resources: Resource) -> tuple[str, bytes]:
    entries = [{"resource": resource} for resource in resources]
    return "bundle.json", json.dumps({"resourceType": "Bundle", "entry": entries}).encode()


def loaded(*resources: Resource, prediction_time: str | None = None) -> Timeline:
    return load_timeline(bundle(PATIENT, GLUCOSE, *resources), prediction_time=prediction_time)


def added(timeline: Timeline) -> list[str]:
    """Codes besides those of `PATIENT` and `GLUCOSE`."""
    return [code for code in timeline.events["code"] if code not in ("GENDER//F", "LOINC//2345-7")]


def said(timeline: Timeline) -> str:
    return " ".join(timeline.notes)


ENCOUNTER = {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "IMP"}, "subject": SUBJECT}
