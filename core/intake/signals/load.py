"""An ECG from a file, whatever its format."""

from __future__ import annotations

from pathlib import Path

from core.errors import UserFacingError
from core.intake.signals.dicom_ecg import read_dicom_ecg
from core.intake.signals.wfdb import read_wfdb
from core.records.ecg import Ecg

_PREAMBLE, _MARK = 128, b"DICM"


def load_ecg(path: Path | str) -> Ecg:
    """A WFDB record (.hea, its .dat, or the name without either) or a DICOM ECG, in millivolts.

    Raises UserFacingError for anything else.
    """
    path = Path(path)
    header = path if path.suffix == ".hea" else path.with_suffix(".hea")
    if header.is_file() and path.suffix.lower() in ("", ".hea", ".dat"):
        return read_wfdb(header)
    if path.is_file() and _is_dicom(path):
        return read_dicom_ecg(path)
    raise UserFacingError(
        "The file is no ECG that can be read." if path.exists() else "The ECG's file does not exist.",
        "a WFDB record (.hea with its .dat) or a DICOM 12-lead ECG",
        "Choose another file.",
    )


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_PREAMBLE + len(_MARK))[_PREAMBLE:] == _MARK
