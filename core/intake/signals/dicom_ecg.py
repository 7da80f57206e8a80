"""DICOM ECG objects (12-lead ECG, general ECG Waveform Storage; PS3.3 A.34.3, A.34.4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from core.errors import UserFacingError
from core.intake.signals.lead_names import ecg_of_columns
from core.records.ecg import Ecg

_NEXT = "Choose a 12-lead ECG."
_MILLIVOLTS = {"uV": 1e-3, "mV": 1.0, "V": 1e3}


def read_dicom_ecg(file: Path) -> Ecg:
    """The longest recording of a DICOM ECG (others are median beats). Raises UserFacingError where there is none."""
    try:
        dataset = pydicom.dcmread(file)
        groups = list(dataset.get("WaveformSequence") or ())
        if not groups:
            raise UserFacingError("The DICOM file holds no ECG.", "an ECG Waveform Storage object", _NEXT)
        place = max(range(len(groups)), key=lambda number: int(groups[number].NumberOfWaveformSamples))
        values = np.asarray(dataset.waveform_array(place), np.float64)
        group = groups[place]
        channels = list(group.ChannelDefinitionSequence)
        names = [str(channel.ChannelSourceSequence[0].CodeMeaning) for channel in channels]
        scale = np.array([_to_millivolts(channel) for channel in channels])
        rate = float(group.SamplingFrequency)
    except (InvalidDicomError, OSError, AttributeError, ValueError, IndexError, KeyError, TypeError) as error:
        raise UserFacingError("The DICOM ECG cannot be read.", "an ECG Waveform Storage object", _NEXT) from error
    return ecg_of_columns(values * scale, names, rate, start=_start(dataset), filters=_filters(channels[0]))


def _to_millivolts(channel: Dataset) -> float:
    if "ChannelSensitivityUnitsSequence" not in channel:
        raise UserFacingError("The ECG does not say in which unit it is.", "a channel sensitivity", _NEXT)
    unit = str(channel.ChannelSensitivityUnitsSequence[0].CodeValue)
    if unit not in _MILLIVOLTS:
        raise UserFacingError("The ECG is not in volts.", "mV, uV or V", _NEXT)
    return _MILLIVOLTS[unit]


def _start(dataset: Dataset) -> pd.Timestamp | None:
    told = str(dataset.get("AcquisitionDateTime") or "")[:14]
    found = pd.to_datetime(told, format="%Y%m%d%H%M%S", errors="coerce") if told else None
    return None if found is None or pd.isna(found) else found


def _filters(channel: Dataset) -> str:
    """What the first channel says of its filters.

    The words are Hz: high pass, low pass, notch.
    """
    told = {"FilterLowFrequency": "from", "FilterHighFrequency": "to", "NotchFilterFrequency": "without"}
    words = [
        f"{word} {float(channel[name].value):g} Hz" for name, word in told.items() if channel.get(name) is not None
    ]
    return ", ".join(words)
