"""A small, bounded walk over the top-level elements of a DICOM file (PS3.5, section 7).

Reading 300 headers with a full parser costs several times what reading their pixels costs; geometry and rescale need
about forty elements. The walk is iterative (nesting depth cannot exhaust the stack) and never trusts a length.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass

from core.intake.files.decompress import inflate_raw
from core.intake.files.limits import LIMITS, Limits

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
SWAPPED_PIXELS = "1.2.840.113619.5.2"
"""Of GE: as implicit little-endian, but for its big-endian pixels."""
_IMPLICIT = frozenset((IMPLICIT_LITTLE, SWAPPED_PIXELS))

MEDIA_CLASS = 0x00020002
SYNTAX = 0x00020010
_UNDEFINED = 0xFFFFFFFF
_LONG_VR = frozenset((b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN", b"SV", b"UV"))
_SHORT_VR = frozenset((b"AE", b"AS", b"CS", b"DA", b"DS", b"IS", b"LO", b"PN", b"SH", b"TM", b"UI", b"US"))
"""The usual ones; asking whether two bytes are capital letters takes longer."""
_COPIED_BYTES = 256 << 10
"""Parts of bytes are made in half the time of parts of a view; up to so many are copied for that."""
_PIXEL_TAGS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_EXPLICIT = {False: struct.Struct("<HH2sH").unpack_from, True: struct.Struct(">HH2sH").unpack_from}
_LENGTH = {False: struct.Struct("<I").unpack_from, True: struct.Struct(">I").unpack_from}


Place = tuple[int, int, int]
"""Tag of an element, where it starts and where it ends."""


class Malformed(Exception):
    """The bytes are not a well-formed DICOM data set."""


class NeedMore(Exception):
    """The bytes end before the pixel data; read more of the file."""


@dataclass(frozen=True, eq=False, repr=False)  # names and dates of a header belong in no log
class Scan:
    """Wanted top-level elements of one file.

    values: tag -> raw value bytes. big_endian, transfer_syntax: how to read them.
    pixel_tag, pixel_start, pixel_length: the pixel data value inside `data` (length None = encapsulated; tag 0 = none).
    data: None, or the inflated file that `pixel_start` refers to (deflated transfer syntax).
    bare: True where the file lacks the preamble and file meta information.
    """

    values: dict[int, bytes]
    transfer_syntax: str
    big_endian: bool
    pixel_tag: int
    pixel_start: int
    pixel_length: int | None
    data: bytearray | None
    bare: bool


def looks_like_dicom(head: memoryview) -> bool:
    """Whether the first bytes are a DICOM file, with or without its preamble."""
    if len(head) >= 132 and bytes(head[128:132]) == b"DICM":
        return True
    if len(head) < 16:
        return False
    group, element = struct.unpack_from("<HH", head)
    explicit = bytes(head[4:6]).isalpha() and bytes(head[4:6]).isupper()
    length = struct.unpack_from("<I", head, 4)[0]
    return group in (2, 8) and element <= 0x0020 and (explicit or length < 256)


def scan(data: memoryview, wanted: Collection[int], *, complete: bool, limits: Limits = LIMITS) -> Scan:
    """Walk the data set up to its pixel data and keep the `wanted` elements.

    complete: False where `data` is only the beginning of the file; then NeedMore asks for all of it.
    Raises Malformed where the structure cannot be followed.
    """
    try:
        syntax, media_class, start, bare = _file_meta(_quick(data))
        inflated: bytearray | None = None
        if syntax == DEFLATED:
            if not complete:
                raise NeedMore
            inflated = inflate_raw(data[start:], limits=limits)
            data, start, complete = memoryview(inflated), 0, True
        big, implicit = syntax == EXPLICIT_BIG, syntax in _IMPLICIT
        values, pixel = _walk(_quick(data), start, implicit, big, wanted, complete)
    except struct.error as error:
        if complete:
            raise Malformed from error
        raise NeedMore from error
    tag, pixel_start, length = pixel
    values[MEDIA_CLASS] = media_class
    return Scan(values, syntax, big, tag, pixel_start, length, inflated, bare)


def _quick(data: bytes | memoryview) -> bytes | memoryview:
    """The same bytes in a form of which parts are made fast, where that costs little memory."""
    return bytes(data) if len(data) <= _COPIED_BYTES else data


def _file_meta(data: bytes | memoryview) -> tuple[str, bytes, int, bool]:
    """(transfer syntax, class of the stored object, start of the data set, bare)."""
    position, bare = (132, False) if bytes(data[128:132]) == b"DICM" else (0, True)
    found: dict[int, bytes] = {}
    while bytes(data[position : position + 2]) == b"\x02\x00":
        tag, _, length, value = _element(data, position, implicit=False, big=False)
        if length == _UNDEFINED or value + length > len(data):
            raise Malformed
        found[tag] = bytes(data[value : value + length])
        position = value + length
    media_class = found.get(MEDIA_CLASS, b"")
    if syntax := found.get(SYNTAX):
        return syntax.rstrip(b"\0 ").decode("ascii", "replace"), media_class, position, bare
    vr = bytes(data[position + 4 : position + 6])
    return (EXPLICIT_LITTLE if vr.isalpha() and vr.isupper() else IMPLICIT_LITTLE), media_class, position, True


def _element(data: bytes | memoryview, position: int, implicit: bool, big: bool) -> tuple[int, bytes, int, int]:
    """(tag, VR or b"", length, start of the value) of the element at `position`."""
    group, number, vr, length = _EXPLICIT[big](data, position)
    tag = group << 16 | number
    if implicit or group == 0xFFFE:
        return tag, b"", _LENGTH[big](data, position + 4)[0], position + 8
    if vr in _LONG_VR:
        return tag, vr, _LENGTH[big](data, position + 8)[0], position + 12
    if vr in _SHORT_VR or (vr.isalpha() and vr.isupper()):
        return tag, vr, length, position + 8
    raise Malformed


def _walk(
    data: bytes | memoryview, position: int, implicit: bool, big: bool, wanted: Collection[int], complete: bool
) -> tuple[dict[int, bytes], tuple[int, int, int | None]]:
    """Top-level elements from `position` to the pixel data or the end."""
    values: dict[int, bytes] = {}
    end, short_element = len(data), _EXPLICIT[big]
    while position + 8 <= end:
        group, number, vr, length = short_element(data, position)
        if vr in _SHORT_VR and not implicit:
            tag, value = group << 16 | number, position + 8
        else:
            tag, vr, length, value = _element(data, position, implicit, big)
        if tag in _PIXEL_TAGS:
            return values, (tag, value, None if length == _UNDEFINED else length)
        if tag >> 16 in (0, 0xFFFE):
            raise Malformed
        if length == _UNDEFINED:
            position = skip_undefined(data, value, implicit or vr == b"UN", big and vr != b"UN")
            if tag in wanted:
                _keep(values, tag, b"")
            continue
        position = value + length
        if position > end:
            break
        if tag in wanted:
            _keep(values, tag, bytes(data[value:position]))
    if not complete:
        raise NeedMore
    if position != end:
        raise Malformed
    return values, (0, end, 0)


def _keep(values: dict[int, bytes], tag: int, value: bytes) -> None:
    """Raise Malformed for a second, different value of an element: each is there once (PS3.5 7.1)."""
    if values.setdefault(tag, value) != value:
        raise Malformed


def element_places(data: bytes, found: Scan) -> tuple[Place, ...]:
    """The elements that the walk passed over in little-endian `data` when it `found` pixels, theirs last and without
    their value."""
    places, position, meta = [], 132 if data[128:132] == b"DICM" else 0, True
    pixels = struct.pack("<HH", found.pixel_tag >> 16, found.pixel_tag & 0xFFFF)
    while not data.startswith(pixels, position):
        meta = meta and data.startswith(b"\x02\x00", position)
        tag, _, end = value_at(data, position, found, meta=meta)
        places.append((tag, position, end))
        position = end
    return (*places, (found.pixel_tag, position, found.pixel_start))


def value_at(data: bytes, position: int, found: Scan, *, meta: bool) -> tuple[int, bytes, int]:
    """(tag, value, end) of the element at `position` of a little-endian file that is written as the `found` one is; no
    value where its length is undefined.

    meta: whether it belongs to the file meta information. Raises Malformed where it cannot be followed.
    """
    implicit = found.transfer_syntax in _IMPLICIT and not meta
    try:
        tag, vr, length, value = _element(data, position, implicit, big=False)
        if length == _UNDEFINED:
            return tag, b"", skip_undefined(data, value, implicit or vr == b"UN", big=False)
    except struct.error as error:
        raise Malformed from error
    if value + length > len(data):
        raise Malformed
    return tag, data[value : value + length], value + length


def skip_undefined(data: bytes | memoryview, position: int, implicit: bool, big: bool) -> int:
    """End of a sequence or encapsulated value of undefined length that starts at `position`, however deep it nests."""
    encodings = [(implicit, big)]
    while encodings:
        tag, vr, length, value = _element(data, position, *encodings[-1])
        position = value
        if tag in (_SEQUENCE_END, _ITEM_END):
            encodings.pop()
        elif length == _UNDEFINED:
            encodings.append((True, False) if vr == b"UN" else encodings[-1])
        else:
            position += length
    return position


def is_element_run(data: memoryview, found: Scan) -> bool:
    """Whether `data` (what follows the pixel data) is a run of ascending elements that ends where the data end."""
    implicit, position, last = found.transfer_syntax in _IMPLICIT, 0, found.pixel_tag
    try:
        while position < len(data):
            tag, _, length, value = _element(data, position, implicit, found.big_endian)
            if tag <= last or length == _UNDEFINED:
                return False
            position, last = value + length, tag
    except (Malformed, struct.error):
        return False
    return position == len(data)
