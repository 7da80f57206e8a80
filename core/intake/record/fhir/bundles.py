"""FHIR bundles taken apart (https://hl7.org/fhir/R4/bundle.html): resources, outdated versions, pages not there."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from core.intake.record.fhir.datatypes import Resource, as_dict, as_list
from core.wording import count_of

UNTYPED = "without the type of resource that it is"
DELETED = "as deleted by a request of a transaction"


@dataclass(frozen=True, eq=False)
class Contents:
    """What bundles hold, those in other bundles too.

    resources: (full URL, resource). outdated: (resource, why it no longer counts). bundles: all of them.
    deleted: types and ids of the resources that transactions delete. unranked: how many ids stand for resources, none
    of them a patient, that differ and of which none says that it is the newer.
    """

    resources: list[tuple[str, Resource]] = field(default_factory=list)
    outdated: list[tuple[Resource, str]] = field(default_factory=list)
    bundles: list[Resource] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    unranked: int = 0


@dataclass(frozen=True, eq=False)
class _Version:
    """A version of a resource in a history; None where it was deleted. number, updated: None where not said."""

    url: str
    resource: Resource | None
    number: float | None
    updated: float | None


def is_fhir(item: Any) -> bool:
    """Whether a parsed JSON object is a FHIR resource."""
    return isinstance(item, dict) and isinstance(item.get("resourceType"), str)


def taken_apart(items: Iterable[Resource]) -> Contents:
    """Single resources and those of bundles; of several versions only the newest, and none that a history deletes."""
    contents, histories = Contents(), dict[str, list[_Version]]()
    waiting = [("", item) for item in items][::-1]
    while waiting:
        url, item = waiting.pop()
        if item.get("resourceType") != "Bundle":
            contents.resources.extend(_apart_from_its_patient(url, item))
            continue
        contents.bundles.append(item)
        entries = [as_dict(entry) for entry in as_list(item.get("entry"))]
        if item.get("type") == "history":
            for entry in filter(_is_version, entries):
                histories.setdefault(_identity(entry), []).append(_version(entry))
        else:
            contents.deleted.update(_identity(entry) for entry in entries if _is_deletion(entry))
            held = [entry for entry in entries if is_fhir(entry.get("resource"))]
            waiting += [_held(entry) for entry in held[::-1] if not _is_deletion(entry)]
            contents.outdated.extend((entry["resource"], DELETED) for entry in held if _is_deletion(entry))
        untyped = (entry["resource"] for entry in entries if entry.get("resource") and not is_fhir(entry["resource"]))
        contents.outdated.extend((as_dict(resource), UNTYPED) for resource in untyped)
    for versions in histories.values():
        _settle(versions, contents)
    return _each_once(_without_deleted(contents))


def _without_deleted(contents: Contents) -> Contents:
    """What is left once the deletions of transactions were carried out."""
    gone = [_type_and_id(item) in contents.deleted for _, item in contents.resources]
    contents.outdated.extend((pair[1], DELETED) for pair, deleted in zip(contents.resources, gone) if deleted)
    contents.resources[:] = [pair for pair, deleted in zip(contents.resources, gone) if not deleted]
    return contents


def _type_and_id(resource: Resource) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"


def _apart_from_its_patient(url: str, item: Resource) -> list[tuple[str, Resource]]:
    """A resource, and its patient where that is contained in it, who has no id beyond: what is told is who it is."""
    role = "subject" if "subject" in item else "patient"
    name = str(as_dict(item.get(role)).get("reference") or "")
    held = next((as_dict(part) for part in as_list(item.get("contained")) if name == f"#{as_dict(part).get('id')}"), {})
    if held.get("resourceType") != "Patient":
        return [(url, item)]
    told = json.dumps({key: value for key, value in held.items() if key != "id"}, sort_keys=True)
    own = hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]
    return [("", {**held, "id": own}), (url, {**item, role: {"reference": f"Patient/{own}"}})]


def _each_once(contents: Contents) -> Contents:
    """Each resource once: copies count once, and of versions that say which is newer the newest."""
    same: dict[str, list[tuple[str, Resource]]] = {}
    for number, (url, item) in enumerate(contents.resources):
        same.setdefault(_name_on_server(url, item) or str(number), []).append((url, item))
    unranked = 0
    once = Contents(outdated=contents.outdated, bundles=contents.bundles)
    for pairs in same.values():
        distinct = [*{json.dumps(item, sort_keys=True): (url, item) for url, item in reversed(pairs)}.values()][::-1]
        once.outdated.extend((pairs[0][1], "as given more than once") for _ in range(len(pairs) - len(distinct)))
        versions = [_version({"fullUrl": url, "resource": item}) for url, item in distinct]
        if len(versions) > 1 and _are_ranked(versions):
            _settle(versions, once)
        else:
            once.resources.extend(distinct)
            unranked += len(distinct) > 1 and distinct[0][1].get("resourceType") != "Patient"
    return replace(once, unranked=unranked)


def _name_on_server(url: str, item: Resource) -> str:
    """Server, kind, id and patient of a resource; "" without an id."""
    server = url.rpartition(f"/{item.get('id')}")[0] if url.startswith("http") else ""
    person = as_dict(item.get("subject") or item.get("patient")).get("reference")
    return f"{server} {item.get('resourceType')} {person} {item['id']}" if item.get("id") else ""


def _are_ranked(versions: Sequence[_Version]) -> bool:
    """Whether versions differ in their numbers, or in the times of their last update."""
    ranks = ([version.number for version in versions], [version.updated for version in versions])
    return any(None not in rank and len(set(rank)) == len(versions) for rank in ranks)


def _held(entry: Mapping[str, Any]) -> tuple[str, Resource]:
    return str(entry.get("fullUrl") or ""), entry["resource"]


def _is_version(entry: Mapping[str, Any]) -> bool:
    return is_fhir(entry.get("resource")) or _is_deletion(entry)


def _is_deletion(entry: Mapping[str, Any]) -> bool:
    return as_dict(entry.get("request")).get("method") == "DELETE"


def _identity(entry: Mapping[str, Any]) -> str:
    """Type and id of the resource of a history's entry, by which its versions belong together."""
    resource = as_dict(entry.get("resource"))
    if resource.get("id"):
        return _type_and_id(resource)
    named = str(entry.get("fullUrl") or as_dict(entry.get("request")).get("url") or id(entry))
    return "/".join(named.split("/_history")[0].split("?")[0].rstrip("/").split("/")[-2:])


def _version(entry: Mapping[str, Any]) -> _Version:
    resource, response = entry.get("resource"), as_dict(entry.get("response"))
    meta = as_dict(as_dict(resource).get("meta"))
    number = re.search(r"\d+", str(response.get("etag") or ""))
    given = str(meta.get("versionId") or (number[0] if number else ""))
    moment = _moment(str(meta.get("lastUpdated") or response.get("lastModified") or ""))
    url = str(entry.get("fullUrl") or "")
    return _Version(url, None if _is_deletion(entry) else resource, float(given) if given.isdecimal() else None, moment)


def _moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _settle(versions: Sequence[_Version], contents: Contents) -> None:
    """The newest version counts, unless it is a deletion; the others are outdated."""
    newest = _newest(versions)
    if newest.resource is not None:
        contents.resources.append((newest.url, newest.resource))
    reason = "as deleted later" if newest.resource is None else "as replaced by a later version"
    others = (version.resource for version in versions if version is not newest)
    contents.outdated.extend((resource, reason) for resource in others if resource is not None)


def _newest(versions: Sequence[_Version]) -> _Version:
    """By number, else by time; else what was deleted stays so, and a history lists the newest first."""
    numbers = [version.number for version in versions if version.number is not None]
    times = [version.updated for version in versions if version.updated is not None]
    for ranks in (numbers, times):
        if len(ranks) == len(versions):
            return versions[ranks.index(max(ranks))]
    return next((version for version in versions if version.resource is None), versions[0])


def missing_pages(bundles: Sequence[Resource]) -> list[str]:
    """What is said of search results and histories that hold more than is here: by their total, or a page to follow.

    The pages of a search state one total; where more is here, several searches happen to state it.
    """
    pages = [bundle for bundle in bundles if bundle.get("type") in ("searchset", "history")]
    here = {url for page in pages for url in _links(page, "self")}
    found: Counter[int | None] = Counter()
    for page in pages:
        found[_total(page)] += sum(_is_match(as_dict(entry)) for entry in as_list(page.get("entry")))
    notes = _unfollowed(bundles)
    notes += [
        f"The record is incomplete: a FHIR search found {count_of(total, 'resource')}, of which {count:,} are here."
        for total, count in found.items()
        if total is not None and count < total
    ]
    unsure = [page for page in pages if (total := _total(page)) is None or found[total] > total]
    if following := sum(not here.issuperset(_links(page, "next")) for page in unsure):
        notes.append(f"The record is incomplete: not here, of a FHIR search: {count_of(following, 'further page')}.")
    return notes


def failures(contents: Contents) -> list[str]:
    """What is said of errors that the server tells of beside the resources, and of resources that it shortened or gave
    in several versions."""
    answers = [
        as_dict(as_dict(entry).get("response"))
        for bundle in contents.bundles
        for entry in as_list(bundle.get("entry"))
        if bundle.get("type") != "history"
    ]
    kinds = [item for _, item in contents.resources]
    errors = sum(map(_has_failed, answers)) + sum(map(_is_error, kinds))
    shortened = sum(map(_is_shortened, [*kinds, *contents.bundles]))
    told = {
        f"the FHIR server tells of {count_of(errors, 'error')}": errors,
        f"the FHIR server left out elements of {count_of(shortened, 'resource')}": shortened,
    }
    notes = [f"The record may be incomplete: {words}." for words, count in told.items() if count]
    if contents.unranked:
        notes.append(f"Given with different contents, all of which count: {count_of(contents.unranked, 'FHIR id')}.")
    return notes


def is_outcome(item: Resource) -> bool:
    """Whether a resource is an error message, or a bundle of nothing else."""
    entries = as_list(item.get("entry")) if item.get("resourceType") == "Bundle" else [{"resource": item}]
    held = [as_dict(as_dict(entry).get("resource")) for entry in entries if isinstance(entry, dict)]
    return bool(held) and all(one.get("resourceType") == "OperationOutcome" for one in held)


def _has_failed(answer: Mapping[str, Any]) -> bool:
    """Whether the answer to a request of a batch is an error."""
    failed = re.match(r"\s*[45][0-9]{2}\b", str(answer.get("status") or ""))
    return failed is not None or _is_error(as_dict(answer.get("outcome")))


def _is_error(item: Resource) -> bool:
    """Whether a resource tells that something went wrong, rather than warning or informing."""
    issues = as_list(item.get("issue")) if item.get("resourceType") == "OperationOutcome" else []
    return any(as_dict(issue).get("severity") in ("error", "fatal") for issue in issues)


def _is_shortened(item: Resource) -> bool:
    tags = as_list(as_dict(item.get("meta")).get("tag"))
    return any(as_dict(tag).get("code") == "SUBSETTED" for tag in tags)


def _total(page: Resource) -> int | None:
    total = page.get("total")
    return total if isinstance(total, int) else None


def _unfollowed(bundles: Sequence[Resource]) -> list[str]:
    """Requests of transactions that are not carried out: changes of a part, and deletions of what a search finds."""
    requests = [as_dict(as_dict(entry).get("request")) for bundle in bundles for entry in as_list(bundle.get("entry"))]
    count = sum(_is_unfollowed(request) for request in requests)
    asked = count_of(count, "request")
    return (
        [f"Not carried out, of a FHIR transaction: {asked} to change in part or to delete by search."] if count else []
    )


def _is_unfollowed(request: Mapping[str, Any]) -> bool:
    return request.get("method") == "PATCH" or (request.get("method") == "DELETE" and "?" in str(request.get("url")))


def _links(bundle: Resource, relation: str) -> set[str]:
    links = (as_dict(link) for link in as_list(bundle.get("link")))
    return {str(link.get("url")) for link in links if link.get("relation") == relation}


def _is_match(entry: Mapping[str, Any]) -> bool:
    """Whether a total counts an entry: neither what is included beside the matches nor the server's remarks."""
    kind = as_dict(entry.get("resource")).get("resourceType")
    return as_dict(entry.get("search")).get("mode", "match") == "match" and kind != "OperationOutcome"
