"""What containers say beside their contents: hostile ones are refused or searched within a bound, never clean."""

from __future__ import annotations

import gzip
import io
import re
import struct
import tarfile
import zipfile
from collections.abc import Collection, Iterator

import numpy as np
import pytest
from corpus_archives import tarred, zipped
from hang_support import no_hang
from tar_headers import DAMAGED, END, LONG, SPARSE

from core.errors import UserFacingError
from core.intake.files.limits import MIB
from core.intake.identifiers import search
from core.intake.identifiers.where.containers import search_names
from core.privacy import Finding, find_identifiers

REFUSED = {**LONG, **DAMAGED, **SPARSE}


def found(name: str, data: bytes) -> tuple[Finding, ...]:
    return find_identifiers((name, data), pixels=False)


def said(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.category, finding.where) for finding in findings]


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("packed", [False, True])
def test_hostile_tars_are_refused_in_words(case: str, packed: bool) -> None:
    data = REFUSED[case] + END
    with pytest.raises(UserFacingError), no_hang():
        found("a.tar.gz" if packed else "a.tar", gzip.compress(data) if packed else data)


def test_a_long_list_of_members_is_refused_before_it_is_read() -> None:
    plain = zipped([("a", b"")])
    start, end = plain.rindex(b"PK\x01\x02"), plain.rindex(b"PK\x05\x06")
    listed = plain[start:end] * 1_300_000
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(listed), start, 0)
    with pytest.raises(UserFacingError, match="more than 20,000 files"), no_hang():
        found("a.zip", plain[:start] + listed + tail)


def test_noise_in_many_packed_files_is_searched_within_a_bound_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []
    in_binary = search._in_binary

    def counted(data: memoryview, tokens: Collection[str]) -> Iterator[tuple[str, str]]:
        searched.append(len(data))
        return in_binary(data, tokens)

    monkeypatch.setattr(search, "_in_binary", counted)
    noise = np.random.default_rng(0).integers(0, 256, (2000, 40_000), dtype=np.uint8)
    data = zipped([(f"{number}.gz", gzip.compress(row.tobytes(), 0)) for number, row in enumerate(noise)], 0)
    findings = found("a.zip", data)
    assert 60 * MIB < sum(searched) <= 64 * MIB < noise.nbytes
    assert ("unreadable", "a file that is not a scan") in said(findings)


def test_every_file_counts_against_what_is_searched_of_all_that_are_no_scan() -> None:
    files = [(f"{number}.bin", bytes(20 * MIB)) for number in range(3)]
    with no_hang():
        assert found("a.tar", tarred(files)) == ()
        (finding,) = found("a.tar", tarred([*files, ("3.bin", bytes(5 * MIB))]))
    assert (finding.category, "64" in finding.masked) == ("unreadable", True)


def test_endless_gzip_headers_are_searched_within_a_bound_that_is_said() -> None:
    with no_hang():
        findings = found("a.gz", gzip.compress(b"\x1f\x8b\x08\x08\0\0\0\0\0\0" * 1_000_000, 0))
    assert ("unreadable", "gzip headers") in said(findings)


def test_the_headers_of_every_gzip_member_are_searched() -> None:
    out = io.BytesIO()
    for number in range(3):
        with gzip.GzipFile("Doe_John.txt" if number == 2 else "", "wb", fileobj=out) as file:
            file.write(b"" if number else b"1\n")
    assert ("gzip header", "gzip header, file name") in said(found("a.gz", out.getvalue()))


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.gz", "a"])
def test_the_owner_in_a_packed_tar_is_found_whatever_its_name(name: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("x")
        member.uname = "jdoe"
        archive.addfile(member)
    assert ("archive comment", "owner of a tar entry") in said(found(name, out.getvalue()))


def test_an_archive_that_also_reads_as_dicom_is_not_clean_where_its_headers_cannot_be_searched() -> None:
    tar = bytearray(LONG["headers in a row"] + END)
    tar[128:132] = b"DICM"
    tar[148:156] = b" " * 8
    tar[148:156] = b"%06o\0 " % sum(tar[:512])
    assert ("unreadable", "headers of an archive") in said(found("a", bytes(tar)))


def test_comments_of_archives_in_archives_are_found() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x", b"1")
        archive.comment = b"for John Doe"
    findings = found("a.tar", tarred([("b.zip", out.getvalue())]))
    assert ("archive comment", "comment of the zip archive") in said(findings)


FIELDS = {
    "letters": (struct.pack("<2sH", b"cu", 3) + b"Doe", True), "behind the last": (b"Doe", True),
    "Cyrillic": (struct.pack("<2sH", b"cu", 4) + "Пе".encode(), True), "padding": (b"\0" * 6, False),
    "text in a time": (struct.pack("<2sH", b"UT", 9) + b"\3Quillfea", True),
    "path": (struct.pack("<2sH", b"up", 13) + b"\1\0\0\0\0DOE^JOHN", True),
    "same path": (struct.pack("<2sH", b"up", 10) + b"\1\0\0\0\0a.csv", False),
    "time": (struct.pack("<2sHBI", b"UT", 5, 1, 1_560_000_000), False),
    "owner": (b"ux\x0b\0\1\4\xe8\3\0\0\4\xe8\3\0\0", False),
}  # fmt: skip
TABLE = b"code,unit\nA,mg\n"


@pytest.mark.parametrize("name", FIELDS)
def test_extra_fields_of_zip_entries_are_numbers_or_reported(name: str) -> None:
    packed, info = io.BytesIO(), zipfile.ZipInfo("a.csv")
    info.extra, expected = FIELDS[name]
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(info, TABLE)
    assert bool(found("a.zip", packed.getvalue())) == expected


@pytest.mark.parametrize(("extra", "expected"), [(b"AB\3\0Doe", True), (b"BC\2\0\x1b\0", False)])
def test_extra_fields_of_gzip_are_those_of_blocked_gzip_or_reported(extra: bytes, expected: bool) -> None:
    plain = gzip.compress(TABLE, mtime=0)
    data = plain[:3] + b"\4" + plain[4:10] + struct.pack("<H", len(extra)) + extra + plain[10:]
    assert bool(found("a.csv.gz", data)) == expected


@pytest.mark.parametrize("rest", [b"Doe", "Петров".encode(), b"\0" * 8, b""])
def test_bytes_before_and_behind_a_zip_archive(rest: bytes) -> None:
    plain, expected = zipped([("a.csv", TABLE)]), bool(rest.strip(b"\0"))
    assert (
        said(found("a.zip", plain + rest)) == [("archive comment", "behind the entries of the zip archive")] * expected
    )
    before = b"PK\3\4" + rest
    assert ("archive comment", "before the entries of the zip archive") in said(found("a.zip", before + plain))
    assert not found("a.zip", plain)


@pytest.mark.parametrize(
    "name", ["kowalski.dcm", "Jovanovic/IM0001.dcm", "sub-Kuzminski_ct.nii.gz", "UKE_Hamburg", "王小东", "Иванова.nii",
             "jsmith"]
)  # fmt: skip
def test_a_word_in_a_files_name_that_no_vocabulary_knows_is_told(name: str) -> None:
    (found,) = search_names([name], ())
    assert found.category in ("file name (words no vocabulary knows)", "file name (name)")
    assert not any(len(word) > 2 and word in found.masked for word in re.findall(r"\w+", name))


@pytest.mark.parametrize(
    "name", ["IM0001.dcm", "DICOMDIR", "sub-01_ses-02_ct.nii.gz", "chest_ct_with_contrast.nii.gz", "slice_0001.dcm",
             "condition_occurrence.csv", "anonymized_scan.zip", "ThoraxRoutine", "data/train/0.parquet", "New folder"]
)  # fmt: skip
def test_what_files_are_called_everywhere_is_not(name: str) -> None:
    assert not list(search_names([name], ()))
