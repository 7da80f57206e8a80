"""What an opened case may carry: voxels, geometry and events, without what the search found in their words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from core.intake.identifiers.pictures.burned_in import TextBox, blank_text, on_every_slice
from core.intake.identifiers.text.vocabulary import plain_text
from core.intake.identifiers.where.events import NO_COLUMNS, UNKNOWN_WORDS, Doubts, clean_timeline, doubts_of, kept_note
from core.intake.record.columns.roles import Answers
from core.records import CtStudy, Timeline
from core.wording import count_of


def strip(
    study: CtStudy | None,
    timeline: Timeline | None,
    boxes: Sequence[TextBox] = (),
    words: Collection[str] = (),
    columns: Answers = NO_COLUMNS,
    *,
    keeps_unknown: bool = False,
) -> tuple[CtStudy | None, Timeline | None]:
    """The case without residual identifiers.

    boxes: where text was found in the voxels; these places are blanked as air on every slice. words, columns: as in
    `core.case.search.Found`. keeps_unknown: leave texts in which nothing was found but words that no vocabulary
    knows.

    A `CtStudy` is voxels, affine and allow-listed words already: headers, names and bytes around the pixels stay behind
    with the files, and the patient's own words leave its description. Of a timeline, codes, units, texts and
    descriptions go as the search judged them (`core.intake.identifiers.where.events`); times, numbers and all other
    words stay."""
    if study is not None:
        study = _without_own_words(blank_text(study, on_every_slice(study, boxes)), words)
    if timeline is not None:
        timeline = _without_doubts(timeline, doubts_of(timeline, words, columns), keeps_unknown)
    return study, timeline


def changes(
    before: tuple[CtStudy | None, Timeline | None], after: tuple[CtStudy | None, Timeline | None]
) -> tuple[str, ...]:
    """The notes that stripping left on the parts of a case, the CT's first."""
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old is not None and new is not None]
    return tuple(note for old, new in pairs for note in new.notes[len(old.notes) :])


def _without_doubts(timeline: Timeline, doubts: Doubts, keeps_unknown: bool) -> Timeline:
    if not keeps_unknown:
        return clean_timeline(timeline, doubts)
    kept, cleaned = kept_note(timeline, doubts), clean_timeline(timeline, doubts.without(UNKNOWN_WORDS))
    return replace(cleaned, notes=(*cleaned.notes, kept), digest="") if kept else cleaned


def _without_own_words(study: CtStudy, words: Collection[str]) -> CtStudy:
    """The study without words of the patient's name, which may be those of anatomy, in its description."""
    plain, kept = (plain_text(study.description, barred) for barred in ((), words))
    if kept == plain:
        return study
    gone = count_of(len(plain.split()) - len(kept.split()), "word")
    note = f"Removed from the series description, as in the patient's name or beside it: {gone}."
    return replace(study, description=kept or "CT series", notes=(*study.notes, note))
