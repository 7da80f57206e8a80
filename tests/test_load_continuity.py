"""What is only a doubt about slices: it opens, with a note that says it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from corpus_doubts import blank, scan, volume

from core.load import load_study
from core.load.continuity import refuse_outlier_slices


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
