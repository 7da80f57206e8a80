"""One file of a source as named byte ranges, on disk or in memory, read-only."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import UserFacingError

FOLDER = "folder"
"""In place of a folder of an archive, which counts as an entry of it and is then dropped."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One file of a source. `read(start, stop)` returns its bytes; `path` is where it lies on disk, if it does.

    absent: what stands in place of a file and is never opened ("link", "special file"), else "". It reads as empty, so
    that it is missed and counted.
    """

    name: str
    size: int
    read: Callable[[int, int | None], memoryview]
    path: Path | None = None
    absent: str = ""


def memory_entry(name: str, data: bytes | bytearray | memoryview) -> Entry:
    """An entry over bytes held in memory (not copied)."""
    view = memoryview(data)

    def read(start: int = 0, stop: int | None = None) -> memoryview:
        return view[start:stop]

    return Entry(name, len(view), read)


def absent_entry(name: str, kind: str) -> Entry:
    """A link or the like, in place of the file that is not there."""
    return replace(memory_entry(name, b""), absent=kind)


class ViewReader(io.RawIOBase):
    """Bytes in memory as a file, without the copy that BytesIO makes of a bytearray."""

    def __init__(self, view: memoryview) -> None:
        self._view, self._at = view, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; returns the new place."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._view)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; returns how many bytes there were."""
        piece = self._view[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def file_entry(path: Path) -> Entry:
    """An entry over a file on disk, read on demand."""

    def read(start: int = 0, stop: int | None = None) -> memoryview:
        try:
            with open(path, "rb", buffering=0) as handle:
                handle.seek(start)
                return memoryview(handle.readall() if stop is None else _read_up_to(handle, max(stop - start, 0)))
        except OSError as error:
            raise _unreadable() from error

    try:
        return Entry(path.name, path.stat().st_size, read, path)
    except OSError as error:
        raise _unreadable() from error


def _read_up_to(handle: io.FileIO, count: int) -> bytes:
    """The next `count` bytes of an unbuffered file, or what there is; the system may hand them over in pieces."""
    data = handle.read(count)
    if len(data) == count or not data:
        return data
    pieces = [data]
    while (left := count - sum(map(len, pieces))) and (more := handle.read(left)):
        pieces.append(more)
    return b"".join(pieces)


def _unreadable() -> UserFacingError:
    return UserFacingError(
        "A file of the source cannot be read.",
        "files that the app may read and that stay unchanged while they load",
        "Check the permissions and choose the source again.",
    )
