"""Records of several patients as timeline encoders read them: here from timelines, in `cohort` from a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.encode.ehr.compact_sequence import CodedEvents, CompactSequence
from core.encode.ehr.features import EventColumns, event_columns
from core.records import Timeline


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
