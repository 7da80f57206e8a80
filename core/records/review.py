"""What a model says of one patient, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.records.arrays import FloatArray, freeze
from core.records.curve import SurvivalCurve


@dataclass(frozen=True, eq=False)
class Attribution:
    """Saliency of the risk at a horizon on the study's voxel grid.

    values: float32 (i, j, k), same grid as the study; positive raises risk where `signed`, else magnitude >= 0.
    unit:   what one unit is, in words. convergence_delta: relative completeness error (IG family), else None.
    risk_change: sum over slices of the |change of risk| that the maps explain (IG family), else None.
    """

    values: FloatArray
    method: str
    horizon_days: float
    signed: bool
    unit: str
    parameters: Mapping[str, float | int | str] = field(default_factory=dict)
    convergence_delta: float | None = None
    risk_change: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", freeze(self.values, np.float32))
        if self.values.ndim != 3 or not np.isfinite(self.values).all():
            raise ValueError("attribution values must be a finite 3-D array")

    @cached_property
    def scale_limit(self) -> float:
        """End of every colour scale of this map: the 99.9th percentile of the magnitudes that are not zero; else 1."""
        sizes = np.abs(self.values)
        used = sizes[sizes > 0]
        return (float(np.percentile(used, 99.9)) or float(used.max())) if used.size else 1.0


@dataclass(frozen=True, eq=False)
class Attention:
    """Weights over one patient's tokens; each block sums to 1 (or is None where the model has no such block).

    ct_weights (n_slices,) with ct_positions_mm (n_slices,) world z; ehr_weights (n_tokens,) with ehr_event_ids.
    kind: what the weights are ("attention pooling", "cross-attention", ...), with its caveat in words.
    """

    kind: str
    ct_weights: FloatArray | None = None
    ct_positions_mm: FloatArray | None = None
    ehr_weights: FloatArray | None = None
    ehr_event_ids: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name, places in (("ct_weights", "ct_positions_mm"), ("ehr_weights", "ehr_event_ids")):
            weights, where = getattr(self, name), getattr(self, places)
            if (weights is None) != (where is None):
                raise ValueError(f"{name} and {places} belong together")
            if weights is None:
                continue
            weights = freeze(weights, np.float32)
            where = freeze(where, np.int64 if places == "ehr_event_ids" else np.float32)
            if weights.ndim != 1 or where.shape != weights.shape:
                raise ValueError(f"{name} and {places} must be of one length")
            if not (weights >= 0).all() or not abs(float(weights.sum()) - 1) <= 1e-3:
                raise ValueError(f"{name} must be non-negative and sum to 1")
            object.__setattr__(self, name, weights)
            object.__setattr__(self, places, where)


@dataclass(frozen=True, eq=False)
class EventAttribution:
    """Signed contribution of each event to the log cumulative hazard at the horizon (positive raises risk)."""

    event_ids: npt.NDArray[np.int64]
    values: FloatArray
    method: str
    horizon_days: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "event_ids", freeze(self.event_ids, np.int64))
        object.__setattr__(self, "values", freeze(self.values, np.float32))
        if self.values.ndim != 1 or self.event_ids.shape != self.values.shape:
            raise ValueError("each event needs one value")
        if not np.isfinite(self.values).all():
            raise ValueError("contributions of events must be finite")


NoticeLevel = Literal["info", "caution", "warning"]


DIED_BEFORE, NOTHING_READ, VIRTUAL_WEIGHTS = "died_before", "nothing_read", "virtual_weights"
OTHER_PERSON, OUTSIDE_POPULATION = "other_person", "outside_population"
"""Keys of the notices without which a result would be misread: the patient had died by day 0; the model read nothing of
the patient; it was trained on virtual patients; scan and record may be of two people; unlike the training patients."""


@dataclass(frozen=True)
class Notice:
    """One plain sentence a reader must see with the result. `key` names its kind for the interface and tests."""

    key: str
    level: NoticeLevel
    text: str


@dataclass(frozen=True)
class Task:
    """What is predicted, for whom, from when (a task card)."""

    name: str
    title: str
    event_words: str
    horizons_days: tuple[int, ...]
    hu_window: tuple[int, int]
    population: str
    time_zero: str


@dataclass(frozen=True, eq=False)
class CaseReview:
    """Everything one model says of one patient.

    curve with band; saliency (None where the model reads no image or none was asked for); attention; event
    attribution (None where the model reads no timeline); notices; and what produced them.
    """

    curve: SurvivalCurve
    saliency: Attribution | None
    attention: Attention | None
    event_attribution: EventAttribution | None
    notices: tuple[Notice, ...]
    task: Task
    fusion: str
    horizon_days: float
    device: str
    study_digest: str | None
    timeline_digest: str | None
    bundle_digest: str
    horizon_risks: Mapping[int, float] = field(default_factory=dict)
