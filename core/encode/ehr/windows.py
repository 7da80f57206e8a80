"""The record encoder `medm2t`: sparse values in windows of time, without imputation (MedM2T, arXiv 2510.27321).

An observation is the product of what was measured and in which tenth of the training values it fell. A window is the
mean of its observations, an empty one a learned token; cumulative windows, each with all before it, are a switch. An
LSTM reads the windows both ways, oldest first. Tokens are the windows, each beside what both directions say at their
ends. Tenths are observed values, so that an increasing change of unit changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.encode.ehr.compact_sequence import Records
from core.encode.ehr.features import EventColumns, relative_days
from core.events.standard_codes import standard_unit
from core.events.stays import is_stay_code
from core.records import BIRTH, Float64Array, Tokens
from core.records.interfaces import RecordEncoder

WINDOWS, TENTHS, HIDDEN = 10, 10, 48
_MOST_SOURCES, _LEAST_PATIENTS, _LEAST_VALUES = 300, 5, 20
_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class WindowRows:
    """Observations of one record: source, value and window int64 (n,). read: share of its events."""

    source: npt.NDArray[np.int64]
    value: npt.NDArray[np.int64]
    window: npt.NDArray[np.int64]
    read: float
    first_day: float | None


class WindowEncoder(RecordEncoder):
    """Records to `WINDOWS` tokens of 2 H numbers: both directions at the window, and each at its end."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(config)
        self.edges_days = np.array(config["edges_days"], np.float64)
        self.sources = {str(code): number for number, code in enumerate(config["sources"])}
        self.units = [str(unit) for unit in config["units"]]
        self.tenths = [np.array(edges, np.float64) for edges in config["tenths"]]
        self.cumulative = bool(config["cumulative"])
        hidden = int(config["hidden"])
        self.windows = len(self.edges_days) + 1
        self.width = 2 * hidden
        self.source = nn.Embedding(max(1, len(self.sources)), hidden)
        self.value = nn.Embedding(TENTHS + 1, hidden)
        self.none = nn.Parameter(0.1 * torch.randn(hidden))
        self.read = nn.LSTM(hidden, hidden // 2, batch_first=True, bidirectional=True)
        nn.init.normal_(self.source.weight, std=1.0)
        with torch.no_grad():  # tenths begin in their order, along one direction, so that few values go far
            ramp = (torch.arange(TENTHS + 1) - (TENTHS + 1) / 2).unsqueeze(1) / 3
            self.value.weight.copy_(ramp * torch.randn(hidden) + 0.1 * torch.randn(TENTHS + 1, hidden))
            self.value.weight[0] = torch.randn(hidden)

    def read_columns(self, table: EventColumns) -> WindowRows:
        """Known observations of a record; static facts and the birth stand in the newest window."""
        codes = [str(code) for code in table.codes]
        rows = [row for row, code in enumerate(codes) if code in self.sources and self._same_unit(code, table, row)]
        source = np.array([self.sources[codes[row]] for row in rows], np.int64)
        value = np.array([self._tenth(self.sources[codes[row]], table.values[row]) for row in rows], np.int64)
        days = table.days[np.array(rows, np.int64)] if rows else np.zeros(0)
        dated = np.where(np.array([codes[row] == BIRTH for row in rows], bool), np.nan, days)
        window = np.searchsorted(self.edges_days, np.nan_to_num(dated), side="left")
        first = float(np.nanmin(dated)) if np.isfinite(dated).any() else None
        return WindowRows(source, value, window, len(rows) / max(1, len(codes)), first)

    def prepared(self, records: Records) -> list[WindowRows]:
        """The observations of each record."""
        return [self.read_columns(table) for table in records.columns()]

    def embedded(self, prepared: Sequence[WindowRows]) -> tuple[Tensor, Tensor]:
        """Tokens (B, W, 2 H); all are there of a record with any observation, none of one without."""
        states = self.window_states(prepared)
        both, _ = self.read(states)
        half = both.shape[2] // 2
        ends = torch.cat([both[:, -1, :half], both[:, 0, half:]], 1)
        values = torch.cat([both, ends.unsqueeze(1).expand(-1, both.shape[1], -1)], 2)
        known = torch.tensor([bool(len(rows.source)) for rows in prepared], device=values.device)
        mask = known[:, None].expand(-1, values.shape[1])
        return values * mask.unsqueeze(2), mask

    def window_states(self, prepared: Sequence[WindowRows]) -> Tensor:
        """Mean observation of each window (B, W, H), the learned token where there is none; oldest first."""
        device = self.none.device
        owner = np.repeat(np.arange(len(prepared)), [len(rows.source) for rows in prepared])
        source, value, window = (
            torch.from_numpy(np.concatenate([getattr(rows, name) for rows in prepared])).to(device)
            for name in ("source", "value", "window")
        )
        seen = self.source(source) * self.value(value)
        place = torch.from_numpy(owner).to(device) * self.windows + window
        shape = (len(prepared) * self.windows, seen.shape[1])
        total = seen.new_zeros(shape).index_add(0, place, seen).view(len(prepared), self.windows, -1)
        count = torch.bincount(place, minlength=shape[0]).view(len(prepared), self.windows, 1)
        if self.cumulative:
            total, count = total.cumsum(1), count.cumsum(1)
        return torch.where(count > 0, total / count.clamp(min=1), self.none)

    def summed(self, values: Tensor, mask: Tensor) -> Tensor:
        """(B, H): what both directions say at their ends."""
        return values[:, -1, values.shape[2] // 2 :]

    @torch.no_grad()
    def encode(self, records: Records) -> list[Tokens]:
        """Tokens of each record, in order."""
        read, digests = self.prepared(records), records.digests()
        middles = self._middles()
        places = middles.astype(np.float32)
        relative = relative_days(middles).astype(np.float32)
        nothing = np.full(self.windows, -1)
        found: list[Tokens] = []
        for start in range(0, len(read), _AT_ONCE):
            part = read[start : start + _AT_ONCE]
            values = self.embedded(part)[0].float().cpu().numpy()
            for number, rows in enumerate(part):
                kept = slice(None) if len(rows.source) else slice(0, 0)
                found.append(
                    Tokens(
                        values[number][kept], places[kept], relative[kept], "medm2t", digests[start + number],
                        nothing[kept], coverage=rows.read, known_share=rows.read, first_day=rows.first_day,
                    )
                )  # fmt: skip
        return found

    def _same_unit(self, code: str, table: EventColumns, row: int) -> bool:
        """False of a number in another unit than that of training: it means something else."""
        own, told = self.units[self.sources[code]], table.units[row]
        if not own or not np.isfinite(table.values[row]) or not isinstance(told, str) or not told.strip():
            return True
        return standard_unit(told, code) == standard_unit(own, code)

    def _tenth(self, source: int, value: float) -> int:
        """0 of a code without a number, else 1 to 10."""
        edges = self.tenths[source]
        return 0 if not len(edges) or not np.isfinite(value) else 1 + int(np.searchsorted(edges, value, side="right"))

    def _middles(self) -> Float64Array:
        edges = np.concatenate([[2 * self.edges_days[0] - self.edges_days[-1]], self.edges_days, [0.0]])
        return np.asarray((edges[1:] + edges[:-1]) / 2, np.float64)


def fit_windows(records: Records, *, seed: int = 0, hidden: int = HIDDEN, cumulative: bool = False) -> WindowEncoder:
    """Untrained encoder with the sources, tenths and windows of training records.

    Windows hold equal shares of the dated observations with a number (of all, where few have one), so that the newest
    are the finest where a record is densest before the prediction.
    """
    tables = records.columns()
    patients: Counter[str] = Counter()
    values: dict[str, list[float]] = {}
    units: dict[str, Counter[str]] = {}
    numbered, dated = [], []
    for table in tables:
        codes = [str(code) for code in table.codes]
        patients.update({code for code in codes if not is_stay_code(code)})
        for code, value, day, unit in zip(codes, table.values.tolist(), table.days.tolist(), table.units.tolist()):
            if np.isfinite(value):
                values.setdefault(code, []).append(value)
                if isinstance(unit, str) and unit.strip():
                    units.setdefault(code, Counter())[unit] += 1
            if code != BIRTH and np.isfinite(day):
                dated.append(day)
                if np.isfinite(value):
                    numbered.append(day)
    least = min(_LEAST_PATIENTS, len(tables))
    kept = sorted(code for code, count in patients.most_common(_MOST_SOURCES) if count >= least)
    days = np.array(numbered if len(numbered) > len(dated) / 4 else dated or [-1.0])
    edges = np.unique(np.quantile(days, np.arange(1, WINDOWS) / WINDOWS))
    config = {
        "name": "medm2t",
        "sources": kept,
        "units": [units[code].most_common(1)[0][0] if code in units else "" for code in kept],
        "tenths": [_tenths(values.get(code, [])) for code in kept],
        "edges_days": edges.tolist(),
        "hidden": hidden,
        "cumulative": cumulative,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return WindowEncoder(config)


def _tenths(values: Sequence[float]) -> list[float]:
    """Nine observed values that part the tenths; none of too few. Equal ones leave tenths empty."""
    if len(values) < _LEAST_VALUES:
        return []
    edges = np.quantile(np.array(values), np.arange(1, TENTHS) / TENTHS, method="lower")
    return [float(edge) for edge in edges]
