"""Rows and columns moved, exchanged, repeated or lost in every picture or in one, and scans in which none is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from damaged_ct import Volume, fine_body, told
from real_ct import REAL_SCANS, SHARED_CT
from scipy.ndimage import gaussian_filter, zoom

from core.intake.scan.checks.rows_columns import doubts_of_lines
from core.load import load_study

BODY = fine_body(4)

needs_data = pytest.mark.skipif(
    not SHARED_CT.is_dir(), reason="the real test files (../shared/data) are not on this machine"
)


def lines_said(voxels: Volume, *, measured: bool) -> list[str]:
    """What is said of rows and columns of a volume (columns, rows, slices)."""
    whole = np.asfortranarray(voxels).T
    return [
        note
        for lines, name in ((whole, "rows"), (whole.transpose(0, 2, 1), "columns"))
        for note in doubts_of_lines(lines, name, measured=measured)
    ]


def tiles_turned(voxels: Volume, size: int = 8) -> Volume:
    """Every tile of some lines written back to front."""
    whole = len(voxels) // size * size
    out = voxels.copy()
    out[:whole] = voxels[:whole].reshape(-1, size, *voxels.shape[1:])[:, ::-1].reshape(voxels[:whole].shape)
    return out


def half_moved(voxels: Volume, pixels: int = 6) -> Volume:
    half = len(voxels) // 2
    return np.concatenate([voxels[:half], np.roll(voxels[half:], pixels, axis=1)])


def some_repeated(voxels: Volume, count: int = 16) -> Volume:
    half = len(voxels) // 2
    return np.concatenate([voxels[:half], voxels[half - count : -count]])


def every_second(change: Callable[[Volume], Volume]) -> Callable[[Volume], Volume]:
    def made(voxels: Volume) -> Volume:
        out = voxels.copy()
        out[1::2] = change(out[1::2])
        return out

    return made


def in_pairs_exchanged(voxels: Volume) -> Volume:
    return tiles_turned(voxels, 2)


def doubled(voxels: Volume) -> Volume:
    return np.repeat(voxels[::2], 2, axis=0)[: len(voxels)]


def one_lost(voxels: Volume) -> Volume:
    out = voxels.copy()
    out[len(out) // 2] = -1000
    return out


def mirrored_half(voxels: Volume) -> Volume:
    half = len(voxels) // 2
    return np.concatenate([voxels[:half], voxels[:half][::-1], voxels[2 * half :]])


def turned_half(voxels: Volume) -> Volume:
    half = len(voxels) // 2
    return np.concatenate([voxels[:half], voxels[half:][::-1]])


def in_parts(voxels: Volume, parts: int = 2) -> Volume:
    return np.concatenate([voxels[first::parts] for first in range(parts)])


DAMAGE = {
    "a half moved": (half_moved, "does not go on between"),
    "sixteen repeated": (some_repeated, "does not go on between"),
    "tiles turned": (tiles_turned, "does not go on between"),
    "every second moved": (every_second(lambda lines: np.roll(lines, 5, axis=1)), "Every second one"),
    "every second brighter": (every_second(lambda lines: lines + np.int16(25)), "Every second one"),
    "exchanged in pairs": (in_pairs_exchanged, "come in pairs"),
    "doubled": (doubled, "come in pairs"),
    "one lost": (one_lost, "unlike those beside it in every slice"),
    "a half mirrored": (mirrored_half, "mirrored"),
    "a half in reverse": (turned_half, "written in reverse"),
    "odd and even apart": (in_parts, "show the body 2 times"),
    "every third apart": (lambda voxels: in_parts(voxels, 3), "show the body 3 times"),
}
SYMMETRIC = "sixteen repeated"
"""What is left and right of the middle of the made body is the same."""
ONLY_TOLD = {"exchanged in pairs", "doubled", "one lost"}


def along(voxels: Volume, axis: int, change: Callable[[Volume], Volume]) -> Volume:
    return np.swapaxes(change(np.swapaxes(voxels, 0, axis)), 0, axis)


@pytest.mark.parametrize(
    ("name", "axis"), [(name, axis) for name in DAMAGE for axis in (0, 1) if name != SYMMETRIC or axis]
)
def test_lines_out_of_their_order_are_refused_or_told(name: str, axis: int) -> None:
    """Of a scanner's series refused where nothing else looks so; of a file that any program may have made, told."""
    change, words = DAMAGE[name]
    spoilt = np.asfortranarray(along(BODY, axis, change))
    (note,) = [note for note in lines_said(spoilt, measured=False) if words in note]
    assert ("column", "row")[axis] in note.lower()
    if name not in ONLY_TOLD:
        assert told(spoilt).startswith("refused: ")
    elif name != "exchanged in pairs":
        assert note in told(spoilt)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ["every second moved", "exchanged in pairs", "doubled"])
def test_one_slice_is_enough(name: str, axis: int) -> None:
    spoilt = BODY.copy()
    spoilt[:, :, 17] = along(BODY, axis, DAMAGE[name][0])[:, :, 17]
    said = " ".join(lines_said(spoilt, measured=False))
    assert DAMAGE[name][1] in said
    assert "1 slice (number 18, counted from the lowest)." in said


@pytest.mark.parametrize("noise_hu", [0, 4, 12, 40])
def test_nothing_is_said_of_pictures_in_order(noise_hu: float) -> None:
    body = fine_body(noise_hu)
    assert lines_said(body, measured=True) == []
    for voxels in (body[:, :, ::2], zoom(body, (1.5, 1.5, 1), order=1), gaussian_filter(body, (1, 1, 0))):
        assert lines_said(voxels, measured=True) == []


@pytest.mark.parametrize("slope", [0.5, 1.5, 2.5, 7.5])
@pytest.mark.parametrize("axis", [0, 1])
def test_rounding_of_a_ramp_is_no_turn(slope: float, axis: int) -> None:
    """Whole steps of 2 and 3 HU come in turns where one is 2.5."""
    ramp = np.rint(slope * np.indices((96, 96, 8))[axis] - 500).astype(np.int16)
    assert lines_said(ramp, measured=True) == []


def test_noise_without_a_picture_has_no_order() -> None:
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(0, 30, (64, 64, 30)).astype(np.int16)
        assert lines_said(noise, measured=True) == []


@pytest.mark.parametrize("period", [4, 9, 16])
def test_a_pattern_of_rods_is_no_body_shown_twice(period: int) -> None:
    i, _, _ = np.indices((144, 120, 8))
    rods = np.where(i // period % 2, 60, -80) + np.random.default_rng(0).normal(0, 10, i.shape)
    assert not any("times" in note for note in lines_said(rods.astype(np.int16), measured=True))


def test_a_couch_and_a_flat_body_go_on() -> None:
    """Both change values one way, all along a row and in every slice."""
    flat = np.random.default_rng(0).normal(-1000, 12, (120, 120, 12))
    flat[20:100, 30:80] += 1040
    flat[10:110, 22:24] = -200
    assert lines_said(np.clip(flat, -1024, 3000).astype(np.int16), measured=True) == []


@needs_data
@pytest.mark.parametrize("name", REAL_SCANS)
def test_real_scans_are_out_of_order_only_where_they_were_made_so(name: str) -> None:
    voxels = load_study(SHARED_CT / name).voxels_hu
    columns, rows, _ = voxels.shape
    middle = voxels[columns // 4 : -columns // 4, rows // 4 : -rows // 4]
    noisy = voxels + np.random.default_rng(0).normal(0, 60, voxels.shape)
    for intact in (voxels, voxels[:, :, ::2], middle, np.rint(noisy).astype(np.int16)):
        assert lines_said(intact, measured=True) == []
    for damage, (change, words) in DAMAGE.items():
        said = [lines_said(along(voxels, axis, change), measured=False) for axis in (0, 1)]
        found = [any(words in note for note in notes) for notes in said]
        assert any(found) if damage == SYMMETRIC else all(found), damage
