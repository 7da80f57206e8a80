"""What is asked of a future: any code, what stands under one, a set of codes, or a number beyond a limit."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.events.ancestors import path_of
from core.events.standard_codes import standard_code
from core.foresee.code_parts import UNKNOWN_TEXT, Part
from core.foresee.vocabulary import BINS, FIRST_BIN, Vocabulary

_LIMIT = re.compile(r"(.+?)\s*([<>])\s*(-?\d+(?:\.\d+)?)\s*")
_ICD = re.compile(r"ICD10CM//([A-Z]\d[0-9A-Z])\.([0-9A-Z]+)")
_ATC = re.compile(r"ATC//([A-Z]\d\d)([A-Z])([A-Z0-9]*)")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Query:
    """An event that is asked for. codes: any of them, or what stands under one of them (`core.events.ancestors`).

    above, below: only with a number beyond this limit, in the unit that training saw.
    """

    codes: tuple[str, ...]
    above: float | None = None
    below: float | None = None

    @classmethod
    def of(cls, text: str) -> Query:
        """A code, codes parted by "|", or a code with a limit.

        >>> Query.of("LOINC//2160-0 > 2"), Query.of("I50|ICD10CM//I26.99").codes
        (Query(codes=('LOINC//2160-0',), above=2.0, below=None), ('I50', 'ICD10CM//I26.99'))
        """
        limit = _LIMIT.fullmatch(text)
        if limit is None:
            return cls(tuple(part.strip() for part in text.split("|") if part.strip()))
        codes, sign, number = limit.groups()
        way = {"above" if sign == ">" else "below": float(number)}
        return cls(tuple(part.strip() for part in codes.split("|")), **way)

    @property
    def name(self) -> str:
        """The way it is written."""
        limits = [f" {sign} {value:g}" for sign, value in ((">", self.above), ("<", self.below)) if value is not None]
        return " | ".join(self.codes) + "".join(limits)


@dataclass(frozen=True, eq=False)
class Pattern:
    """Tokens that follow each other. leading: which tokens may stand at each place but the last, bool (v,) each.

    last float (v,): of each token at the last place the share of what it stands for that is meant: 1 but for a tenth
    that the limit parts. from_top: whether that is the upper share.
    """

    leading: tuple[npt.NDArray[np.bool_], ...]
    last: Floats
    from_top: bool = True


@dataclass(frozen=True, eq=False)
class Outcome:
    """A query in tokens: it has happened where the last token of any of its patterns stands."""

    query: Query
    patterns: tuple[Pattern, ...]


def outcome_of(query: Query, vocabulary: Vocabulary) -> Outcome:
    """Raises UserFacingError where training never saw the code, or no numbers of it."""
    patterns = [pattern for code in query.codes for pattern in _patterns(code, query, vocabulary)]
    single = [pattern for pattern in patterns if not pattern.leading]
    merged = [Pattern((), np.max([pattern.last for pattern in single], axis=0))] if single else []
    return Outcome(query, (*merged, *(pattern for pattern in patterns if pattern.leading)))


def _patterns(code: str, query: Query, vocabulary: Vocabulary) -> list[Pattern]:
    wanted = standard_code(code)
    if query.above is not None or query.below is not None:
        return _with_limit(wanted, query, vocabulary)
    stages = _stages(wanted, vocabulary)
    if not all(stage.any() for stage in stages):
        raise UserFacingError(
            f"The event model does not know {code}",
            "a code, or a group of codes, that stood often enough in its training",
            "Ask for a wider group, such as the first three characters of a diagnosis",
        )
    return [Pattern(tuple(stages[:-1]), stages[-1].astype(np.float64))]


def _stages(code: str, vocabulary: Vocabulary) -> list[npt.NDArray[np.bool_]]:
    """Of each token in turn which ones the code and what stands under it may have."""
    if found := _ICD.fullmatch(code):
        first, rest = found.groups()
        stages = [_of(vocabulary, "icd", first), _beginning(vocabulary, "icd middle", rest[:3])]
        return [*stages, _beginning(vocabulary, "icd end", rest[3:])] if len(rest) > 3 else stages
    if found := _ATC.fullmatch(code):
        first, middle, rest = found.groups()
        stages = [_of(vocabulary, "atc", first), _of(vocabulary, "atc middle", middle)]
        return [*stages, _beginning(vocabulary, "atc end", rest)] if rest else stages
    return [_whole(code, vocabulary)]


def _whole(code: str, vocabulary: Vocabulary) -> npt.NDArray[np.bool_]:
    """First parts and whole codes that are the code, begin with it and two slashes, or stand under it."""

    def is_under(part: Part) -> bool:
        if part.text.startswith(UNKNOWN_TEXT) or part.kind not in ("code", "icd", "atc"):
            return False
        if part.kind == "code":
            return part.text == code or part.text.startswith(f"{code}//") or code in path_of(part.text)
        own = f"{'ICD10CM' if part.kind == 'icd' else 'ATC'}//{part.text}"
        return own == code or code in _groups(own)

    return np.array([is_under(part) for part in vocabulary.parts], bool)


def _groups(first: str) -> tuple[str, ...]:
    """Groups above a first part: block and chapter of a diagnosis, letter of a drug."""
    return path_of(first) if first.startswith("ICD10CM") else (first[: len("ATC//X")],)


def _of(vocabulary: Vocabulary, kind: str, text: str) -> npt.NDArray[np.bool_]:
    return np.array([part == Part(kind, text) for part in vocabulary.parts], bool)


def _beginning(vocabulary: Vocabulary, kind: str, text: str) -> npt.NDArray[np.bool_]:
    return np.array(
        [part.kind == kind and part.text.startswith(text) and part.text != UNKNOWN_TEXT for part in vocabulary.parts],
        bool,
    )


def _with_limit(code: str, query: Query, vocabulary: Vocabulary) -> list[Pattern]:
    """The code, then a tenth; a tenth that the limit parts counts with its share of training values beyond."""
    if query.above is not None and query.below is not None:
        raise UserFacingError("Two limits are given for one number", "a number above or below one limit", "Ask twice")
    tokens = [token for token in np.flatnonzero(_whole(code, vocabulary)).tolist() if token in vocabulary.values]
    if not tokens:
        raise UserFacingError(
            f"The event model knows no numbers of {code}", "a code that had numbers in its training", "Ask for another"
        )
    found = []
    for token in tokens:
        values, last = vocabulary.values[token], np.zeros(len(vocabulary))
        above = query.above is not None
        share = values.share_above(query.above) if query.above is not None else values.share_below(query.below or 0.0)
        last[FIRST_BIN : FIRST_BIN + BINS] = share
        found.append(Pattern((np.arange(len(vocabulary)) == token,), last, above))
    return found
