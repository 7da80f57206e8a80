"""Which one of several files a refusal is about: by its number in the order of names, as a name may be somebody's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry


def place_of(entry: Entry, entries: Sequence[Entry]) -> int:
    """Which one of the files an entry is, counted by name from 1 on: the name may be somebody's."""
    return 1 + sorted(entries, key=lambda other: other.name.casefold()).index(entry)


@contextmanager
def told_of(entry: Entry, entries: Sequence[Entry]) -> Iterator[None]:
    """A refusal within says which of several files it is about."""
    try:
        yield
    except UserFacingError as error:
        if len(entries) < 2:
            raise
        raise error.where(f"File {place_of(entry, entries)} of {len(entries)}, by name") from error
