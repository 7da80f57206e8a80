"""Files of a source: packed ones and archives are read, others are named in a note, kinds are not mixed."""

from __future__ import annotations

import gzip
import io
import os
import socket
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ct_factory import dicom_files, nifti_file

from core.errors import UserFacingError
from core.intake.files.limits import MIB, Limits
from core.intake.record import file_list
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


SCANS = {
    "a series, with endings": dicom_files(),
    "a series, without": [(name.removesuffix(".dcm"), data) for name, data in dicom_files()],
    "one image": dicom_files()[:1],
    "a volume": [("ct.nii.gz", nifti_file())],
    "an archive": [("ct.zip", zipped(**{f"ct__{name}": data for name, data in dicom_files()}))],
}


@pytest.mark.parametrize("kind", SCANS)
def test_a_scan_in_the_place_of_the_record_is_told_from_any_other_file(kind: str) -> None:
    with pytest.raises(UserFacingError, match="but images of a scan") as refused:
        load_timeline(SCANS[kind])
    assert "as the CT" in refused.value.next_step
    assert len(load_timeline([*SCANS[kind], ("labs.csv", LABS)]).events) == 1
    with pytest.raises(UserFacingError) as refused:
        load_timeline([("picture.png", b"\x89PNG"), ("report.docx", b"PK")])
    assert "scan" not in str(refused.value)


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


@pytest.mark.parametrize("nothing", [b"", b"\r\n"])
def test_an_empty_file_beside_others_is_passed_over_with_a_word(tmp_path: Path, nothing: bytes) -> None:
    for source in (folder(tmp_path, **{"a.csv": nothing}), ("a.zip", zipped(**{"a.csv": nothing, "b.csv": LABS}))):
        timeline = load_timeline(source)
        assert len(timeline.events) == 1
        assert any("Not read" in note and "1 file" in note for note in timeline.notes)


def test_a_patient_keeps_the_number_beside_patients_that_have_none() -> None:
    rows = "".join(f"{who},2020-01-02T08:00,OF_{who},1,\n" for who in ("1", "2", "10", "TEST", "0A"))
    source = ("a.csv", (HEADER + rows).encode())
    for who, code in ((1, "OF_1"), (2, "OF_2"), (10, "OF_10"), (11, "OF_0A"), (12, "OF_TEST")):
        timeline = load_timeline(source, subject_id=who)
        assert timeline.events["code"].tolist() == [code]
        (note,) = [note for note in timeline.notes if "numbered" in note]
        assert not any(letter.isdigit() for letter in note)
    assert set(list_subjects(source)["subject_id"]) == {1, 2, 10, 11, 12}


def described(*words: str) -> list[tuple[str, bytes]]:
    """A MEDS shard of one test in mg/dL, beside what is said of it."""
    shard, codes = io.BytesIO(), io.BytesIO()
    events = pd.DataFrame({"subject_id": [7], "time": pd.to_datetime(["2020-01-01"]), "code": ["LAB//X"]})
    events.assign(numeric_value=[1.5], unit=["mg/dL"]).to_parquet(shard)
    pd.DataFrame({"code": ["LAB//X"] * len(words), "description": words}).to_parquet(codes)
    return [("data/0.parquet", shard.getvalue()), ("metadata/codes.parquet", codes.getvalue())]


def test_two_descriptions_of_a_code_are_said() -> None:
    said = " ".join(load_timeline(described("Glucose", "Sodium")).notes)
    assert "more than one description in codes.parquet: 1 code; the last one is shown" in said
    assert "more than one description" not in " ".join(load_timeline(described("Glucose", "Glucose")).notes)


def test_descriptions_that_differ_from_table_to_table_are_said() -> None:
    head = "subject_id,time,code,value,description\n"
    tables = [(f"{name}.csv", f"{head}1,2020-01-0{day},A,{day},{words}\n".encode())
              for day, (name, words) in enumerate([("a", "Glucose"), ("b", "Sodium")], 1)]  # fmt: skip
    assert "With more than one description: 1 code" in " ".join(load_timeline(tables).notes)
    assert "more than one description" not in " ".join(load_timeline(tables[:1]).notes)


def test_a_unit_that_is_not_the_one_in_the_description_is_said() -> None:
    words = "its name or description: 1 code"
    assert words in " ".join(load_timeline(described("Glucose [mmol/L]")).notes)
    assert words not in " ".join(load_timeline(described("Glucose [mg/dL]")).notes)


def test_two_files_of_one_name_in_an_archive_are_said() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("labs.csv", HEADER + FIRST)
        with pytest.warns(UserWarning, match="Duplicate name"):
            out.writestr("labs.csv", HEADER + SECOND)
    timeline = load_timeline(("a.zip", archive.getvalue()))
    assert len(timeline.events) == 2
    assert "Under a name that several files have, all of which count: 2 files." in timeline.notes


@pytest.mark.parametrize("read", [load_timeline, list_subjects])
def test_a_record_of_withdrawn_events_alone_is_refused_with_the_reason(read: Callable[..., object]) -> None:
    rows = HEADER.replace("unit", "status") + FIRST.replace("mg", "cancelled") + SECOND.replace("mg", "voided")
    with pytest.raises(UserFacingError, match=r"left out, as entered in error.*: 2 events"):
        read(("labs.csv", rows.encode()))


def test_an_empty_archive_is_refused_as_a_record() -> None:
    with pytest.raises(UserFacingError) as refusal:
        load_timeline(("a.zip", zipped()))
    assert "no file" in str(refusal.value)
    assert "DICOM" not in str(refusal.value)


@pytest.mark.parametrize("rows_at_once", [1, 3, 1000])
def test_patients_are_counted_over_pieces_of_a_large_file(monkeypatch: pytest.MonkeyPatch, rows_at_once: int) -> None:
    rng = np.random.default_rng(0)
    times = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 9000, 40), "h")
    table = pd.DataFrame({"subject_id": rng.integers(1, 6, 40), "time": times, "code": "A"})
    table.loc[::7, "time"] = pd.NaT
    table.loc[3, "code"] = "MEDS_BIRTH"
    out = io.BytesIO()
    table.to_parquet(out)
    monkeypatch.setattr("core.intake.record.tables.parquet._ROWS_AT_ONCE", rows_at_once)
    found = list_subjects(("a.parquet", out.getvalue())).set_index("subject_id").sort_index()
    timed = table.assign(time=table["time"].where(table["code"] == "A")).groupby("subject_id")["time"]
    assert found["events"].tolist() == timed.size().tolist()
    assert found["first"].tolist() == timed.min().tolist()
    assert found["last"].tolist() == timed.max().tolist()


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


OTHER = HEADER + "1,2020-01-03T08:00,SECRET,1,mg\n"


def never(root: Path) -> list[str]:
    timeline = load_timeline(root)
    assert timeline.events["code"].tolist() == ["A"]
    return [note for note in timeline.notes if "Never" in note]


def test_links_out_of_a_folder_are_never_followed_and_counted(tmp_path: Path) -> None:
    root = folder(tmp_path / "root")
    outside = folder(tmp_path / "outside", **{"secret.csv": OTHER.encode()})
    assert never(root) == []
    (root / "more.csv").symlink_to(outside / "secret.csv")
    (root / "gone.csv").symlink_to("nowhere")
    (root / "packed.csv.gz").symlink_to(outside / "secret.csv")
    (root / "outside").symlink_to(outside, target_is_directory=True)
    assert never(root) == ["Never followed or opened: 3 links, 1 linked folder."]


def test_pipes_and_sockets_are_never_opened_and_counted(tmp_path: Path) -> None:
    root = folder(tmp_path / "root")
    os.mkfifo(root / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket.csv"))
        assert never(root) == ["Never followed or opened: 2 special files."]


def test_what_lies_below_the_folder_is_read_once_where_it_lies(tmp_path: Path) -> None:
    root = folder(tmp_path / "root", **{"deep__labs.csv": LABS})
    (root / "again.csv").symlink_to(root / "deep" / "labs.csv")
    (root / "all").symlink_to("deep")
    (root / "self").symlink_to(".")
    (tmp_path / "chosen").symlink_to(root)
    for source in (root, tmp_path / "chosen"):
        timeline = load_timeline(source)
        assert timeline.events["code"].tolist() == ["A", "B"]
        assert not any("Never" in note for note in timeline.notes)


def test_a_named_file_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "chosen.csv").symlink_to(folder(tmp_path / "root") / "dx.csv")
    assert load_timeline(tmp_path / "chosen.csv").events["code"].tolist() == ["A"]


def test_tables_kept_in_a_hidden_folder_are_refused_with_what_to_do(tmp_path: Path) -> None:
    root = folder(tmp_path, **{".git__annex__x__SHA256E-s9--1.csv": LABS, ".cache__x": b""})
    (root / "sub").mkdir()
    (root / "latest").symlink_to(".cache/x")
    assert never(root) == ["Never followed or opened: 1 link."]
    (root / "sub" / "labs.csv").symlink_to("../.git/annex/x/SHA256E-s9--1.csv")
    with pytest.raises(UserFacingError, match=r"1 link to files in a hidden folder.*git annex unlock.*cp -rL"):
        load_timeline(root)
    with pytest.raises(UserFacingError, match=r"1 link to files in a hidden folder"):
        load_timeline([root, tmp_path / "nowhere"])


def test_a_folder_in_a_list_is_read_like_a_folder(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", **{"labs.csv": LABS})
    alone, listed = load_timeline(root), load_timeline([root])
    assert listed.events.equals(alone.events)
    with pytest.raises(UserFacingError, match="no file or folder"):
        load_timeline([root, tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    for nothing in ([], [tmp_path / "empty"], tmp_path / "empty"):
        with pytest.raises(UserFacingError, match=r"no table|no file|empty"):
            load_timeline(nothing)


def test_a_folder_of_links_alone_is_named(tmp_path: Path) -> None:
    (tmp_path / "dx.csv").symlink_to("/nowhere/dx.csv")
    with pytest.raises(UserFacingError, match="no file of a timeline, but 1 link"):
        load_timeline(tmp_path)


def test_links_in_an_archive_are_counted(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("dx.csv", (HEADER + FIRST).encode()), ("labs.csv", b"")):
            member = tarfile.TarInfo(name)
            member.size, member.linkname = len(data), "" if data else "dx.csv"
            member.type = tarfile.REGTYPE if data else tarfile.SYMTYPE
            archive.addfile(member, io.BytesIO(data))
    (tmp_path / "a.tar").write_bytes(out.getvalue())
    assert never(tmp_path / "a.tar") == ["Never followed or opened: 1 link."]
    assert never(tmp_path) == ["Never followed or opened: 1 link."]


def test_the_limit_of_a_folder_is_stated_and_not_what_is_left_of_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(file_list, "LIMITS", Limits(bytes_total=5 * MIB))
    packed = gzip.compress(LABS + bytes(2 * MIB), 1)
    with pytest.raises(UserFacingError, match="more than 5 MiB"):
        load_timeline(folder(tmp_path, **{f"{number}.csv.gz": packed for number in range(3)}))


@pytest.mark.parametrize("read", [load_timeline, list_subjects])
def test_reading_a_record_tells_how_far_it_is_and_stops_where_told(read: Callable[..., object]) -> None:
    tables = [(f"{name}.csv", (HEADER + FIRST.replace("A", name)).encode()) for name in ("X", "Y")]
    told: list[str] = []
    read(tables, progress=lambda share, words: told.append(words))
    assert {"Reading the tables: file 1 of 2", "Looking at the columns: file 2 of 2"} <= set(told)

    def stop(share: float, words: str) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        read(tables, progress=stop)
