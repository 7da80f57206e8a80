"""One search over everything that was handed over: files and, once they are read, the pixels themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.intake.job import Tell
from core.load.entries import Source
from core.privacy import Finding, find_identifiers
from core.privacy.burned_in import TextBox, find_burned_in_text
from core.records import CtStudy


@dataclass(frozen=True)
class Found:
    """What may identify a person: each place once with its value masked, and where text stands in the voxels."""

    findings: tuple[Finding, ...]
    boxes: tuple[TextBox, ...]


def search(sources: Sequence[Source], study: CtStudy | None, tell: Tell) -> Found:
    """Identifiers in the files of all sources, and text burned into the study. Raises UserFacingError."""
    found: dict[tuple[str, str], Finding] = {}
    for number, source in enumerate(sources):
        tell(number / (len(sources) + 1), "Searching headers, texts and names for identifiers")
        found.update({(item.category, item.where): item for item in find_identifiers(source, pixels=False)})
    share, words = len(sources) / (len(sources) + 1), "Searching the pictures for text"
    tell(share, words)
    boxes = () if study is None else find_burned_in_text(study, step=lambda: tell(share, words))
    texts = [Finding("burned-in text", f"pixels, {_place(box)}", box.masked) for box in boxes]
    return Found((*found.values(), *texts), boxes)


def _place(box: TextBox) -> str:
    first, last = box.start[2] + 1, box.stop[2]
    return f"slice {first}" if first == last else f"slices {first} to {last}"
