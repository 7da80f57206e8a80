"""What one DICOM image says of its place, its pixels and its series; text that could identify stays out of it."""

from __future__ import annotations

import re
from collections.abc import Hashable
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import UserFacingError
from core.intake.files.byte_source import Entry, memory_entry
from core.intake.files.limits import LIMITS, MIB, Limits, check_file_held
from core.intake.scan.dicom.digests import PROTOCOL, RECONSTRUCTION, REMARKS, digest_text, digests, identity
from core.intake.scan.dicom.elements import Malformed, NeedMore, Scan, is_element_run, scan
from core.intake.scan.dicom.header_cache import Layout
from core.intake.scan.dicom.jpeg import ALWAYS_LOSSY
from core.intake.scan.dicom.patient import dates_shifted, stated_age, stated_day, stated_sex
from core.intake.scan.dicom.values import TAGS, Values, Vector, positive, sortable
from core.intake.terms.safe_description import EXPORT_AGAIN, describe_series, safe_kernel

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""How the UIDs of classes of captured screens begin."""
HEAD_BYTES = 16 << 10
_LONG_HEAD_BYTES = 256 << 10
"""Beginnings of a file that hold the headers of most scanners, and of those that describe themselves at length."""

_WANTED = frozenset(TAGS.values())
_TIMES = ("AcquisitionTime", "AcquisitionDateTime", "ContentTime", "InstanceCreationTime", "TriggerTime")
_OWN_TAGS = frozenset(TAGS[name] for name in ("SOPInstanceUID", "ImagePositionPatient", "InstanceNumber", *_TIMES))
"""What differs between the slices of every series."""
_CONE_BEAM = re.compile(r"(?i)(?<![a-z])(cbct|cone[ _-]?beam)(?![a-z])")
_ENERGIES = re.compile(
    r"(?i)(?<![a-z])(iodine|vnc|virtual(ly)?[ _-]?(non|unenhanced|mono)|mono[ _-]?e(nerget\w*)?|\d{2,3}[ _-]?kev"
    r"|(eff(ective)?[ _-]?)?z[ _-]?eff(ective)?|effective[ _-]?(z|atomic)|rho|electron[ _-]?density|ca[ _-]?supp?"
    r"|calcium[ _-]?suppress\w*|uric|pbv|perfused[ _-]?blood)(?![a-z])"
)
"""Names that makers give to what is calculated from several energies."""
_PROJECTED = re.compile(r"(?i)(?<![a-z])(mip|min[ _-]?ip|max[ _-]?ip|ray[ _-]?sum|vrt)s?(?![a-z])")
"""Names of projections of the largest, the smallest or the summed value through several slices, and of renderings."""
_MOST_FRAMES = 100_000
_MOST_LAYOUTS = 16
"""Of one intake: where hardly two headers are alike, learning their layouts costs more than it saves."""


@dataclass(frozen=True)
class PixelFormat:
    """How stored values are laid out (PS3.3 C.7.6.3.1)."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    samples: int
    photometric: str
    big_endian: bool
    transfer_syntax: str


@dataclass(frozen=True, eq=False, repr=False)  # dates, age, UIDs and file names belong in no log
class ImageHeader:
    """One image (a file, or one frame of an enhanced file).

    position_mm, orientation: LPS patient coordinates, None where absent or not numbers. spacing_mm: (row, column).
    diameter_mm: stated width of the reconstructed field, None where absent.
    slope, intercept: None where absent; may be NaN or infinite as written.
    identity: digests of name, id, birth date and sex of the patient, for telling patients apart only.
    protocol: digests of kernel, tube voltage, maker, patient position and study date, for telling scans apart only.
    stack: which of several stacks of an enhanced file the frame belongs to.
    day: date of the acquisition; taken, made, created: times of it, of the contents and of the file; all as written.
    sex, age_years, dates_shifted: see `core.intake.scan.dicom.patient`.
    series_number: of the series in its study, as stated; None where it is not.
    acquisition_images: how many images the acquisition has, as stated; None where it is not.
    trigger_ms: time since the heart beat, None where absent.
    reconstruction: digests of what all images of one reconstruction share, for telling scans apart only.
    remarks: digests of contrast agent, comments and derivation, for telling acquisitions apart only.
    cone_beam, energies, projected, test_object, burned_in: whether the header tells of a cone-beam CT, a result
    calculated from several energies, a projection through several slices, a phantom, or text in the pixels.
    part: (digest of the concatenation, number of this part, number of all parts or 0), ("", 1, 1) where it is whole.
    frame, pixel_start, pixel_length: where the pixels lie in the entry; pixel_length None means encapsulated.
    """

    entry: Entry
    pixels: PixelFormat
    frame: int
    frames: int
    pixel_tag: int
    pixel_start: int
    pixel_length: int | None
    inflated: bytearray | None
    modality: str
    image_type: tuple[str, ...]
    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    series_number: int | None
    frame_of_reference: str
    acquisition: str
    acquisition_images: int | None
    temporal_position: str
    position_mm: Vector | None
    orientation: Vector | None
    spacing_mm: Vector | None
    thickness_mm: float | None
    slice_step_mm: float | None
    diameter_mm: float | None
    tilt_degrees: float | None
    slope: float | None
    intercept: float | None
    rescale_type: str
    padding: int | None
    padding_limit: int | None
    lossy: bool
    overlay_in_pixels: bool
    kernel: str
    tube_voltage_kv: float | None
    contrast_agent: bool | None
    description: str
    virtual: bool
    cone_beam: bool
    energies: bool
    projected: bool
    test_object: bool
    burned_in: bool
    identity: tuple[str, ...]
    protocol: tuple[str, ...]
    sex: Literal["F", "M"] | None
    age_years: float | None
    dates_shifted: bool
    cardiac_phase: str
    stack: str
    day: str
    taken: str
    made: str
    created: str
    trigger_ms: float | None
    remarks: tuple[str, ...]
    reconstruction: tuple[str, ...]
    instance: str
    part: tuple[str, int, int]
    volumetric: str
    has_modality_table: bool

    @property
    def is_localizer(self) -> bool:
        """Whether the image says that it is a scout view."""
        return "LOCALIZER" in self.image_type

    @property
    def has_pixels(self) -> bool:
        """Whether there is an image at all."""
        return self.pixel_tag != 0 and self.pixels.rows > 0 and self.pixels.columns > 0


class HeaderReader:
    """Reads the headers of one intake; what the slices of a series share is interpreted once."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._known: dict[Hashable, ImageHeader] = {}
        self._layout: Layout | None = None
        self._learned = 0

    def read(self, entry: Entry, head: memoryview) -> ImageHeader:
        """Header of one DICOM file whose first HEAD_BYTES are `head`.

        Raises Malformed where its structure cannot be followed, UserFacingError where it breaks a limit or
        counts no frames.
        """
        found = self._scan(entry, head)
        _refuse_foreign_tail(entry, found)
        values = Values(found)
        shared = tuple(item for item in found.values.items() if item[0] not in _OWN_TAGS)
        key = (shared, found.transfer_syntax, found.big_endian)
        if key not in self._known:
            self._known[key] = _header(entry, found, values)
        header = copy(self._known[key])
        # The constructor would set each of sixty fields by a call of its own.
        vars(header).update(
            entry=entry,
            pixel_tag=found.pixel_tag,
            pixel_start=found.pixel_start,
            pixel_length=found.pixel_length,
            inflated=found.data,
            **_own(values),
        )
        return header

    def _scan(self, entry: Entry, head: memoryview) -> Scan:
        """The elements of the file, from no more of it than it takes."""
        data = bytes(head)
        if self._layout and (found := self._layout.read(data, _WANTED)):
            return found
        found = self._walked(entry, head)
        if self._learned < _MOST_LAYOUTS:
            self._layout = self._layout.widened(data, found) if self._layout else Layout.of(data, found)
            self._learned += 1
        return found

    def _walked(self, entry: Entry, head: memoryview) -> Scan:
        for more in (_LONG_HEAD_BYTES, None):
            try:
                return scan(head, _WANTED, complete=entry.size <= len(head), limits=self._limits)
            except NeedMore:
                check_file_held(min(entry.size, more or entry.size), self._limits)
                head = entry.read(0, more)
        return scan(head, _WANTED, complete=True, limits=self._limits)


def _refuse_foreign_tail(entry: Entry, found: Scan) -> None:
    """Raise Malformed where bytes behind uncompressed pixels are neither elements nor zeros: pixels have shifted."""
    if not found.pixel_tag or found.pixel_length is None:
        return
    end, size = found.pixel_start + found.pixel_length, entry.size if found.data is None else len(found.data)
    if end < size:
        held = entry if found.data is None else memory_entry("", found.data)
        if any(held.read(end, end + MIB)) and not is_element_run(held.read(end, None), found):
            raise Malformed


def _own(values: Values) -> dict[str, Any]:
    """Fields of `ImageHeader` that rest on _OWN_TAGS."""
    return {
        "sop_uid": values.text("SOPInstanceUID"),
        "position_mm": values.vector("ImagePositionPatient", 3),
        "instance": values.text("InstanceNumber"),
        "taken": values.text("AcquisitionTime") or values.text("AcquisitionDateTime"),
        "made": values.text("ContentTime"),
        "created": values.text("InstanceCreationTime"),
        "trigger_ms": values.number("TriggerTime"),
    }


def _header(entry: Entry, found: Scan, values: Values) -> ImageHeader:
    pixels = _pixel_format(found, values)
    description = values.text("SeriesDescription")
    body_part = values.text("BodyPartExamined")
    return ImageHeader(
        entry=entry, pixels=pixels, frame=0, frames=_frame_count(values), pixel_tag=found.pixel_tag,
        pixel_start=found.pixel_start, pixel_length=found.pixel_length, inflated=found.data,
        modality=values.text("Modality"), image_type=_image_type(values),
        sop_class=values.text("SOPClassUID") or values.text("MediaStorageSOPClassUID"),
        study_uid=values.text("StudyInstanceUID"), series_uid=values.text("SeriesInstanceUID"),
        series_number=_count(values.text("SeriesNumber")),
        frame_of_reference=values.text("FrameOfReferenceUID"), acquisition=values.text("AcquisitionNumber"),
        acquisition_images=_count(values.text("ImagesInAcquisition")),
        temporal_position=values.text("TemporalPositionIdentifier"),
        orientation=values.vector("ImageOrientationPatient", 6),
        spacing_mm=values.vector("PixelSpacing", 2), thickness_mm=positive(values.number("SliceThickness")),
        slice_step_mm=positive(values.number("SpacingBetweenSlices")),
        diameter_mm=positive(values.number("ReconstructionDiameter")),
        tilt_degrees=values.number("GantryDetectorTilt"), slope=values.number("RescaleSlope"),
        intercept=values.number("RescaleIntercept"), rescale_type=values.text("RescaleType").upper(),
        padding=values.short("PixelPaddingValue", signed=pixels.signed),
        padding_limit=values.short("PixelPaddingRangeLimit", signed=pixels.signed),
        lossy=values.text("LossyImageCompression") == "01" or found.transfer_syntax in ALWAYS_LOSSY,
        overlay_in_pixels=(values.short("OverlayBitPosition") or 0) > 0,
        kernel=safe_kernel(values.text("ConvolutionKernel")), tube_voltage_kv=positive(values.number("KVP")),
        contrast_agent=_names_agent(values.text("ContrastBolusAgent")),
        description=describe_series(description, body_part),
        virtual="virtual patient" in description.lower(), identity=identity(values),
        cone_beam=bool(_CONE_BEAM.search(f"{description} {values.text('AcquisitionType')}")),
        energies=bool(_ENERGIES.search(description)), projected=bool(_PROJECTED.search(description)),
        test_object="YES" in (values.text("QualityControlSubject"), values.text("QualityControlImage")),
        burned_in=values.text("BurnedInAnnotation").upper() == "YES",
        protocol=digests(values, PROTOCOL), reconstruction=digests(values, RECONSTRUCTION),
        cardiac_phase=sortable(values.single("NominalPercentageOfCardiacPhase")), stack="", part=_part(values),
        remarks=digests(values, REMARKS), day=stated_day(values), dates_shifted=dates_shifted(values),
        sex=stated_sex(values), age_years=stated_age(values),
        volumetric=values.text("VolumetricProperties").upper(),
        has_modality_table=values.has("ModalityLUTSequence"), **_own(values),
    )  # fmt: skip


def _image_type(values: Values) -> tuple[str, ...]:
    """What kind of image it is, and how it was calculated from others where it says so."""
    technique = values.text("VolumeBasedCalculationTechnique").upper()
    return (*(part.upper() for part in values.texts("ImageType")), *([] if technique in ("", "NONE") else [technique]))


def _pixel_format(found: Scan, values: Values) -> PixelFormat:
    stored = values.short("BitsStored") or 0
    high = values.short("HighBit")
    samples = values.short("SamplesPerPixel")
    representation = values.short("PixelRepresentation")
    if representation not in (None, 0, 1):
        raise Malformed
    return PixelFormat(
        rows=values.short("Rows") or 0,
        columns=values.short("Columns") or 0,
        bits_allocated=values.short("BitsAllocated") or 0,
        bits_stored=stored,
        high_bit=stored - 1 if high is None else high,
        signed=representation == 1,
        samples=1 if samples is None else samples,
        photometric=values.text("PhotometricInterpretation").upper(),
        big_endian=found.big_endian,
        transfer_syntax=found.transfer_syntax,
    )


def _frame_count(values: Values) -> int:
    """How many frames a file has; of a file that is no CT image, nobody counts them."""
    text = values.text("NumberOfFrames")
    if (
        not text
        or values.text("Modality") not in ("CT", "")
        or values.text("SOPClassUID").startswith(SECONDARY_CAPTURE)
    ):
        return 1
    if not (text.isascii() and text.isdigit()) or len(text) > 12:  # no longer than a decimal string of PS3.5 may be
        raise Malformed
    if not 1 <= int(text) <= _MOST_FRAMES:
        raise UserFacingError(
            f"The header of a file counts {int(text):,} frames.",
            f"1 to {_MOST_FRAMES:,} frames in a file",
            EXPORT_AGAIN,
        )
    return int(text)


def _count(text: str) -> int | None:
    """A stated whole number of at most six digits; None where there is none or it is no such number."""
    return int(text) if re.fullmatch("[0-9]{1,6}", text) else None


def _names_agent(text: str) -> bool | None:
    """Whether a contrast agent is named (PS3.3 C.7.6.4); None where the element is absent or empty."""
    plain = re.sub(r"[^a-z]", "", text.lower())
    return None if not text else plain not in ("", "no", "non", "none", "without", "nocontrast", "native", "na")


def _part(values: Values) -> tuple[str, int, int]:
    """Which part of a concatenation this file is (PS3.3 C.7.6.16.2.2.4)."""
    whole = digest_text(values.text("ConcatenationUID"))
    if not whole:
        return "", 1, 1
    return whole, values.short("InConcatenationNumber") or 0, values.short("InConcatenationTotalNumber") or 0
