"""Records of several patients as timeline encoders read them: here from timelines, in `ehr_cohort` from a cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from core.encode.ehr.features import EventColumns, event_columns
from core.records import Timeline, Tokens

if TYPE_CHECKING:
    from core.encode.ehr.compact_sequence import CodedEvents, CompactSequence


Reread: TypeAlias = "Callable[[Sequence[frozenset[int]]], list[Tokens | None]]"
"""Sets of events of one record -> the tokens of the record without each set, None where they are those of the whole.

Event ids are rows of the whole record."""


@runtime_checkable
class RereadsQuickly(Protocol):
    """An encoder that knows which events can change its tokens."""

    def rereading(self, timeline: Timeline) -> Reread:
        """The timeline, ready to be read anew without some of its events."""


class Records(Protocol):
    """Records of n patients, each up to its prediction time, in an order of their own."""

    def __len__(self) -> int: ...

    def columns(self) -> list[EventColumns]:
        """Every event of each patient."""

    def coded(self, encoder: CompactSequence) -> list[CodedEvents]:
        """The events of each patient that the encoder knows, as `CompactSequence.read` gives them."""

    def digests(self) -> list[str]:
        """What each patient's tokens say of their source; "" where that is not one timeline."""


@dataclass(frozen=True, eq=False)
class TimelineRecords:
    """Records read timeline by timeline."""

    timelines: Sequence[Timeline]

    def __len__(self) -> int:
        return len(self.timelines)

    def columns(self) -> list[EventColumns]:
        """Every event of each patient."""
        return [event_columns(timeline) for timeline in self.timelines]

    def coded(self, encoder: CompactSequence) -> list[CodedEvents]:
        """The known events of each patient."""
        return [encoder.read(timeline) for timeline in self.timelines]

    def digests(self) -> list[str]:
        """Digest of each timeline."""
        return [timeline.digest for timeline in self.timelines]
