"""Timelines: coded events of one patient, typed, described and cut at the prediction time."""

from __future__ import annotations

from core.events.cut import cut_at
from core.events.descriptions import describe
from core.events.kinds import KINDS, Kind, kind_of
from core.intake.record.column_questions import MappingQuestion, suggest_mapping
from core.intake.record.load import list_subjects, load_timeline

__all__ = [
    "KINDS",
    "Kind",
    "MappingQuestion",
    "cut_at",
    "describe",
    "kind_of",
    "list_subjects",
    "load_timeline",
    "suggest_mapping",
]
