"""WFDB records: a text header and files of packed whole numbers (physionet.org/physiotools/wag/header-5.htm).

Read here, as the package wfdb brings a network client and an LGPL sound library; the tests compare with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import UserFacingError
from core.intake.signals.lead_names import ecg_of_columns
from core.records.ecg import Ecg

_NEXT = "Choose another record, or convert it with the WFDB tools."
_MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "v": 1e3}
_DEFAULT_GAIN, _DEFAULT_RATE = 200.0, 250.0
_MOST_BYTES = 1 << 28
_SIGNAL = re.compile(r"(?P<format>\d+)(?:x(?P<each>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<offset>\d+))?")
_GAIN = re.compile(r"(?P<gain>[-+.\deE]+)(?:\((?P<baseline>-?\d+)\))?(?:/(?P<unit>\S+))?")
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Signal:
    file: str
    format: int
    offset: int
    gain: float
    baseline: int
    unit: str
    name: str


def _words16(data: bytes) -> Ints:
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int64)


def _words61(data: bytes) -> Ints:
    return np.frombuffer(data[: len(data) // 2 * 2], ">i2").astype(np.int64)


def _words32(data: bytes) -> Ints:
    return np.frombuffer(data[: len(data) // 4 * 4], "<i4").astype(np.int64)


def _words24(data: bytes) -> Ints:
    parts = np.frombuffer(data[: len(data) // 3 * 3], np.uint8).reshape(-1, 3).astype(np.int64)
    found = parts[:, 0] | parts[:, 1] << 8 | parts[:, 2] << 16
    return np.where(found >= 1 << 23, found - (1 << 24), found)


def _words80(data: bytes) -> Ints:
    return np.frombuffer(data, np.uint8).astype(np.int64) - 128


def _words212(data: bytes) -> Ints:
    """Pairs of 12-bit numbers in three bytes."""
    parts = np.frombuffer(data[: len(data) // 3 * 3], np.uint8).reshape(-1, 3).astype(np.int64)
    pairs = np.stack([parts[:, 0] | (parts[:, 1] & 0x0F) << 8, parts[:, 2] | (parts[:, 1] & 0xF0) << 4], 1).ravel()
    return np.where(pairs >= 1 << 11, pairs - (1 << 12), pairs)


FORMATS: Mapping[int, tuple[Callable[[bytes], Ints], int]] = {
    16: (_words16, -(1 << 15)),
    24: (_words24, -(1 << 23)),
    32: (_words32, -(1 << 31)),
    61: (_words61, -(1 << 15)),
    80: (_words80, -(1 << 7)),
    212: (_words212, -(1 << 11)),
}
"""Format -> how its numbers are unpacked, and the number that means no value."""


def read_wfdb(header: Path) -> Ecg:
    """The ECG that a .hea file describes, from the files beside it.

    Raises UserFacingError for a header that cannot be read, formats other than `FORMATS`, records of several segments,
    and missing or short files.
    """
    lines = _lines(header)
    record, signals = _record(lines[0]), [_signal(line) for line in lines[1:]]
    if len(signals) != record[0] or not signals:
        raise _broken("says another number of signals than it describes")
    columns: dict[int, npt.NDArray[np.float64]] = {}
    for file in dict.fromkeys(signal.file for signal in signals):
        own = [number for number, signal in enumerate(signals) if signal.file == file]
        frames = _frames(header.parent / Path(file).name, [signals[number] for number in own])
        columns |= {number: frames[:, place] for place, number in enumerate(own)}
    length = min(record[2] or len(columns[0]), *(len(column) for column in columns.values()))
    values = np.stack([columns[number][:length] for number in range(len(signals))], 1)
    return ecg_of_columns(values, [signal.name for signal in signals], record[1], start=record[3])


def _lines(header: Path) -> list[str]:
    try:
        text = header.read_text(encoding="utf-8", errors="replace")[:1_000_000]
    except OSError as error:
        raise UserFacingError("The ECG's header cannot be read.", "a .hea file", _NEXT) from error
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise _broken("is empty")
    return lines


def _record(line: str) -> tuple[int, float, int, pd.Timestamp | None]:
    """Number of signals, rate, number of samples (0 where not told), start."""
    parts = line.split()
    if "/" in parts[0]:
        raise UserFacingError("The ECG is a record of several segments.", "a record of one segment", _NEXT)
    try:
        rate = float(re.split(r"[/(]", parts[2])[0]) if len(parts) > 2 else _DEFAULT_RATE
        length = int(parts[3]) if len(parts) > 3 else 0
        count = int(parts[1])
    except (IndexError, ValueError) as error:
        raise _broken("does not begin with name, signals, rate and samples") from error
    start: pd.Timestamp | None = None
    if len(parts) > 5:
        found = pd.to_datetime(f"{parts[5]} {parts[4]}", dayfirst=True, errors="coerce")
        start = found if isinstance(found, pd.Timestamp) else None
    return count, rate, length, start


def _signal(line: str) -> _Signal:
    parts = line.split(maxsplit=8)
    form = _SIGNAL.fullmatch(parts[1]) if len(parts) > 1 else None
    if form is None or int(form["format"]) not in FORMATS or int(form["each"] or 1) != 1:
        known = ", ".join(map(str, FORMATS))
        raise UserFacingError("The ECG is stored in a WFDB format that is not read.", f"format {known}", _NEXT)
    gain = _GAIN.fullmatch(parts[2]) if len(parts) > 2 else None
    try:
        value = float(gain["gain"]) if gain else 0.0
        zero = int(parts[4]) if len(parts) > 4 else 0
    except ValueError as error:
        raise _broken("has a gain or a zero that is no number") from error
    baseline = int(gain["baseline"]) if gain and gain["baseline"] else zero
    unit = (gain["unit"] if gain else None) or "mV"
    if unit.lower() not in _MILLIVOLTS:
        raise UserFacingError("The ECG is not in volts.", "mV, uV or V", _NEXT)
    name = parts[8] if len(parts) > 8 else ""
    return _Signal(
        parts[0], int(form["format"]), int(form["offset"] or 0), value or _DEFAULT_GAIN, baseline, unit, name
    )


def _frames(file: Path, signals: list[_Signal]) -> npt.NDArray[np.float64]:
    """(samples, signals) mV of one file."""
    if len({(signal.format, signal.offset) for signal in signals}) > 1:
        raise _broken("mixes formats within one file")
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise UserFacingError("The ECG's data file is larger than 256 MB.", "a recording of minutes", _NEXT)
        data = file.read_bytes()[signals[0].offset :]
    except OSError as error:
        raise UserFacingError(
            "A data file that the ECG's header names is not beside it.", "the .dat files of the record", _NEXT
        ) from error
    unpack, nothing = FORMATS[signals[0].format]
    numbers = unpack(data)
    count = len(numbers) // len(signals)
    if not count:
        raise UserFacingError("The ECG's data file is empty.", "samples", _NEXT)
    frames = numbers[: count * len(signals)].reshape(count, len(signals))
    gain = np.array([signal.gain / _MILLIVOLTS[signal.unit.lower()] for signal in signals])
    values = (frames - np.array([signal.baseline for signal in signals])) / gain
    return np.where(frames == nothing, np.nan, values)


def _broken(what: str) -> UserFacingError:
    return UserFacingError(f"The ECG's header {what}.", "a WFDB header", _NEXT)
