"""Piecewise-constant hazards against loops, closed forms and numerical integration."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.survive.likelihood import (
    cumulative_hazard,
    event_piece,
    exposure,
    initial_log_hazards,
    mixture_nll,
    piecewise_nll,
    survival,
    time_edges,
)

EDGES = torch.tensor([0.0, 10.0, 40.0, 100.0], dtype=torch.float64)


def loop_nll(log_hazards: np.ndarray, times: np.ndarray, events: np.ndarray, edges: np.ndarray) -> float:
    """The same likelihood, patient by patient and piece by piece, straight from the definition."""
    total = 0.0
    for g, t, d in zip(log_hazards, times, events, strict=True):
        for k in range(len(edges) - 1):
            spent = max(min(t, edges[k + 1]) - edges[k], 0.0)
            total += math.exp(g[k]) * spent
            if d and edges[k] < t <= edges[k + 1]:
                total -= g[k]
    return total / len(times)


def random_data(seed: int, count: int = 50) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    hazards = torch.from_numpy(rng.normal(-4, 1, (count, 3)))
    times = torch.from_numpy(np.append(rng.uniform(0.1, 130, count - 3), [10.0, 40.0, 100.0]))
    return hazards, times, torch.from_numpy(rng.integers(0, 2, count).astype(float))


def test_nll_matches_a_loop_with_events_on_edges_and_beyond_the_last() -> None:
    hazards, times, events = random_data(0)
    got = piecewise_nll(hazards, times, events, EDGES).item()
    assert got == pytest.approx(loop_nll(hazards.numpy(), times.numpy(), events.numpy(), EDGES.numpy()), rel=1e-12)


def test_one_piece_is_minimised_by_events_over_exposure() -> None:
    _, times, events = random_data(1)
    edges = torch.tensor([0.0, 200.0], dtype=torch.float64)
    g = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([g], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = piecewise_nll(g.expand(len(times), 1), times, events, edges)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert g.item() == pytest.approx(math.log(events.sum() / times.sum()), abs=1e-4)
    start = initial_log_hazards(times, events, edges)
    assert start.item() == pytest.approx(math.log(events.sum() / times.sum()), abs=1e-9)


def test_all_censored_one_patient_and_huge_logits_stay_finite() -> None:
    hazards, times, _ = random_data(2)
    censored = torch.zeros(len(times), dtype=torch.float64)
    assert torch.isfinite(piecewise_nll(hazards, times, censored, EDGES))
    assert torch.isfinite(initial_log_hazards(times, censored, EDGES)).all()
    for value in (-500.0, 500.0):
        one = torch.full((1, 3), value, dtype=torch.float64, requires_grad=True)
        loss = piecewise_nll(one, times[:1], torch.ones(1), EDGES)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(one.grad).all()  # type: ignore[arg-type]


def test_nll_gradient_matches_finite_differences() -> None:
    hazards, times, events = random_data(3, 8)
    assert torch.autograd.gradcheck(
        lambda g: piecewise_nll(g, times, events, EDGES), (hazards.requires_grad_(),), eps=1e-6
    )


def test_nll_is_minus_log_density_by_numerical_differentiation() -> None:
    """-log f(t) with f = -dS/dt, and -log S(t) for a censored patient."""
    hazards = torch.tensor([[-4.0, -3.0, -5.0]], dtype=torch.float64)
    for t in (3.0, 25.0, 70.0):
        around = torch.tensor([t - 1e-4, t + 1e-4, t], dtype=torch.float64)
        s = survival(hazards, EDGES, around)[0]
        density = (s[0] - s[1]).item() / 2e-4
        at = torch.tensor([t], dtype=torch.float64)
        assert piecewise_nll(hazards, at, torch.ones(1), EDGES).item() == pytest.approx(-math.log(density), rel=1e-6)
        assert piecewise_nll(hazards, at, torch.zeros(1), EDGES).item() == pytest.approx(
            -math.log(s[2].item()), rel=1e-9
        )


def test_a_mixture_of_equal_members_is_the_member() -> None:
    hazards, times, events = random_data(4)
    single = piecewise_nll(hazards, times, events, EDGES).item()
    assert mixture_nll(hazards.expand(5, -1, -1), times, events, EDGES).item() == pytest.approx(single, rel=1e-9)


def test_a_mixture_is_the_average_of_the_members_densities() -> None:
    hazards = torch.from_numpy(np.random.default_rng(5).normal(-4, 1, (3, 2, 3)))
    times, events = torch.tensor([20.0, 60.0], dtype=torch.float64), torch.tensor([1.0, 0.0], dtype=torch.float64)
    total = 0.0
    for row in range(2):
        members = [
            math.exp(-loop_nll(hazards[m, row : row + 1].numpy(), times[row : row + 1].numpy(),
                               events[row : row + 1].numpy(), EDGES.numpy()))
            for m in range(3)
        ]  # fmt: skip
        total -= math.log(sum(members) / 3)
    assert mixture_nll(hazards, times, events, EDGES).item() == pytest.approx(total / 2, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-40, 20), min_size=3, max_size=3), st.lists(st.floats(0, 400), min_size=2, max_size=20))
def test_survival_starts_at_one_and_never_rises(g: list[float], days: list[float]) -> None:
    times = torch.tensor(sorted([0.0, *days]), dtype=torch.float64)
    s = survival(torch.tensor([g], dtype=torch.float64), EDGES, times)[0]
    assert s[0] == 1
    assert (s.diff() <= 1e-15).all()
    assert (s >= 0).all()
    assert (s <= 1).all()


def test_exposure_and_cumulative_hazard_by_numerical_integration() -> None:
    hazards = torch.tensor([[-4.0, -3.0, -5.0]], dtype=torch.float64)
    for t in (0.0, 5.0, 10.0, 33.0, 99.0, 140.0):
        spent = exposure(torch.tensor([t], dtype=torch.float64), EDGES)
        assert spent.sum().item() == pytest.approx(min(t, 100.0))
        steps = (np.arange(20000) + 0.5) * t / 20000
        piece = np.minimum(np.searchsorted(EDGES.numpy(), steps, side="left"), 3) - 1
        rate = np.where(steps > 100, 0.0, np.exp(hazards[0].numpy())[np.clip(piece, 0, 2)])
        total = cumulative_hazard(hazards, EDGES, torch.tensor([t], dtype=torch.float64)).item()
        assert total == pytest.approx(rate.mean() * t, abs=1e-3)


def test_event_piece_holds_each_event_once_and_no_censored_patient() -> None:
    times = torch.tensor([0.0, 5.0, 10.0, 10.5, 100.0, 100.5, 20.0], dtype=torch.float64)
    events = torch.tensor([1.0, 1, 1, 1, 1, 1, 0], dtype=torch.float64)
    assert event_piece(times, events, EDGES).argmax(1)[:5].tolist() == [0, 0, 0, 1, 2]
    assert event_piece(times, events, EDGES).sum(1).tolist() == [1, 1, 1, 1, 1, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 300), st.floats(0, 1), st.integers(1, 12))
def test_edges_increase_from_zero_and_stay_within_follow_up(seed: int, count: int, share: float, pieces: int) -> None:
    rng = np.random.default_rng(seed)
    times, events = np.round(rng.exponential(100, count), 1) + 0.1, rng.random(count) < share
    edges = time_edges(times, events, pieces)
    assert edges[0] == 0
    assert (np.diff(edges) > 0).all()
    assert edges[-1] <= times.max()
    assert (times >= edges[-1]).sum() >= min(count, 5)
    assert len(edges) - 1 <= pieces


def test_edges_share_the_events_evenly_and_need_follow_up() -> None:
    rng = np.random.default_rng(6)
    times = rng.exponential(100, 2000)
    edges = time_edges(times, np.ones(2000), 8)
    counts, _ = np.histogram(times, edges)
    assert counts.min() > 0.9 * counts.max()
    with pytest.raises(ValueError, match="positive follow-up"):
        time_edges([0.0], [1], 3)


@pytest.mark.parametrize(("patients", "reached_by"), [(3, 3), (400, 5), (2000, 10)])
def test_the_last_supported_time_is_one_that_enough_patients_reached(patients: int, reached_by: int) -> None:
    times = np.arange(1.0, patients + 1)
    assert time_edges(times, np.zeros(patients))[-1] == times[-reached_by]
