"""Codes that say of whom they are: by what stands before them, by their form, by names in them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.intake.identifiers.text.field_names import FIELD_CATEGORIES, field_name
from core.intake.identifiers.text.names_listed import is_listed
from core.intake.identifiers.text.vocabulary import are_terms

_OF_SOMEBODY = frozenset(("name", "contact", "institution"))
"""What a code's prefix may say it is ("PHONE//..."), other than of whom and when."""
_PREFIXES: Mapping[str, str] = {
    "dr": "name", "phys": "name", "signed": "name", "signed_by": "name", "provider": "name", "npi": "identifier",
    "facility": "institution", "patient": "identifier", "accession": "identifier",
    "religion": "free text", "language": "free text", "occupation": "free text",
}  # fmt: skip
_NUMBERED = frozenset(("enc", "encounter", "order", "visit_id"))
"""Whose numbers are somebody's, though their words are not ("ENCOUNTER//INPATIENT")."""
_SOMEWHERE = "site"
"""A place of the body as well ("SITE//LEFT ARM")."""
_VOCABULARIES = re.compile(
    r"(?:https?:|ICD|LOINC|SNOMED|SCT|RXNORM|CPT|ATC|OPS|NDC|HCPCS|CVX|PZN|DIN|UMLS|MESH|READ|DM\+D|GEMSCRIPT|OMOP|FHIR)",
    re.IGNORECASE,
)
"""Prefixes of vocabularies, and what FHIR's codes of any other system stand behind."""
_CONCEPTS = frozenset(("CONDITION", "PROCEDURE", "MEASUREMENT", "OBSERVATION", "VISIT"))
_PRODUCTS = frozenset(("DRUG", "DEVICE"))
"""Tables of OMOP, whose sources name concepts and products by their numbers; of concepts none begins with 0."""
_NUMBER = re.compile(r"[A-Z]?\d{7}|\d{8}")
_SNOMED = re.compile(r"[1-9]\d{2,14}00\d")
"""A concept of SNOMED CT, whose last digits say that it is one."""
_ICD10, _ICD9 = r"[A-Z]\d[0-9A-Z](?:\.?[0-9A-Z]{1,4})?", r"[VE]?\d{1,5}(?:\.\d{1,2})?"
_FORMS: Mapping[str, re.Pattern[str]] = {
    "ICD10CM": re.compile(rf"{_ICD10}(?:-{_ICD10})?", re.IGNORECASE),
    "ICD9CM": re.compile(rf"{_ICD9}(?:-{_ICD9})?", re.IGNORECASE),
    "RxNorm": re.compile(r"\d{1,8}"),
    "SNOMED": re.compile(r"(?:OMOP)?\d{5,18}A*"),
    "CVX": re.compile(r"\d{1,4}"),
    "LOINC": re.compile(r"(?:L[ALPG]|MTHU)?\d{1,6}(?:-\d|A+)?", re.IGNORECASE),
}
"""Under LOINC and SNOMED stand also numbers of somebody's own that are filled up with A, as Synthea has them."""
_IMPLANTS = re.compile(r"device|implant|pacemaker|stent|prosthesis", re.IGNORECASE)
_SERIAL = re.compile(r"(?<!\w)[A-Z]{1,4}\d{5,}[A-Z]?(?!\w)")
"""What beside the name of a device is its own number."""
_NONE_GIVEN = frozenset(("", "UNK", "UNKNOWN", "NONE"))


def categories_of_code(code: str) -> set[str]:
    """Categories of identifier that the parts of a code hold by where they stand.

    >>> categories_of_code("FACILITY//Oakdale"), categories_of_code("ICD10CM//I26.99"), categories_of_code("LAB//patel")
    ({'institution'}, set(), {'name'})
    >>> [categories_of_code(code) for code in ("X//7204519", "LOINC//7204519-1", "X//59282003")]
    [{'identifier'}, {'identifier'}, set()]
    """
    prefix, marked, rest = code.partition("//")
    found = _of_prefix(field_name(prefix), rest) if marked else set()
    if _is_numbered(prefix if marked else "", code) or _lacks_form(prefix, rest.split("//")[0]):
        found.add("identifier")
    if _IMPLANTS.match(code) and _SERIAL.search(code):
        found.add("identifier")
    if any(map(is_listed, re.findall(r"[^\W\d_]{3,}", code))):
        found.add("name")
    return found


def _of_prefix(name: str, rest: str) -> set[str]:
    """What a prefix says that the rest is."""
    if name in _NUMBERED:
        return {"identifier"} if re.search(r"\d{4}", rest) else set()
    if name == _SOMEWHERE:
        words = re.findall(r"[^\W\d_]{2,}", rest)
        return set() if are_terms(words) else {"institution"}
    return {_PREFIXES.get(name, "")} - {""} or {FIELD_CATEGORIES.get(name, "")} & _OF_SOMEBODY


def _is_numbered(prefix: str, code: str) -> bool:
    """Whether a part is a number as long as a patient's or a case's, and no vocabulary is named before it."""
    if _VOCABULARIES.match(code) or prefix in _PRODUCTS:
        return False
    numbers = [part for part in code.split("//") if _NUMBER.fullmatch(part) and not _SNOMED.fullmatch(part)]
    return any(prefix not in _CONCEPTS or not "1" <= number[0] <= "9" for number in numbers)


def _lacks_form(vocabulary: str, code: str) -> bool:
    """Whether what stands as a code of a vocabulary has not the form of its codes."""
    form = _FORMS.get(vocabulary)
    return form is not None and code.upper() not in _NONE_GIVEN and not form.fullmatch(code)
