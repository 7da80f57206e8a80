"""Small, dark, faint and vertical text: its places are found without reading, read enlarged, followed to the ends."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from privacy_support import BURNED, ct_plane, draw

from core.intake.identifiers.pictures.burned_in import find_all_text
from core.intake.identifiers.pictures.line_detection import Place, likely_places, line_likeness, read_places
from core.intake.identifiers.pictures.line_extent import locate
from core.intake.identifiers.pictures.ocr import Reading

SIZE, COUNT, AT = 192, 12, 5
UPRIGHT, UPWARDS, DOWNWARDS = 0, 1, 3


def line(turns: int, size: int) -> npt.NDArray[np.float64]:
    """Coverage of the text in [0, 1], turned by quarters against the clock."""
    drawn = np.zeros((SIZE, SIZE))
    draw(drawn, BURNED, 2, 2, size, 1000)
    rows, columns = (np.flatnonzero(drawn.any(axis=axis)) for axis in (1, 0))
    return np.rot90(drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / 1000, turns)


def stack(
    on: range, turns: int = UPRIGHT, size: int = 10, hu: float = -1000, at: tuple[int, int] = (44, 48)
) -> tuple[npt.NDArray[np.int16], tuple[slice, slice]]:
    """Noisy slices of a chest with text on some of them, int16 (12, 192, 192), and where it stands."""
    planes = np.stack([ct_plane(seed, SIZE) for seed in range(COUNT)])
    cover = line(turns, size)
    rows, columns = (slice(start, start + extent) for start, extent in zip(at, cover.shape, strict=True))
    for index in on:
        planes[index, rows, columns] += cover * (hu - planes[index, rows, columns])
    return np.rint(planes).astype(np.int16), (rows, columns)


def share_inside(where: tuple[slice, slice], box: object) -> float:
    """Share of the text's rectangle that lies in a box."""
    hidden = np.zeros((SIZE, SIZE), bool)
    hidden[box.top : box.bottom, box.left : box.right] = True  # type: ignore[attr-defined]
    return float(hidden[where].mean())


CASES = [
    (UPRIGHT, -1000, (44, 48)),
    (UPRIGHT, 300, (136, 48)),
    (UPWARDS, -1000, (48, 91)),
    (DOWNWARDS, 300, (48, 91)),
]
"""On soft tissue: above and below the lungs, and between them."""


@pytest.mark.parametrize(("turns", "hu", "at"), CASES)
@pytest.mark.parametrize("size", [10, 12])
def test_the_likeliest_place_of_a_stack_is_the_text_on_one_slice(
    turns: int, hu: float, at: tuple[int, int], size: int
) -> None:
    planes, where = stack(range(AT, AT + 1), turns, size, hu, at)
    best = likely_places(planes, 3, 25)[0]
    assert (best.plane, best.vertical) == (AT, turns != UPRIGHT)
    assert share_inside(where, best) > 0.9


def test_without_text_and_with_text_on_every_slice_nothing_stands_out() -> None:
    """What stands on every slice is looked for in the mean instead, without neighbours."""
    assert likely_places(stack(range(0))[0], 5, 25) == []
    everywhere, where = stack(range(COUNT))
    assert likely_places(everywhere, 5, 25) == []
    mean = everywhere.mean(axis=0, dtype=np.float32)
    assert share_inside(where, likely_places([mean], 5, 1)[0]) > 0.9


def test_likeness_asks_for_strokes_with_quiet_edges_and_turns_with_the_picture() -> None:
    noise = np.random.default_rng(0).normal(0, 10, (64, 128)).astype(np.float32)
    text, stripes, edge = noise.copy(), noise.copy(), noise.copy()
    text[28:36, 20:100:4] += 200
    stripes[:, ::4] += 200
    edge[30:32] += 200
    best = [float(line_likeness(picture, vertical=False)[24:40, 40:80].max()) for picture in (text, stripes, edge)]
    assert best[0] > 0.3 > 0.1 > max(best[1:])
    turned = np.rot90(text)
    upright, upwards = line_likeness(text, vertical=False), line_likeness(turned, vertical=True)
    assert upwards.max() == pytest.approx(upright.max(), rel=0.1)
    assert not line_likeness(np.zeros((64, 64), np.float32), vertical=False).any()


@pytest.mark.parametrize(("turns", "hu", "at"), CASES)
def test_small_dark_faint_and_vertical_text_on_one_slice_is_found_there(
    turns: int, hu: float, at: tuple[int, int]
) -> None:
    planes, where = stack(range(AT, AT + 1), turns, 10, hu, at)
    boxes = find_all_text(planes)
    hidden = np.zeros((SIZE, SIZE), bool)
    for box in boxes:
        assert (box.first, box.last) == (AT, AT)
        hidden[box.top : box.bottom, box.left : box.right] = True
    assert hidden[where].mean() > 0.8
    assert hidden.mean() < 0.1


def test_readings_come_back_in_the_pixels_of_their_plane() -> None:
    """Two places on one sheet, one of them vertical."""
    upright, first = stack(range(1), UPRIGHT, 16, 2000, (150, 30))
    turned, second = stack(range(1, 2), UPWARDS, 16, 2000, (20, 88))
    planes = np.stack([upright[0], turned[1]])
    places = [Place(0, 128, 0, 192, 192, False, 1.0), Place(1, 0, 64, 192, 128, True, 1.0)]
    found = {place.plane: reading for place, reading in read_places(planes, places, 0.6) if len(reading.text) > 6}
    assert share_inside(first, found[0]) > 0.8
    assert share_inside(second, found[1]) > 0.8
    assert read_places(planes, [], 0.6) == []


def fragment(where: tuple[slice, slice], turns: int) -> Reading:
    """A reading of the middle third of a line only."""
    (top, bottom), (left, right) = ((part.start, part.stop) for part in where)
    if turns == UPRIGHT:
        third = (right - left) // 3
        return Reading(top, left + third, bottom, right - third, 0.9, "ADA")
    third = (bottom - top) // 3
    return Reading(top + third, left, bottom - third, right, 0.9, "ADA")


@pytest.mark.parametrize(("turns", "at"), [(UPRIGHT, (44, 48)), (UPWARDS, (48, 91))])
@pytest.mark.parametrize("on", [range(AT, AT + 1), range(3, 8)])
def test_a_line_read_in_part_is_followed_to_its_ends_and_no_farther(turns: int, at: tuple[int, int], on: range) -> None:
    planes, where = stack(on, turns, 12, -1000, at)
    (box,) = locate(planes, planes[AT].astype(np.float32), (AT, AT), fragment(where, turns), doubtful=False)
    assert (box.first, box.last) == (on.start, on.stop - 1)
    assert share_inside(where, box) > 0.9
    long = max(where[0].stop - where[0].start, where[1].stop - where[1].start)
    assert max(box.bottom - box.top, box.right - box.left) < 1.4 * long


def test_a_hesitant_reading_must_come_and_go_at_once() -> None:
    planes, where = stack(range(AT, AT + 1), UPRIGHT, 12)
    fading = planes.astype(np.float32)
    clean = stack(range(0))[0].astype(np.float32)
    for index in range(COUNT):
        fading[index] = clean[index] + (planes[AT] - clean[AT]) * max(0.0, 1 - abs(index - AT) / 6)
    hesitant = Reading(where[0].start, where[1].start, where[0].stop, where[1].stop, 0.65, "ADA")
    for volume, doubtful, count in ((planes, True, 1), (fading, True, 0), (fading, False, 1)):
        source = np.asarray(volume[AT], np.float32)
        assert len(locate(volume, source, (AT, AT), hesitant, doubtful=doubtful)) == count
