"""What makes loading fast changes nothing that is read: shared headers, planes in place, hashing side by side."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from corpus import Case
from corpus_all import CORPUS
from ct_factory import Grid, assert_right, dicom_files, put_pixels, rotated, setter, slice_dataset, to_bytes
from sampling import WHOLE

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry
from core.intake.files.sources import open_entries
from core.intake.scan.dicom.codestream import read_codestream
from core.intake.scan.dicom.elements import Malformed, looks_like_dicom
from core.intake.scan.dicom.header import HEAD_BYTES, HeaderReader, ImageHeader
from core.intake.scan.hounsfield import rescale_into
from core.load import load_study
from core.records import CtStudy, digest_volume


def header_words(reader: HeaderReader, entry: Entry) -> dict[str, str]:
    """Every field of a file's header in words (NaN equals NaN there), or the refusal."""
    try:
        image: ImageHeader = reader.read(entry, entry.read(0, HEAD_BYTES))
    except (Malformed, UserFacingError) as error:
        return {"refused": repr(error)}
    return {field.name: repr(getattr(image, field.name)) for field in fields(image) if field.name != "entry"}


def dicom_entries(case: Case) -> list[Entry]:
    try:
        return [entry for entry in open_entries(case.make()) if looks_like_dicom(entry.read(0, 1024))]
    except UserFacingError:
        return []


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=WHOLE)])
def test_a_reader_that_shares_headers_agrees_with_one_that_reads_each_file_alone(every: int) -> None:
    compared = 0
    for case in CORPUS[::every]:
        shared = HeaderReader()
        for entry in dicom_entries(case)[:6]:
            assert header_words(shared, entry) == header_words(HeaderReader(), entry), case.name
            compared += 1
    assert compared > 1000 / every


def test_what_differs_in_one_slice_only_is_seen() -> None:
    """The negative control: each attribute that decides what is read comes from the slice's own file."""
    changes = {"RescaleIntercept": -1000, "PixelSpacing": [2.0, 2.0], "SeriesInstanceUID": "1.2.3", "Rows": 19,
               "PatientID": "other", "ImagePositionPatient": [1, 2, 3], "SOPInstanceUID": "1.2.3.4"}  # fmt: skip
    reader = HeaderReader()

    def words(**change: object) -> dict[str, str]:
        dataset = slice_dataset(Grid((8, 8, 2)), 0)
        put_pixels(dataset, np.zeros((8, 8)))
        setter(**change)(0, dataset)
        (entry,) = open_entries([("a.dcm", to_bytes(dataset))])
        return header_words(reader, entry)

    usual = words()
    assert words() == usual
    for keyword, value in changes.items():
        assert words(**{keyword: value}) != usual, keyword


@pytest.mark.parametrize("degrees", [(0, 0, 0), (90, 0, 0), (0, 90, 0), (0, 0, 90), (180, 0, 0), (90, 0, 90)])
def test_every_orientation_is_written_into_place(degrees: tuple[float, float, float]) -> None:
    study = load_study(dicom_files(Grid(rotation=rotated(degrees))))
    assert_right(study)
    assert study.voxels_hu.flags.f_contiguous
    assert not study.voxels_hu.flags.writeable


@pytest.mark.parametrize("kind", ["<u2", "<i2", ">u2", ">i2", "u1"])
@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (1, 0), (2, -1000), (0.5, -1000.25), (-1.5, 90)])
def test_rescale_matches_exact_arithmetic(kind: str, turn: int, slope: float, intercept: float) -> None:
    """Into planes that run forwards, backwards and across memory."""
    stored = np.random.default_rng(1).integers(0, 256 if kind == "u1" else 4096, (9, 7)).astype(kind)
    wanted = np.rint(stored.astype(np.float64) * slope + intercept)
    memory = np.full((2, 9, 7), 99, np.int16)
    for out in (memory[0][::turn, ::turn], memory.transpose(1, 2, 0)[::turn, ::turn, 1]):
        ends = rescale_into(stored, slope, intercept, out)
        assert ends == (out.min(), out.max())
        np.testing.assert_array_equal(out, wanted)


def test_the_digest_tells_volumes_apart_and_not_their_memory() -> None:
    voxels = np.random.default_rng(2).integers(-1000, 1000, (5, 6, 7)).astype(np.int16)
    study = CtStudy(voxels, np.eye(4))
    assert CtStudy(np.asfortranarray(voxels), np.eye(4)).digest == study.digest
    assert study.digest == digest_volume(voxels, np.eye(4))
    np.testing.assert_array_equal(study.voxels_hu, voxels)
    changed, moved = voxels.copy(), np.eye(4)
    changed[4, 5, 6] += 1
    moved[0, 3] = 1
    others = [
        CtStudy(changed, np.eye(4)), CtStudy(voxels, moved), CtStudy(voxels.transpose(1, 0, 2), np.eye(4)),
        CtStudy(voxels.reshape(6, 5, 7), np.eye(4)), CtStudy(voxels[:, :, ::-1], np.eye(4)),
    ]  # fmt: skip
    assert len({study.digest, *(other.digest for other in others)}) == 6


def test_loading_computes_the_digest_of_what_it_returns() -> None:
    """Whether hashed beside the checks or after padding was replaced."""
    padded = [case for case in CORPUS if "padding" in case.name and case.expect == "right"]
    notes = set()
    for files in (dicom_files(), *(case.make() for case in padded)):
        study = load_study(files)
        assert study.digest == digest_volume(study.voxels_hu, study.affine_mm)
        notes |= {note.split()[0] for note in study.notes}
    assert "Padding" in notes


def test_a_stream_is_complete_only_with_its_end_marker() -> None:
    frame = b"\xff\xd8\xff\xf7\x00\x0b\x0c\x00\x08\x00\x08\x01\x01\x11\x00" + bytes(20)
    for data, complete in ((frame, False), (frame + b"\xff\xd9", True), (frame + b"\xff\xd9" + bytes(9), True)):
        stream = read_codestream(data)
        assert stream is not None
        assert stream.complete is complete


def highest_copies(task: Callable[[], object], size: int) -> float:
    """The least of two runs: what another thread of the process or a first import takes is not the task's."""
    return min(_peak_bytes(task), _peak_bytes(task)) / size


def _peak_bytes(task: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        kept = task()
        assert kept is not None
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


EDGE = 256


def write_ramp(folder: Path, place: Callable[[int, np.ndarray], np.ndarray]) -> int:
    """A cube of EDGE voxels a side with each slice moved to place(index, position); bytes of its volume."""
    grid = Grid((EDGE, EDGE, EDGE), (1.0, 1.0, 1.0))
    ramp = np.linspace(-1000, 1000, EDGE * EDGE).reshape(EDGE, EDGE)
    for index in range(EDGE):
        dataset = slice_dataset(grid, index)
        dataset.ImagePositionPatient = list(place(index, np.array(dataset.ImagePositionPatient, float)))
        put_pixels(dataset, ramp + index)
        (folder / f"{index}.dcm").write_bytes(to_bytes(dataset))
    return 2 * EDGE**3


def test_one_volume_in_memory_while_a_folder_is_read(tmp_path: Path) -> None:
    """Beside it only a slice a thread and the samples that checks look at; a second copy would be seen."""
    size = write_ramp(tmp_path, lambda _, place: place)
    assert highest_copies(lambda: load_study(tmp_path), size) < 1.5
    assert highest_copies(lambda: load_study(tmp_path).voxels_hu.copy(), size) > 1.9


def test_two_volumes_in_memory_while_a_series_is_repaired(tmp_path: Path) -> None:
    """Uneven and slanted at once: two steps of resampling and one of axes, each beside the one before only."""
    size = write_ramp(tmp_path, lambda index, place: place + [0, 0.1 * index, 0.3 * (index % 3 == 1)])
    repaired = highest_copies(lambda: load_study(tmp_path, repairs=["resample_evenly", "straighten_tilt"]), size)
    assert 1.5 < repaired < 2.5
