"""A record as its concepts: one token for each thing that it tells of, however often.

A concept is what codes with the same known ancestors stand for: a disease "ever coded", a test with its latest value.
Its embedding is the sum over the code and its ancestors (`core.events.ancestors`), so that a code that training never
saw is still read as its category, block or chapter. Beside it every token carries the sum over the record's concepts,
read by a small network that was trained on outcomes of training patients (`core.pretrain.record_outcomes`), then
frozen: whatever pools the tokens keeps that sum, and its weights remain free to tell which concepts it looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from core.encode.ehr.compact_sequence import QUANTILES, Records
from core.encode.ehr.features import (
    EventColumns,
    NumericScale,
    count_patients,
    event_columns,
    fit_scales,
    relative_days,
)
from core.encode.ehr.rereading import Reread
from core.events.ancestors import Level, Parents, level_of, path_of
from core.records import BIRTH, Timeline, Tokens
from core.records.interfaces import RecordEncoder

SAME_MEASUREMENT_DAYS = 2.0
LONGEST_PATH = 8
TIME_FEATURES, RECORD_FEATURES = 3, 3
_MOST_NODES, _MOST_NUMERIC = 4000, 120
_ENCODED_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class ConceptRows:
    """What a record tells, a row a concept, of one patient or, end to end, of several.

    nodes int64 (m, 8): known codes of the path, nearest first, -1 where it is shorter. column int64 (m,): numeric
    column of the latest value, -1 without one; z, bin: that value on its scale. time float32 (m, 3): how long ago last
    and first, how often. days (m,): of the last event. event_ids (m,): its row in the record.
    offsets (p + 1,): rows of patient i are offsets[i] to offsets[i + 1]. record float32 (p, 3): how much there is.
    known_by (p, 3): share of events known exactly, by category, by chapter. first_days (p,): of the earliest one read.
    """

    nodes: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    z: npt.NDArray[np.float32]
    bin: npt.NDArray[np.int64]
    time: npt.NDArray[np.float32]
    days: npt.NDArray[np.float64]
    event_ids: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    record: npt.NDArray[np.float32]
    known_by: npt.NDArray[np.float64]
    first_days: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def joined(cls, parts: Sequence[ConceptRows]) -> ConceptRows:
        """Several patients end to end."""
        lengths = [np.diff(part.offsets) for part in parts]
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths or [np.zeros(0, np.int64)]))]).astype(np.int64)
        names = [name for name in cls.__dataclass_fields__ if name != "offsets"]
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}, offsets=offsets)

    def patients(self, index: npt.NDArray[np.int64]) -> ConceptRows:
        """These patients, in this order."""
        lengths = np.diff(self.offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.repeat(self.offsets[index] - offsets[:-1], lengths) + np.arange(offsets[-1])
        by_row = ("nodes", "column", "z", "bin", "time", "days", "event_ids")
        by_patient = ("record", "known_by", "first_days")
        return ConceptRows(
            **{name: getattr(self, name)[rows] for name in by_row},
            **{name: getattr(self, name)[index] for name in by_patient},
            offsets=offsets,
        )


ReadCode: TypeAlias = tuple[tuple[int, ...], str, Level | None]
"""Of a code: known nodes of its path, the code whose scale its numbers are on, and how closely it is known."""
Paths: TypeAlias = dict[str, ReadCode]
LEVELS: tuple[Level, ...] = ("exact", "category", "chapter")
"""Order of `ConceptRows.known_by`."""


class ConceptEncoder(RecordEncoder):
    """Records to a token for each concept: its own embedding (H), then the record's summary (S)."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(config)
        hidden, summary = int(config["hidden"]), int(config["summary"])
        self.scales = [NumericScale.from_json(item) for item in config["numeric"]]
        self._numeric = {scale.code: number for number, scale in enumerate(self.scales)}
        self._nodes = {node: number for number, node in enumerate(config["nodes"])}
        bins = max((len(scale.edges) + 1 for scale in self.scales), default=1)
        self.node = nn.Embedding(len(self._nodes) + 1, hidden, padding_idx=0)
        self.amount = nn.Embedding(len(self.scales) + 1, hidden, padding_idx=0)
        self.level = nn.Embedding((len(self.scales) + 1) * bins, hidden, padding_idx=0)
        self.bins = bins
        self.time = nn.Linear(TIME_FEATURES, hidden)
        self.told = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden))
        self.direct = nn.Linear(hidden + RECORD_FEATURES, summary)
        self.bent = nn.Sequential(
            nn.Linear(hidden + RECORD_FEATURES, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, summary)
        )
        self.width = hidden + summary
        for table in (self.node, self.amount, self.level):
            nn.init.normal_(table.weight, std=0.1)
            table.weight.data[0] = 0.0

    def read_all(self, tables: Iterable[EventColumns]) -> list[ConceptRows]:
        """The concepts of several records of one data set, whose codes have the same parents."""
        seen: Paths = {}
        return [self.read_columns(table, seen) for table in tables]

    def read_columns(self, table: EventColumns, seen: Paths | None = None) -> ConceptRows:
        """The concepts of one record. seen: codes read before, of the same data set; the record's are added."""
        codes, inverse = np.unique(table.codes.astype(str), return_inverse=True)
        paths_of = {} if seen is None else seen
        for code in codes.tolist():
            if code not in paths_of:
                paths_of[code] = self._path(code, table.parents.get(code, ()))
        read = [paths_of[code] for code in codes.tolist()]
        column = np.array([self._numeric.get(own, -1) for _, own, _ in read], np.int64)[inverse]
        units = self._accepted(table, column)
        known = np.array([bool(nodes) for nodes, _, _ in read], bool)[inverse] & units
        keys = {nodes: number for number, nodes in enumerate(dict.fromkeys(nodes for nodes, _, _ in read))}
        concept = np.array([keys[nodes] for nodes, _, _ in read], np.int64)[inverse]
        level = np.array([LEVELS.index(how) if how else -1 for _, _, how in read], np.int64)[inverse]
        rows = np.flatnonzero(known)
        paths = np.full((len(keys), LONGEST_PATH), -1, np.int64)
        for nodes, number in keys.items():
            paths[number, : len(nodes)] = nodes
        days = np.where(table.codes[rows] == BIRTH, 0.0, np.nan_to_num(table.days[rows]))
        return self._rows(table, rows, concept[rows], column[rows], paths, days, level[rows])

    def _rows(
        self,
        table: EventColumns,
        rows: npt.NDArray[np.int64],
        concept: npt.NDArray[np.int64],
        column: npt.NDArray[np.int64],
        paths: npt.NDArray[np.int64],
        days: npt.NDArray[np.float64],
        level: npt.NDArray[np.int64],
    ) -> ConceptRows:
        """Rows of the known events `rows`, whose concepts, numeric columns, days and levels are given."""
        found, first, place = np.unique(concept, return_index=True, return_inverse=True)
        last = len(rows) - 1 - np.unique(concept[::-1], return_index=True)[1] if len(rows) else first
        value, numeric = _latest_values(place, len(found), table.values[rows], days, column)
        z, bins = np.zeros(len(found), np.float32), np.zeros(len(found), np.int64)
        for row in np.flatnonzero(numeric >= 0):
            scale = self.scales[numeric[row]]
            z[row], bins[row] = scale.standard(value[row]), scale.bin(value[row])
        often = np.log1p(np.bincount(place, minlength=len(found))) / np.log(100.0)
        since = [relative_days(days[last]), relative_days(days[first]), often]
        dated = days[table.codes[rows] != BIRTH]
        span = float(relative_days(dated.min())) if len(dated) else 0.0
        much = [np.log1p(len(rows)) / np.log(1000.0), np.log1p(len(found)) / np.log(100.0), span]
        total = max(len(table), 1)
        return ConceptRows(
            nodes=paths[found],
            column=numeric,
            z=z,
            bin=bins,
            time=np.stack(since, 1).astype(np.float32).reshape(len(found), TIME_FEATURES),
            days=days[last],
            event_ids=rows[last],
            offsets=np.array([0, len(found)], np.int64),
            record=np.array([much], np.float32),
            known_by=np.array([[(level == number).sum() / total for number in range(len(LEVELS))]]),
            first_days=np.array([float(dated.min()) if len(dated) else np.nan]),
        )

    def _accepted(self, table: EventColumns, column: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """False for numbers in another unit than that of training: they mean something else."""
        fine = np.ones(len(table), bool)
        seen: dict[tuple[int, object], bool] = {}
        for row in np.flatnonzero((column >= 0) & np.isfinite(table.values)):
            key = (int(column[row]), table.units[row])
            if key not in seen:
                seen[key] = self.scales[key[0]].accepts(key[1])
            fine[row] = seen[key]
        return fine

    def _path(self, code: str, parents: tuple[str, ...]) -> ReadCode:
        """Of a standard code: the known nodes of its path, the code whose scale its numbers are on, and its level."""
        named: Parents = {code: parents} if parents else {}
        own = canonical(code, named)
        known = [node for node in path_of(own, named) if node in self._nodes]
        level = level_of(own, known[0], named) if known else None
        return tuple(self._nodes[node] for node in known[:LONGEST_PATH]), own, level

    def own(self, rows: ConceptRows) -> Tensor:
        """Embedding of each concept (m, H): code and ancestors, value, time."""
        device = self.node.weight.device
        nodes, column, bins = (torch.from_numpy(one).to(device) for one in (rows.nodes, rows.column, rows.bin))
        z, time = (torch.from_numpy(one).to(device) for one in (rows.z, rows.time))
        numeric = column + 1
        value = self.amount(numeric) * z[:, None] + self.level(numeric * self.bins + torch.where(numeric > 0, bins, 0))
        return torch.as_tensor(self.node(nodes + 1).sum(1) + value + self.time(time))

    def summary(self, rows: ConceptRows, own: Tensor) -> Tensor:
        """Summary of each record (p, S)."""
        device = own.device
        owners = torch.from_numpy(np.repeat(np.arange(len(rows)), np.diff(rows.offsets))).to(device)
        summed = own.new_zeros(len(rows), own.shape[1]).index_add(0, owners, self.told(own)) / 8.0
        read = torch.cat([summed, torch.from_numpy(rows.record).to(device)], 1)
        return torch.as_tensor(self.direct(read) + self.bent(read))

    def forward(self, rows: ConceptRows) -> Tensor:
        """Token values (m, H + S)."""
        own = self.own(rows)
        lengths = torch.from_numpy(np.diff(rows.offsets)).to(own.device)
        return torch.cat([own, self.summary(rows, own).repeat_interleave(lengths, 0)], 1)

    def prepared(self, records: Records) -> list[ConceptRows]:
        """The concepts of each record."""
        return self.read_all(records.columns())

    def embedded(self, prepared: Sequence[ConceptRows]) -> tuple[Tensor, Tensor]:
        """Tokens (B, L, H + S) and which are there (B, L)."""
        together = ConceptRows.joined(list(prepared))
        lengths = np.diff(together.offsets)
        values = pad_sequence(list(self(together).split(lengths.tolist())), batch_first=True)
        there = torch.from_numpy(np.arange(values.shape[1]) < lengths[:, None])
        return values, there.to(values.device)

    def encode(self, records: Records) -> list[Tokens]:
        """Tokens of each record, in order."""
        digests = records.digests()
        return self._encoded(self.read_all(records.columns()), digests)

    @torch.no_grad()
    def _encoded(self, read: Sequence[ConceptRows], digests: Sequence[str]) -> list[Tokens]:
        found = []
        for start in range(0, len(read), _ENCODED_AT_ONCE):
            part = read[start : start + _ENCODED_AT_ONCE]
            together = ConceptRows.joined(part)
            values = self(together).float().cpu().numpy()
            for number, rows in enumerate(part):
                of = slice(int(together.offsets[number]), int(together.offsets[number + 1]))
                found.append(_tokens(rows, values[of], digests[start + number]))
        return found

    def rereading(self, timeline: Timeline) -> Reread:
        """The timeline, ready to be read anew without some of its events."""
        table = event_columns(timeline)
        everything = np.arange(len(table))
        seen: Paths = {}
        whole = self.read_columns(table, seen)

        def reread(left_out: Sequence[frozenset[int]]) -> list[Tokens | None]:
            changed: dict[int, ConceptRows] = {}
            for place, events in enumerate(left_out):
                kept = np.delete(everything, list(events))
                rows = self.read_columns(table.rows(kept), seen)
                if not _same(rows, whole):
                    rows.event_ids[:] = kept[rows.event_ids]
                    changed[place] = rows
            found = self._encoded(list(changed.values()), [timeline.digest] * len(changed))
            by_place = dict(zip(changed, found, strict=True))
            return [by_place.get(place) for place in range(len(left_out))]

        return reread


def canonical(code: str, parents: Parents) -> str:
    """The code under which a test is read: the one code of LOINC that its data set calls its parent, else its own.

    >>> canonical("LAB//220045//bpm", {"LAB//220045//bpm": ("LOINC//8867-4",)}), canonical("X//1", {})
    ('LOINC//8867-4', 'X//1')
    """
    loinc = [parent for parent in parents.get(code, ()) if parent.startswith("LOINC//")]
    return loinc[0] if len(loinc) == 1 and not code.startswith("LOINC//") else code


def fit_concepts(records: Records, *, seed: int = 0, hidden: int = 32, summary: int = 24) -> ConceptEncoder:
    """Untrained encoder with the codes, ancestors (of at least 2 patients) and scales of training records."""
    columns = [_as_canonical(table) for table in records.columns()]
    scales = fit_scales(columns, QUANTILES, least_share=0.02, most=_MOST_NUMERIC)
    paths: dict[str, tuple[str, ...]] = {}

    def nodes_of(table: EventColumns) -> set[str]:
        codes = set(map(str, table.codes))
        paths.update({code: path_of(code, table.parents) for code in codes - paths.keys()})
        return {node for code in codes for node in paths[code]}

    counts = count_patients(nodes_of(table) for table in columns)
    nodes = sorted(node for node, count in counts.most_common(_MOST_NODES) if count >= 2)
    config = {
        "name": "concepts",
        "nodes": nodes,
        "numeric": [scale.to_json() for scale in scales if scale.code in set(nodes)],
        "hidden": hidden,
        "summary": summary,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ConceptEncoder(config)


def _as_canonical(table: EventColumns) -> EventColumns:
    """The record with its tests under LOINC where its data set says so."""
    if not table.parents:
        return table
    spelled = {code: canonical(code, table.parents) for code in set(table.codes)}
    codes = np.array([spelled[code] for code in table.codes], object)
    return EventColumns(codes, table.values, table.units, table.texts, table.days, table.parents)


def _latest_values(
    place: npt.NDArray[np.int64],
    count: int,
    values: npt.NDArray[np.float64],
    days: npt.NDArray[np.float64],
    column: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Of each concept the mean of its values within two days up to the latest, and its numeric column; -1 without."""
    rows = np.flatnonzero((column >= 0) & np.isfinite(values))
    latest = np.full(count, -np.inf)
    np.maximum.at(latest, place[rows], days[rows])
    near = rows[days[rows] >= latest[place[rows]] - SAME_MEASUREMENT_DAYS]
    sums = np.bincount(place[near], values[near], minlength=count)
    many = np.bincount(place[near], minlength=count)
    numeric = np.full(count, -1, np.int64)
    numeric[place[near]] = column[near]
    return sums / np.maximum(many, 1), numeric


def _tokens(rows: ConceptRows, values: npt.NDArray[np.float32], digest: str) -> Tokens:
    shares = dict(zip(LEVELS, rows.known_by[0].tolist(), strict=True))
    known = float(rows.known_by[0].sum())
    first = float(rows.first_days[0])
    return Tokens(
        values=values,
        positions=rows.days.astype(np.float32),
        relative_positions=np.minimum(relative_days(rows.days), 1.5).astype(np.float32),
        encoder="concepts",
        source_digest=digest,
        event_ids=rows.event_ids,
        coverage=known,
        known_share=known,
        known_by=shares,
        first_day=first,
    )


def _same(rows: ConceptRows, others: ConceptRows) -> bool:
    """Whether two readings of a record give the same tokens."""
    names = ("nodes", "column", "z", "time", "record")
    return all(np.array_equal(getattr(rows, name), getattr(others, name)) for name in names)
