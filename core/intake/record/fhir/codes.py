"""What FHIR R4 resources are coded as: public vocabularies first, their values beside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from core.intake.record.fhir.datatypes import Resource, as_dict, as_list, code_of, last_part
from core.intake.record.fhir.status import is_modified

_SYSTEMS = (
    ("loinc", "LOINC"), ("snomed", "SNOMED"), ("rxnorm", "RxNorm"), ("cvx", "CVX"), ("icd-10-cm", "ICD10CM"),
    ("icd-10-gm", "ICD10GM"),
    ("icd-10-pcs", "ICD10PCS"), ("medicare/coding/icd10", "ICD10PCS"), ("icd-10", "ICD10"), ("icd-9", "ICD9CM"),
    ("whocc", "ATC"), ("ama-assn", "CPT"), ("/ndc", "NDC"),
)  # fmt: skip
_OIDS = {
    "6.1": "LOINC", "6.96": "SNOMED", "6.88": "RxNorm", "12.292": "CVX", "6.90": "ICD10CM", "6.4": "ICD10PCS",
    "6.3": "ICD10", "6.103": "ICD9CM", "6.73": "ATC", "6.12": "CPT", "6.69": "NDC",
}  # fmt: skip
"""Below urn:oid:2.16.840.1.113883, the object identifiers that HL7 registered for vocabularies."""
_VISITS = {"AMB": "OUTPATIENT", "EMER": "ED", "IMP": "INPATIENT", "ACUTE": "INPATIENT", "NONAC": "INPATIENT"}


def coded(resource: Resource, drugs: Mapping[str, Resource]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(code, words, part that holds the value) of a resource; none where nothing is coded, "" for an unknown drug."""
    kind = resource["resourceType"]
    if kind == "Encounter":
        yield _visit(resource), "", {}
        return
    if kind == "ImagingStudy":
        for modality in as_list(resource.get("modality")):
            coding = next(map(as_dict, as_list(as_dict(modality).get("coding"))), as_dict(modality))
            yield f"IMAGING//{code_of(coding)}", str(coding.get("display") or ""), {}
        return
    newer = as_dict(resource.get("medication")).get("concept")
    given = (resource.get("code"), resource.get("medicationCodeableConcept"), newer, resource.get("vaccineCode"))
    concept = next((as_dict(concept) for concept in given if concept), None)
    holder = resource if kind != "MedicationAdministration" else _given_dose(resource)
    if concept is not None:
        yield from _concept(concept, holder)
    elif _drug_reference(resource):
        drug = drug_of(resource, drugs)
        concept = as_dict(drug.get("code")) or {"text": _drug_reference(resource).get("display")}
        yield next(_concept(concept, holder), ("", "", holder))
    for component in _components(resource):
        yield from _concept(as_dict(component.get("code")), component)


def uncoded(resource: Resource) -> int:
    """How many values of an observation, its own and those of its components, have no code."""
    own = [resource] if any(re.fullmatch(r"value[A-Z]\w*", name) for name in resource) else []
    parts = [*own, *_components(resource)]
    if resource["resourceType"] != "Observation":
        return 0
    return sum(bool(part) and next(_concept(as_dict(part.get("code")), part), None) is None for part in parts)


def _components(observation: Resource) -> Iterator[Resource]:
    """Those of an observation, and those within them, which R4 does not know."""
    for component in map(as_dict, as_list(observation.get("component"))):
        yield component
        yield from _components(component)


def _visit(resource: Resource) -> str:
    """The class of an encounter: a coding, or since R5 a list of concepts."""
    given = resource.get("class")
    first = as_dict(next(iter(as_list(given)), None))
    coding = as_dict(given) or as_dict(next(iter(as_list(first.get("coding"))), None))
    visit = code_of(coding).upper()
    return f"VISIT//{_VISITS.get(visit, visit or 'OTHER')}"


def drug_of(resource: Resource, drugs: Mapping[str, Resource]) -> Resource:
    """The medication referred to, contained or not; an empty one where nothing is, or the reference leads nowhere."""
    name = last_part(_drug_reference(resource).get("reference"))
    held = {str(as_dict(item).get("id")): as_dict(item) for item in as_list(resource.get("contained"))}
    return (held.get(name) or drugs.get(name) or {}) if name else {}


def _drug_reference(resource: Resource) -> dict[str, Any]:
    """The reference to a medication, in R4 or in R5."""
    return as_dict(resource.get("medicationReference") or as_dict(resource.get("medication")).get("reference"))


def _given_dose(resource: Resource) -> dict[str, Any]:
    """How much was given as a value: the dose, else the rate, whose own unit tells it from a dose.

    Where an extension changes what the dosage means, it is a value of a kind that is not read.
    """
    dosage = as_dict(resource.get("dosage"))
    if is_modified(dosage):
        return {"valueDosage": dosage}
    if dose := as_dict(dosage.get("dose")):
        return {"valueQuantity": dose}
    rates = {"valueQuantity": dosage.get("rateQuantity"), "valueRatio": dosage.get("rateRatio")}
    return {name: rate for name, rate in rates.items() if rate is not None}


def _concept(concept: dict[str, Any], holder: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The first coding of a public vocabulary, else the first that has a code, else the words alone as the code;
    nothing for an empty concept."""
    codings = [as_dict(coding) for coding in as_list(concept.get("coding"))]
    given = [coding for coding in codings if code_of(coding)]
    public = (coding for coding in given if _vocabulary(str(coding.get("system") or "")) != "FHIR")
    coded = next(public, given[0] if given else {})
    shown = next((coding["display"] for coding in codings if coding.get("display")), "")
    words = str(coded.get("display") or concept.get("text") or shown).strip()
    if coded:
        yield f"{_vocabulary(str(coded.get('system') or ''))}//{code_of(coded)}", words, holder
    elif words:
        yield f"FHIR//{words}", words, holder


def _vocabulary(system: str) -> str:
    system = system.strip()
    if system.startswith("urn:oid:2.16.840.1.113883."):
        return _OIDS.get(system.removeprefix("urn:oid:2.16.840.1.113883."), "FHIR")
    return next((name for part, name in _SYSTEMS if part in system.lower()), "FHIR")
