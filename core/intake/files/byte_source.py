"""One file of a source as named byte ranges, on disk or in memory, read-only."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import UserFacingError
from core.intake.files.limits import MIB, Limits, check_held

FOLDER = "folder"
"""In place of a folder of an archive, which counts as an entry of it and is then dropped."""
Judge = Callable[[memoryview], bool]
"""Judges a packed file by the beginning of what it packs."""
_BEGINNING = MIB
"""Unpacked bytes by which a packed file is judged; a shorter one is never left packed."""


def no_file(beginning: memoryview) -> bool:
    """The judge that leaves nothing packed."""
    return False


@dataclass(frozen=True, eq=False)
class Entry:
    """One file of a source. `read(start, stop)` returns its bytes; `path` is where it lies on disk, if it does.

    absent: what stands in place of a file and is never opened ("link", "special file"), else "". It reads as empty, so
    that it is missed and counted.
    pieces: of a file left packed, its bytes in order, unpacked while they are taken, verified once the last has come;
    `read` and `size` know the beginning of such a file only. held: bytes of memory that it takes until it is let go.
    """

    name: str
    size: int
    read: Callable[[int, int | None], memoryview]
    path: Path | None = None
    absent: str = ""
    pieces: Callable[[], Iterator[bytes]] | None = None
    held: int = 0


def memory_entry(name: str, data: bytes | bytearray | memoryview) -> Entry:
    """An entry over bytes held in memory (not copied)."""
    view = memoryview(data)

    def read(start: int = 0, stop: int | None = None) -> memoryview:
        return view[start:stop]

    return Entry(name, len(view), read)


def unpacked_entry(name: str, pieces: Callable[[], Iterator[bytes]], limits: Limits, leave_packed: Judge) -> Entry:
    """A packed file unpacked into memory, or its beginning only where `leave_packed` says that it is read in order."""
    data, running = bytearray(), pieces()
    for piece in running:
        data += piece
        if len(data) >= _BEGINNING:
            break
    beginning = bytes(data)
    if len(data) >= _BEGINNING and leave_packed(memoryview(beginning)):
        return replace(memory_entry(name, beginning), pieces=pieces)
    for piece in running:
        data += piece
        check_held(len(data), limits)
    return replace(memory_entry(name, data), held=len(data))


def part_of(outer: Entry, name: str, start: int, size: int) -> Entry:
    """An entry over a range of another one, not copied."""

    def read(first: int = 0, stop: int | None = None) -> memoryview:
        last = size if stop is None else min(stop, size)
        return outer.read(start + min(first, last), start + last)

    return Entry(name, size, read, held=size if outer.held else 0)


def absent_entry(name: str, kind: str) -> Entry:
    """A link or the like, in place of the file that is not there."""
    return replace(memory_entry(name, b""), absent=kind)


class InOrder:
    """The bytes of a file left packed, taken from its beginning to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._piece = pieces, memoryview(b"")

    def _next(self, most: int) -> memoryview:
        """At least one and at most `most` bytes; none at the end."""
        while not self._piece and (piece := next(self._pieces, None)) is not None:
            self._piece = memoryview(piece)
        taken, self._piece = self._piece[:most], self._piece[most:]
        return taken

    def skip(self, count: int) -> None:
        """Pass over `count` bytes, or what there is."""
        while count and (piece := self._next(count)):
            count -= len(piece)

    def finish(self) -> int:
        """Go to the end, where checksums are verified; returns how many bytes were left."""
        left = len(self._piece) + sum(map(len, self._pieces))
        self._piece = memoryview(b"")
        return left

    def take(self, count: int) -> memoryview:
        """The next `count` bytes, or what there is."""
        piece = self._next(count)
        if len(piece) == count:
            return piece
        data, filled = bytearray(count), 0
        while piece:
            data[filled : filled + len(piece)] = piece
            filled += len(piece)
            piece = self._next(count - filled)
        return memoryview(data)[:filled]


class EntryReader(io.RawIOBase):
    """An entry as a file that is read on demand, without the copy that BytesIO makes."""

    name = ""
    """Libraries ask for it, and keep it."""

    def __init__(self, entry: Entry) -> None:
        self._entry, self._at = entry, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; returns the new place."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._entry.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; returns how many bytes there were."""
        piece = self._entry.read(self._at, self._at + len(buffer))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def file_entry(path: Path, name: str = "", size: int | None = None) -> Entry:
    """An entry over a file on disk, read on demand. It and its reads raise UserFacingError where that fails.

    name, size: its own name and what the system says, unless given.
    """

    def read(start: int = 0, stop: int | None = None) -> memoryview:
        try:
            with open(path, "rb", buffering=0) as handle:
                if start:
                    handle.seek(start)
                return memoryview(handle.readall() if stop is None else _read_up_to(handle, max(stop - start, 0)))
        except OSError as error:
            raise unreadable() from error

    try:
        return Entry(name or path.name, path.stat().st_size if size is None else size, read, path)
    except OSError as error:
        raise unreadable() from error


def _read_up_to(handle: io.FileIO, count: int) -> bytes:
    """The next `count` bytes of an unbuffered file, or what there is; the system may hand them over in pieces."""
    data = handle.read(count)
    if len(data) == count or not data:
        return data
    pieces = [data]
    while (left := count - sum(map(len, pieces))) and (more := handle.read(left)):
        pieces.append(more)
    return b"".join(pieces)


def unreadable() -> UserFacingError:
    """The refusal for a file that the system does not hand over."""
    return UserFacingError(
        "A file of the source cannot be read.",
        "files that the app may read and that stay unchanged while they load",
        "Check the permissions and choose the source again.",
    )
