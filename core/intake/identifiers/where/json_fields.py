"""Fields of records with names in them, as JSON and nested tables hold: judged by their names and their values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from core.intake.identifiers.finding import Finding, mask
from core.intake.identifiers.text.field_names import (
    AGE_FIELDS,
    FIELD_CATEGORIES,
    OLDEST_SHOWN,
    REFERENCE_CATEGORIES,
    field_name,
)
from core.intake.identifiers.text.free_text import begins_with_date, is_public_address
from core.intake.identifiers.text.judge import Judge
from core.intake.identifiers.text.machine_written import categories_of_references, is_stamp, reference_kind
from core.intake.identifiers.text.names_alone import identifies, says_nothing
from core.intake.identifiers.where.decoding import text_in_base64
from core.intake.record.columns.names import FIELDS

TERM_FIELDS = frozenset((*FIELDS["code"], *FIELDS["description"], "concept_name"))
_TERM_PLACES = frozenset(
    (("coding", "display"), ("code", "text"), ("medication_codeable_concept", "text"), ("vaccine_code", "text"))
)
"""Where a name may be long and no sentence; what of it stays with a case is judged by
`core.intake.identifiers.where.events`."""
_ATTACHED = ("presented_form", "data")
_MOST = 1 << 12
"""Places and names of fields that are remembered."""
_LONGEST_SEEN, _MOST_SEEN, _LONGEST_STAMP = 256, 1 << 15, 40
"""Characters of a text that is remembered at its place, so many of them there, and of a time."""
_DEEPEST = 200
"""Objects within each other that are gone into by calls."""
_OLD = "90 years or more"

Path = tuple[str, ...]


@dataclass(eq=False, slots=True)
class _Place:
    """What the names on the way to a value say of it, in resources of one kind. named: a category, or "" where they
    name none. is_stamped: whether a time was judged here. settled: kinds of
    references that tell nothing more.

    seen: texts that were judged here. inner: the places of the fields within, by their names.
    """

    path: Path
    where: str
    named: str
    is_age: bool
    is_url: bool
    is_number: bool
    is_term: bool
    says_nothing: bool
    is_stamped: bool = False
    seen: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)
    inner: dict[str, _Place] = field(default_factory=dict)


class FieldSearch:
    """Findings of fields, each place once; remembers what it read only as long as one table is searched.

    A text that stands in a field again is judged once, as what it tells is known then; and so are times and dates, of
    which each tells the same.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._places: dict[tuple[str, Path], _Place] = {}
        self._met: set[tuple[str, str]] = set()
        self._names: dict[str, str] = {}

    def search(self, document: Any, kind: str = "") -> list[Finding]:
        """Findings of every field of an object. kind: of the resource that it is."""
        found: list[Finding] = []
        stack = [(self._place((), kind), document)]
        while stack:  # only where objects lie so deep in each other that calls would exhaust the interpreter
            self._go_through(*stack.pop(), kind, found, stack, 0)
        return found

    def _go_through(
        self, place: _Place, value: Any, kind: str, found: list[Finding], deeper: list[tuple[_Place, Any]], depth: int
    ) -> None:
        """A value and all within it, the last first; what lies too deep is put aside."""
        if type(value) is str:
            if value and value not in place.seen:
                found += self._of_text(place, value, kind)
        elif depth > _DEEPEST:
            deeper.append((place, value))
        elif isinstance(value, dict):
            if "url" in value:
                for names, held in reversed([*_named(value, self._names)]):
                    at = self._place((*place.path, *names)[-3:], kind)
                    self._go_through(at, held, kind, found, deeper, depth + 1)
                return
            inner = place.inner
            for key in reversed(value):
                held = value[key]
                at = inner.get(key) or self._inner(place, key, kind)
                if type(held) is str and held in at.seen:
                    continue
                self._go_through(at, held, kind, found, deeper, depth + 1)
        elif isinstance(value, list):
            for held in reversed(value):
                self._go_through(place, held, kind, found, deeper, depth + 1)
        elif value is not None and (place.named or place.is_age or place.is_number):
            found += self._findings(place, value, kind)

    def _inner(self, place: _Place, key: str, kind: str) -> _Place:
        """The place of a field within another."""
        at = self._place((*place.path, field_name(str(key)))[-3:], kind)
        if len(place.inner) < _MOST:
            place.inner[key] = at
        return at

    def _of_text(self, place: _Place, value: str, kind: str) -> Iterator[Finding]:
        if len(value) <= _LONGEST_STAMP and value[4:5] == "-" and is_stamp(value) and not place.says_nothing:
            if place.is_stamped and not self._judge.may_name(value):
                return
            place.is_stamped = True
        elif (written := reference_kind(value)) is not None:
            if written in place.settled and not self._judge.may_name(value):
                return
            self._settle(place, written, kind)
        elif len(value) <= _LONGEST_SEEN and len(place.seen) < _MOST_SEEN:
            place.seen.add(value)
        yield from self._findings(place, value, kind)

    def _settle(self, place: _Place, written: str, kind: str) -> None:
        """Take note where all that references of a kind may tell is known of a place: then they tell nothing more."""
        whole = f"{kind}, {place.where}" if kind else place.where
        possible = categories_of_references(written, self._judge.categories) | ({place.named} - {""})
        if not (place.is_number or place.is_age or place.is_url or place.is_term or place.says_nothing) and all(
            (category, whole) in self._met for category in possible
        ):
            place.settled.add(written)

    def _findings(self, place: _Place, value: Any, kind: str) -> Iterator[Finding]:
        for category, where, text in self._told(place, value):
            whole = f"{kind}, {where}" if kind else where
            if (category, whole) not in self._met:
                self._met.add((category, whole))
                yield Finding(category, whole, _OLD if text is None else mask(text))

    def _place(self, path: Path, kind: str) -> _Place:
        place = self._places.get((kind, path))
        if place is None:
            place = _place(path, self._judge)
            if len(self._places) < _MOST:
                self._places[kind, path] = place
        return place

    def _told(self, place: _Place, value: Any) -> Iterator[tuple[str, str, str | None]]:
        """(category, where, text) of what a value and the name of its field tell; of an age in years no text."""
        named = "" if place.is_url and is_public_address(str(value)) else place.named
        if named:
            yield named, place.where, str(value)
        if place.is_age and is_old(value):
            yield "age over 89", place.where, None
        if place.is_number:
            yield "free text", "name of a field", place.path[-1]
        if isinstance(value, str):
            value = text_in_base64(value) if place.path[-2:] == _ATTACHED else value
            if not named and begins_with_date(value):
                yield "date", place.where, value
            found = self._judge.categories(value, is_term=place.is_term)
            if place.says_nothing and (category := identifies([value])):
                found |= {category}
            yield from ((category, place.where, value) for category in found if category != named)


def is_old(value: Any) -> bool:
    """Whether a value is an age of 90 years or more."""
    text = str(value).strip()
    return bool(re.fullmatch(r"\d{2,3}(\.\d+)?", text)) and float(text) > OLDEST_SHOWN


def _place(path: Path, judge: Judge) -> _Place:
    known = [name for name in path if name in FIELD_CATEGORIES or name in AGE_FIELDS]
    where = f"field {'.'.join(known)}" if known else "a field of a record"
    named = next((FIELD_CATEGORIES[name] for name in known if name in FIELD_CATEGORIES), "")
    if path[1:] and path[-1] == "display" and path[-2] in REFERENCE_CATEGORIES:
        where, named = f"field {path[-2]}.display", REFERENCE_CATEGORIES[path[-2]]
    return _Place(
        path, where, named,
        is_age=bool(known) and known[-1] in AGE_FIELDS,
        is_url=path[-1:] == ("url",),
        is_number=bool(path) and judge.is_number(path[-1]),
        is_term=path[-2:] in _TERM_PLACES or (len(path) == 1 and path[0] in TERM_FIELDS),
        says_nothing=len(path) == 1 and says_nothing(path[0]),
    )  # fmt: skip


def leaves(document: Any, plain: dict[str, str] | None = None) -> Iterator[tuple[Path, Any]]:
    """(names on the way, value) of every value; iterative, so nesting cannot exhaust the stack.

    plain: names met before, as `field_name` writes them; updated.
    """
    stack: list[tuple[Path, Any]] = [((), document)]
    plain = {} if plain is None else plain
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            stack += [((*path, *names)[-3:], inner) for names, inner in _named(value, plain)]
        elif isinstance(value, list):
            stack += [(path, inner) for inner in value]
        elif value not in (None, ""):
            yield path, value


def _named(value: dict[str, Any], plain: dict[str, str]) -> Iterator[tuple[Path, Any]]:
    """(name, value) of an object, before the name of an extension's value what it is a value of."""
    told = _extension(value)
    for key, inner in value.items():
        name = plain.get(key) or field_name(str(key))
        if len(plain) < _MOST:
            plain[key] = name
        yield (*(told if told and str(key).startswith("value") else ()), name), inner


def _extension(value: dict[str, Any]) -> Path:
    """The name of what an extension of FHIR says, which stands at the end of its address ("mothers_maiden_name")."""
    url = value.get("url")
    if not isinstance(url, str) or not any(str(key).startswith("value") for key in value):
        return ()
    return (field_name(re.split(r"[/#-]", url)[-1]),)
