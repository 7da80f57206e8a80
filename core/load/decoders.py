"""Compressed monochrome frames to stored values, by decoders that release Python's lock: threads share the cores."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom.uid import UID

from core.errors import UserFacingError
from core.load.codestream import Codestream, read_codestream
from core.load.dicom_header import PixelFormat
from core.load.hounsfield import Stored
from core.load.jpeg import HUFFMAN_JPEG, LOSSY_JPEG, is_sound_jpeg
from core.load.words import EXPORT_AGAIN

RLE = "1.2.840.10008.1.2.5"
"""The compressed syntax whose streams do not say how long a row is."""
_JPEG_LS = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (80, 81))
_JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203))
"""The last three: high-throughput. OpenJPEG reads both; imagecodecs' faster reader of these swallows their faults."""
_BY_SYNTAX: dict[str, Callable[[bytes], npt.NDArray[np.generic]]] = {
    **dict.fromkeys(HUFFMAN_JPEG, lambda frame: imagecodecs.jpeg8_decode(frame)),
    **dict.fromkeys(_JPEG_LS, lambda frame: imagecodecs.jpegls_decode(frame)),
    **dict.fromkeys(_JPEG_2000, lambda frame: imagecodecs.jpeg2k_decode(frame, numthreads=1)),
}
_RLE_HEADER = struct.Struct("<16I")


def can_decode(transfer_syntax: str) -> bool:
    """Whether `decode_frame` knows a transfer syntax."""
    return transfer_syntax == RLE or transfer_syntax in _BY_SYNTAX


def decode_frame(frame: bytes, pixels: PixelFormat) -> Stored:
    """Stored values (rows, columns) of one frame in a syntax that `can_decode` knows.

    Raises UserFacingError where the stream is cut short, damaged, or holds another picture than declared.
    """
    stream = _checked(frame, pixels)
    try:
        if pixels.transfer_syntax == RLE:
            return _run_lengths(frame, pixels)
        decoded = _BY_SYNTAX[pixels.transfer_syntax](frame)
    except Exception as error:
        raise _damaged(f"An image compressed as {UID(pixels.transfer_syntax).name} cannot be decoded.") from error
    if decoded.shape != (pixels.rows, pixels.columns) or decoded.dtype.kind not in "iu":
        raise _other_size()
    return _as_signed(decoded, pixels.signed, None if pixels.transfer_syntax in HUFFMAN_JPEG else stream)


def _checked(frame: bytes, pixels: PixelFormat) -> Codestream | None:
    """What a frame of the JPEG family says of itself; raises where it is cut short or contradicts the data set.

    Decoders ask for the memory that a stream claims to need, and fill up one that is cut short.
    """
    if pixels.transfer_syntax in HUFFMAN_JPEG and not is_sound_jpeg(frame):
        raise _damaged("A compressed image is damaged.")
    stream = read_codestream(frame)
    if stream is None:
        return None
    if not stream.complete:
        raise truncated()
    if stream.lossy is not None and stream.lossy != (pixels.transfer_syntax in LOSSY_JPEG):
        raise _damaged("A compressed image says of itself whether it loses detail, and its header says the opposite.")
    same = (stream.rows, stream.columns, stream.components) == (pixels.rows, pixels.columns, 1)
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


def _run_lengths(frame: bytes, pixels: PixelFormat) -> Stored:
    """PS3.5 Annex G: a header that says where the segments start, then one segment for each byte of a pixel.

    The header is checked here, because the decoder trusts it.
    """
    width = pixels.bits_allocated // 8
    count, *starts = _RLE_HEADER.unpack_from(frame)
    segments = [_RLE_HEADER.size - 1, *starts[:count], len(frame)]
    if count != width or any(start >= stop for start, stop in pairwise(segments)):
        raise ValueError("segments out of place")
    size = pixels.rows * pixels.columns * width
    dtype = np.dtype(f"{'i' if pixels.signed else 'u'}{width}")
    decoded = imagecodecs.dicomrle_decode(frame, dtype, out=bytearray(size))
    if len(decoded) != size:
        raise ValueError("another number of pixels than declared")
    return np.frombuffer(decoded, dtype).reshape(pixels.rows, pixels.columns)
