"""Names of people among other words, by lists of usual ones: what no term, no eponym and no vocabulary accounts for."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from core.events.icd10 import icd10_descriptions
from core.intake.identifiers.text.names_alone import has_drug_ending
from core.intake.identifiers.text.surnames import is_common_surname, is_surname_too
from core.intake.identifiers.text.unknown_words import are_known_words, without_eponyms
from core.intake.identifiers.text.vocabulary import are_terms, is_plain_word, meanings_of_codes
from core.intake.terms.given_names import GIVEN_TOO, is_given_name

_WORD = re.compile(r"[^\W\d_]{2,}(?:['’][^\W\d_]{2,})?")
_CAPITAL = re.compile(r"[A-ZÀ-ÖØ-Þ][^\W\d_]+")


def holds_listed_name(text: str) -> bool:
    """Whether a word with a capital is a usual given name or a common surname and nothing else; one that vocabularies
    hold beside the same word ("Stevens-Johnson") is what they mean.

    >>> [holds_listed_name(text) for text in ("Sodium Patel", "MEIER", "Stevens-Johnson syndrome", "Wilson's disease")]
    [True, True, False, False]
    """
    words = _WORD.findall(without_eponyms(text))
    named = [word for word in words if word[0].isupper() and is_listed(word)]
    if not named:
        return False
    accounted = {word for pair in pairwise(words) if _folded(pair) in _pairs_of_terms() for word in pair}
    return any(word not in accounted for word in named)


def is_listed(word: str) -> bool:
    """Whether a word is a usual given name or a common surname, and no term, whatever its case.

    >>> is_listed("patel"), is_listed("Min"), is_listed("Brown")
    (True, False, False)
    """
    listed = is_common_surname(word.capitalize()) or (is_given_name(word) and word.casefold() not in GIVEN_TOO)
    return listed and not _is_term(word)


def is_name_alone(text: str) -> bool:
    """Whether a text is a surname and a given name around a comma: one of them listed, however everyday both are, or
    one of them in no vocabulary and the other no term.

    >>> [is_name_alone(text) for text in ("Stone, Grace", "Zorblat, Quill", "Sodium, Urine", "Heparin, Porcine")]
    [True, True, False, False]
    """
    pair = _SURNAME_FIRST.fullmatch(text.strip())
    if pair is None:
        return False
    family, given = pair.groups()
    if is_given_name(given) or given.casefold() in GIVEN_TOO:
        return is_surname_too(family) or not _is_term(family)
    if is_common_surname(family):
        return True
    return not (any(map(_is_term, (family, given))) or (are_known_words(family) and are_known_words(given)))


def _is_term(word: str) -> bool:
    return are_terms([word]) or is_plain_word(word) or has_drug_ending(word)


_SURNAME_FIRST = re.compile(rf"({_CAPITAL.pattern}),\s?({_CAPITAL.pattern})(?:\s[A-Z]\.?)?")


def _folded(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.casefold() for word in words)


@lru_cache(maxsize=1)
def _pairs_of_terms() -> frozenset[tuple[str, ...]]:
    """Neighbours in the descriptions of ICD-10-CM and DICOM's context groups of which one is listed, case-folded."""
    texts = {*icd10_descriptions().values(), *meanings_of_codes()}
    pairs = {pair for text in texts for pair in pairwise(_WORD.findall(text))}
    listed = {word for word in {word for pair in pairs for word in pair} if word[0].isupper() and is_listed(word)}
    return frozenset(_folded(pair) for pair in pairs if not listed.isdisjoint(pair))
