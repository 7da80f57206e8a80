"""Bounded decompression: gzip with its checksum, raw deflate; never more memory than the limits allow."""

from __future__ import annotations

from isal import isal_zlib

from core.errors import UserFacingError
from core.load.limits import LIMITS, MIB, Limits, check_ratio

_CHUNK_IN = MIB
_CHUNK_OUT = 4 * MIB


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


def inflate_raw(data: bytes | memoryview, *, limits: Limits = LIMITS) -> bytearray:
    """A raw deflate stream (deflated DICOM transfer syntax), bounded like `inflate_gzip`."""
    out = bytearray()
    _inflate_member(memoryview(data), -15, out, limits, "A deflated DICOM file")
    return out
