"""Whose an observation is where it names a focus: the patient's own condition or body, or someone beside the patient
(https://hl7.org/fhir/R4/observation-definitions.html#Observation.focus)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from core.intake.record.fhir.datatypes import Resource, as_dict, as_list, last_part

_OF_PATIENT = frozenset(
    """AllergyIntolerance BodySite BodyStructure CarePlan ClinicalImpression Composition Condition DiagnosticReport
    DocumentReference Encounter EpisodeOfCare Goal ImagingSelection ImagingStudy Immunization Media
    MedicationAdministration MedicationDispense MedicationOrder MedicationRequest MedicationStatement MedicationUsage
    Observation Procedure ProcedureRequest QuestionnaireResponse RiskAssessment ServiceRequest
    Specimen""".split()  # noqa: SIM905
)
"""Kinds of resources that tell of their patient, and of no relative, donor, device or place beside."""
_DEPTH = 4
"""Observations about observations."""

Index = Mapping[str, Sequence[Resource]]
"""Full URL, and kind and id -> the resources of that name."""


def index_of(found: Sequence[tuple[str, Resource]]) -> Index:
    """The resources that a focus may be."""
    named: dict[str, list[Resource]] = {}
    for url, item in found:
        for name in {url, f"{item['resourceType']}/{item.get('id') or ''}"}:
            if name and not name.endswith("/"):
                named.setdefault(name, []).append(item)
    return named


def is_own_focus(resource: Resource, subject_of: Callable[[Resource], str], index: Index, depth: int = _DEPTH) -> bool:
    """Whether each focus of a resource is its patient, or something that tells of this patient.

    subject_of: the patient of a resource, "" where it names none. What is not in the source counts by its kind.
    """
    own = subject_of(resource)
    return all(_is_own(as_dict(one), resource, own, subject_of, index, depth) for one in as_list(resource.get("focus")))


def _is_own(
    focus: Resource, resource: Resource, own: str, subject_of: Callable[[Resource], str], index: Index, depth: int
) -> bool:
    reference = str(focus.get("reference") or "").split("/_history/")[0]
    subject = as_dict(resource.get("subject"))
    if not reference or depth == 0:
        return False
    if last_part(reference) == last_part(subject.get("reference")):
        return True
    held = [as_dict(part) for part in as_list(resource.get("contained"))] if reference.startswith("#") else []
    inside = [part for part in held if reference == f"#{part.get('id')}"]
    kind, name = _kind_and_id(reference)
    targets = inside or index.get(reference) or index.get(f"{kind}/{name}") or ()
    if not targets:
        return str(focus.get("type") or kind) in _OF_PATIENT
    return any(  # one id on several servers is that of several resources
        target.get("resourceType") in _OF_PATIENT
        and (subject_of(target) or (own if target in inside else "")) == own
        and is_own_focus(target, subject_of, index, depth - 1)
        for target in targets
    )


def _kind_and_id(reference: str) -> tuple[str, str]:
    """Of Condition/c1, with or without a server before it; ("", "") of anything else."""
    parts = reference.rstrip("/").split("/")
    return (parts[-2], parts[-1]) if len(parts) > 1 else ("", "")
