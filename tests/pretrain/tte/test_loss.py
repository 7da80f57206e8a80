"""The sparse loss against the written-out one, and what a piecewise-exponential likelihood must satisfy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.pretrain.tte.loss import Risks, TteHead, log_rates, risks_of, sparse_nll
from core.pretrain.tte.tasks import FutureEvents, piece_edges


def random_events(patients: int = 9, tasks: int = 21, seed: int = 0) -> FutureEvents:
    draw = np.random.default_rng(seed)
    follow_up = draw.uniform(0, 400, patients)
    follow_up[0] = 0.0
    days = draw.exponential(600, (patients, tasks))
    patient, task = np.nonzero(days <= follow_up[:, None])
    codes = tuple(f"MADE//{number}" for number in range(tasks))
    return FutureEvents(codes, patient, task, days[patient, task], follow_up)


def dense_loss(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, events: FutureEvents, edges: np.ndarray
) -> torch.Tensor:
    """Written out: every patient, piece and task, one after the other."""
    patients, tasks, pieces = len(events), len(events.codes), len(edges) - 1
    hazards = (states @ weight + bias).view(patients, pieces, tasks)
    when = {(int(p), int(k)): float(d) for p, k, d in zip(events.patients, events.code_ids, events.days)}
    total = states.new_zeros(())
    for patient in range(patients):
        for task in range(tasks):
            until = when.get((patient, task), float(events.follow_up_days[patient]))
            for piece in range(pieces):
                at_risk = min(max(until - edges[piece], 0.0), edges[piece + 1] - edges[piece])
                total = total + hazards[patient, piece, task].exp() * at_risk
                if (patient, task) in when and edges[piece] < until <= edges[piece + 1]:
                    total = total - hazards[patient, piece, task]
    return total / (patients * tasks)


@pytest.mark.parametrize("block", [4, 21, 1000])
def test_it_is_the_dense_loss_and_its_gradient(block: int) -> None:
    events = random_events()
    edges = piece_edges(events, 5)
    torch.manual_seed(0)
    parts = [torch.randn(9 * 5, 6), 0.3 * torch.randn(6, 21), torch.randn(21) - 5]
    parts = [part.double().requires_grad_(True) for part in parts]
    risks = risks_of(events, np.arange(9), edges)
    found = sparse_nll(*parts, risks, block=block)
    wanted = dense_loss(*parts, events, edges)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)
    for own, other in zip(torch.autograd.grad(found, parts), torch.autograd.grad(wanted, parts)):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-7)


def test_time_at_risk_adds_up_and_each_event_happens_in_one_piece() -> None:
    events = random_events(seed=2)
    edges = piece_edges(events, 4)
    risks = risks_of(events, np.arange(len(events)), edges)
    np.testing.assert_allclose(risks.exposure.sum(1), events.follow_up_days, rtol=1e-5)
    assert int(risks.happened.sum()) == len(events.days)
    pairs = list(zip((risks.rows // 4).tolist(), risks.tasks.tolist(), risks.at_risk.tolist()))
    for patient, task, days in zip(events.patients, events.code_ids, events.days):
        own = sum(at_risk for p, k, at_risk in pairs if (p, k) == (patient, task))
        assert own == pytest.approx(days, rel=1e-5)


def test_an_event_on_an_edge_falls_in_the_piece_that_it_ends() -> None:
    events = FutureEvents(("A",), np.array([0, 1]), np.array([0, 0]), np.array([10.0, 20.0]), np.array([30.0, 20.0]))
    risks = risks_of(events, np.array([0, 1]), np.array([0.0, 10.0, 20.0, np.inf]))
    happened = risks.rows[risks.happened > 0].tolist()
    assert happened == [0, 3 + 1]


def test_some_patients_are_asked_in_any_order() -> None:
    events = random_events(seed=3)
    edges = piece_edges(events, 3)
    whole = risks_of(events, np.arange(9), edges)
    for patient in (4, 0, 7):
        one = risks_of(events, np.array([patient]), edges)
        torch.testing.assert_close(one.exposure[0], whole.exposure[patient])
        mine = whole.rows // 3 == patient
        assert one.tasks.tolist() == whole.tasks[mine].tolist()


def test_without_features_the_best_hazard_is_events_over_exposure() -> None:
    events = random_events(patients=200, seed=4)
    risks = risks_of(events, np.arange(200), np.array([0.0, np.inf]))
    bias = torch.zeros(21, dtype=torch.float64, requires_grad=True)
    nothing = torch.zeros(200, 2, dtype=torch.float64)
    weight = torch.zeros(2, 21, dtype=torch.float64, requires_grad=True)
    best = torch.optim.LBFGS([bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        best.zero_grad()
        loss = sparse_nll(nothing, weight, bias, risks)
        loss.backward()
        return loss

    best.step(closure)
    torch.testing.assert_close(bias.detach().float(), log_rates(events), atol=1e-3, rtol=1e-3)


def test_all_censored_and_no_time_at_risk_are_finite() -> None:
    none = FutureEvents(("A", "B"), np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.array([0.0, 50.0]))
    risks = risks_of(none, np.array([0, 1]), np.array([0.0, 10.0, np.inf]))
    states = torch.randn(4, 3, requires_grad=True)
    loss = sparse_nll(states, torch.randn(3, 2), torch.zeros(2), risks)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(states.grad).all()
    assert (states.grad[:2] == 0).all()
    assert (states.grad[2:] != 0).any()


def test_the_head_starts_at_the_rates_of_the_tasks() -> None:
    events = random_events(patients=60, seed=5)
    head = TteHead(8, 4, 16, log_rates(events))
    with torch.no_grad():
        hazards = head(torch.randn(5, 8))
    assert hazards.shape == (5, 4, 21)
    torch.testing.assert_close(hazards.mean((0, 1)), log_rates(events), atol=0.1, rtol=0)


def test_risks_move_as_a_whole() -> None:
    risks = risks_of(random_events(), np.arange(9), np.array([0.0, 50.0, np.inf]))
    moved = risks.to("cpu")
    assert isinstance(moved, Risks)
    assert moved.task_count == 21
