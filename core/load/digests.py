"""Digests of what a DICOM header says, for telling patients and scans apart without keeping any of it."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence

from pydicom.charset import convert_encodings, decode_bytes

from core.load.dicom_values import Values

PROTOCOL = ("ConvolutionKernel", "KVP", "Manufacturer", "PatientPosition", "StudyDate")
REMARKS = ("ContrastBolusAgent", "ImageComments", "DerivationDescription")
RECONSTRUCTION: Mapping[str, str] = {
    "SliceThickness": "slice thicknesses", "ReconstructionDiameter": "reconstructed diameters",
    "FilterType": "filters", "SeriesNumber": "series numbers", "SeriesDescription": "series descriptions",
    "SeriesTime": "series times", "ProtocolName": "protocols", "StationName": "scanners",
}  # fmt: skip
"""What is the same in all images of one reconstruction, and what it is called."""
_NUMBERS = frozenset(("KVP", "SliceThickness", "ReconstructionDiameter", "SeriesNumber", "SeriesTime"))
_DELIMITERS = {ord("^"), ord("=")}


def digests(values: Values, names: Sequence[str] | Mapping[str, str]) -> tuple[str, ...]:
    """One digest for each element, "" where it is absent or empty."""
    return tuple(digest_text(_as_meant(values, name)) for name in names)


def _as_meant(values: Values, name: str) -> str:
    """The element's text; a number without what only its writing differs by ("120.0")."""
    number = values.number(name) if name in _NUMBERS else None
    return "\\".join(values.texts(name)) if number is None or math.isnan(number) else f"{number:g}"


def digest_text(text: str) -> str:
    """A digest that is equal where two texts mean the same; "" where there is none."""
    plain = re.sub(r"[\s^=,.]+", " ", text).strip().casefold()
    return hashlib.sha256(plain.encode()).hexdigest()[:16] if plain else ""


def identity(values: Values) -> tuple[str, ...]:
    """Digests of the patient's name, id, birth date and sex, and of the name in other scripts; "" where empty."""
    name, *other = (_meant_text(values, "PatientName") + "==").split("=")
    rest = (_meant_text(values, f"Patient{part}") for part in ("ID", "BirthDate", "Sex"))
    return tuple(digest_text(text) for text in (name, *rest, *other[:2]))


def _meant_text(values: Values, name: str) -> str:
    """The whole text in the character set that the file declares, one way of writing each letter."""
    charsets = convert_encodings(list(values.texts("SpecificCharacterSet")))
    return unicodedata.normalize("NFC", decode_bytes(values.raw(name), charsets, _DELIMITERS)).strip("\0 ")
