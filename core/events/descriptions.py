"""Codes in words: the cohort's own descriptions, a small list of ours, then ICD-10-CM."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from core.events.code_systems import with_vocabulary
from core.events.icd10 import icd10_descriptions

_ICD10CM = re.compile(r"(?:ICD10CM|DIAGNOSIS//ICD//10)//([A-Z]\d[0-9A-Z]\.?[0-9A-Z]*)")
_ICD10 = re.compile(r"ICD10(?:GM)?//((?P<category>[A-T]\d\d)\.?[0-9A-Z]*)")
"""Codes of the WHO or of Germany: of its modifications, ICD-10 has the categories of diseases in common, not what
follows them, nor external causes and reasons for contact."""


@cache
def labels() -> Mapping[str, str]:
    """Short words for common LOINC, ATC, CPT and MIMIC codes (our own wording)."""
    text = (Path(__file__).parent / "labels.json").read_text("utf-8")
    return {str(code): str(words) for code, words in json.loads(text).items()}


def describe(code: str, descriptions: Mapping[str, str] | None = None) -> str:
    """A code in words; the code's readable part where no description is known.

    descriptions: code -> words that take precedence (for example `Timeline.code_descriptions`).

    >>> describe("LOINC//2160-0"), describe("X//1", {"X//1": "One"}), describe("MEDICATION//Insulin//Administered")
    ('Creatinine, serum', 'One', 'Insulin, Administered')
    """
    if descriptions and code in descriptions:
        return descriptions[code]
    return usual_words(code) or _readable(code)


def usual_words(code: str) -> str | None:
    """What our own list or ICD-10-CM calls a code, None where neither knows it.

    >>> usual_words("LOINC//2160-0//mg/dL"), usual_words("ICD10CM//I26.99"), usual_words("LAB//Doe")
    ('Creatinine, serum', 'Pulmonary embolism', None)
    >>> usual_words("2160-0"), usual_words("I26.99")
    ('Creatinine, serum', 'Pulmonary embolism')
    """
    own, code = labels(), with_vocabulary(code)
    if code in own:
        return own[code]
    stem = "//".join(code.split("//")[:2])
    if stem in own:
        return own[stem]
    if match := _ICD10.fullmatch(code):
        words = icd10_descriptions().get(match["category"])
        return f"{words} (ICD-10 {match[1]})" if words else f"ICD-10 {match[1]}"
    if match := _ICD10CM.fullmatch(code):
        return _icd10(match[1].replace(".", "")) or f"ICD-10 {match[1]}"
    return None


def _icd10(code: str) -> str | None:
    """Words of the code or, for a seventh-character extension, of its longest described stem."""
    known = icd10_descriptions()
    for length in range(len(code), 2, -1):
        if words := known.get(code[:length]):
            return words
    return None


def _readable(code: str) -> str:
    """The code without its vocabulary, or the vocabulary in words."""
    parts = [part for part in code.split("//") if part and part != "UNK"]
    if len(parts) <= 1:
        return code.replace("_", " ").strip("/ ").capitalize() if code.isupper() else code
    prefix, rest = parts[0], [part for part in parts[1:] if part not in ("START", "STOP", "END")]
    if prefix in ("MEDICATION", "HCPCS", "DRG", "GENDER", "RACE"):
        return ", ".join(rest) or code
    return f"{prefix.replace('_', ' ').capitalize() if prefix.isupper() and '_' in prefix else prefix} {' '.join(rest)}"
