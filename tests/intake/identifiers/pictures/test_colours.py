"""Colour pictures in every compression: decoded as other decoders do, written back as colours that others read."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from privacy_support import ct_slice
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import (
    JPEG2000,
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from core.intake.identifiers.clean.pseudonyms import Pseudonyms
from core.intake.identifiers.deidentify import deidentify
from core.intake.identifiers.pictures.planes import decode

ROWS, COLUMNS = 48, 64
Colours = npt.NDArray[np.uint8]


def picture() -> Colours:
    """A smooth change of colours with a red and a blue block, RGB."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    colours = np.stack([x * 3, y * 4, (x + y) * 2], -1).astype(np.uint8)
    colours[8:24, 8:24], colours[24:40, 32:48] = (250, 10, 10), (10, 10, 250)
    return colours


def by_run_lengths(colours: Colours) -> bytes:
    return RLELosslessEncoder.encode(
        colours.tobytes(), rows=ROWS, columns=COLUMNS, samples_per_pixel=3, bits_allocated=8, bits_stored=8,
        pixel_representation=0, photometric_interpretation="RGB", number_of_frames=1, planar_configuration=0,
        pixel_keyword="PixelData",
    )  # fmt: skip


RGB, YBR = picture(), convert_color_space(picture(), "RGB", "YBR_FULL")
JPEG = partial(imagecodecs.jpeg8_encode, RGB, level=98, colorspace="RGB")
LOSSLESS = partial(imagecodecs.jpeg8_encode, lossless=True, predictor=1)
FRAMES: dict[str, tuple[UID, str, bytes, tuple[str, ...], float]] = {
    "JPEG, half the colours": (
        JPEGBaseline8Bit, "YBR_FULL_422", bytes(JPEG(outcolorspace="YCBCR", subsampling="422")), (), 12),
    "JPEG, all colours": (
        JPEGBaseline8Bit, "YBR_FULL", bytes(JPEG(outcolorspace="YCBCR", subsampling="444")), ("gdcm", "pillow"), 6),
    "JPEG without transform": (JPEGBaseline8Bit, "RGB", bytes(JPEG(outcolorspace="RGB")), ("gdcm", "pillow"), 6),
    "lossless JPEG": (JPEGLosslessSV1, "RGB", bytes(
        LOSSLESS(RGB, colorspace="RGB", outcolorspace="RGB")), ("gdcm",), 0),
    "lossless JPEG of luminance": (JPEGLosslessSV1, "YBR_FULL", bytes(
        LOSSLESS(YBR, colorspace="UNKNOWN", outcolorspace="UNKNOWN")), ("gdcm",), 2),
    "JPEG-LS": (JPEGLSLossless, "RGB", bytes(imagecodecs.jpegls_encode(RGB)), ("gdcm", "pyjpegls"), 0),
    "JPEG 2000": (JPEG2000Lossless, "YBR_RCT", bytes(
        imagecodecs.jpeg2k_encode(RGB, level=0, codecformat="j2k", mct=True)), ("gdcm", "pylibjpeg", "pillow"), 0),
    "JPEG 2000 without transform": (JPEG2000Lossless, "RGB", bytes(
        imagecodecs.jpeg2k_encode(RGB, level=0, codecformat="j2k", mct=False)), ("gdcm", "pylibjpeg"), 0),
    "lossy JPEG 2000": (JPEG2000, "YBR_ICT", bytes(
        imagecodecs.jpeg2k_encode(RGB, level=45, codecformat="j2k", mct=True, reversible=False)), ("pylibjpeg",), 8),
    "HTJ2K": (HTJ2KLossless, "YBR_RCT", bytes(imagecodecs.htj2k_encode(RGB, reversible=True)), ("pylibjpeg",), 0),
    "RLE": (RLELossless, "RGB", by_run_lengths(RGB), ("pydicom", "pylibjpeg"), 0),
    "RLE of luminance": (RLELossless, "YBR_FULL", by_run_lengths(YBR), ("pydicom", "pylibjpeg"), 2),
    "JPEG XL": (UID("1.2.840.10008.1.2.4.110"), "RGB", bytes(imagecodecs.jpegxl_encode(RGB, lossless=True)), (), 0),
    "JPEG in JPEG XL": (UID("1.2.840.10008.1.2.4.111"), "YBR_FULL", bytes(
        imagecodecs.jpegxl_encode_jpeg(bytes(JPEG(outcolorspace="YCBCR", subsampling="444")))), (), 6),
}  # fmt: skip
"""Transfer syntax, photometric interpretation, frame, peers that read it as it is, largest loss of a colour."""


def secondary_capture(name: str) -> FileDataset:
    """A colour picture of one frame, in memory."""
    syntax, photometric, frame, _, _ = FRAMES[name]
    dataset = ct_slice(0)
    del dataset.RescaleSlope, dataset.RescaleIntercept
    dataset.SOPClassUID, dataset.Modality = UID("1.2.840.10008.5.1.4.1.1.7"), "OT"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel, dataset.PlanarConfiguration = ROWS, COLUMNS, 3, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PhotometricInterpretation = photometric
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    return FileDataset("", dataset, preamble=b"\0" * 128, file_meta=meta, is_implicit_VR=False, is_little_endian=True)


def as_rgb(stored: npt.NDArray[np.generic], photometric: str) -> Colours:
    return np.asarray(stored if photometric == "RGB" else convert_color_space(stored, photometric, "RGB"))


@pytest.mark.parametrize("name", FRAMES)
def test_colours_are_those_that_were_packed(name: str) -> None:
    *_, loss = FRAMES[name]
    frames = decode(secondary_capture(name))
    assert frames is not None
    difference = np.abs(as_rgb(frames.stored[0], frames.photometric).astype(int) - RGB)
    inside = np.ones((ROWS, COLUMNS), bool)
    if loss:
        inside[6:42] = False
        inside[12:20, 12:20] = inside[28:36, 36:44] = True
    assert difference[inside].max() <= loss


@pytest.mark.parametrize(("name", "peer"), [(name, peer) for name in FRAMES for peer in FRAMES[name][3]])
def test_colours_are_those_of_another_decoder(name: str, peer: str) -> None:
    dataset = secondary_capture(name)
    theirs, facts = get_decoder(FRAMES[name][0]).as_array(dataset, raw=True, decoding_plugin=peer)
    ours = decode(dataset)
    assert ours is not None
    wanted = as_rgb(theirs, str(facts["photometric_interpretation"])).astype(int)
    difference = np.abs(as_rgb(ours.stored[0], ours.photometric).astype(int) - wanted)
    assert difference.max() <= (3 if "YBR" in FRAMES[name][1] else 0)


@pytest.mark.parametrize("name", ["JPEG, half the colours", "JPEG without transform", "RLE of luminance", "JPEG 2000"])
def test_colours_written_without_compression_are_read_by_others(name: str, tmp_path: Path) -> None:
    dataset, out = secondary_capture(name), io.BytesIO()
    dataset.save_as(out)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(out.getvalue())
    report = deidentify(tmp_path / "in", tmp_path / "out", pseudonyms=Pseudonyms(b"a secret for tests, 32 bytes long"))
    assert report.written == 1, report.left_out
    written = pydicom.dcmread(next(path for path in (tmp_path / "out").rglob("*") if path.is_file()))
    assert abs(written.pixel_array[16, 16].astype(int) - (250, 10, 10)).max() <= 12
    assert abs(written.pixel_array[32, 40].astype(int) - (10, 10, 250)).max() <= 12
    assert (written.get("LossyImageCompression") == "01") == name.startswith("JPEG,") or "without" in name


def test_another_picture_than_declared_is_refused() -> None:
    dataset = secondary_capture("JPEG-LS")
    dataset.Rows += 1
    with pytest.raises(Exception, match="another size"):
        decode(dataset)


def test_a_jpeg_that_names_its_colours_is_believed_over_its_header() -> None:
    for name, wrong in (("JPEG, all colours", "RGB"), ("JPEG without transform", "YBR_FULL_422")):
        dataset = secondary_capture(name)
        dataset.PhotometricInterpretation = wrong
        frames = decode(dataset)
        assert frames is not None
        assert abs(frames.stored[0, 16, 16].astype(int) - (250, 10, 10)).max() <= 6


def test_a_silent_jpeg_has_the_colours_of_its_header() -> None:
    frame = bytearray(FRAMES["JPEG without transform"][2])
    start = frame.index(b"\xff\xee")
    del frame[start : start + 2 + int.from_bytes(frame[start + 2 : start + 4], "big")]
    for marker, first, step in ((b"\xff\xc0", 10, 3), (b"\xff\xda", 5, 2)):
        at = frame.index(marker) + first
        assert frame[at : at + 3 * step : step] == b"RGB"
        frame[at : at + 3 * step : step] = b"\1\2\3"
    dataset = secondary_capture("JPEG without transform")
    dataset.PixelData = encapsulate([bytes(frame)])
    dataset["PixelData"].is_undefined_length = True
    frames = decode(dataset)
    assert frames is not None
    assert abs(frames.stored[0, 16, 16].astype(int) - (250, 10, 10)).max() <= 6
