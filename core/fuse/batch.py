"""Patients side by side: padded tokens with masks, and ragged token sets that training draws batches from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.records import Tokens

EVALUATED_AT_ONCE = 256


class Padded(NamedTuple):
    """Tokens of one modality of B patients, padded to the longest.

    values (B, L, D): float, 0 where padded. mask (B, L): bool, True = a real token; a row without a True is a missing
    modality. position (B, L) or (B, L, 3): `Tokens.relative_positions`, 0 where padded.
    """

    values: Tensor
    mask: Tensor
    position: Tensor


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Tokens of B patients by modality; a modality that is not named is one that every patient lacks."""

    modalities: Mapping[str, Padded]

    @classmethod
    def from_tokens(
        cls, tokens: Mapping[str, Sequence[Tokens | None]], widths: Mapping[str, int] | None = None
    ) -> TokenBatch:
        """Pad the patients' tokens, a list for each modality; None or an empty `Tokens` is a missing modality.

        The widths matter only where every patient lacks the modality; 0 is fine, models then never read the values.
        """
        together = TokenSet.from_tokens(tokens, widths=widths)
        return together.batch(np.arange(len(together)))

    def __len__(self) -> int:
        return len(next(iter(self.modalities.values())).values)

    def __getitem__(self, name: str) -> Padded:
        if name in self.modalities:
            return self.modalities[name]
        values = next(iter(self.modalities.values())).values
        none = values.new_zeros(len(values), 0)
        return Padded(values.new_zeros(len(values), 0, 0), none.bool(), none)

    @property
    def device(self) -> torch.device:
        """Where the tokens are."""
        return next(iter(self.modalities.values())).values.device

    def to(self, device: torch.device | str) -> TokenBatch:
        """The same batch on `device`."""
        return TokenBatch({name: Padded(*(part.to(device) for part in side)) for name, side in self.modalities.items()})

    def rows(self, index: Tensor | Sequence[int]) -> TokenBatch:
        """The patients at `index`, in that order (padding kept)."""
        picked = torch.as_tensor(index, device=self.device)
        return TokenBatch({name: Padded(*(part[picked] for part in side)) for name, side in self.modalities.items()})

    def with_changed(self, name: str, *, values: Tensor | None = None, mask: Tensor | None = None) -> TokenBatch:
        """The same patients with other values, or another mask, of one modality."""
        side = self[name]
        changed = side._replace(
            values=side.values if values is None else values, mask=side.mask if mask is None else mask
        )
        return TokenBatch({**self.modalities, name: changed})


@dataclass(frozen=True, eq=False)
class Ragged:
    """Tokens of n patients end to end: values (total, D), positions (total,) or (total, 3), offsets (n + 1,)."""

    values: Tensor
    positions: Tensor
    offsets: Tensor

    @classmethod
    def from_tokens(cls, tokens: Sequence[Tokens | None], width: int = 0) -> Ragged:
        """Concatenate; None counts as no token. Raises ValueError where widths or kinds of positions differ."""
        kept = [item for item in tokens if item is not None and len(item.values)]
        widths = {item.values.shape[1] for item in kept} or {width}
        if len(widths) > 1:
            raise ValueError(f"tokens of one modality differ in width: {sorted(widths)}")
        if len({item.axes for item in kept}) > 1:
            raise ValueError("tokens of one modality lie on a line or in space, not both")
        lengths = [0 if item is None else len(item.values) for item in tokens]
        values = np.concatenate([item.values for item in kept]) if kept else np.zeros((0, widths.pop()), np.float32)
        places = np.concatenate([item.relative_positions for item in kept]) if kept else np.zeros(0, np.float32)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(torch.from_numpy(np.array(values)), torch.from_numpy(np.array(places)), torch.from_numpy(offsets))

    @property
    def width(self) -> int:
        """Numbers in a token; 0 where nothing is known of it."""
        return int(self.values.shape[1])

    @property
    def axes(self) -> int:
        """1 where positions are numbers, 3 where they are points."""
        return 1 if self.positions.ndim == 1 else int(self.positions.shape[1])

    def padded(self, rows: Tensor) -> Padded:
        """The patients `rows`, padded to the longest of them."""
        starts, lengths = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        longest = int(lengths.max()) if len(lengths) else 0
        steps = torch.arange(longest, device=rows.device)
        mask = steps < lengths[:, None]
        if not longest:
            return Padded(
                self.values.new_zeros(len(rows), 0, self.values.shape[1]),
                mask,
                self.positions.new_zeros(len(rows), 0, *self.positions.shape[1:]),
            )
        index = torch.where(mask, starts[:, None] + steps, 0)
        values = self.values[index].masked_fill(~mask[..., None], 0.0)
        position = self.positions[index]
        absent = ~mask if position.ndim == 2 else ~mask[..., None]
        return Padded(values, mask, position.masked_fill(absent, 0.0))

    def means(self) -> Tensor:
        """(n, D): the mean token of each patient; NaN without any."""
        lengths = self.offsets.diff()
        owners = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
        sums = self.values.new_zeros(len(lengths), self.values.shape[1]).index_add(0, owners, self.values)
        return sums / lengths[:, None]

    def to(self, device: torch.device | str) -> Ragged:
        """The same tokens on `device`."""
        return Ragged(self.values.to(device), self.positions.to(device), self.offsets.to(device))


@dataclass(frozen=True, eq=False)
class TokenSet:
    """Encoded patients with their outcomes: what training and evaluation draw from.

    tokens: ragged tokens of n patients by modality. times (n,): days to event or censoring, > 0. events (n,): 1 =
    event. ids: subject ids (n,), in the same order. thinned: of a modality, K copies of every patient with less in
    them, copy by copy (K * n): training now and then reads one in place of the whole.
    """

    tokens: Mapping[str, Ragged]
    times: Tensor
    events: Tensor
    ids: npt.NDArray[np.int64]
    thinned: Mapping[str, Ragged] = field(default_factory=dict)

    @classmethod
    def from_tokens(
        cls,
        tokens: Mapping[str, Sequence[Tokens | None]],
        times: npt.ArrayLike | None = None,
        events: npt.ArrayLike | None = None,
        ids: npt.ArrayLike | None = None,
        *,
        widths: Mapping[str, int] | None = None,
    ) -> TokenSet:
        """From one `Tokens` (or None) a patient and modality; outcomes default to zero where only tokens matter.

        Raises ValueError where the lists differ in length, or the tokens of one modality in width.
        """
        counts = {len(each) for each in tokens.values()}
        if len(counts) != 1:
            raise ValueError("every modality must list the same patients")
        count = counts.pop()
        days = np.zeros(count) if times is None else np.asarray(times, np.float64)
        flags = np.zeros(count) if events is None else np.asarray(events, np.float64)
        names = np.arange(count) if ids is None else np.asarray(ids)
        if not (len(days) == len(flags) == len(names) == count):
            raise ValueError("tokens, times, events and ids must list the same patients")
        return cls(
            {name: Ragged.from_tokens(each, (widths or {}).get(name, 0)) for name, each in tokens.items()},
            torch.as_tensor(days, dtype=torch.float32),
            torch.as_tensor(flags, dtype=torch.float32),
            names.astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, name: str) -> Ragged:
        if name in self.tokens:
            return self.tokens[name]
        device = self.times.device
        none = torch.zeros(len(self) + 1, dtype=torch.int64, device=device)
        return Ragged(torch.zeros(0, 0, device=device), torch.zeros(0, device=device), none)

    def batch(self, rows: npt.ArrayLike | Tensor) -> TokenBatch:
        """The patients `rows` as one padded batch."""
        index = torch.as_tensor(rows, dtype=torch.int64, device=self.times.device)
        return TokenBatch({name: ragged.padded(index) for name, ragged in self.tokens.items()})

    def drawn(self, rows: Tensor, share: float) -> TokenBatch:
        """The patients `rows`, of whom about `share` have less in them where there are such copies."""
        whole = self.batch(rows)
        if not self.thinned or not share:
            return whole
        lot = torch.rand(len(rows), device=self.times.device) < share
        sides = dict(whole.modalities)
        for name, copies in self.thinned.items():
            count = len(self) * int(torch.randint((len(copies.offsets) - 1) // len(self), ()))
            sides[name] = _either(sides[name], copies.padded(rows.to(lot.device) + count), lot)
        return TokenBatch(sides)

    def with_thinned(self, copies: Mapping[str, Sequence[Ragged]]) -> TokenSet:
        """The same patients with copies that have less in them, of each modality one `Ragged` a copy."""
        return replace(self, thinned={name: _end_to_end(each) for name, each in copies.items() if each})

    def with_changed(self, name: str, values: Tensor) -> TokenSet:
        """The same patients with other token values of one modality."""
        return replace(self, tokens={**self.tokens, name: replace(self[name], values=values)})

    def subset(self, rows: npt.ArrayLike) -> TokenSet:
        """A new set of the patients `rows` (copies their tokens)."""
        index = torch.as_tensor(np.asarray(rows), dtype=torch.int64)
        tokens = {name: _take(ragged, index) for name, ragged in self.tokens.items()}
        thinned = {
            name: _end_to_end([_take(copy, index) for copy in _copies(ragged, len(self))])
            for name, ragged in self.thinned.items()
        }
        return TokenSet(tokens, self.times[index], self.events[index], self.ids[index.numpy()], thinned)

    def joined(self, other: TokenSet) -> TokenSet:
        """These patients and then those of `other`, who have the same modalities."""
        if set(self.tokens) != set(other.tokens):
            raise ValueError("both sets must hold the same modalities")
        tokens = {name: _joined(ragged, other.tokens[name]) for name, ragged in self.tokens.items()}
        times, events = torch.cat([self.times, other.times]), torch.cat([self.events, other.events])
        thinned = {
            name: _end_to_end(
                [
                    _joined(*both)
                    for both in zip(_copies(ragged, len(self)), _copies(other.thinned[name], len(other)), strict=True)
                ]
            )
            for name, ragged in self.thinned.items()
            if name in other.thinned
        }
        return TokenSet(tokens, times, events, np.concatenate([self.ids, other.ids]), thinned)

    def to(self, device: torch.device | str) -> TokenSet:
        """The same set on `device` (ids stay where they are)."""
        tokens = {name: ragged.to(device) for name, ragged in self.tokens.items()}
        thinned = {name: ragged.to(device) for name, ragged in self.thinned.items()}
        return TokenSet(tokens, self.times.to(device), self.events.to(device), self.ids, thinned)


def batch_rows(count: int) -> list[Tensor]:
    """Row numbers 0 .. count - 1 in order, in pieces of `EVALUATED_AT_ONCE`: the batches of an evaluation."""
    starts = range(0, count, EVALUATED_AT_ONCE)
    return [torch.arange(start, min(start + EVALUATED_AT_ONCE, count)) for start in starts]


def _joined(one: Ragged, other: Ragged) -> Ragged:
    if not len(other.values):
        return replace(one, offsets=torch.cat([one.offsets, one.offsets[-1] + other.offsets[1:]]))
    if not len(one.values):
        return replace(other, offsets=torch.cat([one.offsets, other.offsets[1:]]))
    return Ragged(
        torch.cat([one.values, other.values]),
        torch.cat([one.positions, other.positions]),
        torch.cat([one.offsets, one.offsets[-1] + other.offsets[1:]]),
    )


def _end_to_end(parts: Sequence[Ragged]) -> Ragged:
    whole = parts[0]
    for part in parts[1:]:
        whole = _joined(whole, part)
    return whole


def _copies(ragged: Ragged, count: int) -> list[Ragged]:
    """The copies of `count` patients that stand end to end."""
    starts = range(0, len(ragged.offsets) - 1, count) if count else ()
    return [_take(ragged, torch.arange(start, start + count)) for start in starts]


def _either(one: Padded, other: Padded, lot: Tensor) -> Padded:
    """Of each patient the other tokens where `lot` says so."""
    longest = max(one.mask.shape[1], other.mask.shape[1])

    def mixed(first: Tensor, second: Tensor) -> Tensor:
        padded = []
        for part in (first, second):
            wider = part.new_zeros(len(part), longest, *part.shape[2:])
            wider[:, : part.shape[1]] = part
            padded.append(wider)
        return torch.where(lot.view(-1, *[1] * (first.ndim - 1)), padded[1], padded[0])

    return Padded(*map(mixed, one, other))


def _take(ragged: Ragged, index: Tensor) -> Ragged:
    lengths = ragged.offsets[index + 1] - ragged.offsets[index]
    flat = torch.cat(
        [torch.arange(int(ragged.offsets[i]), int(ragged.offsets[i + 1])) for i in index.tolist()] or [index]
    )
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    return Ragged(ragged.values[flat], ragged.positions[flat], offsets)
