"""Identifiers in the values of records and in other texts: what a value looks like, whatever its field is called."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from itertools import pairwise

from core.intake.identifiers.text.names_alone import is_bare_name
from core.intake.identifiers.text.names_in_context import is_named_by_role, is_named_place
from core.intake.identifiers.text.names_listed import holds_listed_name
from core.intake.identifiers.text.names_other_scripts import names_in_other_scripts
from core.intake.identifiers.text.phrases import forms_in, names_someone
from core.intake.identifiers.text.surnames import is_common_surname, is_surname_too
from core.intake.identifiers.text.vocabulary import are_terms, is_diagnosis, known_codes
from core.intake.terms.given_names import is_given_name
from core.intake.terms.identifier_patterns import WORDS

_CAPITALS = re.compile(r"\b([A-Z]{2,}),\s?([A-Z]{2,})\b")
_PUBLIC_HOST = re.compile(
    r"(?:https?://|(?<![@\w.-])www\.)(?:[\w-]+\.)*(?:(?:loinc|hl7|unitsofmeasure|ama-assn|nema|ohdsi)\.org|snomed\.info|whocc\.no|who\.int"
    r"|(?:nih|cms|cdc|fda)\.gov|(?:fhir|dimdi|bfarm|gematik)\.de|ihe\.net)\b|\burn:oid:[\d.]+"
)
"""Publishers of terminologies, whose addresses and numbers stand before codes."""
_SENTENCE_WORDS = 6
_LONGEST_ABBREVIATION = 5
_TELLING = frozenset(
    """
    she he her his him herself himself today yesterday tomorrow denies complains lives pt
    sie ihr ihre ihrer seine seiner heute gestern morgen elle aujourd hui hier ella hoy ayer
    """.split()  # noqa: SIM905
)
"""Words that tell of a person or a day, which hardly any name of a code holds."""
_UNJUDGED = re.compile(
    "[\u0370-\u03ff]{3}|[\u0530-\u058f]{2}|[\u0590-\u05ff]{2}|[\u0600-\u06ff]{2}|[\u0900-\u0dff]{2}|[\u0e00-\u0e7f]{2}"
    "|[\u10a0-\u10ff]{2}"
)
"""Words in scripts in which no name is told from other words here: Greek, Armenian, Hebrew, Arabic, those of India,
Thai, Georgian. A single Greek letter is a sign."""
_ALONE = re.compile(r"(?<![\w.-])(?<!//)\d+(?![\w-]|\.\d)")
_MOST_VALUE_DIGITS = 4


def begins_with_date(text: str) -> bool:
    """Whether a value of a record is a date, or a year and month, with or without a time of day."""
    return bool(re.match(r"(18|19|20)\d{2}-\d{2}(-\d{2})?", text))


def is_public_address(text: str) -> bool:
    """Whether an address is one of a publisher of terminologies.

    >>> is_public_address("http://hl7.org/fhir/StructureDefinition/x"), is_public_address("https://pacs.example.org/1")
    (True, False)
    """
    return _PUBLIC_HOST.match(text) is not None


def in_free_text(text: str, tokens: Collection[str] = (), *, is_term: bool = False) -> set[str]:
    """Categories of identifier that a text value seems to hold; "free text" where it reads like a sentence.

    A text whose words are all those of diagnoses and measurements is no sentence, however long. tokens: case-folded
    words of the patient's name and id; short numbers among them count only where they stand alone beside words.
    is_term: whether the text stands where codes and their names do; long ones are sentences only where they tell of
    someone.

    >>> sorted(in_free_text("Seen by Dr Smith, call 555-010-1234")), in_free_text("ICD10CM//I26.99")
    (['contact', 'free text', 'name'], set())
    >>> in_free_text("she walks with her daughter every day"), in_free_text("Malignant neoplasm of upper lobe of lung")
    ({'free text'}, set())
    """
    text = _PUBLIC_HOST.sub("", text) if ":" in text or "www." in text else text
    text = _as_read(text)
    found = forms_in(text)
    words = re.findall(r"[^\W\d_]{2,}", text)
    named = names_someone(text, is_term=is_term) or _name_in_capitals(text, is_term)
    named = named or names_in_other_scripts(text) or (not is_term and is_bare_name(text)) or _holds_full_name(text)
    found |= _named_among_words(text) | ({"name"} if named else set())
    found |= _of_own_words(text, tokens, is_term)
    if _UNJUDGED.search(text) or _is_sentence(text, words, is_term) or (found and len(words) > 2):
        found.add("free text")
    return found


def _named_among_words(text: str) -> set[str]:
    """Categories of what is named by the words beside it, or in lists; in no text that a vocabulary has as it is."""
    if " " in text and (text.casefold() in known_codes()[1] or is_diagnosis(text)):
        return set()
    found = {"name"} if is_named_by_role(text) or holds_listed_name(text) else set()
    return found | ({"institution"} if is_named_place(text) else set())


def _as_read(text: str) -> str:
    """A text as it looks: letters of full width as usual ones, accents joined to their letters, none without width."""
    if text.isascii():
        return text
    return "".join(sign for sign in unicodedata.normalize("NFKC", text) if unicodedata.category(sign) != "Cf")


def _is_sentence(text: str, words: Sequence[str], is_term: bool) -> bool:
    if len(words) < _SENTENCE_WORDS or are_terms(_without_abbreviations(words)) or is_diagnosis(text):
        return False
    return not is_term or any(word.casefold() in _TELLING for word in words)


def _without_abbreviations(words: Sequence[str]) -> list[str]:
    """Words but those in capitals among others ("HIV DNA polymerase chain reaction")."""
    plain = [word for word in words if not (word.isupper() and len(word) <= _LONGEST_ABBREVIATION)]
    return plain if any(word.islower() for word in words) else list(words)


def _name_in_capitals(text: str, is_term: bool) -> bool:
    """Whether two words in capitals around a comma are a name ("DOE, JANE"), not a test ("SODIUM, URINE")."""
    pairs = () if is_diagnosis(text) else _CAPITALS.finditer(text)
    return any(
        is_surname_too(pair[1]) or not (are_terms(pair.groups()) or _among_terms(pair, is_term)) for pair in pairs
    )


def _holds_full_name(text: str) -> bool:
    """Whether a usual given name stands beside a common surname, both with a capital, in either order."""
    words = re.findall(r"[^\W\d_]{2,}", text)
    return any(_are_full_name(*pair) or _are_full_name(*reversed(pair)) for pair in pairwise(words))


def _are_full_name(given: str, family: str) -> bool:
    return given[0].isupper() and is_given_name(given) and is_common_surname(family)


def _among_terms(pair: re.Match[str], is_term: bool) -> bool:
    """Whether all words before the comma are terms ("MYOCARDIAL INFARCTION, EXPIRED"); in a code's name, whether
    one of the two is and others around are ("OTHER HEPATOBILIARY, PANCREAS & ABDOMINAL PROCEDURES")."""
    before = re.findall(r"[^\W\d_]{2,}", pair.string[: pair.start()].rpartition("//")[2])
    if before and are_terms([*before, pair[1]]):
        return True
    around = [word for word in (*before, *re.findall(r"[^\W\d_]{2,}", pair.string[pair.end() :])) if len(word) > 3]
    return is_term and any(are_terms([word]) for word in pair.groups()) and any(are_terms([word]) for word in around)


def _of_own_words(text: str, tokens: Collection[str], is_term: bool) -> set[str]:
    """Categories of words that are the patient's own; a code's or a value's digits are not a patient id by chance, and
    in a code or its name a word of terms is itself ("White blood cells" of a patient called White)."""
    if not tokens:
        return set()
    folded = text.casefold()
    numbers = {number for number in _ALONE.findall(folded) if len(number) > _MOST_VALUE_DIGITS or number != folded}
    met = {token for token in set(WORDS.findall(folded)) & set(tokens) if not token.isdigit()}
    own = (numbers & set(tokens)) | {token for token in met if not (is_term and are_terms([token]))}
    return {"identifier" if any(map(str.isdigit, token)) else "name" for token in own}
