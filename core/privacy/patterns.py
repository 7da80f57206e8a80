"""Text that looks like an identifier, whatever field it stands in."""

from __future__ import annotations

import re
from collections.abc import Collection

_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("contact", re.compile(r"[\w.+-]+@[\w-]+\.\w+|https?://|www\.")),
    ("name", re.compile(r"[A-Za-z]{2,}\^[A-Za-z]+|\b(Dr|Mr|Mrs|Ms|Prof)\b\.?\s+[A-Z]")),
    (
        "date",
        re.compile(
            r"\b(19|20)\d{2}[-/.]?(0[1-9]|1[0-2])[-/.]?(0[1-9]|[12]\d|3[01])\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b"
        ),
    ),
    ("number", re.compile(r"\b\d{3}-\d{2}-\d{4}\b|\+?\d[\d ()-]{8,}\d|\b[A-Z]{0,3}\d{6,}\b")),
)
_NOBODY = frozenset(("anonymous", "anonymized", "none", "unknown"))
WORD_BREAKS = re.compile(r"[\s_/\\,;:()\[\]^+=.-]+")


def identifying(text: str, tokens: Collection[str] = ()) -> str | None:
    """Category of identifier that `text` seems to hold, or None.

    tokens: parts of the patient's own name and id (case-folded), found elsewhere in the source.

    >>> identifying("JOHN.DOE@EXAMPLE.ORG"), identifying("Thorax 1.0 B45f"), identifying("scan of doe", {"doe"})
    ('contact', None, 'name')
    """
    for category, pattern in _PATTERNS:
        if pattern.search(text):
            return category
    folded = {word for word in WORD_BREAKS.split(text.casefold()) if word}
    return "name" if folded & set(tokens) else None


def name_tokens(texts: Collection[str]) -> frozenset[str]:
    """Case-folded parts (three or more characters) of names and ids, to look for in other places."""
    parts = (part for text in texts for part in re.split(r"[\s^=,._-]+", text.casefold()))
    return frozenset(
        part for part in parts if len(part) >= 3 and part not in ("anonymous", "anonymized", "none", "unknown")
    )


def printable_runs(data: bytes | memoryview, shortest: int = 4) -> list[bytes]:
    """Runs of printable ASCII in binary data."""
    return re.findall(rb"[\x20-\x7e]{%d,}" % shortest, bytes(data))
