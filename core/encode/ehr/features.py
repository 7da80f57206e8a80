"""What both timeline encoders share: codes and values read out of events, on scales fitted on training patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from core.events.ancestors import Parents
from core.events.standard_codes import standard_code, standard_unit
from core.records import BIRTH, Timeline

LONG_AGO_DAYS = 3650.0


@dataclass(frozen=True)
class NumericScale:
    """Scale of one numeric code, fitted on training values.

    log: the scale is of the logarithm. centre, spread: mean and standard deviation (of the 1st to 99th percentile).
    edges: increasing bin edges in the recorded unit. unit: the unit seen in training, "" if unknown.
    """

    code: str
    log: bool
    centre: float
    spread: float
    edges: tuple[float, ...]
    unit: str = ""

    def standard(self, value: float) -> float:
        """z score, clipped to +-4."""
        scaled = np.log(max(value, 1e-6)) if self.log else value
        return float(np.clip((scaled - self.centre) / self.spread, -4.0, 4.0))

    def bin(self, value: float) -> int:
        """Bin number 0 .. len(edges)."""
        return int(np.searchsorted(self.edges, value, side="right"))

    def accepts(self, unit: object) -> bool:
        """False where the event's unit is known to differ from that of training: its number means something else."""
        known = isinstance(unit, str) and unit.strip() and self.unit
        return not known or standard_unit(str(unit), self.code) == standard_unit(self.unit, self.code)

    def to_json(self) -> dict[str, Any]:
        """Plain dict for an encoder configuration."""
        return asdict(self) | {"edges": list(self.edges)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NumericScale:
        """Inverse of `to_json`."""
        return cls(**{**data, "edges": tuple(data["edges"])})


@dataclass(frozen=True, eq=False)
class EventColumns:
    """Columns of a timeline as arrays of n events.

    codes: standard spellings (object). values: float64, NaN where none. units, texts: object. days: float64, <= 0, NaN
    for static facts. parents: standard code -> the codes that its data set names as its parents.
    """

    codes: npt.NDArray[np.object_]
    values: npt.NDArray[np.float64]
    units: npt.NDArray[np.object_]
    texts: npt.NDArray[np.object_]
    days: npt.NDArray[np.float64]
    parents: Parents = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.codes)

    def rows(self, kept: npt.NDArray[np.int64]) -> EventColumns:
        """The events at these places."""
        return replace(
            self,
            codes=self.codes[kept],
            values=self.values[kept],
            units=self.units[kept],
            texts=self.texts[kept],
            days=self.days[kept],
        )


def event_columns(timeline: Timeline) -> EventColumns:
    """Columns of a timeline; a birth gets the age in years at the prediction time as its value."""
    events = timeline.events
    spelled = {code: standard_code(code) for code in events["code"].unique()}
    codes = events["code"].map(spelled).to_numpy(object)
    values = events["numeric_value"].to_numpy(np.float64, copy=True)
    days = timeline.days_from_prediction
    born = codes == BIRTH
    values[born] = -days[born] / 365.25
    return EventColumns(
        codes,
        values,
        events["unit"].to_numpy(object),
        events["text_value"].to_numpy(object),
        days,
        timeline.code_parents,
    )


def feature_keys(code: str, text: object = None) -> tuple[str, ...]:
    """Curated features a coded event stands for, coarse to fine.

    ICD-10-CM: chapter of the malignant neoplasms, category and, where the code goes on, subcategory. ATC: fourth level.
    A text answer: code and text. Everything else: the code itself.

    >>> feature_keys("ICD10CM//C34.11"), feature_keys("ATC//C10AA05"), feature_keys("CPT//71275")
    (('ICD10CM//C', 'ICD10CM//C34', 'ICD10CM//C34.1'), ('ATC//C10A',), ('CPT//71275',))
    """
    system, _, rest = code.partition("//")
    if system == "ICD10CM":
        category = f"{system}//{rest[:3]}"
        chapter = (f"{system}//C",) if rest.startswith("C") else ()
        return (*chapter, category, f"{system}//{rest[:5]}") if len(rest) >= 5 else (*chapter, category)
    if system == "ATC":
        return (f"{system}//{rest[:4]}",)
    if isinstance(text, str) and text:
        return (f"{code}//{text}",)
    return (code,)


def relative_days(days: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """log1p(days before the prediction time) / log1p(3650); static facts (NaN) count as day 0."""
    before = np.maximum(-np.nan_to_num(np.asarray(days, np.float64)), 0.0)
    return np.asarray(np.log1p(before) / np.log1p(LONG_AGO_DAYS))


def fit_scales(
    columns: Sequence[EventColumns], quantiles: Sequence[float], least_share: float, most: int
) -> list[NumericScale]:
    """Scales of the numeric codes found in at least `least_share` of the training patients, commonest first.

    Births count as the numeric code `BIRTH` (age). `most` bounds the number of codes.
    """
    values: dict[str, list[float]] = {}
    units: dict[str, Counter[str]] = {}
    patients: Counter[str] = Counter()
    for table in columns:
        numeric = np.flatnonzero(np.isfinite(table.values))
        for row in numeric:
            code = str(table.codes[row])
            values.setdefault(code, []).append(float(table.values[row]))
            if isinstance(table.units[row], str):
                units.setdefault(code, Counter())[table.units[row]] += 1
        patients.update({str(code) for code in table.codes[numeric]})
    common = [code for code, count in patients.most_common() if count >= least_share * len(columns)]
    return [_fit_scale(code, values[code], units.get(code, Counter()), quantiles) for code in sorted(common[:most])]


def _fit_scale(code: str, values: list[float], units: Counter[str], quantiles: Sequence[float]) -> NumericScale:
    sample = np.asarray(values)
    low, high = np.percentile(sample, (1, 99))
    clipped = np.clip(sample, low, high)
    spread = float(clipped.std()) or 1.0
    skew = float(np.mean(((clipped - clipped.mean()) / spread) ** 3))
    log = bool(skew > 0.8 and low > 0)
    scaled = np.log(clipped) if log else clipped
    edges = np.unique(np.quantile(sample, quantiles))
    return NumericScale(
        code=code,
        log=log,
        centre=float(scaled.mean()),
        spread=float(scaled.std()) or 1.0,
        edges=tuple(float(edge) for edge in edges),
        unit=units.most_common(1)[0][0] if units else "",
    )


def count_patients(keys_by_patient: Iterable[set[str]]) -> Counter[str]:
    """In how many patients each key occurs."""
    counts: Counter[str] = Counter()
    for keys in keys_by_patient:
        counts.update(keys)
    return counts
