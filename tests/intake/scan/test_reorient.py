"""Planes written back to front, with OpenCV and without it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.intake.scan import reorient
from core.intake.scan.reorient import write_turned

TURNS = [(slice(None, None, a), slice(None, None, b)) for a in (1, -1) for b in (1, -1)]


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("with_opencv", [True, False])
@pytest.mark.parametrize("kind", [np.int16, np.int64, np.float32])
def test_every_value_stands_where_the_axes_say(
    turn: tuple[slice, slice], with_opencv: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reorient.FLIP is not None
    if not with_opencv:
        monkeypatch.setattr(reorient, "FLIP", None)
    values = np.random.default_rng(0).integers(-30000, 30000, (37, 53)).astype(kind)
    volume = np.zeros((3, 37, 53), np.int16)
    write_turned(values, volume[1][turn])
    np.testing.assert_array_equal(volume[1][turn], values.astype(np.int16))
    assert not volume[[0, 2]].any()


@settings(max_examples=60, deadline=None)
@given(st.permutations([0, 1, 2]), st.lists(st.sampled_from([1, -1]), min_size=3, max_size=3), st.integers(0, 99))
def test_parts_of_volumes_in_any_order_of_axes(order: list[int], steps: list[int], seed: int) -> None:
    volume = np.zeros((5, 6, 7), np.int16, order="F")
    seen = volume.transpose(order)[tuple(slice(None, None, step) for step in steps)]
    planes = np.random.default_rng(seed).integers(-999, 999, seen.shape).astype(np.int16)
    for number, plane in enumerate(planes[:-1]):
        write_turned(plane, seen[number])
    write_turned(planes[-1:], seen[-1:])
    np.testing.assert_array_equal(seen, planes)
