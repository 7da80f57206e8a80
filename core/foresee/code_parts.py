"""How a code is written as tokens: ICD-10-CM in 3|3|rest characters, ATC in 3|1|rest, any other code whole."""

from __future__ import annotations

import re
from typing import NamedTuple

_ICD = re.compile(r"ICD10CM//([A-Z]\d[0-9A-Z])(?:\.([0-9A-Z]{1,3})([0-9A-Z]*))?")
_ATC = re.compile(r"ATC//([A-Z]\d\d)(?:([A-Z])([A-Z]\d{0,2})?)?")
_SPLIT = {"icd": _ICD, "atc": _ATC}
STAGES = ("", " middle", " end")
PART_KINDS = tuple(f"{system}{stage}" for system in _SPLIT for stage in STAGES)
"""Kinds of tokens that are parts of codes: "icd", "icd middle", "icd end", and the same of "atc"."""

UNKNOWN_TEXT = "UNKNOWN"
"""What stands for parts that training hardly saw."""


class Part(NamedTuple):
    """One token of a code: its kind ("code" for a whole one) and its text."""

    kind: str
    text: str


def parts_of(code: str) -> tuple[Part, ...]:
    """The tokens of a code in standard spelling (`core.events.standard_codes`).

    >>> [part.text for part in parts_of("ICD10CM//S72.001A")], [part.kind for part in parts_of("ICD10CM//I10")]
    (['S72', '001', 'A'], ['icd'])
    >>> [part.text for part in parts_of("ATC//C10AA05")], parts_of("my own code")
    (['C10', 'A', 'A05'], (Part(kind='code', text='my own code'),))
    """
    for system, pattern in _SPLIT.items():
        if found := pattern.fullmatch(code):
            return tuple(Part(f"{system}{stage}", text) for stage, text in zip(STAGES, found.groups()) if text)
    return (Part("code", code),)


def joined(parts: tuple[Part, ...]) -> str:
    """The code that these parts spell, the way back of `parts_of`.

    >>> joined(parts_of("ICD10CM//S72.001A")), joined(parts_of("ATC//C10AA05")), joined(parts_of("x"))
    ('ICD10CM//S72.001A', 'ATC//C10AA05', 'x')
    """
    first, *rest = parts
    ending = "".join(part.text for part in rest)
    if first.kind == "icd":
        return f"ICD10CM//{first.text}.{ending}" if ending else f"ICD10CM//{first.text}"
    return f"ATC//{first.text}{ending}" if first.kind == "atc" else first.text
