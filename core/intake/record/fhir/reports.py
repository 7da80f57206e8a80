"""FHIR results that leave to their report, or to the panel they are in, whose they are and when they were measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from core.intake.record.fhir.datatypes import Resource, as_dict, as_list, is_after, last_part, moments
from core.intake.record.fhir.patients import person_of

Found = tuple[str, Resource]
"""Full URL and resource."""
FROM_REPORT = "#report"
"""In place of an element, what marks a result that has its time from its report."""
RESULT_TIMES = ("effectiveDateTime", "effectivePeriod", "effectiveInstant", "effectiveTiming")
_REPORT_TIMES = ("effectiveDateTime", "effectivePeriod")
_MEMBERS = frozenset(("has-member", "has-component"))
"""Kinds of relation by which versions before R4 name the results of a panel."""
_DEPTH = 4
"""Panels within panels."""


def told_by_reports(found: Sequence[Found], unsound: Sequence[Resource]) -> list[Found]:
    """The resources, of which results that are named in a report or a panel, and say less, have its patient and time.

    A result of several reports that differ has the latest time, and a patient only where they name the same one.
    unsound: reports and panels that are no events, as withdrawn; no time is taken from these.
    """
    numbers = _by_reference(found)
    items = [item for _, item in found]
    no_time = {id(report) for report in unsound}
    for _ in range(_DEPTH):
        holders: dict[int, list[Resource]] = {}
        for item in items:
            for name in _parts(item):
                for number in numbers.get(name, ())[:1]:
                    holders.setdefault(number, []).append(item)
        changed = False
        for number, held_by in holders.items():
            told = _told(items[number], held_by, no_time)
            changed |= told is not items[number]
            items[number] = told
        if not changed:
            break
    return [(url, item) for (url, _), item in zip(found, items, strict=True)]


def time_of_report(report: Resource, result: Resource) -> Resource:
    """The elements that say when a result without a time was measured, by a report that has it."""
    if report.get("resourceType") != "DiagnosticReport" or _has_time(result, RESULT_TIMES):
        return {}
    return {name: report[name] for name in _REPORT_TIMES if moments(report.get(name)) != ("", "")}


def _told(result: Resource, holders: Sequence[Resource], no_time: set[int]) -> Resource:
    """A result with what its holders say of it and it does not."""
    added: Resource = {}
    people = {_subject_of(holder): holder for holder in holders if _subject_of(holder)}
    if not _subject_of(result) and len(people) == 1:
        added["subject"] = person_of(next(iter(people.values())))
    person = _subject_of(result | added)
    own = [holder for holder in holders if id(holder) not in no_time and _subject_of(holder) in ("", person)]
    dated = [holder for holder in own if _has_time(holder, (*RESULT_TIMES, "issued"))]
    if dated and not _has_time(result, (*RESULT_TIMES, "issued")):
        latest = dated[0]
        for holder in dated[1:]:
            latest = holder if is_after(_moment(holder), _moment(latest)) else latest
        added |= {name: latest[name] for name in (*RESULT_TIMES, "issued") if name in latest}
        added[FROM_REPORT] = True
    return {**result, **added} if added else result


def _has_time(item: Resource, names: Sequence[str]) -> bool:
    return any(moments(item.get(name)) != ("", "") for name in names)


def _moment(item: Resource) -> str:
    pairs = (moments(item.get(name)) for name in (*RESULT_TIMES, "issued"))
    return next((end or start for start, end in pairs if start or end), "")


def _subject_of(item: Resource) -> str:
    person = person_of(item)
    number = as_dict(person.get("identifier"))
    return str(person.get("reference") or "") or (
        f"{number.get('system')}|{number['value']}" if number.get("value") else ""
    )


def _by_reference(found: Sequence[Found]) -> Mapping[str, list[int]]:
    """Numbers of the observations by what a reference to them may say; a name of several is left out."""
    named: dict[str, list[int]] = {}
    for number, (url, item) in enumerate(found):
        if item.get("resourceType") == "Observation":
            for name in {url, f"Observation/{item.get('id') or ''}"} - {"", "Observation/"}:
                named.setdefault(name, []).append(number)
    return {name: numbers for name, numbers in named.items() if len(numbers) == 1}


def _parts(item: Resource) -> Iterator[str]:
    """References to the results of a report or a panel, as `_by_reference` names them."""
    kind = item.get("resourceType")
    given = as_list(item.get("result")) if kind == "DiagnosticReport" else []
    if kind == "Observation":
        given = as_list(item.get("hasMember"))
        related = [as_dict(one) for one in as_list(item.get("related"))]
        given += [one.get("target") for one in related if one.get("type") in _MEMBERS]
    for one in given:
        reference = str(as_dict(one).get("reference") or "")
        if reference.startswith(("urn:", "http")):
            yield reference
        if "Observation/" in reference:
            yield f"Observation/{last_part(reference)}"
