"""Codes in words: the cohort's own descriptions, a small list of ours, then ICD-10-CM."""

from __future__ import annotations

import html
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

_TAG = re.compile(r"<[^>]*>")
_DIAGNOSIS = re.compile(r"<diag>\s*<name>([^<]+)</name>\s*<desc>([^<]*)</desc>")
_ICD10CM = re.compile(r"(?:ICD10CM|DIAGNOSIS//ICD//10)//([A-Z]\d[0-9A-Z]\.?[0-9A-Z]*)")
_ICD10 = re.compile(r"ICD10(?:GM)?//((?P<category>[A-T]\d\d)\.?[0-9A-Z]*)")
"""Codes of the WHO or of Germany: of its modifications, ICD-10 has the categories of diseases in common, not what
follows them, nor external causes and reasons for contact."""


@cache
def labels() -> Mapping[str, str]:
    """Short words for common LOINC, ATC, CPT and MIMIC codes (our own wording)."""
    text = (Path(__file__).parent / "labels.json").read_text("utf-8")
    return {str(code): str(words) for code, words in json.loads(text).items()}


@cache
def icd10_descriptions() -> Mapping[str, str]:
    """ICD-10-CM codes without the dot, in words, from the tabular list that simple-icd-10-cm carries.

    The package itself builds a tree and takes seconds to import, so its data file is read directly.
    """
    found: dict[str, str] = {}
    for text in _icd10_texts():
        for name, words in _DIAGNOSIS.findall(text):
            found[name.replace(".", "")] = html.unescape(words).strip()
    return found


def _icd10_texts() -> Iterator[str]:
    """The tabular list, as XML."""
    spec = importlib.util.find_spec("simple_icd_10_cm")
    if spec is None or spec.origin is None:
        return
    for path in sorted((Path(spec.origin).parent / "data").glob("*tabular*.xml")):
        yield path.read_text("utf-8")


def icd10_notes() -> Iterator[str]:
    """What ICD-10-CM's tabular list says around its codes and descriptions, a text a file."""
    return (_TAG.sub(" ", text) for text in _icd10_texts())


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
    """
    own = labels()
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
