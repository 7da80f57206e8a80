"""Parts of names, printable text in bytes, and numbers that say more than a count."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")
_LEAST_ID_DIGITS = 5
"""Shorter ids are found among exposures and sizes by chance."""
_MOST_COUNT_DIGITS = 6
_FEWER_DIGITS = frozenset(("SeriesNumber", "InstanceNumber"))
"""Counts of which no study has a hundred thousand."""
_MOST_DIGITS = 7
"""Of a whole number that measures something; eight are a date or an id."""
_DOSES = ("Dose", "Activity")
"""Given in Bq, with as many digits as there are."""
_LARGEST = {
    "PatientWeight": 700, "PatientSize": 300, "KVP": 1000, "XRayTubeCurrent": 10_000, "SliceThickness": 1000,
    "SpacingBetweenSlices": 1000, "GantryDetectorTilt": 180, "DataCollectionDiameter": 5000,
    "ReconstructionDiameter": 5000, "HeartRate": 1000, "ContrastBolusVolume": 10_000,
    "EchoTime": 100_000, "DistanceSourceToDetector": 100_000, "DistanceSourceToPatient": 100_000, "FocalSpots": 100,
}  # fmt: skip
"""What no scanner and no patient exceeds, in the attribute's unit or the next smaller one that is written there."""
_NUMPY = {"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FL": "f4", "FD": "f8", "UV": "u8", "SV": "i8"}
_NUMPY |= {"OF": "f4", "OD": "f8", "OL": "u4", "OV": "u8"}
_LEAST_MEASURE, _MOST_MEASURE = 1e-9, 1e7
"""Decimals between them are measures, whatever letters their bytes happen to be."""
_NOBODY = frozenset(("anonymous", "anonymized", "none", "unknown"))


def name_parts(text: str, shortest: int) -> frozenset[str]:
    """Case-folded parts of a name or an id, to look for in other places."""
    parts = re.split(r"[\s^=,._-]+", text.casefold())
    return frozenset(part for part in parts if len(part) >= shortest and part not in _NOBODY)


def folded(text: str) -> str:
    """A name or an id by which files of one person are told: without case, and whatever separates its parts.

    >>> folded(" DOE^Jane "), folded("Doe, Jane")
    ('doe jane', 'doe jane')
    """
    return re.sub(r"[\s^=,.]+", " ", text).strip().casefold()


def printable_runs(data: bytes | memoryview, shortest: int = 4) -> list[bytes]:
    """Runs of printable ASCII in binary data, one byte or two (UTF-16) a letter.

    >>> printable_runs(b"\\0\\1Ada L\\0" + "Doe J".encode("utf-16-be") + "Roe J".encode("utf-16-le"))
    [b'Ada L', b'Doe J', b'Roe J']
    """
    least = b"{%d,}" % shortest
    # The pattern is slow where nothing can match: it is tried on what is left without zeros in a row and other bytes.
    joined = re.sub(rb"\0{2,}", b"\0\0", bytes(data))
    candidates = re.findall(rb"[\0\x20-\x7e][\0\x20-\x7e]{%d,}" % (shortest - 1), joined)
    pattern = rb"(?:\0[\x20-\x7e])%s(?!\0)|(?:[\x20-\x7e]\0)%s|[\x20-\x7e]%s" % (least, least, least)
    return [run.replace(b"\0", b"") for part in candidates for run in re.findall(pattern, part)]


def is_measured(keyword: str, text: str, tokens: Collection[str] = ()) -> bool:
    """Whether a decimal string is a number of a size that its attribute can have, and not the patient's id.

    tokens: case-folded words of the patient's name and id.

    >>> is_measured("ExposureTime", "1000", ("84417",)), is_measured("ExposureTime", "84417", ("84417",))
    (True, False)
    >>> is_measured("PatientWeight", "81.5"), is_measured("PatientWeight", "5512"), is_measured("KVP", "19450312")
    (True, False, False)
    """
    text = text.strip()
    if not NUMBER.fullmatch(text) or (len(text) >= _LEAST_ID_DIGITS and text in tokens):
        return False
    most = _MOST_COUNT_DIGITS - (keyword in _FEWER_DIGITS)
    if keyword.endswith("Number") and sum(letter.isdigit() for letter in text) > most:
        return False
    whole = text.lstrip("+-").partition(".")[0]
    if whole.isdecimal() and len(whole) > _MOST_DIGITS and not any(word in keyword for word in _DOSES):
        return False
    return abs(float(text)) <= _LARGEST.get(keyword, math.inf)


def is_ramp(run: bytes) -> bool:
    """Whether printable bytes are numbers of a look-up table: each second byte goes on at an even step.

    >>> is_ramp(bytes(range(32, 90))), is_ramp(b"Doe John")
    (True, False)
    """
    bends = [abs(run[index] - 2 * run[index - 2] + run[index - 4]) for index in range(4, len(run))]
    return sum(bend <= 2 for bend in bends) >= 0.8 * len(bends)


def packed_letters(vr: str, values: Any, shortest: int = 6) -> list[bytes]:
    """Runs of letters in the bytes of numbers, in either byte order; look-up tables and plausible decimals have none.

    vr: a numeric value representation of DICOM. values: one number, several, or their bytes.

    >>> packed_letters("UL", [0x6C697551, 0x6166656C]), packed_letters("FD", [0.7421875, 500.0, 120.0])
    ([b'Quillefa', b'liuQafel'], [])
    """
    if vr == "AT":
        halves = [half for value in np.atleast_1d(values) for half in (int(value) >> 16, int(value) & 0xFFFF)]
        return packed_letters("US", halves, shortest)
    if vr not in _NUMPY:
        return []
    little = f"<{_NUMPY[vr]}"
    numbers = np.frombuffer(values, little) if isinstance(values, bytes) else np.atleast_1d(np.asarray(values, little))
    data = without_measures(numbers)
    runs = [run for order in (data, data.byteswap()) for run in letters_in(order.tobytes(), shortest)]
    return [run for run in runs if not is_ramp(run)]


def without_measures(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The numbers, decimals of an everyday size replaced by zero."""
    if numbers.dtype.kind != "f":
        return numbers
    size = np.abs(numbers)
    return np.where((size >= _LEAST_MEASURE) & (size <= _MOST_MEASURE), numbers.dtype.type(0), numbers)


def letters_in(data: bytes, shortest: int) -> list[bytes]:
    """Runs of ASCII letters."""
    return re.findall(rb"[A-Za-z]{%d,}" % shortest, data)


def values_of(element: Any) -> list[Any]:
    """The values of an element as a list, however many there are."""
    value = element.value
    if value is None or (isinstance(value, (str, bytes)) and not value):
        return []
    return list(value) if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
