"""Compressed frames to stored values, by decoders that release Python's lock: threads share the cores."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom.uid import UID

from core.errors import UserFacingError
from core.intake.scan.dicom.codestream import Codestream, read_codestream
from core.intake.scan.dicom.elements import SWAPPED_PIXELS
from core.intake.scan.dicom.header import PixelFormat
from core.intake.scan.dicom.jpeg import HUFFMAN_JPEG, LOSSY_JPEG, is_sound_jpeg, states_colours
from core.intake.scan.dicom.jpegxl import JPEG_XL, read_jpegxl
from core.intake.scan.hounsfield import Stored
from core.intake.terms.safe_description import EXPORT_AGAIN

RLE = "1.2.840.10008.1.2.5"
_ENCAPSULATED = "1.2.840.10008.1.2.1.98"
_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
WITHOUT_WIDTH = frozenset((RLE, _ENCAPSULATED, _DEFLATED_FRAMES))
"""The encapsulated syntaxes whose frames do not say how long a row is."""
_JPEG_LS = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (80, 81))
_JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203))
"""The last three: high-throughput. OpenJPEG reads both; imagecodecs' faster reader of these swallows their faults."""
_MAY_LOSE = LOSSY_JPEG | {"1.2.840.10008.1.2.4.112"}
_NAMES = {
    _DEFLATED_FRAMES: "Deflated Image Frame Compression",
    SWAPPED_PIXELS: "GE's private syntax of big-endian pixels",
    **dict.fromkeys(JPEG_XL, "JPEG XL"),
}
"""Of the syntaxes that pydicom's dictionary lacks."""
_RLE_HEADER = struct.Struct("<16I")


def can_decode(transfer_syntax: str) -> bool:
    """Whether `decode_frame` knows a transfer syntax."""
    return transfer_syntax in _BY_SYNTAX


def decode_frame(frame: bytes, pixels: PixelFormat) -> Stored:
    """Stored values (rows, columns[, samples]) of one frame in a syntax that `can_decode` knows.

    Colours come as `decoded_photometric` says. Raises UserFacingError where the stream is cut short, damaged, or holds
    another picture than declared.
    """
    try:
        stream = _checked(frame, pixels)
        decoded = _BY_SYNTAX[pixels.transfer_syntax](frame, pixels)
    except (UserFacingError, MemoryError):
        raise
    except Exception as error:
        raise _damaged(f"An image compressed as {syntax_name(pixels.transfer_syntax)} cannot be decoded.") from error
    if decoded.shape != _shape(pixels) or decoded.dtype.kind not in "iu":
        raise _other_size()
    return _as_signed(decoded, pixels.signed, None if pixels.transfer_syntax in HUFFMAN_JPEG else stream)


def decoded_photometric(pixels: PixelFormat) -> str:
    """The photometric interpretation of what `decode_frame` returns (PS3.5, 8.2: which colours a syntax transforms)."""
    transformed = pixels.transfer_syntax in (*LOSSY_JPEG, *JPEG_XL) or pixels.photometric in ("YBR_ICT", "YBR_RCT")
    return "RGB" if pixels.samples == 3 and transformed else pixels.photometric


def syntax_name(transfer_syntax: str) -> str:
    """A transfer syntax's name for people."""
    uid = UID(transfer_syntax)
    return uid.name if uid.name != str(uid) else _NAMES.get(uid, "an unknown transfer syntax")


def _shape(pixels: PixelFormat) -> tuple[int, ...]:
    return (pixels.rows, pixels.columns) if pixels.samples == 1 else (pixels.rows, pixels.columns, pixels.samples)


def _checked(frame: bytes, pixels: PixelFormat) -> Codestream | None:
    """What a frame of the JPEG family says of itself; raises where it is cut short or contradicts the data set.

    Decoders ask for the memory that a stream claims to need, and fill up one that is cut short.
    """
    if pixels.transfer_syntax in HUFFMAN_JPEG and not is_sound_jpeg(frame):
        raise _damaged("A compressed image is damaged.")
    stream = (read_jpegxl if pixels.transfer_syntax in JPEG_XL else read_codestream)(frame)
    if stream is None:
        return None
    if not stream.complete:
        raise truncated()
    if stream.lossy is not None and stream.lossy != (pixels.transfer_syntax in _MAY_LOSE):
        raise _damaged("A compressed image says of itself whether it loses detail, and its header says the opposite.")
    same = (stream.rows, stream.columns, stream.components) == (pixels.rows, pixels.columns, pixels.samples)
    if not same or stream.precision > pixels.bits_allocated:
        raise _other_size()
    return stream


def truncated() -> UserFacingError:
    """The refusal for pixel data that end early."""
    return UserFacingError("The pixel data of an image end too early.", "complete images", "Copy the files again.")


def _damaged(found: str) -> UserFacingError:
    return UserFacingError(found, "an intact compressed image", EXPORT_AGAIN)


def _other_size() -> UserFacingError:
    return UserFacingError(
        "A compressed image has another size or depth than its header declares.", "images as declared", EXPORT_AGAIN
    )


def _as_signed(decoded: npt.NDArray[np.generic], signed: bool, stream: Codestream | None) -> Stored:
    """The bits taken as the data set declares them, whatever the stream says of their sign.

    JPEG-LS knows no sign and many JPEG 2000 encoders ignore it; their numbers end at the stream's precision. Lossless
    JPEG knows none either, but is written with the precision of what is stored.
    """
    values = decoded.view(f"{'i' if signed else 'u'}{decoded.dtype.itemsize}")
    if stream is None or values.dtype == decoded.dtype:
        return values
    unused = 8 * values.dtype.itemsize - stream.precision
    return np.asarray((values << unused) >> unused)


def _jpeg(frame: bytes, pixels: PixelFormat) -> Stored:
    """Colours are what the stream says they are, as viewers take them, or where it is silent what the header says."""
    if pixels.samples == 1:
        return _as_array(imagecodecs.jpeg8_decode(frame))
    stored: str | None = "RGB"
    if pixels.transfer_syntax in LOSSY_JPEG:
        declared = "YCBCR" if pixels.photometric.startswith("YBR") else "RGB"
        stored = None if states_colours(frame) else declared
    return _as_array(imagecodecs.jpeg8_decode(frame, colorspace=stored, outcolorspace="RGB"))


def _run_lengths(frame: bytes, pixels: PixelFormat) -> Stored:
    """PS3.5 Annex G: a header that says where the segments start, then one segment for each byte of a pixel.

    The header is checked here, because the decoder trusts it.
    """
    width = pixels.bits_allocated // 8
    count, *starts = _RLE_HEADER.unpack_from(frame)
    segments = [_RLE_HEADER.size - 1, *starts[:count], len(frame)]
    if count != width * pixels.samples or any(start >= stop for start, stop in pairwise(segments)):
        raise ValueError("segments out of place")
    size = pixels.rows * pixels.columns * width * pixels.samples
    decoded = imagecodecs.dicomrle_decode(frame, _dtype(pixels), out=bytearray(size))
    if len(decoded) != size:
        raise ValueError("another number of pixels than declared")
    planes = np.frombuffer(decoded, _dtype(pixels)).reshape(pixels.samples, pixels.rows, pixels.columns)
    return planes[0] if pixels.samples == 1 else np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def _deflated(frame: bytes, pixels: PixelFormat) -> Stored:
    """PS3.5, A.4: the bytes of one frame as a deflated stream of RFC 1951."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    data = stream.decompress(frame, pixels.rows * pixels.columns * pixels.bits_allocated // 8 + 2)
    if not stream.eof:
        raise ValueError("the stream does not end where the picture does")
    return _plain(data, pixels)


def _plain(frame: bytes, pixels: PixelFormat) -> Stored:
    """The bytes of one monochrome frame, the last of which may be padding."""
    size = pixels.rows * pixels.columns * pixels.bits_allocated // 8
    if pixels.samples != 1 or not 0 <= len(frame) - size <= 1:
        raise ValueError("another number of pixels than declared")
    return np.frombuffer(frame, _dtype(pixels), pixels.rows * pixels.columns).reshape(pixels.rows, pixels.columns)


def _dtype(pixels: PixelFormat) -> np.dtype[Any]:
    return np.dtype(f"{'i' if pixels.signed else 'u'}{pixels.bits_allocated // 8}")


def _as_array(decoded: Any) -> Stored:
    return np.asarray(decoded)


_BY_SYNTAX: dict[str, Callable[[bytes, PixelFormat], Stored]] = {
    RLE: _run_lengths,
    _ENCAPSULATED: _plain,
    _DEFLATED_FRAMES: _deflated,
    **dict.fromkeys(HUFFMAN_JPEG, _jpeg),
    **dict.fromkeys(_JPEG_LS, lambda frame, pixels: imagecodecs.jpegls_decode(frame)),
    **dict.fromkeys(_JPEG_2000, lambda frame, pixels: imagecodecs.jpeg2k_decode(frame, numthreads=1)),
    **dict.fromkeys(JPEG_XL, lambda frame, pixels: imagecodecs.jpegxl_decode(frame, numthreads=1)),
}
