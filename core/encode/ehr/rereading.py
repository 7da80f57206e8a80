"""A record read anew without some of its events: what event contributions ask of an encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from core.records import Timeline, Tokens

Reread: TypeAlias = Callable[[Sequence[frozenset[int]]], "list[Tokens | None]"]
"""Sets of events of one record -> the tokens of the record without each set, None where they are those of the whole.

Event ids are rows of the whole record."""


@runtime_checkable
class RereadsQuickly(Protocol):
    """An encoder that knows which events can change its tokens."""

    def rereading(self, timeline: Timeline) -> Reread:
        """The timeline, ready to be read anew without some of its events."""
