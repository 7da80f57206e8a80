"""The tabular list of ICD-10-CM, as simple-icd-10-cm carries it."""

from __future__ import annotations

import html
import importlib.util
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

_SECTION = re.compile(r'<section id="([0-9A-Z]{3}(?:-[0-9A-Z]{3})?)"')
_CHAPTERS = (
    ("A00", "B99", 1), ("C00", "D49", 2), ("D50", "D89", 3), ("E00", "E89", 4), ("F01", "F99", 5), ("G00", "G99", 6),
    ("H00", "H59", 7), ("H60", "H95", 8), ("I00", "I99", 9), ("J00", "J99", 10), ("K00", "K95", 11), ("L00", "L99", 12),
    ("M00", "M99", 13), ("N00", "N99", 14), ("O00", "O9A", 15), ("P00", "P96", 16), ("Q00", "QA0", 17),
    ("R00", "R99", 18), ("S00", "T88", 19), ("V00", "Y99", 20), ("Z00", "Z99", 21), ("U00", "U85", 22),
)  # fmt: skip
_TAG = re.compile(r"<[^>]*>")
_DIAGNOSIS = re.compile(r"<diag>\s*<name>([^<]+)</name>\s*<desc>([^<]*)</desc>")


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


@cache
def icd10_blocks() -> tuple[str, ...]:
    """Blocks of ICD-10-CM, as the tabular list has them: "I26-I28", or "B20-B20" where a block is one category."""
    found = [block for text in _icd10_texts() for block in _SECTION.findall(text)]
    return tuple(block if "-" in block else f"{block}-{block}" for block in found)


def icd10_block(category: str) -> str | None:
    """The smallest block that holds a category of three characters.

    >>> icd10_block("I26"), icd10_block("C34"), icd10_block("999")
    ('I26-I28', 'C30-C39', None)
    """
    holding = [block for block in icd10_blocks() if block[:3] <= category <= block[4:7]]
    return min(holding, key=_members, default=None)


def _members(block: str) -> int:
    """Codes between the ends of a block, counted as if every character were used."""
    first, last = (int(end, 36) for end in block.split("-"))
    return last - first


def icd10_chapter(category: str) -> int | None:
    """Chapter of a category of three characters, 1 to 22.

    >>> icd10_chapter("I26"), icd10_chapter("D48"), icd10_chapter("D50"), icd10_chapter("H60"), icd10_chapter("999")
    (9, 2, 3, 8, None)
    """
    return next((number for first, last, number in _CHAPTERS if first <= category <= last), None)
