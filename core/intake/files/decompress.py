"""Bounded decompression: gzip, bzip2 and xz with their checksums, raw deflate; never more memory than allowed."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Iterator
from typing import Protocol

from isal import igzip_lib

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry, memory_entry
from core.intake.files.limits import LIMITS, MIB, Limits, check_file_held, check_ratio

_CHUNK_IN = MIB
_CHUNK_OUT = 4 * MIB
_BYTES_OF_A_STREAM = 4096
"""On average, at least, in a file of very many streams; block-wise gzip has 64 KiB."""
_XZ_MEMORY = 128 * MIB
"""Enough for the dictionary of every preset of xz."""
_BZIP2_BLOCK, _BZIP2_END = b"1AY&SY", b"\x17rE8P\x90"


class _Stream(Protocol):
    """The interface that the decompressors of Python and of isal share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


_OPENERS: dict[str, Callable[[], _Stream]] = {
    "gzip": lambda: igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
}
_PADDED = ("gzip", "xz")
"""Zeros may follow the last stream of these."""
_FAULTS = (OSError, EOFError, lzma.LZMAError, igzip_lib.error)


def damaged(what: str) -> UserFacingError:
    """The refusal for a compressed stream that ends early or fails its checksum."""
    return UserFacingError(
        f"{what} is damaged: its compressed data end early, fail their checksum or have foreign bytes behind them.",
        "an intact file",
        "Copy or export the file again.",
    )


class _Packed:
    """The packed bytes of an entry, read piece by piece; a stream gives back what it did not use."""

    def __init__(self, entry: Entry) -> None:
        self._entry, self._at, self._back = entry, 0, b""

    def next(self) -> bytes:
        """The next bytes, empty at the end."""
        if piece := self._back:
            self._back = b""
            return piece
        piece = bytes(self._entry.read(self._at, self._at + _CHUNK_IN))
        self._at += len(piece)
        return piece

    def give_back(self, piece: bytes) -> None:
        """Bytes to hand out again, first."""
        self._back = piece


def packing_of(head: bytes) -> str:
    """How a file that begins with `head` is packed: "gzip", "bzip2", "xz", or "" where it is not."""
    if head[:4] == b"BZh" + head[3:4] and head[4:10] in (_BZIP2_BLOCK, _BZIP2_END):
        return "bzip2"
    return "gzip" if head[:2] == b"\x1f\x8b" else "xz" if head[:6] == b"\xfd7zXZ\0" else ""


def unpacked_pieces(entry: Entry, packing: str, *, limits: Limits = LIMITS) -> Iterator[bytes]:
    """The contents of a gzip, bzip2 or xz file piece by piece; memory is needed for one piece only.

    All streams of the file are read and every checksum is verified by the time the last piece has come.
    Raises UserFacingError when a stream is truncated, fails its checksum, has other bytes behind it, or breaks a limit.
    """
    packed, what, produced, padded, streams = _Packed(entry), f"The {packing} file", 0, False, 0
    while piece := packed.next():
        streams += 1
        if streams > limits.entries + produced // _BYTES_OF_A_STREAM:
            raise damaged(what)
        packed.give_back(piece)
        if padded and piece[0] == 0:
            _refuse_unless_zeros(packed, what)
            return
        padded = packing in _PADDED
        for unpacked in _stream_pieces(packed, _OPENERS[packing](), what):
            produced += len(unpacked)
            check_ratio(produced, entry.size, limits)
            yield unpacked


def _stream_pieces(packed: _Packed, stream: _Stream, what: str) -> Iterator[bytes]:
    """One stream, to its end; what follows it is given back."""
    while not stream.eof:
        pending = packed.next() if stream.needs_input else b""
        if stream.needs_input and not pending:
            raise damaged(what)
        try:
            piece = stream.decompress(pending, _CHUNK_OUT)
        except _FAULTS as error:  # type: ignore[misc]
            raise damaged(what) from error
        if piece:
            yield piece
    packed.give_back(stream.unused_data)


def _refuse_unless_zeros(packed: _Packed, what: str) -> None:
    while piece := packed.next():
        if any(piece):
            raise damaged(what)


def inflate_raw(data: bytes | memoryview, *, limits: Limits = LIMITS) -> bytearray:
    """A raw deflate stream (deflated DICOM transfer syntax), bounded like `unpacked_pieces`."""
    out = bytearray()
    stream = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
    for piece in _stream_pieces(_Packed(memory_entry("", data)), stream, "A deflated DICOM file"):
        out += piece
        check_ratio(len(out), len(data), limits)
        check_file_held(len(out), limits)
    return out
