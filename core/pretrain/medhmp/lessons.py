"""What the two stages learn: hours of a stay written anew; hidden codes of an admission, and its parts told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.encode.ehr.hierarchical import AdmissionBatch, Hierarchical, StayBatch, stay_batch
from core.encode.ehr.stay_features import AdmissionNumbers

HIDDEN_SHARE = 0.15
"""Of the places of each set that are hidden."""
TEMPERATURE, GUESS_WEIGHT, CONTRAST_WEIGHT = 0.1, 3.0, 0.1
STAY_BATCH, ADMISSION_BATCH = 128, 256
_TUNING_SEED = 17
Rows = npt.NDArray[np.int64]


class StayDecoder(nn.Module):
    """A stay's vector to its hours: an LSTM that is fed the vector once, then nothing."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.steps = nn.LSTM(width, width, batch_first=True)
        self.out = nn.Linear(width, features)

    def forward(self, states: Tensor, hours: int) -> Tensor:
        """(S, D) -> (S, hours, F)."""
        fed = torch.cat([states.unsqueeze(1), states.new_zeros(len(states), hours - 1, states.shape[1])], 1)
        found: Tensor = self.out(self.steps(fed)[0])
        return found


class Stays:
    """Stage A: a `Lesson` of stays. without_person: nothing is said of the person, for comparison."""

    unit = "squared error an hour and feature, in thousandths"

    def __init__(
        self,
        encoder: Hierarchical,
        train: Sequence[AdmissionNumbers],
        tuning: Sequence[AdmissionNumbers],
        seed: int,
        *,
        without_person: bool = False,
    ) -> None:
        self.encoder, self.seed, self.without_person = encoder, seed, without_person
        self.train, self.tuning = ([one for one in part if one.stays] for part in (train, tuning))
        self.decoder = StayDecoder(encoder.hidden, encoder.vocabulary.series_width)
        self.module = nn.ModuleDict({"stay": encoder.stay, "decoder": self.decoder})

    @property
    def named(self) -> Mapping[str, Any]:
        """What a run that goes on must share."""
        return {"stage": "a", "without_person": self.without_person, "hidden": self.encoder.hidden}

    def batches(self, epoch: int) -> list[Rows]:
        """Every admission with a stay once."""
        return _batches(len(self.train), STAY_BATCH, self.seed, epoch)

    def loss(self, batch: Rows) -> tuple[Tensor, int]:
        """Squared error."""
        return self._loss([self.train[row] for row in batch.tolist()]), len(batch)

    def tuning_loss(self) -> tuple[float, dict[str, Any]]:
        """Squared error."""
        parts = _in_order(self.tuning, STAY_BATCH)
        return float(np.average([float(self._loss(part)) for part in parts], weights=[len(part) for part in parts])), {}

    def _loss(self, admissions: Sequence[AdmissionNumbers]) -> Tensor:
        device = next(self.decoder.parameters()).device
        batch = StayBatch(*(tensor.to(device) for tensor in stay_batch(admissions, self.encoder.vocabulary)))
        if self.without_person:
            batch = batch._replace(static=torch.zeros_like(batch.static))
        guessed = self.decoder(self.encoder.stay(batch), batch.hourly.shape[1])
        watched = torch.arange(batch.hourly.shape[1], device=device) < batch.lengths[:, None]
        error = ((guessed - batch.hourly) ** 2).mean(-1)
        total: Tensor = 1000 * (error * watched).sum() / watched.sum()
        return total


class Guesser(nn.Module):
    """From an admission to the codes of each set."""

    def __init__(self, width: int, groups: Sequence[int]) -> None:
        super().__init__()
        self.outs = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, items)) for items in groups
        )

    def forward(self, states: Tensor) -> list[Tensor]:
        """(A, D) -> by set the logits (A, items)."""
        return [out(states) for out in self.outs]


class Admissions:
    """Stage B: a `Lesson` of admissions. guess, contrast: the two parts of the loss, each of which may be left out."""

    unit = "masked cross entropy and contrast"

    def __init__(
        self,
        encoder: Hierarchical,
        train: Sequence[AdmissionNumbers],
        tuning: Sequence[AdmissionNumbers],
        seed: int,
        *,
        guess: bool = True,
        contrast: bool = True,
        without_person: bool = False,
    ) -> None:
        self.encoder, self.seed, self.guess, self.contrast = encoder, seed, guess, contrast
        self.without_person = without_person
        self.train, self.tuning = ([one for one in part if _says_something(one)] for part in (train, tuning))
        groups = [len(items) for items in encoder.vocabulary.groups.values()]
        self.guesser = Guesser(encoder.hidden, groups)
        self.module = nn.ModuleDict({"encoder": encoder, "guesser": self.guesser})

    @property
    def named(self) -> Mapping[str, Any]:
        """What a run that goes on must share."""
        parts = {"guess": self.guess, "contrast": self.contrast, "without_person": self.without_person}
        return {"stage": "b", **parts, "hidden": self.encoder.hidden}

    def batches(self, epoch: int) -> list[Rows]:
        """Every admission once."""
        return _batches(len(self.train), ADMISSION_BATCH, self.seed, epoch)

    def loss(self, batch: Rows) -> tuple[Tensor, int]:
        """Both parts."""
        hidden, contrast = self._losses([self.train[row] for row in batch.tolist()])
        return GUESS_WEIGHT * hidden * self.guess + CONTRAST_WEIGHT * contrast * self.contrast, len(batch)

    def tuning_loss(self) -> tuple[float, dict[str, Any]]:
        """Both parts, with the same codes hidden at every look."""
        with torch.random.fork_rng():
            torch.manual_seed(_TUNING_SEED)
            parts = _in_order(self.tuning, ADMISSION_BATCH)
            found = [[float(value) for value in self._losses(part)] for part in parts]
        hidden, contrast = np.average(found, axis=0, weights=[len(part) for part in parts])
        told = {"hidden_codes": round(float(hidden), 4), "contrast": round(float(contrast), 4)}
        return float(GUESS_WEIGHT * hidden * self.guess + CONTRAST_WEIGHT * contrast * self.contrast), told

    def _losses(self, admissions: Sequence[AdmissionNumbers]) -> tuple[Tensor, Tensor]:
        batch = self.encoder.batch(admissions)
        if self.without_person:
            batch = batch._replace(stays=batch.stays._replace(static=torch.zeros_like(batch.stays.static)))
        stays = (
            self.encoder.stay(batch.stays) if len(batch.stays.owners) else batch.notes.new_zeros(0, self.encoder.hidden)
        )
        seen, masks, counts = hide_codes(batch)
        tokens, there = self.encoder.admission.parts(stays, seen, counts)
        guessed = self.guesser(self.encoder.admission.together(tokens, there))
        hidden = guess_loss(guessed, batch.sets, masks)
        tokens, there = self.encoder.admission.parts(stays, batch)
        return hidden, contrast_loss(self.encoder, tokens, there)


def hide_codes(batch: AdmissionBatch) -> tuple[AdmissionBatch, list[Tensor], list[Tensor]]:
    """The batch without the codes at random places of each set, these places (A, items), and how many codes went (A,).

    The places are drawn by torch's own generator on the CPU. What stands at them reaches the encoder by its number.
    """
    masks = [(torch.rand(items.shape) < HIDDEN_SHARE).to(items.device) for items in batch.sets]
    seen = tuple(items * ~mask for items, mask in zip(batch.sets, masks))
    counts = [(items * mask).sum(1) for items, mask in zip(batch.sets, masks)]
    return batch._replace(sets=seen), masks, counts


def guess_loss(guessed: Sequence[Tensor], sets: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
    """Cross entropy at hidden places alone, the mean of each set summed over sets."""
    losses = []
    for logits, items, mask in zip(guessed, sets, masks):
        each = functional.binary_cross_entropy_with_logits(logits, items, reduction="none")
        losses.append((each * mask).sum() / mask.sum().clamp(min=1))
    return torch.stack(losses).sum() if losses else torch.zeros((), requires_grad=True)


def contrast_loss(encoder: Hierarchical, tokens: Tensor, there: Tensor) -> Tensor:
    """InfoNCE between each part of an admission and the rest of it, among those of the batch that have both."""
    losses = []
    for place in range(tokens.shape[1]):
        rest = there.clone()
        rest[:, place] = False
        both = there[:, place] & rest.any(1)
        if int(both.sum()) < 2:
            continue
        others = encoder.admission.together(tokens[both], rest[both])
        losses.append(info_nce(tokens[both, place], others))
    return torch.stack(losses).mean() if losses else tokens.sum() * 0.0


def info_nce(one: Tensor, other: Tensor) -> Tensor:
    """-log softmax of the matching pair's cosine among all (B, D) of the batch; 0 at one pair."""
    similar = functional.normalize(one, dim=1) @ functional.normalize(other, dim=1).T / TEMPERATURE
    return functional.cross_entropy(similar, torch.arange(len(one), device=one.device))


def _says_something(admission: AdmissionNumbers) -> bool:
    return bool(admission.stays) or admission.note is not None or any(map(len, admission.sets))


def _batches(count: int, size: int, seed: int, epoch: int) -> list[Rows]:
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return np.array_split(order, max(1, round(count / size)))


def _in_order(admissions: Sequence[AdmissionNumbers], size: int) -> list[Sequence[AdmissionNumbers]]:
    return [admissions[start : start + size] for start in range(0, len(admissions), size)]
