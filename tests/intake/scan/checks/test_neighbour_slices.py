"""What is only a doubt about slices: it opens, with a note that says it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from corpus_doubts import blank, scan, volume
from hypothesis import given, settings
from hypothesis import strategies as st

from core.intake.scan.checks.neighbour_slices import _distances, refuse_outlier_slices
from core.load import load_study


def noisy(number: int) -> Callable[[np.ndarray], np.ndarray]:
    """A slice of noise."""

    def change(hu: np.ndarray) -> np.ndarray:
        hu = hu.copy()
        hu[:, :, number] = np.random.default_rng(0).integers(-1024, 3000, hu.shape[:2])
        return hu

    return change


@pytest.mark.parametrize("make", [scan, volume])
@pytest.mark.parametrize(("number", "name"), [(0, "first"), (-1, "last")])
def test_a_strange_end_is_told(make: Callable[..., object], number: int, name: str) -> None:
    said = " ".join(load_study(make(noisy(number))).notes)
    assert f"The {name} slice differs from the next one by" in said
    assert "differs from the next one" not in " ".join(load_study(make()).notes)


def test_blank_slices_at_an_end_are_counted() -> None:
    said = load_study(volume(blank(slice(20, 24)))).notes
    assert any("Blank, without any contents: 4 slices" in note for note in said)
    assert not any("Identical" in note for note in said)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_plane_of_a_table_is_a_doubt_across_the_body_only(axis: int) -> None:
    rng = np.random.default_rng(0)
    hu = np.rint(rng.normal(-1000, 5, (40, 40, 40))).astype(np.int16)
    hu[8:32, 8:32, :] = 40
    table = [slice(None)] * 3
    table[axis] = slice(35, 36)
    hu[tuple(table)] += 1200
    assert any("Unlike both neighbours" in note for note in refuse_outlier_slices(hu, axis))
    along = np.moveaxis(hu, axis, 2)
    with pytest.raises(Exception, match="Unlike both neighbours"):
        refuse_outlier_slices(np.asfortranarray(along), 2)


@given(st.integers(4, 40), st.integers(1, 5), st.integers(1, 7), st.integers(0, 9))
@settings(deadline=None)
def test_distances_of_slices_are_those_of_the_definition(slices: int, rows: int, columns: int, seed: int) -> None:
    stack = np.random.default_rng(seed).integers(-32768, 32768, (slices, rows, columns)).astype(np.int16)
    step, apart, off = _distances(stack)
    exact = [plane.astype(float) for plane in stack]
    assert step == pytest.approx([np.abs(a - b).mean() for a, b in pairwise(exact)])
    three = list(zip(exact, exact[1:], exact[2:]))
    assert apart == pytest.approx([np.abs(a - c).mean() for a, _, c in three])
    assert off == pytest.approx([np.abs(b - (a + c) / 2).mean() for a, b, c in three])


def averaged(*numbers: int) -> Callable[[np.ndarray], np.ndarray]:
    """Slices that are the mean of those beside them."""

    def change(hu: np.ndarray) -> np.ndarray:
        hu = hu.copy()
        for number in numbers:
            hu[:, :, number] = np.rint((hu[:, :, number - 1] + hu[:, :, number + 1]) / 2)
        return hu

    return change


@pytest.mark.parametrize("make", [scan, volume])
@pytest.mark.parametrize("numbers", [(11,), (5, 16), tuple(range(1, 23, 2))])
def test_slices_that_were_calculated_from_those_beside_them_are_told(make, numbers: tuple[int, ...]) -> None:
    words = "The mean of those beside it, and so calculated and not measured"
    said = " ".join(load_study(make(averaged(*numbers))).notes)
    assert f"{words}: {len(numbers)} slice" in said
    assert words not in " ".join(load_study(make()).notes)


def test_a_body_that_changes_evenly_was_measured() -> None:
    hu = np.full((40, 40, 24), -1000, np.int16)
    hu[8:32, 8:32] = 40 + 10 * np.arange(24)
    assert not any("calculated" in note for note in refuse_outlier_slices(np.asfortranarray(hu), 2))
