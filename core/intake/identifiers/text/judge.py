"""One judgement of each text: the same values stand in a record again and again."""

from __future__ import annotations

import re

from core.intake.identifiers.text.free_text import in_free_text
from core.intake.identifiers.text.phrases import forms_in
from core.intake.terms.identifier_patterns import identifying

_MOST = 1 << 18
_LONGEST = 256
"""Texts remembered, and characters of one; longer ones hardly come twice."""
_NO_LETTER = re.compile(r"[^A-Za-z]+", re.ASCII)


class Judge:
    """What texts seem to hold beside the words of one patient; remembers them, and so may not outlive its search."""

    def __init__(self, words: frozenset[str] = frozenset()) -> None:
        """words: case-folded, of the patient's name and id."""
        self.words = words
        self._judged: dict[tuple[str, bool], frozenset[str]] = {}
        self._numbers: dict[str, bool] = {}

    def knowing(self, words: frozenset[str]) -> Judge:
        """A judge that knows these words: this one, with all it remembers, where it does."""
        return self if words == self.words else Judge(words)

    def categories(self, text: str, *, is_term: bool = False) -> frozenset[str]:
        """Categories of identifier that a text seems to hold, as
        `core.intake.identifiers.text.free_text.in_free_text` tells them.

        >>> Judge().categories("120/80"), Judge(frozenset({"doe"})).categories("doe")
        (frozenset(), frozenset({'name'}))
        """
        known = self._judged.get((text, is_term))
        if known is None:
            known = frozenset(self._told(text, is_term))
            if len(text) <= _LONGEST and len(self._judged) < _MOST:
                self._judged[text, is_term] = known
        return known

    def _told(self, text: str, is_term: bool) -> set[str]:
        """Numbers without a letter are told by their form alone, but for the patient's own."""
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
