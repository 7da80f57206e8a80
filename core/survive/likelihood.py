"""Piecewise-constant hazards: edges, exposure, likelihood and survival, all in days and all differentiable.

With edges 0 = t_0 < ... < t_K and log-hazards g_k (per day) on (t_{k-1}, t_k], u_k(t) = clip(min(t, t_k) - t_{k-1}, 0):
    S(t) = exp(-sum_k exp(g_k) u_k(t)),   NLL = mean[sum_k exp(g_k) u_k(t) - delta g_k(t)].
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

LOG_HAZARD_RANGE = (-30.0, 10.0)
MIN_AT_RISK = 5


def time_edges(times: npt.ArrayLike, events: npt.ArrayLike, pieces: int = 8) -> npt.NDArray[np.float64]:
    """Edges (K + 1,) in days: 0, quantiles of the training event times, and the last supported time.

    The last supported time is the largest follow-up time that at least max(5, 0.5%) of the patients reached (all
    of them where there are fewer). K shrinks so that a piece holds about five events or more; without events K = 1.
    Raises ValueError where no follow-up time is positive.
    """
    days, flags = np.asarray(times, np.float64), np.asarray(events, bool)
    if not len(days) or days.max() <= 0:
        raise ValueError("time edges need a positive follow-up time")
    at_risk = min(len(days), max(MIN_AT_RISK, len(days) // 200))
    last = float(np.sort(days)[-at_risk])
    last = last if last > 0 else float(days.max())
    inside = days[flags & (days > 0) & (days < last)]
    count = max(1, min(pieces, len(inside) // MIN_AT_RISK))
    inner = np.quantile(inside, np.arange(1, count) / count) if count > 1 else np.empty(0)
    return np.unique(np.concatenate([[0.0], inner, [last]]))


def exposure(times: Tensor, edges: Tensor) -> Tensor:
    """Days spent in each piece: u (..., K) for times (...)."""
    return (torch.minimum(times[..., None], edges[1:]) - edges[:-1]).clamp(min=0.0)


def event_piece(times: Tensor, events: Tensor, edges: Tensor) -> Tensor:
    """One-hot (n, K) of the piece that holds each event; a zero row for a censored patient.

    An event after the last edge counts as censored there: the model makes no claim beyond it.
    """
    inside = (times[:, None] > edges[:-1]) & (times[:, None] <= edges[1:])
    inside[:, 0] |= times <= 0
    return inside * events[:, None].to(edges.dtype)


def piecewise_nll(log_hazards: Tensor, times: Tensor, events: Tensor, edges: Tensor) -> Tensor:
    """Mean negative log likelihood of right-censored data.

    log_hazards (n, K) per day; times (n,) days; events (n,) 1 = event, 0 = censored; edges (K + 1,). Finite for n = 1
    and where everybody is censored. Source: arXiv 2606.15038 (censored NLL); piecewise exponential model,
    Friedman 1982.
    """
    bounded = log_hazards.clamp(*LOG_HAZARD_RANGE)
    cumulative = (bounded.exp() * exposure(times, edges)).sum(-1)
    return (cumulative - (bounded * event_piece(times, events, edges)).sum(-1)).mean()


def mixture_nll(log_hazards: Tensor, times: Tensor, events: Tensor, edges: Tensor) -> Tensor:
    """Mean NLL of an ensemble whose curve is the mean of its members' S(t): log_hazards (M, n, K).

    density = mean_m h_m(t) S_m(t) for an event, mean_m S_m(t) for a censored patient.
    """
    bounded = log_hazards.clamp(*LOG_HAZARD_RANGE)
    cumulative = (bounded.exp() * exposure(times, edges)).sum(-1)
    log_member = (bounded * event_piece(times, events, edges)).sum(-1) - cumulative
    return -(log_member.logsumexp(0) - float(np.log(len(log_hazards)))).mean()


def initial_log_hazards(times: Tensor, events: Tensor, edges: Tensor) -> Tensor:
    """log(events / exposure) of each piece (K,), with half an event at the overall rate added to each.

    The added half keeps a piece without events finite; without any event the overall rate uses half an event.
    """
    days = exposure(times, edges).sum(0)
    counts = event_piece(times, events, edges).sum(0)
    overall = counts.sum().clamp(min=0.5) / days.sum().clamp(min=1e-6)
    return ((counts + 0.5) / (days + 0.5 / overall)).log()


def cumulative_hazard(log_hazards: Tensor, edges: Tensor, times: Tensor) -> Tensor:
    """H(t) (..., T) at times (T,) days from log_hazards (..., K); constant after the last edge."""
    return log_hazards.clamp(*LOG_HAZARD_RANGE).exp() @ exposure(times, edges).T


def survival(log_hazards: Tensor, edges: Tensor, times: Tensor) -> Tensor:
    """S(t) = exp(-H(t)) (..., T); differentiable in log_hazards."""
    return (-cumulative_hazard(log_hazards, edges, times)).exp()
