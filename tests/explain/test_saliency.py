"""Saliency of the risk: planted answers, exactness against the whole graph, determinism, models left as they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from explain_support import (
    BLOCK_COLUMN,
    BLOCK_PLANE,
    BLOCK_PX,
    BLOCK_ROW,
    PLANES,
    background,
    grid,
    module_state,
    planted,
    readout_of,
    study_on_grid,
    with_block,
)
from fuse_support import batch_of
from torch import nn

from core.encode.ct.slice_grid import PIXEL_MM, PLANE_STEP_MM, volume_from_slices
from core.errors import UserFacingError
from core.explain import methods
from core.explain.frozen import explaining, seeded
from core.explain.map_trust import RandomisationVerdict
from core.explain.methods import CARDS, METHODS, PieceMaps
from core.explain.risk import RiskReadout
from core.explain.saliency import piece_maps, pieces_near, study_saliency
from core.explain.trust.weight_randomisation import (
    inside_body,
    randomised,
    rank_correlation,
    ranks_with_random_weights,
    verdict,
)
from core.records import CtStudy, Tokens

PLAIN = background(np.random.default_rng(5))
BLOCK = with_block(PLAIN, BLOCK_PLANE, BLOCK_ROW, BLOCK_COLUMN)
FAST = ("gradcam", "integrated_gradients")
RANDOM_MODELS = 15


def _share_in_block(maps: np.ndarray) -> float:
    """Share of the magnitude within the block and one blur width around it."""
    sizes, half = np.abs(maps), BLOCK_PX // 2 + 8
    inside = sizes[BLOCK_PLANE, BLOCK_ROW - half : BLOCK_ROW + half, BLOCK_COLUMN - half : BLOCK_COLUMN + half]
    return float(inside.sum() / sizes.sum())


@pytest.fixture(scope="module")
def with_answer() -> RiskReadout:
    return readout_of(planted(), BLOCK)


def _maps(readout: RiskReadout, method: str) -> np.ndarray:
    """(PLANES, H, W); slow methods on the block's plane and one other, zero elsewhere."""
    planes = [0, BLOCK_PLANE] if CARDS[method].chunk == 1 else list(range(PLANES))
    maps = np.zeros(readout.sampled.voxels_hu.shape, np.float32)
    maps[planes], _ = piece_maps(readout, method, planes, seed=0)
    return maps


@pytest.mark.parametrize("method", METHODS)
def test_every_method_peaks_on_the_planted_block_and_not_without_it(method: str, with_answer: RiskReadout) -> None:
    maps = _maps(with_answer, method)
    plane, row, column = np.unravel_index(np.abs(maps).argmax(), maps.shape)
    assert plane == BLOCK_PLANE
    assert abs(row - BLOCK_ROW) <= BLOCK_PX
    assert abs(column - BLOCK_COLUMN) <= BLOCK_PX
    assert CARDS[method].signed or (maps >= 0).all()
    control = _maps(readout_of(planted(), PLAIN), method)
    assert np.abs(control).max() < np.abs(maps).max()
    assert _share_in_block(control) < 0.1
    if method != "gradcam_averaged":  # its average over the slice spreads the weight
        assert _share_in_block(maps) > 0.5


@pytest.mark.parametrize("method", ["gradcam", "integrated_gradients", "gradient_shap", "occlusion"])
def test_signed_methods_say_that_the_block_raises_the_risk(method: str, with_answer: RiskReadout) -> None:
    maps = _maps(with_answer, method)
    assert maps[BLOCK_PLANE, BLOCK_ROW - 7 : BLOCK_ROW + 7, BLOCK_COLUMN - 7 : BLOCK_COLUMN + 7].sum() > 0


@pytest.mark.parametrize("method", METHODS)
def test_the_map_is_another_once_the_weights_are_random(method: str, with_answer: RiskReadout) -> None:
    trained, _ = piece_maps(with_answer, method, [BLOCK_PLANE])
    # one random model's correlation lies within 0.3 of 0 in coarse maps: the median of three would stray as far itself
    random = [piece_maps(randomised(with_answer, seed), method, [BLOCK_PLANE])[0] for seed in range(RANDOM_MODELS)]
    correlation = abs(float(np.median([rank_correlation(trained, maps) for maps in random])))
    # magnitudes of gradients share their zeros (HU outside the windows), so they never fall as far
    assert correlation < (0.3 if CARDS[method].signed else 0.6)
    repeated, _ = piece_maps(with_answer, method, [BLOCK_PLANE], seed=1)
    assert rank_correlation(trained, repeated) > correlation + 0.25


def test_the_check_compares_inside_the_body_and_leaves_the_model_alone(with_answer: RiskReadout) -> None:
    before = [value.clone() for value in with_answer.encoder.state_dict().values()]
    found = ranks_with_random_weights(with_answer, ["integrated_gradients", "smoothgrad"], [BLOCK_PLANE], draws=3)
    assert [found[name].shape for name in ("integrated_gradients", "smoothgrad")] == [(3, 2), (3, 2)]
    assert np.abs(np.median(found["integrated_gradients"][:, 0])) < 0.3
    assert np.allclose(*found["smoothgrad"].T), "it has no sign, so its values are their magnitudes"
    after = with_answer.encoder.state_dict().values()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_map_that_no_weight_changes_fails_the_check(
    with_answer: RiskReadout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the piece itself as its map, whatever the weights."""
    monkeypatch.setitem(METHODS, "gradcam", lambda question: PieceMaps(question.voxels_hu))
    found = ranks_with_random_weights(with_answer, ["gradcam"], [BLOCK_PLANE], draws=2)["gradcam"]
    assert np.allclose(found, 1)
    assert not verdict([found]).passed


def test_the_worst_draw_of_the_medians_over_patients_decides() -> None:
    low, high = np.full((2, 2), 0.1), np.array([[0.1, 0.1], [-0.5, 0.2]])
    assert verdict([low, low, high]) == RandomisationVerdict(0.1, 0.1, 3, 2)
    assert verdict([low, high, high]) == RandomisationVerdict(-0.5, 0.2, 3, 2)
    assert [verdict([low, each, each]).passed for each in (low, high)] == [True, False]


def test_inside_the_body_are_lungs_and_no_couch() -> None:
    slab = np.full((40, 40), -1000, np.int16)
    slab[5:25, 5:35] = 40
    slab[10:20, 10:20] = -850
    slab[32:34, 5:35] = 200
    expected = np.zeros((40, 40), bool)
    expected[5:25, 5:35] = True
    assert (inside_body(slab) == expected).all()
    assert inside_body(np.full((4, 4), -1000, np.int16)).all()


def test_hiding_what_looks_like_its_surroundings_changes_nothing() -> None:
    even = np.full_like(PLAIN, 300)
    maps, _ = piece_maps(readout_of(planted(), even), "occlusion", [0])
    assert np.abs(maps).max() < 1e-6


def _whole_graph_gradient(readout: RiskReadout) -> torch.Tensor:
    """Oracle: every slice in one graph, no cached token."""
    slices = torch.from_numpy(readout.sampled.voxels_hu.astype(np.float32)).requires_grad_(True)
    batch = readout.batch.with_changed("image", values=readout.encoder(slices)[None])
    (gradient,) = torch.autograd.grad(readout.model.risk(batch, readout.horizon_days).sum(), slices)
    return gradient


def test_the_gradient_from_cached_tokens_is_the_gradient_of_the_whole_study(with_answer: RiskReadout) -> None:
    tokens = with_answer.token_gradients()
    slices = torch.from_numpy(BLOCK.astype(np.float32)).requires_grad_(True)
    parts = []
    for plane in range(PLANES):
        value = (with_answer.encoder(slices[plane : plane + 1]) * tokens[plane]).sum()
        parts.append(torch.autograd.grad(value, slices)[0][plane])
    whole = _whole_graph_gradient(with_answer)
    assert torch.allclose(torch.stack(parts), whole, atol=1e-5 * float(whole.abs().max()), rtol=1e-5)
    assert float(whole.abs().max()) > 0


def test_risk_with_the_slice_itself_is_the_risk(with_answer: RiskReadout) -> None:
    own = with_answer.batch["image"].values[0, BLOCK_PLANE].expand(3, 1, -1)
    risk = with_answer.risk_of(with_answer.batch)
    assert torch.allclose(with_answer.risk_with(BLOCK_PLANE, own), risk.expand(3), atol=1e-6)


def test_integrated_gradients_are_complete_within_the_reported_error(with_answer: RiskReadout) -> None:
    maps, complete = piece_maps(with_answer, "integrated_gradients", [BLOCK_PLANE])
    image = torch.from_numpy(BLOCK[BLOCK_PLANE : BLOCK_PLANE + 1].astype(np.float32))
    base = with_answer.encoder(methods.blurred(image))
    change = float(with_answer.risk_of(with_answer.batch) - with_answer.risk_with(BLOCK_PLANE, base[:, None]))
    assert complete is not None
    assert complete.risk_change == pytest.approx(abs(change), rel=1e-3)
    assert abs(maps.sum() - change) <= (complete.relative_error + 1e-3) * abs(change)
    assert complete.relative_error < 0.05


@pytest.mark.parametrize("method", METHODS)
def test_a_slice_alone_is_the_slice_in_the_study_and_runs_repeat_bit_for_bit(
    method: str,
) -> None:
    pair = BLOCK[BLOCK_PLANE - 1 : BLOCK_PLANE + 1]
    study, readout = study_on_grid(pair), readout_of(planted(), pair)
    whole = study_saliency(study, readout, method)
    again = study_saliency(study, readout, method)
    assert np.array_equal(whole.values, again.values)
    assert whole.values.shape == study.shape
    assert whole.horizon_days == readout.horizon_days
    assert whole.signed == CARDS[method].signed
    alone, _ = piece_maps(readout, method, [1])
    together, _ = piece_maps(readout, method, [0, 1])
    assert np.allclose(alone[0], together[1], atol=1e-5 * np.abs(together).max())
    assert np.allclose(whole.values[:, :, 1], together[1].T, atol=1e-5 * np.abs(together).max())


def test_the_horizon_changes_the_saliency(with_answer: RiskReadout) -> None:
    early, _ = piece_maps(replace(with_answer, horizon_days=20.0), "gradcam", [BLOCK_PLANE])
    late, _ = piece_maps(with_answer, "gradcam", [BLOCK_PLANE])
    assert np.abs(late - early).max() > 0.05 * np.abs(late).max()


@pytest.mark.parametrize("method", FAST)
def test_one_slice_is_enough(method: str) -> None:
    single = BLOCK[BLOCK_PLANE : BLOCK_PLANE + 1]
    saliency = study_saliency(study_on_grid(single), readout_of(planted(), single), method)
    i, j, k = np.unravel_index(np.abs(saliency.values).argmax(), saliency.values.shape)
    assert (abs(i - BLOCK_COLUMN) <= BLOCK_PX, abs(j - BLOCK_ROW) <= BLOCK_PX, k) == (True, True, 0)


def test_values_return_to_the_place_they_came_from() -> None:
    """A study of other voxel size, shifted, read back by an independent interpolation at a few voxels."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(PLANES, 128, 144)).astype(np.float32)
    affine = np.array([[0.7, 0, 0, 31.3], [0, 0.9, 0, 12.2], [0, 0, 1.6, 2.2], [0, 0, 0, 1.0]])
    study = CtStudy(np.zeros((50, 40, 12), np.int16), affine)
    volume = volume_from_slices(values, study, grid())
    for i, j, k in rng.integers(0, (50, 40, 12), (20, 3)):
        x, y, z = (affine @ [i, j, k, 1])[:3] / (PIXEL_MM, PIXEL_MM, PLANE_STEP_MM)
        expected = sum(
            max(0, 1 - abs(x - c)) * max(0, 1 - abs(y - r)) * max(0, 1 - abs(z - s)) * values[s, r, c]
            for s in range(PLANES)
            for r in range(int(y) - 1, int(y) + 3)
            for c in range(int(x) - 1, int(x) + 3)
        )
        assert volume[i, j, k] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("method", FAST)
def test_models_are_restored_also_when_a_method_raises(
    method: str, with_answer: RiskReadout, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, model = with_answer.encoder, with_answer.model
    encoder.train()
    next(encoder.parameters()).requires_grad_(True)
    before = module_state(encoder), module_state(model)
    piece_maps(with_answer, method, [0])
    assert (module_state(encoder), module_state(model)) == before

    def broken(slices: torch.Tensor) -> torch.Tensor:
        encoder.fuse.register_forward_hook(lambda *_: None)
        raise RuntimeError("midway")

    monkeypatch.setattr(type(encoder), "forward", lambda self, slices: broken(slices))
    with pytest.raises(RuntimeError, match="midway"):
        piece_maps(with_answer, method, [0])
    assert (module_state(encoder), module_state(model)) == before
    encoder.eval().requires_grad_(False)


def test_cancelling_stops_and_restores(with_answer: RiskReadout) -> None:
    before = module_state(with_answer.encoder)
    told: list[float] = []

    def stop(share: float) -> None:
        told.append(share)
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        piece_maps(with_answer, "integrated_gradients", range(PLANES), progress=stop)
    assert len(told) == 2
    assert module_state(with_answer.encoder) == before


def test_explaining_freezes_inside_and_undoes_outside() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).train()
    before = module_state(module)
    with explaining(module):
        assert not module.training
        assert not any(parameter.requires_grad for parameter in module.parameters())
        module[0].register_full_backward_hook(lambda *_: None)
    assert module_state(module) == before


def test_seeding_leaves_the_global_generators_alone() -> None:
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    expected = torch.rand(1), np.random.rand()  # noqa: NPY002
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    with seeded(9):
        torch.rand(5)
        np.random.rand(5)  # noqa: NPY002
    assert (torch.rand(1), np.random.rand()) == expected  # noqa: NPY002


def test_an_unknown_method_is_refused_in_words(with_answer: RiskReadout) -> None:
    with pytest.raises(UserFacingError, match="no explanation method"):
        study_saliency(study_on_grid(BLOCK), with_answer, "magic")


def test_cards_describe_every_method() -> None:
    assert CARDS.keys() == METHODS.keys()
    assert all(card.chunk >= 1 and card.unit for card in CARDS.values())


@pytest.mark.parametrize("averaged", [False, True])
def test_grad_cam_is_features_times_gradient_of_each_cell_or_of_the_average(
    averaged: bool, with_answer: RiskReadout
) -> None:
    """Oracle: the encoder's last maps taken by hand, their gradient by autograd, no Captum."""
    hu = torch.from_numpy(BLOCK[BLOCK_PLANE : BLOCK_PLANE + 1].astype(np.float32))
    kept: list[torch.Tensor] = []
    hook = with_answer.encoder.fuse.register_forward_hook(
        lambda _, __, output: kept.append(output.requires_grad_(True))
    )
    tokens = with_answer.encoder(hu)
    hook.remove()
    change = (tokens[0] * with_answer.token_gradients()[BLOCK_PLANE]).sum()
    (gradient,) = torch.autograd.grad(change, kept[0])
    weight = gradient.mean(dim=(2, 3), keepdim=True) if averaged else gradient
    cells = (kept[0] * weight).sum(dim=1, keepdim=True).detach()
    expected = nn.functional.interpolate(cells, size=hu.shape[1:], mode="bilinear", align_corners=False)[0, 0].numpy()
    found, _ = piece_maps(with_answer, "gradcam_averaged" if averaged else "gradcam", [BLOCK_PLANE])
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found[0], expected, atol=1e-5 * np.abs(expected).max())


def test_an_image_that_is_missing_has_no_gradient_to_give() -> None:
    empty = Tokens(np.zeros((0, 84), np.float32), np.zeros(0), np.zeros(0), "compact_slices", "none")
    batch = batch_of([empty], [None])
    readout = RiskReadout(
        planted().model, planted().encoder, batch, readout_of(planted(), PLAIN[:1]).sampled, 100.0, torch.device("cpu")
    )
    assert 0 < float(readout.risk_of(batch)) < 1


def test_one_slice_alone_is_as_in_the_whole_and_nothing_is_said_of_the_others() -> None:
    scan = study_on_grid(BLOCK)
    readout = readout_of(planted(), BLOCK)
    readout = replace(readout, sampled=readout.encoder.sample(scan))
    heights = readout.sampled.positions
    whole = study_saliency(scan, readout, "gradcam")
    part = study_saliency(scan, readout, "gradcam", slice_mm=float(heights[2]) + 1.0)
    assert pieces_near(readout.sampled, float(heights[2]) + 1.0) == (2, 3)
    shown = [int(np.argmin(np.abs(scan.affine_mm[2, 2] * np.arange(scan.shape[2]) + scan.affine_mm[2, 3] - heights[n])))
             for n in (2, 3)]  # fmt: skip
    for k in shown:
        assert np.allclose(part.values[:, :, k], whole.values[:, :, k], atol=1e-6)
    assert (part.values != 0).any()
    far = part.values[:, :, shown[1] + round(2 * 5 / scan.spacing_mm[2]) :]
    assert (far == 0).all()
    assert part.parameters["encoder_slices_explained"] == 2
    assert "encoder_slices_explained" not in whole.parameters
