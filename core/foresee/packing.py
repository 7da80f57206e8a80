"""Token records as training documents, and documents packed into rows of one length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.foresee.gaps import DAY_US
from core.foresee.tokens import TokenisedRecords
from core.foresee.vocabulary import BEGIN, NUMBER_OF, PAD, PERSON, TENS, UNITS
from core.intake.record.cohort_columns import NO_TIME

MOST_FACTS = 16
_FIRST_SEX = NUMBER_OF[PERSON[0]]
_FIRST_TEN, _FIRST_UNIT = (
    next(NUMBER_OF[part] for part in PERSON if part.kind == f"age {of}") for of in ("tens", "units")
)
_PERSON_TOKENS = 4
_ROUND = 32
_YEAR_US = 365.25 * DAY_US
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Documents:
    """Sequences of at most one context each: what is said of the person, then a stretch of the record.

    tokens int32 (m,): document i has offsets[i] to offsets[i + 1]. given int32 (d,): how many of its first tokens are
    of the person; they are read and never guessed. owners int64 (d,): place of the patient in the records.
    """

    tokens: npt.NDArray[np.int32]
    offsets: Int64s
    given: npt.NDArray[np.int32]
    owners: Int64s

    def __len__(self) -> int:
        return len(self.given)

    @property
    def targets(self) -> int:
        """Tokens to be guessed."""
        return int(self.offsets[-1] - self.given.sum())


@dataclass(frozen=True, eq=False)
class Batch:
    """Packed documents: tokens, documents and positions int64 (rows, length), padding of document -1; targets bool:
    which tokens are to be guessed from those before them."""

    tokens: Int64s
    documents: Int64s
    positions: Int64s
    targets: npt.NDArray[np.bool_]


def as_documents(records: TokenisedRecords, context: int, *, last_only: bool = False) -> Documents:
    """Each record in stretches of the room that the person's facts leave in the context, from its first token on.

    The age is that at the last event before the stretch, of the first stretch at the first event. last_only: the last
    stretch alone, reaching as far back as the context has room, which is what a simulation reads.
    """
    lengths = np.diff(records.offsets)
    facts = np.minimum(np.diff(records.facts_offsets), MOST_FACTS)
    room = context - _PERSON_TOKENS - facts
    stretches = np.ones(len(records), np.int64) if last_only else np.maximum(-(-lengths // room), 1)
    owners = np.repeat(np.arange(len(records)), stretches)
    nth = np.arange(len(owners)) - np.repeat(np.cumsum(stretches) - stretches, stretches)
    begins = records.offsets[owners] + nth * room[owners]
    if last_only:
        begins = np.maximum(records.offsets[:-1], records.offsets[1:] - room)
    ends = np.minimum(begins + room[owners], records.offsets[owners + 1])
    given = (_PERSON_TOKENS + facts[owners]).astype(np.int32)
    offsets = np.append(0, np.cumsum(given + ends - begins))
    tokens = np.empty(int(offsets[-1]), np.int32)
    first: Int64s = offsets[:-1]
    tokens[first] = BEGIN
    tokens[first + 1] = _FIRST_SEX + records.sexes[owners]
    tokens[first + 2], tokens[first + 3] = _age_tokens(records, owners, begins)
    _copy(records.facts, records.facts_offsets[owners], facts[owners], tokens, first + np.int64(_PERSON_TOKENS))
    _copy(records.tokens, begins, ends - begins, tokens, first + given)
    return Documents(tokens, offsets, given, owners)


def batches(documents: Documents, context: int, batch_tokens: int, rng: np.random.Generator | None) -> list[Batch]:
    """All documents once, packed row by row in the order that `rng` draws (as they come without one)."""
    order = rng.permutation(len(documents)) if rng else np.arange(len(documents))
    lengths = np.diff(documents.offsets)[order]
    length = min(context, -(-int(lengths.max(initial=1)) // _ROUND) * _ROUND)
    rows = [*_rows(lengths, length)]
    size = max(1, batch_tokens // length)
    return [_packed(documents, order, rows[start : start + size], length) for start in range(0, len(rows), size)]


def _rows(lengths: Int64s, length: int) -> Iterator[tuple[int, int]]:
    """Runs of documents that fit into one row."""
    ends = np.append(0, np.cumsum(lengths))
    first = 0
    while first < len(lengths):
        last = int(np.searchsorted(ends, ends[first] + length, side="right")) - 1
        yield first, last
        first = last


def _packed(documents: Documents, order: Int64s, rows: list[tuple[int, int]], length: int) -> Batch:
    chosen = order[rows[0][0] : rows[-1][1]]
    sizes = documents.offsets[chosen + 1] - documents.offsets[chosen]
    starts = np.cumsum(sizes) - sizes
    within = np.arange(int(sizes.sum())) - np.repeat(starts, sizes)
    first_of_row = np.array([first for first, _ in rows]) - rows[0][0]
    counts = np.array([last - first for first, last in rows])
    at = np.repeat(np.repeat(np.arange(len(rows)) * length - starts[first_of_row], counts) + starts, sizes) + within
    shape = (len(rows), length)
    batch = Batch(np.full(shape, PAD), np.full(shape, -1), np.zeros(shape, np.int64), np.zeros(shape, bool))
    batch.tokens.ravel()[at] = documents.tokens[np.repeat(documents.offsets[chosen], sizes) + within]
    batch.documents.ravel()[at] = np.repeat(np.arange(len(chosen)), sizes)
    batch.positions.ravel()[at] = within
    batch.targets.ravel()[at] = within >= np.repeat(documents.given[chosen], sizes)
    return batch


def _age_tokens(records: TokenisedRecords, owners: Int64s, begins: Int64s) -> tuple[Int64s, Int64s]:
    """Tokens of the tens and units of the age in years."""
    unknown = (len(TENS) - 1, len(UNITS) - 1)
    if not len(records.starts):
        return np.full(len(owners), _FIRST_TEN + unknown[0]), np.full(len(owners), _FIRST_UNIT + unknown[1])
    event = np.searchsorted(records.starts, begins, side="left") - (begins > records.offsets[owners])
    time = records.times_us[np.minimum(event, len(records.times_us) - 1)]
    born = records.births_us[owners]
    known = (born != NO_TIME) & (records.offsets[owners] < records.offsets[owners + 1])
    years = np.where(known, (time - np.where(known, born, time)) / _YEAR_US, 0.0)
    years = np.clip(years, 0, 10 * unknown[0] - 1).astype(np.int64)
    return (
        _FIRST_TEN + np.where(known, years // 10, unknown[0]),
        _FIRST_UNIT + np.where(known, years % 10, unknown[1]),
    )


def _copy(source: npt.NDArray[np.int32], begins: Int64s, sizes: Int64s, out: npt.NDArray[np.int32], at: Int64s) -> None:
    """Stretches of `source` to the places `at` of `out`."""
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    out[np.repeat(at, sizes) + within] = source[np.repeat(begins, sizes) + within]
