"""Slices and parts of a scan out of order are refused, and nothing is said of symmetric objects or lost slices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from corpus_doubts import BODY, body, reordered
from ct_factory import positions
from damaged_ct import Volume, told
from real_ct import REAL_SCANS, SHARED_CT
from scipy.ndimage import shift

from core.load import load_study

BODY_HU = body(positions(BODY.affine_ras, BODY.shape)).astype(np.int16)
needs_data = pytest.mark.skipif(
    not SHARED_CT.is_dir(), reason="the real test files (../shared/data) are not on this machine"
)


ORDERS = {
    "two beside each other exchanged": [12, 11],
    "one moved up": [12, 13, 11],
    "one moved down": [14, 11, 12, 13],
    "a part turned round": [15, 14, 13, 12, 11],
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_slices_out_of_order_are_refused(order: list[int]) -> None:
    assert told(BODY_HU) == ""
    assert "out of order" in told(reordered(*order)(BODY_HU))


@pytest.mark.parametrize("upside_down", [False, True])
def test_the_two_slices_of_an_end_exchanged_are_told(upside_down: bool) -> None:
    body_hu = BODY_HU[:, :, 4:][:, :, :: -1 if upside_down else 1].copy()
    assert told(body_hu) == ""
    body_hu[:, :, [0, 1]] = body_hu[:, :, [1, 0]]
    assert "a wrong place" in told(body_hu)


def test_a_slice_that_fits_nowhere_is_told_only() -> None:
    """As where the patient moved while one slice was taken."""
    moved = BODY_HU.copy()
    moved[:, :, 12] = np.roll(moved[:, :, 12], 1, 0)
    assert told(moved).startswith("Slices 12 and 13, counted from the lowest, differ more than those around")


Z = np.arange(24)
SYMMETRIC = {
    "a ball": np.hypot(*np.mgrid[-30:30, -30:30])[..., None] < np.sqrt(np.maximum(0, 24**2 - (2.5 * (Z - 11)) ** 2)),
    "two balls": np.hypot(*np.mgrid[-30:30, -30:30])[..., None]
    < np.sqrt(np.maximum(0, 15**2 - (3 * (Z % 11 - 5)) ** 2)),
    "waves along the body": np.broadcast_to(np.sin(Z / 2.2), (60, 60, 24)),
    "waves in all directions": np.prod(np.sin(np.meshgrid(np.arange(60) / 9, np.arange(60) / 7, Z / 1.9)), axis=0),
    "waves and a ramp": np.sin(Z / 2.2) * 0.2 + np.linspace(0, 1, 60)[:, None, None] + np.zeros((60, 60, 24)),
}


@pytest.mark.parametrize("name", SYMMETRIC)
@pytest.mark.parametrize("noise_hu", [0, 15])
def test_test_objects_that_are_symmetric_along_the_body_are_no_disorder(name: str, noise_hu: int) -> None:
    noise = np.random.default_rng(4).normal(0, noise_hu, (60, 60, 24))
    assert "out of order" not in told((SYMMETRIC[name] * 900 - 500 + noise).astype(np.int16))


def test_a_diaphragm_that_comes_twice_is_no_disorder() -> None:
    """As where the patient breathed in between two positions of the table: a part of each slice comes again."""
    breathed = BODY_HU.copy()
    breathed[20:40, 20:40, 14:] = BODY_HU[20:40, 20:40, 12:-2]
    assert "out of order" not in told(breathed)


SECTIONS = {
    "an object in air": [0] * 6 + [1] * 12 + [0] * 6,
    "one end in air": [0] * 8 + [1] * 16,
    "a box in noise": [0.1] * 4 + [1] * 16 + [0.1] * 4,
    "three sections": [1] * 8 + [2] * 8 + [1] * 8,
    "sections in turns": ([1] * 6 + [2] * 6) * 2,
    "a wedge in air": [0] * 8 + [1 - k / 12 for k in range(12)] + [0] * 4,
}


@pytest.mark.parametrize("name", SECTIONS)
@pytest.mark.parametrize("noise_hu", [0, 15, 40])
def test_an_object_that_is_the_same_throughout_its_sections_is_no_disorder(name: str, noise_hu: int) -> None:
    """Turned round or exchanged, its sections would go on as well as they do."""
    disc = np.hypot(*np.mgrid[-30:30, -30:30])[..., None] < 22
    noise = np.random.default_rng(4).normal(0, noise_hu, (60, 60, 24))
    said = told((disc * np.array(SECTIONS[name]) * 450 - 1000 + noise).astype(np.int16))
    assert "out of order" not in said
    assert "show the same part" not in said


def placed(*parts: slice) -> Callable[[Volume], Volume]:
    """Slices in another order, part after part."""
    return lambda voxels: np.concatenate([voxels[:, :, part] for part in parts], axis=2)


def parts_out_of_order(count: int) -> dict[str, Callable[[Volume], Volume]]:
    """What is done to so many slices."""
    one, two, three = count // 4, count // 2, count // 2 + 7
    return {
        "a part turned round": placed(slice(two), slice(three, two - 1, -1), slice(three + 1, None)),
        "the upper part turned round": placed(slice(two), slice(None, two - 1, -1)),
        "the lower part turned round": placed(slice(one - 1, None, -1), slice(one, None)),
        "the halves exchanged": placed(slice(two, None), slice(two)),
        "two parts exchanged": placed(slice(one), slice(two, three), slice(one, two), slice(three, None)),
    }


def phases(voxels: Volume) -> Volume:
    """The scan and what it shows after a breath."""
    return np.concatenate([voxels, shift(voxels, (1, 2, 0.7), order=1, mode="nearest")], axis=2)


@needs_data
@pytest.mark.parametrize("name", REAL_SCANS)
def test_parts_of_a_real_scan_out_of_order_are_refused(name: str) -> None:
    """As they are and with 20 HU of noise more."""
    voxels = load_study(SHARED_CT / name).voxels_hu[::2, ::2]
    noise = np.random.default_rng(3).normal(0, 20, voxels.shape).astype(np.int16)
    for what, change in parts_out_of_order(voxels.shape[2]).items():
        for hu in (voxels, voxels + noise):
            assert "out of order" in told(change(hu)), what


@needs_data
@pytest.mark.parametrize("name", REAL_SCANS)
def test_phases_and_sorted_slices_one_after_the_other_are_refused(name: str) -> None:
    voxels = load_study(SHARED_CT / name).voxels_hu[::2, ::2]
    assert "show the same part of the body 2 times" in told(phases(voxels))
    assert "show the same part of the body 2 times" in told(placed(slice(0, None, 2), slice(1, None, 2))(voxels))


@needs_data
@pytest.mark.parametrize("name", REAL_SCANS)
def test_slices_lost_in_the_middle_or_elsewhere_are_no_disorder(name: str) -> None:
    """Nor is a breath between two positions of the table, after which a part of the body comes again."""
    voxels = load_study(SHARED_CT / name).voxels_hu[::2, ::2]
    half = voxels.shape[2] // 2
    breath = shift(voxels[:, :, half - 2 :], (0, 2, 0), order=1, mode="nearest")
    odd = [np.delete(voxels, slice(half - lost, half + lost), axis=2) for lost in (1, 3, 6)]
    odd += [np.delete(voxels, slice(4, 4 + lost), axis=2) for lost in (2, 5)]
    for hu in (*odd, np.concatenate([voxels[:, :, :half], breath], axis=2)):
        said = told(hu)
        assert "out of order" not in said
        assert "show the same part" not in said


@needs_data
@pytest.mark.parametrize("name", REAL_SCANS)
def test_two_slices_of_a_real_scan_exchanged_are_refused_wherever_they_lie(name: str) -> None:
    """As they are and with 20 HU of noise more, which alone are not."""
    voxels = load_study(SHARED_CT / name).voxels_hu[::2, ::2]
    noise = np.random.default_rng(3).normal(0, 20, voxels.shape).astype(np.int16)
    for hu in (voxels, voxels + noise):
        assert told(hu) == ""
        for place in range(2, voxels.shape[2] - 3, 9):
            part = slice(max(0, place - 6), place + 8)
            exchanged = hu.copy()
            exchanged[:, :, [place, place + 1]] = hu[:, :, [place + 1, place]]
            assert "out of order" in told(exchanged[:, :, part])
