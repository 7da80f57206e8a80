"""What can be on screen, and whether it may leave the app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from core.errors import UserFacingError
from core.intake.record.load import load_timeline
from core.intake.scan.load import load_study
from core.records import CtStudy, Timeline


@dataclass(frozen=True, eq=False)
class Case:
    """What is open: a CT, a timeline, or both, and words for the header.

    fabricated: CT and timeline were put together by the user and need not be of one person.
    released: it may be exported, as it ships with the app or its identifiers were searched for and decided about.
    searched: what became of identifiers in its files, for whoever is handed an export.
    """

    name: str
    study: CtStudy | None
    timeline: Timeline | None
    task: str | None = None
    words: str = ""
    fabricated: bool = False
    released: bool = False
    searched: str = ""

    @property
    def digest(self) -> str:
        """Key of everything computed from this case, in this process."""
        return f"{'-' if self.study is None else of_scan(self.study)}|{of_record(self.timeline)}"


def of_scan(study: CtStudy) -> str:
    """Key, in this process, of a scan with all that is told of it: its digest is that of the volume alone."""
    return f"{study.digest}-{hash((study.facts, study.notes, study.description)):x}"


def of_record(timeline: Timeline | None) -> str:
    """Key, in this process, of a record with all that is told of it: its digest is that of the events alone."""
    if timeline is None:
        return "-"
    told = [tuple(sorted(words.items())) for words in (timeline.code_descriptions, timeline.code_kinds)]
    return f"{timeline.digest}-{hash((timeline.notes, *told)):x}"


def read_demo(folder: Path, card: Mapping[str, Any]) -> Case:
    """A case that ships with the app, from its folder and its case.json. Raises UserFacingError."""
    ct, events, when = folder / card.get("ct", "ct.nii.gz"), folder / "timeline.parquet", card.get("prediction_time")
    timeline = load_timeline(events, prediction_time=pd.Timestamp(when) if when else None) if events.exists() else None
    return Case(
        name=str(card.get("title", folder.name)),
        study=load_study(ct) if ct.exists() else None,
        timeline=timeline,
        task=card.get("task"),
        words=str(card.get("description", "")),
        released=True,
        searched="The case ships with the app.",
    )


def export_refusal(case: Case, *, searching: bool = False, unsearched: bool = False) -> UserFacingError | None:
    """Why this case must not be exported, or None.

    searching: the search for identifiers is still under way. unsearched: it failed.
    """
    if case.released:
        return None
    if unsearched:
        return UserFacingError(
            "Export is blocked: the files of this case could not be searched for identifiers.",
            "a search that reached its end",
            "Go to Load, read there why, and start over; or de-identify the files first: python -m core deidentify.",
        )
    if searching:
        return UserFacingError(
            "Export is blocked: the files of this case are still being searched for identifiers.",
            "the end of the search",
            "Go to Load and watch it there.",
        )
    return UserFacingError(
        "Export is blocked: the files of this case contain possible identifiers.",
        "your decision about them",
        "Go to Load, look at the places that were found, and strip them or stop.",
    )
