"""Survival heads: features -> log-hazards on the same pieces, whatever the likelihood they were trained with.

`piecewise` is trained with the piecewise-constant hazard likelihood, `cox` with the partial likelihood (Efron,
torchsurv) and a stored Breslow baseline, `weibull` with the Weibull likelihood (torchsurv). All return
log_hazards (B, K), so that curves, ensembles and attributions never ask which head it was.

torchsurv is imported where a loss is computed: it takes a second, and a review needs none of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from core.survive.likelihood import event_piece, initial_log_hazards, piecewise_nll

TINY_HAZARD_PER_DAY = 1e-9


class Head(nn.Module):
    """Base of the heads: a small MLP and a stored baseline.

    edges (K + 1,) days and base (K,) log-hazards per day are buffers, fitted once on training patients by `start`.
    """

    def __init__(self, in_features: int, pieces: int, outputs: int, *, hidden: int = 32, dropout: float = 0.2) -> None:
        super().__init__()
        self.register_buffer("edges", torch.linspace(0.0, 1.0, pieces + 1))
        self.register_buffer("base", torch.zeros(pieces))
        self.edges: Tensor
        self.base: Tensor
        self.trunk = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(in_features, hidden), nn.GELU(), nn.Dropout(dropout / 2)
        )
        self.out = nn.Linear(hidden, outputs)
        nn.init.zeros_(self.out.bias)
        nn.init.normal_(self.out.weight, std=0.02)

    def start(self, edges: Tensor, times: Tensor, events: Tensor) -> None:
        """Set edges and the baseline log(events / exposure) from the training patients."""
        self.edges.copy_(edges)
        self.base.copy_(initial_log_hazards(times, events, self.edges))

    def loss(self, features: Tensor, times: Tensor, events: Tensor) -> Tensor:
        """Mean training loss of a mini-batch."""
        raise NotImplementedError

    def finish(self, features: Tensor, times: Tensor, events: Tensor) -> None:
        """After training, with all training patients: whatever the head still has to store."""


class PiecewiseHead(Head):
    """g_k = baseline_k + r(x) + s_k(x): a proportional part r and a smaller departure from it in each piece."""

    def __init__(self, in_features: int, pieces: int, *, hidden: int = 32, dropout: float = 0.2) -> None:
        super().__init__(in_features, pieces, 1 + pieces, hidden=hidden, dropout=dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F) -> log-hazards per day (B, K)."""
        out = self.out(self.trunk(features)).float()
        hazards: Tensor = self.base + out[:, :1] + 0.3 * out[:, 1:]
        return hazards

    def loss(self, features: Tensor, times: Tensor, events: Tensor) -> Tensor:
        """Piecewise-constant hazard NLL."""
        return piecewise_nll(self(features), times, events, self.edges)


class CoxHead(Head):
    """g_k = log(dH0_k / dt_k) + r(x): proportional hazards with the training Breslow baseline H0 on the pieces."""

    def __init__(self, in_features: int, pieces: int, *, hidden: int = 32, dropout: float = 0.2) -> None:
        super().__init__(in_features, pieces, 1, hidden=hidden, dropout=dropout)

    def _score(self, features: Tensor) -> Tensor:
        score: Tensor = self.out(self.trunk(features)).float()[:, 0]
        return score

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F) -> log-hazards per day (B, K)."""
        return self.base + self._score(features)[:, None]

    def loss(self, features: Tensor, times: Tensor, events: Tensor) -> Tensor:
        """Negative log partial likelihood (Efron ties); 0 where the batch has no event or one patient."""
        from torchsurv.loss.cox import neg_partial_log_likelihood

        score = self._score(features)
        if len(score) < 2 or not bool(events.any()):
            return score.sum() * 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loss: Tensor = neg_partial_log_likelihood(score, events.bool(), times)
        return loss

    def finish(self, features: Tensor, times: Tensor, events: Tensor) -> None:
        """Store the Breslow baseline: dH0(t_i) = d_i / sum of exp(r) at risk, summed within each piece."""
        with torch.no_grad():
            score = self._score(features).double()
            order = times.argsort(descending=True, stable=True)
            at_risk = score[order].logcumsumexp(0).exp()
            ends = torch.searchsorted(-times[order], -times, right=True) - 1
            jumps = events.double() / at_risk[ends]
            hazard = (event_piece(times, events, self.edges).double() * jumps[:, None]).sum(0)
            hazard = hazard / self.edges.diff().double()
            self.base.copy_(hazard.clamp(min=TINY_HAZARD_PER_DAY).log().float())


class WeibullHead(Head):
    """H(t) = (t / scale(x))^shape(x), handed on as its average hazard in each piece."""

    def __init__(self, in_features: int, pieces: int, *, hidden: int = 32, dropout: float = 0.2) -> None:
        super().__init__(in_features, pieces, 2, hidden=hidden, dropout=dropout)

    def log_params(self, features: Tensor) -> Tensor:
        """(B, 2): log scale (of days divided by the last edge) and log shape, the latter within +-1.5."""
        out = self.out(self.trunk(features)).float()
        marginal = -(self.base.exp() * self.edges.diff()).sum().log()
        return torch.stack([marginal - out[:, 0], 1.5 * torch.tanh(out[:, 1])], 1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F) -> average log-hazards per day (B, K)."""
        log_scale, log_shape = self.log_params(features).unbind(1)
        log_time = (self.edges / self.edges[-1]).clamp(min=1e-9).log()
        cumulative = (log_shape.exp()[:, None] * (log_time - log_scale[:, None])).exp()
        cumulative = torch.cat([torch.zeros_like(cumulative[:, :1]), cumulative[:, 1:]], 1)
        return (cumulative.diff(dim=1) / self.edges.diff()).clamp(min=TINY_HAZARD_PER_DAY).log()

    def loss(self, features: Tensor, times: Tensor, events: Tensor) -> Tensor:
        """Weibull NLL (of time in units of the last edge); the mean cumulative hazard where nobody has an event."""
        from torchsurv.loss.weibull import neg_log_likelihood_weibull

        params = self.log_params(features)
        units = (times / self.edges[-1]).clamp(min=1e-6)
        if len(units) < 2 or not bool(events.any()):
            return weibull_nll(params, events, units)
        loss: Tensor = neg_log_likelihood_weibull(params, events.bool(), units)
        return loss


def weibull_nll(log_params: Tensor, events: Tensor, times: Tensor) -> Tensor:
    """Mean Weibull NLL written out, for the batches torchsurv refuses (one patient, or everybody censored)."""
    log_scale, log_shape = log_params.unbind(1)
    log_ratio = times.log() - log_scale
    log_hazard = log_shape - log_scale + torch.expm1(log_shape) * log_ratio
    return ((log_shape.exp() * log_ratio).exp() - events * log_hazard).mean()


HEADS: dict[str, Callable[..., Head]] = {"piecewise": PiecewiseHead, "cox": CoxHead, "weibull": WeibullHead}
HEAD_PIECES = {"piecewise": 8, "cox": 24, "weibull": 24}
"""Pieces of the time axis by head: a piece costs the piecewise head parameters, the others only storage."""
