"""Text in pixels: planted text is found where it stands, real-looking scans without text stay silent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ct_factory import to_bytes
from privacy_support import BURNED, ct_plane, ct_slice, draw
from sampling import WHOLE

from core.intake.identifiers.pictures.burned_in import TextBox, blank_text, find_burned_in_text
from core.privacy import find_identifiers
from core.records import CtStudy

ROOT = Path(__file__).resolve().parents[4]


def study(text_slices: range, *, hu: float = 2500, size: int = 14, slices: int = 8) -> CtStudy:
    """A noisy phantom on RAS+ axes with text in the given slices, upright as a display shows it."""
    planes = []
    for k in range(slices):
        plane = ct_plane(k, 192)
        if k in text_slices:
            draw(plane, BURNED, 8, 20, size, hu)
        planes.append(plane[::-1, ::-1].T)
    return CtStudy(np.stack(planes, -1).astype(np.int16), np.diag([0.7, 0.7, 1.0, 1.0]))


def letters(planted: CtStudy) -> np.ndarray:
    """Voxels that hold text: brighter than anything in the phantom."""
    return np.asarray(planted.voxels_hu > 1200)


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(range(8), id="all", marks=WHOLE),
        pytest.param(range(3, 6), id="three"),
        pytest.param(range(5, 6), id="one", marks=WHOLE),
    ],
)
def test_text_is_found_on_its_slices_and_blanked(where: range) -> None:
    planted = study(where)
    boxes = find_burned_in_text(planted)
    assert boxes
    cleaned = blank_text(planted, boxes)
    assert not letters(cleaned).any()
    assert {k for box in boxes for k in range(box.start[2], box.stop[2])} == set(where)
    inside = np.zeros(planted.shape, bool)
    for box in boxes:
        inside[tuple(slice(a, b) for a, b in zip(box.start, box.stop))] = True
    assert (cleaned.voxels_hu[inside] == -1024).all()
    assert (cleaned.voxels_hu[~inside] == planted.voxels_hu[~inside]).all()
    assert inside.mean() < 0.1
    assert cleaned.digest != planted.digest
    places = f"{len(boxes)} place{'s' if len(boxes) > 1 else ''} set to \u22121024 HU"
    assert cleaned.notes == (f"Text burned into the image was blanked: {places}.",)
    assert not planted.notes
    assert find_burned_in_text(cleaned) == ()


@pytest.mark.parametrize("hu", [300, pytest.param(2500, marks=WHOLE)])
def test_text_that_moves_from_slice_to_slice_is_found_on_the_middle_one(hu: float) -> None:
    planes = []
    for k in range(8):
        plane = ct_plane(k, 256)
        draw(plane, BURNED, 70 + 2 * k, 120, 14, hu)
        planes.append(plane[::-1, ::-1].T)
    moving = CtStudy(np.stack(planes, -1).astype(np.int16), np.diag([0.7, 0.7, 1.0, 1.0]))
    assert any(box.start[2] <= 3 < box.stop[2] for box in find_burned_in_text(moving))


def test_a_scan_without_text_stays_silent_and_unchanged() -> None:
    clean = study(range(0))
    assert find_burned_in_text(clean) == ()
    assert find_burned_in_text(clean.voxels_hu) == ()
    assert blank_text(clean, ()) is clean


def test_boxes_never_repeat_what_they_read() -> None:
    for box in find_burned_in_text(study(range(8))):
        assert isinstance(box, TextBox)
        assert 0.5 < box.confidence <= 1
        assert not any(word in repr(box) for word in ("QUARTZ", "ADA", "4711"))
        assert "character" in box.masked


def test_find_identifiers_reads_pixels_of_dicom_files() -> None:
    """A picture with text is reported with its place; the same picture without text is not."""
    found = find_identifiers(("a.dcm", to_bytes(ct_slice(0, text=BURNED))))
    assert next(item.where for item in found if item.category == "burned-in text").startswith("pixels, top")
    clean = find_identifiers(("a.dcm", to_bytes(ct_slice(0))))
    assert not [item for item in clean if item.category == "burned-in text"]


def test_the_reader_keeps_no_file_of_its_own(tmp_path: Path) -> None:
    """ONNX Runtime 1.30 and later keep a device id and a table of events in the user's folder, and send them."""
    code = (
        "import numpy; from core.intake.identifiers.pictures.ocr import read_text; "
        "read_text(numpy.zeros((64, 64), numpy.uint8))"
    )
    home = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "TMPDIR")}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env={**os.environ, **home})
    assert not list(tmp_path.rglob("*"))
