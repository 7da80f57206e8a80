"""Typed reading of the elements of one DICOM file that the intake looks at."""

from __future__ import annotations

import math
import re
import struct
import unicodedata
from collections.abc import Mapping

from pydicom.charset import convert_encodings, decode_bytes

from core.intake.scan.dicom.elements import Scan

Vector = tuple[float, ...]

_DELIMITERS = {ord(letter) for letter in "\\^=\r\n\t\f"}
"""What ends a change of character set within a value (PS3.5 6.1.2.5.3)."""
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")

TAGS: Mapping[str, int] = {
    "MediaStorageSOPClassUID": 0x00020002, "SpecificCharacterSet": 0x00080005, "ImageType": 0x00080008,
    "StudyDate": 0x00080020, "SeriesTime": 0x00080031, "StationName": 0x00081010, "ProtocolName": 0x00181030,
    "ReconstructionDiameter": 0x00181100, "FilterType": 0x00181160, "SeriesNumber": 0x00200011,
    "SOPClassUID": 0x00080016, "SOPInstanceUID": 0x00080018, "Modality": 0x00080060,
    "Manufacturer": 0x00080070, "SeriesDescription": 0x0008103E, "BodyPartExamined": 0x00180015,
    "AcquisitionDate": 0x00080022, "ContentDate": 0x00080023, "SeriesDate": 0x00080021, "PatientAge": 0x00101010,
    "LongitudinalTemporalInformationModified": 0x00280303,
    "PatientName": 0x00100010, "PatientID": 0x00100020, "PatientBirthDate": 0x00100030, "PatientSex": 0x00100040,
    "VolumetricProperties": 0x00089206, "VolumeBasedCalculationTechnique": 0x00089207,
    "PatientPosition": 0x00185100, "SliceThickness": 0x00180050,
    "SpacingBetweenSlices": 0x00180088, "GantryDetectorTilt": 0x00181120, "ConvolutionKernel": 0x00181210,
    "KVP": 0x00180060, "ContrastBolusAgent": 0x00180010,
    "StudyInstanceUID": 0x0020000D, "SeriesInstanceUID": 0x0020000E, "AcquisitionNumber": 0x00200012,
    "ImagePositionPatient": 0x00200032, "ImageOrientationPatient": 0x00200037, "FrameOfReferenceUID": 0x00200052,
    "TemporalPositionIdentifier": 0x00200100, "ImagesInAcquisition": 0x00201002,
    "NominalPercentageOfCardiacPhase": 0x00209241,
    "InstanceNumber": 0x00200013, "AcquisitionTime": 0x00080032, "AcquisitionDateTime": 0x0008002A,
    "ContentTime": 0x00080033, "InstanceCreationTime": 0x00080013, "TriggerTime": 0x00181060,
    "ImageComments": 0x00204000, "DerivationDescription": 0x00082111,
    "ConcatenationUID": 0x00209161, "InConcatenationNumber": 0x00209162, "InConcatenationTotalNumber": 0x00209163,
    "SamplesPerPixel": 0x00280002, "ModalityLUTSequence": 0x00283000,
    "PhotometricInterpretation": 0x00280004, "NumberOfFrames": 0x00280008,
    "Rows": 0x00280010, "Columns": 0x00280011, "PixelSpacing": 0x00280030, "BitsAllocated": 0x00280100,
    "BitsStored": 0x00280101, "HighBit": 0x00280102, "PixelRepresentation": 0x00280103,
    "PixelPaddingValue": 0x00280120, "PixelPaddingRangeLimit": 0x00280121, "RescaleIntercept": 0x00281052,
    "RescaleSlope": 0x00281053, "RescaleType": 0x00281054, "LossyImageCompression": 0x00282110,
    "OverlayBitPosition": 0x60000102, "AcquisitionType": 0x00189302,
    "QualityControlSubject": 0x00100200, "QualityControlImage": 0x00280300, "BurnedInAnnotation": 0x00280301,
}  # fmt: skip


class Values:
    """Typed reading of raw element values; absent or unreadable values are None or ""."""

    def __init__(self, found: Scan) -> None:
        self._values = found.values
        self._order = ">" if found.big_endian else "<"

    def has(self, name: str) -> bool:
        """Whether the element is there, be it empty."""
        return TAGS[name] in self._values

    def raw(self, name: str) -> bytes:
        """The value as it lies in the file."""
        return self._values.get(TAGS[name], b"")

    def text(self, name: str) -> str:
        """First value as text."""
        return self.raw(name).decode("latin-1").strip("\0 \t\r\n").partition("\\")[0].strip("\0 ")

    def texts(self, name: str) -> tuple[str, ...]:
        """All values as text; at least one."""
        if not (raw := self.raw(name)):
            return ("",)
        return tuple(part.strip("\0 ") for part in raw.decode("latin-1").strip("\0 \t\r\n").split("\\"))

    def written(self, name: str) -> str:
        """The element as text in the file's own character set."""
        raw = self.raw(name)
        try:
            text = decode_bytes(raw, convert_encodings(list(self.texts("SpecificCharacterSet"))), _DELIMITERS)
        except (LookupError, ValueError):
            text = raw.decode("latin-1")
        return unicodedata.normalize("NFKC", text).strip("\0 \t\r\n")

    def number(self, name: str) -> float | None:
        """The decimal string as a float; None where absent, NaN where it is not one number."""
        texts = self.texts(name)
        return to_float(texts[0]) if len(texts) == 1 else math.nan

    def vector(self, name: str, length: int) -> Vector | None:
        """Decimal strings as floats; None unless exactly `length` of them are finite."""
        parts = [to_float(part) for part in self.texts(name)]
        numbers = tuple(part for part in parts if part is not None and math.isfinite(part))
        return numbers if len(parts) == length == len(numbers) else None

    def short(self, name: str, *, signed: bool = False) -> int | None:
        """First 16-bit integer."""
        raw = self.raw(name)
        if len(raw) < 2:
            return None
        return int(struct.unpack_from(self._order + ("h" if signed else "H"), raw)[0])

    def single(self, name: str) -> float | None:
        """First binary float of 32 bits."""
        raw = self.raw(name)
        return float(struct.unpack_from(self._order + "f", raw)[0]) if len(raw) >= 4 else None


def sortable(number: float | None) -> str:
    """A number below 100,000 as text that sorts as the number does; "" for None.

    >>> sortable(75.0) > sortable(8.5), sortable(None)
    (True, '')
    """
    return "" if number is None else f"{number:010.3f}"


def to_float(text: str) -> float | None:
    """A decimal string as a number: None where empty, NaN where it is not a plain number.

    >>> to_float(" 1.5e0 "), to_float(""), to_float("1,5")
    (1.5, None, nan)
    """
    if not text.strip():
        return None
    if not _DECIMAL.fullmatch(text.strip()):
        return math.inf if "inf" in text.lower() else math.nan
    return float(text.strip())


def positive(number: float | None) -> float | None:
    """The number where it is finite and above zero, else None."""
    return number if number is not None and math.isfinite(number) and number > 0 else None
