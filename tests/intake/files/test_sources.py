"""Folders, archives and hostile containers: nothing outside the entries is touched, limits hold while reading."""

from __future__ import annotations

import gzip
import io
import os
import resource
import socket
import struct
import tarfile
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from ct_factory import DEFLATED, Grid, assert_right, dicom_files, dicom_slices, enhanced_file, nifti_file, to_bytes

from core.errors import UserFacingError
from core.intake.files.byte_source import memory_entry
from core.intake.files.decompress import unpacked_pieces
from core.intake.files.limits import LIMITS, MIB, Limits
from core.intake.files.sources import open_entries
from core.load import load_study

NIFTI = nifti_file()


def zipped(files: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: list[tuple[str, bytes]], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture(scope="module")
def series() -> list[tuple[str, bytes]]:
    return dicom_files()


def test_every_container_gives_the_same_volume(series, tmp_path: Path) -> None:
    folder = tmp_path / "study" / "deep"
    folder.mkdir(parents=True)
    for name, data in series:
        (folder / name).write_bytes(data)
    (tmp_path / "scan.zip").write_bytes(zipped(series))
    sources = [
        series,
        tmp_path / "study",
        str(tmp_path / "study"),
        sorted(folder.iterdir()),
        tmp_path / "scan.zip",
        ("scan.zip", zipped(series)),
        ("scan.tar", tarred(series)),
        ("scan.tar.gz", tarred(series, "w:gz")),
        [("scan.zip", zipped(series))],
        ("frames.dcm", enhanced_file()),
        ("frames.zip", zipped([("frames.dcm", enhanced_file())])),
        ("scan.zip", zipped([("a/scan.nii", NIFTI)])),
        ("scan.zip", zipped([("__MACOSX/._x", b"junk"), ("scan.nii.gz", NIFTI)])),
    ]
    studies = [load_study(source) for source in sources]
    for study in studies:
        assert_right(study)
    assert len({study.voxels_hu.tobytes() for study in studies}) == 1
    assert len({study.digest for study in studies[:10]}) == 1


def test_escaping_names_and_links_touch_nothing(series, tmp_path: Path, monkeypatch) -> None:
    secret = tmp_path / "secret.nii"
    secret.write_bytes(NIFTI)
    monkeypatch.chdir(tmp_path)
    hostile = [("../../escape.dcm", series[0][1]), ("/etc/absolute.dcm", series[1][1])]
    assert_right(load_study(("a.zip", zipped([*hostile, *series[2:]]))))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo("link.nii")
            info.type, info.linkname = kind, str(secret)
            archive.addfile(info)
    with pytest.raises(UserFacingError, match="no file"):
        load_study(("a.tar", out.getvalue()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.nii"]


def in_folder(folder: Path, files: list[tuple[str, bytes]]) -> Path:
    folder.mkdir(parents=True)
    for name, data in files:
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("target", ["outside/secret.txt", "outside/slice", "nowhere", "a.dcm"])
def test_a_link_out_of_the_folder_to_nothing_or_to_itself_is_counted_and_never_read(series, tmp_path, target) -> None:
    in_folder(tmp_path / "outside", [("secret.txt", b"secret"), ("slice", series[3][1])])
    folder = in_folder(tmp_path / "study", series[:3])
    (folder / "a.dcm").symlink_to(target if target == "a.dcm" else tmp_path / target)
    (entry,) = (found for found in open_entries(folder) if found.absent)
    assert (entry.absent, entry.size, bytes(entry.read(0, None))) == ("link", 0, b"")
    with pytest.raises(
        UserFacingError,
        match=r"Named as DICOM files, but never followed or opened: 1 link\..* links replaced",
    ):
        load_study(folder)


def test_a_text_that_is_only_named_as_dicom_is_not_to_be_exported_again() -> None:
    with pytest.raises(UserFacingError) as refused:
        load_study([("report.dcm", b"Findings: none.\n")])
    assert "only named as DICOM" in refused.value.next_step


def test_what_is_no_file_is_named_in_a_note_and_never_opened(series, tmp_path: Path) -> None:
    folder = in_folder(tmp_path / "study", series)
    (folder / "more").symlink_to(in_folder(tmp_path / "outside", [("x.dcm", b"")]), target_is_directory=True)
    (folder / "up").symlink_to("..")
    (folder / "etc").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.dcm.fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
        study = load_study(folder)
    assert_right(study)
    assert study.notes[0] == "Never followed or opened: 1 link, 2 linked folders, 2 special files."


def test_links_inside_the_chosen_folder_are_second_names_of_files_that_are_read_once(series, tmp_path: Path) -> None:
    """As git-annex keeps a folder: every name is a link to a file further down or up in the same tree."""
    root, kept = tmp_path / "study", in_folder(tmp_path / "study" / ".git" / "annex", series)
    (root / "sub").mkdir()
    for name, _ in series:
        (root / "sub" / name).symlink_to(Path("..", ".git", "annex", name))
    (root / "all").symlink_to(kept)
    (root / "self").symlink_to(".")
    assert_right(load_study(root))
    assert not any("Never" in note for note in load_study(root).notes)
    (tmp_path / "chosen").symlink_to(root)
    assert load_study(tmp_path / "chosen").digest == load_study(root).digest
    with pytest.raises(UserFacingError, match=rf"no file, but {len(series)} links.*folder that holds the files"):
        open_entries(root / "sub")
    (root / "sub" / "readme").write_text("words")
    for name, _ in series:
        (root / "sub" / name).rename(root / "sub" / name.replace(".dcm", ""))
    with pytest.raises(UserFacingError, match=rf"no CT image\. Never followed or opened: {len(series)} links"):
        load_study(root / "sub")


def test_a_folder_that_cannot_be_listed_is_counted(series, tmp_path: Path, monkeypatch) -> None:
    folder = in_folder(tmp_path / "study", series)
    (folder / "closed").mkdir()
    real = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "no", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert "Never followed or opened: 1 closed folder." in load_study(folder).notes


def test_missing_and_empty_sources(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="no file or folder"):
        load_study(tmp_path / "nowhere")
    with pytest.raises(UserFacingError, match="no file"):
        load_study(tmp_path)
    with pytest.raises(UserFacingError, match="no file"):
        load_study([])
    with pytest.raises(UserFacingError, match="no CT image"):
        load_study(("readme.txt", b"hello"))
    with pytest.raises(UserFacingError, match="no file"):
        load_study(("empty.zip", zipped([])))


@pytest.mark.parametrize("cut", [10, 200, 3000])
def test_truncated_archives_are_refused(series, cut: int) -> None:
    with pytest.raises(UserFacingError, match="damaged"):
        load_study(("a.zip", zipped(series)[:-cut]))
    with pytest.raises(UserFacingError, match=r"damaged|missing|too early"):
        load_study(("a.tar.gz", tarred(series, "w:gz")[:-cut]))


def test_password_protected_zip_is_named() -> None:
    data = bytearray(zipped([("a.nii", NIFTI)]))
    data[6] |= 1
    central = data.rindex(b"PK\x01\x02")
    data[central + 8] |= 1
    with pytest.raises(UserFacingError, match="password"):
        load_study(("a.zip", bytes(data)))


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def zeros_gzip(mebibytes: int) -> bytes:
    stream = zlib.compressobj(1, wbits=31)
    return b"".join([stream.compress(bytes(MIB)) for _ in range(mebibytes)]) + stream.flush()


def test_bombs_stop_at_the_limits() -> None:
    before = peak_mib()
    bomb = zeros_gzip(100)
    for name in ("a.nii.gz", "a.tar.gz"):
        with pytest.raises(UserFacingError, match="expand more than"):
            load_study((name, bomb))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.dcm", bytes(40 * MIB))
    with pytest.raises(UserFacingError, match="expand more than"):
        load_study(("a.zip", out.getvalue()))
    assert peak_mib() - before < 400


def test_deflated_dicom_bomb_stops_at_the_limits() -> None:
    plain = to_bytes(dicom_slices(Grid())[0], DEFLATED)
    start = 132 + 12 + struct.unpack_from("<I", plain, 140)[0]
    stream = zlib.compressobj(1, wbits=-15)
    bomb = plain[:start] + stream.compress(bytes(90 * MIB)) + stream.flush()
    with pytest.raises(UserFacingError, match="expand more than"):
        load_study(("a.dcm", bomb))


def test_limits_are_stated_and_enforced_while_reading(series) -> None:
    with pytest.raises(UserFacingError, match="more than 5 files"):
        load_study(("a.zip", zipped(series)), limits=replace(LIMITS, entries=5))
    with pytest.raises(UserFacingError, match="more than 5 files"):
        load_study(series, limits=replace(LIMITS, entries=5))
    with pytest.raises(UserFacingError, match="MiB"):
        load_study(("a.nii.gz", gzip.compress(bytes(3 * MIB))), limits=replace(LIMITS, bytes_total=MIB))
    with pytest.raises(UserFacingError, match="declares a volume"):
        load_study(series, limits=replace(LIMITS, voxels=100))


def stored(files: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize("around", [stored, tarred, lambda files: gzip.compress(tarred(files), 0)])
@pytest.mark.parametrize("inner", [stored, tarred, lambda files: gzip.compress(files[0][1], 0)])
@pytest.mark.parametrize("size", [3 * MIB, 5 * MIB])
def test_the_limit_is_stated_and_not_what_is_left_of_it(around, inner, size: int) -> None:
    """However deep the archive in which it is reached, and whether its members are kept unpacked."""
    files = [(f"{number}", inner([("x", os.urandom(size))])) for number in range(4)]
    limits = replace(LIMITS, bytes_total=2 * size + MIB)
    for source in (("a", around(files)), [(name, around([(name, data)])) for name, data in files]):
        with pytest.raises(UserFacingError, match=f"more than {limits.bytes_total // MIB} MiB; .*at most"):
            open_entries(source, limits=limits)


def test_lying_zip_sizes_are_refused(series) -> None:
    data = bytearray(zipped([("a.nii", NIFTI)]))
    central = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, central + 24, 100)
    with pytest.raises(UserFacingError):
        load_study(("a.zip", bytes(data)))


def unpack(data: bytes, packing: str, limits: Limits = LIMITS) -> bytes:
    return b"".join(unpacked_pieces(memory_entry("", data), packing, limits=limits))


def test_gzip_members_and_padding() -> None:
    assert unpack(gzip.compress(b"one") + gzip.compress(b"two") + b"\0" * 20, "gzip") == b"onetwo"


def test_a_file_of_endlessly_many_empty_members_is_refused() -> None:
    few, many = gzip.compress(b"HU") + gzip.compress(b"") * 50, gzip.compress(b"") * 51
    assert unpack(few, "gzip", limits=replace(LIMITS, entries=51)) == b"HU"
    with pytest.raises(UserFacingError, match="damaged"):
        unpack(many, "gzip", limits=replace(LIMITS, entries=50))
    blocks = b"".join(gzip.compress(bytes(8192)) for _ in range(60))
    assert len(unpack(blocks, "gzip", limits=replace(LIMITS, entries=10))) == 60 * 8192


def test_entries_are_read_only_slices() -> None:
    entry = memory_entry("a", b"0123456789")
    assert bytes(entry.read(2, 5)) == b"234"
    assert bytes(entry.read(0, None)) == b"0123456789"
    assert [found.size for found in open_entries(("a", b"0123456789"))] == [10]


@pytest.mark.parametrize("where", range(0, 1400, 37))
def test_damaged_bytes_never_raise_anything_else(series, where: int) -> None:
    """A flipped byte or a cut anywhere in a header is read right or refused, never a crash."""
    name, data = series[4]
    for broken in (data[:where], data[:where] + bytes([data[where] ^ 0x5A]) + data[where + 1 :]):
        files = [*series[:4], (name, broken), *series[5:]]
        try:
            study = load_study(files)
        except UserFacingError as error:
            assert "Expected:" in str(error)  # noqa: PT017
        else:
            assert study.shape == (24, 20, 16)


@pytest.mark.parametrize("path", ["no such file", "a" * 5000, "a/" * 3000, "nul\0inside"], ids=len)
def test_a_path_that_cannot_be_is_refused(path: str) -> None:
    with pytest.raises(UserFacingError, match="no file or folder"):
        load_study(path)


@pytest.mark.parametrize("source", ["", [""], None, 7, b"bytes", [(1, 2)]], ids=repr)
def test_what_is_no_source_is_refused_and_an_empty_path_is_not_where_one_stands(source, series, tmp_path, monkeypatch):
    for name, data in series:
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserFacingError, match=r"path is empty|neither a path"):
        load_study(source)
    assert load_study(".").voxels_hu.size


def test_members_of_a_tar_are_limited_to_the_last(series) -> None:
    packed = ("a.tar", tarred(series))
    assert load_study(packed, limits=replace(LIMITS, entries=len(series))).voxels_hu.size
    with pytest.raises(UserFacingError, match="more than"):
        load_study(packed, limits=replace(LIMITS, entries=len(series) - 1))
