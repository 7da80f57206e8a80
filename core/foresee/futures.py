"""Risks read off simulated futures: by counting them, or by the chances that the model gave along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.foresee.queries import Query, outcome_of
from core.foresee.simulate import LIMIT, History, SimulatedFutures, history_of, simulate
from core.foresee.train import TrainedEventModel
from core.records import Timeline
from core.records.arrays import freeze

Estimator = Literal["reach", "hits"]
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Risk:
    """The share of futures in which the query happens up to each day, death having come before in none of them.

    incidence, standard_errors float64 (horizon + 1,): by day, from 0; the error is Monte-Carlo's alone.
    undetermined: share of futures that reached the limit of tokens before the horizon and had not had it.
    expected_count: how often it happens up to the horizon, on average.
    """

    query: Query
    horizon_days: int
    estimator: Estimator
    incidence: Floats
    standard_errors: Floats
    undetermined: float
    expected_count: float

    def __post_init__(self) -> None:
        for name in ("incidence", "standard_errors"):
            object.__setattr__(self, name, freeze(getattr(self, name), np.float64))
        if len(self.incidence) != self.horizon_days + 1:
            raise ValueError("a risk needs the incidence of each day up to the horizon")
        if (np.diff(self.incidence) < 0).any() or self.incidence[0] < 0 or self.incidence[-1] > 1:
            raise ValueError("an incidence never falls and stays in [0, 1]")

    @property
    def risk(self) -> float:
        """Up to and with the horizon's own day."""
        return float(self.incidence[-1])

    @property
    def standard_error(self) -> float:
        """Of `risk`."""
        return float(self.standard_errors[-1])


@dataclass(frozen=True, eq=False)
class Foresight:
    """Risks in the order of the queries, and the futures they were read off."""

    risks: tuple[Risk, ...]
    futures: SimulatedFutures


def foresee(
    record: Timeline | History,
    trained: TrainedEventModel,
    queries: Sequence[Query],
    horizon_days: int,
    n_futures: int = 20,
    seed: int = 0,
    estimator: Estimator = "reach",
    max_tokens: int = 256,
) -> Foresight:
    """Simulate a patient's futures and read the risk of each query off them; no query needs training.

    Same seed, same futures. Raises UserFacingError for a query that the model cannot know, a record of a patient who
    died, or impossible settings.
    """
    if horizon_days < 1 or n_futures < 1 or max_tokens < 1 or estimator not in ESTIMATORS:
        expected = f"a horizon of a day or more, a future or more, and {' or '.join(ESTIMATORS)}"
        raise UserFacingError("These settings of a simulation are impossible", expected, "Correct them")
    outcomes = [outcome_of(query, trained.vocabulary) for query in queries]
    history = record if isinstance(record, History) else history_of(record, trained, max_tokens)
    futures = simulate(
        trained,
        history,
        outcomes,
        horizon_days=horizon_days,
        n_futures=n_futures,
        max_tokens=max_tokens,
        seed=seed,
    )
    risks = [estimate(futures, number, query, estimator) for number, query in enumerate(queries)]
    return Foresight(tuple(risks), futures)


def estimate(futures: SimulatedFutures, outcome: int, query: Query, estimator: Estimator) -> Risk:
    """The risk of one outcome, which is the query's, up to the horizon of the futures.

    hits: the share of futures with a hit. reach: the mean of the summed chances up to the first hit, which has the same
    mean and, unless the event is likely (beyond about .7), less variance (SCOPE and REACH, arXiv 2602.03730).
    A future that ends at the limit counts as censored then: what is seen later in others is weighted by the inverse of
    the share of futures that would still be watched.
    """
    hits, chances = futures.hits[outcome], futures.chances[outcome]
    drawn = futures.tokens >= 0
    inside = drawn & (np.floor(futures.days_before) <= futures.horizon_days)
    weights = _watched(futures)
    earlier = np.cumsum(hits, axis=1) - hits
    first = inside & (earlier == 0)
    seen = np.where(first, (chances if estimator == "reach" else hits) * weights, 0.0)
    by_day = np.zeros((len(futures), futures.horizon_days + 1))
    day = np.clip(np.floor(futures.days_before), 0, futures.horizon_days).astype(np.int64)
    np.add.at(by_day, (np.arange(len(futures))[:, None], day), seen)
    curves = by_day.cumsum(1)
    incidence = np.minimum(curves.mean(0), 1.0)
    has = (hits & inside).any(1)
    undetermined = (futures.ends == LIMIT) & ~has
    known = max(1, len(futures) - int(undetermined.sum()))
    if estimator == "hits":
        errors = np.sqrt(incidence * (1.0 - incidence) / known)
    else:
        errors = curves.std(0, ddof=1) / np.sqrt(known) if len(futures) > 1 else np.full(len(incidence), np.nan)
    count = float((np.where(hits & inside, weights, 0.0)).sum() / len(futures))
    return Risk(query, futures.horizon_days, estimator, incidence, errors, float(undetermined.mean()), count)


def _watched(futures: SimulatedFutures) -> Floats:
    """(n, T): one over the share of futures not yet stopped by the limit when each token was drawn (Kaplan-Meier)."""
    weights = np.ones(futures.tokens.shape)
    stopped = np.sort(futures.end_days[futures.ends == LIMIT])
    left = 1.0
    for day in np.unique(stopped):
        left *= 1.0 - float((stopped == day).sum()) / float((futures.end_days >= day).sum())
        if left > 0:
            weights[futures.days_before > day] = 1.0 / left
    return weights
