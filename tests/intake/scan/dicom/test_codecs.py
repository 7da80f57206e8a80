"""Decoders of compressed frames against others of the same syntax, and against streams that lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
from ct_factory import dicom_slices, named, setter
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from core.errors import UserFacingError
from core.intake.scan.dicom.codecs import can_decode, decode_frame
from core.intake.scan.dicom.codestream import loses_detail, read_codestream
from core.intake.scan.dicom.header import PixelFormat
from core.load import load_study

ROWS, COLUMNS = 40, 48
JPEG_XL_LOSSLESS = UID("1.2.840.10008.1.2.4.110")
PEERS = {
    JPEG2000Lossless: ("gdcm", "pylibjpeg"),
    HTJ2KLossless: ("pylibjpeg",),
    JPEGLSLossless: ("gdcm", "pyjpegls"),
    JPEGLosslessSV1: ("gdcm",),
    RLELossless: ("pydicom", "pylibjpeg"),
}


def layout(syntax: UID, stored: int = 12, signed: bool = False) -> PixelFormat:
    return PixelFormat(ROWS, COLUMNS, 16, stored, stored - 1, signed, 1, "MONOCHROME2", False, str(syntax))


def picture(stored: int, signed: bool, seed: int = 0) -> npt.NDArray[np.integer]:
    """A ramp with noise over all values that so many bits can hold."""
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    noise = np.random.default_rng(seed).integers(-20, 20, (ROWS, COLUMNS))
    values = np.linspace(low, high, ROWS * COLUMNS).reshape(ROWS, COLUMNS) + noise
    return np.clip(values, low, high).astype(np.int16 if signed else np.uint16)


def compressed(plane: npt.NDArray[np.integer], syntax: UID, stored: int) -> bytes:
    """One frame, its numbers as unsigned as the syntax needs them."""
    signed = plane.dtype.kind == "i"
    if syntax == HTJ2KLossless:
        return bytes(imagecodecs.htj2k_encode(plane, reversible=True))
    if syntax == JPEGLosslessSV1:
        return bytes(imagecodecs.jpeg8_encode(plane.view(np.uint16), lossless=True, predictor=1, bitspersample=16))
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1")
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
    dataset.PhotometricInterpretation, dataset.BitsAllocated, dataset.BitsStored = "MONOCHROME2", 16, stored
    dataset.HighBit, dataset.PixelRepresentation = stored - 1, int(signed)
    dataset.PixelData = plane.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.compress(syntax, generate_instance_uid=False)
    return next(generate_frames(dataset.PixelData, number_of_frames=1))


def by_peer(frame: bytes, pixels: PixelFormat, plugin: str) -> npt.NDArray[np.integer]:
    decoded, _ = get_decoder(UID(pixels.transfer_syntax)).as_array(
        encapsulate([frame], has_bot=False),
        index=0,
        raw=True,
        decoding_plugin=plugin,
        rows=pixels.rows,
        columns=pixels.columns,
        samples_per_pixel=1,
        photometric_interpretation="MONOCHROME2",
        bits_allocated=16,
        bits_stored=pixels.bits_stored,
        pixel_representation=int(pixels.signed),
        number_of_frames=1,
        pixel_keyword="PixelData",
    )
    return decoded


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("stored", [12, 16])
@pytest.mark.parametrize(("syntax", "peer"), [(syntax, peer) for syntax, peers in PEERS.items() for peer in peers])
def test_every_syntax_gives_what_another_decoder_gives(syntax: UID, peer: str, stored: int, signed: bool) -> None:
    plane, pixels = picture(stored, signed), layout(syntax, stored, signed)
    frame = compressed(plane, syntax, stored)
    decoded = decode_frame(frame, pixels)
    assert decoded.dtype.kind == plane.dtype.kind
    np.testing.assert_array_equal(decoded, plane)
    np.testing.assert_array_equal(decoded, by_peer(frame, pixels, peer))


def test_numbers_that_a_stream_calls_unsigned_get_their_sign_at_its_precision() -> None:
    plane = picture(13, signed=True)
    frame = bytes(
        imagecodecs.jpeg2k_encode(plane.view(np.uint16) & 0x1FFF, bitspersample=13, level=0, codecformat="j2k")
    )
    np.testing.assert_array_equal(decode_frame(frame, layout(JPEG2000Lossless, 16, signed=True)), plane)


def test_extended_jpeg_of_12_bits_comes_within_its_loss() -> None:
    plane = np.add.outer(np.arange(ROWS) * 40, np.arange(COLUMNS) * 30).astype(np.uint16)
    frame = bytes(imagecodecs.jpeg8_encode(plane, level=98, bitspersample=12))
    decoded = decode_frame(frame, layout(UID("1.2.840.10008.1.2.4.51")))
    assert np.abs(decoded.astype(int) - plane).max() <= 3
    assert not can_decode("1.2.840.10008.1.2.4.102")


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("container", [False, True], ids=["bare", "in boxes"])
@pytest.mark.parametrize("stored", [10, 12, 13, 16])
def test_jpeg_xl_gives_what_was_packed(stored: int, container: bool, signed: bool) -> None:
    plane = picture(stored, signed)
    words = plane.view(np.uint16) & ((1 << stored) - 1)
    frame = bytes(imagecodecs.jpegxl_encode(words, lossless=True, bitspersample=stored, usecontainer=container))
    decoded = decode_frame(frame, layout(JPEG_XL_LOSSLESS, stored, signed))
    assert decoded.dtype == plane.dtype
    np.testing.assert_array_equal(decoded, plane)


PLANE = picture(12, signed=False)
JXL = bytes(imagecodecs.jpegxl_encode(PLANE, lossless=True))
NOT_ONE_PICTURE = {
    "cut short": JXL[:-9],
    "only its beginning": JXL[:50],
    "another size": bytes(imagecodecs.jpegxl_encode(PLANE[:-1], lossless=True)),
    "animated": bytes(imagecodecs.jpegxl_encode(np.stack([PLANE, PLANE]), lossless=True)),
    "of floats": bytes(imagecodecs.jpegxl_encode(PLANE.astype(np.float32) / 4096, lossless=True)),
    "colours": bytes(imagecodecs.jpegxl_encode(np.stack([PLANE] * 3, -1), lossless=True)),
    "a further channel": bytes(imagecodecs.jpegxl_encode(np.stack([PLANE] * 2, -1), lossless=True)),
    "lossy, called lossless": bytes(imagecodecs.jpegxl_encode(PLANE, level=80)),
    "another codec": bytes(imagecodecs.jpegls_encode(PLANE)),
}


@pytest.mark.parametrize("name", NOT_ONE_PICTURE)
def test_jpeg_xl_that_is_not_the_declared_picture_is_refused(name: str) -> None:
    with pytest.raises(UserFacingError):
        decode_frame(NOT_ONE_PICTURE[name], layout(JPEG_XL_LOSSLESS))


def test_lossy_jpeg_xl_is_taken_where_it_may_lose() -> None:
    frame = bytes(imagecodecs.jpegxl_encode(PLANE, level=98, bitspersample=12))
    decoded = decode_frame(frame, layout(UID("1.2.840.10008.1.2.4.112")))
    assert 0 < np.abs(decoded.astype(int) - PLANE).mean() < 40


def test_a_huge_picture_is_refused_before_the_decoder_is_asked() -> None:
    frame = bytearray(imagecodecs.jpegxl_encode(PLANE, lossless=True, bitspersample=12, usecontainer=False))
    frame[2:8] = (0b0 | 0b11 << 1 | (2**30 - 1) << 3 | 1 << 33).to_bytes(6, "little")
    with pytest.raises(UserFacingError) as refused:
        decode_frame(bytes(frame), layout(JPEG_XL_LOSSLESS))
    assert "another size" in refused.value.found


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("pack", [bytes, deflated], ids=["encapsulated", "deflated"])
def test_frames_that_hold_plain_bytes(pack: Callable[[bytes], bytes]) -> None:
    pixels = layout(UID("1.2.840.10008.1.2.1.98" if pack is bytes else "1.2.840.10008.1.2.8.1"), 16, signed=True)
    plane = picture(16, signed=True)
    np.testing.assert_array_equal(decode_frame(pack(plane.tobytes()), pixels), plane)
    for data in (plane.tobytes()[:-1], plane.tobytes() + b"\0\0", plane.tobytes() * 2000):
        with pytest.raises(UserFacingError):
            decode_frame(pack(data), pixels)
    with pytest.raises(UserFacingError):
        decode_frame(pack(plane.tobytes())[:-20], pixels)


def header(count: int, *starts: int) -> bytes:
    return struct.pack("<16I", count, *starts, *[0] * (15 - len(starts)))


RUN = b"\x81\x07" * (ROWS * COLUMNS // 128)
"""One segment: the byte 7 in runs of 128."""


def test_a_frame_of_runs_is_read() -> None:
    decoded = decode_frame(header(2, 64, 64 + len(RUN)) + RUN + RUN, layout(RLELossless))
    assert decoded.shape == (ROWS, COLUMNS)
    assert (decoded == 0x0707).all()


DAMAGED = {
    "no segment": header(0) + RUN,
    "one segment of two": header(1, 64) + RUN,
    "three segments": header(3, 64, 64 + len(RUN), 64 + 2 * len(RUN)) + 3 * RUN,
    "a start behind the end": header(2, 64, 999_999) + RUN + RUN,
    "a start within the header": header(2, 0, 64 + len(RUN)) + RUN + RUN,
    "starts in wrong order": header(2, 64 + len(RUN), 64) + RUN + RUN,
    "the greatest start": header(2, 64, 0xFFFFFFFF) + RUN + RUN,
    "a segment cut short": header(2, 64, 64 + len(RUN)) + RUN + RUN[:-2],
    "a first segment cut short": header(2, 64, 62 + len(RUN)) + RUN[:-2] + RUN,
    "a segment too long": header(2, 64, 64 + len(RUN)) + RUN + RUN + RUN,
    "no header": b"\x02\0\0",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_frames_of_runs_are_refused(name: str) -> None:
    with pytest.raises(UserFacingError):
        decode_frame(DAMAGED[name], layout(RLELossless))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, 400))
def test_changed_bytes_of_runs_end_in_values_or_a_refusal(changes: list[tuple[int, int]], cut: int) -> None:
    frame = bytearray(compressed(picture(12, signed=False), RLELossless, 12))
    for place, value in changes:
        frame[place % len(frame)] = value
    try:
        decoded = decode_frame(bytes(frame[: len(frame) - cut]), layout(RLELossless))
    except UserFacingError:
        return
    assert decoded.shape == (ROWS, COLUMNS)
    assert decoded.dtype == np.uint16


LOSSY = {
    "JPEG-LS, near": imagecodecs.jpegls_encode(PLANE, level=2),
    "JPEG 2000, irreversible": imagecodecs.jpeg2k_encode(PLANE, codecformat="j2k", level=50),
    "JPEG 2000 in a file": imagecodecs.jpeg2k_encode(PLANE, codecformat="jp2", level=50),
    "HTJ2K, irreversible": imagecodecs.htj2k_encode(PLANE, reversible=False),
}
LOSSLESS = {
    "JPEG-LS": imagecodecs.jpegls_encode(PLANE),
    "JPEG 2000": imagecodecs.jpeg2k_encode(PLANE, codecformat="j2k", reversible=True, level=0),
    "HTJ2K": imagecodecs.htj2k_encode(PLANE, reversible=True),
    "lossless JPEG": imagecodecs.ljpeg_encode(PLANE),
    "lossless JPEG XL": JXL,
    "nothing": b"",
    "a beginning": imagecodecs.jpegls_encode(PLANE, level=2)[:20],
}


@pytest.mark.parametrize("name", LOSSY | LOSSLESS)
def test_a_stream_says_whether_it_is_only_near_the_original(name: str) -> None:
    assert loses_detail(bytes((LOSSY | LOSSLESS)[name])) == (name in LOSSY)


@pytest.mark.parametrize(("near", "declared", "said"), [(2, None, 1), (2, "01", 1), (0, None, 0)])
def test_a_loss_that_no_header_tells_of_is_told(near: int, declared: str | None, said: int) -> None:
    files = []
    for dataset in dicom_slices(edit=setter(**({"LossyImageCompression": declared} if declared else {}))):
        plane = np.frombuffer(dataset.PixelData, "<i2" if dataset.PixelRepresentation else "<u2")
        plane = plane.reshape(dataset.Rows, dataset.Columns).view(np.uint16)
        dataset.PixelData = encapsulate([bytes(imagecodecs.jpegls_encode(plane, level=near))])
        files.append(dataset)
    notes = load_study(named(files, JPEGLSNearLossless)).notes
    assert sum("compressed with loss" in note for note in notes) == said


def test_a_stream_tells_the_size_of_the_picture_and_not_of_its_canvas() -> None:
    """ISO 15444-1 A.5.1: the picture reaches from (XOsiz, YOsiz) to (Xsiz, Ysiz)."""
    size = struct.pack(">HH8IHBBB", 41, 0, 70, 40, 6, 10, 70, 40, 0, 0, 1, 11, 1, 1)
    found = read_codestream(b"\xff\x4f\xff\x51" + size + b"\xff\xd9")
    assert found is not None
    assert (found.rows, found.columns, found.precision, found.complete) == (30, 64, 12, True)
