"""Text burned into the pictures of one series: what is read on one picture is blanked at that place on all of them.

A name is written into every picture of a series, and is often legible where the reader fails: faint, or before bone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.intake.identifiers.pictures.burned_in import find_all_text, merged
from core.intake.identifiers.pictures.line_extent import PlaneBox, Planes, lengthened
from core.intake.identifiers.pictures.planes import Frames

MOST_TEXT = 0.25
"""Share of a picture; where text covers more, the picture is a document."""
_ROUNDS = 4
STACK = 96
"""Pictures that are held decoded at a time, and read as one stack."""
Size = tuple[int, int]


@dataclass(frozen=True)
class SeriesText:
    """places: by picture size (rows, columns), what is blanked on all pictures. documents: indices of files of text."""

    places: Mapping[Size, Sequence[PlaneBox]]
    documents: frozenset[int]

    def is_document(self, index: int, frames: Frames) -> bool:
        """Whether a file is a picture of text, or one of so many texts that little would be left of it."""
        return index in self.documents or _share(self.places_on(frames), size_of(frames)) > MOST_TEXT

    def places_on(self, frames: Frames) -> Sequence[PlaneBox]:
        """What is blanked on every picture of a file."""
        return self.places.get(size_of(frames), ())


def size_of(frames: Frames) -> Size:
    """(rows, columns) of a file's pictures."""
    return int(frames.planes.shape[1]), int(frames.planes.shape[2])


def text_of_series(batches: Iterable[Sequence[Frames | None]]) -> SeriesText:
    """Text in the files of one series, handed over in batches, which are searched one by one. Raises NoTextReader."""
    boxes: dict[Size, list[PlaneBox]] = defaultdict(list)
    documents: set[int] = set()
    count = 0
    for files in batches:
        pages, found = _apart(files)
        documents |= {count + index for index in pages}
        for index, (frames, part) in enumerate(zip(files, found, strict=True)):
            if frames is not None and index not in pages:
                boxes[size_of(frames)] += [box for frame in part.values() for box in frame]
        count += len(files)
    places = {size: on_every_picture(part, size) for size, part in boxes.items()}
    return SeriesText(places, frozenset(documents))


def on_every_picture(boxes: Iterable[PlaneBox], size: Size) -> list[PlaneBox]:
    """Places to blank on all pictures of one size: boxes found on some of them, longer, those of one place joined."""
    return merged([_widened(box, size) for box in boxes])


def _apart(files: Sequence[Frames | None]) -> tuple[set[int], list[dict[int, list[PlaneBox]]]]:
    """(files that are pictures of text, boxes in all files).

    The search is repeated without the fullest pictures, because their text shows in the mean over their neighbours.
    """
    pages: set[int] = set()
    for _ in range(_ROUNDS):
        found = text_in_files([None if index in pages else frames for index, frames in enumerate(files)])
        full = {
            index: max(_share(boxes, size_of(frames)) for boxes in part.values())
            for index, (frames, part) in enumerate(zip(files, found, strict=True))
            if frames is not None and part
        }
        full = {index: share for index, share in full.items() if share > MOST_TEXT}
        if not full:
            return pages, found
        pages |= {index for index, share in full.items() if share > 0.9 * max(full.values())}
    return pages | set(full), found


def stackable(frames: Frames | None) -> Iterator[tuple[tuple[Any, ...], Planes]]:
    """Every view of a file's pictures, with what those have in common that may be read as one stack."""
    for number, planes in enumerate((frames.planes, *frames.hues) if frames is not None else ()):
        yield (number, *planes.shape[1:], planes.dtype), planes


def text_in_files(files: Sequence[Frames | None]) -> list[dict[int, list[PlaneBox]]]:
    """Text boxes by frame for each file; files of one picture size are searched as one stack. Raises NoTextReader."""
    found: list[dict[int, list[PlaneBox]]] = [{} for _ in files]
    stacks: dict[tuple[Any, ...], list[tuple[int, Planes]]] = defaultdict(list)
    for index, frames in enumerate(files):
        for key, planes in stackable(frames):
            stacks[key].append((index, planes))
    for stack in stacks.values():
        owners = [(index, frame) for index, planes in stack for frame in range(len(planes))]
        for box in find_all_text(np.concatenate([planes for _, planes in stack])):
            for index, frame in owners[box.first : box.last + 1]:
                found[index].setdefault(frame, []).append(replace(box, first=frame, last=frame))
    return found


def _widened(box: PlaneBox, size: Size) -> PlaneBox:
    """A place longer at both ends by its height, because a reader may miss the first letters and the last."""
    top, left, bottom, right = lengthened((box.top, box.left, box.bottom, box.right), 1, size)
    return replace(box, first=0, last=0, top=top, left=left, bottom=bottom, right=right)


def _share(boxes: Iterable[PlaneBox], size: Size) -> float:
    return sum((box.bottom - box.top) * (box.right - box.left) for box in boxes) / (size[0] * size[1])
