"""The samples by which slices are compared: gathered while these are decoded, they are those of the whole volume."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations, product

import numpy as np
import pytest
from ct_factory import Grid, dicom_slices, named

from core.intake.files.limits import LIMITS
from core.intake.scan.checks.neighbour_slices import thinned
from core.intake.scan.dicom.header import ImageHeader
from core.intake.scan.dicom.pixels import read_stack
from core.intake.scan.dicom.series import stack_series
from core.intake.scan.geometry import Canonical
from core.intake.scan.sorting import sort_entries

COLUMNS, ROWS, SLICES = 258, 199, 19
"""So many that one sample is taken of three, no side is a multiple of that, and several threads share the slices."""
FLIPS = list(product((False, True), repeat=3))


@lru_cache(1)
def images() -> tuple[ImageHeader, ...]:
    """A stack in which no sample resembles another."""
    files, rng = dicom_slices(Grid(shape=(COLUMNS, ROWS, SLICES), spacing_mm=(1.0, 1.0, 2.0))), np.random.default_rng(0)
    for dataset in files:
        dataset.PixelData = rng.integers(0, 3000, (ROWS, COLUMNS)).astype("<i2").tobytes()
    (series,) = sort_entries(named(files), LIMITS).series.values()
    return tuple(stack_series(series).images)


@pytest.mark.parametrize("order", permutations((0, 1, 2)), ids=str)
def test_samples_are_those_of_the_whole_volume_in_every_orientation(order: tuple[int, int, int]) -> None:
    for flipped in FLIPS:
        decoded = read_stack(images(), Canonical(order, flipped))  # type: ignore[arg-type]
        slice_axis = order.index(2)
        np.testing.assert_array_equal(decoded.stack, thinned(decoded.voxels, slice_axis))
        assert decoded.stack.shape == (SLICES, *decoded.stack.shape[1:])
        assert decoded.stack.base is None, "a copy, which later repairs of the volume leave as it is"
        lowest = decoded.voxels.take(0, axis=slice_axis).T[::3, ::3]
        np.testing.assert_array_equal(decoded.stack[0], lowest)
