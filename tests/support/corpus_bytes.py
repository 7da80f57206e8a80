"""Corpus: damaged bytes, odd structure, broken compressed streams and bombs."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from functools import cache, partial

import numpy as np
from corpus import GRID, Files, cases, element, find_element, series, with_one
from corpus_nifti import nii, packed
from corpus_values import WIDE, encoded
from ct_factory import DEFLATED, IMPLICIT, Grid, dicom_slices, nifti_file, setter, to_bytes
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

MIB = 1 << 20
PIXELS = 0x7FE00010


def one(change, *, syntax: str | None = None, edit=None):
    """One file of a series changed by its bytes."""
    return lambda: with_one(series(edit, syntax=syntax), change)


def cut_to(size: int):
    return one(lambda data: data[:size])


def cut_by(size: int, syntax: str | None = None):
    return one(lambda data: data[:-size], syntax=syntax)


def insert(tag: int, block: bytes):
    """Bytes put in front of the element `tag`."""

    def change(data: bytes) -> bytes:
        at = find_element(data, tag)
        return data[:at] + block + data[at:]

    return change


def overwrite(tag: int, offset: int, value: bytes):
    """Bytes of an element's head (offset 4: VR, 6: short length, 8: long length) or value overwritten."""

    def change(data: bytes) -> bytes:
        at = find_element(data, tag) + offset
        return data[:at] + value + data[at + len(value) :]

    return change


def nested(depth: int) -> bytes:
    """Sequences of undefined length, one inside the other."""
    begin = (
        struct.pack("<HH", 0x0008, 0x1140) + b"SQ\0\0\xff\xff\xff\xff" + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    )
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return begin * depth + end * depth


def icon() -> bytes:
    """An icon image whose pixel data come before the image's own."""
    inner = (
        element(0x00280010, b"US", b"\2\0") + element(0x00280011, b"US", b"\2\0") + element(PIXELS, b"OW", b"\1\2" * 4)
    )
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    return element(0x00880200, b"SQ", item)


def private_sequence() -> bytes:
    """A private UN element of undefined length with an item in it, implicitly encoded (PS3.5 6.2.2)."""
    inner = struct.pack("<HHI", 0x0008, 0x0060, 2) + b"MR"
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    return (
        struct.pack("<HH", 0x0029, 0x1010) + b"UN\0\0\xff\xff\xff\xff" + item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    )


def bare(data: bytes, *, meta: bool) -> bytes:
    """Without the preamble; with or without the file meta information."""
    return data[132:] if meta else data[144 + int.from_bytes(data[140:144], "little") :]


def deflate_bomb(mebibytes: int) -> bytes:
    plain = to_bytes(dicom_slices(GRID)[0], DEFLATED)
    start = 144 + int.from_bytes(plain[140:144], "little")
    return plain[:start] + stream_of(mebibytes, -15)


@cache
def stream_of(mebibytes: int, wbits: int) -> bytes:
    """Zeros, compressed."""
    stream = zlib.compressobj(1, wbits=wbits)
    return b"".join([stream.compress(bytes(MIB)) for _ in range(mebibytes)]) + stream.flush()


def native_undefined_length(data: bytes) -> bytes:
    at = find_element(data, PIXELS)
    return data[: at + 8] + b"\xff\xff\xff\xff" + data[at + 12 :]


def flip(where: float, bits: int = 0x55):
    """A byte of the pixel data inverted, at a share of their length."""

    def change(data: bytes) -> bytes:
        start = find_element(data, PIXELS) + 12
        at = start + int(where * (len(data) - start))
        return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]

    return change


def broken_stream(syntax: str, change):
    return lambda: with_one(encoded(syntax), change)


def both(syntax: str, change=None) -> Files:
    """Every file uncompressed and once more, in another transfer syntax."""
    plain, other = series(grid=WIDE), series(grid=WIDE, syntax=syntax) if syntax == IMPLICIT else encoded(syntax)
    if change:
        plain = with_one(plain, change)
    return [*plain, *((f"again/{name}", data) for name, data in other)]


HALF = 0.5
TWICE = {"words": "Damaged and unreadable: 1"}
STRUCTURE = cases("bytes", {
    **{f"cut to {size}": (cut_to(size), "refuse") for size in (0, 1, 100, 131, 140, 200, 400, 700, 1000)},
    **{f"cut by {size}": (cut_by(size), "refuse") for size in (1, 2, 500, 959, 961, 972, 980)},
    "end slice cut to 100": (lambda: with_one(series(), lambda b: b[:100], 15), "refuse"),
    "implicit cut by 300": (cut_by(300, IMPLICIT), "refuse"),
    "deflated cut by 40": (cut_by(40, DEFLATED), "refuse"),
    "every file cut": (lambda: [(name, data[:900]) for name, data in series()], "refuse"),
    "zeros behind the pixels": (one(lambda b: b + bytes(64)), "right"),
    "padding element behind the pixels": (
        one(lambda b: b + element(0xFFFCFFFC, b"OB", bytes(128))), "right"),
    "garbage behind the pixels": (one(lambda b: b + b"\x5a" * 77), "refuse"),
    "pixels shifted by two bytes": (one(insert(PIXELS, b"")), "right"),
    "pixel data one row short": (one(lambda b: overwrite(PIXELS, 8, struct.pack("<I", 912))(b)[:-48]), "refuse"),
    "pixel data one row long": (
        one(lambda b: overwrite(PIXELS, 8, struct.pack("<I", 1008))(b) + bytes(48)), "refuse"),
    "pixel length smaller than the pixels": (one(overwrite(PIXELS, 8, struct.pack("<I", 100))), "refuse"),
    "pixel length larger than the file": (one(overwrite(PIXELS, 8, struct.pack("<I", 1 << 30))), "refuse"),
    "pixel length undefined": (one(native_undefined_length), "refuse"),
    "no pixel data in one": (one(lambda b: b[: find_element(b, PIXELS)]), "refuse"),
    "empty pixel data in one": (one(lambda b: b[: find_element(b, PIXELS)] + element(PIXELS, b"OW", b"")), "refuse"),
    "pixel data as bytes": (one(overwrite(PIXELS, 4, b"OB")), "right"),
    "pixel data twice": (one(lambda b: b + element(PIXELS, b"OW", bytes(960))), "either"),
    "icon before the pixels": (one(insert(PIXELS, icon())), "right"),
    "private sequence in UN": (one(insert(0x00280002, private_sequence())), "right"),
    "nested 50 deep": (one(insert(0x00100010, nested(50))), "right"),
    "nested 20,000 deep": (one(insert(0x00100010, nested(20_000))), "either"),
    "nested without end": (one(insert(0x00100010, nested(900)[: 900 * 20])), "refuse"),
    "10 MB of text": (one(insert(0x00200032, element(0x00204000, b"UT", b"Quillon " * (MIB + MIB // 4)))), "either"),
    "20,000 private elements": (
        one(insert(0x00280002, b"".join(element(0x00270000 + (i << 0) + 0x1000, b"LO", b"ab") for i in range(20_000)))),
        "either"),
    "length of one element huge": (one(overwrite(0x00080060, 6, b"\xff\xff")), "refuse"),
    "length of one element odd": (one(overwrite(0x00080060, 6, b"\3\0")), "refuse"),
    "length of a position cut": (one(overwrite(0x00200032, 6, b"\4\0")), "refuse"),
    "VR unknown": (one(overwrite(0x00080060, 4, b"ZZ")), "either"),
    "VR of zeros": (one(overwrite(0x00080060, 4, b"\0\0")), "refuse"),
    "VR wrong but known": (one(overwrite(0x00280030, 4, b"LO")), "right"),
    "rows twice": (one(insert(0x00280011, element(0x00280010, b"US", b"\x18\0"))), "refuse", TWICE),
    "rows twice alike": (one(insert(0x00280011, element(0x00280010, b"US", b"\x14\0"))), "right"),
    "position twice": (one(insert(0x00200037, element(0x00200032, b"DS", b"1\\2\\3 "))), "refuse", TWICE),
    "pixel size twice, first out of order": (
        one(insert(0x00200037, element(0x00280030, b"DS", b"1\\1 "))), "refuse", TWICE),
    "group length element": (one(insert(0x00080016, element(0x00080000, b"UL", b"\0\1\0\0"))), "either"),
    "meta length wrong": (one(lambda b: b[:140] + b"\x10\0\0\0" + b[144:]), "either"),
    "no preamble": (lambda: [(name, bare(data, meta=True)) for name, data in series()], "right"),
    "no meta information": (
        lambda: [(name, bare(data, meta=False)) for name, data in series(syntax=IMPLICIT)], "either"),
    "no meta information explicit": (lambda: [(name, bare(data, meta=False)) for name, data in series()], "either"),
    "text in the preamble": (one(lambda b: b"Quillon".ljust(128) + b[128:]), "right"),
    "rows declared 65535": (lambda: series(setter(Rows=65535)), "refuse"),
    "all dimensions declared 65535": (lambda: series(setter(Rows=65535, Columns=65535)), "refuse"),
    "rows zero": (lambda: series(setter(Rows=0)), "refuse"),
    "frames declared a million": (one(lambda b: b, edit=setter(NumberOfFrames=1_000_000)), "refuse"),
    "frames counted with a raised figure": (lambda: [(n, d.replace(b"IS\x02\x001 ", b"IS\x02\x00\xb2 ", 1))
        for n, d in series(setter(NumberOfFrames=1, InstanceNumber=None))], "refuse"),
    "frames not a number": (lambda: [(n, d.replace(b"IS\x02\x001 ", b"IS\x02\x00xy", 1)) for n, d in series(
        setter(NumberOfFrames=1, InstanceNumber=None))], "refuse"),
    "one frame declared": (lambda: series(setter(NumberOfFrames=1)), "right"),
    "deflated bomb": (lambda: [("a.dcm", deflate_bomb(90))], "refuse", {"words": "expand more than"}),
    "deflated bomb among slices": (lambda: [*series(), ("a.dcm", deflate_bomb(90))], "refuse"),
    "deflated with garbage behind": (one(lambda b: b + b"\7" * 50, syntax=DEFLATED), "either"),
    "deflated byte flipped": (one(lambda b: b[:-300] + bytes([b[-300] ^ 0x55]) + b[-299:], syntax=DEFLATED), "either"),
    "random bytes": (
        lambda: [("a.dcm", np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes())], "refuse"),
    "random bytes after the preamble": (
        lambda: [("a.dcm", bytes(128) + b"DICM" + np.random.default_rng(0).bytes(5000))], "refuse"),
    "empty file only": (lambda: [("a.dcm", b"")], "refuse"),
})  # fmt: skip

WIDER = {"grids": (WIDE,)}
J2K, JLS, RLE = str(JPEG2000Lossless), str(JPEGLSLossless), str(RLELossless)


def refragmented(data: bytes, sizes: int = 101, table: bytes = b"") -> bytes:
    """The one frame of an encapsulated file cut into fragments, with an offset table of choice."""
    at = find_element(data, PIXELS)
    position, stream = at + 12, b""
    while data[position : position + 4] == b"\xfe\xff\x00\xe0":
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        stream += data[position + 8 : position + 8 + size] if position > at + 12 else b""
        position += 8 + size
    sizes += sizes % 2
    parts = [table, *(stream[i : i + sizes] for i in range(0, len(stream), sizes))]
    items = b"".join(b"\xfe\xff\x00\xe0" + len(part).to_bytes(4, "little") + part for part in parts)
    return data[: at + 12] + items + data[position:]


def frame_of_other_size(data: bytes) -> bytes:
    """The header of the wide series with a smaller frame inside."""
    return overwrite(0x00280011, 8, b"\x1e\0")(data)


OBLONG = Grid(shape=(40, 32, 12), spacing_mm=(1.1, 1.1, 2.5))


def exchanged_edges(syntax: str) -> Files:
    """Compressed slices whose header declares as many rows as there are columns, and the other way round."""
    out = []
    for name, data in series(grid=OBLONG):
        file = dcmread(io.BytesIO(data))
        file.compress(syntax, generate_instance_uid=False)
        file.Rows, file.Columns = file.Columns, file.Rows
        target = io.BytesIO()
        file.save_as(target)
        out.append((name, target.getvalue()))
    return out


COPIES = cases("copies", {
    "uncompressed and implicit": (lambda: both(IMPLICIT), "right"),
    "uncompressed and JPEG 2000": (lambda: both(J2K), "right"),
    "uncompressed and RLE": (lambda: both(RLE), "right"),
    "uncompressed and JPEG 2000, one pixel changed": (
        lambda: both(J2K, lambda b: b[:-300] + bytes([b[-300] ^ 1]) + b[-299:]), "refuse", {"words": "differ"}),
}, grids=(WIDE,))  # fmt: skip

STREAMS = cases("stream", {
    "RLE with rows and columns exchanged": (
        lambda: exchanged_edges(RLE), "refuse", {"words": "not as long"}),
    "fragments": (lambda: [(n, refragmented(d)) for n, d in encoded(J2K)], "right", WIDER),
    "offset table wrong": (lambda: [(n, refragmented(d, 101, b"\7\0\0\0\x63\0\0\0")) for n, d in encoded(J2K)],
                           "either", WIDER),
    "offset table of one": (lambda: [(n, refragmented(d, 10_000, bytes(4))) for n, d in encoded(JLS)], "right", WIDER),
    "no end of sequence": (broken_stream(JLS, lambda b: b[:-8]), "either", WIDER),
    "an empty fragment": (
        broken_stream(JLS, lambda b: b[:-8] + b"\xfe\xff\x00\xe0\0\0\0\0" + b[-8:]), "either", WIDER),
    "fragment length too large": (
        broken_stream(JLS, lambda b: overwrite(PIXELS, 12 + 8 + 4, b"\xff\xff\xff\x0f")(b)), "refuse"),
    "frame of another size": (lambda: [(n, frame_of_other_size(d)) for n, d in encoded(JLS)], "refuse"),
    "bits contradict the stream": (
        lambda: [(n, overwrite(0x00280100, 8, b"\x08\0")(overwrite(0x00280101, 8, b"\x08\0")(d)))
                 for n, d in encoded(JLS)], "refuse"),
    "sign contradicts the stream": (
        lambda: [(n, overwrite(0x00280103, 8, b"\x01\0")(d)) for n, d in encoded(J2K)], "either", WIDER),
    **{f"{name} cut by {size}": (broken_stream(syntax, lambda b, s=size: b[:-s]), "refuse")
       for name, syntax in (("RLE", RLE), ("JPEG-LS", JLS), ("JPEG 2000", J2K)) for size in (20, 200)},
    **{f"{name} emptied": (broken_stream(syntax, lambda b: b[: find_element(b, PIXELS) + 60] + b[-8:]), "refuse")
       for name, syntax in (("RLE", RLE), ("JPEG-LS", JLS), ("JPEG 2000", J2K))},
    **{f"{name} flipped at {where}": (broken_stream(syntax, flip(where)), "either", {**WIDER, "blemish": limit})
       for name, syntax, limit in (("RLE", RLE, 64), ("JPEG-LS", JLS, 0), ("JPEG 2000", J2K, 8))
       for where in (0.02, 0.1, 0.3, 0.6, 0.9)},
    "flipped byte in plain pixels": (one(flip(HALF)), "either", {"blemish": 1}),
    "half a slice of zeros": (one(lambda b: b[:-480] + bytes(480)), "refuse", {"words": "neighbours|differ"}),
    "a block of a slice of zeros": (
        lambda: with_one(series(grid=Grid(shape=(64, 64, 10), spacing_mm=(0.6, 0.6, 2))),
                         lambda b: b[:-5000] + bytes(1024) + b[-3976:]), "refuse", {"words": "neighbours|differ"}),
})  # fmt: skip


def middle(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def with_gzip_fields() -> bytes:
    """A gzip file with every optional field: extra, name, comment and header checksum."""
    body = gzip.compress(nifti_file(), mtime=0)[10:]
    head = b"\x1f\x8b\x08" + bytes([2 | 4 | 8 | 16]) + bytes(6) + b"\4\0abcd" + b"Quillon.nii\0" + b"of 19420317\0"
    return head + struct.pack("<H", zlib.crc32(head) & 0xFFFF) + body


GZIP = cases("gzip", {
    **{f"cut by {size}": (partial(packed, lambda b, s=size: b[:-s]), "refuse", {"words": "damaged"})
       for size in (1, 4, 8, 9, 300)},
    "cut to 5": (lambda: packed(lambda b: b[:5]), "refuse"),
    "cut to 12": (lambda: packed(lambda b: b[:12]), "refuse"),
    "checksum wrong": (lambda: packed(lambda b: b[:-8] + b"\1\2\3\4" + b[-4:]), "refuse", {"words": "damaged"}),
    "length wrong": (lambda: packed(lambda b: b[:-4] + b"\1\2\3\4"), "refuse", {"words": "damaged"}),
    "byte flipped": (lambda: packed(middle), "refuse", {"words": "damaged"}),
    "stored blocks, byte flipped": (
        lambda: [("a.nii.gz", middle(gzip.compress(nii()[0][1], 0)))], "refuse", {"words": "damaged"}),
    "garbage behind": (lambda: packed(lambda b: b + b"Quillon"), "refuse", {"words": "damaged"}),
    "half a second member": (lambda: packed(lambda b: b + b[:200]), "refuse", {"words": "damaged"}),
    "optional fields": (lambda: [("a.nii.gz", with_gzip_fields())], "right"),
    "wrong method": (lambda: packed(lambda b: b[:2] + b"\7" + b[3:]), "refuse"),
    "bomb": (lambda: [("a.nii.gz", stream_of(100, 31))], "refuse", {"words": "expand more than"}),
    "bomb in the second member": (
        lambda: packed(lambda b: b + stream_of(100, 31)), "refuse", {"words": "expand more than"}),
    "bomb with a header": (
        lambda: packed(lambda b: gzip.compress(nii(patch=[(42, "3h", (8000, 8000, 60))])[0][1])), "refuse"),
    "highly compressible but small": (
        lambda: [("a.nii.gz", gzip.compress(nii()[0][1], 9))], "right"),
})  # fmt: skip

CASES = [*STRUCTURE, *COPIES, *STREAMS, *GZIP]
