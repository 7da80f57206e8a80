"""Patients side by side: padded tokens with masks, and ragged token sets that training draws batches from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.records import Tokens

EVALUATED_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Tokens of B patients, padded to the longest.

    ct (B, S, Dc), ehr (B, E, De): float token values, 0 where padded.
    ct_mask (B, S), ehr_mask (B, E): bool, True = a real token. A row without a True is a missing modality.
    ct_position, ehr_position: `Tokens.relative_positions`, 0 where padded.
    """

    ct: Tensor
    ct_mask: Tensor
    ct_position: Tensor
    ehr: Tensor
    ehr_mask: Tensor
    ehr_position: Tensor

    @classmethod
    def from_tokens(
        cls, ct: Sequence[Tokens | None], ehr: Sequence[Tokens | None], ct_width: int = 0, ehr_width: int = 0
    ) -> TokenBatch:
        """Pad the patients' tokens; None or an empty `Tokens` is a missing modality.

        The widths matter only where every patient lacks the modality; 0 is fine, models then never read the values.
        """
        return TokenSet.from_tokens(ct, ehr, ct_width=ct_width, ehr_width=ehr_width).batch(np.arange(len(ct)))

    def __len__(self) -> int:
        return int(self.ct.shape[0])

    def to(self, device: torch.device | str) -> TokenBatch:
        """The same batch on `device`."""
        return TokenBatch(**{item.name: getattr(self, item.name).to(device) for item in fields(self)})

    def rows(self, index: Tensor | Sequence[int]) -> TokenBatch:
        """The patients at `index`, in that order (padding kept)."""
        picked = torch.as_tensor(index, device=self.ct.device)
        return TokenBatch(**{item.name: getattr(self, item.name)[picked] for item in fields(self)})


@dataclass(frozen=True, eq=False)
class Ragged:
    """Tokens of n patients end to end: values (total, D), positions (total,), offsets (n + 1,)."""

    values: Tensor
    positions: Tensor
    offsets: Tensor

    @classmethod
    def from_tokens(cls, tokens: Sequence[Tokens | None], width: int = 0) -> Ragged:
        """Concatenate; None counts as no token. Raises ValueError where token widths differ."""
        kept = [item for item in tokens if item is not None and len(item.values)]
        widths = {item.values.shape[1] for item in kept} or {width}
        if len(widths) > 1:
            raise ValueError(f"tokens of one modality differ in width: {sorted(widths)}")
        lengths = [0 if item is None else len(item.values) for item in tokens]
        values = np.concatenate([item.values for item in kept]) if kept else np.zeros((0, widths.pop()), np.float32)
        places = np.concatenate([item.relative_positions for item in kept]) if kept else np.zeros(0, np.float32)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(torch.from_numpy(np.array(values)), torch.from_numpy(np.array(places)), torch.from_numpy(offsets))

    def padded(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """values (B, L, D), mask (B, L), positions (B, L) of the patients `rows`; L = the longest of them."""
        starts, lengths = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        longest = int(lengths.max()) if len(lengths) else 0
        steps = torch.arange(longest, device=rows.device)
        mask = steps < lengths[:, None]
        if not longest:
            return self.values.new_zeros(len(rows), 0, self.values.shape[1]), mask, mask.to(self.positions.dtype)
        index = torch.where(mask, starts[:, None] + steps, 0)
        values = self.values[index].masked_fill(~mask[..., None], 0.0)
        return values, mask, self.positions[index].masked_fill(~mask, 0.0)

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

    ct, ehr: ragged tokens of n patients. times (n,): days to event or censoring, > 0. events (n,): 1 = event.
    ids: subject ids (n,), in the same order.
    """

    ct: Ragged
    ehr: Ragged
    times: Tensor
    events: Tensor
    ids: npt.NDArray[np.int64]

    @classmethod
    def from_tokens(
        cls,
        ct: Sequence[Tokens | None],
        ehr: Sequence[Tokens | None],
        times: npt.ArrayLike | None = None,
        events: npt.ArrayLike | None = None,
        ids: npt.ArrayLike | None = None,
        *,
        ct_width: int = 0,
        ehr_width: int = 0,
    ) -> TokenSet:
        """From one `Tokens` (or None) a patient and modality; outcomes default to zero where only tokens matter.

        Raises ValueError where the lists differ in length, or the tokens of one modality in width.
        """
        count = len(ct)
        if len(ehr) != count:
            raise ValueError("ct and ehr must list the same patients")
        days = np.zeros(count) if times is None else np.asarray(times, np.float64)
        flags = np.zeros(count) if events is None else np.asarray(events, np.float64)
        names = np.arange(count) if ids is None else np.asarray(ids)
        if not (len(days) == len(flags) == len(names) == count):
            raise ValueError("tokens, times, events and ids must list the same patients")
        return cls(
            Ragged.from_tokens(ct, ct_width),
            Ragged.from_tokens(ehr, ehr_width),
            torch.as_tensor(days, dtype=torch.float32),
            torch.as_tensor(flags, dtype=torch.float32),
            names.astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, rows: npt.ArrayLike | Tensor) -> TokenBatch:
        """The patients `rows` as one padded batch."""
        index = torch.as_tensor(rows, dtype=torch.int64, device=self.ct.offsets.device)
        return TokenBatch(*self.ct.padded(index), *self.ehr.padded(index))

    def subset(self, rows: npt.ArrayLike) -> TokenSet:
        """A new set of the patients `rows` (copies their tokens)."""
        index = torch.as_tensor(np.asarray(rows), dtype=torch.int64)
        return TokenSet(
            _take(self.ct, index),
            _take(self.ehr, index),
            self.times[index],
            self.events[index],
            self.ids[index.numpy()],
        )

    def to(self, device: torch.device | str) -> TokenSet:
        """The same set on `device` (ids stay where they are)."""
        return TokenSet(
            self.ct.to(device), self.ehr.to(device), self.times.to(device), self.events.to(device), self.ids
        )


def batch_rows(count: int) -> list[Tensor]:
    """Row numbers 0 .. count - 1 in order, in pieces of `EVALUATED_AT_ONCE`: the batches of an evaluation."""
    starts = range(0, count, EVALUATED_AT_ONCE)
    return [torch.arange(start, min(start + EVALUATED_AT_ONCE, count)) for start in starts]


def _take(ragged: Ragged, index: Tensor) -> Ragged:
    lengths = ragged.offsets[index + 1] - ragged.offsets[index]
    flat = torch.cat(
        [torch.arange(int(ragged.offsets[i]), int(ragged.offsets[i + 1])) for i in index.tolist()] or [index]
    )
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    return Ragged(ragged.values[flat], ragged.positions[flat], offsets)
