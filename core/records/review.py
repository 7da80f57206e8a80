"""What a model says of one patient, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.records.arrays import FloatArray, freeze
from core.records.curve import GivenRisk, SurvivalCurve
from core.records.modalities import EHR, IMAGE


@dataclass(frozen=True)
class MapStrength:
    """How strong a map is beside the maps of training patients: same model, method and horizon.

    share: of those patients whose map is weaker. scale_limit: where the common colour scale ends. patients: how many.
    """

    share: float
    scale_limit: float
    patients: int


@dataclass(frozen=True, eq=False)
class Attribution:
    """Saliency of the risk at a horizon on the study's voxel grid.

    values: float32 (i, j, k), same grid as the study; positive raises risk where `signed`, else magnitude >= 0.
    unit:   what one unit is, in words. convergence_delta: relative completeness error (IG family), else None.
    risk_change: sum over slices of the |change of risk| that the maps explain (IG family), else None.
    strength: beside the maps of training patients, None where those are not known. strongest: what the encoder itself
    reads where the map raises the risk most, in words, likeliest first; None where it reads no findings. depends: on
    what the model learned, by the weight-randomisation check; None where it was not run for this model and method.
    """

    values: FloatArray
    method: str
    horizon_days: float
    signed: bool
    unit: str
    parameters: Mapping[str, float | int | str] = field(default_factory=dict)
    convergence_delta: float | None = None
    risk_change: float | None = None
    strength: MapStrength | None = None
    strongest: tuple[str, ...] | None = None
    depends: bool | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", freeze(self.values, np.float32))
        if self.values.ndim != 3 or not np.isfinite(self.values).all():
            raise ValueError("attribution values must be a finite 3-D array")

    @property
    def scale_limit(self) -> float:
        """Where its colours end by default: on the scale of the training patients' maps, else on its own."""
        return self.own_limit if self.strength is None else self.strength.scale_limit

    @cached_property
    def own_limit(self) -> float:
        """End of its own scale: the 99.9th percentile of the magnitudes that are not zero; else 1."""
        sizes = np.abs(self.values)
        used = sizes[sizes > 0]
        return (float(np.percentile(used, 99.9)) or float(used.max())) if used.size else 1.0


@dataclass(frozen=True, eq=False)
class AttentionBlock:
    """Weights over the tokens of one modality: float32 (n,), non-negative, summing to 1.

    positions: of the tokens, (n,) or (n, 3), as in `Tokens`: of a scan world mm. event_ids: of a record, the row of
    `Timeline.events` behind each token, -1 for none.
    """

    weights: FloatArray
    positions: FloatArray
    event_ids: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("weights", np.float32), ("positions", np.float32), ("event_ids", np.int64)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, freeze(getattr(self, name), dtype))
        count = len(self.weights)
        if self.weights.ndim != 1 or self.positions.shape not in ((count,), (count, 3)):
            raise ValueError("weights and positions must be of one length")
        if self.event_ids is not None and self.event_ids.shape != (count,):
            raise ValueError("weights and event_ids must be of one length")
        if not (self.weights >= 0).all() or not abs(float(self.weights.sum()) - 1) <= 1e-3:
            raise ValueError("weights must be non-negative and sum to 1")


@dataclass(frozen=True, eq=False)
class Attention:
    """Weights over one patient's tokens, a block for each modality that the model weighs and this patient has.

    kind: what the weights are ("attention pooling", "cross-attention", ...), with its caveat in words.
    """

    kind: str
    blocks: Mapping[str, AttentionBlock]

    @property
    def ct_weights(self) -> FloatArray | None:
        """(n,) weights of the CT's tokens; None where there are none."""
        return self.blocks[IMAGE].weights if IMAGE in self.blocks else None

    @property
    def ct_positions_mm(self) -> FloatArray | None:
        """(n,) world z of the CT's tokens, mm."""
        positions = self.blocks[IMAGE].positions if IMAGE in self.blocks else None
        return positions if positions is None or positions.ndim == 1 else positions[:, 2]

    @property
    def ehr_weights(self) -> FloatArray | None:
        """(n,) weights of the record's tokens; None where there are none."""
        return self.blocks[EHR].weights if EHR in self.blocks else None

    @property
    def ehr_event_ids(self) -> npt.NDArray[np.int64] | None:
        """(n,) row of `Timeline.events` behind each token of the record, -1 for none."""
        return self.blocks[EHR].event_ids if EHR in self.blocks else None

    def by_height(self) -> tuple[FloatArray, FloatArray] | None:
        """Of the CT, (weights, world z in mm), from the feet up, tokens of one height together; None without a CT."""
        weights, places = self.ct_weights, self.ct_positions_mm
        if weights is None or places is None:
            return None
        heights, owners = np.unique(places, return_inverse=True)
        return np.bincount(owners, weights).astype(np.float32), heights


@dataclass(frozen=True, eq=False)
class EventGroup:
    """Every event of a record that is about one thing, and what they contribute together (not the sum of each)."""

    event_ids: npt.NDArray[np.int64]
    contribution: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "event_ids", freeze(self.event_ids, np.int64))
        if self.event_ids.ndim != 1 or not len(self.event_ids):
            raise ValueError("a group needs events")
        if not np.isfinite(self.contribution):
            raise ValueError("contributions of events must be finite")


@dataclass(frozen=True, eq=False)
class EventAttribution:
    """Signed contribution to the log cumulative hazard at the horizon (positive raises risk): with minus without.

    event_ids, values (n,): the events that the model read, each left out alone; any other contributes exactly 0.
    groups: the same events by what they are about, each group left out as one; an event stands in one group at most.
    """

    event_ids: npt.NDArray[np.int64]
    values: FloatArray
    method: str
    horizon_days: float
    groups: tuple[EventGroup, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "event_ids", freeze(self.event_ids, np.int64))
        object.__setattr__(self, "values", freeze(self.values, np.float32))
        if self.values.ndim != 1 or self.event_ids.shape != self.values.shape:
            raise ValueError("each event needs one value")
        if not np.isfinite(self.values).all():
            raise ValueError("contributions of events must be finite")
        grouped = [event for group in self.groups for event in group.event_ids.tolist()]
        if len(grouped) > len(set(grouped)):
            raise ValueError("an event stands in one group at most")


NoticeLevel = Literal["info", "caution", "warning"]


DIED_BEFORE, NOTHING_READ, VIRTUAL_WEIGHTS = "died_before", "nothing_read", "virtual_weights"
OTHER_PERSON, OUTSIDE_POPULATION = "other_person", "outside_population"
"""Keys of the notices without which a result would be misread: the patient had died by day 0; the model read nothing of
the patient; it was trained on virtual patients; scan and record may be of two people; unlike the training patients."""
FEW_EVENTS, NOT_EVALUATED, CHANCE_LEVEL = "few_events", "not_evaluated", "chance_level"
THIN_RECORD = "thin_record"
ENOUGH_EVENTS = 50
"""Training patients with the event from whom on a model's number is shown large."""
DOUBTS = {
    DIED_BEFORE: "the patient had died by day 0",
    NOTHING_READ: "nothing of this patient was read",
    OTHER_PERSON: "scan and record may be of two people",
    OUTSIDE_POPULATION: "outside the training population",
    THIN_RECORD: "the record is short, so the risk is likely too low",
    CHANCE_LEVEL: "this model ranks patients no better than chance",
    FEW_EVENTS: "this model was trained on few events",
    NOT_EVALUATED: "this model was never evaluated",
}
"""Why a risk does not apply, in a few words: with a warning of one of these keys no number looks sure."""


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
    attribution (None where the model reads no timeline); notices; and what produced them. given: by horizon, what
    happened to the patients to whom the model gave about this risk by then, where there are enough of them.
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
    given: Mapping[float, GivenRisk] = field(default_factory=dict)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the risk does not apply to this patient or at all, in a few words each; () where it does."""
        warned = {notice.key for notice in self.notices if notice.level == "warning"}
        return tuple(words for key, words in DOUBTS.items() if key in warned)
