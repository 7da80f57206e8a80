"""Members of a zip archive as entries: checked once when the archive is opened, small ones unpacked again when read.

Holding a series of slices unpacked beside its volume would take twice the memory; unpacking one takes a millisecond.
An archive that is itself a member is held unpacked: else every read of a member in it would unpack it once more.
"""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from isal import isal_zlib

from core.errors import UserFacingError
from core.intake.files.byte_source import (
    FOLDER,
    Entry,
    EntryReader,
    Judge,
    absent_entry,
    no_file,
    part_of,
    unpacked_entry,
)
from core.intake.files.decompress import damaged, unpacked_pieces
from core.intake.files.limits import MIB, Limits, check_ratio, too_many_entries

_ENCRYPTED = 0x1
_KEPT_FROM = 4 * MIB
"""Members this large are kept unpacked: frames or planes are read from them one by one."""
_BEGINNING = 64 << 10
_LOCAL_HEADER = 30
_LISTED_MOST = 512
"""Bytes that a member takes in the archive's list on average, at most: 46, its name, times and owners."""
_CHUNK = 4 * MIB
_SMALL_CHUNK = 4096
"""For LZMA: of it the library unpacks at once, without bound, as many packed bytes as it is asked for (to 30 MiB)."""
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def zip_entries(entry: Entry, limits: Limits, leave_packed: Judge = no_file) -> Iterator[Entry]:
    """Members of a zip file, each with its checksum verified, the limits enforced on what comes out; folders as absent.

    leave_packed: as for `open_entries`; the checksum of such a member is verified when it is read.
    Raises UserFacingError for a damaged, encrypted or oversized archive.
    """
    with open_zip(entry, limits) as archive:
        produced = held = 0
        for info in archive.infolist():
            left = limits.after(held=held)
            opened = _open_member(archive, entry, info, produced, left, leave_packed)
            if entry.held:
                opened = replace(opened, held=opened.held + info.compress_size)
            produced, held = produced + opened.size, held + opened.held
            yield opened


@contextmanager
def open_zip(entry: Entry, limits: Limits) -> Iterator[zipfile.ZipFile]:
    """A zip file and the list of its members. Raises UserFacingError where it is damaged or the list too long."""
    with _faults_in_words(), _ShortReads(entry, limits) as file, zipfile.ZipFile(file) as archive:
        if len(archive.infolist()) > limits.entries:
            raise too_many_entries(limits)
        yield archive


@contextmanager
def _faults_in_words() -> Iterator[None]:
    try:
        yield
    except NotImplementedError as error:
        raise UserFacingError(
            "The zip archive is packed in a way that this app cannot read, such as Deflate64 or AES.",
            "an ordinary zip archive",
            "Unpack it first and choose the folder.",
        ) from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError, ValueError) as error:
        raise damaged("The zip archive") from error


def _open_member(
    archive: zipfile.ZipFile, outer: Entry, info: zipfile.ZipInfo, before: int, limits: Limits, leave_packed: Judge
) -> Entry:
    """One member, read to its end once unless it is left packed; `before`: bytes that the members before it gave."""
    if info.filename.endswith("/"):
        return absent_entry(info.filename, FOLDER)
    if info.flag_bits & _ENCRYPTED:
        raise UserFacingError(
            "The zip archive is protected by a password.", "an open archive", "Unpack it first and choose the folder."
        )
    if info.file_size >= _KEPT_FROM or info.compress_type not in _BOUNDED:
        pieces = partial(_member_pieces, outer, info, before, limits)
        return unpacked_entry(info.filename, pieces, limits, leave_packed)
    with archive.open(info):
        check_ratio(before + info.file_size, outer.size, limits)
    member = _Member(outer, _data_start(outer, info), info)
    member.unpack()
    return Entry(info.filename, info.file_size, member.read)


def _member_pieces(outer: Entry, info: zipfile.ZipInfo, before: int, limits: Limits) -> Iterator[bytes]:
    """A member piece by piece; its checksum is verified by the time the last has come."""
    unpacked, produced = _bunzipped if info.compress_type == zipfile.ZIP_BZIP2 else _read_in_steps, before
    with _faults_in_words():
        for piece in unpacked(outer, info, limits.after(taken=before)):
            produced += len(piece)
            check_ratio(produced, outer.size, limits)
            yield piece


def _read_in_steps(outer: Entry, info: zipfile.ZipInfo, limits: Limits) -> Iterator[bytes]:
    """A member as the library unpacks it."""
    step = _CHUNK if info.compress_type in _BOUNDED else _SMALL_CHUNK
    with open_zip(outer, limits) as archive, archive.open(info) as stream:
        while piece := stream.read(step):
            yield piece


def _bunzipped(outer: Entry, info: zipfile.ZipInfo, limits: Limits) -> Iterator[bytes]:
    """A member packed with bzip2, of which the library would unpack 3 GiB out of 2 KiB at once."""
    packed = part_of(outer, info.filename, _data_start(outer, info), info.compress_size)
    size = checksum = 0
    for piece in unpacked_pieces(packed, "bzip2", limits=limits):
        size, checksum = size + len(piece), isal_zlib.crc32(piece, checksum)
        yield piece
    if (size, checksum) != (info.file_size, info.CRC):
        raise damaged("The zip archive")


def _data_start(outer: Entry, info: zipfile.ZipInfo) -> int:
    """Where the member's packed bytes begin: behind its local header, whose lengths are its own (APPNOTE 4.3.7)."""
    header = outer.read(info.header_offset, info.header_offset + _LOCAL_HEADER)
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return info.header_offset + _LOCAL_HEADER + lengths


class _ShortReads(io.BufferedReader):
    """A zip file that refuses the one long read of the library: a list of far more members than are allowed."""

    def __init__(self, entry: Entry, limits: Limits) -> None:
        super().__init__(io.FileIO(entry.path) if entry.path else EntryReader(entry))
        self._limits = limits

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes. Raises UserFacingError where more are asked for than a list of members takes."""
        if size is not None and size > max(self._limits.entries * _LISTED_MOST, _CHUNK):
            raise too_many_entries(self._limits)
        return super().read(size)


@dataclass(frozen=True, eq=False)
class _Member:
    """A stored or deflated member, unpacked whenever it is read. start: first packed byte in the archive."""

    outer: Entry
    start: int
    info: zipfile.ZipInfo

    def read(self, start: int = 0, stop: int | None = None) -> memoryview:
        """Bytes [start, stop) of the unpacked member."""
        if stop is not None and stop <= _BEGINNING:
            return memoryview(self._beginning(stop))[start:stop]
        return memoryview(self.unpack())[start:stop]

    def unpack(self) -> bytes:
        """The whole member. Raises UserFacingError where size or checksum differ from what the archive declares."""
        packed = self._packed(self.info.compress_size)
        data = self._inflate(packed, self.info.file_size)
        if len(data) != self.info.file_size or isal_zlib.crc32(data) != self.info.CRC:
            raise damaged("The zip archive")
        return data

    def _beginning(self, count: int) -> bytes:
        """The first `count` bytes, without unpacking the rest."""
        data = self._inflate(self._packed(min(self.info.compress_size, 2 * count)), count)
        return data if len(data) == min(count, self.info.file_size) else self.unpack()[:count]

    def _packed(self, count: int) -> memoryview:
        return self.outer.read(self.start, self.start + count)

    def _inflate(self, packed: memoryview, most: int) -> bytes:
        """At most `most` bytes of the packed ones."""
        if self.info.compress_type == zipfile.ZIP_STORED:
            return bytes(packed[:most])
        if not most:
            return b""
        try:
            return bytes(isal_zlib.decompressobj(wbits=-15).decompress(packed, most))
        except isal_zlib.error as error:  # type: ignore[misc]
            raise damaged("The zip archive") from error
