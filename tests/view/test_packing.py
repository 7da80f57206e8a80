"""Packets for the browser viewer hold the voxels, the map and the strip that Python had."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from view_support import ScreenBundle, review, saliency, study, timeline

from core import RESEARCH_NOTICE
from core.explain.methods import CARDS
from core.export.figure import figure_inputs
from core.export.saliency_words import amount_words, beyond_scale
from core.export.scan import overlay_scale
from core.records import CtStudy, MapStrength
from core.view import packing
from core.view.packing import block_mean, pack, pack_expected, pack_overlay, pack_volume, quantise, shown_shape, unpack

WINDOW = (-250, 450)


def unpack_volume(packet: bytes) -> tuple[dict, np.ndarray]:
    header, payload = unpack(packet)
    return header, np.frombuffer(payload, "<i2").reshape(header["shape"], order="F")


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8), max_size=4), st.binary(max_size=64))
def test_a_packet_gives_back_what_went_in_and_its_payload_is_aligned(header, payload):
    packet = pack(header, payload)
    assert unpack(packet) == (header, payload)
    assert (len(packet) - len(payload)) % 8 == 0


def test_other_bytes_are_not_a_packet():
    with pytest.raises(ValueError, match="not a viewer packet"):
        unpack(b"GIF89a..")


def test_the_volume_travels_voxel_by_voxel_with_its_millimetres():
    scan = study()
    header, voxels = unpack_volume(pack_volume(scan, WINDOW))
    assert np.array_equal(voxels, scan.voxels_hu)
    assert header["spacing"] == [2.0, 2.0, 3.0]
    assert np.allclose(header["affine"], scan.affine_mm)
    assert header["note"] == ""
    assert header["window"] == [-250, 450]


def test_a_volume_too_large_is_averaged_says_so_and_keeps_its_place():
    scan = study((300, 260, 11))
    header, voxels = unpack_volume(pack_volume(scan, WINDOW, limit_bytes=2 * 300 * 260 * 11 // 3))
    assert voxels.shape == (150, 130, 11)
    assert "150 x 130 x 11" in header["note"]
    assert "300 x 260 x 11" in header["note"]
    assert header["spacing"] == pytest.approx([4.0, 4.0, 3.0])
    for corner in ((0, 0, 0), (149, 129, 10)):
        shown = np.array(header["affine"]) @ [*corner, 1]
        inside = [corner[0] * 2 + 0.5, corner[1] * 2 + 0.5, corner[2]]
        assert np.allclose(shown, scan.affine_mm @ [*inside, 1])
    assert abs(float(voxels.mean()) - float(scan.voxels_hu.mean())) < 0.5


def test_the_real_limit_lets_the_largest_usual_study_through_reduced():
    assert shown_shape((180, 180, 166), packing.VOLUME_BYTES_LIMIT // 2) == (180, 180, 166)
    i, j, k = shown_shape((512, 512, 600), packing.VOLUME_BYTES_LIMIT // 2)
    assert (i, j, k) == (256, 256, 600)
    assert 2 * i * j * k <= packing.VOLUME_BYTES_LIMIT


@settings(max_examples=40, deadline=None)
@given(npst.arrays(np.int16, npst.array_shapes(min_dims=3, max_dims=3, max_side=9)), st.data())
def test_block_means_tile_the_array_exactly(values, data):
    shape = tuple(data.draw(st.integers(1, count)) for count in values.shape)
    means = block_mean(values, shape)
    assert means.shape == shape
    edges = [np.floor(np.linspace(0, count, part + 1)).astype(int) for count, part in zip(values.shape, shape)]
    for at in np.ndindex(shape):
        block = values[tuple(slice(e[n], e[n + 1]) for e, n in zip(edges, at))]
        assert means[at] == pytest.approx(block.mean(dtype=np.float64), abs=0.02)


def test_quantised_maps_keep_sign_and_zero():
    values = np.array([-2.0, -1.0, -0.001, 0.0, 0.001, 0.5, 1.0, 2.0], np.float32)
    assert quantise(values, 1.0, True).tolist() == [1, 1, 124, 128, 132, 218, 255, 255]
    assert quantise(values, 1.0, False).tolist() == [0, 0, 0, 0, 8, 180, 255, 255]


@pytest.mark.parametrize("signed", [True, False])
def test_the_overlay_peaks_where_the_saliency_peaks(signed):
    scan = study()
    packet = pack_overlay(scan, saliency(scan, signed), None, digest="x", watermark="Trained on virtual patients")
    header, payload = unpack(packet)
    shown = np.frombuffer(payload, np.uint8).reshape(header["shape"], order="F")
    assert np.unravel_index(int(shown.argmax()), shown.shape) == (10, 8, 4)
    assert shown[0, 0, 0] == (128 if signed else 0)
    assert header["focus"] == [10.0, 8.0, 4.0]
    assert header["watermark"] == "Trained on virtual patients"
    assert header["label"] == f"{CARDS['gradcam'].title}, 90 days"
    assert len(header["colours"]) == 256
    if signed:
        assert shown[30, 20, 15] < 128


def test_a_map_says_how_far_it_goes_and_what_it_amounts_to():
    """Each map fills its own colours: without a number a weak one looks as strong as a strong one."""
    made = saliency(study())
    header, _ = unpack(pack_overlay(study(), made, None, digest="x"))
    assert header["ends"] == pytest.approx([-0.6, 1.0])
    assert header["amount"] == "Own scale: a weak map looks as strong as a strong one"
    assert beyond_scale(made) == (False, True)
    assert beyond_scale(replace(made, values=-made.values)) == (True, False)
    assert beyond_scale(saliency(study(), False)) == (False, True)
    beside = replace(made, strength=MapStrength(0.425, 2.0, 125), strongest=("clot", "lung"), depends=False)
    assert amount_words(beside) == "Stronger than 42 of 100 training patients' maps"
    assert amount_words(replace(beside, strength=MapStrength(1.0, 2.0, 125))).startswith("Stronger than 99 of")
    assert beyond_scale(beside) == (False, False)
    assert beyond_scale(beside, beside.own_limit) == beyond_scale(made)
    packed, _ = unpack(pack_overlay(study(), beside, None, digest="d"))
    assert (packed["common"], packed["own"], packed["limit"]) == (2.0, header["own"], 2.0)
    assert packed["place"] == "Strongest where the encoder reads clot, lung"
    assert packed["check"] == "Failed the check with random weights"
    assert (header["common"], header["place"]) == (None, "")
    summed = replace(made, method="integrated_gradients", risk_change=0.0081)
    assert amount_words(summed) == "Summed over slices: 0.81 percentage points of risk"
    hidden = replace(made, method="occlusion", values=-0.02 * made.values)
    assert amount_words(hidden) == "One square hidden: at most 2 percentage points"


def test_a_stopped_map_is_told_from_one_that_cannot_be():
    """The viewer keeps an earlier map, dimmed, for the first only; neither has a strongest place to go to."""
    attention = review(study(), timeline(), explain=None).attention
    for stopped in (True, False):
        header, _ = unpack(pack_overlay(study(), None, attention, digest="x", reason="None.", stopped=stopped))
        assert header["stopped"] is stopped
        assert (header["focus"] is None) is stopped


def test_a_map_that_only_lowers_the_risk_opens_where_the_figure_does():
    scan = study()
    values = -np.abs(saliency(scan).values)
    lowering = replace(saliency(scan), values=values)
    header, _ = unpack(pack_overlay(scan, lowering, None, digest="x"))
    result = replace(review(scan, timeline()), saliency=lowering)
    assert (
        tuple(header["focus"]) == figure_inputs(scan, timeline(), result, ScreenBundle("concat", result.task)).slice_ijk
    )
    assert header["focus"] == [10.0, 8.0, 4.0]


def test_screen_and_figure_have_one_colour_scale_even_where_the_screen_shows_fewer_voxels(monkeypatch):
    monkeypatch.setattr(packing, "OVERLAY_VOXELS_LIMIT", 140 * 140 * 8 // 2)
    scan = study((140, 140, 8))
    fine = replace(saliency(scan), values=np.random.default_rng(0).normal(size=scan.shape).astype(np.float32))
    header, payload = unpack(pack_overlay(scan, fine, None, digest="x"))
    assert header["limit"] == overlay_scale(fine).limit > 3
    shown = np.frombuffer(payload, np.uint8).reshape(header["shape"], order="F")
    assert np.array_equal(shown, quantise(block_mean(fine.values, header["shape"]), header["limit"], True))


def test_a_large_overlay_is_reduced_and_still_points_at_the_same_place(monkeypatch):
    monkeypatch.setattr(packing, "OVERLAY_VOXELS_LIMIT", 140 * 140 * 8 // 2)
    scan = study((140, 140, 8))
    header, payload = unpack(pack_overlay(scan, saliency(scan), None, digest="x"))
    assert header["shape"] == [70, 70, 8]
    shown = np.frombuffer(payload, np.uint8).reshape(header["shape"], order="F")
    assert np.unravel_index(int(shown.argmax()), shown.shape) == (5, 4, 4)


def test_without_saliency_the_reason_travels_and_the_strip_stays():
    scan, record = study(), timeline()
    result = review(scan, record, explain=None)
    header, payload = unpack(pack_overlay(scan, None, result.attention, digest="x", reason="Record only."))
    assert payload == b""
    assert header["shape"] is None
    assert header["reason"] == "Record only."
    places = [place for place, _, _ in header["strip"]]
    assert places == pytest.approx(np.arange(-60.0, 0.0, 5.0) / 3 + 20)
    assert sum(weight for _, weight, _ in header["strip"]) == pytest.approx(1.0, abs=1e-5)
    assert header["focus"][2] == pytest.approx(places[-1])
    assert "cross-attention" in header["strip_label"]


def test_a_map_of_zeros_is_no_error():
    scan = study()
    flat = saliency(scan).__class__(np.zeros(scan.shape, np.float32), "gradcam", 90.0, True, "unit")
    header, payload = unpack(pack_overlay(scan, flat, None, digest="x"))
    assert set(payload) == {128}
    assert header["limit"] == 1.0


def test_world_positions_of_a_tilted_study_keep_their_affine():
    scan = study()
    tilted = scan.affine_mm.copy()
    tilted[1, 2] = 0.4
    header, _ = unpack_volume(pack_volume(CtStudy(scan.voxels_hu, tilted), WINDOW))
    assert np.allclose(header["affine"], tilted)


def test_volume_and_overlay_name_their_study_so_that_no_other_overlay_is_drawn():
    scan, other = study(), study((40, 30, 21))
    volume, overlay = unpack(pack_volume(scan, WINDOW))[0], unpack(pack_overlay(scan, None, None, digest="x"))[0]
    assert volume["study"] == overlay["study"]
    assert volume["study"] != unpack(pack_overlay(other, None, None, digest="x"))[0]["study"]


def test_a_map_under_way_is_named_and_its_strip_is_there_already():
    scan = study()
    attention = review(scan, timeline(), explain=None).attention
    header, payload = unpack(pack_overlay(scan, None, attention, digest="x", pending="Occlusion, 1 year"))
    assert (payload, header["shape"], header["reason"], header["focus"]) == (b"", None, "", None)
    assert header["pending"]
    assert header["label"] == "Occlusion, 1 year"
    assert header["strip"]
    assert not unpack(pack_overlay(scan, saliency(scan), attention, digest="y"))[0]["pending"]
    expected, _ = unpack(pack_expected("q", "Occlusion, 1 year", token="1"))
    assert (expected["question"], expected["label"]) == ("q", "Occlusion, 1 year")


def test_the_volume_brings_the_notice_that_full_screen_must_show():
    assert unpack_volume(pack_volume(study(), WINDOW))[0]["notice"] == RESEARCH_NOTICE


def test_the_strip_lies_in_the_grid_that_is_shown(monkeypatch):
    scan, record = study(), timeline()
    attention = review(scan, record, explain=None).attention
    whole, _ = packing.slice_strip(scan, None, attention)
    monkeypatch.setattr(packing, "VOLUME_BYTES_LIMIT", scan.voxels_hu.size // 4)
    shown, _ = packing.slice_strip(scan, None, attention)
    by = shown_shape(scan.shape, packing.VOLUME_BYTES_LIMIT // 2)[2] / scan.shape[2]
    assert by < 1
    assert [place for place, _, _ in shown] == pytest.approx([place * by for place, _, _ in whole])
