"""What encoders make of a scan or a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from core.records.arrays import FloatArray, freeze


@dataclass(frozen=True, eq=False)
class Tokens:
    """What an encoder makes of one patient's input: one row a slice, patch, event or window.

    values:    float32 (n, d).
    positions, relative_positions: float32 (n,), or (n, 3) for points. CT: z in mm (world), and within the lungs, 0 base
               to 1 apex, which may leave that range; points: x, y, z likewise. Timeline: days d from prediction time
               (<= 0), and log1p(-d) / log1p(3650).
    event_ids: timeline only: row of `Timeline.events` behind each token, -1 where a token stands for no single event.
    coverage:  share of slices or events that were read; known_share: of events, those whose code the encoder knows.
    known_by:  timeline only: that share apart, by how closely the code is known (`core.events.ancestors.Level`).
    first_day: timeline only: day of the earliest event that is read, birth apart, where event_ids do not tell it.
    """

    values: FloatArray
    positions: FloatArray
    relative_positions: FloatArray
    encoder: str
    source_digest: str
    event_ids: npt.NDArray[np.int64] | None = None
    coverage: float = 1.0
    known_share: float = 1.0
    known_by: Mapping[str, float] = field(default_factory=dict)
    first_day: float | None = None

    def __post_init__(self) -> None:
        for name in ("values", "positions", "relative_positions"):
            object.__setattr__(self, name, freeze(getattr(self, name), np.float32))
        if self.event_ids is not None:
            object.__setattr__(self, "event_ids", freeze(self.event_ids, np.int64))
        count, places = len(self.values), (self.positions, self.relative_positions)
        shaped = places[0].shape == places[1].shape and places[0].shape in ((count,), (count, 3))
        if self.values.ndim != 2 or not shaped:
            raise ValueError("tokens need values (n, d), and positions (n,) or (n, 3)")
        if self.event_ids is not None and self.event_ids.shape != (count,):
            raise ValueError("tokens need positions and event_ids for each")
        if not all(np.isfinite(one).all() for one in (self.values, *places)):
            raise ValueError("token values and positions must be finite")

    @property
    def axes(self) -> int:
        """1 where positions are numbers, 3 where they are points."""
        return 1 if self.positions.ndim == 1 else 3
