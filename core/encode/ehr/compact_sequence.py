"""A small causal transformer over coded events: one token an event.

Trained by next-code prediction (`core.pretrain.next_code.train`), then frozen. An event's token is its hidden state
(what the
record said up to then), its own code embedding, and its number in the code's own column, so that a fusion can read
values without having to decode them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import takewhile
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core.encode.ehr.features import (
    EventColumns,
    NumericScale,
    count_patients,
    event_columns,
    fit_scales,
    relative_days,
)
from core.encode.ehr.rereading import Reread
from core.records import BIRTH, Timeline, Tokens
from core.records.interfaces import RecordEncoder

QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
TIME_FEATURES = 18
_FREQUENCIES = (1.0, 2.0, 4.0, 8.0)
_MOST_CODES = 400
_BATCH_SIZE = 64
_MOST_FACTS = 32
"""Facts kept of a record that is too long, where it has so many; chosen: more than any form of demographics holds."""


_Row: TypeAlias = tuple[int, int, float, int, int]
"""Symbol, code, standard value, numeric column, row of the record."""


@dataclass(frozen=True, eq=False)
class EventRows:
    """Known events as columns of n rows.

    symbols: code with value bin. codes: code. z: standard value, 0 where none. numeric: column of the numeric code or
    -1. latest: 1 at the code's last event. days: days from the prediction time, NaN for static facts. event_ids: row
    of the patient's timeline.
    """

    symbols: npt.NDArray[np.int32] = field(metadata={"dtype": np.int32})
    codes: npt.NDArray[np.int32] = field(metadata={"dtype": np.int32})
    z: npt.NDArray[np.float32] = field(metadata={"dtype": np.float32})
    numeric: npt.NDArray[np.int32] = field(metadata={"dtype": np.int32})
    latest: npt.NDArray[np.float32] = field(metadata={"dtype": np.float32})
    days: npt.NDArray[np.float64] = field(metadata={"dtype": np.float64})
    event_ids: npt.NDArray[np.int32] = field(metadata={"dtype": np.int32})

    def __len__(self) -> int:
        return len(self.symbols)

    @classmethod
    def unfilled(cls, count: int) -> EventRows:
        """Columns of `count` rows, their values still to be written."""
        return EventRows(**{column.name: np.empty(count, column.metadata["dtype"]) for column in fields(EventRows)})

    def columns(self, rows: slice) -> dict[str, Any]:
        """Name -> those rows of each column (views)."""
        return {column.name: getattr(self, column.name)[rows] for column in fields(EventRows)}


@dataclass(frozen=True, eq=False)
class CodedEvents(EventRows):
    """Known events of one patient, `max_tokens` of them at most: the facts it begins with and the latest ones.

    known: events with a known code before the limit; total: all events.
    """

    known: int
    total: int


@dataclass(frozen=True, eq=False)
class SequenceBatch:
    """Padded events of B patients: symbols, codes, numeric (B, L) int64; z, latest, mask (B, L); time (B, L, 18)."""

    symbols: Tensor
    codes: Tensor
    numeric: Tensor
    z: Tensor
    latest: Tensor
    time: Tensor
    mask: Tensor


class Records(Protocol):
    """Records of n patients, each up to its prediction time, in an order of their own."""

    def __len__(self) -> int: ...

    def columns(self) -> list[EventColumns]:
        """Every event of each patient."""

    def coded(self, encoder: CompactSequence) -> Sequence[CodedEvents]:
        """The events of each patient that the encoder knows, as `CompactSequence.read` gives them."""

    def digests(self) -> list[str]:
        """What each patient's tokens say of their source; "" where that is not one timeline."""


class CompactSequence(RecordEncoder):
    """Causal transformer (default 64 wide, 2 layers, 4 heads) over symbols (code, or code with value bin)."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(config)
        self.scales = [NumericScale.from_json(item) for item in config["numeric"]]
        self._numeric = {scale.code: number for number, scale in enumerate(self.scales)}
        self._codes = {code: number for number, code in enumerate(config["codes"])}
        self._symbols = {symbol: number for number, symbol in enumerate(_symbols(config["codes"], self.scales))}
        self.max_tokens = int(config["max_tokens"])
        hidden = int(config["hidden"])
        self.code = nn.Embedding(len(self._codes), hidden)
        self.symbol = nn.Embedding(len(self._symbols), hidden)
        self.amount = nn.Embedding(len(self.scales) + 1, hidden)
        self.time = nn.Linear(TIME_FEATURES, hidden)
        self.blocks = nn.ModuleList(_Block(hidden, int(config["heads"])) for _ in range(int(config["layers"])))
        self.norm = nn.LayerNorm(hidden)
        self.next_symbol = nn.Linear(hidden, len(self._symbols))
        self.width = 2 * hidden + 2 * len(self.scales)
        for table in (self.code, self.symbol, self.amount):
            nn.init.normal_(table.weight, std=0.3)

    def read(self, timeline: Timeline) -> CodedEvents:
        """Known events of a timeline; a number in an unknown unit makes its event unknown."""
        return self.read_columns(event_columns(timeline))

    def read_columns(self, table: EventColumns) -> CodedEvents:
        """`read` of a record that is columns already."""
        rows = self._known(table)
        return _coded(_kept(rows, table, self.max_tokens), table, known=len(rows))

    def rereading(self, timeline: Timeline) -> Reread:
        """The timeline, ready to be read anew without some of its events: of a long record older ones then move up."""
        table = event_columns(timeline)
        rows = self._known(table)
        whole = _kept(rows, table, self.max_tokens)
        reach = {row[-1] for row in (*whole, *rows[: room_for_facts(self.max_tokens)])}

        def reread(left_out: Sequence[frozenset[int]]) -> list[Tokens | None]:
            changed: dict[int, CodedEvents] = {}
            for place, events in enumerate(left_out):
                rest = rows if reach.isdisjoint(events) else [row for row in rows if row[-1] not in events]
                kept = whole if rest is rows else _kept(rest, table, self.max_tokens)
                if kept != whole:
                    changed[place] = _coded(kept, table, known=len(rest))
            tokens = self.encode_many(list(changed.values()), [timeline.digest] * len(changed))
            found = dict(zip(changed, tokens))
            return [found.get(place) for place in range(len(left_out))]

        return reread

    def _known(self, table: EventColumns) -> list[_Row]:
        """Every event with a known code, and its number, if any, in the unit that training saw."""
        rows: list[_Row] = []
        for event in range(len(table)):
            code, value = table.codes[event], float(table.values[event])
            if code not in self._codes:
                continue
            column, z, number = self._numeric.get(code, -1), 0.0, -1
            if column >= 0 and np.isfinite(value):
                if not self.scales[column].accepts(table.units[event]):
                    continue
                z, number = self.scales[column].standard(value), self.scales[column].bin(value)
            else:
                column = -1
            rows.append((self._symbols[code, number], self._codes[code], z, column, event))
        return rows

    def embed(self, batch: SequenceBatch) -> Tensor:
        """Event embedding (B, L, H): code, value bin and number."""
        amount = self.amount(batch.numeric + 1) * batch.z[..., None]
        return torch.as_tensor(self.code(batch.codes) + self.symbol(batch.symbols) + amount)

    def hidden_states(self, batch: SequenceBatch) -> Tensor:
        """(B, L, H): state at each event, a function of that event and earlier ones only."""
        state = self.embed(batch) + self.time(batch.time)
        for block in self.blocks:
            state = block(state)
        return torch.as_tensor(self.norm(state))

    def forward(self, batch: SequenceBatch) -> Tensor:
        """Token values (B, L, width): hidden state, event embedding, number, number where it is the latest."""
        own = nn.functional.one_hot(batch.numeric + 1, len(self.scales) + 1)[..., 1:] * batch.z[..., None]
        return torch.cat([self.hidden_states(batch), self.embed(batch), own, own * batch.latest[..., None]], -1)

    def prepared(self, records: Records) -> Sequence[CodedEvents]:
        """The events of each patient that the encoder knows."""
        return records.coded(self)

    def embedded(self, prepared: Sequence[CodedEvents]) -> tuple[Tensor, Tensor]:
        """Tokens (B, L, width) and which are there (B, L)."""
        batch = self.collate(prepared)
        return self(batch) * batch.mask[..., None], batch.mask

    def encode(self, records: Records) -> list[Tokens]:
        """Tokens of each record, in order; in evaluation mode, whatever mode the encoder is in."""
        training = self.training
        self.eval()
        try:
            return self.encode_many(records.coded(self), records.digests())
        finally:
            self.train(training)

    def encode_many(self, coded: Sequence[CodedEvents], digests: Sequence[str]) -> list[Tokens]:
        """Tokens of each patient, in order; computed in batches of similar length. digests: of their sources."""
        order = sorted(range(len(coded)), key=lambda number: len(coded[number]))
        values: dict[int, npt.NDArray[np.float32]] = {}
        for start in range(0, len(order), _BATCH_SIZE):
            rows = order[start : start + _BATCH_SIZE]
            with torch.no_grad():
                output = self(self.collate([coded[row] for row in rows])).float().cpu().numpy()
            values.update({row: output[place, : len(coded[row])] for place, row in enumerate(rows)})
        return [_tokens(events, values[row], digests[row]) for row, events in enumerate(coded)]

    def collate(self, coded: Sequence[CodedEvents]) -> SequenceBatch:
        """Pad on the right, on the device of the weights."""
        longest = max((len(events) for events in coded), default=0)
        shape = (len(coded), longest)
        whole = {name: np.zeros(shape, np.int64) for name in ("symbols", "codes", "numeric")}
        part = {name: np.zeros(shape, np.float32) for name in ("z", "latest", "mask")}
        time = np.zeros((*shape, TIME_FEATURES), np.float32)
        whole["numeric"] -= 1
        for row, events in enumerate(coded):
            inside = (row, slice(len(events)))
            for name in whole:
                whole[name][inside] = getattr(events, name)
            part["z"][inside], part["latest"][inside], part["mask"][inside] = events.z, events.latest, 1.0
            time[inside] = _time_features(events.days)
        device = self.code.weight.device
        tensors = {name: torch.from_numpy(array).to(device) for name, array in (whole | part | {"time": time}).items()}
        return SequenceBatch(**{**tensors, "mask": tensors["mask"] > 0})


class _Block(nn.Module):
    """Pre-norm causal self-attention and feed-forward layer."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.qkv, self.out = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.widen, self.narrow = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def forward(self, state: Tensor) -> Tensor:
        """(B, L, H) -> (B, L, H). Padding stands on the right, so the causal mask alone hides it."""
        batch, length, hidden = state.shape
        split = self.qkv(self.first(state)).view(batch, length, 3, self.heads, hidden // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        state = state + self.out(attended.transpose(1, 2).reshape(batch, length, hidden))
        return torch.as_tensor(state + self.narrow(nn.functional.gelu(self.widen(self.second(state)))))


def fit_compact_sequence(
    records: Records,
    *,
    seed: int = 0,
    hidden: int = 64,
    layers: int = 2,
    heads: int = 4,
    max_tokens: int = 256,
) -> CompactSequence:
    """Untrained encoder with the vocabulary and value bins of training records (codes of at least 2 patients)."""
    columns = records.columns()
    scales = fit_scales(columns, QUANTILES, least_share=0.02, most=40)
    counts = count_patients({str(code) for code in table.codes} for table in columns)
    codes = sorted(code for code, count in counts.most_common(_MOST_CODES) if count >= 2)
    config = {
        "name": "compact_sequence",
        "codes": codes,
        "numeric": [scale.to_json() for scale in scales if scale.code in set(codes)],
        "hidden": hidden,
        "layers": layers,
        "heads": heads,
        "max_tokens": max_tokens,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CompactSequence(config)


def _symbols(codes: Sequence[str], scales: Sequence[NumericScale]) -> list[tuple[str, int]]:
    """Every code without a value (bin -1), then every value bin of the numeric codes."""
    bins = [(scale.code, number) for scale in scales for number in range(len(scale.edges) + 1)]
    return [(code, -1) for code in codes] + bins


def _coded(kept: Sequence[_Row], table: EventColumns, *, known: int) -> CodedEvents:
    """The rows as columns. known: rows there were before the limit."""
    latest, seen = np.zeros(len(kept), np.float32), set()
    for place in range(len(kept) - 1, -1, -1):
        latest[place] = kept[place][1] not in seen
        seen.add(kept[place][1])
    symbol_ids, code_ids, columns, ids = (np.array([row[place] for row in kept], np.int32) for place in (0, 1, 3, 4))
    z_values = np.array([row[2] for row in kept], np.float32)
    return CodedEvents(
        symbol_ids, code_ids, z_values, columns, latest, table.days[ids], ids, known=known, total=len(table)
    )


def _kept(rows: list[_Row], table: EventColumns, max_tokens: int) -> list[_Row]:
    return rows if len(rows) <= max_tokens else _shortened(rows, table, max_tokens)


def _shortened(rows: list[_Row], table: EventColumns, max_tokens: int) -> list[_Row]:
    """Facts that the record begins with (age and sex would be lost with the oldest events), then its latest rows."""
    first = rows[: room_for_facts(max_tokens)]
    facts = list(takewhile(lambda row: bool(np.isnan(table.days[row[4]])) or table.codes[row[4]] == BIRTH, first))
    return facts + rows[len(rows) - (max_tokens - len(facts)) :]


def room_for_facts(max_tokens: int) -> int:
    """How many facts (rows without a time, births) of a record that is too long are kept: at most a quarter."""
    return min(_MOST_FACTS, max_tokens // 4)


def _time_features(days: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """(n, 18): relative time before the prediction and since the previous event, each with sine and cosine."""
    known = np.nan_to_num(days)
    gaps = np.diff(known, prepend=known[:1]) if len(known) else known
    features = []
    for value in (relative_days(known), relative_days(-np.abs(gaps))):
        place = np.clip(value, 0.0, 1.5)
        angles = np.pi * place[:, None] * np.array(_FREQUENCIES)
        features += [place[:, None], np.sin(angles), np.cos(angles)]
    return np.concatenate(features, axis=1).astype(np.float32)


def _tokens(events: CodedEvents, values: npt.NDArray[np.float32], digest: str) -> Tokens:
    days = np.nan_to_num(events.days)
    return Tokens(
        values=values,
        positions=days.astype(np.float32),
        relative_positions=np.minimum(relative_days(days), 1.5).astype(np.float32),
        encoder="compact_sequence",
        source_digest=digest,
        event_ids=events.event_ids.astype(np.int64),
        coverage=len(events) / max(events.total, 1),
        known_share=events.known / max(events.total, 1),
    )
