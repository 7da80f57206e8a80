"""Small records for the search for identifiers, searched and stripped as the desk does it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from core.case.search import Found, search
from core.case.strip import strip
from core.intake.files.sources import Source
from core.load import load_study
from core.records import CtStudy, Timeline
from core.timeline import list_subjects, load_timeline

HEAD = "subject_id,time,code,numeric_value,unit,text_value,description\n"
PLAIN = "7,2020-01-02,LOINC//2160-0,1.1,mg/dL,,\n"


def looked_at(
    record: Source, scan: Source | None = None, columns: Mapping[str, str] | None = None
) -> tuple[Found, CtStudy | None, Timeline]:
    """(what the search found, CT, record), as the desk does it."""
    subject = int(list_subjects(record, mapping=columns)["subject_id"].iloc[0])
    timeline = load_timeline(record, subject_id=subject, mapping=columns)
    study = None if scan is None else load_study(scan)
    sources = [source for source in (scan, record) if source is not None]
    return search(sources, None, lambda share, words: None, timeline, columns), study, timeline


def stripped(found: Found, study: CtStudy | None, timeline: Timeline) -> tuple[CtStudy | None, Timeline]:
    cleaned, record = strip(study, timeline, found.boxes, found.words, found.columns)
    assert record is not None
    return cleaned, record


def said(timeline: Timeline) -> str:
    """All words that a timeline carries."""
    events = timeline.events[["code", "unit", "text_value"]].to_csv()
    return f"{events} {timeline.code_descriptions} {timeline.code_kinds} {timeline.notes}"


def table(*rows: str) -> Source:
    return "events.csv", (HEAD + PLAIN + "".join(row + "\n" for row in rows)).encode()


def bundle(*concepts: Mapping[str, object]) -> tuple[str, bytes]:
    """Conditions of one patient."""
    entries = [
        {"resource": {"resourceType": "Condition", "subject": {"reference": "Patient/1"}, "code": concept,
                      "recordedDate": "2020-01-02"}}
        for concept in concepts
    ]  # fmt: skip
    return "b.json", json.dumps({"resourceType": "Bundle", "entry": entries}).encode()
