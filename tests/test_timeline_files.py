"""Files of a source: packed ones and archives are read, others are named in a note, kinds are not mixed."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from core.errors import UserFacingError
from core.timeline import list_subjects, load_timeline

HEADER = "subject_id,time,code,value,unit\n"
FIRST, SECOND = "1,2020-01-01T08:00,A,5.5,mg\n", "1,2020-01-02T08:00,B,7,mg\n"
LABS = (HEADER + SECOND).encode()


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/"), data)
    return out.getvalue()


def parquet() -> bytes:
    table = pd.read_csv(io.StringIO(HEADER + SECOND), parse_dates=["time"])
    out = io.BytesIO()
    table.to_parquet(out)
    return out.getvalue()


def folder(root: Path, **files: bytes) -> Path:
    """dx.csv with the first event, and files beside it."""
    for name, data in {"dx.csv": (HEADER + FIRST).encode(), **files}.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


READ = {
    "labs.csv.gz": gzip.compress(LABS),
    "labs.zip": zipped(**{"labs.csv": LABS}),
    "notices_of_admission.csv": LABS,
    "licence_checks.csv": LABS,
    "part": LABS,
}


@pytest.mark.parametrize("name", READ)
def test_every_table_of_a_folder_is_read(tmp_path: Path, name: str) -> None:
    timeline = load_timeline(folder(tmp_path, **{name: READ[name]}))
    assert timeline.events["code"].tolist() == ["A", "B"]
    assert not any("Not read" in note for note in timeline.notes)


def test_a_folder_of_packed_tables_alone_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(LABS))
    assert len(list_subjects(tmp_path)) == 1


@pytest.mark.parametrize("name", ["labs.dat", "labs.xlsx", "labels__labs.csv", "scan__IM0001"])
def test_a_file_that_is_not_read_is_said(tmp_path: Path, name: str) -> None:
    data = b"\0" * 600 if "IM" in name else LABS
    for source in (folder(tmp_path, **{name: data}), ("a.zip", zipped(**{"dx.csv": LABS, name: data}))):
        timeline = load_timeline(source)
        assert len(timeline.events) == 1
        assert any("Not read" in note and "1 file" in note for note in timeline.notes)


def test_the_note_shows_no_name(tmp_path: Path) -> None:
    notes = load_timeline(folder(tmp_path, **{"letter.quillfeather": b"Dear colleague"})).notes
    assert any("1 file (1 of other kinds)" in note for note in notes)


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "notice.txt", ".DS_Store", "__MACOSX__._dx.csv", "ct.nii.gz"])
def test_what_lies_beside_any_table_needs_no_word(tmp_path: Path, name: str) -> None:
    data = b"\0\1\2Bud1"
    for source in (folder(tmp_path, **{name: data}), ("a.zip", zipped(**{"dx.csv": LABS, name: data}))):
        assert not any("Not read" in note for note in load_timeline(source).notes)


def test_parquet_and_text_are_not_mixed_in_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="mixes"):
        load_timeline(folder(tmp_path, **{"labs.parquet": parquet()}))


def test_what_lies_beside_a_data_set_is_said(tmp_path: Path) -> None:
    files = {"data__0.parquet": parquet(), "labels__task.parquet": b"PAR1", "metadata__dataset.json": b"{}"}
    timeline = load_timeline(folder(tmp_path, **files))
    assert timeline.events["code"].tolist() == ["B"]
    assert any("1 file (1 .csv)" in note for note in timeline.notes)
