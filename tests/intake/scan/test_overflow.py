"""Values that wrapped round, as dark spots within metal show them."""

from __future__ import annotations

import re
from collections.abc import Callable

import corpus_doubts
import numpy as np
import pytest
from damaged_ct import fine_body

from core.errors import UserFacingError
from core.intake.scan.checks.hounsfield_range import refuse_unless_hounsfield
from core.intake.scan.hounsfield import extremes
from core.intake.scan.overflow import count_lost, count_spots, note_lost_bits, note_spots_in_metal
from core.load import load_study

BODY = fine_body()
WORDS = "Dark and enclosed by what is as bright as metal"


def screw(peak_hu: float, *, shadow: bool = False) -> np.ndarray:
    """Soft tissue with a screw across eight slices, brightest in its middle, or with a shadow from there on."""
    i, j, k = np.indices((48, 48, 16))
    from_middle = np.hypot(i - 24, j - 24)
    metal = peak_hu * np.clip(1.5 - from_middle / 4, 0, 1) * ((k > 3) & (k < 12))
    if shadow:
        metal[(np.abs(i - 24) < 2.5) & (j > 22) & (j < 32)] = -600
    return np.where(np.hypot(i - 24, j - 24) < 20, 40.0, -1000.0) + metal


def wrapped(hu: np.ndarray, bits: int = 12) -> np.ndarray:
    """Values as so many bits hold them, from -1024 on."""
    return ((hu + 1024) % (1 << bits) - 1024).astype(np.int16)


def test_metal_that_wrapped_round_is_told() -> None:
    voxels = np.asfortranarray(wrapped(screw(4000)))
    assert voxels.max() > 2000
    assert note_spots_in_metal(count_spots(voxels, int(voxels.max())))[0].startswith(WORDS)


@pytest.mark.parametrize("hu", [np.minimum(screw(4000), 3071), screw(4000), screw(2500, shadow=True), screw(0)])
def test_metal_that_was_cut_off_or_throws_a_shadow_to_its_side_is_not(hu: np.ndarray) -> None:
    voxels = np.asfortranarray(hu.astype(np.int16))
    assert note_spots_in_metal(count_spots(voxels, int(voxels.max()))) == []


def with_metal(hu: np.ndarray) -> np.ndarray:
    """A chest with a metal rod whose values fade at its rim."""
    i, j, _ = np.indices(hu.shape)
    return hu + 3600 * np.clip(1.6 - np.hypot(i - 36, j - 40) / 4, 0, 1)


def test_a_series_with_wrapped_metal_opens_with_a_note() -> None:
    def notes(hu: np.ndarray) -> str:
        return " ".join(load_study(corpus_doubts.scan(lambda _: hu)).notes)

    body = with_metal(
        corpus_doubts.body(corpus_doubts.positions(corpus_doubts.BODY.affine_ras, corpus_doubts.BODY.shape))
    )
    assert WORDS in notes(wrapped(body).astype(float))
    assert WORDS not in notes(np.minimum(body, 3071))


def test_air_that_wrapped_round_is_refused_and_metal_is_not() -> None:
    """Air of -1005 HU under noise of 25 HU, in 12 bits from -1024 on."""

    def noisy(hu: np.ndarray) -> np.ndarray:
        air = np.random.default_rng(0).normal(-1005, 25, hu.shape)
        return np.where(hu < -990, air, hu)

    with pytest.raises(UserFacingError, match="lie above 2500, as where air wrapped round"):
        load_study(corpus_doubts.scan(lambda hu: wrapped(np.rint(noisy(hu))).astype(float)))
    load_study(corpus_doubts.scan(lambda hu: np.rint(np.maximum(noisy(hu), -1024))))
    load_study(corpus_doubts.scan(lambda hu: np.minimum(with_metal(hu), 3071)))


@pytest.mark.parametrize("fill", [-2000, -3024, -1040, 300, 1000, -500])
def test_one_value_other_than_airs_around_the_picture_is_told(fill: int) -> None:
    """The darker ones wrap round at 12 bits, as a conversion does that knows no padding."""

    def filled(hu: np.ndarray) -> np.ndarray:
        i, j, _ = np.indices(hu.shape)
        return wrapped(np.where(np.hypot(i - 35.5, j - 29.5) > 30, fill, hu)).astype(float)

    notes = " ".join(load_study(corpus_doubts.scan(filled)).notes)
    assert re.search(r"% of voxels are exactly -?\d+ HU, as no air is", notes)


def test_padding_within_the_picture_is_told() -> None:
    """As lungs that were cut out, or values that wrapped; padding around the field of view is as usual."""
    words = "does not reach in from the edge"

    def around(hu: np.ndarray) -> np.ndarray:
        i, j, _ = np.indices(hu.shape)
        return np.where(np.hypot(i - 35.5, j - 29.5) > 34, -2000.0, hu)

    def notes(change: Callable[[np.ndarray], np.ndarray]) -> str:
        return " ".join(load_study(corpus_doubts.scan(change)).notes)

    assert words in notes(corpus_doubts.lungs_cut_out)
    assert "Padding outside the field of view" in notes(around)
    assert words not in notes(around)


LOST = "where brighter values lost a bit"


def bony(hu: np.ndarray) -> np.ndarray:
    """A chest with a rod of dense bone, brightest within."""
    i, j, _ = np.indices(hu.shape)
    return hu + np.rint(1500 * np.clip(1.3 - np.hypot(i - 36, j - 40) / 7, 0, 1))


def less(bit: int, slices: slice = slice(None)) -> Callable[[np.ndarray], np.ndarray]:
    """Without so much of what is as bright as 1024 HU and more."""

    def change(hu: np.ndarray) -> np.ndarray:
        hu = bony(hu)
        part = hu[:, :, slices]
        hu[:, :, slices] = np.where(part >= 1024, part - bit, part)
        return hu

    return change


@pytest.mark.parametrize("make", [corpus_doubts.scan, corpus_doubts.volume])
@pytest.mark.parametrize("bit", [1024, 2048])
def test_bone_that_lost_a_bit_is_refused(make: Callable[..., corpus_doubts.Files], bit: int) -> None:
    with pytest.raises(UserFacingError, match=LOST):
        load_study(make(less(bit)))
    assert LOST not in " ".join(load_study(make(bony)).notes)


def test_bone_that_lost_a_bit_in_some_slices_is_told() -> None:
    study = load_study(corpus_doubts.scan(less(2048, slice(8, 14))))
    assert any(LOST in note for note in study.notes)


def test_bone_cut_off_below_a_bit_and_marrow_within_bone_lost_none() -> None:
    """Values cut off at 1023 HU, and a ring around fat that ends there."""
    i, j, _ = np.indices((48, 48, 16))
    ring = np.clip(1.4 - np.abs(np.hypot(i - 24, j - 24) - 10) / 4, 0, 1)
    for hu in (np.minimum(screw(4000), 1023), np.rint(-80 + 1103 * ring)):
        voxels = np.asfortranarray(hu.astype(np.int16))
        assert voxels.max() == 1023
        assert note_lost_bits(count_lost(voxels, 1023), 1023) == []


@pytest.mark.parametrize("cut_off", [True, False])
def test_gas_within_bone_that_is_cut_off_lost_no_bit(cut_off: bool) -> None:
    """The negative control: the same spots where bone ends by itself."""
    rod = bony(np.full((128, 128, 16), 40.0))
    ends_by_itself = np.random.default_rng(0).integers(985, 1024, rod.shape)
    hu = np.where(rod >= 985, 1000 if cut_off else ends_by_itself, rod)
    hu[35:37, 39:41] = -900
    voxels = np.asfortranarray(np.rint(hu).astype(np.int16))
    found = count_lost(voxels, int(voxels.max()))
    assert (found == 0) == cut_off
    if not cut_off:
        with pytest.raises(UserFacingError, match=LOST):
            note_lost_bits(found, int(voxels.max()))


def of_the_scale(voxels: np.ndarray) -> list[str]:
    return [note for note in refuse_unless_hounsfield(voxels, extremes(voxels)) if "never occurs" in note]


@pytest.mark.parametrize("bit", [2**place for place in range(1, 9)])
def test_a_bit_that_no_value_has_is_told(bit: int) -> None:
    (note,) = of_the_scale(((BODY + 1024) & ~bit) - 1024)
    assert f"Of every {2 * bit} HU" in note
    assert f"worth {bit} HU" in note


@pytest.mark.parametrize("noise_hu", [0, 2, 12, 60])
def test_values_with_all_their_bits_have_lost_none(noise_hu: float) -> None:
    """Sharp peaks of few values included, and values in even steps, as a slope of 2 makes them."""
    body = fine_body(noise_hu)
    for voxels in (body, body // 2 * 2, np.maximum(body, -1000), np.where(body < -500, -1024, body)):
        assert of_the_scale(np.asfortranarray(voxels.astype(np.int16))) == []
