"""Simulated futures of one patient: the model draws the next token, again and again, until death or the horizon.

Each future draws from random numbers of its own, so that it is the same alone, in a batch, or among more futures.
The end of a record is no token: a future goes on to death, to the horizon, or to the limit of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.errors import UserFacingError
from core.foresee.events import PatientEvents
from core.foresee.gaps import DAY_US, GAP_NAMES, REPEATED
from core.foresee.model import EventModel, Futures
from core.foresee.packing import as_documents
from core.foresee.queries import Outcome
from core.foresee.tokens import tokenise
from core.foresee.train import TrainedEventModel
from core.foresee.vocabulary import DEATH_TOKEN, FIRST_GAP, Vocabulary
from core.records import Timeline

HORIZON, DEATH, LIMIT = 0, 1, 2
"""Why a future ends."""
_KEEP_ALL = 0.75
"""Futures that have ended are dropped from the batch once fewer than this share of it goes on."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class History:
    """What is known of a patient, in tokens (L,), the person first.

    waited_days: from the last event to the prediction time, in which nothing happened; None where the tokens alone are
    given, whose time is then that of the prediction. stream: whole numbers >= 0 that tell this history's random numbers
    from others'.
    """

    tokens: npt.NDArray[np.int64]
    waited_days: float | None = None
    stream: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class SimulatedFutures:
    """n futures of at most T tokens, of q outcomes.

    tokens int32 (n, T): -1 behind the end. days float64 (n, T): since the prediction, after each token. levels float64
    (n, T): which of the training values, 0 to 1, a tenth or a gap stands for. ends int8 (n,): `HORIZON`, `DEATH` or
    `LIMIT`; end_days float64 (n,): when. chances float64 (q, n, T): the model's probability, given all before, that the
    outcome is completed by this token. hits bool (q, n, T): whether it was.
    """

    tokens: npt.NDArray[np.int32]
    days: Floats
    levels: Floats
    ends: npt.NDArray[np.int8]
    end_days: Floats
    chances: Floats
    hits: npt.NDArray[np.bool_]
    horizon_days: int

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def days_before(self) -> Floats:
        """When each token was drawn (n, T)."""
        return np.concatenate([np.zeros((len(self), 1)), self.days[:, :-1]], axis=1)


def history_of(timeline: Timeline, trained: TrainedEventModel, max_tokens: int) -> History:
    """The end of a record that leaves the model's context room for so many tokens (or half of it).

    Raises UserFacingError where the record tells that the patient died.
    """
    events = PatientEvents.from_timeline(timeline)
    records = tokenise(events, trained.vocabulary)
    if (records.tokens == DEATH_TOKEN).any():
        raise UserFacingError(
            "The record tells that the patient died", "a record of a living patient", "Choose another"
        )
    context = trained.model.config.context
    tokens = as_documents(records, context - min(max_tokens, context // 2), last_only=True).tokens.astype(np.int64)
    waited = None
    if len(records.times_us):
        waited = (timeline.prediction_time.value // 1000 - int(records.times_us[-1])) / DAY_US
    return History(tokens, waited, (timeline.subject_id % 2**64, timeline.prediction_time.value // 1000 % 2**64))


@torch.no_grad()
def simulate(
    trained: TrainedEventModel,
    history: History,
    outcomes: Sequence[Outcome] = (),
    *,
    horizon_days: int,
    n_futures: int = 20,
    max_tokens: int = 256,
    seed: int = 0,
) -> SimulatedFutures:
    """n futures at temperature 1. An event on the horizon's own day still counts: days are floored.

    max_tokens: the limit; no more than half of the model's context. The history is read once for all futures.
    """
    model = trained.model
    limit = min(max_tokens, model.config.context // 2)
    draws = _draws(history, n_futures, limit, seed)
    under_way = _UnderWay(trained.vocabulary, outcomes, draws, history.waited_days, horizon_days, _device(model))
    read = model.read(torch.from_numpy(history.tokens).to(_device(model)))
    futures = Futures(model.config, n_futures, limit, read.layers[0].keys)
    logits = read.logits.expand(n_futures, -1)
    for place in range(limit):
        chosen = under_way.draw(place, logits)
        going_on = under_way.going_on
        if not going_on.any() or place + 1 == limit:
            break
        if going_on.mean() < _KEEP_ALL:
            rows = torch.from_numpy(np.flatnonzero(going_on)).to(_device(model))
            futures.keep(rows)
            chosen = chosen[rows]
            under_way.keep(going_on)
        logits = model.step(chosen, read, futures)
    return under_way.ended()


def _device(model: EventModel) -> torch.device:
    return model.embedding.weight.device


def _draws(history: History, n_futures: int, limit: int, seed: int) -> Floats:
    """(n, limit, 2): of each future and token, a number for the token and one for the gap or value it stands for."""
    streams = (np.random.SeedSequence([seed, *history.stream, number]) for number in range(n_futures))
    return np.stack([np.random.default_rng(stream).random((limit, 2)) for stream in streams])


class _UnderWay:
    """Futures while they are drawn. rows: the futures still in the model's batch, by number."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        outcomes: Sequence[Outcome],
        draws: Floats,
        waited_days: float | None,
        horizon_days: int,
        device: torch.device,
    ) -> None:
        count, limit = draws.shape[:2]
        self.vocabulary, self.draws, self.horizon_days, self.device = vocabulary, draws, horizon_days, device
        self.groups, allowed = vocabulary.followers()
        self.allowed = torch.from_numpy(allowed).to(device)
        self.rows = np.arange(count)
        self.live = np.ones(count, bool)
        self.group = np.zeros(count, np.int64)
        self.clock = np.full(count, -(waited_days or 0.0))
        self.waits = np.full(count, waited_days is not None)
        self.matches = [_Matches(outcome, count, device) for outcome in outcomes]
        self.tokens = np.full((count, limit), -1, np.int32)
        self.days, self.levels = np.zeros((count, limit)), np.zeros((count, limit))
        self.ends, self.end_days = np.full(count, LIMIT, np.int8), np.zeros(count)
        self.chances = np.zeros((len(outcomes), count, limit))
        self.hits = np.zeros((len(outcomes), count, limit), bool)

    @property
    def going_on(self) -> npt.NDArray[np.bool_]:
        """Of the rows in the batch, which futures have not ended."""
        return self.live[self.rows]

    def keep(self, rows: npt.NDArray[np.bool_]) -> None:
        """Go on with these rows of the batch alone."""
        self.rows = self.rows[rows]

    def draw(self, place: int, logits: Tensor) -> Tensor:
        """The next token of each row (r,), from logits (r, v); those that have ended draw too, unheard."""
        rows, live = self.rows, self.going_on
        allowed = self.allowed[torch.from_numpy(self.group[rows]).to(self.device)]
        chances = logits.masked_fill(~allowed, -torch.inf).double().softmax(-1)
        tail = np.ones((len(rows), len(GAP_NAMES)))
        if self.waits[rows].any():
            tail[self.waits[rows]] = [self._longer(-clock) for clock in self.clock[rows][self.waits[rows]]]
            chances = self._after_waiting(chances, rows, tail)
        sums = chances.cumsum(-1)
        drawn = torch.from_numpy(self.draws[rows, place, :1]).to(self.device) * sums[:, -1:]
        chosen = torch.searchsorted(sums, drawn, right=True)[:, 0].clamp(max=len(self.vocabulary) - 1)
        tokens, level = chosen.cpu().numpy(), self.draws[rows, place, 1]
        gap = tokens - FIRST_GAP
        is_gap = (gap >= 0) & (gap < len(GAP_NAMES))
        share = tail[np.arange(len(rows)), np.where(is_gap, gap, 0)]
        level = np.where(is_gap, 1.0 - share + share * level, level)
        for number, match in enumerate(self.matches):
            chance, hit = match.advance(rows, chances, tokens, level)
            self.chances[number, rows[live], place] = chance[live]
            self.hits[number, rows[live], place] = hit[live]
        passes = np.flatnonzero(is_gap & live)
        self.clock[rows[passes]] += self.vocabulary.gaps(gap[passes], level[passes])
        self.waits[rows] &= self.clock[rows] <= 0
        self.group[rows] = self.groups[tokens]
        self._note(place, rows[live], tokens[live], level[live])
        return chosen

    def _note(self, place: int, rows: npt.NDArray[np.int64], tokens: npt.NDArray[np.int64], level: Floats) -> None:
        self.tokens[rows, place], self.levels[rows, place] = tokens, level
        self.days[rows, place] = self.end_days[rows] = self.clock[rows]
        past, died = np.floor(self.clock[rows]) > self.horizon_days, tokens == DEATH_TOKEN
        self.ends[rows[past]], self.ends[rows[died]] = HORIZON, DEATH
        self.live[rows[past | died]] = False

    def _longer(self, days: float) -> Floats:
        """Of each gap token the share of its training gaps that are longer; half years, which add up, are never out."""
        shares = (self.vocabulary.gap_days > days).mean(1)
        shares[REPEATED] = 1.0
        return np.asarray(shares)

    def _after_waiting(self, chances: Tensor, rows: npt.NDArray[np.int64], tail: Floats) -> Tensor:
        """Given that nothing happened since the last event: only gaps that lead beyond the prediction time."""
        waits = torch.from_numpy(self.waits[rows]).to(self.device)
        weights = torch.zeros_like(chances)
        weights[:, FIRST_GAP : FIRST_GAP + len(GAP_NAMES)] = torch.from_numpy(tail).to(self.device)
        waited = chances * weights
        total = waited.sum(-1, keepdim=True)
        only_long = torch.zeros_like(chances)
        only_long[:, FIRST_GAP + REPEATED] = 1.0
        waited = torch.where(total > 0, waited / total.clamp(min=1e-300), only_long)
        return torch.where(waits[:, None], waited, chances)

    def ended(self) -> SimulatedFutures:
        """All of them, cut to the longest."""
        longest = max(1, int((self.tokens >= 0).sum(1).max(initial=0)))
        return SimulatedFutures(
            self.tokens[:, :longest],
            self.days[:, :longest],
            self.levels[:, :longest],
            self.ends,
            self.end_days,
            self.chances[:, :, :longest],
            self.hits[:, :, :longest],
            self.horizon_days,
        )


class _Matches:
    """How far each future is in each pattern of an outcome."""

    def __init__(self, outcome: Outcome, count: int, device: torch.device) -> None:
        self.patterns = outcome.patterns
        self.last = [torch.from_numpy(pattern.last).to(device) for pattern in outcome.patterns]
        self.stage = np.zeros((len(outcome.patterns), count), np.int64)

    def advance(
        self, rows: npt.NDArray[np.int64], chances: Tensor, tokens: npt.NDArray[np.int64], level: Floats
    ) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """(probability that the next token completes the outcome, whether it did), each (r,), for tokens drawn from
        `chances` (r, v)."""
        ready = np.stack([
            self.stage[number, rows] == len(pattern.leading) for number, pattern in enumerate(self.patterns)
        ])  # fmt: skip
        if len(self.patterns) == 1:
            chance = (chances @ self.last[0]).cpu().numpy() * ready[0]
        else:
            may = torch.from_numpy(ready).to(chances.device).double()
            weights = torch.stack(self.last)[:, None] * may[..., None]
            chance = (chances * weights.amax(0)).sum(-1).cpu().numpy()
        hit = np.zeros(len(rows), bool)
        for number, pattern in enumerate(self.patterns):
            share = pattern.last[tokens]
            meant = level >= 1.0 - share if pattern.from_top else level < share
            hit |= ready[number] & (share > 0) & meant
            stage = self.stage[number, rows]
            new = np.zeros(len(rows), np.int64)
            for place, leading in enumerate(pattern.leading):
                new[leading[tokens] & ((stage == place) | (place == 0))] = place + 1
            self.stage[number, rows] = new
        return chance, hit
