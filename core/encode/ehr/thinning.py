"""Records with less in them, as real ones often are: training sees them, so that a thin one does not read as health."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.encode.ehr.compact_sequence import CodedEvents, CompactSequence, Records
from core.encode.ehr.features import EventColumns
from core.events.kinds import kind_of
from core.records import BIRTH, SEXES

Mask = npt.NDArray[np.bool_]
_OF_THE_PERSON = {BIRTH, *(f"GENDER//{sex}" for sex in SEXES.values())}
_LAST_DAYS = (2.0, 7.0, 30.0, 180.0, 365.0)
_SHARES = (0.1, 0.25, 0.5, 0.75)


def _person(table: EventColumns) -> Mask:
    """Birth and sex."""
    return np.array([code in _OF_THE_PERSON for code in table.codes], bool)


def _kinds(table: EventColumns) -> npt.NDArray[np.object_]:
    return np.array([kind_of(str(code)) for code in table.codes], object)


def _last_days(table: EventColumns, rng: np.random.Generator) -> Mask:
    return np.asarray(np.nan_to_num(table.days) >= -rng.choice(_LAST_DAYS))


def _share(table: EventColumns, rng: np.random.Generator) -> Mask:
    return np.asarray(rng.random(len(table)) < rng.choice(_SHARES))


def _no_measurements(table: EventColumns, rng: np.random.Generator) -> Mask:
    return ~np.isfinite(table.values)


def _no_diagnoses(table: EventColumns, rng: np.random.Generator) -> Mask:
    return np.asarray(_kinds(table) != "diagnoses")


def _one_event(table: EventColumns, rng: np.random.Generator) -> Mask:
    kept = np.zeros(len(table), bool)
    others = np.flatnonzero(~_person(table))
    kept[others[-1] if rng.random() < 0.5 else rng.choice(others)] = True
    return kept


def _nothing(table: EventColumns, rng: np.random.Generator) -> Mask:
    return np.zeros(len(table), bool)


THINNINGS: dict[str, tuple[Callable[[EventColumns, np.random.Generator], Mask], float]] = {
    "last days": (_last_days, 0.8),
    "a share of the events": (_share, 0.6),
    "no measurements": (_no_measurements, 1.0),
    "no diagnoses": (_no_diagnoses, 1.0),
    "one event": (_one_event, 0.1),
    "nothing": (_nothing, 0.7),
}
"""What is kept, and how often birth and sex stay whatever else goes."""


def thinned(table: EventColumns, rng: np.random.Generator) -> EventColumns:
    """The record after one of `THINNINGS`, drawn evenly; a record of birth and sex alone stays as it is."""
    person = _person(table)
    if person.all():
        return table
    keep, stays = list(THINNINGS.values())[int(rng.integers(len(THINNINGS)))]
    kept = keep(table, rng) & ~person
    if rng.random() < stays:
        kept |= person
    return table.rows(np.flatnonzero(kept))


@dataclass(frozen=True, eq=False)
class ThinnedRecords:
    """The records, each thinned by a draw of its own."""

    records: Records
    seed: int

    def __len__(self) -> int:
        return len(self.records)

    def columns(self) -> list[EventColumns]:
        """What is left of each record."""
        return [
            thinned(table, np.random.default_rng([self.seed, number]))
            for number, table in enumerate(self.records.columns())
        ]

    def coded(self, encoder: CompactSequence) -> Sequence[CodedEvents]:
        """The events of each thinned record that the encoder knows."""
        return [encoder.read_columns(table) for table in self.columns()]

    def digests(self) -> list[str]:
        """None: a thinned record is no source."""
        return [""] * len(self.records)
