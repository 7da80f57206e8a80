"""Digests of what a DICOM header says, for telling patients and scans apart without keeping any of it."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence

from core.intake.scan.dicom.values import Values

PROTOCOL = ("ConvolutionKernel", "KVP", "Manufacturer", "PatientPosition", "StudyDate")
REMARKS = ("ContrastBolusAgent", "ImageComments", "DerivationDescription")
RECONSTRUCTION: Mapping[str, str] = {
    "SliceThickness": "slice thicknesses", "ReconstructionDiameter": "reconstructed diameters",
    "FilterType": "filters", "SeriesNumber": "series numbers", "SeriesDescription": "series descriptions",
    "SeriesTime": "series times", "ProtocolName": "protocols", "StationName": "scanners",
}  # fmt: skip
"""What is the same in all images of one reconstruction, and what it is called."""
_NUMBERS = frozenset(("KVP", "SliceThickness", "ReconstructionDiameter", "SeriesNumber", "SeriesTime"))


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
    """Digests of the patient's name (its alphabetic part, PS3.5 6.2.1), id, birth date and sex, and of the name's two
    other parts; "" where empty."""
    name, *others = (values.written("PatientName") + "==").split("=")
    dates = values.text("PatientBirthDate"), values.text("PatientSex")
    return tuple(map(digest_text, (name, values.written("PatientID"), *dates, *others[:2])))
