"""Words of examinations that people are called as well, and where such words name somebody."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

NAMES_TOO = frozenset(
    """
    abd arm art best black bone brown brust carter foot gray green grey hand hals head high hill king kopf lang little
    long low max may rein rose scout sharp short small stone strong weich white wood young
    """.split()  # noqa: SIM905
)
"""Of the words that stay: what people are called as well, so that none stays beside a word that goes."""
_GIVEN_TOO = "art|max|may|rose"
_SURNAMES_TOO = (
    "best|black|brown|brust|carter|gray|green|grey|hill|king|lang|little|long|low|sharp|short|small|stone|strong|weich"
    "|white|wood|young"
)
_LISTED = "|".join(sorted(NAMES_TOO - {"abd"}))
_WHOLE_NAME = re.compile(
    rf"\b(?:{_GIVEN_TOO})[\s_]+(?:{_SURNAMES_TOO})\b|\b(?:{_SURNAMES_TOO})[\s_]+(?:{_GIVEN_TOO})\b"
    rf"|\b(?:{_LISTED})\s?[,^]\s?(?:{_GIVEN_TOO})\b|\b(?:pt|pat|by)[.:]?\s(?:{_SURNAMES_TOO})\b",
    re.IGNORECASE,
)
"""A given name and a surname that are both such words ("Max Gray", "Foot, Art"), or one of them behind "pt" or "by"."""


def spans_of_whole_names(text: str) -> Iterator[tuple[int, int]]:
    """(start, stop) of two words that may stay one by one and name somebody together.

    >>> list(spans_of_whole_names("Max Gray Thorax")), list(spans_of_whole_names("Sharp kernel"))
    ([(0, 8)], [])
    """
    return (found.span() for found in _WHOLE_NAME.finditer(text))


def without_names_beside(words: Sequence[tuple[str, bool]]) -> list[str]:
    """Of (word, whether it stays), those that stay, but for names beside a word that goes.

    >>> without_names_beside([("Sharp", True), ("Quill", False), ("Lung", True)])
    ['Lung']
    """
    gone = [False, *(word.isalpha() and not stays for word, stays in words), False]
    doubted = [before or behind for before, behind in zip(gone, gone[2:], strict=False)]
    return [
        word
        for (word, stays), doubt in zip(words, doubted, strict=True)
        if stays and not (doubt and word.casefold() in NAMES_TOO)
    ]
