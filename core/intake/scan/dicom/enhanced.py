"""Enhanced multi-frame CT (PS3.3 A.38): one file, geometry and rescale per frame in functional groups."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from functools import partial
from typing import Any

from pydicom.filereader import dcmread
from pydicom.multival import MultiValue

from core.errors import UserFacingError
from core.intake.files.byte_source import EntryReader
from core.intake.scan.dicom.digests import digest_text
from core.intake.scan.dicom.elements import Malformed
from core.intake.scan.dicom.header import ImageHeader
from core.intake.scan.dicom.values import Vector, positive, sortable, to_float
from core.intake.terms.safe_description import EXPORT_AGAIN, safe_kernel

ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")


def split_frames(image: ImageHeader) -> list[ImageHeader]:
    """One header per frame of an enhanced CT image; a single frame that describes itself as a slice stays as it is.

    Raises UserFacingError for a multi-frame image without per-frame geometry, Malformed for one that cannot be parsed.
    """
    if image.sop_class not in ENHANCED_CT:
        raise UserFacingError(
            "A multi-frame image does not say where each frame lies.",
            "single slices or an enhanced CT image",
            "Export the original CT series.",
        )
    try:
        dataset = dcmread(io.BufferedReader(EntryReader(image.entry)), stop_before_pixels=True)
        shared = _first(dataset, "SharedFunctionalGroupsSequence")
        frames = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])
    except MemoryError:
        raise
    except Exception as error:
        raise Malformed from error
    if not frames and shared is None and image.frames == 1:
        return [image]
    if len(frames) != image.frames:
        raise UserFacingError(
            "The image declares another number of frames than it describes.",
            "a description of every frame",
            "Export it again.",
        )
    try:
        return [_frame(image, shared, groups, index) for index, groups in enumerate(frames)]
    except (UserFacingError, MemoryError):
        raise
    except Exception as error:
        raise Malformed from error


def _first(groups: Any, keyword: str) -> Any:
    """The first item of a sequence, or None."""
    sequence = groups.get(keyword) if groups is not None else None
    return sequence[0] if sequence else None


def _macro(shared: Any, groups: Any, keyword: str, *, strict: bool = True) -> Any:
    """A functional group of a frame, its own or the shared one (PS3.3 C.7.6.16.1.1 allows one of the two)."""
    own, common = _first(groups, keyword), _first(shared, keyword)
    if strict and own is not None and common is not None and own != common:
        raise UserFacingError(
            "A frame and what all frames share contradict each other.", "one description of each frame", EXPORT_AGAIN
        )
    return common if own is None else own


def _frame(image: ImageHeader, shared: Any, groups: Any, index: int) -> ImageHeader:
    frame_type = _macro(shared, groups, "CTImageFrameTypeSequence", strict=False)
    kind = _kind(frame_type)
    macro = partial(_macro, shared, groups, strict="LOCALIZER" not in kind)
    measures, transform = macro("PixelMeasuresSequence"), macro("PixelValueTransformationSequence")
    content = _first(groups, "FrameContentSequence")
    reconstruction = macro("CTReconstructionSequence")
    kernel = _text(reconstruction, "ConvolutionKernel")
    sizes = (_number(measures, "SliceThickness"), _number(reconstruction, "ReconstructionDiameter"))
    voltage = _number(macro("CTXRayDetailsSequence"), "KVP")
    cardiac = macro("CardiacSynchronizationSequence")
    return replace(
        image,
        frame=index,
        position_mm=_numbers(macro("PlanePositionSequence"), "ImagePositionPatient", 3),
        orientation=_numbers(macro("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        spacing_mm=_numbers(measures, "PixelSpacing", 2),
        thickness_mm=positive(sizes[0]),
        slice_step_mm=positive(_number(measures, "SpacingBetweenSlices")),
        diameter_mm=positive(sizes[1]),
        slope=_number(transform, "RescaleSlope"),
        intercept=_number(transform, "RescaleIntercept"),
        rescale_type=str(transform.get("RescaleType") or "").upper() if transform is not None else "",
        image_type=(*kind, *image.image_type),
        tube_voltage_kv=positive(voltage),
        kernel=safe_kernel(kernel) or image.kernel,
        protocol=(digest_text(kernel), digest_text(str(voltage)), *image.protocol[2:]),
        reconstruction=(*(digest_text(f"{size:g}" if size else "") for size in sizes), *image.reconstruction[2:]),
        acquisition=_text(content, "FrameAcquisitionNumber") or image.acquisition,
        taken=_text(content, "FrameAcquisitionDateTime") or image.taken,
        temporal_position=_text(content, "TemporalPositionIndex"),
        stack=_text(content, "StackID"),
        cardiac_phase=sortable(_number(cardiac, "NominalPercentageOfCardiacPhase")),
        volumetric=_text(frame_type, "VolumetricProperties").upper() or image.volumetric,
    )


def _kind(frame_type: Any) -> tuple[str, ...]:
    """What kind of image a frame is, and how it was calculated from others where it says so."""
    words = _text(frame_type, "FrameType").split("\\"), [_text(frame_type, "VolumeBasedCalculationTechnique")]
    return tuple(word.upper() for part in words for word in part if word.upper() not in ("", "NONE"))


def _text(groups: Any, keyword: str) -> str:
    """Value(s) of an element as text, "" where absent."""
    value = groups.get(keyword) if groups is not None else None
    if value is None or isinstance(value, str):
        return value or ""
    return "\\".join(str(part) for part in value) if isinstance(value, MultiValue) else str(value)


def _number(groups: Any, keyword: str) -> float | None:
    value = groups.get(keyword) if groups is not None else None
    return None if value is None else to_float(str(value))


def _numbers(groups: Any, keyword: str, length: int) -> Vector | None:
    value = groups.get(keyword) if groups is not None else None
    if value is None or isinstance(value, str) or len(value) != length:
        return None
    numbers = tuple(float(part) for part in value)
    return numbers if all(math.isfinite(number) for number in numbers) else None
