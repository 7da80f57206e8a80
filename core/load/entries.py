"""Sources opened as named byte ranges: folders, files, archives and uploads, all read-only and in memory.

Archives are never extracted to disk: each regular entry becomes an `Entry`, so an entry's path can reach nothing.
Entry names are kept for telling entries apart and for the identifier search; they are never shown.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from core.errors import UserFacingError
from core.load.entry import Entry, ViewReader, file_entry, link_entry, memory_entry
from core.load.inflate import damaged, packing_of, unpacked_pieces
from core.load.limits import LIMITS, MIB, Limits, too_many_bytes, too_many_entries
from core.load.zip_members import zip_entries

NamedBytes = tuple[str, bytes]
Source = str | Path | NamedBytes | Sequence[str | Path | NamedBytes]

Judge = Callable[[memoryview], bool]
"""Judges a packed file by the beginning of what it packs."""

_SUFFIXES = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz"}
_MOST_NESTED = 2
_BEGINNING = MIB
"""Unpacked bytes by which a packed file is judged; a shorter one is never left packed."""


def _no_file(beginning: memoryview) -> bool:
    return False


def open_entries(source: Source, *, limits: Limits = LIMITS, leave_packed: Judge = _no_file) -> list[Entry]:
    """Every file of `source`; archives (and archives in them, no deeper) opened, packed files unpacked.

    source: a folder, a file, an archive (.zip, .tar, .tar.gz/.bz2/.xz), a (name, bytes) pair, or a list of these.
    leave_packed: which large packed files the caller reads in order (`Entry.pieces`), never all in memory.
    Raises UserFacingError for a missing, empty, encrypted, damaged or oversized source.
    """
    found: list[Entry] = []
    unpacked = 0
    for entry in plain_entries(source):
        left = replace(limits, bytes_total=limits.bytes_total - unpacked)
        for opened in expand_entry(entry, left, leave_packed=leave_packed):
            unpacked += 0 if opened is entry else opened.size
            found.append(opened)
        if len(found) > limits.entries:
            raise too_many_entries(limits)
        if unpacked > limits.bytes_total:
            raise too_many_bytes(limits)
    if all(entry.link for entry in found):
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
                elif path.is_symlink():
                    yield link_entry(name)
    elif path.is_file():
        yield file_entry(path)
    else:
        raise UserFacingError(
            "There is no file or folder at this path.",
            "a path on the machine that runs the app",
            "Check the path, or upload the files instead.",
        )


def expand_entry(
    entry: Entry,
    limits: Limits,
    *,
    depth: int = 0,
    met: Callable[[Entry], None] | None = None,
    leave_packed: Judge = _no_file,
) -> Iterator[Entry]:
    """The entry itself, what it packs, or the entries of the archive it is.

    depth: archives around it. met: called with every entry before it is opened, nested archives among them.
    leave_packed: as for `open_entries`.
    """
    if met:
        met(entry)
    head = bytes(entry.read(0, 512))
    if head[128:132] == b"DICM":
        # A preamble may look like any other file's beginning (PS3.10 7.1).
        yield entry
        return
    if packing := packing_of(head):
        entry = _unpacked_file(entry, packing, limits, leave_packed)
        head = bytes(entry.read(0, 512))
    is_zip, is_tar = head[:4] in (b"PK\x03\x04", b"PK\x05\x06"), head[257:262] == b"ustar"
    if not is_zip and not is_tar:
        yield entry
        return
    if depth >= _MOST_NESTED:
        raise _too_nested()
    inner = zip_entries(entry, limits) if is_zip else _tar_entries(entry.read(0, None), limits)
    opening = partial(expand_entry, depth=depth + 1, met=met, leave_packed=leave_packed)
    yield from _within_limits(inner, opening, limits)


def _unpacked_file(entry: Entry, packing: str, limits: Limits, leave_packed: Judge) -> Entry:
    """What a packed file holds: in memory, or its beginning only where it is left packed."""
    if entry.size > limits.bytes_total:
        raise too_many_bytes(limits)
    unpacked = partial(unpacked_pieces, entry, packing, limits=limits)
    data, pieces = bytearray(), unpacked()
    for piece in pieces:
        data += piece
        if len(data) >= _BEGINNING:
            break
    name, beginning = entry.name.removesuffix(_SUFFIXES[packing]), bytes(data)
    if len(data) >= _BEGINNING and leave_packed(memoryview(beginning)):
        return replace(memory_entry(name, beginning), pieces=unpacked)
    for piece in pieces:
        data += piece
    return memory_entry(name, data)


def _too_nested() -> UserFacingError:
    return UserFacingError(
        "The archive holds archives that hold archives.",
        f"archives nested at most {_MOST_NESTED} deep",
        "Unpack the outer ones first and choose the folder.",
    )


def _within_limits(
    entries: Iterator[Entry], opening: Callable[[Entry, Limits], Iterator[Entry]], limits: Limits
) -> Iterator[Entry]:
    """Archive entries, packed files and archives among them opened; all of them together within the limits."""
    left = limits.bytes_total
    for entry in entries:
        for opened in opening(entry, replace(limits, bytes_total=left)):
            left -= opened.size
            if left < 0:
                raise too_many_bytes(limits)
            yield opened


def _tar_entries(data: memoryview | bytearray, limits: Limits) -> Iterator[Entry]:
    """Regular files of a tar archive as slices of its bytes; links and devices without what they point to: empty."""
    view, last = memoryview(data), 0
    try:
        with tarfile.open(fileobj=io.BufferedReader(ViewReader(view)), mode="r:") as archive:
            for count, member in enumerate(archive):
                if count >= limits.entries:
                    raise too_many_entries(limits)
                end = member.offset_data + member.size
                last = member.offset_data + (0 if member.issym() or member.islnk() else -(-member.size // 512) * 512)
                if member.isreg() and not member.issparse():
                    if end > len(view):
                        raise damaged("The tar archive")
                    yield memory_entry(member.name, view[member.offset_data : end])
                elif not member.isdir():
                    yield link_entry(member.name)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise damaged("The tar archive") from error
    # tarfile takes a damaged header for the end of the archive; the real end is at least one block of zeros.
    if last >= len(view) or bytes(view[last:]).strip(b"\0"):
        raise damaged("The tar archive")
