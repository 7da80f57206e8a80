"""Whether a FHIR R4 resource tells of something that happened to its patient, or why it does not."""

from __future__ import annotations

import re
from typing import Any

from core.intake.record.checks.row_status import AWAITED, PLANNED, WITHDRAWN, is_usual_state, withdraws
from core.intake.record.fhir.datatypes import Resource, as_dict, as_list, code_of, is_true

MODIFIED = "as an extension or rule that is not read may change the meaning"
_NO_RESULT = "without a result"
_UNKNOWN_STATE = "with a status that neither FHIR nor other records know"
_VOID = frozenset(("entered-in-error", "cancelled", "canceled", "not-done", "refuted", "not-taken"))
_NEGATIONS = (
    "doNotPerform", "notDone", "notPerformed", "notGiven", "wasNotGiven", "wasNotTaken", "notTaken", "refusedIndicator",
)  # fmt: skip
"""Elements that say of what did not happen; the later ones are of versions before R4."""
_REASONS_AGAINST = ("reasonNotPerformed", "notDoneReason", "reasonNotGiven", "reasonNotTaken")
"""Elements of versions before R4 that only what did not happen may have."""
_NOT_TAKING = frozenset(("not-taking", "never-started"))
_PLANNED = frozenset(("planned", "draft", "preparation", "intended", "proposal", "plan", "option"))
_UNCONFIRMED = frozenset(("unconfirmed", "provisional", "differential"))
_HAPPENED = frozenset(
    """active amended appended arrived available completed corrected discharged discontinued ended final finished
    in-progress inactive modified on-hold onleave partial preliminary recorded stopped triaged
    unknown""".split()  # noqa: SIM905
)
"""Codes of the status of what is read that leave the event standing (R4 and R5)."""


def why_not(resource: Resource, *, own_focus: bool) -> str:
    """Why a resource of a kind that is read is no event of its patient, or "".

    own_focus: whether what it is about, where it names a focus, is of the patient (`is_own_focus`).
    """
    states = _states(resource)
    if is_void(resource) or _is_not_taken(resource) or _is_negated(resource):
        return WITHDRAWN
    if (states | {_as_code(resource.get("intent"))}) & _PLANNED:
        return PLANNED
    if "registered" in states:
        return AWAITED
    if reason := _by_other_state(resource):
        return reason
    if is_modified(resource) or resource.get("implicitRules"):
        return MODIFIED
    if not (names_patient(resource) and own_focus):
        return "as told of someone or something else than the patient"
    return _NO_RESULT if _lacks_value(resource) and not as_list(resource.get("component")) else ""


def why_no_part(part: Resource) -> str:
    """Why a component of an observation is no event, or ""."""
    return MODIFIED if is_modified(part) else _NO_RESULT if _lacks_value(part) else ""


def why_no_drug(medication: Resource) -> str:
    """Why what refers to a medication is no event, or ""."""
    return WITHDRAWN if is_void(medication) else MODIFIED if is_modified(medication) else ""


def is_void(resource: Resource) -> bool:
    """Whether a resource is withdrawn, and with it what it contains."""
    return bool(_states(resource) & _VOID) or withdraws(_state_in_words(resource))


def is_unsound(report: Resource) -> bool:
    """Whether a report is withdrawn or may mean something else, so that nothing is taken from it."""
    return is_void(report) or is_modified(report) or bool(report.get("implicitRules"))


def is_unconfirmed(resource: Resource) -> bool:
    """Whether a condition is a suspicion only."""
    return bool(_states(resource) & _UNCONFIRMED)


def _by_other_state(resource: Resource) -> str:
    """Why a resource with a status that neither its value set nor other records have is no event, or ""."""
    words = _state_in_words(resource)
    is_known = not words or _as_code(words) in _HAPPENED or is_usual_state(words)
    return "" if is_known else _UNKNOWN_STATE


def _state_in_words(resource: Resource) -> str:
    return _as_code(resource.get("status")).replace("-", " ")


def is_modified(part: Resource) -> bool:
    """Whether an extension changes the meaning (https://hl7.org/fhir/R4/extensibility.html#modifierExtension): what
    does not know it must not read the rest."""
    return bool(as_list(part.get("modifierExtension")))


def _is_negated(resource: Resource) -> bool:
    """Whether an element says that it did not happen, or gives a reason why, as versions before R4 do."""
    said = {name: resource[name] for name in _NEGATIONS if resource.get(name) is not None}
    reasons = {**as_dict(resource.get("explanation")), **resource}
    against = any(reasons.get(name) for name in _REASONS_AGAINST)
    return any(map(is_true, said.values())) or (against and not said)


def _is_not_taken(resource: Resource) -> bool:
    """Whether a statement on a medicine says that the patient does not take it: `adherence` of R5, `taken` of STU3."""
    codings = as_list(as_dict(as_dict(resource.get("adherence")).get("code")).get("coding"))
    return resource.get("taken") == "n" or any(code_of(coding) in _NOT_TAKING for coding in codings)


def _lacks_value(part: Resource) -> bool:
    """Whether an observation, or a component of one, says why it has no value, beside it or in its place, or has a
    quantity without a number."""
    values = [as_dict(value) for name, value in part.items() if re.fullmatch(r"value[A-Z]\w*", name)]
    if not values:
        return "dataAbsentReason" in part
    said = [str(as_dict(item).get("url")) for value in values for item in as_list(value.get("extension"))]
    absent = any(url.endswith("/data-absent-reason") for url in said) or isinstance(part.get("valueQuantity"), dict)
    return len(values) == 1 and values[0].get("value") is None and absent


def _states(resource: Resource) -> set[str]:
    """Codes of the status and the verification, or their words written as codes ("Entered in error")."""
    checked = resource.get("verificationStatus")
    given = [resource.get("status"), checked, as_dict(checked).get("text")]
    given += [as_dict(coding).get("code") for coding in as_list(as_dict(checked).get("coding"))]
    return {_as_code(text) for text in given}


def _as_code(text: Any) -> str:
    return re.sub(r"[\s_-]+", "-", str(text or "").strip().lower())


def names_patient(resource: Resource) -> bool:
    """Whether the subject is a person, or none is named, rather than a group, a device or a place."""
    kind = re.search(r"(?:^|/)([A-Z][A-Za-z]+)/[^/]+(?:/_history/[^/]+)?$", _subject(resource))
    return kind is None or kind[1] == "Patient"


def _subject(resource: Resource) -> str:
    return str(as_dict(resource.get("subject")).get("reference") or "")
