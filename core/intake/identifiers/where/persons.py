"""Which files of a source belong to one person, where patient ids are missing, placeholders, or shared by several."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from core.intake.identifiers.text.patterns import folded, name_parts

_PLACEHOLDERS = frozenset(
    ("unknown", "anonymous", "anonymized", "anonymised", "anon", "none", "na", "n/a", "null", "nil", "test", "temp")
)
_NO_ID = re.compile(r"[0\W_]*|x+")


@dataclass(frozen=True)
class Person:
    """What one file says of its patient, as written there, and its study."""

    number: str
    name: str
    birth: str
    study: str


def identities(people: Sequence[Person]) -> tuple[list[str], int]:
    """(what tells the patient of each file apart from others, number of ids that several people share).

    That is the patient id; name and birth date where the id is missing or a placeholder ("UNKNOWN", "0"); all three
    where one id stands with different birth dates, or with names that have no part in common; else the study.
    Case and what separates the parts of names and ids do not count, as they do not for pseudonyms.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, person in enumerate(people):
        groups[folded(person.number)].append(index)
    found = [""] * len(people)
    shared = 0
    for number, indices in groups.items():
        distinct = {(folded(people[index].name), people[index].birth) for index in indices}
        several = not _is_placeholder(number) and any(_differ(*pair) for pair in combinations(sorted(distinct), 2))
        shared += several
        for index in indices:
            found[index] = _identity(people[index], several)
    return found, shared


def _identity(person: Person, shared: bool) -> str:
    if shared:
        return folded(f"{person.number} {person.name} {person.birth}")
    if not _is_placeholder(number := folded(person.number)):
        return number
    named = not _is_placeholder(folded(person.name))
    return folded(f"{person.name} {person.birth}") if named else person.study


def _differ(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two (name, birth date) cannot be one person's."""
    if one[1] and other[1] and one[1] != other[1]:
        return True
    first, second = (name_parts(name, 1) for name, _ in (one, other))
    return bool(first and second and not first & second)


def _is_placeholder(text: str) -> bool:
    return text in _PLACEHOLDERS or bool(_NO_ID.fullmatch(text))
