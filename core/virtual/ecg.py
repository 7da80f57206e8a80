"""A 12-lead ECG of ten seconds (`--with ecg`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from core.virtual.sampling import VirtualPatient


def write_signals(cohort: Path, people: Sequence[VirtualPatient]) -> pd.DataFrame:
    """Write signals/index.parquet and a WFDB record a patient; the truth of each as a table."""
    raise NotImplementedError
