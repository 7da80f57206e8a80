"""One search over everything that was handed over: files and, once they are read, the record and the pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from core.intake.files.sources import Source
from core.intake.identifiers.finding import Finding
from core.intake.identifiers.pictures.burned_in import TextBox, expected_steps, find_burned_in_text
from core.intake.identifiers.search import search_sources
from core.intake.identifiers.text.field_names import FIELD_CATEGORIES, field_name
from core.intake.identifiers.where.events import doubts_of, search_timeline
from core.intake.record.columns.roles import Answers, encoding_of, roles_of
from core.progress import Progress
from core.records import CtStudy, Timeline

_HEADERS, _LAST = 0.2, 0.98
"""Shares of the search that are done once headers and texts are searched, and before the last picture is."""


@dataclass(frozen=True)
class Found:
    """What may identify a person, and what stripping goes by.

    findings: each place once with its value masked. boxes: where text stands in the voxels. words: of the patient's
    name and id. columns: role -> column, as the reader mapped them.
    """

    findings: tuple[Finding, ...]
    boxes: tuple[TextBox, ...] = ()
    words: frozenset[str] = field(default=frozenset(), repr=False)
    columns: Answers = field(default_factory=dict)


def search(
    sources: Sequence[Source],
    study: CtStudy | None,
    tell: Progress,
    timeline: Timeline | None = None,
    columns: Answers | None = None,
) -> Found:
    """Identifiers in the files of all sources, in the record, and in text burned into the study.

    columns: role -> column, as the reader mapped them. Raises UserFacingError.
    """
    reading, looking = "Searching headers, texts and names for identifiers", "Searching the pictures for text"
    columns = columns or {}
    searched = search_sources(
        sources, pixels=False, step=lambda share: tell(_HEADERS * share, reading), encoding=encoding_of(columns)
    )
    findings = [item for item in searched.findings if not _says_code(item, columns)]
    if timeline is not None:
        findings += search_timeline(timeline, doubts_of(timeline, searched.words, columns))
    tell(_HEADERS, looking)
    boxes = () if study is None else find_burned_in_text(study, step=_counted(study, tell, looking))
    findings += [Finding("burned-in text", f"pixels, {_place(box)}", box.masked) for box in boxes]
    return Found(tuple(findings), boxes, searched.words, columns)


def _counted(study: CtStudy, tell: Progress, words: str) -> Callable[[], None]:
    """Told before each step of the search in the pictures: how far it is, as far as that can be known."""
    steps, expected = count(1), expected_steps(study)
    return lambda: tell(_HEADERS + (_LAST - _HEADERS) * min(1.0, next(steps) / expected), words)


def _says_code(item: Finding, columns: Answers) -> bool:
    """Whether a column that the reader said to hold codes is reported for its name; its codes are judged one by one."""
    names = [field_name(name) for role, name in roles_of(columns) if role == "code"]
    places = {place for name in names for place in (f"column {name}", f"field {name}")}
    return item.where in places and item.category in {FIELD_CATEGORIES.get(name) for name in names}


def _place(box: TextBox) -> str:
    first, last = box.start[box.axis] + 1, box.stop[box.axis]
    plane = ("sagittal ", "coronal ", "")[box.axis]
    return f"{plane}slice {first}" if first == last else f"{plane}slices {first} to {last}"
