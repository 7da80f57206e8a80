"""Sources opened as named byte ranges: folders, files, archives and uploads, all read-only and in memory.

Archives are never extracted to disk: each regular entry becomes an `Entry`, so an entry's path can reach nothing.
Links are never followed. In a folder, what a link leads to below that folder is read where it lies; a link to anything
else is missed and counted, as is every link in an archive. Devices, pipes and sockets are counted and never opened.
Entry names are kept for telling entries apart and for the identifier search; they are never shown.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from core.errors import UserFacingError
from core.intake.files.byte_source import (
    FOLDER,
    Entry,
    Judge,
    absent_entry,
    file_entry,
    memory_entry,
    no_file,
    unpacked_entry,
    unreadable,
)
from core.intake.files.decompress import packing_of, unpacked_pieces
from core.intake.files.limits import LIMITS, Limits, check_held, check_ratio, too_many_bytes, too_many_entries
from core.intake.files.tar import tar_entries
from core.intake.files.zip import zip_entries
from core.wording import count_of

NamedBytes = tuple[str, bytes]
Source = str | Path | NamedBytes | Sequence[str | Path | NamedBytes]

_SUFFIXES = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz"}
_MOST_NESTED = 2
_SCANS = "a DICOM folder, a NIfTI file, or a .zip or .tar archive of either"
SECOND_NAME = "second name"
"""In place of a link to what lies below the same folder, and is read there."""


def open_entries(
    source: Source, *, limits: Limits = LIMITS, leave_packed: Judge = no_file, expected: str = _SCANS
) -> list[Entry]:
    """Every file of `source`; archives (and archives in them, no deeper) opened, packed files unpacked.

    source: a folder, a file, an archive (.zip, .tar, .tar.gz/.bz2/.xz), a (name, bytes) pair, or a list of these.
    leave_packed: which large packed files the caller reads in order (`Entry.pieces`), never all in memory.
    expected: what the refusal of an empty source asks for.
    Raises UserFacingError for a missing, empty, encrypted, damaged or oversized source.
    """
    found: list[Entry] = []
    unpacked = held = 0
    for entry in plain_entries(source):
        left = limits.after(taken=unpacked, held=held) if unpacked or held else limits
        for opened in expand_entry(entry, left, leave_packed=leave_packed):
            unpacked += 0 if opened is entry else opened.size
            held += opened.held
            found.append(opened)
        if len(found) > limits.entries:
            raise too_many_entries(limits)
        if limits.taken + unpacked > limits.bytes_total:
            raise too_many_bytes(limits)
        check_held(held, limits)
    if all(entry.absent for entry in found):
        raise no_file_found(found, expected)
    return found


def no_file_found(found: Sequence[Entry], expected: str = _SCANS) -> UserFacingError:
    """The refusal for a source that is empty, or holds what is no file only."""
    return UserFacingError(
        f"The source holds no file, but {absent_words(found)}." if found else "The source holds no file.",
        expected,
        "Choose the folder that holds the files themselves." if found else "Choose another folder or file.",
    )


def absent_words(entries: Iterable[Entry]) -> str:
    """What stands in place of files, counted by kind; "" where nothing does.

    >>> absent_words([absent_entry("a", "link"), absent_entry("b", "link"), absent_entry("c", "special file")])
    '2 links, 1 special file'
    """
    kinds = Counter(entry.absent for entry in entries if entry.absent)
    return ", ".join(count_of(count, kind) for kind, count in sorted(kinds.items()))


def plain_entries(source: Source) -> Iterator[Entry]:
    """Entries of the source before archives are opened.

    Raises UserFacingError for an empty path, which would be the folder that the program runs in, and for no source.
    """
    if source == "":
        raise UserFacingError("The path is empty.", "the path of a file or folder", "Name one.")
    if isinstance(source, (str, Path)):
        yield from _path_entries(Path(source))
    elif isinstance(source, tuple) and len(source) == 2 and isinstance(source[1], (bytes, bytearray, memoryview)):
        yield memory_entry(str(source[0]), bytes(source[1]))
    elif isinstance(source, Iterable):
        for item in source:
            yield from plain_entries(item)
    else:
        raise UserFacingError(
            "What was handed over is neither a path nor the bytes of a file.",
            "a path, or a name with bytes, or a list of these",
            "Name a file or folder.",
        )


def _path_entries(path: Path) -> Iterator[Entry]:
    """A file, or the files of a folder; Path.is_dir would raise for a path that is too long, and repeat it."""
    if os.path.isdir(path):
        yield from (entry for entry in folder_entries(path) if entry.absent != SECOND_NAME)
    elif os.path.isfile(path):
        yield file_entry(path)
    else:
        raise UserFacingError(
            "There is no file or folder at this path.",
            "a path on the machine that runs the app",
            "Check the path; in the app, files can be uploaded instead.",
        )


def folder_entries(root: Path) -> Iterator[Entry]:
    """Files of a folder and its subfolders, named by their paths inside it; links and special files as absent.

    A link to what lies below the folder is a second name of it, with the path of what it leads to.
    """
    inside, closed = os.path.realpath(root), list[OSError]()
    for folder, subfolders, names in os.walk(root, onerror=closed.append):
        subfolders.sort()
        place, below = Path(folder), Path(folder).relative_to(root)
        links = [name for name in subfolders if os.path.islink(place / name)]
        for name in sorted([*names, *links]):
            yield _folder_entry(place / name, name if place == root else (below / name).as_posix(), inside)
    yield from (absent_entry(Path(str(error.filename)).name, "closed folder") for error in closed)


def _folder_entry(path: Path, name: str, inside: str) -> Entry:
    """What lies at a path of a folder, named so; `inside` is where that folder lies."""
    try:
        status = os.lstat(path)
    except OSError as error:
        raise unreadable() from error
    if not stat.S_ISLNK(status.st_mode):
        plain = stat.S_ISREG(status.st_mode)
        return file_entry(path, name, status.st_size) if plain else absent_entry(name, "special file")
    target = Path(os.path.realpath(path))
    if (target.is_dir() or target.is_file()) and target.is_relative_to(inside):
        return replace(absent_entry(name, SECOND_NAME), path=target)
    return absent_entry(name, "linked folder" if target.is_dir() else "link")


def expand_entry(
    entry: Entry,
    limits: Limits,
    *,
    depth: int = 0,
    met: Callable[[Entry], None] | None = None,
    leave_packed: Judge = no_file,
) -> Iterator[Entry]:
    """The entry itself, what it packs, or the entries of the archive it is.

    depth: archives around it. met: called with every entry before it is opened, nested archives among them, and with
    what a packed file holds.
    leave_packed: as for `open_entries`.
    """
    if met:
        met(entry)
    packed, head = entry.size, bytes(entry.read(0, 512))
    if head[128:132] == b"DICM":
        # A preamble may look like any other file's beginning (PS3.10 7.1).
        yield entry
        return
    if packing := packing_of(head):
        entry = _unpacked_file(entry, packing, limits, leave_packed)
        head = bytes(entry.read(0, 512))
        if met:
            met(entry)
    is_zip, is_tar = head[:4] in (b"PK\x03\x04", b"PK\x05\x06"), head[257:262] == b"ustar"
    if not is_zip and not is_tar:
        yield entry
        return
    if depth >= _MOST_NESTED:
        raise _too_nested()
    if entry.path is None:
        # Its many small reads cost nothing in memory, and each an unpacking where it is itself a member of a zip.
        entry = replace(memory_entry(entry.name, entry.read(0, None)), held=entry.size if depth else entry.held)
    inner = zip_entries(entry, limits, leave_packed) if is_zip else tar_entries(entry, limits)
    opening = partial(expand_entry, depth=depth + 1, met=met, leave_packed=leave_packed)
    for opened in _within_limits(inner, opening, packed, limits):
        if depth or opened.absent != FOLDER:
            yield opened


def _unpacked_file(entry: Entry, packing: str, limits: Limits, leave_packed: Judge) -> Entry:
    """What a packed file holds: in memory, or its beginning only where it is left packed."""
    if limits.taken + entry.size > limits.bytes_total:
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
    entries: Iterator[Entry], opening: Callable[[Entry, Limits], Iterator[Entry]], packed: int, limits: Limits
) -> Iterator[Entry]:
    """Archive entries, packed files and archives among them opened; all of them together within the limits.

    packed: bytes of the archive as it lies in the source or in the archive around it.
    """
    left, count = limits, 0
    for entry in entries:
        for opened in opening(entry, left):
            count += 1
            left = left.after(taken=opened.size, held=opened.held)
            check_ratio(left.taken - limits.taken, packed, limits)
            check_held(limits.held - left.held, limits)
            if count > limits.entries:
                raise too_many_entries(limits)
            yield opened
