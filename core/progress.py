"""What long work calls as it goes; both may raise, which stops the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
Progress = Callable[[float, str], None]
"""Told the share done, 0 to 1, and what is being done in words."""
Share = Callable[[float], None]
"""Told the share done, 0 to 1."""


def watched(items: Sequence[T], progress: Progress | None, words: str, every: int = 1) -> Iterator[T]:
    """The items, which are files; before each, or each of so many, `progress` is told its place behind the words.

    >>> list(watched("ab", lambda share, words: print(share, words), "Reading"))
    0.0 Reading: file 1 of 2
    0.5 Reading: file 2 of 2
    ['a', 'b']
    """
    for number, item in enumerate(items):
        if progress and number % every == 0:
            place = f": file {number + 1:,} of {len(items):,}" if len(items) > 1 else ""
            progress(number / len(items), f"{words}{place}")
        yield item
