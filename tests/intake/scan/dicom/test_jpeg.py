"""Huffman-coded JPEG frames: sound ones pass, and a damaged header never reaches the decoder, which it could crash."""

from __future__ import annotations

import io

import numpy as np
import pytest
from corpus_values import by_gdcm, encoded
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from core.intake.scan.dicom.jpeg import is_sound_jpeg


def first_frame(file: bytes) -> bytes:
    return next(generate_frames(dcmread(io.BytesIO(file)).PixelData, number_of_frames=1))


LOSSLESS = first_frame(by_gdcm("JPEGLosslessProcess14_1")[0][1]).rstrip(b"\0")
SCAN = LOSSLESS.index(b"\xff\xda")


def baseline(mode: str = "L", **options: object) -> bytes:
    """A picture through Pillow (libjpeg)."""
    out, ramp = io.BytesIO(), np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    Image.fromarray(ramp).convert(mode).save(out, "JPEG", **options)
    return out.getvalue()


@pytest.mark.parametrize(
    "stream",
    [
        LOSSLESS,
        LOSSLESS + b"\0",
        baseline(),
        baseline(optimize=True),
        baseline(restart_marker_blocks=2),
        baseline(comment=b"words"),
        baseline("RGB"),
        baseline("CMYK"),
    ],
)
def test_sound_streams_pass(stream: bytes) -> None:
    assert is_sound_jpeg(stream)


@pytest.mark.parametrize(
    "stream",
    [
        LOSSLESS[:-2],
        LOSSLESS[:40],
        LOSSLESS[:2],
        LOSSLESS.replace(b"\xff\xc3\x00\x0b\x10", b"\xff\xc3\x00\x0b\x31"),
        LOSSLESS.replace(b"\xff\xc4", b"\xfe\xc4"),
        LOSSLESS.replace(b"\xff\xc4", b"\xff\xe4"),
        LOSSLESS[: SCAN + 40] + b"\xff\xc4" + LOSSLESS[SCAN + 40 :],
        LOSSLESS[: SCAN + 40] + b"\xff\xd0" + LOSSLESS[SCAN + 40 :],
        baseline(progressive=True),
        first_frame(encoded(JPEGLSLossless)[0][1]),
        first_frame(encoded(JPEG2000Lossless)[0][1]),
    ],
)
def test_unsound_streams_do_not(stream: bytes) -> None:
    assert not is_sound_jpeg(stream)


HEADER_BYTES = sorted({*range(2, SCAN + 10)} - {7, 8, 9, 10, 12})
"""Of the header all but the size, which is compared with the DICOM header, and the component's name."""


@settings(max_examples=300)
@given(st.sampled_from(HEADER_BYTES), st.integers(0, 255))
@example(6, 0)
def test_a_changed_header_is_unsound_or_says_something_else_that_is_sound(place: int, value: int) -> None:
    """What may still pass: another precision, predictor or table that is valid in itself, and the sampling factors."""
    changed = LOSSLESS[:place] + bytes([value]) + LOSSLESS[place + 1 :]
    if is_sound_jpeg(changed) and value != LOSSLESS[place]:
        assert changed[6] in range(2, 17)
        assert changed[SCAN + 7] in range(1, 8)
        assert changed[SCAN + 9] < 16
        counts = LOSSLESS.index(b"\xff\xc4") + 5
        assert place in {6, 13, 14, SCAN + 6, SCAN + 7, SCAN + 9} or counts - 1 <= place < SCAN
