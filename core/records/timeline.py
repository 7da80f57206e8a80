"""One patient's coded events, up to the prediction time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.records.arrays import Origin, digest_arrays

SEXES: Mapping[str, Literal["F", "M"]] = {
    **dict.fromkeys(("f", "female", "w", "weiblich", "woman", "frau", "femme", "féminin", "femenino", "mujer"), "F"),
    **dict.fromkeys(("m", "male", "männlich", "maennlich", "man", "mann", "homme", "masculin", "masculino"), "M"),
}
"""Words for a sex, case-folded. Their first letter alone would make a man of "missing" and of "mujer"."""
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
    code_parents: standard code -> its parents, as the data set's codes.parquet names them, in standard spelling.
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
    code_parents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [name for name in TIMELINE_COLUMNS if name not in self.events.columns]
        if missing:
            raise ValueError(f"events lacks columns {missing}")
        if (self.events["time"] > self.prediction_time).any():
            raise ValueError("events hold a time after the prediction time")
        if not self.events["time"].fillna(pd.Timestamp.min).is_monotonic_increasing:
            raise ValueError("events must be sorted by time, static ones first")
        if (self.events["subject_id"] != self.subject_id).any():
            raise ValueError("events must be of the one subject")
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
