"""One search over a whole source: DICOM files, NIfTI files, and the names and headers they travel in."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Iterable, Iterator
from pathlib import PurePath

from core.load.dicom_scan import looks_like_dicom
from core.load.entries import Entry, Source, expand_entry, plain_entries
from core.load.limits import LIMITS, MIB, Limits, too_many_entries
from core.load.nifti import looks_like_nifti
from core.privacy.dicom import Seen, search_dicom
from core.privacy.finding import Finding, mask
from core.privacy.patterns import identifying, printable_runs

_NIFTI1_TEXTS = (
    ("data_type", 4, 14),
    ("db_name", 14, 32),
    ("descrip", 148, 228),
    ("aux_file", 228, 252),
    ("intent_name", 328, 344),
)
_NIFTI2_TEXTS = (("descrip", 240, 320), ("aux_file", 320, 344), ("intent_name", 508, 524), ("unused", 525, 540))
_KNOWN_TEXTS = frozenset((b"", b"virtual patient", b"FSL5.0", b"FSL6.0", b"NiBabel", b"TE=0"))


def find_identifiers(source: Source, *, limits: Limits = LIMITS) -> tuple[Finding, ...]:
    """Places in `source` that may identify a person, values masked, each place once.

    source: as for `core.load.load_study`. Searched: DICOM elements (standard, private, nested), file meta information,
    preamble, overlays, curves, icons, trailing bytes; NIfTI text fields and extensions; gzip headers; file and entry
    names. Pixels are not read: burned-in text is reported where the header makes it likely, and may exist elsewhere.
    Raises UserFacingError where the source cannot be opened.
    """
    found: dict[tuple[str, str], Finding] = {}
    tokens: frozenset[str] = frozenset()
    seen: set[Seen] = set()
    names: list[str] = []
    count = 0
    for outer in plain_entries(source):
        names.append(outer.name)
        _add(found, _gzip_header(outer))
        for entry in expand_entry(outer, limits):
            count += 1
            if count > limits.entries:
                raise too_many_entries(limits)
            names.append(entry.name)
            findings, own = _search_entry(entry, tokens, seen)
            if own - tokens:
                tokens |= own
                seen.clear()
            _add(found, findings)
    _add(found, _names(dict.fromkeys(names), tokens))
    return tuple(found.values())


def _add(found: dict[tuple[str, str], Finding], findings: Iterable[Finding]) -> None:
    """Keep the first finding of each place."""
    for finding in findings:
        found.setdefault((finding.category, finding.where), finding)


def _search_entry(entry: Entry, tokens: Collection[str], seen: set[Seen]) -> tuple[list[Finding], frozenset[str]]:
    head = entry.read(0, 1024)
    if looks_like_nifti(head):
        return _nifti(entry, tokens), frozenset()
    if looks_like_dicom(head):
        return search_dicom(entry, tokens, seen)
    return _other(entry, tokens), frozenset()


def _other(entry: Entry, tokens: Collection[str]) -> list[Finding]:
    """Text in a file that is neither DICOM nor NIfTI; at most its first MiB is searched."""
    runs = (run.decode("ascii") for run in printable_runs(entry.read(0, MIB), 6))
    found = {category: run for run in runs if (category := identifying(run, tokens))}
    return [Finding(category, "a file that is not a scan", mask(run)) for category, run in found.items()]


def _nifti(entry: Entry, tokens: Collection[str]) -> list[Finding]:
    """Text fields, extensions and bytes behind the header of a NIfTI file."""
    head = bytes(entry.read(0, 544))
    second = head[4:6] == b"n+" or head[4:6] == b"ni"
    found = []
    for name, start, stop in _NIFTI2_TEXTS if second else _NIFTI1_TEXTS:
        text = head[start:stop].split(b"\0", 1)[0].strip()
        hidden = head[start:stop].rstrip(b"\0")
        if text not in _KNOWN_TEXTS or (hidden != head[start:stop].split(b"\0", 1)[0] and printable_runs(hidden)):
            category = identifying(text.decode("latin-1"), tokens) or "free text"
            found.append(Finding(category, f"NIfTI field {name}", mask(hidden)))
    first = 540 if second else 348
    between = bytes(entry.read(first, _voxels_start(head, second)))
    if between[:1] not in (b"", b"\0") or printable_runs(between):
        found.append(Finding("extension", "NIfTI header extension", mask(between)))
    return found


def _voxels_start(head: bytes, second: bool) -> int:
    """Where extensions end; at most 16 MiB are searched."""
    for order in "<>":
        size, offset = struct.unpack_from(order + "i", head)[0], 0
        if size == 540 and second:
            offset = struct.unpack_from(order + "q", head, 168)[0]
        elif size == 348 and not second:
            declared = struct.unpack_from(order + "f", head, 108)[0]
            offset = int(min(max(declared, 0), 1 << 24)) if math.isfinite(declared) else 0
        if offset:
            return min(int(offset), 1 << 24)
    return 544 if second else 352


def _gzip_header(entry: Entry) -> Iterator[Finding]:
    """Original file name and comment that gzip keeps (RFC 1952)."""
    head = bytes(entry.read(0, 4096))
    if head[:2] != b"\x1f\x8b" or len(head) < 10:
        return
    flags, position = head[3], 10
    if flags & 4:
        position += 2 + int.from_bytes(head[10:12], "little")
    for bit, name in ((8, "file name"), (16, "comment")):
        if flags & bit:
            text = head[position:].split(b"\0", 1)[0]
            position += len(text) + 1
            if name == "comment" or text.decode("latin-1") != PurePath(entry.name).name.removesuffix(".gz"):
                yield Finding("gzip header", f"gzip header, {name}", mask(text))


def _names(names: Collection[str], tokens: Collection[str]) -> Iterator[Finding]:
    """File and entry names that look identifying."""
    for name in names:
        for part in PurePath(name).parts:
            category = identifying(part, tokens)
            if category:
                yield Finding(f"file name ({category})", "file or folder name", mask(part))
