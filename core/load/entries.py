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
from core.load.entry import (
    Entry,
    EntryReader,
    Judge,
    file_entry,
    link_entry,
    memory_entry,
    no_file,
    part_of,
    unpacked_entry,
)
from core.load.inflate import damaged, packing_of, unpacked_pieces
from core.load.limits import LIMITS, MIB, Limits, check_held, too_many_bytes, too_many_entries
from core.load.zip_members import zip_entries

NamedBytes = tuple[str, bytes]
Source = str | Path | NamedBytes | Sequence[str | Path | NamedBytes]

_SUFFIXES = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz"}
_MOST_NESTED = 2


def open_entries(source: Source, *, limits: Limits = LIMITS, leave_packed: Judge = no_file) -> list[Entry]:
    """Every file of `source`; archives (and archives in them, no deeper) opened, packed files unpacked.

    source: a folder, a file, an archive (.zip, .tar, .tar.gz/.bz2/.xz), a (name, bytes) pair, or a list of these.
    leave_packed: which large packed files the caller reads in order (`Entry.pieces`), never all in memory.
    Raises UserFacingError for a missing, empty, encrypted, damaged or oversized source.
    """
    found: list[Entry] = []
    unpacked = held = 0
    for entry in plain_entries(source):
        left = replace(limits, bytes_total=limits.bytes_total - unpacked, held=limits.held - held)
        for opened in expand_entry(entry, left, leave_packed=leave_packed):
            unpacked += 0 if opened is entry else opened.size
            held += opened.held
            found.append(opened)
        if len(found) > limits.entries:
            raise too_many_entries(limits)
        if unpacked > limits.bytes_total:
            raise too_many_bytes(limits)
        check_held(held, limits)
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
    leave_packed: Judge = no_file,
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
    if entry.path is None:
        # Its many small reads cost nothing in memory, and each an unpacking where it is itself a member of a zip.
        entry = replace(memory_entry(entry.name, entry.read(0, None)), held=entry.size if depth else entry.held)
    inner = zip_entries(entry, limits, leave_packed) if is_zip else _tar_entries(entry, limits)
    opening = partial(expand_entry, depth=depth + 1, met=met, leave_packed=leave_packed)
    yield from _within_limits(inner, opening, limits)


def _unpacked_file(entry: Entry, packing: str, limits: Limits, leave_packed: Judge) -> Entry:
    """What a packed file holds: in memory, or its beginning only where it is left packed."""
    if entry.size > limits.bytes_total:
        raise too_many_bytes(limits)
    name = entry.name.removesuffix(_SUFFIXES[packing])
    unpacked = unpacked_entry(name, partial(unpacked_pieces, entry, packing, limits=limits), limits, leave_packed)
    return replace(unpacked, held=unpacked.held + entry.held)


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
    left = limits
    for entry in entries:
        for opened in opening(entry, left):
            left = replace(left, bytes_total=left.bytes_total - opened.size, held=left.held - opened.held)
            if left.bytes_total < 0:
                raise too_many_bytes(limits)
            check_held(limits.held - left.held, limits)
            yield opened


def _tar_entries(outer: Entry, limits: Limits) -> Iterator[Entry]:
    """Regular files of a tar archive as ranges of it; links and devices without what they point to: empty."""
    last = 0
    try:
        with tarfile.open(fileobj=io.BufferedReader(EntryReader(outer)), mode="r:") as archive:
            for count, member in enumerate(archive):
                if count >= limits.entries:
                    raise too_many_entries(limits)
                last = member.offset_data + (0 if member.issym() or member.islnk() else -(-member.size // 512) * 512)
                if member.isreg() and not member.issparse():
                    if member.offset_data + member.size > outer.size:
                        raise damaged("The tar archive")
                    yield part_of(outer, member.name, member.offset_data, member.size)
                elif not member.isdir():
                    yield link_entry(member.name)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise damaged("The tar archive") from error
    # tarfile takes a damaged header for the end of the archive; the real end is at least one block of zeros.
    if last >= outer.size or any(bytes(outer.read(at, at + MIB)).strip(b"\0") for at in range(last, outer.size, MIB)):
        raise damaged("The tar archive")
