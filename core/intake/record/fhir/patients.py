"""Who is who among FHIR patients: one id on two servers, and one id beside two identifiers, are two patients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from core.errors import UserFacingError
from core.intake.record.fhir.datatypes import Resource, as_dict, as_list, code_of
from core.wording import count_of

Found = tuple[str, Resource]
"""Full URL and resource."""
_ABSOLUTE = re.compile(r"https?://(.+?)/+([A-Z][A-Za-z]+)/([^/]+)(?:/_history/[^/]*)?/?", re.IGNORECASE)
_LONGEST_URL = 2048
_RELATIVE = re.compile(r"/?Patient/([^/?#]+)(?:/_history/[^/]*)?")
_ROLES: tuple[str, ...] = ("subject", "patient")
_OF_A_STAY = frozenset(("VN", "AN", "MB"))
"""Types of identifiers of which a patient gets new ones: of visits, accounts and memberships (HL7 table 0203)."""


def person_of(resource: Resource) -> Resource:
    """The reference to the patient of a resource; of an appointment, that among those who take part."""
    actors = [as_dict(as_dict(one).get("actor")) for one in as_list(resource.get("participant"))]
    patients = [actor for actor in actors if "Patient/" in str(actor.get("reference"))]
    return as_dict(resource.get("subject") or resource.get("patient") or next(iter(patients), None))


def told_apart(found: Sequence[Found]) -> list[Found]:
    """The resources, whose patients and references to them have an id of their own for each server, where one id is
    that of patients on several servers."""
    several = _on_several_servers(found)
    return [(url, _renamed(url, item, several)) for url, item in found] if several else [*found]


def doubt_people(found: Sequence[Found], replaced: Sequence[Resource], notes: list[str]) -> None:
    """Says how many patients bear several names, or had other identifiers or births in versions that were replaced.

    Raises UserFacingError where one id has two identifiers of one system.
    """
    same, former = _by_id(item for _, item in found), _by_id(replaced)
    if any(_differ([_identifiers(person) for person in people]) for people in same.values()):
        raise UserFacingError(
            "The source holds events of several patients under one FHIR id: their identifiers differ.",
            "events of one patient",
            "Check whose events these are.",
        )
    if count := sum(_may_be_several([*people, *former.get(name, [])]) for name, people in same.items()):
        told = count_of(count, "patient")
        notes.append(f"With more than one name or number of a person, so that events may be of several: {told}.")


def _by_id(items: Iterable[Resource]) -> dict[str, list[Resource]]:
    """Those that are patients with an id."""
    same: dict[str, list[Resource]] = {}
    for item in items:
        if item.get("resourceType") == "Patient" and item.get("id"):
            same.setdefault(str(item["id"]), []).append(item)
    return same


def _may_be_several(people: Sequence[Resource]) -> bool:
    days = [str(person.get("birthDate") or "")[:10] for person in people]
    births = [{"birth": {day}} for day in days if len(day) == len("1950-01-02")]
    return _differ(births) or _differ([_identifiers(person) for person in people]) or _are_named_otherwise(people)


def _on_several_servers(found: Sequence[Found]) -> dict[str, set[str]]:
    """Ids of patients on more than one server -> the servers.

    A relative reference is one to the server of its own resource, unless a patient of that id comes from no server
    that is known.
    """
    stated: dict[str, set[str]] = {}
    implied: list[tuple[str, str]] = []
    without: set[str] = set()
    for url, item in found:
        base = _base(url, str(item["resourceType"]))
        if item["resourceType"] == "Patient" and item.get("id"):
            stated.setdefault(str(item["id"]), set()).update({base} - {""})
            without |= set() if base else {str(item["id"])}
        for reference in _references(item):
            server, name = _place(reference)
            if server:
                stated.setdefault(name, set()).add(server)
            elif name and base:
                implied.append((name, base))
    for name, base in implied:
        if name not in without:
            stated.setdefault(name, set()).add(base)
    return {name: servers for name, servers in stated.items() if len(servers) > 1}


def _base(url: str, kind: str) -> str:
    """The server of a full URL, "" where it names none."""
    server, named, _ = _absolute(url)
    return server if named == kind else ""


def _place(reference: str) -> tuple[str, str]:
    """(server, id) of a reference to a patient, "" for what it does not say."""
    server, kind, name = _absolute(reference)
    relative = _RELATIVE.fullmatch(reference)
    return (server, name) if kind == "Patient" else ("", relative[1] if relative else "")


def _absolute(url: str) -> tuple[str, str, str]:
    """(server, type, id) of a full URL, "" where it is none; what is longer than any server takes is not looked at."""
    match = _ABSOLUTE.fullmatch(url) if len(url) <= _LONGEST_URL else None
    return (match[1].lower(), match[2], match[3]) if match else ("", "", "")


def _references(item: Resource) -> Iterator[str]:
    """Those to its patient, in the resource and in those that it contains."""
    for holder in (item, *map(as_dict, as_list(item.get("contained")))):
        for role in _ROLES:
            yield str(as_dict(holder.get(role)).get("reference") or "")


def _renamed(url: str, item: Resource, several: Mapping[str, set[str]]) -> Resource:
    """A resource with the id of its patient on one server: its own id where it is one, else in its references."""
    base = _base(url, str(item["resourceType"]))
    if item["resourceType"] == "Patient":
        return {**item, "id": _own_id(base, str(item.get("id")), several)} if str(item.get("id")) in several else item
    parts = [_led(part, base, several) if isinstance(part, dict) else part for part in as_list(item.get("contained"))]
    return _led(item, base, several) | ({"contained": parts} if parts else {})


def _led(item: Resource, base: str, several: Mapping[str, set[str]]) -> Resource:
    changed = {role: _reference(item[role], base, several) for role in _ROLES if role in item}
    focus = [_reference(one, base, several) for one in as_list(item.get("focus"))]
    return item | changed | ({"focus": focus} if focus else {})


def _reference(person: Any, base: str, several: Mapping[str, set[str]]) -> Any:
    server, name = _place(str(as_dict(person).get("reference") or ""))
    own = _own_id(server or base, name, several)
    return {**person, "reference": f"Patient/{own}"} if name in several else person


def _own_id(server: str, name: str, several: Mapping[str, set[str]]) -> str:
    """An id with its server, without the signs at which references are parted."""
    return f"{name}@{re.sub('[/:#]', '|', server)}" if server in several.get(name, ()) else name


def _identifiers(person: Resource) -> dict[str, set[str]]:
    """System -> values of what lasts; neither former and temporary identifiers, nor those of a stay."""
    held: dict[str, set[str]] = {}
    for identifier in map(as_dict, as_list(person.get("identifier"))):
        codings = as_list(as_dict(identifier.get("type")).get("coding"))
        passing = identifier.get("use") in ("old", "temp") or "end" in as_dict(identifier.get("period"))
        passing = passing or any(code_of(coding) in _OF_A_STAY for coding in codings)
        if identifier.get("system") and identifier.get("value") and not passing:
            held.setdefault(str(identifier["system"]), set()).add(str(identifier["value"]).strip())
    return held


def _differ(people: Sequence[Mapping[str, set[str]]]) -> bool:
    """Whether two of them share a system, but no value of it."""
    systems = {system for held in people for system in held}
    return any(_are_disjoint([held[system] for held in people if system in held]) for system in systems)


def _are_disjoint(sets: Sequence[set[str]]) -> bool:
    return any(not one & other for number, one in enumerate(sets) for other in sets[:number])


def _are_named_otherwise(people: Sequence[Resource]) -> bool:
    """Whether two of them bear no name in common; one with fewer parts is the same."""
    named = [names for names in map(_names, people) if names]
    return any(
        not any(a <= b or b <= a for a in one for b in other)
        for number, one in enumerate(named)
        for other in named[:number]
    )


def _names(person: Resource) -> set[frozenset[str]]:
    """The words of each name."""
    return {words for name in as_list(person.get("name")) if (words := _words(as_dict(name)))}


def _words(name: Resource) -> frozenset[str]:
    parts = [name.get("family"), *as_list(name.get("given"))]
    told = " ".join(str(part) for part in parts if part) or str(name.get("text") or "")
    return frozenset(re.findall(r"\w+", told.casefold()))
