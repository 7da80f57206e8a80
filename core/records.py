"""The nouns of the pipeline: frozen, unit-named, read-only, checked when built.

World coordinates are RAS+ millimetres: x grows to the patient's right, y to anterior, z to superior, as in NIfTI.
Voxel axes of a `CtStudy` are the closest canonical ones: i grows to the patient's right, j to anterior, k to superior.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float32]
Origin = Literal["real", "virtual", "unknown"]


def _freeze(array: npt.ArrayLike, dtype: npt.DTypeLike, order: Literal["C", "F"] = "C") -> np.ndarray:
    """Contiguous read-only array of `dtype`; copies only where it must."""
    frozen = np.asarray(array, dtype=dtype, order=order)
    if frozen is array and frozen.flags.writeable:
        frozen = frozen.view()
    frozen.flags.writeable = False
    return frozen


def digest_arrays(*arrays: np.ndarray) -> str:
    """SHA-256 (hex) over dtype, shape and bytes of the arrays, in order."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).view(np.uint8).data if array.ndim else array.tobytes())
    return sha.hexdigest()


def digest_volume(voxels: np.ndarray, affine: np.ndarray) -> str:
    """SHA-256 (hex) over shape, affine and the SHA-256 of every plane voxels[:, :, k], hashed side by side."""

    def digest(plane: np.ndarray) -> bytes:
        return hashlib.sha256(np.ascontiguousarray(plane).view(np.uint8).data).digest()

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        planes = b"".join(pool.map(digest, voxels.T))
    return digest_arrays(np.array(voxels.shape, np.int64), affine, np.frombuffer(planes, np.uint8))


@dataclass(frozen=True)
class AcquisitionFacts:
    """What the file says of how and when the scan was taken, and of whom; None or "" where it says nothing.

    tube_voltage_kv: peak kilovoltage. kernel: reconstruction kernel, a known name only. contrast_agent: whether the
    file names one; False only where it says that there was none. thickness_mm: nominal slice thickness. slice_axis: the
    axis (0, 1, 2 of the volume) along which slices follow each other in the file.
    taken: date and time of the acquisition, shown only as days from day 0 of a record. dates_shifted: by the file, its
    dates were changed when it was de-identified. sex, age_years (at most 90): of the patient, at the acquisition.
    """

    tube_voltage_kv: float | None = None
    kernel: str = ""
    contrast_agent: bool | None = None
    thickness_mm: float | None = None
    slice_axis: int = 2
    taken: datetime | None = field(default=None, repr=False)
    dates_shifted: bool = False
    sex: Literal["F", "M"] | None = field(default=None, repr=False)
    age_years: float | None = field(default=None, repr=False)


REPAIRED = "Repaired: "
"""How a note begins that tells of a repair."""


@dataclass(frozen=True, eq=False)
class CtStudy:
    """One CT volume.

    voxels_hu: int16 (i, j, k) Hounsfield units, closest-canonical RAS+ axes; i is fastest in memory, as in a scanner's
               slices, so that every axial plane voxels_hu[:, :, k] is one block.
    affine_mm: float64 (4, 4), voxel index -> RAS+ world, mm.
    notes:     plain sentences, one for each repair or doubt.
    facts:     how the scan was taken, as far as the file says.
    """

    voxels_hu: npt.NDArray[np.int16]
    affine_mm: npt.NDArray[np.float64]
    notes: tuple[str, ...] = ()
    description: str = "CT study"
    origin: Origin = "unknown"
    facts: AcquisitionFacts = AcquisitionFacts()

    def __post_init__(self) -> None:
        voxels = _freeze(self.voxels_hu, np.int16, "F")
        affine = _freeze(self.affine_mm, np.float64)
        if voxels.ndim != 3 or min(voxels.shape) < 1:
            raise ValueError(f"voxels_hu must be 3-D, got shape {voxels.shape}")
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise ValueError("affine_mm must be a finite, invertible 4 x 4 matrix")
        object.__setattr__(self, "voxels_hu", voxels)
        object.__setattr__(self, "affine_mm", affine)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of voxels and affine, the key of every cache; computed when first asked for."""
        return digest_volume(self.voxels_hu, self.affine_mm)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        i, j, k = self.voxels_hu.shape
        return i, j, k

    @property
    def repairs(self) -> tuple[str, ...]:
        """Those notes that tell of repairs: what was done, in words that go on from "The scan was repaired:"."""
        return tuple(note.removeprefix(REPAIRED) for note in self.notes if note.startswith(REPAIRED))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along i, j, k in mm."""
        x, y, z = np.linalg.norm(self.affine_mm[:3, :3], axis=0)
        return float(x), float(y), float(z)


SEXES: Mapping[str, Literal["F", "M"]] = {
    **dict.fromkeys(("f", "female", "w", "weiblich", "woman", "frau", "femme", "féminin", "femenino", "mujer"), "F"),
    **dict.fromkeys(("m", "male", "männlich", "maennlich", "man", "mann", "homme", "masculin", "masculino"), "M"),
}
"""Words for a sex, case-folded. Their first letter alone would make a man of "missing" and of "mujer"."""
_ROUNDING_DAYS = 1e-3
"""How far single precision may round a time of years."""
BIRTH = "MEDS_BIRTH"
TIMELINE_COLUMNS = ("subject_id", "time", "code", "numeric_value", "text_value", "unit")


@dataclass(frozen=True, eq=False)
class Timeline:
    """One patient's coded events up to the prediction time, and nothing after it.

    events: MEDS columns subject_id (int64), time (datetime64[us]; NaT for static facts), code (str),
            numeric_value (float32), text_value (str or None), and unit (str or None); sorted by time, static first.
            The row number is the event id used by tokens, attention and attributions.
    prediction_time: the cut; day 0 of every displayed time. later_event_count: events cut away; a count, never content.
    code_descriptions: code -> words, where known. described_by_rows: codes whose words the patient's own rows give.
    code_kinds: code -> kind (`core.timeline.KINDS`), where the source's table says more than the code itself.
    """

    events: pd.DataFrame
    subject_id: int
    prediction_time: pd.Timestamp
    notes: tuple[str, ...] = ()
    later_event_count: int = 0
    origin: Origin = "unknown"
    code_descriptions: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    code_kinds: Mapping[str, str] = field(default_factory=dict)
    described_by_rows: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        missing = [name for name in TIMELINE_COLUMNS if name not in self.events.columns]
        if missing:
            raise ValueError(f"events lacks columns {missing}")
        if (self.events["time"] > self.prediction_time).any():
            raise ValueError("events hold a time after the prediction time")
        if not self.digest:
            hashed = pd.util.hash_pandas_object(
                self.events[list(TIMELINE_COLUMNS)].astype({"time": "int64"}), index=False
            )
            key = np.append(hashed.to_numpy(np.uint64), np.uint64(self.prediction_time.value % 2**64))
            object.__setattr__(self, "digest", digest_arrays(key))

    @property
    def days_from_prediction(self) -> npt.NDArray[np.float64]:
        """Days of each event relative to the prediction time (<= 0; NaN for static facts)."""
        delta = self.events["time"] - self.prediction_time
        return np.asarray(delta / pd.Timedelta(days=1), dtype=np.float64)

    @property
    def age_years(self) -> float | None:
        """Age at the prediction time from the birth, or None."""
        born = self.events.loc[self.events["code"] == BIRTH, "time"].dropna()
        return None if born.empty else float((self.prediction_time - born.iloc[0]) / pd.Timedelta(days=365.25))

    @property
    def sex(self) -> Literal["F", "M"] | None:
        """Recorded sex (code GENDER//F, GENDER//M or another word for one), or None."""
        codes = self.events.loc[self.events["code"].str.upper().str.startswith(("GENDER//", "SEX//")), "code"]
        return SEXES.get(codes.iloc[0].split("//")[1].strip().casefold()) if len(codes) else None


@dataclass(frozen=True, eq=False)
class Tokens:
    """What an encoder makes of one patient's input: one row a slice, patch, event or window.

    values:    float32 (n, d).
    positions, relative_positions: float32 (n,). CT: z in mm (world), and within the lungs, 0 base to 1 apex, which may
               leave that range. Timeline: days d from prediction time (<= 0), and log1p(-d) / log1p(3650).
    event_ids: timeline only: row of `Timeline.events` behind each token, -1 where a token stands for no single event.
    coverage:  share of slices or events that were read; known_share: of events, those whose code the encoder knows.
    """

    values: FloatArray
    positions: FloatArray
    relative_positions: FloatArray
    encoder: str
    source_digest: str
    event_ids: npt.NDArray[np.int64] | None = None
    coverage: float = 1.0
    known_share: float = 1.0

    def __post_init__(self) -> None:
        for name in ("values", "positions", "relative_positions"):
            object.__setattr__(self, name, _freeze(getattr(self, name), np.float32))
        if self.event_ids is not None:
            object.__setattr__(self, "event_ids", _freeze(self.event_ids, np.int64))
        if self.values.ndim != 2 or self.positions.shape != (len(self.values),):
            raise ValueError("tokens need values (n, d) and positions (n,)")
        if not np.isfinite(self.values).all():
            raise ValueError("token values must be finite")


def is_supported(days: float, last_days: float) -> bool:
    """Whether a time lies within the follow-up that ends at `last_days`, which single precision may have rounded down.

    >>> is_supported(365, 364.9999999), is_supported(366, 365.0)
    (True, False)
    """
    return days <= last_days + _ROUNDING_DAYS


@dataclass(frozen=True, eq=False)
class SurvivalCurve:
    """A predicted S(t): starts at 1, never rises, stays in [0, 1].

    times_days: float64 (t,), increasing, first 0. survival, lower, upper: float64 (t,).
    band: what lower and upper are, in words.
    The curve ends at the last supported time of training follow-up; beyond it no number is given.
    """

    times_days: npt.NDArray[np.float64]
    survival: npt.NDArray[np.float64]
    lower: npt.NDArray[np.float64]
    upper: npt.NDArray[np.float64]
    band: str = "spread of the ensemble"

    def __post_init__(self) -> None:
        for name in ("times_days", "survival", "lower", "upper"):
            object.__setattr__(self, name, _freeze(getattr(self, name), np.float64))
        times, survival = self.times_days, self.survival
        if times.ndim != 1 or len(times) < 2 or times[0] != 0 or not (np.diff(times) > 0).all():
            raise ValueError("times_days must increase from 0")
        for values in (survival, self.lower, self.upper):
            if values.shape != times.shape or not np.isfinite(values).all():
                raise ValueError("curve values must be finite and match times_days")
            if values[0] != 1 or (np.diff(values) > 0).any() or values.min() < 0 or values.max() > 1:
                raise ValueError("a survival curve starts at 1, never rises and stays in [0, 1]")
        if (self.lower > survival).any() or (self.upper < survival).any():
            raise ValueError("the band must enclose the curve")

    def survival_at(self, days: float) -> float:
        """S(days), linear between grid times; NaN beyond the last supported time."""
        if days < 0 or not is_supported(days, self.times_days[-1]):
            return float("nan")
        return float(np.interp(days, self.times_days, self.survival))

    def risk_at(self, days: float) -> float:
        """1 - S(days); NaN beyond the last supported time."""
        return 1.0 - self.survival_at(days)

    def risk_interval_at(self, days: float) -> tuple[float, float]:
        """(low, high) of the risk at `days` from the band; NaN beyond the last supported time."""
        if days < 0 or not is_supported(days, self.times_days[-1]):
            return float("nan"), float("nan")
        low, high = (float(np.interp(days, self.times_days, edge)) for edge in (self.upper, self.lower))
        return 1.0 - low, 1.0 - high

    @property
    def median_days(self) -> float | None:
        """First time with S <= 0.5, linear between grid times; None where it is not reached."""
        below = np.flatnonzero(self.survival <= 0.5)
        if not len(below):
            return None
        right = int(below[0])
        t0, t1, s0, s1 = *self.times_days[right - 1 : right + 1], *self.survival[right - 1 : right + 1]
        return float(t0 + (s0 - 0.5) / (s0 - s1) * (t1 - t0))

    def rmst_days(self, horizon: float) -> float:
        """Restricted mean survival time: area under S from 0 to `horizon` days; NaN beyond support."""
        if not is_supported(horizon, self.times_days[-1]):
            return float("nan")
        inside = self.times_days < horizon
        times = np.append(self.times_days[inside], horizon)
        return float(np.trapezoid(np.append(self.survival[inside], self.survival_at(horizon)), times))


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
    seconds: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _freeze(self.values, np.float32))
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
            weights = _freeze(weights, np.float32)
            where = _freeze(where, np.int64 if places == "ehr_event_ids" else np.float32)
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
        object.__setattr__(self, "event_ids", _freeze(self.event_ids, np.int64))
        object.__setattr__(self, "values", _freeze(self.values, np.float32))
        if self.values.ndim != 1 or self.event_ids.shape != self.values.shape:
            raise ValueError("each event needs one value")
        if not np.isfinite(self.values).all():
            raise ValueError("contributions of events must be finite")


NoticeLevel = Literal["info", "caution", "warning"]


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
