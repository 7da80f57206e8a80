"""Enhanced multi-frame CT (PS3.3 A.38): one file, geometry and rescale per frame in functional groups."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import Any

from pydicom.filereader import dcmread

from core.errors import UserFacingError
from core.load.dicom_header import ImageHeader, Vector, to_float
from core.load.dicom_scan import Malformed

ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")


def split_frames(image: ImageHeader) -> list[ImageHeader]:
    """One header per frame of an enhanced CT image.

    Raises UserFacingError for a multi-frame image without per-frame geometry, Malformed for one that cannot be parsed.
    """
    if image.sop_class not in ENHANCED_CT:
        raise UserFacingError(
            "A multi-frame image does not say where each frame lies.",
            "single slices or an enhanced CT image",
            "Export the original CT series.",
        )
    try:
        dataset = dcmread(io.BytesIO(image.entry.read(0, None)), stop_before_pixels=True)
        shared = _first(dataset, "SharedFunctionalGroupsSequence")
        frames = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])
    except Exception as error:
        raise Malformed from error
    if len(frames) != image.frames:
        raise UserFacingError(
            "The image declares another number of frames than it describes.",
            "a description of every frame",
            "Export it again.",
        )
    try:
        return [_frame(image, shared, groups, index) for index, groups in enumerate(frames)]
    except Exception as error:
        raise Malformed from error


def _first(groups: Any, keyword: str) -> Any:
    """The only item of a sequence, or None."""
    sequence = groups.get(keyword) if groups is not None else None
    return sequence[0] if sequence else None


def _frame(image: ImageHeader, shared: Any, groups: Any, index: int) -> ImageHeader:
    def macro(keyword: str) -> Any:
        return _first(groups, keyword) or _first(shared, keyword)

    measures, transform = macro("PixelMeasuresSequence"), macro("PixelValueTransformationSequence")
    frame_type, content = macro("CTImageFrameTypeSequence"), _first(groups, "FrameContentSequence")
    kind = tuple(str(value).upper() for value in (frame_type.get("FrameType") or ())) if frame_type is not None else ()
    return replace(
        image,
        frame=index,
        position_mm=_numbers(macro("PlanePositionSequence"), "ImagePositionPatient", 3),
        orientation=_numbers(macro("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        spacing_mm=_numbers(measures, "PixelSpacing", 2),
        thickness_mm=_number(measures, "SliceThickness"),
        slice_step_mm=_number(measures, "SpacingBetweenSlices"),
        slope=_number(transform, "RescaleSlope"),
        intercept=_number(transform, "RescaleIntercept"),
        rescale_type=str(transform.get("RescaleType") or "").upper() if transform is not None else "",
        image_type=kind or image.image_type,
        tube_voltage_kv=_number(macro("CTXRayDetailsSequence"), "KVP"),
        temporal_position=str(content.get("TemporalPositionIndex") or "") if content is not None else "",
    )


def _number(groups: Any, keyword: str) -> float | None:
    value = groups.get(keyword) if groups is not None else None
    return None if value is None else to_float(str(value))


def _numbers(groups: Any, keyword: str, length: int) -> Vector | None:
    value = groups.get(keyword) if groups is not None else None
    if value is None or isinstance(value, str) or len(value) != length:
        return None
    numbers = tuple(float(part) for part in value)
    return numbers if all(math.isfinite(number) for number in numbers) else None
