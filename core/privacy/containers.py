"""Identifiers in what files travel in: gzip headers, zip comments, tar owners, file and entry names."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import PurePath

from core.load.entry import Entry
from core.load.inflate import packing_of, unpack
from core.load.limits import Limits
from core.privacy.finding import Finding, mask
from core.privacy.patterns import identifying, printable_runs

_HEADER = 1 << 17
_COUNTER = re.compile(r"(?<!\d)0{2,}\d{1,4}(?!\d)")
_NOBODY = frozenset(("", "root", "wheel", "users", "staff", "nobody", "user"))


def search_container(entry: Entry, limits: Limits) -> list[Finding]:
    """What a gzip, zip or tar file says beside its contents; contents are searched elsewhere."""
    head = bytes(entry.read(0, 512))
    if packing := packing_of(head):
        return [*(_gzip_headers(entry) if packing == "gzip" else ()), *_compressed_tar(entry, packing, limits)]
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return list(_zip_texts(entry))
    return list(_tar_texts(bytes(entry.read(0, None)))) if head[257:262] == b"ustar" else []


def search_names(names: Collection[str], tokens: Collection[str]) -> Iterator[Finding]:
    """File and entry names that look identifying; counters with zeros in front ("IM_000123") do not."""
    for name in names:
        for part in PurePath(name).parts:
            category = identifying(_COUNTER.sub("0", part.replace("_", " ")), tokens)
            if category:
                yield Finding(f"file name ({category})", "file or folder name", mask(part))


def _gzip_headers(entry: Entry) -> Iterator[Finding]:
    """What the header of each member of a gzip file keeps (RFC 1952)."""
    data = entry.read(0, None)
    yield from _gzip_header(data[:_HEADER], PurePath(entry.name).name)
    for later in re.finditer(rb"\x1f\x8b\x08[\x04-\x1f]", data[10:]):
        head = data[10 + later.start() :][:_HEADER]
        if _inflates(bytes(head)):
            yield from _gzip_header(head, "")


def _inflates(data: bytes) -> bool:
    """Whether bytes start a gzip member, and not by chance."""
    try:
        return bool(zlib.decompressobj(31).decompress(data, 64))
    except zlib.error:
        return False


def _gzip_header(member: memoryview, file_name: str) -> Iterator[Finding]:
    """Original file name, comment and extra field of one member."""
    head = bytes(member)
    if len(head) < 10:
        return
    flags, position = head[3], 10
    if flags & 4:
        length = int.from_bytes(head[10:12], "little")
        if runs := printable_runs(head[12 : 12 + length]):
            yield Finding("gzip header", "gzip header, extra field", mask(b"".join(runs)))
        position += 2 + length
    for bit, name in ((8, "file name"), (16, "comment")):
        if flags & bit:
            text = head[position:].split(b"\0", 1)[0]
            position += len(text) + 1
            if text and (name == "comment" or text.decode("latin-1") != file_name.removesuffix(".gz")):
                yield Finding("gzip header", f"gzip header, {name}", mask(text))


def _compressed_tar(entry: Entry, packing: str, limits: Limits) -> Iterator[Finding]:
    if re.search(r"\.(tar\.[a-z0-9]+|t(gz|bz2?|xz))$", entry.name.lower()):
        yield from _tar_texts(bytes(unpack(entry.read(0, None), packing, limits=limits)))


def _zip_texts(entry: Entry) -> Iterator[Finding]:
    """Archive comment, entry comments, and text in extra fields or before the archive (APPNOTE 4.3)."""
    try:
        with zipfile.ZipFile(io.BytesIO(entry.read(0, None))) as archive:
            if archive.comment:
                yield Finding("archive comment", "comment of the zip archive", mask(archive.comment))
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return
    yield from search_names([info.filename for info in infos if info.is_dir()], ())
    for info in infos:
        if info.comment:
            yield Finding("archive comment", "comment of a zip entry", mask(info.comment))
        if runs := printable_runs(info.extra, 6):
            yield Finding("archive comment", "extra field of a zip entry", mask(b"".join(runs)))


def _tar_texts(data: bytes) -> Iterator[Finding]:
    """Owner names, link targets and extended headers of tar entries (POSIX.1-2001, pax)."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            members = archive.getmembers()
            shared = dict(archive.pax_headers)
    except (tarfile.TarError, EOFError, OSError, ValueError):
        return
    yield from search_names([member.name for member in members if member.isdir()], ())
    texts = list(shared.items())
    for member in members:
        texts += [("owner", text) for text in (member.uname, member.gname) if text.lower() not in _NOBODY]
        texts += [("link", member.linkname)] if member.linkname else []
        texts += [item for item in member.pax_headers.items() if item[0] not in ("path", "mtime", "size", "atime")]
    for kind, text in texts:
        place = kind if kind in ("owner", "link") else "extended header"
        yield Finding("archive comment", f"{place} of a tar entry", mask(str(text)))
