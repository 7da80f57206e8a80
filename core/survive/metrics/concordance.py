"""Concordance between a risk score and right-censored outcomes, with its estimator named, and patient-level intervals.

Estimators (methods in the docstrings of each function):
harrell            all comparable pairs, equal weights (Harrell 1982).
uno                pairs opened before tmax, weight 1 / G(t_i)^2, G = Kaplan-Meier of censoring (Uno 2011).
incident_dynamic   area under AUC_I/D(t), weight 2 f(t) S(t) (Heagerty and Zheng 2005).
antolini           pairs ordered by S(t_i | x) in place of a score: `core.survive.metrics.antolini`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from core.errors import UserFacingError
from core.records import Float64Array
from core.survive.metrics.kaplan_meier import Outcomes, StepFunction, censoring_survival, event_survival
from core.survive.metrics.pairs import BoolArray, PairPlan, patient_groups, plan_pairs, resample_counts

Estimator = Literal["harrell", "uno", "incident_dynamic"]

FEW_EVENTS = 20
"""Below this an interval is shown with a warning (methods: the percentile bootstrap is then unreliable)."""


@dataclass(frozen=True, eq=False)
class Concordance(float):
    """A concordance that is a number and carries what the number means.

    value in [0, 1], 0.5 uninformative; estimator; n patients (rows); events among them; comparable_pairs;
    tmax_days: events at or after it open no pair (None: whole follow-up); censoring: where the weights come from.
    """

    value: float
    estimator: str
    n: int
    events: int
    comparable_pairs: int
    tmax_days: float | None = None
    censoring: str = "none"

    def __new__(cls, value: float, *_: Any, **__: Any) -> Concordance:
        return super().__new__(cls, value)


@dataclass(frozen=True, eq=False)
class ConcordanceInterval:
    """A concordance with its patient-level percentile bootstrap interval.

    resamples: draws used; dropped: draws without a comparable pair, left out. warning: a sentence, or None.
    """

    concordance: Concordance
    lower: float
    upper: float
    level: float
    resamples: int
    dropped: int
    patients: int
    seed: int
    warning: str | None

    @property
    def value(self) -> float:
        """The concordance of the data as they are."""
        return self.concordance.value

    @property
    def estimator(self) -> str:
        """Name of the estimator."""
        return self.concordance.estimator


def concordance(
    time_days: npt.ArrayLike,
    event: npt.ArrayLike,
    risk: npt.ArrayLike,
    *,
    estimator: Estimator = "harrell",
    tmax_days: float | None = None,
    censoring: Outcomes | None = None,
) -> Concordance:
    """Concordance of `risk` (higher = earlier event) with outcomes, in O(n log n).

    time_days (n,) >= 0; event (n,) true where the event was seen; risk (n,).
    censoring: (time_days, event) of the training patients for Uno's weights; without it the patients themselves.
    j is comparable with event i if t_j > t_i, or t_j = t_i and j is censored. Tied scores count one half.

    Raises UserFacingError where lengths differ, values are missing, no pair can be compared, or G(t) = 0.

    >>> c = concordance([1, 2, 3, 4], [1, 1, 0, 1], [4.0, 2.0, 3.0, 1.0])
    >>> c.value, c.estimator, c.events, c.comparable_pairs
    (0.8, 'harrell', 3, 5)
    """
    time, seen, score = checked(time_days, event, risk)
    plan = _plan(time, seen, score, estimator, tmax_days)
    weights, source = _event_weights(plan, time, seen, estimator, censoring)
    once = np.ones((len(time), 1), np.int32)
    comparable = plan.comparable(once)
    value = _ratio(plan.twice_concordant(once), comparable, once[plan.events], weights, estimator)[0]
    if np.isnan(value):
        raise UserFacingError(
            f"No pair of patients can be compared ({len(time)} patients, {len(plan.events)} events).",
            "at least one event with another patient followed longer",
            "Use more patients or a longer follow-up; a single patient has no concordance.",
        )
    return Concordance(float(value), estimator, len(time), int(seen.sum()), int(comparable.sum()), tmax_days, source)


def bootstrap_concordance(
    time_days: npt.ArrayLike,
    event: npt.ArrayLike,
    risk: npt.ArrayLike,
    *,
    subject_id: npt.ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    estimator: Estimator = "harrell",
    tmax_days: float | None = None,
    censoring: Outcomes | None = None,
) -> ConcordanceInterval:
    """Percentile bootstrap interval of the concordance; patients are drawn with all their rows.

    subject_id (n,): rows of one patient share a value; without it each row is a patient. Weights of Uno's estimator are
    estimated once and kept. Other arguments as in `concordance`.
    """
    check_bootstrap(resamples, level)
    point = concordance(time_days, event, risk, estimator=estimator, tmax_days=tmax_days, censoring=censoring)
    groups = patient_groups(subject_id, point.n)
    draws = bootstrap_values(
        time_days,
        event,
        [risk],
        groups,
        resamples=resamples,
        seed=seed,
        estimator=estimator,
        tmax_days=tmax_days,
        censoring=censoring,
    )[0]
    kept = draws[~np.isnan(draws)]
    lower, upper = percentile_interval(kept, level)
    return ConcordanceInterval(
        point,
        lower,
        upper,
        level,
        len(kept),
        resamples - len(kept),
        int(groups.max()) + 1,
        seed,
        few_events_warning(point.events),
    )


def bootstrap_values(
    time_days: npt.ArrayLike,
    event: npt.ArrayLike,
    risks: list[npt.ArrayLike],
    groups: npt.NDArray[np.int64],
    *,
    resamples: int,
    seed: int,
    estimator: Estimator = "harrell",
    tmax_days: float | None = None,
    censoring: Outcomes | None = None,
) -> Float64Array:
    """Concordance of each risk in each resample, (len(risks), resamples); the draws are the same for all risks.

    NaN where a resample holds no comparable pair.
    """
    plans = []
    for risk in risks:
        time, seen, score = checked(time_days, event, risk)
        plans.append(_plan(time, seen, score, estimator, tmax_days))
    weights, _ = _event_weights(plans[0], time, seen, estimator, censoring)
    blocks = []
    for counts in resample_counts(groups, resamples, seed):
        comparable, opened = plans[0].comparable(counts), counts[plans[0].events]
        ratios = [_ratio(plan.twice_concordant(counts), comparable, opened, weights, estimator) for plan in plans]
        blocks.append(np.stack(ratios))
    return np.concatenate(blocks, axis=1)


def percentile_interval(values: Float64Array, level: float) -> tuple[float, float]:
    """(lower, upper) percentiles of bootstrap values; NaN where there is none."""
    if not len(values):
        return float("nan"), float("nan")
    lower, upper = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)


def few_events_warning(events: int) -> str | None:
    """A sentence where events are too few for a trustworthy interval."""
    if events >= FEW_EVENTS:
        return None
    return f"Only {events} events: the interval is unreliable below {FEW_EVENTS}, and no test should rest on it."


def checked(
    time_days: npt.ArrayLike, event: npt.ArrayLike, risk: npt.ArrayLike
) -> tuple[Float64Array, BoolArray, Float64Array]:
    """The three columns as (n,) float, bool, float arrays, or a UserFacingError."""
    time, flag, score = _numbers(time_days, event, risk)
    if not time.ndim == 1 or not time.shape == flag.shape == score.shape or not len(time):
        raise UserFacingError(
            "Times, events and scores do not belong together.",
            "three columns of the same, non-zero length",
            "Pass one row for each patient.",
        )
    if not (np.isfinite(time).all() and np.isfinite(score).all()) or (time < 0).any():
        raise UserFacingError(
            "Some times or scores are missing, infinite or negative.",
            "finite scores and times of 0 days or more",
            "Remove or complete the affected rows.",
        )
    if not np.isin(flag, (0.0, 1.0)).all():
        raise UserFacingError(
            "The event column holds values besides 0 and 1.",
            "1 for an event seen, 0 for censored",
            "Recode the event column.",
        )
    return time, flag.astype(bool), score


def _numbers(*columns: npt.ArrayLike) -> list[Float64Array]:
    try:
        return [np.asarray(values, np.float64) for values in columns]
    except (TypeError, ValueError) as error:
        raise UserFacingError(
            "Some times, events or scores are not numbers.",
            "numbers: days, 1 or 0, and a score for each patient",
            "Recode these columns.",
        ) from error


def check_bootstrap(resamples: int, level: float) -> None:
    """Refuse a bootstrap without draws and a level that is no share, such as 95."""
    if resamples < 1 or not 0 < level < 1:
        raise UserFacingError(
            f"The bootstrap was asked for {resamples:,} resamples and a level of {level:g}.",
            "at least one resample, and a level between 0 and 1, such as 0.95",
            "Change them.",
        )


def _plan(
    time: Float64Array, event: BoolArray, risk: Float64Array, estimator: str, tmax_days: float | None
) -> PairPlan:
    if estimator not in get_args(Estimator):
        raise UserFacingError(
            f"There is no concordance estimator named {estimator!r}.",
            ", ".join(get_args(Estimator)),
            "Choose one of these; for whole curves use antolini_concordance.",
        )
    return plan_pairs(time, event, risk, tmax_days=tmax_days, strict=estimator == "incident_dynamic")


def _event_weights(
    plan: PairPlan,
    time: Float64Array,
    event: BoolArray,
    estimator: str,
    censoring: Outcomes | None,
) -> tuple[Float64Array, str]:
    """Weight (q,) of each event that opens pairs, and where it comes from."""
    at = time[plan.events]
    if estimator == "uno":
        source = "evaluated patients" if censoring is None else "training patients"
        free = censoring_survival(time, event) if censoring is None else censoring_survival(*censoring)
        return 1.0 / free.positive(at) ** 2, f"Kaplan-Meier of censoring, {source}"
    if estimator == "incident_dynamic":
        return _marginal_weights(event_survival(time, event), at), "none"
    return np.ones(len(at)), "none"


def _marginal_weights(marginal: StepFunction, at: Float64Array) -> Float64Array:
    """2 f(t) S(t) of the marginal Kaplan-Meier, shared evenly among events of one time (normalised by the caller).

    S is the mean of its values just before and at the jump, so the weights of uncensored data sum to 1.
    """
    times, which, tied = np.unique(at, return_inverse=True, return_counts=True)
    before, after = marginal.before(times), marginal(times)
    return np.asarray(((before - after) * (before + after) / tied)[which], np.float64)


def _ratio(
    twice_concordant: npt.NDArray[np.int32],
    comparable: npt.NDArray[np.int32],
    opened: npt.NDArray[np.int32],
    weights: Float64Array,
    estimator: str,
) -> Float64Array:
    """Concordance of each column: (q, b) counts, (q, b) draws of the events, (q,) weights -> (b,)."""
    drawn = opened * weights[:, None]
    if estimator == "incident_dynamic":
        usable = comparable > 0
        share = np.divide(0.5 * twice_concordant, comparable, out=np.zeros(comparable.shape), where=usable)
        top, bottom = (drawn * share).sum(axis=0), (drawn * usable).sum(axis=0)
    else:
        top = 0.5 * np.einsum("qb,qb->b", drawn, twice_concordant)
        bottom = np.einsum("qb,qb->b", drawn, comparable)
    return np.asarray(np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0), np.float64)
