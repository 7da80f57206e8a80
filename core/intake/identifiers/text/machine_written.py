"""Times and references as programs write them: thousands in a record, each another, and judged by their form alone."""

from __future__ import annotations

import re
from collections.abc import Callable

from core.intake.identifiers.text.phrases import holds_date
from core.intake.record.fhir.resource_types import is_kind

_STAMP = re.compile(
    r"(?:18|19|20)\d{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
    r"(?:[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)?)?"
)
_REFERENCE = re.compile(r"((?:urn:uuid:|[A-Z][A-Za-z]{2,40}/|#)?)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_NUMBERED = re.compile(r"(urn:uuid:|[A-Z][A-Za-z]{2,40}/|#|[a-z]{1,2}-?)(\d{1,7})", re.ASCII)
_DIGIT = "5"
_LIKE = "00000000-0000-4000-8000-000000000000"
_DATE_WITHIN = re.compile(r"(?:18|19|20)\d\d|dec|feb")
"""Without one of these, a text of hexadecimal digits holds no form of a date."""
_WORD = re.compile(r"[a-zA-Z]{2,}")
_DATE = frozenset(("date",))
_MANY_WORDS = 2


def is_stamp(text: str) -> bool:
    """Whether a text is a date or a time of ISO 8601 and nothing else.

    >>> is_stamp("2020-01-02"), is_stamp("2020-01-02T10:30:00.25+01:00"), is_stamp("2020-13-02"), is_stamp("2020-01")
    (True, True, False, False)
    """
    return _STAMP.fullmatch(text) is not None


def reference_kind(text: str) -> str | None:
    """What stands before the number of a reference, of which `categories_of_references` holds; None for any other text.

    >>> reference_kind("urn:uuid:00000000-0000-4000-8000-00000000beef"), reference_kind("Patient/7")
    ('urn:uuid:', None)
    """
    reference = _REFERENCE.fullmatch(text)
    # A bed and its number are a place.
    return None if reference is None or "bed" in text or text.endswith(_LIKE) else reference[1]


def categories_of_references(kind: str, judged: Callable[[str], frozenset[str]]) -> frozenset[str]:
    """All categories that references of a kind may have, whatever their number."""
    return judged(kind + _LIKE) | {"date", "free text"}


def of_machine(text: str, judged: Callable[[str], frozenset[str]]) -> frozenset[str] | None:
    """The categories of a text that only a program writes; None for any other, and where a look at it must tell.

    judged: gives those of any text; asked for a reference of the same kind.
    """
    if _STAMP.fullmatch(text):
        return _DATE
    if (numbered := _NUMBERED.fullmatch(text)) and (numbered[1][-1] != "/" or is_kind(numbered[1][:-1])):
        like = numbered[1] + _DIGIT * len(numbered[2])
        return None if like == text else judged(like)
    kind = reference_kind(text)
    if kind is None:
        return None
    plain = judged(kind + _LIKE)
    if _DATE_WITHIN.search(text) and holds_date(text):
        plain |= {"date"}
    many = len(_WORD.findall(text)) > _MANY_WORDS
    return plain | {"free text"} if many else plain
