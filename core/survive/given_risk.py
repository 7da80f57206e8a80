"""What happened to the patients to whom a model gave about this risk: the range that is shown around a curve.

The patients are those of training and tuning. Each one's risk comes from models that were not fitted on that patient
(`core.train.cross_fit`), as it would for a new one.
- Inner band: their Kaplan-Meier curve's 95% interval. It says how well the number is borne out, and need not
  contain the predicted curve: where it does not, the model misjudges patients like these.
- Outer band, only where each one's true curve is known (virtual patients): what holds nine in ten of those curves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.records import Float64Array, GivenRisk, SurvivalCurve
from core.survive.metrics.kaplan_meier import KaplanMeier, kaplan_meier

NEIGHBOURS = 150
FEWEST = 60
"""With fewer patients near, an interval says little more than that nothing is known."""
NEAR = 0.7
"""How far another patient's log cumulative hazard may lie: about half to twice the risk."""
OUTER_SHARE = 0.9
INNER_BAND = "observed in the {patients} training patients given about this risk, 95% interval"
OUTER_BAND = "true curves of 90 of 100 single virtual patients given about this risk"
TOO_FEW = "no range: only {patients} training patients were given about this risk"
NOT_KNOWN = "no range: the outcomes of the training patients by risk are not kept with this model"
_Z = 1.959963984540054
_LEAST = 1e-9


@dataclass(frozen=True, eq=False)
class ReferenceOutcomes:
    """Outcomes of the reference patients, and the survival predicted for each by models that had not seen that one.

    time_days, event: (n,). days: (g,) increasing, above 0. given: (n, g) predicted S. true: (n, g) true S, or None.
    """

    time_days: Float64Array
    event: npt.NDArray[np.bool_]
    days: Float64Array
    given: Float64Array
    true: Float64Array | None = None

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> ReferenceOutcomes:
        """From the columns time_to_event_days, event, given_<day> and, where truth is known, true_<day>."""
        names = [name for name in table.columns if name.startswith("given_")]
        days = np.array([float(name.removeprefix("given_")) for name in names])
        true = [f"true_{name.removeprefix('given_')}" for name in names]
        known = all(name in table.columns for name in true)
        return cls(
            table["time_to_event_days"].to_numpy(np.float64),
            table["event"].to_numpy(bool),
            days,
            table[names].to_numpy(np.float64),
            table[true].to_numpy(np.float64) if known else None,
        )

    def to_table(self) -> pd.DataFrame:
        """The columns that `from_table` reads, survival as float32."""
        columns = {"time_to_event_days": self.time_days, "event": self.event}
        names = [f"{days:g}" for days in self.days]
        parts = {"given": self.given} | ({} if self.true is None else {"true": self.true})
        columns |= {
            f"{part}_{name}": values[:, place].astype(np.float32)
            for part, values in parts.items()
            for place, name in enumerate(names)
        }
        return pd.DataFrame(columns)


def near(outcomes: ReferenceOutcomes, survival: float, horizon_days: float) -> npt.NDArray[np.int64]:
    """Rows of the patients whose given risk by the horizon is nearest to 1 - `survival`: at most `NEIGHBOURS`, none
    farther than `NEAR` in log cumulative hazard."""
    apart = np.abs(log_hazard_at(outcomes.days, outcomes.given, horizon_days) - _log_hazard(survival))
    rows = np.argsort(apart, kind="stable")[:NEIGHBOURS]
    return np.asarray(rows[apart[rows] <= NEAR], np.int64)


def log_hazard_at(days: Float64Array, survival: Float64Array, at_days: npt.ArrayLike) -> Float64Array:
    """log H of curves (n, g) at `at_days`, linear in log time between the days, and so on before them."""
    known, at = _log_hazard(survival), np.log(np.maximum(np.asarray(at_days, np.float64), 1e-3))
    grid = np.log(days)
    place = np.clip(np.searchsorted(grid, at) - 1, 0, len(grid) - 2)
    share = (at - grid[place]) / (grid[place + 1] - grid[place])
    return np.asarray(known[:, place] * (1 - share) + known[:, place + 1] * share)


def with_bands(
    curve: SurvivalCurve, outcomes: ReferenceOutcomes | None, horizon_days: float, withheld: str = ""
) -> tuple[SurvivalCurve, GivenRisk | None]:
    """The curve with its bands, and what happened by the horizon; without them where nothing is known, and why.

    withheld: why there is no band although outcomes are known, in words.
    """
    if withheld or outcomes is None:
        return replace(curve, band=withheld or NOT_KNOWN), None
    rows = near(outcomes, curve.survival_at(horizon_days), horizon_days)
    if len(rows) < FEWEST:
        return replace(curve, band=TOO_FEW.format(patients=len(rows))), None
    km = kaplan_meier(outcomes.time_days[rows], outcomes.event[rows])
    lower, upper = score_interval(km, curve.times_days)
    risks = 1 - np.exp(-np.exp(log_hazard_at(outcomes.days, outcomes.given[rows], horizon_days)))
    low, high = score_interval(km, [horizon_days])
    given = GivenRisk(
        horizon_days=horizon_days,
        patients=len(rows),
        given=(float(risks.min()), float(risks.max())),
        observed=float(1 - km.survival_at([min(horizon_days, km.last_day)])[0]),
        interval=(float(1 - high[0]), float(1 - low[0])),
        true=_mean_true_risk(outcomes, rows, horizon_days),
    )
    banded = replace(curve, lower=lower, upper=upper, band=INNER_BAND.format(patients=len(rows)))
    if outcomes.true is None:
        return banded, given
    outer = outer_edges(log_hazard_at(outcomes.days, outcomes.true[rows], curve.times_days))
    return replace(banded, outer_lower=outer[0], outer_upper=outer[1], outer_band=OUTER_BAND), given


def _mean_true_risk(outcomes: ReferenceOutcomes, rows: npt.NDArray[np.int64], horizon_days: float) -> float | None:
    if outcomes.true is None:
        return None
    return float((1 - np.exp(-np.exp(log_hazard_at(outcomes.days, outcomes.true[rows], horizon_days)))).mean())


def outer_edges(log_hazards: Float64Array) -> tuple[Float64Array, Float64Array]:
    """(lower, upper) S that holds `OUTER_SHARE` of single further patients like those of (n, t) log cumulative hazards.

    The ranks are those of a prediction interval: of n patients the k-th smallest holds a further one below it with
    probability k / (n + 1).
    """
    count = len(log_hazards)
    tail = (1 - OUTER_SHARE) / 2
    ranked = np.sort(log_hazards, axis=0)
    last = count - 1
    low_place, high_place = tail * (count + 1) - 1, (1 - tail) * (count + 1) - 1
    edges = [_between(ranked, float(np.clip(place, 0, last))) for place in (high_place, low_place)]
    lower, upper = (np.minimum.accumulate(np.exp(-np.exp(edge))) for edge in edges)
    lower[0] = upper[0] = 1.0
    return lower, upper


def score_interval(km: KaplanMeier, days: npt.ArrayLike) -> tuple[Float64Array, Float64Array]:
    """(lower, upper) 95% of S at each day: Wilson's score interval for the number of patients that Greenwood's variance
    amounts to (Rothman 1978), that at risk where nobody had the event. Never degenerate, also with few events; beyond
    the follow-up as at its end.
    """
    before = np.concatenate([[1.0], km.survival[:-1]])
    kept = np.divide(km.survival, before, out=np.zeros_like(before), where=before > 0)
    terms = np.divide(1 - kept, kept * km.still, out=np.zeros_like(kept), where=(kept > 0) & (km.still > 0))
    spread = terms.cumsum()
    row = np.maximum(np.searchsorted(km.times_days, np.asarray(days, np.float64), side="right") - 1, 0)
    survival, variance = km.survival[row], spread[row]
    amounts = np.where(
        (variance > 0) & (survival > 0),
        np.divide(1 - survival, survival * variance, out=np.ones_like(survival), where=(survival * variance) > 0),
        np.maximum(km.still[row], 1),
    )
    amounts = np.minimum(amounts, km.n)
    middle = (survival + _Z**2 / (2 * amounts)) / (1 + _Z**2 / amounts)
    half = _Z / (1 + _Z**2 / amounts) * np.sqrt(survival * (1 - survival) / amounts + _Z**2 / (4 * amounts**2))
    lower = np.minimum.accumulate(np.clip(middle - half, 0, 1))
    upper = np.minimum.accumulate(np.clip(np.maximum(middle + half, survival), 0, 1))
    first = np.asarray(days, np.float64) <= 0
    return np.where(first, 1.0, lower), np.where(first, 1.0, upper)


def _between(ranked: Float64Array, place: float) -> Float64Array:
    low = int(np.floor(place))
    high = min(low + 1, len(ranked) - 1)
    return np.asarray(ranked[low] + (place - low) * (ranked[high] - ranked[low]))


def _log_hazard(survival: npt.ArrayLike) -> Float64Array:
    return np.asarray(np.log(np.maximum(-np.log(np.clip(np.asarray(survival, np.float64), _LEAST, 1)), _LEAST)))
