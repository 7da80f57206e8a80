"""One judgement of each text: the same values stand in a record again and again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

from core.intake.identifiers.text.free_text import in_free_text
from core.intake.identifiers.text.machine_written import of_machine
from core.intake.identifiers.text.phrases import forms_in
from core.intake.terms.identifier_patterns import identifying

_MOST = 1 << 18
_LONGEST = 256
"""Texts remembered, and characters of one; of longer ones a digest is."""
_NO_LETTER = re.compile(r"[^A-Za-z]+", re.ASCII)


def _digest(text: str) -> bytes:
    """What a long text is known by: a note stands in a document and in its report."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Judge:
    """What texts seem to hold beside the words of one patient; remembers them, and so may not outlive its search."""

    def __init__(self, words: frozenset[str] = frozenset(), before: Judge | None = None) -> None:
        """words: case-folded, of the patient's name and id. before: a judge who knows no words, and what it
        remembers."""
        self.words = words
        self._judged: dict[tuple[str | bytes, bool], frozenset[str]] = {}
        self._numbers: dict[str, bool] = {}
        self._nobodys = before
        self._own = re.compile("|".join(map(re.escape, sorted(words)))) if words else None

    def knowing(self, words: frozenset[str]) -> Judge:
        """A judge that knows these words: this one, with all it remembers, where it does.

        What holds none of the words is judged as by one who knows none.
        """
        return self if words == self.words else Judge(words, self._nobodys or (None if self.words else self))

    def categories(self, text: str, *, is_term: bool = False) -> frozenset[str]:
        """Categories of identifier that a text seems to hold, as
        `core.intake.identifiers.text.free_text.in_free_text` tells them.

        >>> Judge().categories("120/80"), Judge(frozenset({"doe"})).categories("doe")
        (frozenset(), frozenset({'name'}))
        """
        key = (text if len(text) <= _LONGEST else _digest(text), is_term)
        known = self._judged.get(key)
        if known is None:
            written = of_machine(text, self._as_term if is_term else self._as_text)
            if written is not None and not self.may_name(text):
                return written
            known = frozenset(self._told(text, is_term))
            if len(self._judged) < _MOST:
                self._judged[key] = known
        return known

    def _as_text(self, text: str) -> frozenset[str]:
        return self.categories(text)

    def _as_term(self, text: str) -> frozenset[str]:
        return self.categories(text, is_term=True)

    def may_name(self, text: str) -> bool:
        """Whether a text may hold a word of the patient."""
        return self._own is not None and self._own.search(text.casefold()) is not None

    def _told(self, text: str, is_term: bool) -> Collection[str]:
        """Numbers without a letter are told by their form alone, but for the patient's own."""
        if self._nobodys and text.isascii() and not self.may_name(text):
            return self._nobodys.categories(text, is_term=is_term)
        if not self.words and text.isascii() and _NO_LETTER.fullmatch(text):
            return forms_in(text)
        return in_free_text(text, self.words, is_term=is_term)

    def is_number(self, name: str) -> bool:
        """Whether the name of a column or field is, or holds, a number that may be an id."""
        known = self._numbers.get(name)
        if known is None:
            known = identifying(name.replace("_", " ")) == "number"
            if len(name) <= _LONGEST and len(self._numbers) < _MOST:
                self._numbers[name] = known
        return known
