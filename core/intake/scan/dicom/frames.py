"""The stored values of one image, uncompressed or decoded, straight from its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pydicom.encaps import generate_fragments, generate_frames

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry
from core.intake.scan.dicom.codecs import can_decode, decode_frame, syntax_name, truncated
from core.intake.scan.dicom.codestream import loses_detail
from core.intake.scan.dicom.elements import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from core.intake.scan.dicom.header import ImageHeader
from core.intake.scan.hounsfield import Stored
from core.intake.terms.safe_description import EXPORT_AGAIN

Split = Mapping[Entry, list[bytes]]
"""Compressed frames of multi-frame files."""
_BEGINNING = 1 << 17
"""Bytes in which the table of offsets of 30,000 frames ends and the first frame begins."""
NATIVE = frozenset((DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE))


def stored_values(image: ImageHeader, split: Split | None = None) -> Stored:
    """Values (rows, columns) as stored, bits above the declared ones included. split: of `split_multiframe`."""
    return _native(image) if image.pixels.transfer_syntax in NATIVE else _compressed(image, split or {})


def split_multiframe(images: Sequence[ImageHeader]) -> Split:
    """Compressed frames of each multi-frame entry, cut apart once."""
    entries = {
        image.entry: image for image in images if image.frames > 1 and image.pixels.transfer_syntax not in NATIVE
    }
    return {entry: _encapsulated_frames(image) for entry, image in entries.items()}


def lossy_note(images: Sequence[ImageHeader]) -> list[str]:
    """A doubt where a compressed stream tells of a loss that no header tells of. Looks at the first, middle and last
    image: a series is compressed by one program."""
    if any(image.lossy for image in images):
        return []
    some = {images[place].entry: images[place] for place in (0, len(images) // 2, -1)}.values()
    compressed = [image for image in some if image.pixels.transfer_syntax not in NATIVE]
    if not any(loses_detail(_first_fragment(image)) for image in compressed):
        return []
    return ["The images were compressed with loss, which their headers do not say; fine detail may be altered."]


def _first_fragment(image: ImageHeader) -> bytes:
    """The first item with contents behind the table of offsets; empty where there is none."""
    try:
        items = generate_fragments(bytes(image.entry.read(image.pixel_start, image.pixel_start + _BEGINNING)))
        next(items, None)
        return next((item for item in items if item), b"")
    except ValueError:
        return b""


def pixel_bytes(image: ImageHeader) -> memoryview:
    """The stored value of the image's pixel data element."""
    stop = None if image.pixel_length is None else image.pixel_start + image.pixel_length
    if image.inflated is not None:
        return memoryview(image.inflated)[image.pixel_start : stop]
    return image.entry.read(image.pixel_start, stop)


def _native(image: ImageHeader) -> Stored:
    """Uncompressed pixels, straight from their bytes."""
    pixels = image.pixels
    size = pixels.rows * pixels.columns * pixels.bits_allocated // 8
    start = image.pixel_start + image.frame * size
    if image.pixel_length is None or image.pixel_length < size * image.frames:
        raise truncated()
    if image.pixel_length > size * image.frames + 1 and not _is_padded(image, size * image.frames):
        raise UserFacingError(
            "An image holds more pixel data than its header declares.", "exactly the declared pixels", EXPORT_AGAIN
        )
    source = (
        image.entry.read(start, start + size)
        if image.inflated is None
        else memoryview(image.inflated)[start : start + size]
    )
    if len(source) < size:
        raise truncated()
    order = ">" if pixels.big_endian else "<"
    kind = f"{order}{'i' if pixels.signed else 'u'}{pixels.bits_allocated // 8}"
    return np.frombuffer(source, kind).reshape(pixels.rows, pixels.columns)


def _is_padded(image: ImageHeader, size: int) -> bool:
    """Whether only zeros, less than a row or column of them, follow the declared pixels, as from writers that fill up
    blocks of bytes: no wrong number of rows or columns leaves so few."""
    pixels, stop = image.pixels, image.pixel_start + (image.pixel_length or 0)
    if stop - image.pixel_start - size >= min(pixels.rows, pixels.columns) * pixels.bits_allocated // 8:
        return False
    source = image.entry.read(image.pixel_start + size, stop) if image.inflated is None else image.inflated
    behind = bytes(source if image.inflated is None else source[image.pixel_start + size : stop])
    return not any(behind)


def _compressed(image: ImageHeader, split: Split) -> Stored:
    """Pixels of one compressed frame."""
    pixels = image.pixels
    if not can_decode(pixels.transfer_syntax):
        raise _unsupported(pixels.transfer_syntax)
    if image.pixel_length is not None:
        raise truncated()
    return decode_frame((split.get(image.entry) or _encapsulated_frames(image))[image.frame], pixels)


def _unsupported(transfer_syntax: str) -> UserFacingError:
    return UserFacingError(
        f"The images are stored as {syntax_name(transfer_syntax)}, which this app cannot decode.",
        "uncompressed, RLE, JPEG, lossless JPEG, JPEG-LS, JPEG 2000, HTJ2K or JPEG XL images",
        "Export the series uncompressed.",
    )


def _encapsulated_frames(image: ImageHeader) -> list[bytes]:
    """Compressed frames of the image's file. Raises UserFacingError where they cannot be told apart."""
    try:
        frames = list(generate_frames(bytes(pixel_bytes(image)), number_of_frames=image.frames))
    except MemoryError:
        raise
    except Exception as error:
        raise truncated() from error
    if len(frames) != image.frames:
        raise truncated()
    return frames
