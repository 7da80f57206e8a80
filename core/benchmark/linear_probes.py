"""Linear probes on frozen features: ridge Cox and ridge logistic regression, penalties chosen by cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from core.records import Float64Array

PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_FOLDS, _STEPS = 5, 40
_Loss = Callable[[Tensor, npt.NDArray[np.int64]], Tensor]


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """score = features @ weights (higher = earlier event); penalty: of squared weights, as chosen."""

    weights: Float64Array
    penalty: float

    def score(self, features: npt.ArrayLike) -> Float64Array:
        """(n,) of features (n, d)."""
        return np.asarray(np.asarray(features, np.float64) @ self.weights, np.float64)


def cox_probe(features: npt.ArrayLike, times: npt.ArrayLike, events: npt.ArrayLike, seed: int = 0) -> LinearProbe:
    """Ridge Cox regression (Efron ties, torchsurv) of standardised features (n, d); penalty by 5-fold cross-validated
    partial likelihood (Verweij and van Houwelingen 1993)."""
    from torchsurv.loss.cox import neg_partial_log_likelihood

    days, seen = torch.as_tensor(np.asarray(times, np.float64)), torch.as_tensor(np.asarray(events, bool))

    def loss(scores: Tensor, rows: npt.NDArray[np.int64]) -> Tensor:
        if not bool(seen[rows].any()):
            return scores.sum() * 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            total: Tensor = neg_partial_log_likelihood(scores, seen[rows], days[rows], reduction="sum")
        return total

    return _chosen(np.asarray(features, np.float64), loss, np.asarray(events, bool), seed, left_out_alone=False)


def logistic_probe(features: npt.ArrayLike, labels: npt.ArrayLike, seed: int = 0) -> LinearProbe:
    """Ridge logistic regression of labels (n,) bool on standardised features (n, d); penalty by 5-fold likelihood."""
    wanted = torch.as_tensor(np.asarray(labels, np.float64))
    share = float(np.clip(wanted.mean(), 0.02, 0.98))
    start = float(np.log(share / (1 - share)))

    def loss(scores: Tensor, rows: npt.NDArray[np.int64]) -> Tensor:
        return functional.binary_cross_entropy_with_logits(scores + start, wanted[rows], reduction="sum")

    return _chosen(np.asarray(features, np.float64), loss, np.asarray(labels, bool), seed, left_out_alone=True)


def breslow_survival(
    times: npt.ArrayLike, events: npt.ArrayLike, scores: Float64Array, asked: Float64Array, at_days: npt.ArrayLike
) -> Float64Array:
    """S(t), (n, t), of patients with log hazards `asked` (n,) at `at_days` (t,).

    Breslow's baseline of training patients (times, events, scores): H0(t) = sum over events until t of 1 / (sum of
    exp(score) of those at risk)."""
    days, seen = np.asarray(times, np.float64), np.asarray(events, bool)
    weights = np.exp(scores - scores.max())
    order = np.argsort(days)
    at_risk = np.cumsum(weights[order][::-1])[::-1]
    first = np.searchsorted(days[order], days[order], side="left")
    jumps = np.where(seen[order], 1.0 / at_risk[first], 0.0)
    reached = np.searchsorted(days[order], np.asarray(at_days, np.float64), side="right")
    baseline = np.append(0.0, np.cumsum(jumps))[reached]
    with np.errstate(over="ignore", invalid="ignore"):
        hazards = np.exp(np.clip(asked - scores.max(), -60, 60))[:, None] * baseline
    return np.asarray(np.exp(-hazards), np.float64)


def _chosen(
    features: Float64Array, loss: _Loss, stratum: npt.NDArray[np.bool_], seed: int, *, left_out_alone: bool
) -> LinearProbe:
    # Ridge weights lie in the span of the patients, so the fit runs in at most n directions, whatever d is.
    _, sizes, directions = np.linalg.svd(features, full_matrices=False)
    directions = directions[sizes > 1e-9 * max(sizes.max(initial=0.0), 1e-12)]
    narrow = torch.as_tensor(features @ directions.T)
    folds = _folds(stratum, seed)
    everybody = np.arange(len(features))
    costs = []
    for penalty in PENALTIES:
        cost = 0.0
        for fold in range(_FOLDS):
            kept, left = everybody[folds != fold], everybody[folds == fold]
            if not len(left) or not len(kept):
                continue
            weights = _fitted(narrow, loss, kept, penalty)
            if left_out_alone:
                cost += float(loss(narrow[left] @ weights, left))
            else:
                scores = narrow @ weights
                cost += float(loss(scores, everybody) - loss(scores[kept], kept))
        costs.append(cost)
    best = PENALTIES[int(np.argmin(costs))]
    weights = _fitted(narrow, loss, everybody, best)
    return LinearProbe(np.asarray(directions.T @ weights.numpy(), np.float64), best)


def _fitted(features: Tensor, loss: _Loss, rows: npt.NDArray[np.int64], penalty: float) -> Tensor:
    weights = torch.zeros(features.shape[1], dtype=torch.float64, requires_grad=True)
    own = features[rows]
    optimiser = torch.optim.LBFGS([weights], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        total = loss(own @ weights, rows) / len(rows) + penalty * (weights**2).sum() / 2
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach()


def _folds(stratum: npt.NDArray[np.bool_], seed: int) -> npt.NDArray[np.int64]:
    """A fold for each patient, with events spread evenly."""
    folds, draw = np.zeros(len(stratum), np.int64), np.random.default_rng(seed)
    for value in (False, True):
        rows = draw.permutation(np.flatnonzero(stratum == value))
        folds[rows] = np.arange(len(rows)) % _FOLDS
    return folds
