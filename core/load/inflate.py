"""Bounded decompression: gzip, bzip2 and xz with their checksums, raw deflate; never more memory than allowed."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable

from isal import isal_zlib

from core.errors import UserFacingError
from core.load.limits import LIMITS, MIB, Limits, check_ratio

_CHUNK_IN = MIB
_CHUNK_OUT = 4 * MIB
_XZ_MEMORY = 128 * MIB
"""Enough for the dictionary of every preset of xz."""
_BZIP2_BLOCK, _BZIP2_END = b"1AY&SY", b"\x17rE8P\x90"
_Stream = bz2.BZ2Decompressor | lzma.LZMADecompressor
_OPENERS: dict[str, Callable[[], _Stream]] = {
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
}


def damaged(what: str) -> UserFacingError:
    """The refusal for a compressed stream that ends early or fails its checksum."""
    return UserFacingError(
        f"{what} is damaged: its compressed data end early, fail their checksum or have foreign bytes behind them.",
        "an intact file",
        "Copy or export the file again.",
    )


def _inflate_member(data: memoryview, wbits: int, out: bytearray, limits: Limits, what: str) -> int:
    """Inflate one stream from the start of `data` onto `out`; return how many bytes of `data` it used."""
    stream = isal_zlib.decompressobj(wbits=wbits)
    for start in range(0, len(data) + _CHUNK_IN, _CHUNK_IN):
        pending = bytes(data[start : start + _CHUNK_IN])
        while not stream.eof:
            try:
                piece = stream.decompress(pending, _CHUNK_OUT)
            except isal_zlib.error as error:  # type: ignore[misc]
                raise damaged(what) from error
            out += piece
            check_ratio(len(out), len(data), limits)
            pending = stream.unconsumed_tail
            if not pending and len(piece) < _CHUNK_OUT:
                break
        if stream.eof:
            return min(start + _CHUNK_IN, len(data)) - len(stream.unused_data)
    raise damaged(what)


def inflate_gzip(data: bytes | bytearray | memoryview, *, limits: Limits = LIMITS) -> bytearray:
    """All members of a gzip file, checksums verified.

    Raises UserFacingError when the stream is truncated, fails its CRC, has other bytes behind it, or breaks a limit.

    >>> import gzip
    >>> bytes(inflate_gzip(gzip.compress(b"HU")))
    b'HU'
    """
    view, out, start = memoryview(data), bytearray(), 0
    while start < len(view):
        rest = view[start:]
        if bytes(rest[:2]) != b"\x1f\x8b":
            if start and not any(rest):
                break
            raise damaged("The gzip file")
        start += _inflate_member(rest, 31, out, limits, "The gzip file")
    return out


def packing_of(head: bytes) -> str:
    """How a file that begins with `head` is packed: "gzip", "bzip2", "xz", or "" where it is not."""
    if head[:4] == b"BZh" + head[3:4] and head[4:10] in (_BZIP2_BLOCK, _BZIP2_END):
        return "bzip2"
    return "gzip" if head[:2] == b"\x1f\x8b" else "xz" if head[:6] == b"\xfd7zXZ\0" else ""


def unpack(data: bytes | bytearray | memoryview, packing: str, *, limits: Limits = LIMITS) -> bytearray:
    """The contents of a gzip, bzip2 or xz file, checksums verified, bounded like `inflate_gzip`.

    >>> bytes(unpack(bz2.compress(b"HU"), "bzip2"))
    b'HU'
    """
    if packing == "gzip":
        return inflate_gzip(data, limits=limits)
    view, out, start = memoryview(data), bytearray(), 0
    while start < len(view):
        if packing == "xz" and start and not any(view[start:]):
            break
        start += _unpack_stream(view[start:], _OPENERS[packing](), out, len(view), limits, f"The {packing} file")
    return out


def _unpack_stream(data: memoryview, stream: _Stream, out: bytearray, size: int, limits: Limits, what: str) -> int:
    """Unpack one bzip2 or xz stream onto `out`; return how many bytes of `data` it used."""
    for start in range(0, len(data), _CHUNK_IN):
        pending = bytes(data[start : start + _CHUNK_IN])
        while not stream.eof:
            try:
                piece = stream.decompress(pending, _CHUNK_OUT)
            except (OSError, lzma.LZMAError, EOFError) as error:
                raise damaged(what) from error
            out += piece
            check_ratio(len(out), size, limits)
            pending = b""
            if stream.needs_input:
                break
        if stream.eof:
            return min(start + _CHUNK_IN, len(data)) - len(stream.unused_data)
    raise damaged(what)


def inflate_raw(data: bytes | memoryview, *, limits: Limits = LIMITS) -> bytearray:
    """A raw deflate stream (deflated DICOM transfer syntax), bounded like `inflate_gzip`."""
    out = bytearray()
    _inflate_member(memoryview(data), -15, out, limits, "A deflated DICOM file")
    return out
