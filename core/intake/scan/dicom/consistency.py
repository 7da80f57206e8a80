"""Images of one series that do not belong together: told by headers, and left out where the reader asks for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence

import numpy as np

from core.errors import UserFacingError
from core.intake.scan.dicom.header import ImageHeader
from core.intake.scan.dicom.values import Vector
from core.intake.scan.repairs import Repair, RepairableError
from core.wording import count_of

ANGLE_TOLERANCE = 2e-3
"""How far the cosines of parallel slices may differ."""
PIXEL_TOLERANCE = 1e-3
"""How far, as a share, the pixel sizes of one scan may differ."""

_SAME: tuple[tuple[str, Callable[[ImageHeader], Hashable]], ...] = (
    ("modalities", lambda image: image.modality),
    ("kinds of image", lambda image: frozenset(image.image_type)),
    ("stacks", lambda image: image.stack),
    ("image sizes", lambda image: (image.pixels.rows, image.pixels.columns)),
    ("pixel formats", lambda image: (image.pixels.bits_allocated, image.pixels.samples, image.pixels.photometric)),
    ("frames of reference", lambda image: image.frame_of_reference),
)
_SAME_WHERE_STATED = ("reconstruction kernels", "tube voltages", "manufacturers", "patient positions", "study dates")
"""What `ImageHeader.protocol` tells apart; "" in it states nothing."""

_PLACES_NAMED = 3
_ALIKE, _KEEP_ONE = "slices of one scan, all alike", "Keep the slices of one scan only, or choose another series."


def refuse_mixed(images: Sequence[ImageHeader], repairs: Collection[Repair], notes: list[str]) -> None:
    """Raise where headers say that the images are those of several scans, or some do not say what others do.

    notes: the latter is added, where a repair lets it pass.
    """
    for what, value in _SAME:
        _refuse_several(what, [value(image) for image in images], images)
    for field, what in enumerate(_SAME_WHERE_STATED):
        stated = [image.protocol[field] for image in images if image.protocol[field]]
        _refuse_several(what, stated, images)
        if stated and (unstated := len(images) - len(stated)):
            found = f"Not stating what the others do ({what}): {unstated} of {count_of(len(images), 'image')}."
            if "largest_group" not in repairs:
                raise RepairableError(found, _ALIKE, _KEEP_ONE, ("largest_group",))
            notes.append(f"Repaired: kept although they may be of another scan. {found}")


def _refuse_several(what: str, found: Sequence[Hashable], images: Sequence[ImageHeader]) -> None:
    counts = Counter(found)
    if len(counts) > 1:
        share = " and ".join(str(count) for count in sorted(counts.values(), reverse=True)[:4])
        most = counts.most_common(1)[0][0]
        odd = [image for image, value in zip(images, found, strict=False) if value != most]
        few = len(found) == len(images) and 2 * len(odd) < len(images)
        unlike_most = f"; unlike most: {which(odd, images)}" if few else ""
        raise unlike(
            f"One series mixes {len(counts)} {what} ({share} images{unlike_most}).",
            _ALIKE,
            _KEEP_ONE,
            images,
        )


def which(odd: Sequence[ImageHeader], images: Sequence[ImageHeader]) -> str:
    """Which of the images, counted by the names of their files: a name may be somebody's.

    Frames of one file are counted in its order.
    """
    order = sorted(images, key=lambda image: (image.entry.name.casefold(), image.frame))
    places = {id(image): place for place, image in enumerate(order, 1)}
    numbers = sorted(places[id(image)] for image in odd)
    shown = ", ".join(f"{number:,}" for number in numbers[:_PLACES_NAMED])
    more = " and so on" if len(numbers) > _PLACES_NAMED else ""
    return f"{len(numbers)} of {count_of(len(images), 'image')}, by name {shown}{more}"


def unlike(found: str, expected: str, next_step: str, images: Sequence[ImageHeader]) -> UserFacingError:
    """The refusal of images that are not alike; the repair is offered where more than half of them are."""
    group = _largest_group(images)
    if group is None or len(group) == len(images):
        return UserFacingError(found, expected, next_step)
    return RepairableError(found, expected, next_step, ("largest_group",))


def largest_group(
    images: Sequence[ImageHeader], repairs: Collection[Repair], notes: list[str]
) -> Sequence[ImageHeader]:
    """The images that are alike in all that is asked of slices of one scan, where this repair was chosen.

    All of them where it was not, or no more than half are alike.
    """
    group = _largest_group(images) if "largest_group" in repairs else images
    if group is None or len(group) == len(images):
        return images
    notes.append(
        f"Repaired: of {count_of(len(images), 'image')} the {len(group)} that are alike were kept; the others differ "
        "in what they are, or in where or how they were taken."
    )
    return group


def _largest_group(images: Sequence[ImageHeader]) -> Sequence[ImageHeader] | None:
    """The images alike in everything; None where no more than half of all are."""
    group: Sequence[ImageHeader] = images
    for _, value in _SAME:
        group = _most_frequent(group, [value(image) for image in group])
    for field in range(len(_SAME_WHERE_STATED)):
        group = _most_frequent(group, [image.protocol[field] or None for image in group])
    group = [image for image in group if image.position_mm and image.orientation and image.spacing_mm]
    if group:
        group = _near_median(group, [image.orientation for image in group], ANGLE_TOLERANCE)
    if group:
        group = _near_median(group, [image.spacing_mm for image in group], PIXEL_TOLERANCE)
    return group if 2 * len(group) > len(images) else None


def _most_frequent(images: Sequence[ImageHeader], values: Sequence[Hashable]) -> Sequence[ImageHeader]:
    """Images of the value that most of them have, and those of None, which contradicts nothing. values: one each."""
    counts = Counter(value for value in values if value is not None)
    if len(counts) < 2:
        return images
    most = counts.most_common(1)[0][0]
    return [image for image, value in zip(images, values, strict=True) if value in (most, None)]


def _near_median(
    images: Sequence[ImageHeader], vectors: Sequence[Vector | None], tolerance: float
) -> Sequence[ImageHeader]:
    """Images whose vectors differ from one another by no more than the tolerance, as cosines or a share do.

    vectors: one each, all of them there.
    """
    rows = np.array(vectors, np.float64)
    middle = np.median(rows, axis=0)
    far = np.abs(rows - middle).max(axis=1) > tolerance / 2 * min(1.0, float(np.abs(middle).max()))
    return [image for image, is_far in zip(images, far, strict=True) if not is_far]
