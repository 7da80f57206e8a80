"""Corpus: NIfTI-1 and NIfTI-2 files, and what is taken for them."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Sequence

import nibabel as nib
import numpy as np
import numpy.typing as npt
from corpus import GRID, Files, cases
from ct_factory import Grid, nifti_file, rotated

HU = GRID.hu()
RAS = Grid(rotation=((-1, 0, 0), (0, -1, 0), (0, 0, 1)))
LAS = Grid(rotation=((1, 0, 0), (0, -1, 0), (0, 0, 1)))
PERMUTED = Grid(rotation=((0, 0, 1), (-1, 0, 0), (0, 1, 0)))
OBLIQUE = Grid(rotation=rotated((9.0, 14.0, -21.0)))
LONG = Grid(shape=(12, 10, 120), spacing_mm=(2.0, 2.0, 0.3))
ROWS = tuple(float(value) for value in GRID.affine_ras[:3].ravel())


def nii(grid: Grid = GRID, *, patch: Sequence[tuple[int, str, object]] = (), **options: object) -> Files:
    return [("Quillon_774411.nii", nifti_file(grid, patch=patch, **options))]  # type: ignore[arg-type]


def patched(*patch: tuple[int, str, object], **options: object):
    return lambda: nii(patch=patch, **options)


def packed(change=bytes, **options: object) -> Files:
    return [("Quillon_774411.nii.gz", change(gzip.compress(nii(**options)[0][1], mtime=0)))]  # type: ignore[arg-type]


def rows(change: npt.ArrayLike) -> tuple[int, str, object]:
    """A patch that writes change @ affine into the sform."""
    affine = np.asarray(change, float) @ GRID.affine_ras
    return (280, "12f", tuple(float(value) for value in affine[:3].ravel()))


def moved(x: float = 0, y: float = 0, z: float = 0) -> npt.NDArray[np.float64]:
    out = np.eye(4)
    out[:3, 3] = x, y, z
    return out


def sheared() -> npt.NDArray[np.float64]:
    out = np.eye(4)
    out[0, 1] = 0.3
    return out


def with_value(value: float) -> npt.NDArray[np.float64]:
    data = HU.copy()
    data[3, 4, 5] = value
    return data


def image(data: npt.NDArray[np.generic], **options: object) -> Files:
    made = nib.Nifti1Image(data, GRID.affine_ras)
    for name, value in options.items():
        made.header[name] = value
    return [("Quillon_774411.nii", bytes(made.to_bytes()))]


def colours(names: str) -> Files:
    return image(np.zeros(GRID.shape, np.dtype([(name, "u1") for name in names])))


def extended(size: int | None = None) -> Files:
    """A header extension of 64 bytes; `size`: the length that it claims."""
    data = bytearray(nifti_file())
    block = struct.pack("<ii", 64 if size is None else size, 6) + b"comment of Quillon".ljust(56, b"\0")
    struct.pack_into("<f", data, 108, 352 + 64)
    return [("a.nii", bytes(data[:348]) + b"\1\0\0\0" + block + bytes(data[352:]))]


def shifted_data(extra: int) -> Files:
    data = bytearray(nifti_file())
    struct.pack_into("<f", data, 108, 352 + extra)
    return [("a.nii", bytes(data[:352]) + b"\7" * extra + bytes(data[352:]))]


def pair(which: str = "both") -> Files:
    data = bytearray(nifti_file(patch=[(344, "3s", b"ni1"), (108, "f", 0.0)]))
    parts = [("Quillon.hdr", bytes(data[:348])), ("Quillon.img", bytes(data[352:]))]
    return {"both": parts, "hdr": parts[:1], "img": parts[1:]}[which]


def swapped_voxels() -> Files:
    data = nifti_file()
    voxels = np.frombuffer(data[352:], "<i2").astype(">i2")
    return [("a.nii", data[:352] + voxels.tobytes())]


def analyze() -> Files:
    made = nib.AnalyzeImage(HU.astype(np.int16), GRID.affine_ras)
    parts = made.to_file_map({key: nib.FileHolder(fileobj=__import__("io").BytesIO()) for key in ("header", "image")})
    del parts
    header = bytearray(nifti_file()[:348])
    header[344:348] = bytes(4)
    return [("a.hdr", bytes(header)), ("a.img", nifti_file()[352:])]


def scaled(dtype: str, slope: float, intercept: float, grid: Grid = GRID) -> Files:
    stored = np.rint((grid.hu() - intercept) / slope)
    return nii(grid, dtype=dtype, data=stored, patch=[(112, "f", slope), (116, "f", intercept)])


GOOD = cases("nifti", {
    "RAS": (lambda: nii(RAS), "right", {"grids": (RAS,)}),
    "LPS": (lambda: nii(), "right"),
    "left-handed": (lambda: nii(LAS), "right", {"grids": (LAS,)}),
    "axes permuted": (lambda: nii(PERMUTED), "right", {"grids": (PERMUTED,)}),
    "oblique": (lambda: nii(OBLIQUE), "right", {"grids": (OBLIQUE,)}),
    "many thin slices": (lambda: nii(LONG), "right", {"grids": (LONG,)}),
    "NIfTI-2": (lambda: nii(version=2), "right"),
    "NIfTI-2 big endian": (lambda: nii(version=2, dtype=">i2"), "right"),
    "big endian": (lambda: nii(dtype=">i2"), "right"),
    "float32": (lambda: nii(dtype="<f4"), "right"),
    "float64": (lambda: nii(dtype="<f8"), "right"),
    "int32": (lambda: nii(dtype="<i4"), "right"),
    "int64": (lambda: nii(dtype="<i8"), "right"),
    "uint16 with intercept": (lambda: scaled("<u2", 1.0, -1024.0), "right"),
    "uint32 with intercept": (lambda: scaled("<u4", 0.5, -1024.0), "right"),
    "uint8 with rescale": (lambda: scaled("u1", 8.0, -1000.0), "right", {"tolerance": 4.01}),
    "int8 with rescale": (lambda: scaled("i1", 10.0, 0.0), "right", {"tolerance": 5.01}),
    "slope and intercept": (lambda: scaled("<i2", 0.25, -100.0), "right"),
    "slope negative": (lambda: scaled("<i2", -1.0, 0.0), "either"),
    "bytes of the rows moved": (
        patched((280, "12f", (1.5, 0, 0, -21.25, 0, 1.25, 0, 6e-40, 0, 0, 2, -10))), "refuse", {"words": "too small"}),
    "junk in rows that are not used": (lambda: nii(sform=0, patch=[(280, "12f", (6e-40,) * 12)]), "right"),
    "slope zero means unscaled": (patched((112, "f", 0.0), (116, "f", 0.0)), "right"),
    "slope zero with an intercept": (patched((112, "f", 0.0), (116, "f", -1024.0)), "either"),
    "qform only": (lambda: nii(sform=0), "right"),
    "sform only": (lambda: nii(qform=0), "right"),
    "template codes": (lambda: nii(qform=2, sform=4), "either"),
    "qfac zero": (lambda: nii(RAS, sform=0, patch=[(76, "f", 0.0)]), "right", {"grids": (RAS,)}),
    "forms differ by a hair": (patched(rows(moved(0.02))), "right"),
    "no unit": (lambda: nii(units="unknown"), "right"),
    "time unit too": (patched((123, "B", 2 | 8)), "right"),
    "empty fourth axis": (patched((40, "h", 4)), "right"),
    "junk behind the axes": (patched((48, "4h", (7, 9, -2, 33))), "right"),
    "extension": (lambda: extended(), "right"),
    "voxels begin later": (lambda: shifted_data(48), "right"),
    "voxels begin at an odd byte": (lambda: shifted_data(7), "right"),
    "packed": (lambda: packed(), "right"),
    "packed without saying so": (lambda: [("a.nii", packed()[0][1])], "right"),
    "plain but named packed": (lambda: [("a.nii.gz", nii()[0][1])], "right"),
    "packed twice": (lambda: [("a.nii.gz.gz", gzip.compress(packed()[0][1]))], "either"),
    "two members": (
        lambda: [("a.nii.gz", gzip.compress(nii()[0][1][:5000]) + gzip.compress(nii()[0][1][5000:]))], "right"),
    "zeros behind the stream": (lambda: packed(lambda data: data + bytes(512)), "right"),
    "a text file beside it": (lambda: [*nii(), ("README", b"scan of Quillon")], "right"),
    "a mask beside it": (lambda: [("a.nii", image((HU > 100).astype("u1"))[0][1]), *nii()], "right"),
    "a mask of float numbers beside it": (lambda: [*nii(), ("m.nii", image((HU > 100).astype("f4"))[0][1])], "right"),
    "two masks": (lambda: [(name, image((HU > 100).astype("u1"))[0][1]) for name in ("a.nii", "b.nii")], "refuse"),
    "two volumes": (lambda: [*nii(), ("b.nii", nifti_file(RAS))], "choose", {"grids": (GRID, RAS)}),
})  # fmt: skip

FLIP_X = np.diag([-1.0, 1.0, 1.0, 1.0])
BAD = cases("nifti bad", {
    "forms contradict by a flip": (patched(rows(FLIP_X)), "refuse", {"words": "contradict"}),
    "forms contradict by a shift": (patched(rows(moved(10))), "refuse", {"words": "contradict"}),
    "forms contradict by a size": (patched(rows(np.diag([1, 1, 1.3, 1]))), "refuse", {"words": "contradict"}),
    "neither form": (lambda: nii(qform=0, sform=0), "refuse", {"words": "left and right"}),
    "a code that does not exist": (patched((252, "2h", (1, 6))), "refuse", {"words": "does not exist"}),
    "negative codes": (patched((252, "2h", (-1, -1))), "refuse", {"words": "left and right"}),
    "sform of zeros beside a qform": (patched((280, "12f", (0.0,) * 12)), "either"),
    "sform of zeros": (patched((280, "12f", (0.0,) * 12), qform=0), "refuse", {"words": "singular"}),
    "singular sform": (patched((280, "12f", (1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0)), qform=0), "refuse"),
    "sform not a number": (patched((280, "f", math.nan), qform=0), "refuse", {"words": "not numbers"}),
    "infinite sform": (patched((292, "f", math.inf), qform=0), "refuse", {"words": "not numbers"}),
    "absurdly far": (patched(rows(moved(z=1e8)), qform=0), "refuse"),
    "sheared": (patched(rows(sheared()), qform=0), "refuse"),
    "quaternion not a number": (patched((256, "f", math.nan), sform=0), "refuse", {"words": "rotation"}),
    "quaternion too long": (patched((256, "3f", (0.9, 0.9, 0.9)), sform=0), "refuse", {"words": "rotation"}),
    "qfac absurd": (patched((76, "f", 5.0), sform=0), "refuse", {"words": "rotation"}),
    "zero spacing": (patched((80, "f", 0.0), sform=0), "refuse"),
    "negative spacing": (patched((80, "f", -1.5), sform=0), "refuse"),
    "spacing not a number": (patched((84, "f", math.nan), sform=0), "refuse"),
    "absurd spacing": (lambda: nii(Grid(spacing_mm=(900, 900, 900)), sform=0), "refuse", {"words": "voxel size"}),
    "tiny spacing": (lambda: nii(Grid(spacing_mm=(0.0015,) * 3), sform=0), "refuse", {"words": "voxel size"}),
    "spacing contradicts the sform": (patched((80, "f", 9.0), qform=0), "refuse", {"words": "voxel size"}),
    "metres": (lambda: nii(units="meter"), "refuse", {"words": "metres"}),
    "micrometres": (lambda: nii(units="micron"), "refuse", {"words": "micrometres"}),
    "unit 7": (patched((123, "B", 7)), "refuse", {"words": "unit"}),
    "slope not a number": (patched((112, "f", math.nan)), "refuse", {"words": "rescale"}),
    "slope infinite": (patched((112, "f", math.inf)), "refuse", {"words": "rescale"}),
    "slope tiny": (patched((112, "f", 1e-30)), "refuse"),
    "place moved by a byte": (
        # Offsets of the qform of a NIfTI-2 header without sform, read one byte too early.
        patched((348, "i", 0), (376, "d", 1.798528938170323e-307), (384, "d", 1.7999413385687893e-307), version=2),
        "refuse", {"words": "too small"}),
    "slope huge": (patched((112, "f", 1e30)), "refuse"),
    "intercept infinite": (patched((116, "f", math.inf)), "refuse", {"words": "rescale"}),
    "intercept applied twice": (patched((112, "f", 1.0), (116, "f", -1024.0)), "refuse"),
    "NaN voxel": (lambda: nii(dtype="<f4", data=with_value(math.nan)), "refuse", {"words": "not numbers"}),
    "infinite voxel": (lambda: nii(dtype="<f4", data=with_value(math.inf)), "refuse", {"words": "not numbers"}),
    "1e30 voxel": (lambda: nii(dtype="<f4", data=with_value(1e30)), "refuse"),
    "four axes": (lambda: image(np.stack([HU] * 2, -1).astype(np.int16)), "refuse", {"words": "not one volume"}),
    "vectors": (lambda: image(np.stack([HU] * 3, -1)[:, :, :, None].astype("f4")), "refuse", {"words": "not one"}),
    "two axes": (lambda: image(HU[:, :, 3].astype(np.int16)), "refuse", {"words": "not one volume"}),
    "one slice": (lambda: image(HU[:, :, 3:4].astype(np.int16)), "refuse", {"words": "single slice"}),
    "colour": (lambda: colours("RGB"), "refuse", {"words": "colour"}),
    "colour with alpha": (lambda: colours("RGBA"), "refuse", {"words": "colour"}),
    "complex": (lambda: image(HU.astype(np.complex64)), "refuse", {"words": "complex"}),
    "unknown numbers": (patched((70, "h", 77)), "refuse", {"words": "unknown kind"}),
    "bits contradict": (patched((72, "h", 32)), "refuse", {"words": "contradicts"}),
    "type and bits both wrong": (patched((70, "2h", (16, 32))), "refuse", {"words": "ends before"}),
    "unsigned for signed": (patched((70, "h", 512)), "refuse"),
    "voxels in the other byte order": (swapped_voxels, "refuse"),
    "sides exchanged": (patched((42, "2h", (20, 24))), "refuse"),
    "first and last exchanged": (patched((42, "3h", (16, 20, 24))), "refuse"),
    "size too large": (patched((42, "h", 30000)), "refuse"),
    "size absurd": (patched((42, "3h", (32000, 32000, 32000))), "refuse", {"words": "declares a volume"}),
    "size too small": (patched((42, "h", 23)), "refuse", {"words": "more data"}),
    "size negative": (patched((42, "h", -3)), "refuse", {"words": "impossible"}),
    "nine axes": (patched((40, "h", 9)), "refuse"),
    "no axes": (patched((40, "h", 0)), "refuse"),
    "offset fractional": (patched((108, "f", 352.5)), "refuse", {"words": "voxels begin"}),
    "offset infinite": (patched((108, "f", math.inf)), "refuse", {"words": "voxels begin"}),
    "offset inside the header": (patched((108, "f", 100.0)), "refuse", {"words": "voxels begin"}),
    "offset zero": (patched((108, "f", 0.0)), "either"),
    "offset behind the end": (patched((108, "f", 1e8)), "refuse"),
    "offset shifted by a voxel": (patched((108, "f", 354.0)), "refuse", {"words": "ends before"}),
    "offset and end shifted together": (
        lambda: [(name, data + bytes(16)) for name, data in nii(patch=[(108, "f", 368.0)])],
        "refuse", {"words": "begin before"}),
    "upper half with another offset": (
        lambda: nii(data=HU + 700.0 * (np.arange(HU.shape[2]) >= 8)), "refuse", {"words": "jump together"}),
    "last slices lost to zeros": (
        lambda: nii(data=np.where(np.arange(HU.shape[2]) < 12, HU, 0)), "refuse", {"words": "Blank"}),
    "NIfTI-2 sent as text": (
        lambda: nii(version=2, patch=[(8, "4s", b"\n\n\x1a\n")]), "refuse", {"words": "changed on its way"}),
    "declared to be labels": (patched((68, "h", 1002)), "refuse", {"words": "labels"}),
    "declared to be z-scores": (patched((68, "h", 5)), "refuse", {"words": "statistics"}),
    "declared to be an estimate": (patched((68, "h", 1001)), "right"),
    "oblong pixels": (
        lambda: nii(grid=Grid(spacing_mm=(3.5, 1.25, 2.0))), "refuse", {"words": "nearly square"}),
    "extension claims too much": (lambda: extended(1 << 30), "either"),
    "wrong magic": (patched((344, "3s", b"n+9")), "refuse"),
    "header size in the other order": (lambda: [("a.nii", b"\0\0\1\x5c" + nii()[0][1][4:])], "refuse"),
    "header and image": (lambda: pair(), "either"),
    "header without image": (lambda: pair("hdr"), "refuse"),
    "image without header": (lambda: pair("img"), "refuse"),
    "Analyze 7.5": (analyze, "refuse"),
    "mask": (lambda: nii(dtype="u1", data=(HU > 0) * 1), "refuse"),
    "labels": (lambda: nii(dtype="<i2", data=np.rint((HU + 1000) / 20)), "refuse"),
    "mask as float": (lambda: nii(dtype="<f4", data=(HU > 0) * 1.0), "refuse", {"words": "mask"}),
    "display export": (lambda: nii(dtype="u1", data=np.clip((HU + 1000) / 8, 0, 255)), "refuse"),
    "normalised to one": (lambda: nii(dtype="<f4", data=(HU + 1000) / 2500), "refuse", {"words": "normalised"}),
    "z-scores": (lambda: nii(dtype="<f4", data=(HU - HU.mean()) / HU.std()), "refuse", {"words": "normalised"}),
    "constant": (lambda: nii(data=HU * 0), "refuse", {"words": "one value"}),
    "offset missing": (lambda: nii(data=HU + 1024), "refuse", {"words": "offset"}),
    "too large for a CT": (lambda: nii(dtype="<f4", data=HU * 100), "refuse"),
    "empty": (lambda: [("a.nii", b"")], "refuse"),
    "text": (lambda: [("a.nii", b"this is Quillon's scan " * 99)], "refuse"),
})  # fmt: skip

CASES = [*GOOD, *BAD]
