"""What the search reports, and how values are masked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One place that may identify a person.

    category: kind of identifier ("name", "date", "private", ...). where: the place (tag and keyword, or part of the
    file), never its content. masked: how long the value is, without any of its characters.
    """

    category: str
    where: str
    masked: str


def mask(value: str | bytes) -> str:
    """Dots and a length.

    >>> mask("DOE^JOHN")
    '•••••••• (8 characters)'
    """
    return f"{'•' * min(len(value), 12)} ({len(value)} character{'s' if len(value) != 1 else ''})"
