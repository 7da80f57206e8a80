"""What a JPEG XL stream says of its picture: read before a decoder is trusted with it."""

from __future__ import annotations

import struct

from core.intake.scan.dicom.codestream import Codestream

JPEG_XL = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (110, 111, 112))
"""Lossless, a JPEG packed anew, and either."""
_CODESTREAM, _CONTAINER = b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n"
_LONGEST_HEADER = 64
_SIZES = ((9, 1), (13, 1), (18, 1), (30, 1))
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_DEPTHS = ((0, 8), (0, 10), (0, 12), (6, 1))
_EXTRA_CHANNELS = ((0, 0), (0, 1), (4, 2), (12, 1))
_COLOUR_SPACES = ((0, 0), (0, 1), (4, 2), (6, 18))
_GREY = 1


class _Bits:
    """Numbers of so many bits, the lowest first (ISO 18181-1, B.2)."""

    def __init__(self, data: bytes) -> None:
        self._number, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        """The next `count` bits. Raises ValueError behind the end."""
        if count > self._left:
            raise ValueError("the stream ends in its header")
        taken = self._number & ((1 << count) - 1)
        self._number >>= count
        self._left -= count
        return taken

    def choose(self, ways: tuple[tuple[int, int], ...]) -> int:
        """One of four (bits, offset), as two bits say."""
        count, offset = ways[self.take(2)]
        return offset + self.take(count)


def read_jpegxl(frame: bytes) -> Codestream | None:
    """Header of one still picture (ISO 18181-1, annex D); None where `frame` is no JPEG XL.

    Raises ValueError for what the frame of an image cannot be: turned, animated, of floats, with further channels.
    """
    if (start := _codestream_start(frame)) is None:
        return None
    bits = _Bits(frame[start : start + _LONGEST_HEADER])
    rows, columns = _size(bits)
    if bits.take(1):
        return Codestream(rows, columns, 3, 8, complete=True, lossy=True)
    if bits.take(1) and bits.take(6):
        raise ValueError("turned, animated, or with a preview")
    if bits.take(1):
        raise ValueError("numbers that are not whole")
    precision = bits.choose(_DEPTHS)
    bits.take(1)
    if bits.choose(_EXTRA_CHANNELS):
        raise ValueError("further channels")
    lossy = True if bits.take(1) else None
    return Codestream(rows, columns, _components(bits), precision, complete=True, lossy=lossy)


def _codestream_start(frame: bytes) -> int | None:
    """Where the codestream begins: at once, or in a box of the container (ISO 18181-2)."""
    if frame[:2] == _CODESTREAM:
        return 2
    position = len(_CONTAINER) if frame.startswith(_CONTAINER) else len(frame)
    while position + 8 <= len(frame):
        length, kind = struct.unpack_from(">I4s", frame, position)
        inside = 8
        if length == 1 and position + 16 <= len(frame):
            length, inside = struct.unpack_from(">Q", frame, position + 8)[0], 16
        if kind in (b"jxlc", b"jxlp"):
            start = position + inside + (4 if kind == b"jxlp" else 0)
            return start + 2 if frame[start : start + 2] == _CODESTREAM else None
        if length < inside:
            return None
        position += length
    return None


def _size(bits: _Bits) -> tuple[int, int]:
    """(rows, columns)."""
    in_eights = bits.take(1)

    def length() -> int:
        return 8 * (1 + bits.take(5)) if in_eights else bits.choose(_SIZES)

    rows, ratio = length(), bits.take(3)
    if not ratio:
        return rows, length()
    over, under = _RATIOS[ratio - 1]
    return rows, rows * over // under


def _components(bits: _Bits) -> int:
    """1 of a grey picture, 3 of a coloured one."""
    if bits.take(1):
        return 3
    bits.take(1)
    return 1 if bits.choose(_COLOUR_SPACES) == _GREY else 3
