"""Corpus: rescale, value range, pixel formats and transfer syntaxes of DICOM series."""

from __future__ import annotations

import io
import tempfile
import zlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import imagecodecs
import numpy as np
from corpus import GRID, Files, cases, changed, element, filled, find_element, series, with_raw
from ct_factory import (
    BIG_ENDIAN,
    DEFLATED,
    IMPLICIT,
    Grid,
    dicom_slices,
    named,
    positions,
    put_pixels,
    setter,
    to_bytes,
    world_hu,
)
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, HTJ2KLossless, JPEG2000Lossless, JPEGExtended12Bit, JPEGLSLossless, RLELossless

HU = GRID.hu()
SLOPE, INTERCEPT, TYPE = 0x00281053, 0x00281052, 0x00281054
WIDE = Grid(shape=(32, 32, 12), spacing_mm=(1.1, 1.1, 2.5))


def raw(tag: int, value: bytes, only: int | None = None):
    return lambda: with_raw(series(), tag, value, only=only)


def strip(*keywords: str):
    return lambda: changed(lambda s: [delattr(d, k) for d in s for k in keywords] and None)


def hu_of(values: np.ndarray, **header: object):
    return lambda: named(filled(values, **header))


RESCALE = cases("rescale", {
    "absent": (strip("RescaleSlope", "RescaleIntercept"), "refuse", {"words": "rescale"}),
    "slope absent": (strip("RescaleSlope"), "refuse", {"words": "rescale"}),
    "intercept absent": (strip("RescaleIntercept"), "refuse", {"words": "rescale"}),
    "absent in one": (
        lambda: changed(lambda s: delattr(s[4], "RescaleIntercept")), "refuse", {"words": "rescale"}),
    "slope zero": (raw(SLOPE, b"0"), "refuse", {"words": "rescale"}),
    "slope not a number": (raw(SLOPE, b"nan"), "refuse", {"words": "rescale"}),
    "slope infinite": (raw(SLOPE, b"inf"), "refuse", {"words": "rescale"}),
    "slope overflows": (raw(SLOPE, b"1e999"), "refuse"),
    "slope empty": (raw(SLOPE, b""), "refuse", {"words": "rescale"}),
    "slope with comma": (raw(SLOPE, b"1,0"), "refuse", {"words": "rescale"}),
    "slope of two values": (raw(SLOPE, b"1\\2"), "either"),
    "intercept of two values": (raw(INTERCEPT, b"-1024\\0"), "refuse", {"words": "rescale"}),
    "slope huge": (raw(SLOPE, b"1e6"), "refuse"),
    "slope tiny": (raw(SLOPE, b"1e-6"), "refuse"),
    "slope not a number in one": (raw(SLOPE, b"nan", only=4), "refuse", {"words": "rescale"}),
    "intercept infinite": (raw(INTERCEPT, b"-inf"), "refuse", {"words": "rescale"}),
    "intercept infinite beside padding": (
        lambda: with_raw(padded(0, kind="<u2"), INTERCEPT, b"1e400"), "refuse", {"words": "rescale"}),
    "slope too small for padding": (
        lambda: with_raw(with_raw(padded(0, kind="<u2"), SLOPE, b"1e-5"), INTERCEPT, b"3000"), "refuse",
        {"words": "rescale"}),
    "intercept of another sign": (raw(INTERCEPT, b"1024"), "refuse"),
    "intercept zero": (raw(INTERCEPT, b"0"), "refuse", {"words": "offset"}),
    "intercept differs in one": (lambda: with_raw(series(), INTERCEPT, b"-824", only=6), "refuse"),
    "slope differs in one": (raw(SLOPE, b"2", only=6), "refuse"),
    "varies with the slices": (lambda: series(lambda i, d: setattr(d, "RescaleIntercept", -1024 - 3 * i)), "right"),
    "slope 2": (lambda: series(setter(RescaleSlope=2)), "right", {"tolerance": 1.01}),
    "slope one half": (lambda: series(setter(RescaleSlope=0.5, BitsStored=16, HighBit=15)), "right"),
    "fractional intercept": (lambda: series(setter(RescaleIntercept=-1024.5)), "right"),
    "negative slope": (lambda: series(setter(RescaleSlope=-1, RescaleIntercept=2000)), "either"),
    "type in lower case": (raw(TYPE, b"hu"), "right"),
    "type unspecified": (raw(TYPE, b"US"), "right"),
    "type absent": (lambda: series(setter(RescaleType=None)), "right"),
    "type of dual energy": (raw(TYPE, b"MGML"), "refuse", {"words": "something else"}),
    "modality table instead": (lambda: changed(modality_table), "refuse", {"words": "rescale|table"}),
    "modality table beside it": (
        lambda: changed(lambda s: modality_table(s, keep=True)), "refuse", {"words": "lookup table"}),
})  # fmt: skip


def modality_table(slices: list[Dataset], keep: bool = False) -> None:
    for dataset in slices:
        table = Dataset()
        table.LUTDescriptor, table.ModalityLUTType, table.LUTData = [4, 0, 16], "HU", [0, 1, 2, 3]
        table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
        dataset.ModalityLUTSequence = [table]
        if not keep:
            del dataset.RescaleSlope, dataset.RescaleIntercept


def behind(slices: list[Dataset], more: bytes) -> None:
    """Further bytes in the pixel data of every slice."""
    for dataset in slices:
        dataset.PixelData += more


def padded(value: int, *, tagged: bool = True, kind: str = "<i2", **header: object) -> Files:
    """Two rows of padding; the rest as ever. The value is a stored one."""
    slices = filled(HU, **header) if kind == "<i2" else dicom_slices(GRID, edit=setter(**header))
    for dataset in slices:
        pixels = np.frombuffer(dataset.PixelData, kind).copy().reshape(20, 24)
        pixels[:2] = value
        dataset.PixelData = pixels.tobytes()
        if tagged:
            dataset.add_new(0x00280120, "SS" if kind == "<i2" else "US", value)
    return named(slices)


PAD = {"padding": 2 * 24 * 16}
VALUES = cases("values", {
    "padding": (lambda: padded(-2000), "right", PAD),
    "padding far below": (lambda: padded(-32768), "right", PAD),
    "padding -3024 without its tag": (lambda: padded(-3024, tagged=False), "right", PAD),
    "padding above tissue": (lambda: padded(32767), "right", PAD),
    "unsigned padding above tissue": (
        lambda: padded(65535, kind="<u2", BitsStored=16, HighBit=15), "right", PAD),
    "padding at the top of 12 bits": (lambda: padded(4095, kind="<u2"), "right", PAD),
    "padding at the top of 12 bits in 16": (
        lambda: padded(4095, kind="<u2", BitsStored=16, HighBit=15), "right", PAD),
    "padding brighter than bone": (lambda: padded(3000, kind="<u2"), "right", PAD),
    "padding in a range above tissue": (
        lambda: with_raw(padded(4090, kind="<u2", PixelPaddingRangeLimit=4095), 0x00280120, b"\xf0\x0f"), "right", PAD),
    "padding below what 16 bits hold": (
        lambda: with_raw(padded(-32768), INTERCEPT, b"-40"), "right", {**PAD, "field": lambda p: world_hu(p) - 40}),
    "padding is air": (lambda: padded(0, kind="<u2"), "right", {**PAD, "tolerance": 1.01}),
    "padding tag with ordinary value": (
        lambda: changed(lambda s: [d.add_new(0x00280120, "US", 63) for d in s] and None), "right"),
    "constant": (hu_of(HU * 0 + 40), "refuse", {"words": "one value"}),
    "all air": (hu_of(HU * 0 - 1000), "refuse"),
    "mask": (hu_of((HU > 0) * 1.0), "refuse", {"words": "mask"}),
    "labels": (hu_of(np.rint((HU + 1000) / 30)), "refuse"),
    "mask from -1000 to 0": (hu_of(np.where(HU > -200, 0.0, -1000.0)), "refuse"),
    "8-bit picture in 16 bits": (hu_of(np.clip((HU + 1000) / 8, 0, 255)), "refuse", {"words": "8-bit"}),
    "normalised": (hu_of(HU / 400), "refuse", {"words": "normalised"}),
    "z-scores times 100": (hu_of(np.rint(100 * (HU - HU.mean()) / HU.std())), "refuse"),
    "offset missing": (hu_of(HU + 1024), "refuse", {"words": "offset"}),
    "offset applied twice": (hu_of(HU - 1024), "refuse"),
    "ten times": (hu_of(HU * 10), "refuse"),
    "a tenth": (hu_of(HU / 10), "refuse"),
    "negated": (hu_of(-HU), "refuse"),
    "soft tissue window": (hu_of(np.clip(HU, -160, 240)), "refuse"),
    "lung window": (hu_of(np.clip(HU, -1350, 150)), "refuse", {"words": "window"}),
    "noise only": (lambda: named(filled(np.random.default_rng(1).integers(-2000, 3000, HU.shape))), "refuse"),
    "one blank slice": (lambda: named(blank(filled(HU), 7, -1024)), "refuse", {"words": "neighbours|blank"}),
    "one black slice": (lambda: named(blank(filled(HU), 7, 0)), "refuse", {"words": "neighbours|blank"}),
    "slice repeated in place of another": (lambda: changed(lambda s: setattr(s[6], "PixelData", s[7].PixelData)),
                                           "refuse", {"words": "dentical|repeat"}),
    "two slices exchanged in quiet contents": (lambda: quiet(exchanged=True), "refuse", {"words": "neighbours"}),
    "quiet contents": (lambda: quiet(exchanged=False), "right", {"field": lambda p: calm(p)}),
    "metal": (hu_of(np.where((HU > 300), 9000.0, HU)), "either", {"field": lambda p: spiked(p)}),
    "few grey levels": (hu_of(np.rint(HU / 40) * 40), "either", {"tolerance": 20.5}),
})  # fmt: skip


def calm(places: np.ndarray) -> np.ndarray:
    """Air around a cylinder that brightens by 4 HU a mm: the steps between slices are small."""
    inside = np.hypot(places[..., 0] + 4, places[..., 1] - 3) < 8
    return np.rint(np.where(inside, 30 + 4 * places[..., 2], -1000))


def quiet(*, exchanged: bool) -> Files:
    slices = filled(calm)
    if exchanged:
        slices[3].PixelData, slices[12].PixelData = slices[12].PixelData, slices[3].PixelData
    return named(slices)


def spiked(places: np.ndarray) -> np.ndarray:
    hu = world_hu(places)
    return np.where(hu > 300, 9000.0, hu)


def blank(slices: list[Dataset], index: int, value: int) -> list[Dataset]:
    put_pixels(slices[index], np.full((20, 24), float(value)))
    return slices


def dense(places: np.ndarray) -> np.ndarray:
    """A field whose dense part (5%) lies above 1024 HU."""
    hu = world_hu(places)
    return np.where(hu > 280, np.clip(hu + 900, 1100, 1500), hu)


def relabelled(**values: object) -> Files:
    """Dense contents stored one way and declared another."""
    slices = dicom_slices(GRID)
    hu = dense_volume()
    for index, dataset in enumerate(slices):
        put_pixels(dataset, hu[:, :, index].T)
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
    return named(slices)


def dense_volume() -> np.ndarray:
    return dense(positions(GRID.affine_ras, GRID.shape))


def eight_bits(slope: float = 10, intercept: float = -1000, **header: object) -> Files:
    """HU in one byte with a rescale that gives them back."""
    slices = dicom_slices(GRID)
    for index, dataset in enumerate(slices):
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        for keyword, value in header.items():
            setattr(dataset, keyword, value)
        dataset.PixelData = np.clip(np.rint((HU[:, :, index].T - intercept) / slope), 0, 255).astype(np.uint8).tobytes()
        dataset["PixelData"].VR = "OB"
    return named(slices)


def overlay_bits() -> Files:
    slices = dicom_slices(GRID, edit=lambda i, d: d.add_new(0x60000102, "US", 12))
    for dataset in slices:
        pixels = np.frombuffer(dataset.PixelData, "<u2").copy()
        pixels[::7] |= 0x1000
        dataset.PixelData = pixels.tobytes()
    return named(slices)


def foreign_high_bits() -> Files:
    """Noise above the 12 declared bits, which PS3.5 8.1.1 tells a reader to ignore."""
    noise = np.random.default_rng(3)
    slices = dicom_slices(GRID)
    for dataset in slices:
        pixels = np.frombuffer(dataset.PixelData, "<u2")
        high = noise.integers(0, 16, pixels.size, np.uint16) << 12
        dataset.PixelData = (pixels | high).astype("<u2").tobytes()
    return named(slices)


def left_aligned() -> Files:
    slices = dicom_slices(GRID, edit=setter(HighBit=15))
    for dataset in slices:
        dataset.PixelData = (np.frombuffer(dataset.PixelData, "<u2") << 4).astype("<u2").tobytes()
    return named(slices)


def wide_integers() -> Files:
    slices = dicom_slices(GRID)
    for dataset in slices:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 32, 32, 31
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype("<u4").tobytes()
    return named(slices)


def floats() -> Files:
    def change(data: bytes) -> bytes:
        at = find_element(data, 0x7FE00010)
        pixels = np.frombuffer(data[at + 12 : at + 12 + 960], "<u2").astype("<f4")
        return data[:at] + element(0x7FE00008, b"OF", pixels.tobytes())

    return [(name, change(data)) for name, data in series(setter(BitsAllocated=32))]


DENSE = {"field": dense}
FORMATS = cases("format", {
    "signed": (lambda: named(filled(HU)), "right"),
    "signed 13 bits": (lambda: named(filled(HU, BitsStored=13, HighBit=12)), "right"),
    "unsigned 16 bits": (lambda: series(setter(BitsStored=16, HighBit=15, RescaleIntercept=-8192)), "right"),
    "unsigned above 32767": (lambda: series(setter(BitsStored=16, HighBit=15, RescaleIntercept=-33000)), "right"),
    "dense": (lambda: relabelled(), "right", DENSE),
    "unsigned declared signed": (lambda: relabelled(PixelRepresentation=1), "either", DENSE),
    "12 bits declared 11": (lambda: relabelled(BitsStored=11, HighBit=10), "refuse", {**DENSE, "words": "bits"}),
    "12 bits declared 16": (lambda: relabelled(BitsStored=16, HighBit=15), "right", DENSE),
    "signed declared unsigned": (
        lambda: [(n, d) for n, d in with_raw(named(filled(HU)), 0x00280103, b"\0\0")], "refuse"),
    "overlay in the high bits": (overlay_bits, "right"),
    "noise in the high bits": (foreign_high_bits, "right"),
    "representation that does not exist": (lambda: with_raw(series(), 0x00280103, b"\2\0"), "refuse"),
    "left-aligned": (left_aligned, "either"),
    "32-bit integers": (wide_integers, "either"),
    "floats": (floats, "either"),
    "8 bits with rescale": (lambda: eight_bits(), "right", {"tolerance": 5.01}),
    "8 bits without rescale": (lambda: eight_bits(1, 0), "refuse"),
    "8 bits cut to a window": (lambda: eight_bits(400 / 255, -160), "refuse"),
    "8 bits signed": (lambda: eight_bits(PixelRepresentation=1), "either", {"tolerance": 5.01}),
    "inverted": (lambda: series(setter(PhotometricInterpretation="MONOCHROME1")), "either"),
    "colour": (lambda: series(setter(PhotometricInterpretation="RGB", SamplesPerPixel=3)), "refuse"),
    "palette": (lambda: series(setter(PhotometricInterpretation="PALETTE COLOR")), "refuse"),
    "no photometric interpretation": (lambda: series(setter(PhotometricInterpretation=None)), "either"),
    "no bits stored": (lambda: series(setter(BitsStored=None)), "either"),
    "no bits allocated": (lambda: with_raw(series(), 0x00280100, b""), "refuse"),
    "12 bits allocated": (lambda: with_raw(series(), 0x00280100, b"\x0c\0"), "refuse"),
    "0 bits stored": (lambda: series(setter(BitsStored=0)), "refuse"),
    "17 bits stored": (lambda: series(setter(BitsStored=17)), "refuse"),
    "no rows": (lambda: series(setter(Rows=None)), "refuse"),
    "rows and columns exchanged": (lambda: series(setter(Rows=24, Columns=20)), "refuse"),
    "two rows declared as one": (lambda: series(setter(Rows=10, Columns=48)), "refuse", {"words": "not as long"}),
    "a few zeros behind the pixels": (lambda: changed(lambda s: behind(s, bytes(16))), "right"),
    "a few other bytes behind the pixels": (
        lambda: changed(lambda s: behind(s, bytes(15) + b"\1")), "refuse", {"words": "more pixel data"}),
    "a row of zeros behind the pixels": (
        lambda: changed(lambda s: behind(s, bytes(48))), "refuse", {"words": "more pixel data"}),
    "a column of zeros behind the pixels": (
        lambda: changed(lambda s: behind(s, bytes(40))), "refuse", {"words": "more pixel data"}),
    "row width off by one": (lambda: series(setter(Rows=20, Columns=23)), "refuse", {"words": "more pixel data"}),
    "same area other shape": (lambda: series(setter(Rows=16, Columns=30)), "refuse"),
})  # fmt: skip


@cache
def _encoded(syntax: str) -> tuple[tuple[str, bytes], ...]:
    """A series compressed by pydicom's encoders."""
    return tuple(_rewritten(series(grid=WIDE), lambda file: file.compress(syntax, generate_instance_uid=False)))


def encoded(syntax: str) -> Files:
    return list(_encoded(str(syntax)))


@cache
def by_gdcm(syntax: str) -> tuple[tuple[str, bytes], ...]:
    """A series compressed by GDCM (for lossless JPEG, which pydicom does not write)."""
    import gdcm

    out = []
    with tempfile.TemporaryDirectory() as folder:
        for name, data in series(grid=WIDE):
            path = Path(folder) / name
            path.write_bytes(data)
            reader, writer, changer = gdcm.ImageReader(), gdcm.ImageWriter(), gdcm.ImageChangeTransferSyntax()
            reader.SetFileName(str(path))
            assert reader.Read()
            changer.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
            changer.SetInput(reader.GetImage())
            assert changer.Change()
            writer.SetFileName(str(path))
            writer.SetFile(reader.GetFile())
            writer.SetImage(changer.GetOutput())
            assert writer.Write()
            out.append((name, path.read_bytes()))
    return tuple(out)


def claiming(syntax: str, make=series) -> Files:
    """Files whose meta information names another transfer syntax than they use."""
    files = []
    for name, data in make():
        size = int.from_bytes(data[data.index(b"\x02\x00\x10\x00UI") + 6 :][:2], "little")
        start = data.index(b"\x02\x00\x10\x00UI")
        value = syntax.encode() + b"\0" * (len(syntax) % 2)
        grown = len(value) - size
        group = int.from_bytes(data[140:144], "little") + grown
        head = data[:140] + group.to_bytes(4, "little") + data[144 : start + 6]
        files.append((name, head + len(value).to_bytes(2, "little") + value + data[start + 8 + size :]))
    return files


WIDER = {"grids": (WIDE,)}
SYNTAXES = cases("syntax", {
    "implicit": (lambda: series(syntax=IMPLICIT), "right"),
    "big endian": (lambda: series(syntax=BIG_ENDIAN), "right"),
    "deflated": (lambda: series(syntax=DEFLATED), "right"),
    "mixed in one series": (
        lambda: [(f"a{i}", to_bytes(d, [IMPLICIT, BIG_ENDIAN, DEFLATED][i % 3]))
                 for i, d in enumerate(dicom_slices(GRID))], "right"),
    "RLE": (lambda: encoded(RLELossless), "right", WIDER),
    "JPEG 2000": (lambda: encoded(JPEG2000Lossless), "right", WIDER),
    "JPEG-LS": (lambda: encoded(JPEGLSLossless), "right", WIDER),
    "lossless JPEG": (lambda: list(by_gdcm("JPEGLosslessProcess14_1")), "right", WIDER),
    "JPEG-LS and plain mixed": (
        lambda: encoded(JPEGLSLossless)[:6] + series(grid=WIDE)[6:], "right", WIDER),
    "JPEG 2000 on signed values": (lambda: signed_and_compressed(JPEG2000Lossless), "right", WIDER),
    "JPEG-LS said to be JPEG Extended": (
        lambda: claiming("1.2.840.10008.1.2.4.51", lambda: encoded(JPEGLSLossless)), "refuse", {"words": "damaged"}),
    "JPEG Extended, 12 bits": (lambda: extended(), "right", {**WIDER, "tolerance": 4.01}),
    "lossless JPEG said to be JPEG Extended": (
        lambda: claiming("1.2.840.10008.1.2.4.51", lambda: list(by_gdcm("JPEGLosslessProcess14_1"))), "refuse",
        {"words": "the opposite"}),
    "JPEG Extended said to be lossless": (
        lambda: claiming("1.2.840.10008.1.2.4.70", extended), "refuse", {"words": "the opposite"}),
    "HTJ2K": (lambda: high_throughput(), "right", WIDER),
    "HTJ2K on signed values": (lambda: high_throughput(named(filled(WIDE.hu(), WIDE))), "right", WIDER),
    "RLE on signed values": (lambda: signed_and_compressed(RLELossless), "right", WIDER),
    "JPEG-LS on signed values": (lambda: signed_and_compressed(JPEGLSLossless), "right", WIDER),
    "JPEG XL": (lambda: jpeg_xl(), "right", WIDER),
    "JPEG XL on signed values": (lambda: jpeg_xl(named(filled(WIDE.hu(), WIDE))), "right", WIDER),
    "JPEG-LS said to be JPEG XL": (
        lambda: claiming("1.2.840.10008.1.2.4.110", lambda: encoded(JPEGLSLossless)), "refuse", {"words": "JPEG XL"}),
    "deflated frames": (lambda: deflated_frames(), "right", WIDER),
    "plain frames in capsules": (lambda: plain_frames(), "right", WIDER),
    "MPEG-4": (lambda: claiming("1.2.840.10008.1.2.4.102", lambda: encoded(JPEGLSLossless)), "refuse",
               {"words": "MPEG"}),
    "unknown": (lambda: claiming("1.2.3.4.5", lambda: encoded(RLELossless)), "refuse", {"words": "unknown"}),
    "explicit said to be implicit": (lambda: claiming("1.2.840.10008.1.2"), "either"),
    "explicit said to be big endian": (lambda: claiming("1.2.840.10008.1.2.2"), "either"),
    "explicit said to be deflated": (lambda: claiming("1.2.840.10008.1.2.1.99"), "refuse"),
    "explicit said to be RLE": (lambda: claiming("1.2.840.10008.1.2.5"), "refuse"),
    "RLE said to be explicit": (lambda: claiming("1.2.840.10008.1.2.1", lambda: encoded(RLELossless)), "refuse"),
    "RLE said to be JPEG-LS": (lambda: claiming("1.2.840.10008.1.2.4.80", lambda: encoded(RLELossless)), "refuse"),
    "implicit said to be explicit": (
        lambda: claiming("1.2.840.10008.1.2.1", lambda: series(syntax=IMPLICIT)), "either"),
    "no transfer syntax": (lambda: claiming(""), "either"),
})  # fmt: skip


def signed_and_compressed(syntax: UID) -> Files:
    return _rewritten(named(filled(WIDE.hu(), WIDE)), lambda file: file.compress(syntax, generate_instance_uid=False))


def extended() -> Files:
    """A series in lossy JPEG of 12 bits."""
    encode = partial(imagecodecs.jpeg8_encode, level=98, bitspersample=12)
    return _by_imagecodecs(series(grid=WIDE), JPEGExtended12Bit, encode)


def high_throughput(files: Files | None = None) -> Files:
    """A series in High-Throughput JPEG 2000."""
    encode = partial(imagecodecs.htj2k_encode, reversible=True)
    return _by_imagecodecs(files or series(grid=WIDE), HTJ2KLossless, encode)


def jpeg_xl(files: Files | None = None) -> Files:
    """A series in lossless JPEG XL."""

    def encode(plane: np.ndarray) -> bytes:
        return bytes(imagecodecs.jpegxl_encode(plane.view(np.uint16), lossless=True))

    return _younger(files or series(grid=WIDE), "1.2.840.10008.1.2.4.110", encode)


def _younger(files: Files, syntax: str, encode: Callable[[np.ndarray], bytes]) -> Files:
    """A series in a transfer syntax that pydicom does not write yet."""
    return claiming(syntax, lambda: _by_imagecodecs(files, JPEG2000Lossless, encode))


def deflated_frames() -> Files:
    """A series each of whose frames is a deflated stream."""

    def encode(plane: np.ndarray) -> bytes:
        packer = zlib.compressobj(wbits=-15)
        return packer.compress(plane.tobytes()) + packer.flush()

    return _younger(series(grid=WIDE), "1.2.840.10008.1.2.8.1", encode)


def plain_frames() -> Files:
    """A series each of whose frames lies uncompressed in a capsule."""
    return _younger(series(grid=WIDE), "1.2.840.10008.1.2.1.98", np.ndarray.tobytes)


def _by_imagecodecs(files: Files, syntax: UID, encode: Callable[[np.ndarray], bytes | bytearray]) -> Files:
    """A series in a compression that neither pydicom nor GDCM writes."""

    def compress(file: Dataset) -> None:
        file.PixelData = encapsulate([bytes(encode(file.pixel_array))])
        file["PixelData"].VR, file.file_meta.TransferSyntaxUID = "OB", syntax

    return _rewritten(files, compress)


def _rewritten(files: Files, change: Callable[[Dataset], None]) -> Files:
    out = []
    for name, data in files:
        file = dcmread(io.BytesIO(data))
        change(file)
        target = io.BytesIO()
        file.save_as(target)
        out.append((name, target.getvalue()))
    return out


CASES = [*RESCALE, *VALUES, *FORMATS, *SYNTAXES]
