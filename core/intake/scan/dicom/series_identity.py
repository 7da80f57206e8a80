"""Are these images the slices of one scan? What a header may say that makes them several, or none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from core.errors import UserFacingError
from core.intake.scan.dicom.consistency import largest_group, refuse_mixed, unlike
from core.intake.scan.dicom.header import ImageHeader
from core.intake.scan.dicom.values import Vector
from core.intake.scan.repairs import Repair
from core.intake.terms.safe_description import EXPORT_AGAIN
from core.wording import count_of

_RENDERED = frozenset(
    """
    MIP MINIP MAX_IP MIN_IP MAXIMUM MINIMUM PROJECTION VRT SSD VOLUME_RENDER SURFACE_RENDER CPR CURVED_MPR SCREEN
    SUBTRACTION DIVISION MULTIPLICATION STD_DEVIATION QUANTITY PERFUSION Z_EFF EFF_ATOMIC_NUM ELECTRON_DENSITY RHO_Z
    MAT_FRACTIONAL MAT_VALUE_BASED MAT_SPECIFIC ZEFF EFF_Z
    """.split()  # noqa: SIM905
)
"""Image type values (PS3.3 C.8.16.1.4, C.8.15.3.1, and makers' own) whose pixels are no slice of tissue in HU."""
_MAPS = re.compile(r"IODINE|PBV|^MD$|EFFECTIVE_?Z|Z_?EFFECTIVE|URIC|FAT_FRACTION")
"""Parts of makers' own names for maps of a material or of blood volume, whose pixels are no HU."""

_CROSS_SECTIONS = "cross-sections in Hounsfield units"
_SAME_MM = 0.02
_UNUSUAL: tuple[tuple[Callable[[ImageHeader], bool], str], ...] = (
    (
        lambda image: image.image_type[0] == "DERIVED",
        "The header calls the slices derived from others, as reformats are.",
    ),
    (
        lambda image: "ENERGY_PROP_WT" in image.image_type,
        "The slices weight the energies of a spectral scan; values of contrast agent and bone differ from a usual CT.",
    ),
    (
        lambda image: image.energies and "ENERGY_PROP_WT" not in image.image_type,
        "The description names a result calculated from several energies, as of iodine or at one energy; its values "
        "differ from a usual CT.",
    ),
    (
        lambda image: image.projected,
        "The description names a projection (MIP, MinIP, ray sum, rendering): if the pixels are one, each shows many "
        "slices at once, and no tissue has its own value.",
    ),
    (
        lambda image: image.cone_beam,
        "The header tells of a cone-beam CT, whose values are seldom true Hounsfield units.",
    ),
    (
        lambda image: image.burned_in,
        "The header says that text is burned into the images: it hides what lies there, and may name the patient.",
    ),
    (lambda image: image.test_object, "The header tells of a phantom, made to check the scanner, and of no patient."),
)
"""What the models were not trained on, and a reader should know."""


def refuse_two_patients(images: Iterable[ImageHeader]) -> None:
    """Raise where names, ids, birth dates or sexes show more than one patient."""
    for field, what in enumerate(("names", "identifiers", "birth dates", "sexes", "names", "names")):
        found = {image.identity[field] for image in images} - {""}
        if len(found) > 1:
            raise UserFacingError(
                f"The source holds images with {len(found)} different patient {what}.",
                "images of one patient",
                "Choose one patient's files: their folder, or an archive of them alone.",
            )


def _note_unnamed(images: Sequence[ImageHeader], notes: list[str]) -> None:
    """Adds a sentence where some images of a series bear neither name nor identifier, and others do."""
    unnamed = sum(not (image.identity[0] or image.identity[1]) for image in images)
    if 0 < unnamed < len(images):
        notes.append(
            "Bearing neither the name nor the identifier of a patient, as others of the series do: "
            f"{count_of(unnamed, 'image')}. Nothing but the series shows whose they are."
        )


def why_no_volume(images: Sequence[ImageHeader]) -> str:
    """What a series holds that can never be a volume, in words; "" where two of its images are slices side by side.

    Scouts, the image before a scan and those that watch the contrast arrive, pages of a protocol.
    """
    slices = [image for image in images if not image.is_localizer]
    if not slices:
        return count_of(len(images), "localizer image")
    if _has_depth(slices):
        return ""
    count = count_of(len(slices), "image")
    places = {image.position_mm for image in slices if image.orientation} - {None}
    if not places:
        return f"{count} without a position"
    if len(slices) == 1:
        return count
    return f"{count} at one place" if len(places) == 1 else f"{count} that are not parallel"


def _has_depth(images: Iterable[ImageHeader]) -> bool:
    """Whether two parallel images lie at different heights along their normal."""
    heights: dict[Vector, float] = {}
    for image in images:
        if image.position_mm is None or image.orientation is None:
            continue
        direction = tuple(round(cosine, 2) for cosine in image.orientation)
        height = float(np.cross(direction[:3], direction[3:]) @ image.position_mm)
        if abs(heights.setdefault(direction, height) - height) > _SAME_MM:
            return True
    return False


def slices_of_one_scan(
    images: Sequence[ImageHeader], notes: list[str], repairs: Collection[Repair] = ()
) -> Sequence[ImageHeader]:
    """The images without localizers. Raises UserFacingError where they are no slices, or those of several scans."""
    slices = largest_group(_without_localizers(images, notes), repairs, notes)
    _refuse_renderings(slices)
    refuse_mixed(slices, repairs, notes)
    _refuse_missing_parts(slices)
    _note_unnamed(slices, notes)
    notes += [words for is_so, words in _UNUSUAL if any(map(is_so, slices))]
    return slices


def _without_localizers(images: Sequence[ImageHeader], notes: list[str]) -> list[ImageHeader]:
    scans = [image for image in images if not image.is_localizer]
    kept = [image for image in scans if not _is_page(image)] or scans
    if len(kept) < len(scans):
        notes.append(f"Left out: {count_of(len(scans) - len(kept), 'picture')} without a place in the patient.")
    if not kept:
        raise UserFacingError(
            "The series holds localizer images only.", "CT slices", "Choose the series with the cross-sectional images."
        )
    if len(scans) < len(images):
        notes.append(f"Left out: {count_of(len(images) - len(scans), 'localizer image')}.")
    return kept


def _is_page(image: ImageHeader) -> bool:
    """Whether the image says that it is a rendering or a screen, and does not say where in the patient it lies."""
    return _is_rendered(image.image_type) and image.position_mm is None and image.orientation is None


def _refuse_renderings(images: Sequence[ImageHeader]) -> None:
    rendered = sum(count for kind, count in Counter(image.image_type for image in images).items() if _is_rendered(kind))
    rendered = rendered or sum(image.projected and image.image_type[0] == "DERIVED" for image in images)
    distorted = sum(image.volumetric in ("SAMPLED", "DISTORTED") for image in images)
    if refused := rendered or distorted:
        found = f"Declared to be projections, renderings, maps or distorted: {count_of(refused, 'image')}."
        step = "Choose the original series that these images were made from."
        if 2 * refused < len(images):
            raise unlike(found, _CROSS_SECTIONS, step, images)
        raise UserFacingError(found, _CROSS_SECTIONS, step)


def _is_rendered(image_type: Sequence[str]) -> bool:
    return any(map(word_for_no_slice, image_type))


def word_for_no_slice(value: str) -> str:
    """The word of an image type's value that makes it one of pixels that are no slice in HU; "" where there is none.

    >>> [word_for_no_slice(value) for value in ("CT_SOM5 MIP", "MIP_10", "DET_IODINE", "AXIAL")]
    ['MIP', 'MIP', 'IODINE', '']
    """
    words = [word.rstrip("_0123456789") or word for word in re.split(r"[ \\]", value)]
    maps = (found[0] for found in map(_MAPS.search, words) if found)
    return next((word for word in words if word in _RENDERED), "") or next(maps, "")


def _refuse_missing_parts(images: Sequence[ImageHeader]) -> None:
    """Raise where a concatenation (one enhanced image over several files) lacks a part, or there are several."""
    parts = {image.part for image in images}
    numbers = {number for _, number, _ in parts}
    total = max(total for *_, total in parts)
    if len({whole for whole, *_ in parts}) > 1 or numbers != set(range(1, max(total, *numbers, 1) + 1)):
        raise UserFacingError(
            "An image that was cut into several files is not complete, or is mixed with another one.",
            "all parts of one image",
            EXPORT_AGAIN,
        )
