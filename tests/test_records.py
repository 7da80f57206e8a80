"""What records compute from themselves, against hand-made numbers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from core.records import (
    Attention,
    AttentionBlock,
    Attribution,
    CtStudy,
    EventAttribution,
    SurvivalCurve,
    Timeline,
    Tokens,
)


def curve(survival: list[float], apart: float = 0.0) -> SurvivalCurve:
    """S at days 0, 10, 20, ... with a band `apart` on either side."""
    times, values = 10.0 * np.arange(len(survival)), np.array(survival)
    lower, upper = np.maximum(values - apart, 0), np.minimum(values + apart, 1)
    lower[0] = upper[0] = 1
    return SurvivalCurve(times, values, lower, upper)


def test_the_median_lies_between_the_times_around_it() -> None:
    assert curve([1, 0.75, 0.25]).median_days == 15
    assert curve([1, 0.5, 0.5]).median_days == 10
    assert curve([1, 0.9]).median_days is None


def test_the_restricted_mean_is_the_area_up_to_the_horizon() -> None:
    bent = curve([1, 0.8, 0.2])
    assert bent.rmst_days(10) == pytest.approx(9)
    assert bent.rmst_days(15) == pytest.approx(9 + 5 * (0.8 + 0.5) / 2)
    assert bent.rmst_days(20) == pytest.approx(14)


def test_risks_lie_inside_their_band_and_end_with_the_follow_up() -> None:
    banded = curve([1, 0.8, 0.4], apart=0.1)
    low, high = banded.risk_interval_at(15)
    assert (low, banded.risk_at(15), high) == (pytest.approx(0.3), pytest.approx(0.4), pytest.approx(0.5))
    for days in (-1.0, 20.5):
        assert all(map(math.isnan, (banded.survival_at(days), banded.risk_at(days), *banded.risk_interval_at(days))))
    assert math.isnan(banded.rmst_days(20.5))
    assert math.isnan(banded.rmst_days(-1))


def test_a_time_that_single_precision_rounded_is_still_supported() -> None:
    last = 365 * (1 - 1e-7)
    short = SurvivalCurve(np.array([0, last]), np.array([1, 0.5]), np.array([1, 0.4]), np.array([1, 0.6]))
    assert (short.survival_at(365), short.risk_interval_at(365)) == (0.5, pytest.approx((0.4, 0.6)))
    assert short.rmst_days(365) == pytest.approx(0.75 * 365)
    assert math.isnan(short.survival_at(365.1))


def test_the_colour_scale_ends_by_what_is_not_zero() -> None:
    values = np.zeros((10, 10, 100), np.float32)
    values[0, 0] = -np.arange(1, 101)
    assert Attribution(values, "m", 30, True, "u").scale_limit == pytest.approx(99.901, abs=1e-3)
    assert Attribution(0 * values, "m", 30, True, "u").scale_limit == 1


def test_attention_is_checked_and_cannot_be_changed() -> None:
    half, places = np.array([0.5, 0.5], np.float32), np.array([1, 2], np.float32)
    weights = Attention("pooling", {"image": AttentionBlock(half, places)}).ct_weights
    assert weights is not None
    assert not weights.flags.writeable
    for wrong in ((half, places[:1]), (half * np.nan, places), (2 * half, places), (half, places, np.array([0]))):
        with pytest.raises(ValueError, match="weights"):
            AttentionBlock(*wrong)


def test_tokens_of_one_height_are_weighed_together() -> None:
    points = np.array([[0, 0, 5], [9, 9, -5], [3, 1, 5]], np.float32)
    found = Attention("pooling", {"image": AttentionBlock(np.array([0.2, 0.5, 0.3], np.float32), points)}).by_height()
    assert found is not None
    np.testing.assert_allclose(found[0], [0.5, 0.5])
    np.testing.assert_array_equal(found[1], [-5, 5])


def test_contributions_of_events_are_checked_and_cannot_be_changed() -> None:
    found = EventAttribution(np.array([3, 4]), np.array([0.1, -0.2], np.float32), "ablation", 365)
    assert not found.values.flags.writeable
    for values in (np.array([0.1]), np.array([0.1, np.nan])):
        with pytest.raises(ValueError, match=r"one value|finite"):
            EventAttribution(np.array([3, 4]), values, "ablation", 365)


def test_a_study_lies_on_canonical_axes_in_whole_numbers() -> None:
    voxels = np.zeros((3, 4, 5), np.int16)
    assert CtStudy(voxels.astype(np.float64), np.eye(4)).voxels_hu.dtype == np.int16
    for wrong, affine in ((voxels + 40_000.0, np.eye(4)), (voxels + 0.5, np.eye(4)), (voxels, np.diag([-1, -1, 1, 1]))):
        with pytest.raises(ValueError, match=r"whole numbers|closest to right"):
            CtStudy(wrong, affine)


def test_a_timeline_is_of_one_patient_in_order() -> None:
    times = pd.to_datetime(["2020-01-01", "2020-01-02"])
    events = pd.DataFrame({"subject_id": [7, 7], "time": times, "code": ["A", "B"], "numeric_value": [np.nan] * 2})
    events = events.assign(text_value=None, unit=None)
    assert Timeline(events, 7, times[1]).digest
    for wrong in (events.iloc[::-1].reset_index(drop=True), events.assign(subject_id=[7, 8])):
        with pytest.raises(ValueError, match=r"sorted by time|one subject"):
            Timeline(wrong, 7, times[1])


@pytest.mark.parametrize("wrong", [{"relative_positions": np.zeros(3)}, {"event_ids": np.zeros(1, np.int64)},
                                   {"positions": np.full(2, np.nan)}])  # fmt: skip
def test_tokens_have_a_finite_place_each(wrong: dict[str, np.ndarray]) -> None:
    whole = {"values": np.zeros((2, 4)), "positions": np.zeros(2), "relative_positions": np.zeros(2)}
    assert Tokens(**whole, encoder="e", source_digest="d").values.shape == (2, 4)
    with pytest.raises(ValueError, match=r"positions"):
        Tokens(**{**whole, **wrong}, encoder="e", source_digest="d")
