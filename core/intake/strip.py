"""What an opened case may carry: voxels, geometry and coded events, without the texts that could identify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from core.load.words import count_of
from core.privacy.burned_in import TextBox, blank_text, on_every_slice
from core.privacy.fields import is_identifying
from core.records import CtStudy, Timeline


def strip(
    study: CtStudy | None, timeline: Timeline | None, boxes: Sequence[TextBox] = ()
) -> tuple[CtStudy | None, Timeline | None]:
    """The case without residual identifiers.

    boxes: where text was found in the voxels; these places are blanked as air on every slice.

    A `CtStudy` is voxels, affine and allow-listed words already: headers, names and bytes around the pixels stay behind
    with the files. Of a timeline, texts and descriptions that look like a name, number, contact or date are removed.
    """
    cleaned = None if study is None else blank_text(study, on_every_slice(study, boxes))
    return cleaned, None if timeline is None else _strip_texts(timeline)


def _strip_texts(timeline: Timeline) -> Timeline:
    texts = timeline.events["text_value"]
    flagged = texts.map(lambda text: isinstance(text, str) and is_identifying(text))
    words = {code: text for code, text in timeline.code_descriptions.items() if not is_identifying(text)}
    dropped = int(flagged.sum())
    if not dropped and len(words) == len(timeline.code_descriptions):
        return timeline
    notes = [*timeline.notes]
    if dropped:
        notes.append(f"Removed, as it looked identifying: the free text of {count_of(dropped, 'event')}.")
    kept = [None if drop else text for text, drop in zip(texts, flagged, strict=True)]
    events = timeline.events.assign(text_value=pd.Series(kept, timeline.events.index, dtype=object))
    return replace(timeline, events=events, notes=tuple(notes), code_descriptions=words, digest="")
