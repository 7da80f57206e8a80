"""Tar archives whose headers are hostile: refused in words at once; ordinary ones of every kind are read."""

from __future__ import annotations

import io
import tarfile

import pytest

from core.errors import UserFacingError
from core.intake.files.sources import open_entries

END = bytes(1024)


def header(kind: bytes, size: int, *, extended: int = 0) -> bytes:
    """A header block with a right checksum. extended: the mark of GNU tar that more of a sparse header follows."""
    block = bytearray(tarfile.TarInfo("a.dcm").tobuf(tarfile.USTAR_FORMAT))
    block[156:157] = kind
    block[124:136] = (size % 256**12).to_bytes(12, "big") if size < 0 or size >= 8**11 else b"%011o\0" % size
    block[124] |= 0x80 if size >= 8**11 else 0
    block[482] = extended
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def summed(kind: bytes, size: bytes) -> bytes:
    """A header block whose field of the size holds any bytes."""
    block = bytearray(header(kind, 0))
    block[124:136] = size.ljust(12, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def text(kind: bytes, body: bytes) -> bytes:
    return header(kind, len(body)) + body + bytes(-len(body) % 512)


LONG = {
    "names in a row": text(b"L", b"ab\0") * 2000,
    "headers in a row": text(b"x", b"11 path=ab\n") * 2000,
    "headers for all": b"".join(text(b"g", b"11 k%04d=v\n" % k) + header(b"0", 0) for k in range(2000)),
    "one long header": text(b"x", b"6 a=b\n" * (2 << 20)),
    "an endless name": header(b"L", 1 << 62),
    "an endless header": header(b"x", 1 << 70),
}
DAMAGED = {
    **{f"negative size of kind {kind!r}": header(kind, -512) for kind in (b"0", b"2", b"5", b"x", b"L", b"S")},
    "endless file": header(b"0", 1 << 70),
    "negative size in letters": summed(b"0", b"   -1000\0"),
    "size of a file that is none, in letters": summed(b"5", b"-1000\0"),
}
SPARSE = {
    "GNU": header(b"S", 0),
    "GNU, going on behind the end": header(b"S", 0, extended=1),
    "pax": text(b"x", b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n") + header(b"0", 512) + b"9\n" * 256,
}


def refusal(data: bytes) -> str:
    with pytest.raises(UserFacingError) as caught:
        open_entries(("a.tar", data + END))
    return str(caught.value)


@pytest.mark.parametrize("case", LONG)
def test_headers_longer_than_any_study_needs_are_refused(case: str) -> None:
    assert "headers of the tar archive" in refusal(LONG[case])


@pytest.mark.parametrize("case", DAMAGED)
def test_sizes_that_cannot_be_are_damage(case: str) -> None:
    assert "damaged" in refusal(DAMAGED[case])


@pytest.mark.parametrize("case", SPARSE)
def test_sparse_files_are_named(case: str) -> None:
    assert "sparse" in refusal(SPARSE[case])


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_times_and_a_word_for_all_are_no_reason_to_refuse(kind: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind, pax_headers={"comment": "0" * 40}) as archive:
        for number in range(300):
            info = tarfile.TarInfo("x" * 90 + "/" + "y" * (90 if kind == tarfile.USTAR_FORMAT else 150) + f"{number}")
            info.size, info.mtime = 3, 1.5
            archive.addfile(info, io.BytesIO(b"%03d" % number))
        folder = tarfile.TarInfo("empty")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    assert [bytes(entry.read(0, None)) for entry in open_entries(("a.tar", out.getvalue()))] == [
        b"%03d" % number for number in range(300)
    ]
