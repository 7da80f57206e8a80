"""Every model of a task on one case, side by side: the same rows on screen and in the export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core import RESEARCH_NOTICE
from core.records import CaseReview


@dataclass(frozen=True)
class Measured:
    """A measure on patients that the model had not seen, with its 95% interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class ModelRow:
    """One model on one case. review: None where it refused, and why. name: what its page calls it.

    concordance: Harrell's C. observed_expected: patients with the event by the horizon over those it expected. Both on
    held-out patients, None where they were not measured.
    """

    key: str
    title: str
    fusion: str
    reads: tuple[str, ...]
    review: CaseReview | None
    refused: str
    concordance: Measured | None
    observed_expected: Measured | None


def measured_on_held_out(metrics: Mapping[str, Any], horizon_days: float) -> tuple[Measured | None, Measured | None]:
    """(concordance, observed / expected by the horizon) of an evaluation report; None where it has none."""
    found: Mapping[str, Any] = next(iter(metrics.get("models", {}).values()), {})
    concordance = next(iter(found.get("concordance", [])), None)
    entry = found.get("horizons", {}).get(f"{horizon_days:g}", {}).get("calibration") or {}
    ratio = entry.get("observed_expected")
    return _measured(concordance, "value"), _measured(ratio, "ratio")


def _measured(entry: Mapping[str, Any] | None, name: str) -> Measured | None:
    values = [None if entry is None else entry.get(key) for key in (name, "lower", "upper")]
    return None if None in values else Measured(*(float(value) for value in values if value is not None))


def comparison_record(rows: Sequence[ModelRow], horizon_days: float) -> dict[str, Any]:
    """The rows in numbers, JSON-able; a risk that does not apply says why beside it."""
    return {
        "notice": RESEARCH_NOTICE,
        "horizon_days": horizon_days,
        "models": [_entry(row, horizon_days) for row in rows],
    }


def _entry(row: ModelRow, horizon_days: float) -> dict[str, Any]:
    review = row.review
    risk = None if review is None else review.curve.risk_at(horizon_days)
    given = None if review is None else review.given.get(horizon_days)
    return {
        "model": row.title,
        "fusion": row.fusion,
        "reads": list(row.reads),
        "weights_sha256": None if review is None else review.bundle_digest,
        "risk": None if risk is None or risk != risk else risk,
        "observed_in_those_given_about_this_risk": None if given is None else list(given.interval),
        "does_not_apply": [] if review is None else list(review.doubts),
        "refused": row.refused or None,
        "held_out_concordance": None if row.concordance is None else asdict(row.concordance),
        "held_out_observed_over_expected": None if row.observed_expected is None else asdict(row.observed_expected),
    }
