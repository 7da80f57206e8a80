"""Heads against other libraries and loops; ensemble, curves and their properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fuse_support import CT_WIDTH, EHR_WIDTH, batch_of, random_batch, random_patients
from lifelines import BreslowFlemingHarringtonFitter
from torchsurv.loss.weibull import neg_log_likelihood_weibull, survival_function_weibull

from core.fuse import FUSIONS, Padded, TokenBatch
from core.survive.curves import curve_from_output, horizon_risks, member_risks
from core.survive.heads import HEAD_PIECES, HEADS, CoxHead, PiecewiseHead, WeibullHead, weibull_nll
from core.survive.likelihood import piecewise_nll, survival
from core.survive.model import Embedding, Standardiser, SurvivalModel, build_model

EDGES = torch.tensor([0.0, 20, 60, 150, 400])


def outcome(seed: int, count: int = 60) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    features = torch.from_numpy(rng.normal(size=(count, 4)).astype(np.float32))
    times = torch.from_numpy(rng.exponential(150, count).astype(np.float32)) + 0.5
    return features, times, torch.from_numpy(rng.integers(0, 2, count).astype(np.float32))


def started(name: str, seed: int = 0) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    features, times, events = outcome(seed)
    head = HEADS[name](4, 4).eval()
    torch.nn.init.normal_(head.out.weight, std=0.5)
    head.start(EDGES, times, events)
    return head, features, times, events


def small_model(fusion: str = "cross_attention") -> SurvivalModel:
    torch.manual_seed(0)
    widths = {"image": CT_WIDTH, "ehr": EHR_WIDTH, "signals": 4}
    sizes = {"widths": {key: widths[key] for key in FUSIONS[fusion].reads}, "hidden": 8, "heads": 2}
    model = build_model(
        {"fusion": fusion, "head": "piecewise", "members": 3, "pieces": 4, "sizes": sizes,
         "head_options": {"hidden": 8, "dropout": 0.2}}
    )  # fmt: skip
    _, times, events = outcome(0)
    for member in model.members:
        member.head.start(EDGES, times, events)
        torch.nn.init.normal_(member.head.out.weight, std=0.5)
    model.base.copy_(model.members[0].head.base)
    return model.eval()


@pytest.mark.parametrize("name", list(HEADS))
def test_every_head_is_finite_for_one_patient_nobody_dying_and_gives_gradients(name: str) -> None:
    head, features, times, events = started(name)
    for rows, flags in ((slice(0, 1), events[:1]), (slice(None), torch.zeros_like(events)), (slice(None), events)):
        head.zero_grad()
        loss = head.loss(features[rows], times[rows], flags)
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(value.grad).all() for value in head.parameters() if value.grad is not None)
    assert head(features).shape == (60, 4)
    assert torch.isfinite(head(features)).all()
    assert HEAD_PIECES[name] >= 8


def test_piecewise_head_starts_at_the_baseline_and_learns_by_its_likelihood() -> None:
    torch.manual_seed(0)
    features, times, events = outcome(1)
    head = PiecewiseHead(4, 4).eval()
    head.start(EDGES, times, events)
    torch.testing.assert_close(head(features), head.base.expand(60, 4), atol=0.3, rtol=0)
    assert head.loss(features, times, events).item() == pytest.approx(
        piecewise_nll(head(features), times, events, EDGES).item()
    )


def test_cox_baseline_is_breslow_at_the_edges() -> None:
    head, features, times, events = started("cox", 2)
    assert isinstance(head, CoxHead)
    times = torch.round(times / 10) * 10 + 10
    head.finish(features, times, events)
    risk = head._score(features).exp().detach().numpy().astype(float)
    total = 0.0
    for k in range(4):
        jumps = 0.0
        for i in range(60):
            if events[i] and EDGES[k] < times[i] <= EDGES[k + 1]:
                jumps += 1.0 / risk[(times >= times[i]).numpy()].sum()
        total += jumps
        stored = head.base[k].exp().item() * (EDGES[k + 1] - EDGES[k]).item()
        assert stored == pytest.approx(max(jumps, 1e-9 * (EDGES[k + 1] - EDGES[k]).item()), rel=1e-4)
    assert total > 0


def test_cox_baseline_of_equal_patients_is_nelson_aalen() -> None:
    torch.manual_seed(0)
    _, times, events = outcome(3)
    head = CoxHead(4, 4).eval()
    torch.nn.init.zeros_(head.out.weight)
    head.start(EDGES, times, events)
    head.finish(torch.zeros(60, 4), times, events)
    fitted = BreslowFlemingHarringtonFitter().fit(times.numpy(), events.numpy())
    expected = fitted.survival_function_at_times(EDGES[1:].numpy()).to_numpy()
    got = survival(head(torch.zeros(1, 4)), head.edges, EDGES[1:])[0].detach().numpy()
    np.testing.assert_allclose(got, expected, atol=5e-4)


def test_cox_loss_is_the_partial_likelihood_by_a_loop() -> None:
    head, features, times, events = started("cox", 4)
    score = head._score(features).detach().double().numpy()
    order, terms = times.numpy(), []
    for i in range(60):
        if events[i]:
            terms.append(np.log(np.exp(score[order >= order[i]]).sum()) - score[i])
    assert head.loss(features, times, events).item() == pytest.approx(np.mean(terms), rel=1e-4)


def test_weibull_head_hands_on_its_own_survival_at_the_edges() -> None:
    head, features, times, events = started("weibull", 5)
    assert isinstance(head, WeibullHead)
    params = head.log_params(features)
    expected = survival_function_weibull(params, EDGES[1:] / EDGES[-1])
    torch.testing.assert_close(survival(head(features), EDGES, EDGES[1:]), expected, atol=1e-4, rtol=1e-4)
    units = times / EDGES[-1]
    theirs = neg_log_likelihood_weibull(params, events.bool(), units)
    torch.testing.assert_close(weibull_nll(params, events, units), theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fusion", list(FUSIONS))
def test_the_whole_model_scores_a_patient_alone_as_in_any_batch(fusion: str) -> None:
    model = small_model(fusion)
    ct, ehr = random_patients(20, 9, missing=True)
    with torch.no_grad():
        together = model(batch_of(ct, ehr))
        for row in range(9):
            alone = model(batch_of([ct[row]], [ehr[row]]))
            torch.testing.assert_close(alone.log_hazards[:, 0], together.log_hazards[:, row], atol=1e-5, rtol=0)
            torch.testing.assert_close(alone.embedding[0], together.embedding[row], atol=1e-5, rtol=0)


def test_curve_is_the_mean_member_and_matches_the_tensor() -> None:
    model = small_model()
    with torch.no_grad():
        output = model(random_batch(21, 4))
    for row in range(4):
        curve = curve_from_output(output, row)
        times = torch.tensor(curve.times_days, dtype=torch.float64)
        members = survival(output.log_hazards[:, row].double(), output.edges.double(), times)
        np.testing.assert_allclose(curve.survival, members.mean(0).numpy(), atol=1e-12)
        at_150 = survival(output.log_hazards[:, row], output.edges, torch.tensor([150.0]))[:, 0]
        assert member_risks(output, 150.0, row) == pytest.approx((1 - at_150.max().item(), 1 - at_150.min().item()))
        assert curve.times_days[-1] == 400
        assert set(EDGES.numpy()) <= set(curve.times_days)
        assert curve.risk_at(150) == pytest.approx(output.risk(150.0)[row].item(), abs=1e-5)
        assert np.isnan(curve.risk_at(401))
    assert curve.lower is None


def test_absurd_tokens_still_give_a_curve_and_risks_beyond_support_are_left_out() -> None:
    model = small_model()
    batch = random_batch(22, 2)
    with torch.no_grad():
        far = {"image": batch["image"], "ehr": batch["ehr"]}
        signs = {"image": 1e6, "ehr": -1e6}
        far = {
            key: side._replace(values=side.values * signs[key], position=side.position * 1e6)
            for key, side in far.items()
        }
        output = model(TokenBatch(far))
    assert torch.isfinite(output.log_hazards).all()
    curve_from_output(output, 1)
    risks = horizon_risks(output, (30, 400, 365 * 3))
    assert list(risks) == [30, 400]
    assert risks[30] <= risks[400]


def test_calibration_moves_the_log_hazards_as_documented() -> None:
    model, batch = small_model(), random_batch(23, 3)
    with torch.no_grad():
        before = model(batch).log_hazards
        model.calibration.copy_(torch.tensor([0.2, 0.5]))
        after = model(batch).log_hazards
    torch.testing.assert_close(after, model.base + 0.2 + 0.5 * (before - model.base))


def test_risk_is_differentiable_in_the_tokens_and_agrees_with_finite_differences() -> None:
    model = small_model("co_attention_ehr_guided").double()
    batch = random_batch(24, 2)
    precise = TokenBatch(
        {
            name: Padded(side.values.double(), side.mask, side.position.double())
            for name, side in batch.modalities.items()
        }
    )
    ct = precise["image"].values

    def risk(values: torch.Tensor) -> torch.Tensor:
        return model.risk(precise.with_changed("image", values=values), 150.0)

    start = ct.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(risk(start)[0], start)
    assert (gradient[1] == 0).all(), "patient 0 must not depend on patient 1"
    step = 1e-3 * torch.randn(ct.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    step[1] = 0
    change = (risk(ct + step)[0] - risk(ct - step)[0]) / 2
    assert change.item() == pytest.approx((gradient * step).sum().item(), rel=1e-3)


def test_standardiser_centres_scales_and_bounds() -> None:
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal([3.0, -1.0, 0.0], [2.0, 1.0, 1e-9], (500, 3)).astype(np.float32))
    block = Standardiser(3)
    block.fit(values)
    mask = torch.ones(1, 500, dtype=torch.bool)
    standard = block(values[None], mask)[0]
    np.testing.assert_allclose(standard[:, :2].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(standard[:, :2].std(0), 1, atol=0.02)
    assert standard[:, 2].abs().max() < 1e-3, "a constant column must not be blown up"
    assert block(torch.full((1, 1, 3), 1e9), mask[:, :1]).max() == 10


def test_embedding_gives_principal_coordinates() -> None:
    rng = np.random.default_rng(1)
    features = torch.from_numpy((rng.normal(size=(200, 2)) @ rng.normal(size=(2, 9)) + 5).astype(np.float32))
    block = Embedding(9, 4)
    block.fit(features)
    coordinates = block(features)
    np.testing.assert_allclose(coordinates.mean(0), 0, atol=1e-3)
    distance = torch.cdist(features, features)
    torch.testing.assert_close(torch.cdist(coordinates, coordinates), distance, atol=2e-2, rtol=1e-2)
    spread = coordinates.std(0)
    assert (spread.diff() <= 1e-4).all()
    assert spread[2:].max() < 1e-2


@pytest.mark.parametrize("name", HEADS)
def test_a_larger_score_is_a_larger_hazard_whatever_the_head(name: str) -> None:
    head = HEADS[name](4, 3).eval()
    head.start(torch.tensor([0.0, 10.0, 40.0, 100.0]), torch.tensor([5.0, 20.0, 60.0]), torch.ones(3))
    features = torch.zeros(1, 4)
    with torch.no_grad():
        before = head(features)
        head.out.bias[0] += 1
        assert torch.allclose(head(features) - before, torch.ones(1, 3), atol=0.2)
