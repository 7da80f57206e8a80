"""Identifiers in what a timeline says: found and taken out by one judgement, so that the two never disagree."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import pandas as pd

from core.events.descriptions import usual_words
from core.events.kinds import kind_of
from core.intake.identifiers.finding import Finding, mask
from core.intake.identifiers.text.codes import categories_of_code
from core.intake.identifiers.text.field_names import FIELD_CATEGORIES, field_name
from core.intake.identifiers.text.free_text import begins_with_date, in_free_text
from core.intake.identifiers.text.names_listed import is_name_alone
from core.intake.identifiers.text.remembered import search_under_way
from core.intake.identifiers.text.unknown_words import are_known_words
from core.intake.record.columns.names import FIELDS, plain_name
from core.intake.record.columns.roles import Answers, roles_of
from core.intake.record.columns.units import is_unit
from core.intake.terms.identifier_patterns import identifying
from core.records import Timeline
from core.wording import count_of

REMOVED_CODE, REMOVED_UNIT = "REMOVED", "removed"
"""A unit is never left empty: its number would then count as one in the usual unit."""
_PARTS: Mapping[str, str] = {"code": "code", "text_value": "text", "unit": "unit"}
_TEXTS: Mapping[str, str] = {"text_value": "free text", "code": "words in place of codes", "unit": "unit"}
_READ_FROM = {"value": "text_value", "text_value": "text_value", "unit": "unit", "description": "description"}
"""Role of a column -> the part of a timeline that it becomes; what the reader takes for a code is judged one by one."""
UNKNOWN_WORDS = "words no vocabulary knows"
"""Category of texts in which nothing was found, and which may name someone all the same."""
_WORDS_ALONE = frozenset(
    """
    FHIR CONDITION DRUG PROCEDURE MEASUREMENT OBSERVATION DEVICE VISIT NOTE NOTES TEXT COMMENT REMARK
    """.split()  # noqa: SIM905
)
"""Before what stands in place of a code where none was given, so that it may be whatever someone wrote."""
_WRITTEN = re.compile(r"[^\W\d_]{4,}|\S+[\s_].+")
"""A word or several, as codes are none."""
_LONG_WORD = re.compile(r"[^\W\d_]{5,}|[\u3041-\u9fff\uac00-\ud7a3]{2,}")
"""What short signs of units are not."""
_SIGN_OF_UNIT = re.compile(r"[\d/*%\[]")
"""What units in a text hold beside letters: letters alone may be somebody's name ("Kat")."""
Judged = Mapping[str, frozenset[str]]
NO_COLUMNS: Answers = MappingProxyType({})


@dataclass(frozen=True)
class Doubts:
    """What may identify, with the categories why. fields: column of events -> values. words: codes, by description."""

    fields: Mapping[str, Judged]
    words: Judged

    def __bool__(self) -> bool:
        return bool(self.words) or any(self.fields.values())

    def without(self, category: str) -> Doubts:
        """The doubts for other reasons than this one."""
        return self._each(lambda categories: categories - {category})

    def only(self, category: str) -> Doubts:
        """The doubts for no other reason than this one."""
        alone = frozenset((category,))
        return self._each(lambda categories: alone if categories == alone else frozenset())

    def _each(self, change: Callable[[frozenset[str]], frozenset[str]]) -> Doubts:
        def changed(judged: Judged) -> Judged:
            return _in_doubt({value: change(categories) for value, categories in judged.items()})

        return Doubts({part: changed(judged) for part, judged in self.fields.items()}, changed(self.words))


@search_under_way()
def doubts_of(timeline: Timeline, tokens: Collection[str] = (), columns: Answers = NO_COLUMNS) -> Doubts:
    """Judge every code, text, unit and description of a timeline; the description of a code in doubt is in doubt too,
    and so is a code that is but its description.

    tokens: words of the patient's name and id. columns: role -> column, as the reader mapped them; where one is called
    like an identifier ("note"), each of its values is one. Where nothing speaks against a text, its words may still be
    such that no vocabulary knows them: `UNKNOWN_WORDS`. Codes are not judged so, as a model goes by them and they are
    shared by many patients, but for words that stand in place of a code; nor is what describes a code in a vocabulary
    of the data set, or as we do ourselves.
    """
    pairs = roles_of(columns)
    named = [(_READ_FROM[role], field_name(name)) for role, name in pairs if role in _READ_FROM]
    unusual = {role for role, name in pairs if plain_name(name) not in FIELDS.get(role, ())}

    def judged(text: str, part: str, is_own: bool = False) -> frozenset[str]:
        by_name = frozenset(FIELD_CATEGORIES[n] for place, n in named if place == part and n in FIELD_CATEGORIES)
        found = by_name | _categories(text, part, tokens, part in unusual)
        return found or _unknown(text, part, is_own or part in unusual)

    fields = {
        part: _in_doubt({value: judged(value, part) for value in timeline.events[part].dropna().unique()})
        for part in _PARTS
    }
    described = timeline.code_descriptions.items()
    own = timeline.described_by_rows
    words = {code: judged(text, "description", code in own and not _is_usual(code, text)) for code, text in described}
    return _with_each_other(timeline, fields, _in_doubt(words))


def _is_usual(code: str, text: str) -> bool:
    """Whether a description is what we call the code ourselves."""
    return text.casefold() == (usual_words(code) or "").casefold()


def _with_each_other(timeline: Timeline, fields: Mapping[str, Judged], words: Judged) -> Doubts:
    """Codes and their descriptions in doubt for each other's reasons."""
    none, described = frozenset[str](), timeline.code_descriptions
    repeated = {code: words[code] for code in words if code.partition("//")[2] == described[code]}
    codes = {code: fields["code"].get(code, none) | repeated.get(code, none) for code in (*fields["code"], *repeated)}
    both = {code: words.get(code, none) | codes.get(code, none) for code in described}
    return Doubts({**fields, "code": codes}, _in_doubt(both))


def _in_doubt(judged: Judged) -> Judged:
    return {value: categories for value, categories in judged.items() if categories}


def _categories(text: str, part: str, tokens: Collection[str], is_unusual: bool) -> set[str]:
    """Categories of one value; a long number is what codes are made of, elsewhere and among words it may be an id.

    is_unusual: whether it comes from a column whose name does not say what it holds, so that it may be a sentence.
    """
    if part == "code":
        prefix, marked, _ = text.partition("//")
        is_term = not is_unusual and marked != "" and prefix not in _WORDS_ALONE
        pieces = text.split("//")
        numbers = (_number(piece) for piece in pieces if " " in piece and not is_term)
        read = (_found(piece.replace("_", " "), tokens, is_term) for piece in pieces)
        return (_found(text, tokens, True) | categories_of_code(text)).union(*read, *numbers)
    return _number(text) | _found(text, tokens, part == "description" and not is_unusual) | _named_alone(text, part)


def _unknown(text: str, part: str, is_own: bool) -> frozenset[str]:
    """The category of a text written for one patient, where no vocabulary knows all its words.

    is_own: whether a description is the patient's own.
    """
    prefix, *pieces = text.split("//")
    if _SIGN_OF_UNIT.search(text) and is_unit(text):
        return frozenset()
    if part == "text_value" or (part == "description" and is_own):
        judged = [text]
    elif part == "unit":
        judged = _LONG_WORD.findall(text)
    else:
        alone = part == "code" and prefix in _WORDS_ALONE
        judged = [piece.replace("_", " ") for piece in pieces if alone and _WRITTEN.fullmatch(piece)]
    return frozenset() if all(map(are_known_words, judged)) else frozenset((UNKNOWN_WORDS,))


def _named_alone(text: str, part: str) -> set[str]:
    return {"name"} if part == "description" and is_name_alone(text) else set()


def _number(text: str) -> set[str]:
    return {"number"} if identifying(text) == "number" else set()


def _found(text: str, tokens: Collection[str], is_term: bool) -> set[str]:
    dates = {"date"} if begins_with_date(text) else set()
    return dates | in_free_text(text, tokens, is_term=is_term)


def search_timeline(timeline: Timeline, doubts: Doubts) -> Iterator[Finding]:
    """What `clean_timeline` takes out: a finding for each category in codes, texts, units and descriptions."""
    for part, word in _PARTS.items():
        values = timeline.events[part].dropna()
        yield from _findings([(value, value) for value in values], doubts.fields[part], word, "event")
    yield from _findings(timeline.code_descriptions.items(), doubts.words, "description", "code")


def _findings(values: Iterable[tuple[str, str]], judged: Judged, part: str, owner: str) -> Iterator[Finding]:
    """Findings in pairs of what was judged and its text; one for each text where the reader is asked about texts."""
    for category in sorted(frozenset[str]().union(*judged.values())):
        hits = [text for value, text in values if category in judged.get(value, ())]
        groups = Counter(hits) if category == UNKNOWN_WORDS else {hits[0]: len(hits)}
        for text, count in groups.items():
            yield Finding(category, f"record, {part} of {count_of(count, owner)}", mask(text))


def clean_timeline(timeline: Timeline, doubts: Doubts) -> Timeline:
    """The timeline without what is in doubt, every event still there, and notes that say how many were changed.

    Texts and descriptions go. A code becomes REMOVED with a number, another one for each code, so that no two kinds of
    event are mixed; a unit becomes a word that no model takes for a unit.
    """
    if not doubts:
        return timeline
    events, fields = timeline.events, doubts.fields
    codes = {code: f"{REMOVED_CODE}//{number}" for number, code in enumerate(fields["code"], 1)}
    kept = events.assign(
        code=_replaced(events["code"], codes),
        text_value=_replaced(events["text_value"], dict.fromkeys(fields["text_value"])),
        unit=_replaced(events["unit"], dict.fromkeys(fields["unit"], REMOVED_UNIT)),
    )
    words = {code: text for code, text in timeline.code_descriptions.items() if code not in doubts.words}
    kinds = {code: kind for code, kind in timeline.code_kinds.items() if code not in codes}
    kinds |= {new: kind_of(old, timeline.code_kinds) for old, new in codes.items()}
    found = _notes(timeline, doubts.without(UNKNOWN_WORDS), "it looked identifying")
    unknown = _notes(timeline, doubts.only(UNKNOWN_WORDS), "no vocabulary knows all its words")
    notes = (*timeline.notes, *found, *unknown)
    own = frozenset(code for code in timeline.described_by_rows if code in words)
    kept_timeline = replace(timeline, events=kept, notes=notes, code_kinds=kinds, digest="")
    return replace(kept_timeline, code_descriptions=words, described_by_rows=own)


def _replaced(values: pd.Series[str], new: Mapping[str, str | None]) -> pd.Series[str]:
    return pd.Series([new.get(value, value) for value in values], values.index, dtype=object)


def kept_note(timeline: Timeline, doubts: Doubts) -> str:
    """What stays by the reader's choice, and of how many events and codes; nothing where there is none."""
    unknown = doubts.only(UNKNOWN_WORDS)
    counts = _counts(timeline, unknown)
    kept = [f"the {words} of {count_of(counts[part], 'event')}" for part, words in _TEXTS.items() if counts[part]]
    if described := len(unknown.words.keys() - unknown.fields["code"].keys()):
        kept.append(f"the description of {count_of(described, 'code')}")
    return f"Kept by choice, though no vocabulary knows all words: {' and '.join(kept)}." if kept else ""


def _counts(timeline: Timeline, doubts: Doubts) -> Mapping[str, int]:
    """Events in which a part is in doubt, by the part."""
    return {part: int(timeline.events[part].isin(list(judged)).sum()) for part, judged in doubts.fields.items()}


def _notes(timeline: Timeline, doubts: Doubts, why: str) -> Iterator[str]:
    """What was taken out, why, and of how many."""
    counts = _counts(timeline, doubts)
    texts, codes, units = (count_of(counts[name], "event") for name in ("text_value", "code", "unit"))
    if counts["text_value"]:
        yield f"Removed, as {why}: the free text of {texts}."
    if counts["code"]:
        yield f"Replaced by {REMOVED_CODE} and a number, as {why}: the code of {codes}."
    if counts["unit"]:
        yield f"Replaced by “{REMOVED_UNIT}”, as {why}: the unit of {units}."
    if doubts.words:
        yield f"Removed, as {why}: the description of {count_of(len(doubts.words), 'code')}."
