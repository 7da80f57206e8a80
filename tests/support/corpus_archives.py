"""Corpus: archives, what is hidden in them, and bombs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache

from corpus import GRID, Files, cases, series
from corpus_bytes import MIB, stream_of
from corpus_geometry import STRAY, brighter
from ct_factory import Grid, dicom_slices, enhanced_file, nifti_file, to_bytes

FINE = Grid(spacing_mm=(1.5, 1.25, 1.0), shape=(24, 20, 20))
NIFTI = ("Quillon_774411.nii", nifti_file())


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def tarred(files: Files, mode: str = "w", kind: int = tarfile.PAX_FORMAT, links: frozenset[str] = frozenset()) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=kind) as archive:  # type: ignore[call-overload]
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if name in links:
                info.type, info.linkname = tarfile.SYMTYPE, "elsewhere"
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def in_zip(files: Callable[[], Files] = series, change: Callable[[bytes], bytes] = bytes, **options: int):
    return lambda: [("Quillon_774411.zip", change(zipped(files(), **options)))]


def in_tar(files: Callable[[], Files] = series, change: Callable[[bytes], bytes] = bytes, **options: object):
    return lambda: [("Quillon_774411.tar", change(tarred(files(), **options)))]  # type: ignore[arg-type]


def escaping() -> Files:
    names = [
        "../../escape.dcm",
        "/etc/absolute.dcm",
        "C:\\windows\\x.dcm",
        "a/../../b.dcm",
        "..\\..\\c.dcm",
        "nul\n.dcm",
    ]
    files = series()
    return [(names[i] if i < len(names) else name, data) for i, (name, data) in enumerate(files)]


def zip_link(target: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("link.nii")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, target)
    return out.getvalue()


def tar_links(*kinds: bytes, files: Files | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind in kinds:
            info = tarfile.TarInfo("link.nii")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name, data in files or []:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def encrypted(data: bytes) -> bytes:
    out = bytearray(data)
    out[6] |= 1
    out[out.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(out)


def central(offset: int, code: str, value: int) -> Callable[[bytes], bytes]:
    """A field of the last central directory entry overwritten."""

    def change(data: bytes) -> bytes:
        out = bytearray(data)
        struct.pack_into("<" + code, out, out.rindex(b"PK\x01\x02") + offset, value)
        return bytes(out)

    return change


@cache
def overlapping(copies: int) -> bytes:
    """A zip whose entries all point at the same compressed zeros."""
    plain = zipped([("a.dcm", bytes(8 * MIB))])
    start = plain.rindex(b"PK\x01\x02")
    end = plain.rindex(b"PK\x05\x06")
    entry = plain[start:end]
    directory = b"".join(entry.replace(b"a.dcm", f"{i:05d}".encode()) for i in range(copies))
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, copies, copies, len(directory), start, 0)
    return plain[:start] + directory + tail


@cache
def many_entries(count: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for number in range(count):
            archive.writestr(zipfile.ZipInfo(f"{number}"), b"")
    return out.getvalue()


def conflicting() -> Files:
    """Two entries of one name, the second with another content."""
    files = series()
    name = files[5][0]
    return [*files, (name, to_bytes(brighter(dicom_slices(GRID)[5])))]


def flipped(data: bytes) -> bytes:
    at = len(data) // 3
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


def bad_header_sum(data: bytes) -> bytes:
    return data[:150] + b"7" + data[151:]


CASES = cases("archive", {
    "zip": (in_zip(), "right"),
    "zip stored": (in_zip(method=zipfile.ZIP_STORED), "right"),
    "zip with bzip2": (in_zip(method=zipfile.ZIP_BZIP2), "either"),
    "zip with LZMA": (in_zip(method=zipfile.ZIP_LZMA), "either"),
    "zip of a NIfTI": (in_zip(lambda: [NIFTI]), "right"),
    "zip of a packed NIfTI": (in_zip(lambda: [(NIFTI[0] + ".gz", gzip.compress(NIFTI[1]))]), "right"),
    "zip of an enhanced file": (in_zip(lambda: [("frames.dcm", enhanced_file())]), "right"),
    "zip with stray files": (
        in_zip(lambda: [("__MACOSX/._Quillon000_0.dcm", b"\0\5\x16\7"), *series(), *STRAY]), "right"),
    "zip with companions in hidden folders": (
        in_zip(lambda: [*series(), ("__MACOSX/._a/Quillon.dcm", b"\0\5\x16\7" * 40)]), "right"),
    "zip with a damaged DICOMDIR": (
        in_zip(lambda: [*series(), ("DICOMDIR", bytes(128) + b"DICM../../etc/passwd")]), "right"),
    "preamble that begins like a zip": (
        lambda: [(name, b"PK\3\4" + data[4:]) for name, data in series()], "right"),
    "preamble that begins like a gzip file": (
        lambda: [(name, b"\x1f\x8b\x08\0" + data[4:]) for name, data in series()], "right"),
    "zip of two series": (in_zip(lambda: series() + series(grid=FINE, seed=1)), "choose", {"grids": (GRID, FINE)}),
    "zip with a comment": (in_zip(change=lambda b: b[:-2] + b"\4\0note"), "right"),
    "zip behind other bytes": (in_zip(change=lambda b: b"#!/bin/sh\n" + b), "either"),
    "zip with trailing bytes": (in_zip(change=lambda b: b + b"garbage"), "either"),
    "zip with escaping names": (in_zip(escaping), "right"),
    "zip with a nameless entry": (lambda: [("a.zip", zipped([*series(), ("", b"words")]))], "either"),
    "zip with a link": (lambda: [("a.zip", zip_link("/etc/passwd"))], "refuse"),
    "zip with equal names": (
        in_zip(lambda: [(f"same{i % 2}.dcm", data) for i, (_, data) in enumerate(series())]), "either"),
    "zip with conflicting entries": (in_zip(conflicting), "refuse", {"words": "differ"}),
    "zip in a zip": (in_zip(lambda: [("inner.zip", zipped(series()))]), "right"),
    "zip in a zip in a zip": (
        in_zip(lambda: [("a.zip", zipped([("b.zip", zipped(series()))]))]), "refuse", {"words": "hold archives"}),
    "half a series in each of two zips": (
        in_zip(lambda: [("a.zip", zipped(series()[:8])), ("b.zip", zipped(series()[8:]))]), "right"),
    "bomb in a zip in a zip": (
        in_zip(lambda: [("a.zip", zipped([(f"{i}.dcm", bytes(40 * MIB)) for i in range(3)]))]), "refuse",
        {"words": "expand"}),
    "zip beside a series": (lambda: [*series(), ("more.zip", zipped(series()))], "right"),
    "zip with a password": (in_zip(lambda: [NIFTI], encrypted), "refuse", {"words": "password"}),
    "zip cut": (in_zip(change=lambda b: b[:-100]), "refuse", {"words": "damaged"}),
    "zip cut in half": (in_zip(change=lambda b: b[: len(b) // 2]), "refuse", {"words": "damaged"}),
    "zip with a flipped byte": (in_zip(change=flipped), "refuse"),
    "zip with a wrong checksum": (in_zip(lambda: [NIFTI], central(16, "I", 7)), "refuse", {"words": "damaged"}),
    "zip with a lying size": (in_zip(lambda: [NIFTI], central(24, "I", 100)), "refuse"),
    "zip with a huge size": (in_zip(lambda: [NIFTI], central(24, "I", 0xFFFFFFF0)), "either"),
    "zip with unknown method": (in_zip(lambda: [NIFTI], central(10, "H", 97)), "refuse", {"words": "packed in a way"}),
    "zip with an offset beyond the end": (in_zip(lambda: [NIFTI], central(42, "I", 1 << 29)), "refuse"),
    "zip empty": (in_zip(list), "refuse", {"words": "no file"}),
    "zip of empty files": (in_zip(lambda: [("a.dcm", b""), ("b.dcm", b"")]), "refuse"),
    "zip bomb": (in_zip(lambda: [(f"{i}.dcm", bytes(40 * MIB)) for i in range(3)]), "refuse", {"words": "expand"}),
    "zip bomb of shared bytes": (lambda: [("a.zip", overlapping(2000))], "refuse"),
    "zip of 25,000 entries": (lambda: [("a.zip", many_entries(25_000))], "refuse", {"words": "20,000 files"}),
    "zip with a gzip bomb": (in_zip(lambda: [("a.nii.gz", stream_of(100, 31))]), "refuse"),
    "tar": (in_tar(), "right"),
    "tar old GNU": (in_tar(kind=tarfile.GNU_FORMAT), "right"),
    "tar of UStar": (in_tar(kind=tarfile.USTAR_FORMAT), "right"),
    "tar packed": (in_tar(mode="w:gz"), "right"),
    "tar with bzip2": (lambda: [("a.tar.bz2", bz2.compress(tarred(series())))], "right"),
    "tar with xz": (lambda: [("a.tar.xz", lzma.compress(tarred(series())))], "right"),
    "NIfTI with xz": (lambda: [("a.nii.xz", lzma.compress(NIFTI[1]))], "right"),
    "tar with bzip2 cut": (
        lambda: [("a.tar.bz2", bz2.compress(tarred(series()))[:-90])], "refuse", {"words": "damaged"}),
    "tar with xz cut": (lambda: [("a.tar.xz", lzma.compress(tarred(series()))[:-90])], "refuse", {"words": "damaged"}),
    "tar with bzip2 and a flipped byte": (
        lambda: [("a.tar.bz2", flipped(bz2.compress(tarred(series()))))], "refuse", {"words": "damaged"}),
    "tar with xz and a flipped byte": (
        lambda: [("a.tar.xz", flipped(lzma.compress(tarred(series()))))], "refuse", {"words": "damaged"}),
    "tar with xz and foreign bytes": (
        lambda: [("a.tar.xz", lzma.compress(tarred(series())) + b"garbage")], "refuse", {"words": "damaged"}),
    "bzip2 bomb": (lambda: [("a.tar.bz2", 8 * bz2.compress(bytes(16 * MIB)))], "refuse", {"words": "expand"}),
    "xz bomb": (
        lambda: [("a.tar.xz", 8 * lzma.compress(bytes(16 * MIB), preset=0))], "refuse", {"words": "expand"}),
    "tar of a packed NIfTI": (in_tar(lambda: [(NIFTI[0] + ".gz", gzip.compress(NIFTI[1]))]), "right"),
    "tar with escaping names": (in_tar(escaping), "right"),
    "tar of links only": (
        lambda: [("a.tar", tar_links(tarfile.SYMTYPE, tarfile.LNKTYPE))], "refuse", {"words": "no file"}),
    "tar of devices": (lambda: [("a.tar", tar_links(tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE))], "refuse"),
    "tar with links and a series": (lambda: [("a.tar", tar_links(tarfile.SYMTYPE, files=series()))], "right"),
    "tar with long names": (
        in_tar(lambda: [("x" * 90 + "/" + "y" * 160 + name, data) for name, data in series()]), "right"),
    "tar with conflicting entries": (in_tar(conflicting), "refuse", {"words": "differ"}),
    "tar cut": (in_tar(change=lambda b: b[:20_000]), "refuse"),
    "tar cut between files": (in_tar(change=lambda b: b[: (len(b) // 3) // 512 * 512]), "refuse"),
    "tar with a broken header": (in_tar(change=bad_header_sum), "refuse"),
    "tar packed and cut": (in_tar(mode="w:gz", change=lambda b: b[:-30]), "refuse", {"words": "damaged"}),
    "tar in a tar": (in_tar(lambda: [("inner.tar", tarred(series()))]), "right"),
    "7z": (lambda: [("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(900))], "refuse", {"words": "7z archive"}),
    "rar": (lambda: [("a.rar", b"Rar!\x1a\x07\x01\0" + bytes(900))], "refuse", {"words": "rar archive"}),
})  # fmt: skip
