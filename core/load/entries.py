"""Sources opened as named byte ranges: folders, files, archives and uploads, all read-only and in memory.

Archives are never extracted to disk: each regular entry becomes an `Entry`, so an entry's path can reach nothing.
Entry names are kept for telling entries apart and for the identifier search; they are never shown.
"""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import UserFacingError
from core.load.inflate import damaged, packing_of, unpack
from core.load.limits import LIMITS, MIB, Limits, check_ratio, too_many_bytes, too_many_entries

NamedBytes = tuple[str, bytes]
Source = str | Path | NamedBytes | Sequence[str | Path | NamedBytes]

_ENCRYPTED = 0x1
_SUFFIXES = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz"}
_MOST_NESTED = 2


@dataclass(frozen=True, eq=False)
class Entry:
    """One file of a source. `read(start, stop)` returns its bytes; `path` is where it lies on disk, if it does."""

    name: str
    size: int
    read: Callable[[int, int | None], memoryview]
    path: Path | None = None


def memory_entry(name: str, data: bytes | bytearray | memoryview) -> Entry:
    """An entry over bytes held in memory (not copied)."""
    view = memoryview(data)

    def read(start: int = 0, stop: int | None = None) -> memoryview:
        return view[start:stop]

    return Entry(name, len(view), read)


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


def open_entries(source: Source, *, limits: Limits = LIMITS) -> list[Entry]:
    """Every file of `source`; archives (and archives in them, no deeper) opened, packed files unpacked.

    source: a folder, a file, an archive (.zip, .tar, .tar.gz/.bz2/.xz), a (name, bytes) pair, or a list of these.
    Raises UserFacingError for a missing, empty, encrypted, damaged or oversized source.
    """
    found: list[Entry] = []
    unpacked = 0
    for entry in plain_entries(source):
        for opened in expand_entry(entry, replace(limits, bytes_total=limits.bytes_total - unpacked)):
            unpacked += 0 if opened is entry else opened.size
            found.append(opened)
        if len(found) > limits.entries:
            raise too_many_entries(limits)
        if unpacked > limits.bytes_total:
            raise too_many_bytes(limits)
    if not found:
        raise UserFacingError(
            "The source holds no file.",
            "a DICOM folder, a NIfTI file, or a .zip or .tar archive of either",
            "Choose another folder or file.",
        )
    return found


def plain_entries(source: Source) -> Iterator[Entry]:
    """Entries of the source before archives are opened."""
    if isinstance(source, (str, Path)):
        yield from _path_entries(Path(source))
    elif isinstance(source, tuple) and len(source) == 2 and isinstance(source[1], (bytes, bytearray, memoryview)):
        yield memory_entry(str(source[0]), bytes(source[1]))
    else:
        for item in source:
            yield from plain_entries(item)


def _path_entries(path: Path) -> Iterator[Entry]:
    if path.is_dir():
        for folder, subfolders, names in os.walk(path, followlinks=False):
            subfolders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                if path.is_file():
                    yield file_entry(path)
    elif path.is_file():
        yield file_entry(path)
    else:
        raise UserFacingError(
            "There is no file or folder at this path.",
            "a path on the machine that runs the app",
            "Check the path, or upload the files instead.",
        )


def expand_entry(
    entry: Entry, limits: Limits, *, depth: int = 0, met: Callable[[Entry], None] | None = None
) -> Iterator[Entry]:
    """The entry itself, what it packs, or the entries of the archive it is.

    depth: archives around it. met: called with every entry before it is opened, nested archives among them.
    """
    if met:
        met(entry)
    head = bytes(entry.read(0, 512))
    if head[128:132] == b"DICM":
        # A preamble may look like any other file's beginning (PS3.10 7.1).
        yield entry
        return
    if packing := packing_of(head):
        if entry.size > limits.bytes_total:
            raise too_many_bytes(limits)
        data = unpack(entry.read(0, None), packing, limits=limits)
        entry = memory_entry(entry.name.removesuffix(_SUFFIXES[packing]), data)
        head = bytes(data[:512])
    is_zip, is_tar = head[:4] in (b"PK\x03\x04", b"PK\x05\x06"), head[257:262] == b"ustar"
    if not is_zip and not is_tar:
        yield entry
        return
    if depth >= _MOST_NESTED:
        raise _too_nested()
    inner = _zip_entries(entry, limits) if is_zip else _tar_entries(entry.read(0, None), limits)
    yield from _unpacked(inner, depth + 1, limits, met)


def _too_nested() -> UserFacingError:
    return UserFacingError(
        "The archive holds archives that hold archives.",
        f"archives nested at most {_MOST_NESTED} deep",
        "Unpack the outer ones first and choose the folder.",
    )


def _unpacked(
    entries: Iterator[Entry], depth: int, limits: Limits, met: Callable[[Entry], None] | None
) -> Iterator[Entry]:
    """Archive entries, packed files and archives among them opened; all of them together within the limits."""
    left = limits.bytes_total
    for entry in entries:
        for opened in expand_entry(entry, replace(limits, bytes_total=left), depth=depth, met=met):
            left -= opened.size
            if left < 0:
                raise too_many_bytes(limits)
            yield opened


def _zip_entries(entry: Entry, limits: Limits) -> Iterator[Entry]:
    """Regular entries of a zip file, read in memory with the limits enforced on the bytes that really come out."""
    try:
        with zipfile.ZipFile(entry.path or io.BytesIO(entry.read(0, None))) as archive:
            infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
            if len(infos) > limits.entries:
                raise too_many_entries(limits)
            produced = 0
            for info in infos:
                data = _read_zipped(archive, info, produced, entry.size, limits)
                produced += len(data)
                yield memory_entry(info.filename, data)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise damaged("The zip archive") from error


def _read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, before: int, size: int, limits: Limits) -> bytes:
    if info.flag_bits & _ENCRYPTED:
        raise UserFacingError(
            "The zip archive is protected by a password.", "an open archive", "Unpack it first and choose the folder."
        )
    pieces, produced = [], before
    with archive.open(info) as stream:
        while piece := stream.read(4 * MIB):
            pieces.append(piece)
            produced += len(piece)
            check_ratio(produced, size, limits)
    return b"".join(pieces)


def _tar_entries(data: memoryview | bytearray, limits: Limits) -> Iterator[Entry]:
    """Regular files of a tar archive as slices of its bytes; links and devices are passed over."""
    view, last = memoryview(data), 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for count, member in enumerate(archive):
                if count >= limits.entries:
                    raise too_many_entries(limits)
                end = member.offset_data + member.size
                last = member.offset_data + (0 if member.issym() or member.islnk() else -(-member.size // 512) * 512)
                if member.isreg() and not member.issparse():
                    if end > len(view):
                        raise damaged("The tar archive")
                    yield memory_entry(member.name, view[member.offset_data : end])
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise damaged("The tar archive") from error
    # tarfile takes a damaged header for the end of the archive; the real end is at least one block of zeros.
    if last >= len(view) or bytes(view[last:]).strip(b"\0"):
        raise damaged("The tar archive")
