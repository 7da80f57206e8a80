"""One electrocardiogram."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.records.arrays import digest_arrays, freeze

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@dataclass(frozen=True, eq=False)
class Ecg:
    """A recording of some of the twelve leads.

    signal_mv: float64 (samples, leads), NaN where the recorder marked a value as none. leads: of `STANDARD_LEADS`, in
    the order of the columns. rate_hz: samples a second. start: when it began, None where that is not told. filters:
    what the file says of the filters that were on. notes: plain sentences, one for each repair or doubt.
    """

    signal_mv: npt.NDArray[np.float64]
    leads: tuple[str, ...]
    rate_hz: float
    start: pd.Timestamp | None = None
    filters: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "signal_mv", freeze(self.signal_mv, np.float64))
        if self.signal_mv.ndim != 2 or self.signal_mv.shape[1] != len(self.leads) or not len(self.signal_mv):
            raise ValueError("an ECG needs signal_mv (samples, leads), at least one sample")
        if len(set(self.leads)) < len(self.leads) or not set(self.leads) <= set(STANDARD_LEADS):
            raise ValueError("leads must be of the twelve, each once")
        if not 0 < self.rate_hz < np.inf:
            raise ValueError("rate_hz must be above 0")

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.signal_mv) / self.rate_hz

    @property
    def missing_leads(self) -> tuple[str, ...]:
        """Of the twelve, those that were not recorded."""
        return tuple(lead for lead in STANDARD_LEADS if lead not in self.leads)

    def lead_mv(self, lead: str) -> npt.NDArray[np.float64] | None:
        """One lead (samples,), None where it was not recorded."""
        return self.signal_mv[:, self.leads.index(lead)] if lead in self.leads else None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of values, leads and rate."""
        told = np.frombuffer(f"{self.leads}{self.rate_hz}".encode(), np.uint8)
        return digest_arrays(told, self.signal_mv)
