"""The record encoder `hierarchical`: from stay to admission to patient (MedHMP, arXiv 2310.07871).

A stay is read by an LSTM over its hours and by what is said of the person, which attend to each other. An admission
puts its stays, its sets of codes and its note together by attention. Each admission gives a token for itself and one
for each of its parts; what is missing gives none. Pretrained by `core.pretrain.medhmp`, then frozen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from core.encode.ehr.compact_sequence import Records
from core.encode.ehr.features import relative_days
from core.encode.ehr.stay_features import NOTE_WIDTH, AdmissionNumbers, StayVocabulary, known_share, read_admissions
from core.records import Tokens
from core.records.interfaces import RecordEncoder

ADMISSION, STAYS, NOTE = "admission", "stays", "note"
_HEADS = 4
_AT_ONCE = 64


class StayBatch(NamedTuple):
    """Stays: hourly ones (S, T, F), lengths (S,), the person's numbers (S, P), and which admission each is of (S,)."""

    hourly: Tensor
    lengths: Tensor
    static: Tensor
    owners: Tensor


class AdmissionBatch(NamedTuple):
    """Admissions: stays, multi-hot sets (A, items) by group, notes (A, NOTE_WIDTH), whether there is one (A,)."""

    stays: StayBatch
    sets: tuple[Tensor, ...]
    notes: Tensor
    has_note: Tensor


class _Attention(nn.Module):
    """Tokens look at each other once; residual and layer norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(width, _HEADS, batch_first=True)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(B, L, D), which are there (B, L) -> (B, D): the largest of what they say."""
        seen, _ = self.attend(tokens, tokens, tokens, key_padding_mask=~there, need_weights=False)
        state = self.first(tokens + seen)
        state = self.second(state + self.feed(state))
        pooled: Tensor = state.masked_fill(~there.unsqueeze(-1), -torch.inf).amax(1)
        return pooled


class StayEncoder(nn.Module):
    """A stay to one vector: the last cell of an LSTM over hours, beside the person, through attention."""

    def __init__(self, features: int, static: int, width: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.first = nn.LSTM(features, width, batch_first=True)
        self.between = nn.Sequential(nn.Dropout(dropout), nn.LayerNorm(width))
        self.second = nn.LSTM(width, width, batch_first=True)
        self.person = nn.Sequential(nn.Linear(static, 32), nn.ReLU(), nn.Linear(32, width))
        self.attention = _Attention(width)

    def forward(self, batch: StayBatch) -> Tensor:
        """(S, D)."""
        packed = pack_padded_sequence(batch.hourly, batch.lengths.cpu(), batch_first=True, enforce_sorted=False)
        hours, _ = self.first(packed)
        hours = hours._replace(data=self.between(hours.data))
        _, (_, cell) = self.second(hours)
        tokens = torch.stack([cell[-1], self.person(batch.static)], 1)
        found: Tensor = self.attention(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device))
        return found


class AdmissionEncoder(nn.Module):
    """Stays, sets and note of an admission to a token each, and to one vector for all of them."""

    def __init__(self, groups: Sequence[int], width: int) -> None:
        super().__init__()
        self.sets = nn.ModuleList(_code_mlp(items, width) for items in groups)
        self.hidden_count = nn.Linear(1, width)
        self.note = nn.Sequential(nn.Linear(NOTE_WIDTH, width), nn.LayerNorm(width))
        self.stay = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width))
        self.attention = _Attention(width)

    def parts(
        self, stays: Tensor, batch: AdmissionBatch, hidden: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Tokens (A, parts, D) of stays, each set and the note, and which are there (A, parts).

        stays (S, D): vectors of the stays. hidden: by set, how many of its codes were hidden (A,).
        """
        count = len(batch.notes)
        owners = batch.stays.owners
        lengths = torch.bincount(owners, minlength=count).unsqueeze(1)
        mean = stays.new_zeros(count, stays.shape[1]).index_add(0, owners, stays) / lengths.clamp(min=1)
        tokens, there = [self.stay(mean)], [lengths[:, 0] > 0]
        for number, (items, mlp) in enumerate(zip(batch.sets, self.sets)):
            told = mlp(items)
            if hidden is not None:
                told = told + self.hidden_count(hidden[number].unsqueeze(1))
            tokens.append(told)
            some = items.any(1)
            there.append(some if hidden is None else some | (hidden[number] > 0))
        tokens.append(self.note(batch.notes))
        there.append(batch.has_note)
        return torch.stack(tokens, 1), torch.stack(there, 1)

    def together(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(A, D); zeros of an admission without any part."""
        known = there.any(1)
        safe = there | ~known.unsqueeze(1)
        found: Tensor = self.attention(tokens, safe) * known.unsqueeze(1)
        return found


class Hierarchical(RecordEncoder):
    """Tokens of width D + kinds: what a token says, and which kind it is (admission, stays, each set, note)."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(config)
        self.vocabulary = StayVocabulary.from_json(config["vocabulary"])
        hidden = int(config["hidden"])
        self.hidden = hidden
        self.kinds = (ADMISSION, STAYS, *self.vocabulary.groups, NOTE)
        self.width = hidden + len(self.kinds)
        sizes = [len(items) for items in self.vocabulary.groups.values()]
        self.stay = StayEncoder(self.vocabulary.series_width, self.vocabulary.static_width, hidden)
        self.admission = AdmissionEncoder(sizes, hidden)

    def prepared(self, records: Records) -> list[list[AdmissionNumbers]]:
        """The admissions of each record."""
        return [read_admissions(table, self.vocabulary) for table in records.columns()]

    def batch(self, admissions: Sequence[AdmissionNumbers]) -> AdmissionBatch:
        """Admissions as tensors, on the device of the weights."""
        device = next(self.parameters()).device
        sets = []
        for number, items in enumerate(self.vocabulary.groups.values()):
            hot = torch.zeros(len(admissions), len(items))
            for row, admission in enumerate(admissions):
                hot[row, torch.from_numpy(admission.sets[number])] = 1.0
            sets.append(hot.to(device))
        notes = torch.zeros(len(admissions), NOTE_WIDTH)
        for row, admission in enumerate(admissions):
            if admission.note is not None:
                notes[row] = torch.from_numpy(admission.note)
        has_note = torch.tensor([admission.note is not None for admission in admissions], dtype=torch.bool)
        stays = stay_batch(admissions, self.vocabulary)
        moved = StayBatch(*(tensor.to(device) for tensor in stays))
        return AdmissionBatch(moved, tuple(sets), notes.to(device), has_note.to(device))

    def forward(self, batch: AdmissionBatch) -> tuple[Tensor, Tensor]:
        """Tokens (A, 1 + parts, D), the admission's own first, and which are there (A, 1 + parts)."""
        stays = self.stay(batch.stays) if len(batch.stays.owners) else batch.notes.new_zeros(0, self.hidden)
        parts, there = self.admission.parts(stays, batch)
        whole = self.admission.together(parts, there)
        tokens = torch.cat([whole.unsqueeze(1), parts], 1)
        return tokens, torch.cat([there.any(1, keepdim=True), there], 1)

    def embedded(self, prepared: Sequence[list[AdmissionNumbers]]) -> tuple[Tensor, Tensor]:
        """Tokens (B, L, width) of these patients and which are there (B, L)."""
        lengths = [len(admissions) for admissions in prepared]
        tokens, there = self(self.batch([one for admissions in prepared for one in admissions]))
        marks = torch.eye(len(self.kinds), device=tokens.device).expand(len(tokens), -1, -1)
        whole = torch.cat([tokens, marks], -1)
        rows = [own[known] for own, known in zip(torch.split(whole, lengths), torch.split(there, lengths), strict=True)]
        values = pad_sequence(rows, batch_first=True)
        counts = torch.tensor([len(row) for row in rows], device=values.device)
        return values, torch.arange(values.shape[1], device=values.device) < counts[:, None]

    def summed(self, values: Tensor, mask: Tensor) -> Tensor:
        """(B, 2 D): of the admissions' own tokens the mean and the last."""
        own = (values[..., self.hidden] > 0.5) & mask
        weight = own.unsqueeze(-1).to(values.dtype)
        mean = (values[..., : self.hidden] * weight).sum(1) / weight.sum(1).clamp(min=1)
        if not values.shape[1]:
            return torch.cat([mean, mean], 1)
        place = (own * torch.arange(1, values.shape[1] + 1, device=values.device)).argmax(1)
        last = values[torch.arange(len(values)), place, : self.hidden] * own.any(1, keepdim=True)
        return torch.cat([mean, last], 1)

    @torch.no_grad()
    def encode(self, records: Records) -> list[Tokens]:
        """Tokens of each record, in order; in evaluation mode, whatever mode the encoder is in."""
        training, digests = self.training, records.digests()
        self.eval()
        try:
            tables = records.columns()
            read = [read_admissions(table, self.vocabulary) for table in tables]
            shares = [known_share(table, self.vocabulary) for table in tables]
            found: list[Tokens] = []
            for start in range(0, len(read), _AT_ONCE):
                part = read[start : start + _AT_ONCE]
                values, mask = self.embedded(part)
                for row, admissions in enumerate(part):
                    own = values[row][mask[row]].float().cpu().numpy()
                    found.append(self._tokens(own, admissions, digests[start + row], shares[start + row]))
            return found
        finally:
            self.train(training)

    def _tokens(
        self,
        values: np.ndarray[Any, np.dtype[np.float32]],
        admissions: list[AdmissionNumbers],
        digest: str,
        share: float,
    ) -> Tokens:
        starts = np.flatnonzero(values[:, self.hidden] > 0.5)
        known = [one for one in admissions if one.stays or one.note is not None or any(map(len, one.sets))]
        lengths = np.diff(np.append(starts, len(values)))
        days = np.repeat([one.end_days for one in known], lengths).astype(np.float64)
        return Tokens(
            values,
            days.astype(np.float32),
            relative_days(days).astype(np.float32),
            "hierarchical",
            digest,
            np.full(len(values), -1),
            coverage=share,
            known_share=share,
            first_day=min((one.start_days for one in known), default=None),
        )


def stay_batch(admissions: Sequence[AdmissionNumbers], vocabulary: StayVocabulary) -> StayBatch:
    """The stays of some admissions, in order."""
    stays = [(row, stay) for row, admission in enumerate(admissions) for stay in admission.stays]
    longest = max((stay.length for _, stay in stays), default=1)
    hourly = torch.zeros(len(stays), longest, vocabulary.series_width)
    for number, (_, stay) in enumerate(stays):
        hourly[number, torch.from_numpy(stay.hours), torch.from_numpy(stay.features)] = 1.0
    owners = torch.tensor([row for row, _ in stays], dtype=torch.int64)
    static = torch.from_numpy(np.array([admissions[row].static for row, _ in stays], np.float32))
    lengths = torch.tensor([stay.length for _, stay in stays], dtype=torch.int64)
    return StayBatch(hourly, lengths, static.view(len(stays), vocabulary.static_width), owners)


def _code_mlp(items: int, width: int) -> nn.Module:
    layers = [nn.Linear(items, width), nn.LayerNorm(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU())
