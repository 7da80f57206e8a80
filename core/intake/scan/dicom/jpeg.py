"""Is a Huffman-coded JPEG frame built as ISO 10918-1 asks? Its decoder can end the process on one that is not."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

LOSSY_JPEG = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51))
HUFFMAN_JPEG = LOSSY_JPEG | frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (57, 70))
"""Transfer syntaxes of such frames: baseline and extended, lossless, and lossless with the first predictor."""
ALWAYS_LOSSY = LOSSY_JPEG | {"1.2.840.10008.1.2.4.111"}
"""With the JPEG that JPEG XL packed anew."""
_FRAMES = frozenset((0xC0, 0xC1, 0xC3))
"""Baseline, extended and lossless sequential frames (SOF0, SOF1, SOF3), the ones that carry CT images."""
_LOSSLESS = 0xC3
_SKIPPED = frozenset((0xDB, 0xFE, *range(0xE0, 0xF0)))
_TABLES, _RESTARTS, _SCAN, _END = 0xC4, 0xDD, 0xDA, 0xD9
_STATED_COLOURS = re.compile(rb"\xff\xe0..JFIF\0|\xff\xee..Adobe|\xff[\xc0\xc1].{7}\x03R..G..B", re.DOTALL)
_MOST_CATEGORIES, _MOST_COMPONENTS = 16, 4


@dataclass
class _Read:
    """What the segments before the scan have said."""

    frame: int = 0
    precision: int = 0
    components: tuple[int, ...] = ()
    restarts: bool = False
    tables: set[tuple[int, int]] = field(default_factory=set)


def is_sound_jpeg(stream: bytes) -> bool:
    """Whether a stream is one frame and one scan of all its components, with the tables they need, to its end marker.

    The coded pixels themselves are not looked at, apart from the markers among them.
    """
    if stream[:2] != b"\xff\xd8":
        return False
    read, position = _Read(), 2
    while position + 4 <= len(stream):
        if stream[position] != 0xFF:
            return False
        marker = stream[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        end = position + 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
        segment = stream[position + 4 : end]
        if end > len(stream) or not _take(marker, segment, read):
            return False
        if marker == _SCAN:
            return _ends_well(stream, end, read)
        position = end
    return False


def states_colours(stream: bytes) -> bool:
    """Whether a stream tells luminance from RGB, by a JFIF or Adobe marker or by its components' names."""
    return _STATED_COLOURS.search(stream, 0, stream.find(b"\xff\xda")) is not None


def _take(marker: int, segment: bytes, read: _Read) -> bool:
    """Note what a segment says; whether it may stand there and is whole."""
    if marker in _FRAMES:
        if read.frame or len(segment) < 9 or segment[5] > _MOST_COMPONENTS or len(segment) != 6 + 3 * segment[5]:
            return False
        read.frame, read.precision, read.components = marker, segment[0], tuple(segment[6::3])
        return 2 <= read.precision <= 16 if marker == _LOSSLESS else read.precision in (8, 12)
    if marker == _TABLES:
        return _take_tables(segment, read)
    if marker == _RESTARTS:
        read.restarts = len(segment) == 2 and any(segment)
        return len(segment) == 2
    if marker == _SCAN:
        return _may_scan(segment, read)
    return marker in _SKIPPED


def _take_tables(segment: bytes, read: _Read) -> bool:
    """Huffman tables (B.2.4.2): no more codes of a length than fit, no category that no pixel can have."""
    position = 0
    while position + 17 <= len(segment):
        kind, counts = divmod(segment[position], 16), segment[position + 1 : position + 17]
        symbols = segment[position + 17 : position + 17 + sum(counts)]
        free = 1
        for count in counts:
            free = 2 * free - count
            if free < 0:
                return False
        if kind[0] > 1 or kind[1] > 3 or not symbols or len(symbols) < sum(counts):
            return False
        if kind[0] == 0 and max(symbols) > _MOST_CATEGORIES:
            return False
        read.tables.add(kind)
        position += 17 + len(symbols)
    return position == len(segment)


def _may_scan(segment: bytes, read: _Read) -> bool:
    """Whether a scan header (B.2.3) asks for the frame's components, tables that are there and a known predictor."""
    count = len(read.components)
    if (
        not read.frame
        or len(segment) != 4 + 2 * count
        or (segment[0], tuple(segment[1:-3:2])) != (count, read.components)
    ):
        return False
    start, stop, shift = segment[-3:]
    lossless = read.frame == _LOSSLESS
    for first, second in (divmod(tables, 16) for tables in segment[2:-3:2]):
        if (0, first) not in read.tables or not (lossless or (1, second) in read.tables):
            return False
    return 1 <= start <= 7 and stop == 0 and shift < read.precision if lossless else (start, stop, shift) == (0, 63, 0)


def _ends_well(stream: bytes, position: int, read: _Read) -> bool:
    """Whether only restart markers, where they were announced, come between the scan and the end marker."""
    coded = np.frombuffer(stream, np.uint8)[position:]
    markers = coded[np.flatnonzero(coded[:-1] == 0xFF) + 1]
    markers = markers[(markers != 0x00) & (markers != 0xFF)]
    if read.restarts:
        markers = markers[(markers < 0xD0) | (markers > 0xD7)]
    return bool(markers.size and markers[0] == _END)
