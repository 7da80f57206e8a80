"""Members of zip archives against the standard library's reader: same bytes, every damage found, memory let go."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from corpus_archives import tarred
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_support import high_water_mib

from core.errors import UserFacingError
from core.intake.files import zip as zip_members
from core.intake.files.byte_source import Entry
from core.intake.files.limits import LIMITS, MIB
from core.intake.files.sources import open_entries

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def archive_of(files: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED, before: bytes = b"") -> bytes:
    out = io.BytesIO()
    out.write(before)
    with zipfile.ZipFile(out, "a" if before else "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def mixed_bytes(size: int, seed: int = 0) -> bytes:
    """Half noise, half runs, so that packing shortens it but not to nothing."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, size, dtype=np.uint8)
    noise[(np.arange(size) // 300) % 2 == 0] = 7
    return noise.tobytes()


def opened(data: bytes) -> list[Entry]:
    return open_entries(("a.zip", data))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [0, 1, 511, 70_000, 4 * MIB - 1, 4 * MIB])
def test_every_range_equals_the_standard_library(method: int, size: int) -> None:
    data = mixed_bytes(size)
    archive = archive_of([("first", b"12"), ("second", data)], method)
    entry = opened(archive)[1]
    whole = zipfile.ZipFile(io.BytesIO(archive)).read("second")
    assert entry.size == size
    assert bytes(entry.read(0, None)) == whole == data
    for start, stop in [(0, 0), (0, 512), (128, 132), (0, 65_536), (60_000, 65_537), (5, None), (size - 3, size + 9)]:
        assert bytes(entry.read(max(start, 0), stop)) == data[max(start, 0) : stop], (start, stop)


def test_bytes_before_the_archive_do_not_shift_its_members(tmp_path: Path) -> None:
    data = mixed_bytes(3000)
    path = tmp_path / "a.zip"
    path.write_bytes(archive_of([("x", data)], before=b"PK\x03\x04" + b"#" * 96))
    (entry,) = open_entries(path)
    assert bytes(entry.read(0, None)) == data


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(METHODS), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_changed_byte_changes_nothing_or_is_refused(method: int, place: float, change: int) -> None:
    files = [("first", mixed_bytes(900)), ("second", mixed_bytes(700, 1))]
    archive = bytearray(archive_of(files, method))
    archive[4 + int(place * (len(archive) - 4))] ^= change  # behind the mark that makes it an archive
    try:
        found = [bytes(entry.read(0, None)) for entry in opened(bytes(archive))]
    except UserFacingError:
        return
    # Names and dates may change, and a member may be hidden by a name that ends in "/"; contents may not.
    assert set(found) <= {data for _, data in files}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("place", range(41, 700, 61))
def test_a_changed_byte_of_a_member_is_refused(method: int, place: int) -> None:
    archive = bytearray(archive_of([("x", mixed_bytes(3000))], method))
    archive[place] ^= 0x5A
    with pytest.raises(UserFacingError, match=r"damaged|packed in a way"):
        opened(bytes(archive))


def test_a_member_that_changes_on_disk_is_refused_when_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(archive_of([("x", mixed_bytes(90_000))]))
    (entry,) = open_entries(path)
    path.write_bytes(archive_of([("x", mixed_bytes(90_000, 1))]))
    with pytest.raises(UserFacingError, match="damaged"):
        entry.read(0, None)


@pytest.mark.parametrize("declared", [10, 2999, 3001, 3 * MIB])
def test_a_size_that_lies_is_refused(declared: int) -> None:
    archive = bytearray(archive_of([("x", mixed_bytes(3000))]))
    struct.pack_into("<I", archive, archive.rindex(b"PK\x01\x02") + 24, declared)
    with pytest.raises(UserFacingError, match="zip archive is damaged"):
        opened(bytes(archive))


def test_an_archive_in_a_zip_is_unpacked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked = []
    unpack = zip_members._Member.unpack
    monkeypatch.setattr(zip_members._Member, "unpack", lambda member: unpacked.append(member) or unpack(member))
    files = [(f"{number}", mixed_bytes(9000, number)) for number in range(40)]
    found = opened(archive_of([("inner.tar", tarred(files))]))
    assert [bytes(entry.read(0, None)) for entry in found] == [data for _, data in files]
    assert len(unpacked) == 2
    assert sum(entry.held for entry in found) == 40 * 9000


def folders(count: int) -> bytes:
    return archive_of([(f"{number}/", b"") for number in range(count)])


@pytest.mark.parametrize("around", [archive_of, lambda files: gzip.compress(archive_of(files)), tarred])
def test_a_zip_in_an_archive_is_unpacked_once_however_many_members_are_read(around, monkeypatch) -> None:
    unpacked = 0
    real = zip_members._Member._inflate

    def counted(member, packed, most):
        nonlocal unpacked
        data = real(member, packed, most)
        unpacked += len(data)
        return data

    monkeypatch.setattr(zip_members._Member, "_inflate", counted)
    files = [(f"{number}", mixed_bytes(2000, number)) for number in range(100)]
    inner = archive_of(files)
    entries = opened(around([("inner.zip", inner)]))
    assert [bytes(entry.read(0, None)) for entry in entries] == [data for _, data in files]
    assert unpacked < 3 * len(inner) + 4 * sum(len(data) for _, data in files)


@pytest.mark.parametrize("kept", [5 * MIB, 3 * MIB])
def test_bombs_in_archives_in_an_archive_count_against_the_file_that_was_handed_over(kept: int) -> None:
    inner = archive_of([(f"{number}", bytes(kept)) for number in range(60 * MIB // kept)])
    with pytest.raises(UserFacingError, match="expand more than"):
        opened(archive_of([(f"{number}.zip", inner) for number in range(8)]))
    packed = gzip.compress(bytes(60 * MIB))
    with pytest.raises(UserFacingError, match="expand more than"):
        opened(gzip.compress(tarred([(f"{number}.nii.gz", packed) for number in range(8)])))


@cache
def bomb(method: int) -> bytes:
    return archive_of([("x", bytes(300 * MIB))], method)


@pytest.mark.parametrize("declared", [10, 300 * MIB])
@pytest.mark.parametrize("method", METHODS[2:])
def test_a_bomb_of_any_method_is_stopped_while_it_unpacks(method: int, declared: int) -> None:
    archive = bytearray(bomb(method))
    struct.pack_into("<I", archive, archive.rindex(b"PK\x01\x02") + 24, declared)
    before = high_water_mib(reset=True)
    with pytest.raises(UserFacingError, match=r"expand more than|damaged"):
        opened(bytes(archive))
    assert high_water_mib() - before < 250


def test_a_list_of_members_is_refused_by_its_length_before_it_is_read(monkeypatch) -> None:
    plain = archive_of([("a", b"")])
    start, end = plain.rindex(b"PK\x01\x02"), plain.rindex(b"PK\x05\x06")
    listed = plain[start:end] * 300_000
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(listed), start, 0)
    monkeypatch.setattr(zipfile.ZipInfo, "_decodeExtra", None)  # the list is not read
    with pytest.raises(UserFacingError, match="more than 20,000 files"):
        opened(plain[:start] + listed + tail)


def test_members_of_all_archives_count_together_and_so_do_folders() -> None:
    limits = replace(LIMITS, entries=50)
    for inner in (archive_of([(f"{number}", b"1") for number in range(20)]), folders(20)):
        with pytest.raises(UserFacingError, match="more than 50 files"):
            open_entries(("a.zip", archive_of([(f"{number}.zip", inner) for number in range(4)])), limits=limits)
    (entry,) = opened(archive_of([("a.zip", archive_of([("folder/", b""), ("folder/x", b"12")])), ("b/", b"")]))
    assert (entry.name, bytes(entry.read(0, None))) == ("folder/x", b"12")
