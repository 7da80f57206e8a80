"""Which images of a series were taken together: what their headers say, and what must not be mixed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import combinations, groupby

import numpy as np

from core.errors import UserFacingError
from core.intake.scan.dicom.digests import RECONSTRUCTION
from core.intake.scan.dicom.header import ImageHeader
from core.intake.scan.dicom.patient import time_taken
from core.wording import count_of

_PAUSE_S = 10.0
"""Images taken with such a pause between them are of two acquisitions; a scan has none, a row of scans one at each."""
_LONG_PAUSE_S = 60.0
"""No breath is held so long: what was scanned after it is another moment."""
_JOINT_RETURNS = 4
"""Acquisitions in a row may overlap by two slices where they meet, which puts them in turns four times."""
_FEWEST_OF_ONE, _MOST_COMPARED = 3, 32
"""Images that make a scan of their own; and scans, those of most images, that are compared with each other."""
_FEW_SKIPS = 0.1
_CLOCK = re.compile(r"(?:\d{8})?(\d{2}):?(\d{2}):?(\d{2}(?:\.\d+)?)")

Labels = list[Hashable]


def phase_of(image: ImageHeader) -> tuple[str, str, str]:
    """Which of several scans of one place the image belongs to; sorts by acquisition, time point, cardiac phase."""
    return image.acquisition.zfill(8), image.temporal_position.zfill(8), image.cardiac_phase


def seconds(text: str) -> float | None:
    """The time of day of a DICOM time or date and time, in seconds; None where it is not written to the second.

    >>> seconds("101530.5"), seconds("20190504101530.5"), seconds("1015")
    (36930.5, 36930.5, None)
    """
    found = _CLOCK.match(text)
    return None if found is None else int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])


def refuse_phases(images: Sequence[ImageHeader]) -> None:
    """Raise where slices side by side show different time points or phases of the heart."""
    for what, found in (
        ("time points", {image.temporal_position for image in images}),
        ("phases of the heart", {image.cardiac_phase for image in images}),
    ):
        if len(found) > 1:
            raise UserFacingError(
                f"The slices show {len(found)} different {what}.",
                "slices of one moment",
                "Export one time point or phase as a series of its own.",
            )


def refuse_mixed_acquisitions(images: Sequence[ImageHeader]) -> list[str]:
    """Raise where slices of two acquisitions take turns along the body, or follow each other with another contrast.

    images: by height. Returns a note where there are several acquisitions. Numbers that take turns while the images
    are counted through from end to end are a scanner's habit and no second scan.
    """
    numbers: Labels = [image.acquisition.zfill(8) if image.acquisition else None for image in images]
    moments, agents = _moments([image.taken for image in images]), [image.remarks[0] for image in images]
    counted = _take_turns(numbers) and _counted_through(images)
    files: Labels = [image.sop_uid if image.frames > 1 and not image.part[0] else "" for image in images]
    days: Labels = [image.day or None for image in images]
    told = {"acquisition numbers": [] if counted else numbers, "times": moments, "days": days, "files": files}
    for what, labels in told.items():
        if _take_turns(labels):
            raise _several(f"Slices of several acquisitions take turns: their {what} differ from slice to slice.")
    several = max(len(set(labels) - {None}) for labels in (numbers, moments)) > 1
    if len(set(agents)) > 1 and (several or _take_turns([*agents])):
        raise _several("Slices of several acquisitions differ in the contrast agent that they name, if any.")
    notes = _refuse_mixed_reconstructions(images) + _notes_of_joined(len(set(files)), days)
    notes += [*_pause_note(images), *_skipped_note(images)]
    count = len(set(numbers) - {None})
    how = ", in turns; they were read as one scan because their images are counted through" if counted else ""
    return [f"The slices were taken in {count} acquisitions{how}.", *notes] if count > 1 else notes


def _refuse_mixed_reconstructions(images: Sequence[ImageHeader]) -> list[str]:
    """Raise where what one reconstruction shares takes turns along the body; notes where it differs otherwise."""
    notes = []
    for number, what in enumerate(RECONSTRUCTION.values()):
        labels: Labels = [image.reconstruction[number] or None for image in images]
        if _take_turns(labels):
            raise _several(f"Slices of several reconstructions take turns: their {what} differ from slice to slice.")
        counts = sorted(Counter(label for label in labels if label is not None).values(), reverse=True)
        if len(counts) > 1 and counts[-1] >= _FEWEST_OF_ONE:
            share = " and ".join(str(count) for count in counts[:4])
            notes.append(f"The slices have {len(counts)} {what} ({share} images), as those of several scans do.")
    return notes


def _notes_of_joined(files: int, days: Labels) -> list[str]:
    """Doubts where multi-frame images follow each other along the body, or images taken more than a day apart."""
    notes = [f"The slices come from {files} images of many slices, which follow each other."] if files > 1 else []
    dates = [date for date in (time_taken(str(day), "") for day in set(days) - {None}) if date]
    if dates and (apart := (max(dates) - min(dates)).days) > 1:
        notes.append(
            f"The slices were taken on {len(dates)} days, up to {apart} days apart, as those of two scans are."
        )
    return notes


def _pause_note(images: Sequence[ImageHeader]) -> list[str]:
    """A doubt where the scan stood still for long between two slices of one day."""
    clocks = [clock for image in images if (clock := seconds(image.taken)) is not None]
    pause = float(np.diff(np.sort(clocks)).max(initial=0))
    if pause < _LONG_PAUSE_S or len({image.day for image in images}) > 1:
        return []
    return [
        f"Between two slices the scan paused for {pause / 60:.0f} min: the patient may have moved meanwhile, or the "
        "contrast agent gone on."
    ]


def _skipped_note(images: Sequence[ImageHeader]) -> list[str]:
    """A doubt where image numbers count through the slices of one acquisition but for a few that are left out.

    Positions that are evenly spaced all the same may have been written anew.
    """
    if not _counted_through(images) or len({image.acquisition for image in images}) > 1:
        return []
    steps = np.abs(np.diff([_number(image.instance) or 0.0 for image in images]))
    usual = float(np.median(steps))
    skipped = (steps[steps > usual] / usual - 1).sum()
    if not 0 < np.count_nonzero(steps != usual) <= _FEW_SKIPS * len(steps):
        return []
    return [f"The image numbers leave out {count_of(round(skipped), 'image')} between the slices: some may be missing."]


def _several(found: str) -> UserFacingError:
    return UserFacingError(
        found,
        "slices of one acquisition, or of several that follow each other",
        "Export each acquisition as a series of its own.",
    )


def _counted_through(images: Sequence[ImageHeader]) -> bool:
    """Whether the image numbers rise, or fall, from slice to slice."""
    numbers = [_number(image.instance) for image in images]
    steps = np.diff([np.nan if number is None else number for number in numbers])
    return bool((steps > 0).all() or (steps < 0).all())


def _moments(times: Sequence[str]) -> Labels:
    """For each time as written the number of pauses before it, None where it is not known."""
    clocks = [seconds(time) for time in times]
    known = np.unique([clock for clock in clocks if clock is not None])
    resumed = known[1:][np.diff(known) >= _PAUSE_S]
    return [None if clock is None else int(np.searchsorted(resumed, clock, side="right")) for clock in clocks]


def _take_turns(labels: Labels) -> bool:
    """Whether two of the known labels, in order along the body, take turns more often than where two scans meet."""
    labels = [label for label in labels if label is not None]
    counts, row = Counter(labels), [label for label, _ in groupby(labels)]
    if len(row) - len(counts) <= _JOINT_RETURNS:
        return False
    span = {label: (row.index(label), len(row) - row[::-1].index(label)) for label in counts}
    often = [label for label, count in counts.most_common(_MOST_COMPARED) if count >= _FEWEST_OF_ONE]
    return any(
        span[one][0] < span[other][1] and span[other][0] < span[one][1] and _returns(row, one, other) > _JOINT_RETURNS
        for one, other in combinations(often, 2)
    )


def _returns(row: Labels, one: Hashable, other: Hashable) -> int:
    return sum(1 for _ in groupby(label for label in row if label in (one, other))) - 2


def first_of_each(places: Sequence[Sequence[int]], images: Sequence[ImageHeader]) -> tuple[list[int], str] | None:
    """One image a place, those of the first acquisition, and what tells it from the others; None where nothing does.

    places: indices of `images` at each place, by height. What is kept is certainly of one acquisition, or of several
    that follow each other along the body.
    """
    for what, labels in _labels(images):
        if kept := _kept_by_label(places, labels, images):
            return kept, what
    for what, values in _orders(images):
        if kept := _kept_by_order(places, values):
            return kept, what
    return None


def _labels(images: Sequence[ImageHeader]) -> Iterator[tuple[str, Labels]]:
    """What may tell acquisitions apart, in order of trust, and each image's value of it."""
    yield "acquisition number or phase", [phase_of(image) for image in images]
    yield "time", _moments([image.taken for image in images])
    yield "time", _moments([image.made for image in images])
    yield "slice thickness", [image.thickness_mm for image in images]
    for number, what in enumerate(("contrast agent", "comments", "derivation")):
        yield what, [image.remarks[number] for image in images]


def _orders(images: Sequence[ImageHeader]) -> Iterator[tuple[str, list[float | None]]]:
    """What counts up from image to image, so that one acquisition comes wholly before the next."""
    clocks: tuple[Callable[[ImageHeader], str], ...] = (
        lambda image: image.taken, lambda image: image.made, lambda image: image.created
    )  # fmt: skip
    for text in clocks:
        yield "time", [seconds(text(image)) for image in images]
    yield "time since the heart beat", [image.trigger_ms for image in images]
    yield "acquisition number", [_number(image.acquisition) for image in images]
    yield "image number", [_number(image.instance) for image in images]


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch("[0-9]{1,12}", text) else None


def _kept_by_label(places: Sequence[Sequence[int]], labels: Labels, images: Sequence[ImageHeader]) -> list[int]:
    """The images of the first label at each place; none where labels do not tell all images at one place apart, or
    where what they keep is not one block a label."""
    if any(len({labels[index] for index in place}) < len(place) for place in places):
        return []
    first: dict[Hashable, tuple[object, ...]] = {}
    for label, image in zip(labels, images, strict=True):
        first[label] = min(first.get(label, _turn(image)), _turn(image))
    kept = [min(place, key=lambda index: first[labels[index]]) for place in places]
    counts, row = Counter(labels[index] for index in kept), [label for label, _ in groupby(labels[i] for i in kept)]
    chosen = {labels[index] for index, place in zip(kept, places, strict=True) if len(place) > 1}
    sound = len(counts) == 1 or min(counts[label] for label in chosen) >= _FEWEST_OF_ONE
    return kept if len(row) == len(counts) and sound else []


def _turn(image: ImageHeader) -> tuple[str, ...]:
    """A key that sorts images as they were taken: by phase, then by time, then by their numbers."""
    return (*phase_of(image), image.taken, image.made, image.created, image.instance.zfill(12))


def _kept_by_order(places: Sequence[Sequence[int]], values: list[float | None]) -> list[int]:
    """The lowest value at each place; none unless all that is kept comes before all that is not."""
    known = [np.nan if value is None else value for value in values]
    if not np.isfinite(known).all():
        return []
    kept = [min(place, key=lambda index: known[index]) for place in places]
    left = set(range(len(known))) - set(kept)
    return kept if left and max(known[i] for i in kept) < min(known[i] for i in left) else []
