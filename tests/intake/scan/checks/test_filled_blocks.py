"""A rectangle of one value within the body is refused; saturated air, round implants and made objects are not."""

from __future__ import annotations

import numpy as np
import pytest
from damaged_ct import boxed, fine_body, told
from real_ct import REAL_SCANS, SHARED_CT

from core.load import load_study

BODY = fine_body()
WORDS = "Filled with one value within the body, in rectangles of up to"
ROUND = np.hypot(*np.mgrid[-72:72, -60:60])[..., None]


@pytest.mark.parametrize("value", [-1024, -850, 0, 40, 3071])
@pytest.mark.parametrize("slices", [slice(17, 18), slice(10, 20), slice(None)], ids=["one", "ten", "all"])
def test_a_box_in_the_body_is_refused(value: int, slices: slice) -> None:
    """Where it is unlike the rest of its slice by far, other words may say so."""
    said = told(boxed(BODY, value, slices))
    assert said.startswith("refused")
    if value in (0, 40):
        count = len(range(40)[slices])
        assert f"{WORDS} 40 x 40 pixels: {count} slice" in said


def test_a_box_in_a_volume_that_no_scanner_wrote_is_told() -> None:
    """Somebody may have put it there on purpose, as tests of saliency do."""
    said = told(boxed(BODY, 40, slice(10, 20)), measured=False)
    assert f"{WORDS} 40 x 40 pixels: 10 slices" in said
    assert "refused" not in said


HARMLESS = {
    "a scan": BODY,
    "air cut off": np.maximum(BODY, -990),
    "values cut off at both ends": np.clip(BODY, -900, 300),
    "a round implant": np.where(ROUND < 20, 3071, BODY).astype(np.int16),
    "padding around a circle": np.where(ROUND > 62, -1024, BODY).astype(np.int16),
    "a small box": boxed(BODY, 40, slice(None), 16),
    "a made object": np.where(ROUND < 50, 40, -1000).astype(np.int16) + np.zeros((1, 1, 24), np.int16),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_no_box_in_the_body_is_not(name: str) -> None:
    assert WORDS not in told(HARMLESS[name])


@pytest.mark.skipif(not SHARED_CT.is_dir(), reason="the real test files (../shared/data) are not on this machine")
@pytest.mark.parametrize("name", REAL_SCANS)
def test_real_scans_hold_no_box_but_one_that_was_drawn(name: str) -> None:
    """As they are, cut off at -1000 and 1000 HU, and smoothed to whole tens of HU."""
    voxels = load_study(SHARED_CT / name).voxels_hu
    for intact in (voxels, np.clip(voxels, -1000, 1000), voxels // 10 * 10):
        assert WORDS not in told(intact)
    assert "refused" in told(boxed(voxels, 0, slice(12, 13), 64))
    assert "refused" in told(boxed(voxels, 0, slice(None), 64))
