"""What hides in the bytes of pixel data beside the picture: behind it, above its bits, in comments of its stream."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from core.intake.identifiers.finding import Finding, mask
from core.intake.identifiers.text.patterns import printable_runs
from core.intake.scan.dicom.codecs import can_decode

_COMMENT, _APPLICATION, _SCAN = 0xFE, range(0xE0, 0xF0), 0xDA
_J2K_COMMENT, _J2K_DATA = 0x64, 0x90
_BARE = frozenset((0x01, *range(0xD0, 0xD9), 0x4F))
_ENCODERS = re.compile(
    rb"JFIF|Exif|Adobe|ICC_PROFILE|LEAD|Created by OpenJPEG|Kakadu|JasPer|gd-jpeg|AccuSoft|Aware|spiff|HDR|IJG|PICTools"
)
_LONGEST = 1 << 16
_ITEM = b"\xfe\xff\x00\xe0"


def search_pixel_bytes(dataset: Dataset) -> list[Finding]:
    """Bytes of the top-level PixelData that are no part of its picture."""
    data = dataset.get("PixelData")
    if not isinstance(data, bytes) or not data:
        return []
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or "")) if hasattr(dataset, "file_meta") else UID("")
    if _is_encapsulated(syntax) and data[:4] == _ITEM:
        return list(_comments(dataset, data))
    return [*_behind(dataset, data), *_above(dataset, data)]


def _is_encapsulated(syntax: UID) -> bool:
    """Whether frames lie in items; some syntaxes that can be decoded are younger than pydicom's dictionary."""
    return can_decode(syntax) or (not syntax.is_private and syntax.is_transfer_syntax and syntax.is_encapsulated)


def _behind(dataset: Dataset, data: bytes) -> Iterator[Finding]:
    """Bytes that no pixel takes; zeros are padding."""
    rest = data[_picture_bytes(dataset) :].strip(b"\0")
    if rest:
        yield Finding("trailing bytes", "behind the picture, in the pixel data", mask(rest))


def _picture_bytes(dataset: Dataset) -> int:
    count = int(dataset.get("NumberOfFrames") or 1) * int(dataset.Rows) * int(dataset.Columns)
    bits = count * int(dataset.get("SamplesPerPixel") or 1) * int(dataset.BitsAllocated)
    if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
        bits = bits * 2 // 3
    return -(-bits // 8)


def _above(dataset: Dataset, data: bytes) -> Iterator[Finding]:
    """Bits above the stored ones of unsigned words, where overlays lay before 2004 (PS3.5, 8.1.1)."""
    stored, allocated = int(dataset.get("BitsStored") or 0), int(dataset.BitsAllocated)
    if allocated != 16 or not 0 < stored < 16 or int(dataset.get("PixelRepresentation") or 0):
        return
    little = dataset.original_encoding[1] is not False
    words = np.frombuffer(data[: _picture_bytes(dataset) & ~1], "<u2" if little else ">u2")
    if int(np.bitwise_or.reduce(words, initial=0)) >> stored:
        used = words[words != int(dataset.get("PixelPaddingValue") or 0) & 0xFFFF]
        marked = int(np.count_nonzero(used >> stored))
        if marked:
            yield Finding("overlay", "bits above the stored ones of the pixels", f"{marked} pixels")


def _comments(dataset: Dataset, data: bytes) -> Iterator[Finding]:
    """Text in comment and application segments of JPEG streams (ISO 10918-1 B.2.4, ISO 15444-1 A.9.2)."""
    count: Any = int(dataset.get("NumberOfFrames") or 1)
    for frame in generate_frames(data, number_of_frames=count):
        for text in _segments(frame[:_LONGEST]):
            if (runs := printable_runs(text)) and not _ENCODERS.search(text):
                yield Finding("free text", "comment of a compressed picture", mask(b"".join(runs)))
                return


def _segments(stream: bytes) -> Iterator[bytes]:
    second = stream[:2] == b"\xff\x4f"
    if not second and stream[:2] != b"\xff\xd8":
        return
    position = 2
    while position + 4 <= len(stream) and stream[position] == 0xFF:
        marker = stream[position + 1]
        if marker in (_SCAN, _J2K_DATA):
            return
        length = 0 if marker in _BARE else int.from_bytes(stream[position + 2 : position + 4], "big")
        if marker == (_J2K_COMMENT if second else _COMMENT) or (not second and marker in _APPLICATION):
            yield stream[position + 4 : position + 2 + length]
        position += 2 + length
