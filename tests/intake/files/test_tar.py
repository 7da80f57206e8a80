"""Tar archives whose headers are hostile: refused in words at once; ordinary ones of every kind are read."""

from __future__ import annotations

import io
import tarfile

import pytest
from tar_headers import DAMAGED, END, LONG, SPARSE

from core.errors import UserFacingError
from core.intake.files.sources import open_entries


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
