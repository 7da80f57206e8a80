"""Members of a tar archive as ranges of it; headers that would keep the library busy, or end it, are refused."""

from __future__ import annotations

import io
import re
import tarfile as library
from collections.abc import Iterator
from itertools import islice
from typing import Self

from core.errors import UserFacingError
from core.intake.files.byte_source import FOLDER, Entry, EntryReader, absent_entry, part_of
from core.intake.files.decompress import damaged
from core.intake.files.limits import MIB, Limits, too_many_entries

_BLOCK = 512
_EXTENDING = (
    library.XHDTYPE, library.XGLTYPE, library.SOLARIS_XHDTYPE, library.GNUTYPE_LONGNAME, library.GNUTYPE_LONGLINK,
)  # fmt: skip
"""Headers that only say more of the next member, or of all that follow (POSIX.1-2001, pax; GNU tar)."""
_LOOKED_AT = (*_EXTENDING, library.GNUTYPE_SPARSE)
_NO_PLAIN_SIZE = re.compile(rb".*[^ 0-7\0]", re.DOTALL)
_MOST_IN_A_ROW = 8
_MOST_EXTENDING = 512
"""Bytes of such headers a member on average, at most."""
_MOST_SHARED = 1024
"""Bytes of headers for all members that follow: the library copies what they say for each."""


def tar_entries(outer: Entry, limits: Limits) -> Iterator[Entry]:
    """Regular files of a tar archive as ranges of it; links, special files and folders as absent.

    Raises UserFacingError for an archive that is damaged, has too many members, or sparse ones.
    """
    last = 0
    for member in tar_headers(outer, limits):
        last = member.offset_data + (0 if member.issym() or member.islnk() else -(-member.size // 512) * 512)
        yield _entry(member, outer)
    # tarfile takes a damaged header for the end of the archive; the real end is at least one block of zeros.
    if last >= outer.size or any(bytes(outer.read(at, at + MIB)).strip(b"\0") for at in range(last, outer.size, MIB)):
        raise damaged("The tar archive")


def tar_headers(outer: Entry, limits: Limits) -> Iterator[library.TarInfo]:
    """What a tar archive says of its members, what it says of all of them included.

    Raises UserFacingError for an archive that is damaged, has too many members, or sparse ones.
    """
    try:
        with _Archive(outer, limits) as archive:
            members = iter(archive)
            yield from islice(members, limits.entries)
            if next(members, None) is not None:
                raise too_many_entries(limits)
    except (library.TarError, EOFError, OSError, ValueError, OverflowError) as error:
        raise damaged("The tar archive") from error


def _entry(member: library.TarInfo, outer: Entry) -> Entry:
    if member.isdir():
        return absent_entry(member.name, FOLDER)
    if not member.isreg():
        return absent_entry(member.name, "link" if member.issym() or member.islnk() else "special file")
    if not member.offset_data <= member.offset_data + member.size <= outer.size:
        raise damaged("The tar archive")
    return part_of(outer, member.name, member.offset_data, member.size)


class _Guard:
    """Looks at every header of a tar archive before the library follows it."""

    def __init__(self, outer: Entry, limits: Limits) -> None:
        self._outer, self._most = outer, limits.entries * _MOST_EXTENDING
        self._in_a_row = self._extending = self._shared = 0

    def enter(self, start: int) -> None:
        """Called at the header that begins at byte `start`, before it is read."""
        self._in_a_row += 1
        block = bytes(self._outer.read(start, start + _BLOCK))
        if block[156:157] not in _LOOKED_AT and not _NO_PLAIN_SIZE.match(block, 124, 136):
            return
        try:
            header = library.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except library.HeaderError:
            return
        if header.size < 0:
            raise damaged("The tar archive")
        if header.type in _EXTENDING:
            self._check(header, start + _BLOCK)
        elif header.type == library.GNUTYPE_SPARSE:
            raise _sparse()

    def leave(self) -> None:
        """Called when a header, and those that it extends, have been read."""
        self._in_a_row -= 1

    def _check(self, header: library.TarInfo, body: int) -> None:
        self._extending += header.size
        self._shared += header.size if header.type == library.XGLTYPE else 0
        if self._in_a_row > _MOST_IN_A_ROW or self._extending > self._most or self._shared > _MOST_SHARED:
            raise UserFacingError(
                "The headers of the tar archive are longer than those of any CT study.",
                "an ordinary tar archive",
                "Unpack it first and choose the folder.",
            )
        if b"GNU.sparse" in bytes(self._outer.read(body, body + header.size)):
            raise _sparse()


class _Archive(library.TarFile):
    """A tar file read where it lies, its headers guarded."""

    def __init__(self, outer: Entry, limits: Limits) -> None:
        self.guard = _Guard(outer, limits)
        super().__init__(fileobj=io.BufferedReader(EntryReader(outer)), mode="r", tarinfo=_Header)


class _Header(library.TarInfo):
    """One header; one that extends others reads those within."""

    @classmethod
    def fromtarfile(cls, tarfile: library.TarFile) -> Self:
        """The next member, its header looked at first."""
        guard: _Guard = tarfile.guard  # type: ignore[attr-defined]
        guard.enter(tarfile.fileobj.tell() if tarfile.fileobj else 0)
        try:
            return super().fromtarfile(tarfile)
        finally:
            guard.leave()


def _sparse() -> UserFacingError:
    return UserFacingError(
        "The tar archive holds sparse files, which this app cannot read.",
        "an archive with whole files",
        "Unpack it first and choose the folder.",
    )
