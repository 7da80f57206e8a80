"""What a code stands under: itself, then ever wider groups, up to the chapter of its vocabulary.

ICD-10-CM: subcategories, category, block, chapter. ICD-9-CM: category, then block and chapter of ICD-10-CM. ATC: its
four upper levels. And whatever the `parent_codes` of a MEDS metadata/codes.parquet say, spelled as there (one slash).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from core.events.icd9_blocks import icd10_block_of_icd9
from core.events.icd10 import icd10_block, icd10_chapter
from core.events.standard_codes import standard_code

Parents = Mapping[str, tuple[str, ...]]
Level = Literal["exact", "category", "chapter"]
_ONE_SLASH = re.compile(r"([A-Za-z0-9]+)/(?!/)(.+)")
_ATC_LEVELS = (5, 4, 3, 1)
_WIDEST = re.compile(r"ICD10CM//chapter \d+|ATC//[A-Z]")


def spelled(parent: str) -> str:
    """A parent code in the standard spelling.

    >>> spelled("LOINC/8867-4"), spelled("ICD9CM/496"), spelled("LOINC//718-7")
    ('LOINC//8867-4', 'ICD9CM//496', 'LOINC//718-7')
    """
    match = _ONE_SLASH.fullmatch(parent)
    return standard_code(f"{match[1]}//{match[2]}" if match else parent)


def standard_parents(pairs: Iterable[tuple[str, Iterable[str]]]) -> dict[str, tuple[str, ...]]:
    """(code, its parents) as a data set spells them -> standard code -> its parents, those that are not itself.

    >>> standard_parents([("LAB//220045//bpm", ["LOINC/8867-4"]), ("LAB//1", ["LOINC/718-7", "LOINC/718-7"])])
    {'LAB//1': ('LOINC//718-7',)}
    """
    found: dict[str, dict[str, None]] = {}
    for code, parents in pairs:
        own = standard_code(code)
        for parent in map(spelled, parents):
            if parent != own:
                found.setdefault(own, {})[parent] = None
    return {code: tuple(parents) for code, parents in found.items()}


def path_of(code: str, parents: Parents | None = None) -> tuple[str, ...]:
    """A standard code, then its ancestors, nearest first, each once.

    >>> path_of("ICD10CM//C34.11")
    ('ICD10CM//C34.11', 'ICD10CM//C34.1', 'ICD10CM//C34', 'ICD10CM//C30-C39', 'ICD10CM//chapter 2')
    >>> path_of("ICD9CM//410.71")
    ('ICD9CM//410.71', 'ICD9CM//410', 'ICD10CM//I20-I25', 'ICD10CM//chapter 9')
    >>> path_of("ATC//C10AA05"), path_of("LAB//1", {"LAB//1": ("LOINC//718-7",)})
    (('ATC//C10AA05', 'ATC//C10AA', 'ATC//C10A', 'ATC//C10', 'ATC//C'), ('LAB//1', 'LOINC//718-7'))
    """
    found: dict[str, None] = {}
    waiting = [code]
    while waiting:
        one = waiting.pop(0)
        new = [node for node in _by_vocabulary(one) if node not in found]
        found |= dict.fromkeys(new)
        waiting += [parent for node in new for parent in (parents or {}).get(node, ()) if parent not in found]
    return tuple(found)


def level_of(code: str, known: str, parents: Parents | None = None) -> Level:
    """How closely `known`, on the path of `code`, tells what the code is: as itself (or what its data set calls its
    parent), by a group, or by no more than its chapter.

    >>> level_of("ICD10CM//C34.11", "ICD10CM//C34"), level_of("ICD10CM//C34.11", "ICD10CM//chapter 2")
    ('category', 'chapter')
    """
    if known == code or known in (parents or {}).get(code, ()):
        return "exact"
    return "chapter" if _WIDEST.fullmatch(known) else "category"


def _by_vocabulary(code: str) -> tuple[str, ...]:
    """The code and its ancestors by the vocabulary's own order."""
    system, _, rest = code.partition("//")
    if system == "ICD10CM":
        return (*_icd10_path(rest), *_block_path(icd10_block(rest[:3]), rest[:3]))
    if system == "ICD9CM":
        category, block = rest.split(".")[0], icd10_block_of_icd9(code)
        own = dict.fromkeys((code, f"ICD9CM//{category}"))
        return (*own, *_block_path(block, block[:3] if block else ""))
    if system == "ATC" and len(rest) == 7:
        return (code, *(f"ATC//{rest[:length]}" for length in _ATC_LEVELS))
    return (code,)


def _icd10_path(rest: str) -> list[str]:
    """Code, subcategories and category.

    >>> _icd10_path("I26.99"), _icd10_path("I10")
    (['ICD10CM//I26.99', 'ICD10CM//I26.9', 'ICD10CM//I26'], ['ICD10CM//I10'])
    """
    shorter = [rest[:length] for length in range(len(rest), 4, -1)]
    return [f"ICD10CM//{code}" for code in (*shorter, rest[:3])]


def _block_path(block: str | None, category: str) -> list[str]:
    chapter = icd10_chapter(category)
    inside = block is not None and icd10_block(category) == block
    return [
        *([f"ICD10CM//{block}"] if inside else []),
        *([f"ICD10CM//chapter {chapter}"] if chapter is not None else []),
    ]
