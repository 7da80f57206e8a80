"""Large packed NIfTI files: read while they are unpacked, with the same outcome as read in one, and never all held."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from corpus_archives import tarred, zipped
from corpus_nifti import CASES
from ct_factory import DEFLATED, Grid, dicom_files, dicom_slices, named, nifti_file
from nifti_files import BAD, GOOD
from sampling import WHOLE, kinds_left_out, sampled

from core.errors import UserFacingError
from core.intake.files import byte_source
from core.intake.files.byte_source import InOrder, memory_entry
from core.intake.files.decompress import inflate_raw, unpacked_pieces
from core.intake.files.limits import LIMITS
from core.intake.files.sources import open_entries
from core.intake.scan.nifti import voxels
from core.intake.scan.nifti.header import looks_like_nifti, readable_in_order
from core.load import list_series, load_study

PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
Outcome = tuple[object, ...]

TWO_MM = np.diag([2.0, 2.0, 2.0, 1.0])


@pytest.fixture
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are read as large ones are, in slabs smaller than a plane."""
    monkeypatch.setattr(byte_source, "_BEGINNING", 1024)
    monkeypatch.setattr(voxels, "_SLAB", 700)


def outcome(name: str, data: bytes) -> Outcome:
    try:
        study = load_study((name, data))
    except UserFacingError as error:
        return (str(error),)
    return study.voxels_hu.tobytes(), study.affine_mm.tobytes(), study.notes, study.origin


def noisy(kind: str, edge: int = 128) -> bytes:
    """A cube of air, tissue and noise with `edge` voxels a side."""
    ramp = np.linspace(-1000, 1000, edge**3).reshape((edge,) * 3, order="F")
    noise = np.random.default_rng(0).integers(-20, 20, ramp.shape)
    return bytes(nib.Nifti1Image((ramp + noise).astype(kind), TWO_MM).to_bytes())


def made() -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """(name, what it stands for, how it is made) of plain NIfTI files of every kind, right and wrong ones."""
    yield from ((name, "right", lambda data=data: data) for name, data in GOOD.items())
    yield from ((name, words, make) for name, (make, words) in BAD.items())
    for case in CASES:
        if len(case.make()) == 1:
            yield case.name, f"{case.expect} {case.words}", lambda case=case: case.make()[0][1]


FILES = {name: (words, make) for name, words, make in made() if looks_like_nifti(memoryview(make()))}


def told(name: str) -> list[str]:
    """What a file stands for: read right, or the reason why it is refused."""
    return [FILES[name][0]]


SAMPLED = sampled(FILES, told)


def test_every_reason_is_in_the_sample() -> None:
    assert kinds_left_out(SAMPLED, told) == set()
    assert kinds_left_out(SAMPLED[1:], told) == kinds_left_out(SAMPLED, told), "there are other right ones"
    assert kinds_left_out([pytest.param(name, marks=WHOLE) for name in FILES], told) >= {"right"}


@pytest.mark.parametrize("name", SAMPLED)
def test_a_file_read_while_it_is_unpacked_comes_to_the_same(name: str, in_order: None) -> None:
    plain = FILES[name][1]()
    whole = outcome("a.nii", plain)
    for suffix, pack in PACKERS.items():
        packed = outcome(f"a.nii.{suffix}", pack(plain))
        # Of two faults that one file has, its length is known last.
        assert packed == whole or (len(packed) == 1 and "ends before" in str(whole[0]))


def test_only_large_nifti_files_are_left_packed() -> None:
    large, table = noisy("<i2"), b"id,time,code\n" * 200_000
    for data, left in ((large, True), (noisy("<i2", 32), False), (table, False)):
        (byte_source,) = open_entries(("a.gz", gzip.compress(data, 1)), leave_packed=readable_in_order)
        assert bool(byte_source.pieces) is left
        assert byte_source.size == len(data) or left
        (byte_source,) = open_entries(("a.gz", gzip.compress(data, 1)))
        assert bytes(byte_source.read(0, None)) == data


@pytest.mark.parametrize("change", ["cut 1", "cut 9", "cut 1000", "checksum", "foreign bytes", "half a member"])
def test_damage_behind_the_beginning_is_found(change: str, in_order: None) -> None:
    plain = nifti_file()
    good = gzip.compress(plain)
    damages = {
        "cut 1": good[:-1], "cut 9": good[:-9], "cut 1000": good[:-1000], "checksum": good[:-6] + b"\0\0" + good[-4:],
        "foreign bytes": good + b"more", "half a member": good + good[:500],
    }  # fmt: skip
    with pytest.raises(UserFacingError, match="damaged"):
        load_study(("a.nii.gz", damages[change]))


def test_damage_is_named_before_the_values_that_it_makes(in_order: None) -> None:
    hu = Grid().hu().copy()
    hu[0, 0, 0] = math.nan
    packed = gzip.compress(nifti_file(dtype="<f4", data=hu))
    with pytest.raises(UserFacingError, match="not numbers"):
        load_study(("a.nii.gz", packed))
    with pytest.raises(UserFacingError, match="damaged"):
        load_study(("a.nii.gz", packed[:-1]))


def test_a_volume_that_is_too_large_is_refused_before_it_is_unpacked() -> None:
    head = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), TWO_MM).to_bytes()[:352]
    damaged = gzip.compress(head + bytes(2 << 20), 1)[:-8]
    with pytest.raises(UserFacingError, match="damaged"):
        load_study(("a.nii.gz", damaged))
    large = bytearray(head)
    large[42:48] = np.array([2000, 2000, 900], "<i2").tobytes()
    with pytest.raises(UserFacingError, match="declares a volume"):
        load_study(("a.nii.gz", gzip.compress(bytes(large) + bytes(2 << 20), 1)[:-8]))
    with pytest.raises(UserFacingError, match="unpacks to more than 3 MiB"):
        load_study(("a.nii.gz", gzip.compress(noisy("<i2"), 1)[:-8]), limits=replace(LIMITS, bytes_total=3 << 20))


def test_many_members_are_judged_by_the_whole_file() -> None:
    """The last of many small members is no bomb because little of the file is left when it comes."""
    block = np.random.default_rng(0).integers(0, 9, 50_000).astype("u1").tobytes()
    packed = gzip.compress(block) * 20 + gzip.compress(b"")
    limits = replace(LIMITS, ratio=10, ratio_free_bytes=100)
    assert b"".join(unpacked_pieces(memory_entry("", packed), "gzip", limits=limits)) == block * 20
    bomb = memory_entry("", packed + gzip.compress(bytes(10_000_000)))
    with pytest.raises(UserFacingError, match="expand more than"):
        list(unpacked_pieces(bomb, "gzip", limits=limits))


def test_bytes_are_taken_in_order() -> None:
    stream = InOrder(iter([b"ab", b"", b"cdefg", b"h", b"ij"]))
    stream.skip(1)
    assert bytes(stream.take(3)) == b"bcd"
    assert bytes(stream.take(1)) == b"e"
    assert stream.finish() == 5
    assert bytes(stream.take(4)) == b""
    assert bytes(InOrder(iter([b"ab", b"c"])).take(9)) == b"abc"


def test_the_list_shows_the_same_picture_of_a_packed_volume() -> None:
    for axes in (TWO_MM, TWO_MM[[2, 0, 1, 3]]):
        image = nib.Nifti1Image(np.asarray(nib.Nifti1Image.from_bytes(noisy("<i2")).dataobj), axes)
        plain = bytes(image.to_bytes())
        (one,) = list_series(("a.nii", plain), thumbnails=True)
        (other,) = list_series(("a.nii.gz", gzip.compress(plain, 1)), thumbnails=True)
        assert one == other
        assert one.thumbnail is not None
        np.testing.assert_array_equal(one.thumbnail, other.thumbnail)


def test_a_large_member_of_a_zip_is_read_while_it_is_unpacked(tmp_path: Path) -> None:
    data = noisy("<f8")
    archive, plain = zipped([("a.nii", data)]), outcome("a.nii", data)
    (tmp_path / "a.zip").write_bytes(archive)
    for source in (tmp_path / "a.zip", ("a.zip", archive)):
        (found,) = open_entries(source, leave_packed=readable_in_order)
        assert found.pieces is not None
        assert found.held == 0
        assert plain[0] == load_study(source).voxels_hu.tobytes()


def test_damage_of_a_large_member_of_a_zip_is_found() -> None:
    archive = bytearray(zipped([("a.nii", noisy("<f8"))]))
    archive[archive.rindex(b"PK\x01\x02") + 16] ^= 1  # its checksum
    archive[14] ^= 1
    with pytest.raises(UserFacingError, match="zip archive is damaged"):
        load_study(("a.zip", bytes(archive)))


def test_files_of_a_tar_on_disk_are_read_where_they_lie(tmp_path: Path) -> None:
    data = noisy("<f8")
    for name, mode in (("a.tar", "w"), ("a.tar.gz", "w:gz")):
        (tmp_path / name).write_bytes(tarred([("a.nii", data)], mode))
        (found,) = open_entries(tmp_path / name)
        assert found.held == (len(data) if mode == "w:gz" else 0)
        assert bytes(found.read(0, None)) == data
        assert bytes(found.read(9, 99)) == data[9:99]
        assert bytes(found.read(len(data) - 3, len(data) + 9)) == data[-3:]
        assert outcome("a.nii", data)[0] == load_study(tmp_path / name).voxels_hu.tobytes()


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zipped([("x", data)])])
def test_what_must_be_held_beside_the_volume_is_limited(pack: Callable[[bytes], bytes]) -> None:
    """A volume of 4 MiB in a tar of 16 MiB, packed: both are in memory at once, and 20 MiB are allowed or not."""
    packed = pack(tarred([("a.nii", noisy("<f8"))]))
    assert load_study(("a", packed), limits=replace(LIMITS, voxels=11 << 20)).shape == (128, 128, 128)
    with pytest.raises(UserFacingError, match=r"held unpacked, .* allowed for a scan"):
        load_study(("a", packed), limits=replace(LIMITS, voxels=9 << 20))
    with pytest.raises(UserFacingError, match="held unpacked"):
        load_study([("a", packed)] * 2, limits=replace(LIMITS, voxels=11 << 20))


@pytest.mark.parametrize("kind", ["<i2", *(pytest.param(kind, marks=WHOLE) for kind in ("<i4", "<f4", "<f8"))])
def test_one_volume_in_memory_while_a_packed_file_is_read(kind: str) -> None:
    packed = gzip.compress(noisy(kind, 256), 1)
    tracemalloc.start()
    try:
        study = load_study(("a.nii.gz", packed))
        copies = tracemalloc.get_traced_memory()[1] / study.voxels_hu.nbytes
    finally:
        tracemalloc.stop()
    assert copies < 2


def test_a_deflated_file_is_stopped_where_no_scan_could_hold_it() -> None:
    deflate = zlib.compressobj(wbits=-15)
    stream = deflate.compress(bytes(30 << 20)) + deflate.flush()
    with pytest.raises(UserFacingError, match="held unpacked"):
        inflate_raw(stream, limits=replace(LIMITS, voxels=10 << 20))
    assert len(inflate_raw(stream, limits=replace(LIMITS, voxels=16 << 20))) == 30 << 20


def test_zeros_behind_a_slice_are_not_all_read(tmp_path: Path) -> None:
    for name, data in dicom_files(Grid()):
        (tmp_path / name).write_bytes(data)
    with open(tmp_path / name, "ab") as last:
        last.truncate(200 << 20)
    tracemalloc.start()
    try:
        load_study(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "packed"])
def test_progress_of_a_nifti_file_is_told_and_can_stop_it(pack: Callable[[bytes], bytes]) -> None:
    source = ("a.nii", pack(noisy("<i2")))
    told: list[float] = []
    load_study(source, progress=lambda share, words: told.append(share))
    assert told
    assert told == sorted(told)
    assert told[-1] == 1.0

    def stop(share: float, words: str) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        load_study(source, progress=stop)


def test_limits_of_the_caller_hold_for_deflated_headers_and_pictures_too() -> None:
    deflated = named(dicom_slices(Grid()), DEFLATED)
    with pytest.raises(UserFacingError, match="unpacks to more"):
        load_study(deflated, limits=replace(LIMITS, bytes_total=1000))
    (series,) = list_series(named(dicom_slices(Grid())), thumbnails=True, limits=replace(LIMITS, voxels=10))
    assert series.thumbnail is None
