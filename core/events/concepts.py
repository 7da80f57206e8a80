"""Which entries of a record are about one thing: repeated codes of a disease, the values of one test."""

from __future__ import annotations

import re
from collections.abc import Iterable

from core.events.standard_codes import standard_code

_CATEGORY = re.compile(r"ICD10(?:CM|GM)?//[A-Z]\d[0-9A-Z]")
_TEST = re.compile(r"LOINC//[^/]+")


def concept_of(code: str) -> str:
    """The standard spelling of a code; of a diagnosis its ICD-10 category, of a test its LOINC code without a unit.

    >>> concept_of("DIAGNOSIS//ICD//10//I2699"), concept_of("I26.09"), concept_of("LAB//50912//mg/dL")
    ('ICD10CM//I26', 'ICD10CM//I26', 'LOINC//2160-0')
    >>> concept_of("ATC//C03CA01"), concept_of("LOINC//2160-0//mg/dL")
    ('ATC//C03CA01', 'LOINC//2160-0')
    """
    standard = standard_code(code)
    found = _CATEGORY.match(standard) or _TEST.match(standard)
    return found[0] if found else standard


def by_concept(codes: Iterable[str]) -> list[list[int]]:
    """Places of the codes of one concept, in order; concepts by their first place.

    >>> by_concept(["I26.99", "LOINC//718-7", "I26.09"])
    [[0, 2], [1]]
    """
    known: dict[str, str] = {}
    places: dict[str, list[int]] = {}
    for place, code in enumerate(codes):
        if code not in known:
            known[code] = concept_of(code)
        places.setdefault(known[code], []).append(place)
    return list(places.values())
