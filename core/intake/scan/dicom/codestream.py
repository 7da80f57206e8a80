"""What a compressed frame says of itself: size, components and precision, before a decoder is trusted with it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_START_JPEG, _START_J2K, _END = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\xff\xd9"
_JPEG_LS, _LOSSLESS = 0xF7, frozenset((0xC3, 0xC7, 0xCB, 0xCF))
_NOT_FRAMES = frozenset((0xC4, 0xC8, 0xCC))
_CODING_STYLE, _START_SCAN = b"\xff\x52", b"\xff\xda"
_HEADERS_BYTES = 4096
"""So far into a frame its headers are looked for."""
_BARE = frozenset((0x01, *range(0xD0, 0xD8)))


@dataclass(frozen=True)
class Codestream:
    """Frame header of a JPEG, JPEG-LS or JPEG 2000 stream.

    complete: whether its end marker is there. lossy: of a JPEG stream whether it loses anything, else None.
    """

    rows: int
    columns: int
    components: int
    precision: int
    complete: bool
    lossy: bool | None = None


def read_codestream(frame: bytes) -> Codestream | None:
    """Frame header of `frame`, or None where it is none of the JPEG family.

    JPEG and JPEG-LS: ISO 10918-1 B.2.2 (SOFn) and ISO 14495-1 C.2.2 (SOF55); JPEG 2000: ISO 15444-1 A.5.1 (SIZ).
    """
    try:
        if frame[:2] == _START_JPEG:
            return _jpeg(frame, _is_complete(frame))
        start = frame.find(_START_J2K, 0, 256)
        return _jpeg2000(frame, start, _is_complete(frame)) if start >= 0 else None
    except struct.error:
        return None


def loses_detail(frame: bytes) -> bool:
    """Whether a JPEG-LS or JPEG 2000 stream says of itself that its values are only near the original ones.

    JPEG-LS: the tolerance NEAR of its scan (ISO 14495-1 C.2.3); JPEG 2000: the irreversible transformation of its
    coding style (ISO 15444-1 A.6.1). A reversible JPEG 2000 stream whose last layers were left out does not tell.
    """
    head = frame[:_HEADERS_BYTES]
    start = head.find(_START_J2K, 0, 256)
    if start >= 0:
        style = head.find(_CODING_STYLE, start)
        return 0 <= style < len(head) - 13 and head[style + 13] == 0
    frame_header = head.find(bytes((0xFF, _JPEG_LS))) if head[:2] == _START_JPEG else -1
    scan = head.find(_START_SCAN, frame_header) if frame_header >= 0 else -1
    if not 0 <= scan < len(head) - 4:
        return False
    near = scan + 5 + 2 * head[scan + 4]
    return near < len(head) and head[near] > 0


def _is_complete(frame: bytes) -> bool:
    return frame.rfind(_END) >= 0


def _jpeg(frame: bytes, complete: bool) -> Codestream | None:
    position = 2
    while position + 4 <= len(frame):
        fill, marker, length = struct.unpack_from(">BBH", frame, position)
        if fill != 0xFF:
            return None
        if marker == 0xFF or marker in _BARE:
            position += 1 if marker == 0xFF else 2
        elif marker == _JPEG_LS or (0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES):
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            lossy = None if marker == _JPEG_LS else marker not in _LOSSLESS
            return Codestream(rows, columns, components, precision, complete, lossy)
        else:
            position += 2 + length
    return None


def _jpeg2000(frame: bytes, start: int, complete: bool) -> Codestream:
    width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
    components, depth = struct.unpack_from(">HB", frame, start + 40)
    return Codestream(height - top, width - left, components, (depth & 0x7F) + 1, complete)
