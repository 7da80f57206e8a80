"""Hostile headers of tar archives."""

from __future__ import annotations

import tarfile

END = bytes(1024)


def header(kind: bytes, size: int, *, extended: int = 0) -> bytes:
    """A header block with a right checksum. extended: the mark of GNU tar that more of a sparse header follows."""
    block = bytearray(tarfile.TarInfo("a.dcm").tobuf(tarfile.USTAR_FORMAT))
    block[156:157] = kind
    block[124:136] = (size % 256**12).to_bytes(12, "big") if size < 0 or size >= 8**11 else b"%011o\0" % size
    block[124] |= 0x80 if size >= 8**11 else 0
    block[482] = extended
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def summed(kind: bytes, size: bytes) -> bytes:
    """A header block whose field of the size holds any bytes."""
    block = bytearray(header(kind, 0))
    block[124:136] = size.ljust(12, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def text(kind: bytes, body: bytes) -> bytes:
    return header(kind, len(body)) + body + bytes(-len(body) % 512)


LONG = {
    "names in a row": text(b"L", b"ab\0") * 2000,
    "headers in a row": text(b"x", b"11 path=ab\n") * 2000,
    "headers for all": b"".join(text(b"g", b"11 k%04d=v\n" % k) + header(b"0", 0) for k in range(2000)),
    "one long header": text(b"x", b"6 a=b\n" * (2 << 20)),
    "an endless name": header(b"L", 1 << 62),
    "an endless header": header(b"x", 1 << 70),
}
DAMAGED = {
    **{f"negative size of kind {kind!r}": header(kind, -512) for kind in (b"0", b"2", b"5", b"x", b"L", b"S")},
    "endless file": header(b"0", 1 << 70),
    "negative size in letters": summed(b"0", b"   -1000\0"),
    "size of a file that is none, in letters": summed(b"5", b"-1000\0"),
}
SPARSE = {
    "GNU": header(b"S", 0),
    "GNU, going on behind the end": header(b"S", 0, extended=1),
    "pax": text(b"x", b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n") + header(b"0", 512) + b"9\n" * 256,
}
