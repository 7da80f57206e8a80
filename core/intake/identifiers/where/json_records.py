"""Identifiers in JSON: documents or lines, FHIR or rows of a table, and whose they are."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from core.intake.files.byte_source import Entry
from core.intake.files.limits import MIB
from core.intake.identifiers.finding import Finding
from core.intake.identifiers.text.field_names import field_name
from core.intake.identifiers.text.judge import Judge
from core.intake.identifiers.where.ages import Ages, watch_record, watch_resource
from core.intake.identifiers.where.decoding import encoding_of
from core.intake.identifiers.where.json_fields import FieldSearch, leaves
from core.intake.identifiers.where.owned import PATIENT_NAMES, PATIENT_NUMBERS, Met, Owned
from core.intake.record.fhir.resource_types import is_kind
from core.progress import Share

T = TypeVar("T")
_MOST_JSON = 256 * MIB
TOLD_EVERY = 500
"""Rows and resources between two words of progress."""
_NAMED = 0.2
"""Share of the search that is done once the patient is known."""


@dataclass(frozen=True)
class Documents:
    """What JSON holds: one document, or one a line, which are parsed as they come. lines: where it is not one, or is
    too large to be searched, which lines stands for by None."""

    whole: Any
    lines: Sequence[str] | None = ()

    def __iter__(self) -> Iterator[tuple[float, Any]]:
        """(share of the file before it, document)."""
        if self.lines:
            yield from ((number / len(self.lines), json.loads(line)) for number, line in enumerate(self.lines))
        elif self.lines is not None:
            yield 0.0, self.whole

    def of_patients(self) -> Iterator[tuple[float, Any]]:
        """Those that may name a patient: of resources only patients and bundles do."""
        for number, line in enumerate(self.lines or ()):
            if '"resourceType"' not in line or '"Patient"' in line:
                yield number / len(self.lines or ()), json.loads(line)
        if not self.lines:
            yield from self


def documents_of(entry: Entry) -> Documents:
    """What a file of JSON holds."""
    if entry.size > _MOST_JSON:
        return Documents(None, None)
    data = bytes(entry.read(0, None))
    text = data.decode(encoding_of(data), "replace")
    try:
        with _held():
            return Documents(json.loads(text))
    except ValueError:
        return Documents(None, [line for line in text.split("\n") if line.strip()])


@contextmanager
def _held() -> Iterator[None]:
    """Nothing of a document is rubbish while it is read and searched; looking for some would take as long again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def owned_in(documents: Documents, tell: Share) -> Iterator[Owned]:
    """Names and numbers of patients in JSON; what cannot be read is told when it is searched."""
    try:
        for _, document in _now_and_then(documents.of_patients(), lambda share: tell(_NAMED * share)):
            yield from _names_of_patients(document)
    except ValueError:
        return


def in_records(documents: Documents, judge: Judge, tell: Share) -> Iterator[Met]:
    """Findings of JSON, and the names and numbers in it."""
    if documents.lines is None:
        yield Finding("unreadable", "JSON", "too large to be searched")
        return
    ages, fields = Ages(), FieldSearch(judge)

    def told(share: float) -> None:
        tell(_NAMED + (1 - _NAMED) * share)

    with nullcontext() if documents.lines else _held():
        for _, document in _now_and_then(documents, told):
            for record in _objects(document):
                watch_record(record, ages)
                for resource in _resources(record):
                    watch_resource(resource, ages)
            parts = [*_parts(document)]
            of_all = ((number / len(parts), part) for number, part in enumerate(parts))
            for _, (kind, part) in of_all if documents.lines else _now_and_then(of_all, told):
                yield from fields.search(part, kind)
    yield from ages.findings()


def _now_and_then(items: Iterable[tuple[float, T]], tell: Share) -> Iterator[tuple[float, T]]:
    """The items; of each so many `tell` is told the share before it."""
    for number, (share, item) in enumerate(items):
        if number % TOLD_EVERY == 0:
            tell(share)
        yield share, item


def _parts(document: Any) -> Iterator[tuple[str, Any]]:
    """(type of FHIR resource or "", object) of what a document holds: a bundle, and each of its resources."""
    for item in document if isinstance(document, list) else [document]:
        if not isinstance(item, dict):
            yield "", item
            continue
        whole, *inner = _resources(item)
        if inner:
            whole = {**whole, "entry": [_around(entry) for entry in whole["entry"]]}
        for resource in (whole, *inner):
            kind = resource.get("resourceType")
            yield kind if isinstance(kind, str) and is_kind(kind) else "", resource


def _around(entry: Any) -> Any:
    """An entry of a bundle without its resource."""
    if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
        return entry
    return {key: value for key, value in entry.items() if key != "resource"}


def _names_of_patients(document: Any) -> Iterator[Owned]:
    """Names and numbers that rows give their patient, or a FHIR bundle or resource; those of its staff are left out."""
    for item in _objects(document):
        for key, value in item.items():
            if field_name(str(key)) in PATIENT_NAMES:
                yield str(value), ""
            elif field_name(str(key)) in PATIENT_NUMBERS:
                yield "", str(value)
        yield from _names_in_fhir(item)


def _objects(document: Any) -> list[dict[str, Any]]:
    """The object that a document is, or those in its list."""
    return [item for item in (document if isinstance(document, list) else [document]) if isinstance(item, dict)]


def _resources(item: dict[str, Any]) -> list[dict[str, Any]]:
    """A JSON object, and the resources in it where it is a bundle of FHIR."""
    entries = item.get("entry")
    inner = [entry.get("resource") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [resource for resource in (item, *inner) if isinstance(resource, dict)]


def _names_in_fhir(item: dict[str, Any]) -> Iterator[Owned]:
    for resource in _resources(item):
        if resource.get("resourceType") == "Patient":
            parts = leaves(resource.get("name"))
            yield from ((str(value), "") for path, value in parts if path[-1:] in (("family",), ("given",), ("text",)))
            numbers = leaves(resource.get("identifier"))
            yield from (("", str(value)) for path, value in numbers if path == ("value",))
