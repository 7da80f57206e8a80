"""Codes without the name of their vocabulary that can be of one only, as many tables write them."""

from __future__ import annotations

import re

from core.events.icd10 import icd10_descriptions

_LOINC = re.compile(r"(\d{1,5})-(\d)")
_ICD10CM = re.compile(r"[A-TV-Z]\d[0-9A-Z]\.[0-9A-Z]{1,4}")
_LAST_LETTER = 7
"""Letters of a code of ICD-10-CM without its dot; the last one tells the encounter and is in no list."""


def with_vocabulary(code: str) -> str:
    """A bare code of LOINC, by its check digit, or of ICD-10-CM, dotted and in its list, behind the vocabulary's name;
    any other code as it is.

    >>> with_vocabulary("718-7"), with_vocabulary("718-8"), with_vocabulary("I26.99"), with_vocabulary("X//718-7")
    ('LOINC//718-7', '718-8', 'ICD10CM//I26.99', 'X//718-7')
    """
    if (loinc := _LOINC.fullmatch(code)) and _check_digit(loinc[1]) == int(loinc[2]):
        return f"LOINC//{code}"
    return f"ICD10CM//{code}" if _ICD10CM.fullmatch(code) and _is_listed(code.replace(".", "")) else code


def _check_digit(number: str) -> int:
    """The check digit of a LOINC number (LOINC Users' Guide, appendix C: mod 10).

    >>> _check_digit("2160"), _check_digit("33762")
    (0, 6)
    """
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in number[::-2])
    return -(sum(doubled) + sum(map(int, number[-2::-2]))) % 10


def _is_listed(code: str) -> bool:
    known = icd10_descriptions()
    return code in known or (len(code) == _LAST_LETTER and code[:-1].rstrip("X") in known)
