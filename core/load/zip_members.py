"""Members of a zip archive as entries: checked once when the archive is opened, small ones unpacked again when read.

Holding a series of slices unpacked beside its volume would take twice the memory; unpacking one takes a millisecond.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from isal import isal_zlib

from core.errors import UserFacingError
from core.load.entry import Entry, EntryReader, Judge, no_file, unpacked_entry
from core.load.inflate import damaged
from core.load.limits import MIB, Limits, check_ratio, too_many_entries

_ENCRYPTED = 0x1
_KEPT_FROM = 4 * MIB
"""Members this large are kept unpacked: frames or planes are read from them one by one."""
_BEGINNING = 64 << 10
_LOCAL_HEADER = 30
_CHUNK = 4 * MIB


def zip_entries(entry: Entry, limits: Limits, leave_packed: Judge = no_file) -> Iterator[Entry]:
    """Regular members of a zip file, each with its checksum verified, the limits enforced on what really comes out.

    leave_packed: as for `open_entries`; the checksum of such a member is verified when it is read.
    Raises UserFacingError for a damaged, encrypted or oversized archive.
    """
    with _faults_in_words(), _archive(entry) as archive:
        infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
        if len(infos) > limits.entries:
            raise too_many_entries(limits)
        produced = held = 0
        for info in infos:
            left = replace(limits, held=limits.held - held)
            opened = _open_member(archive, entry, info, produced, left, leave_packed)
            if entry.held:
                opened = replace(opened, held=opened.held + info.compress_size)
            produced, held = produced + opened.size, held + opened.held
            yield opened


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
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as error:
        raise damaged("The zip archive") from error


def _archive(entry: Entry) -> zipfile.ZipFile:
    return zipfile.ZipFile(entry.path or io.BufferedReader(EntryReader(entry)))


def _open_member(
    archive: zipfile.ZipFile, outer: Entry, info: zipfile.ZipInfo, before: int, limits: Limits, leave_packed: Judge
) -> Entry:
    """One member, read to its end once unless it is left packed; `before`: bytes that the members before it gave."""
    if info.flag_bits & _ENCRYPTED:
        raise UserFacingError(
            "The zip archive is protected by a password.", "an open archive", "Unpack it first and choose the folder."
        )
    if info.file_size >= _KEPT_FROM or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        pieces = partial(_member_pieces, outer, info, before, limits)
        return unpacked_entry(info.filename, pieces, limits, leave_packed)
    with archive.open(info):
        check_ratio(before + info.file_size, outer.size, limits)
    member = _Member(outer, _data_start(outer, info), info)
    member.unpack()
    return Entry(info.filename, info.file_size, member.read)


def _member_pieces(outer: Entry, info: zipfile.ZipInfo, before: int, limits: Limits) -> Iterator[bytes]:
    """A member piece by piece; its checksum is verified by the time the last has come."""
    with _faults_in_words(), _archive(outer) as archive, archive.open(info) as stream:
        produced = before
        while piece := stream.read(_CHUNK):
            produced += len(piece)
            check_ratio(produced, outer.size, limits)
            yield piece


def _data_start(outer: Entry, info: zipfile.ZipInfo) -> int:
    """Where the member's packed bytes begin: behind its local header, whose lengths are its own (APPNOTE 4.3.7)."""
    header = outer.read(info.header_offset, info.header_offset + _LOCAL_HEADER)
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return info.header_offset + _LOCAL_HEADER + lengths


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
